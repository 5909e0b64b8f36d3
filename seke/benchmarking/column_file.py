"""Columns that come in parts and are read one by one: a temporary file keeps what is not in use."""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import SekeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# So many bytes are kept in memory; more go to the disk.
_IN_MEMORY = 16 << 20


class ColumnFile:
    """Named columns of numbers or truth values, each (N, ...). The file is gone with the object."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(_IN_MEMORY, prefix="seke-")  # noqa: SIM115
        self._parts: dict[str, list[tuple[int, int]]] = {}
        self._forms: dict[str, NDArray[Any]] = {}
        weakref.finalize(self, self._file.close)

    def add(self, name: str, part: NDArray[Any]) -> None:
        """Append the next rows (n, ...) to a column.

        Raises:
            engine.SekeError: the disk is full.
        """
        form = self._forms.setdefault(name, part[:0].copy())
        with _plain_errors():
            self._parts.setdefault(name, []).append((self._file.seek(0, 2), len(part)))
            self._file.write(part.astype(form.dtype, copy=False).tobytes())

    def column(self, name: str) -> NDArray[Any] | None:
        """Return a whole column, (N, ...); None where no part of it came."""
        if name not in self._forms:
            return None
        form, parts = self._forms[name], self._parts[name]
        column = np.empty((sum(rows for _, rows in parts), *form.shape[1:]), form.dtype)
        data, filled = column.reshape(-1).view(np.uint8), 0
        with _plain_errors():
            for start, rows in parts:
                size = rows * (column.nbytes // max(len(column), 1))
                self._file.seek(start)
                data[filled : filled + size] = np.frombuffer(self._file.read(size), dtype=np.uint8)
                filled += size
        return column


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SekeError(f"temporary file for the predictions: {error}") from None
