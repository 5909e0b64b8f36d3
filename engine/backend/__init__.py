"""Arrays of numpy and of torch under the same functions."""
