"""Reading files within bounds and writing them whole; every other module uses these."""
