"""Scores of predictions, their intervals, and the exact test of a rate."""
