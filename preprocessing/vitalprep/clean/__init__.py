"""Clean: list what no published data set needs, and remove it on request."""
