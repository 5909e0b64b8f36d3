"""Posterior records as a table with one flat row an item, for notebooks."""
