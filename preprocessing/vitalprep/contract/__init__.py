"""Every document and every path that vitalprep stores or reads, and what its stages agree on."""
