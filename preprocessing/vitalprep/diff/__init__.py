"""``vitalprep diff``: differences between two data sets, from the files in their folders."""
