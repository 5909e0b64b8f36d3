"""Declared and recorded values: what a base says, and what it was made with."""
