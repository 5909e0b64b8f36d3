"""Values that are kept by what they were made of, the last few of them."""

from __future__ import annotations

from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class LastUsed(Generic[Key, Value]):
    """The values that were used last, by their keys; several threads may ask it."""

    def __init__(self, most: int) -> None:
        """most: how many are kept."""
        self.most = most
        self._values: dict[Key, Value] = {}
        self._lock = Lock()

    def get(self, key: Key) -> Value | None:
        """Return what is kept under a key, None where nothing is."""
        with self._lock:
            value = self._values.pop(key, None)
            if value is not None:
                self._values[key] = value
            return value

    def put(self, key: Key, value: Value) -> None:
        """Keep a value in the place of the one that was used longest ago."""
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = value
            if len(self._values) > self.most:
                del self._values[next(iter(self._values))]
