"""YAML -> declared values."""
