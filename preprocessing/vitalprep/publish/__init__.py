"""Publish: account for every case, judge the result, describe the data set."""
