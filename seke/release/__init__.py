"""What goes with a data set once it is given away: taking items back out of it."""
