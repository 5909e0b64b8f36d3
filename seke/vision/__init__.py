"""Asking a vision model: what is asked and answered, and who can be asked."""
