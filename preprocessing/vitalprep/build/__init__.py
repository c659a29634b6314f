"""Build: cut the harmonized tables of a split into windows and write its TFRecord files."""
