"""Build: the harmonized tables of a split become its TFRecord files."""
