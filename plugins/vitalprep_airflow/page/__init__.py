"""The page below ``/vitalprep``: links to it, the FastAPI app, the worker commands behind it, and its files."""
