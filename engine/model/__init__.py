"""Values that a base declares, and records of its fits and guarantees."""
