"""Harmonize: one recording becomes a 1 Hz table in clinical units, with a receipt."""
