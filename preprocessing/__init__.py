"""vitalprep: VitalDB surgical recordings become a proven training set of TFRecords."""

__version__ = "0.1.0"
