"""The loop: ask, infer, decide, ask again, with answers of any source."""
