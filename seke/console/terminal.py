"""What all commands share about the standard streams."""

from __future__ import annotations

import io
import os
import re
import sys
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, TextIO, cast

from seke import progress

if TYPE_CHECKING:
    from collections.abc import Iterator

# What would move a terminal's cursor, change its colours or turn its text around: control characters but for
# tabs and ends of lines, marks of direction, and what is no character (halves of surrogate pairs).
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def drop_output() -> None:
    """Send what is left to nowhere: the reader or the room is gone, and the interpreter must not try."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def printable(text: str) -> str:
    r"""Return a text with what a terminal would obey written out, such as \u001b.

    In JSON that is the same text: there these signs stand within strings alone.
    """
    return UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class PrintableOutput(io.TextIOBase):
    """A stream on which every text is printable; `exact` is the one below it."""

    def __init__(self, exact: TextIO) -> None:
        self.exact = exact

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream below."""
        return self.exact.encoding

    def write(self, text: str) -> int:
        """Write a text."""
        progress.printed()
        self.exact.write(printable(text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream below."""
        self.exact.flush()

    def isatty(self) -> bool:
        """Whether the stream below is a terminal."""
        return self.exact.isatty()

    def fileno(self) -> int:
        """Return the number of the file below."""
        return self.exact.fileno()


@contextmanager
def printable_output() -> Iterator[None]:
    """Make everything that is printed within the block printable."""
    if sys.stdout is None or isinstance(sys.stdout, PrintableOutput):
        yield
        return
    with redirect_stdout(cast("TextIO", PrintableOutput(sys.stdout))):
        yield


def exact_output() -> TextIO:
    """Return the standard output as it is: for text that is printable already, or that nobody looks at."""
    progress.printed()
    return sys.stdout.exact if isinstance(sys.stdout, PrintableOutput) else sys.stdout
