"""Fetch: download VitalDB's open recordings and clinical table into a folder or bucket."""
