"""``README.md`` of a data set: its card, for readers who did not make it."""
