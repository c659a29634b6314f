"""``vitalprep clean``: removes what no published data set needs, after asking."""
