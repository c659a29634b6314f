"""Account: reconcile every requested case with written windows or one exclusion reason, and judge the result."""
