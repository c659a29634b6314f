"""Pure functions from a recording to samples: the single definition of an input for building and serving."""
