"""The waves of a case at their true rates, all driven by one train of beats and one of breaths."""
