"""Shows what recordings hold before there is a clinical table or a configuration for them."""
