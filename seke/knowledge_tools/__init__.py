"""The knowledge workbench: commands that check, show, compare, draw and rewrite knowledge bases."""
