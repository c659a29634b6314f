"""Run: the stages one after the other on one machine."""
