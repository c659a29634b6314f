"""The command ``vitalprep``, a module for each kind of command."""
