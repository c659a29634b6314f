"""Status: what lies in an output, how far each data set is, and what its shards do."""
