"""``README.md`` of a data set: its card, for whoever finds it without having made it."""
