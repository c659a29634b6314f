"""Plan: which cases, which subject in which split, which case in which shard."""
