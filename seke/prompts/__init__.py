"""Prompts from the knowledge base, and sample records from a model's text.

Request --prompt--> Prompt;   Choice --read--> sample record
"""

from seke.prompts.templates import Context, Questions

__all__ = ["Context", "Questions"]
