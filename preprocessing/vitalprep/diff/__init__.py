"""Diff: what is different between two data sets, from what stands in their folders."""
