"""Files as they are opened, bounded and written; every other module goes through these."""
