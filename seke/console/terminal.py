"""What all commands share about the standard streams."""

from __future__ import annotations

import os
import sys


def drop_output() -> None:
    """Send what is left to nowhere: the reader or the room is gone, and the interpreter must not try."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def printable(text: str) -> str:
    """Return a text with what would move a terminal's cursor or change its colours replaced."""
    return "".join(
        sign if sign.isprintable() or sign in "\t\n" else "\N{REPLACEMENT CHARACTER}" for sign in text
    )
