"""``vitalprep cost``: estimates the cost of a run from the input's listing alone."""
