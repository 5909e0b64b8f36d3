"""What is said to a model, and what its answers say: prompts from the knowledge, samples from the text.

Request --prompt--> Prompt;   Choice --read--> sample record
"""

from seke.prompts.templates import Context, Questions

__all__ = ["Context", "Questions"]
