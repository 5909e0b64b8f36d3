"""Network and evidence -> posteriors, joint marginals, diagnostics, simulated answers."""
