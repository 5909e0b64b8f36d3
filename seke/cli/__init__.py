"""The commands: options in, results out, faults as messages."""
