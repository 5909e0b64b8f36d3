"""Posteriors -> decisions: the accepted values, their risks, and the basis of each."""
