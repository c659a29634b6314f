"""Harmonize: turn each recording into a 1 Hz table in clinical units, with a receipt."""
