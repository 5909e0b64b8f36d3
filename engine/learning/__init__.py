"""Answers and gold -> how observers answer, and how sure that is."""
