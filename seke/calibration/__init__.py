"""How reliable observers are, learned from samples and gold, and written as an overlay of the knowledge."""
