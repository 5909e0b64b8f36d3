"""A compiled base for one population, and the posterior records that it infers from answers."""
