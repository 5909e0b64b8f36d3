"""Posteriors -> decisions: what is accepted, at which risk, and on what ground."""
