"""Gold -> certificates: which thresholds guarantee that no more than alpha of the accepted err."""
