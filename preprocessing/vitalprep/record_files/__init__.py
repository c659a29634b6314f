"""What the TFRecord files of a split hold, as tables and plan give it: build writes it, validate proves it."""
