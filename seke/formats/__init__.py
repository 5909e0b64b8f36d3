"""Tables of other tools -> samples, by one YAML declaration for each format."""
