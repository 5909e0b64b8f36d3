"""The exceptions of the engine, as one small tree.

SekeError
|-- KnowledgeError     faults of a knowledge base, all of them in one report
`-- AnswerError        answers or labels (lines of a file, records) that cannot be read
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LONGEST_NAME = 100  # characters of a name that is compared with others
BEGINNING = 4  # first letters by which words are alike
MOST_NAMES = 2_000  # names that one is compared with: some milliseconds; a report has up to 500 faults


class SekeError(Exception):
    """Bad input. The message names the place, the fault, the value that was given and what is allowed."""


@dataclass(frozen=True, order=True)
class Place:
    """A position in a text file: line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong in a knowledge base: where, at which path, and what."""

    place: Place
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{self.place}: {where}{self.message}"


class KnowledgeError(SekeError):
    """Every fault of a knowledge base, those at or under `first_path` first, then by file and line."""

    def __init__(self, faults: Iterable[Fault], first_path: str = "") -> None:
        def is_elsewhere(fault: Fault) -> bool:
            return (
                bool(first_path)
                and fault.place.file != first_path
                and not fault.place.file.startswith(f"{first_path}/")
            )

        self.faults = tuple(sorted(set(faults), key=lambda fault: (is_elsewhere(fault), fault)))
        super().__init__("\n".join(map(str, self.faults)))


class AnswerError(SekeError):
    """Answers or labels that cannot be read; every line of the message begins with its place."""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Return `; did you mean X?`, or the allowed names where nothing is near."""
    names = sorted(set(islice(allowed, MOST_NAMES)), key=_natural)
    near = nearest(name, names)
    if near:
        return f"; did you mean {near}?"
    if not names:
        return "; none are declared"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"; allowed are {shown}"


def nearest(name: str, names: Sequence[str]) -> str:
    """Return the name that is most like this one, or none."""
    same = [candidate for candidate in names if candidate.lower() == name.lower()]
    # Comparing long texts takes time squared in their length, and no name is so long.
    near = same or (get_close_matches(name, names, n=1, cutoff=0.6) if len(name) <= LONGEST_NAME else [])
    return near[0] if near else _begun_alike(name, names)


def _begun_alike(name: str, names: Sequence[str]) -> str:
    """Return the only name that begins as a word of this one does, or none."""
    beginnings = {word[:BEGINNING] for word in name[:LONGEST_NAME].lower().split() if len(word) > BEGINNING}
    alike = [candidate for candidate in names if candidate.lower()[:BEGINNING] in beginnings]
    return alike[0] if len(alike) == 1 else ""


def _natural(name: str) -> tuple[str, int, str]:
    """Sort numbered names by their number: x2 before x10."""
    stem = name.rstrip("0123456789")
    number = name[len(stem) :]
    return stem, int(number) if number else -1, name
