"""Pure functions from a recording to samples: the one definition of an input."""
