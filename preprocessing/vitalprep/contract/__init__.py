"""Every document and path that vitalprep stores or reads, and the rules that its stages share."""
