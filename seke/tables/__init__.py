"""Tables that people have or are given: labels, and posterior records read and written."""
