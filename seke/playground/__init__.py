"""A page on which a base is tried out: values are set, and what follows from them is shown at once."""
