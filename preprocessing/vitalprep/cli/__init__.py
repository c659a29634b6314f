"""The command line ``vitalprep``: one module for each group of commands."""
