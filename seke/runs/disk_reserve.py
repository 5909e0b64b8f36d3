"""Room on the disk that is kept for answers that are on their way when it is full."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Bytes: some hundred answers, each with the pages of the database and of its log that it changes.
RESERVED_BYTES = 8 << 20
BLOCK = bytes(1 << 16)  # zeros that are written at once


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk has no room."""
    if isinstance(error, sqlite3.Error):
        return "full" in str(error)
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


class DiskReserve:
    """A file that takes room until it is given up; `given_up` says that no request may leave any more."""

    def __init__(self, path: Path) -> None:
        self.path, self.given_up = path, False
        self._was_tried, self._is_taken = False, False

    def take(self) -> None:
        """Take the room, once; where files may not be so large, there is none to be given up.

        Raises:
            OSError: the disk is full.
        """
        if self._was_tried or self.given_up:
            return
        try:
            with self.path.open("wb", buffering=0) as file:
                while file.tell() < RESERVED_BYTES:
                    file.write(BLOCK)
        except OSError as error:
            self.free()
            if is_full(error):
                raise
        else:
            self._is_taken = True
        self._was_tried = True

    def give_up(self) -> bool:
        """Free the room for what is on its way; return whether there was any."""
        was_taken, self.given_up = self._is_taken, True
        self.free()
        return was_taken

    def free(self) -> None:
        """Remove the file."""
        self._is_taken = False
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
