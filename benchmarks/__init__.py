"""How fast, measured: every figure is a ratio to a stated baseline in the same run, or a share of a stated limit."""
