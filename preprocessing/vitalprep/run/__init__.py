"""``vitalprep run``: all stages on one machine, and the planning and publishing that every way of running shares."""
