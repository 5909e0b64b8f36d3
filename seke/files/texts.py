"""Small text files that a user hands over, read whole and never further than a bound."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from engine import AnswerError
from seke.files.inputs import open_file

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 1_000_000  # bytes of one file: a table or YAML that people write by hand has far fewer


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Return a UTF-8 text, without its byte-order mark, of at most so many bytes.

    A stream of this process is read no further than that either.

    Raises:
        engine.AnswerError: missing, unreadable, a pipe or a device, too long, or not UTF-8 text.
    """
    try:
        with open_file(path) as file:
            data = file.read(most + 1)
    except OSError as error:
        raise AnswerError(f"{path}: cannot be read ({error.strerror or error})") from None
    if len(data) > most:
        raise AnswerError(f"{path}: has more than {most:,} bytes, which is the most that is read")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        met_byte = f"met the byte 0x{data[error.start]:02x}"
        raise AnswerError(f"{path}:{line}:{column}: not UTF-8 text: {met_byte}; save it as UTF-8") from None
