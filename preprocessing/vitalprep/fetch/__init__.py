"""Fetch: VitalDB's open recordings and its clinical table, from its web service into a folder or bucket."""
