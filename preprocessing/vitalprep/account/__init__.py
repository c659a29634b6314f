"""Account: every requested case ends in windows or in one reason, and the result is judged."""
