"""What numbers of a base do to posteriors: slopes, contributions, counterfactuals, warnings."""
