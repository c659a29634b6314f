"""Shared infrastructure: errors, logging and progress, worker processes, periodic calls, strict YAML."""
