"""The version of seke."""

__version__ = "0.1.0"
