"""What a run would cost, from the input's listing alone."""
