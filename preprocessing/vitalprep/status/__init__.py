"""``vitalprep status``: state of an output's data sets and of their shards."""
