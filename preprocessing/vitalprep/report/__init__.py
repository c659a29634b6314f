"""Report: a data set for a person to look at, from what its stages stored, as one page without network."""
