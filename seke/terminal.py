"""What all commands share about the standard streams."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def ending() -> Iterator[None]:
    """End with one line and status 2 on bad input and where a place cannot be written."""
    from engine import SekeError

    signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    except SekeError as error:
        _fail(str(error))
    except BrokenPipeError:
        drop_output()
        sys.exit(1)
    except OSError as error:
        drop_output()
        _fail(f"{error.filename or '<stdout>'}: {error.strerror}")


def drop_output() -> None:
    """Send what is left to nowhere: the reader or the room is gone, and the interpreter must not try."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def printable(text: str) -> str:
    """Return a text with what would move a terminal's cursor or change its colours replaced."""
    return "".join(
        sign if sign.isprintable() or sign in "\t\n" else "\N{REPLACEMENT CHARACTER}" for sign in text
    )


def _stop(number: int, _: object) -> NoReturn:
    """End as an exception ends, so that temporary files go."""
    sys.exit(128 + number)


def _fail(message: str) -> NoReturn:
    print(printable(message), file=sys.stderr)
    sys.exit(2)
