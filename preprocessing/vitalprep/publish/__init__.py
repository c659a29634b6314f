"""Publish: the files that describe a data set."""
