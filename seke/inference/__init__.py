"""A compiled base made ready for one population, and the records that it makes of answers."""
