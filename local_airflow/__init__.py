"""Runs Airflow on this machine for development, the demo and the tests. Not for production."""
