"""How answers become evidence about the truth."""
