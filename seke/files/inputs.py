"""Files that a user hands over, opened without waiting for pipes that nobody writes to."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from engine import AnswerError, SekeError

# Streams that this process was started with; a shell's `<(...)` is one of them.
STREAMS = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")


def path_of(value: object, argument: str, allowed: str = "a path") -> Path:
    """Return what was given for an argument of a function as a path.

    Raises:
        engine.SekeError: anything else; the message names what is `allowed`.
    """
    if isinstance(value, str | os.PathLike):
        return Path(value)
    raise SekeError(f"{argument}: met {type(value).__name__}; allowed is {allowed}")


def open_file(path: str | Path, allowed: str = "a file") -> BinaryIO:
    """Open a file to read its bytes. Of pipes and devices only the streams of this process are opened.

    Raises:
        engine.AnswerError: another pipe, or a device; the message names what is `allowed`.
        OSError: missing, a folder, or not to be read.
    """
    file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115 - whoever asks for it closes it
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    if not str(path).startswith(STREAMS):
        file.close()
        raise AnswerError(f"{path}: is a pipe or a device; allowed is {allowed}")
    os.set_blocking(file.fileno(), True)
    return file


def _open_at_once(path: str, flags: int) -> int:
    """Return a file descriptor; without this flag a pipe is opened once somebody writes to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
