"""Benchmarks: predictions against gold."""
