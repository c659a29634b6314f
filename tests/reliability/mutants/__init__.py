"""Mutants of stored documents: each gives the same bytes or is refused by name, and never other bytes that passed."""
