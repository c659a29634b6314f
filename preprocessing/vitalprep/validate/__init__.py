"""Validate: prove a data set by reading every record back."""
