"""Build: harmonized tables become TFRecord files: impute, normalize, window, write."""
