"""From what a run accepted to data that models are trained on, with a card that says what it is."""
