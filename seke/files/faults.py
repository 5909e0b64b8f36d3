"""The faults of files that a user hands over, reported together."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable

from engine import AnswerError, SekeError

MOST_FAULTS = 20  # that a report names: a screenful
Text = str | Callable[[], str]  # a message, or what makes it where it is reported
LAST = (math.inf,)  # the position of a fault that ends the reading


class Faults:
    """Faults in the order of their places; the first MOST_FAULTS are kept and the others counted."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[tuple[tuple[float, ...], int, Text]] = []

    def __bool__(self) -> bool:
        return self.count > 0

    def note(self, fault: Text, at: tuple[float, ...] = LAST) -> None:
        """Note a fault, in words that begin with its place.

        at: the number of its file and that of its row, by which faults are ordered.
        """
        insort(self._first, (at, self.count, fault))
        del self._first[MOST_FAULTS:]
        self.count += 1

    def join(self, further: Faults) -> None:
        """Note the faults that were noted elsewhere, after these."""
        for at, number, fault in further._first:
            insort(self._first, (at, self.count + number, fault))
        del self._first[MOST_FAULTS:]
        self.count += further.count

    def __getstate__(self) -> dict[str, object]:
        """Return what goes to another process: messages, not what makes them."""
        return {"count": self.count, "_first": [(at, n, _text_of(fault)) for at, n, fault in self._first]}

    def lines(self) -> list[str]:
        """Return a line or more for each of the first faults, and one for the number of the others."""
        lines = [_text_of(fault) for _, _, fault in self._first]
        more = self.count - len(lines)
        return [*lines, *([f"... and {more:,} more"] if more else [])]

    def raise_all(self, kind: type[SekeError] = AnswerError) -> None:
        """Raise all faults in one report, if there are any."""
        if self.count:
            raise kind("\n".join(self.lines()))


def _text_of(fault: Text) -> str:
    return fault if isinstance(fault, str) else fault()
