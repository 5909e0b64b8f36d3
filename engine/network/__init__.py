"""The compiled network: its values, the plan by which messages pass, and its exported forms."""
