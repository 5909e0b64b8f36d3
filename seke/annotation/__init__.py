"""Annotating pictures with a vision model: ask, observe, infer, decide, ask again."""
