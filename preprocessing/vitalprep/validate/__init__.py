"""Validate: prove the data set from its records."""
