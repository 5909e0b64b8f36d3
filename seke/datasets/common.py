"""Parts that the readers of all layouts share: a labelled picture, a tally of faults, names, numbers."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from engine import SekeError
from seke.datasets.images import ENDINGS, is_clutter
from seke.files.faults import Faults
from seke.files.lines import read_lines
from seke.files.rows import csv_rows, decode_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from engine import Knowledge
    from seke.datasets.registry import SourceSet
    from seke.observers.seen import Box

Result = TypeVar("Result")

EXPRESSION, VALENCE, AROUSAL = "expression", "valence", "arousal"
EXAMPLES = 3  # that are named of each reason to leave something out
NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Frame:
    """A picture with the set's labels.

    path: below the set's folder, as POSIX. labels: variable -> a state's name, 1 or 0, or a number.
    label_file: the file of the labels, below the set's folder. split: the part of a protocol that it is of.
    listed: whether it is taken without labels, too.
    """

    path: str
    group: str | None
    labels: Mapping[str, Any]
    label_file: str
    box: Box | None = None
    split: str | None = None
    listed: bool = False


@dataclass(frozen=True)
class SetContents:
    """The contents of a set: the variables that it may label, and its labelled pictures."""

    variables: tuple[str, ...]
    frames: Iterator[Frame]
    boxes: bool = False
    splits: bool = False


@dataclass
class ReadCounts:
    """The faults and the omissions of reading a set."""

    left_out: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    notes: list[str] = field(default_factory=list)

    def leave_out(self, reason: str, what: str) -> None:
        """Note something that is not in the manifest."""
        self.left_out[reason] += 1
        if len(known := self.examples.setdefault(reason, [])) < EXAMPLES:
            known.append(what)


@dataclass(frozen=True)
class ReadOptions:
    """How a set is read.

    every: only frames 1, 1 + every, ... of a sequence. pictures: where the pictures lie, below the set's
    folder, in place of the usual places. threshold: the least intensity at which a unit counts as active.
    neutral: also the first frame of a sequence, as neutral. feab: only what FEAB takes, with its split.
    """

    every: int = 1
    pictures: str = ""
    threshold: int = 2
    neutral: bool = False
    feab: bool = False


@dataclass(frozen=True)
class SourceFolder:
    """A set in a folder, about to be read for a base."""

    kind: SourceSet
    folder: Path
    base: Knowledge
    options: ReadOptions
    tally: ReadCounts

    def below(self, path: Path) -> str:
        """Return a path below the set's folder, as POSIX."""
        return path.relative_to(self.folder).as_posix()

    def first_of(self, names: Iterable[str], what: str) -> Path:
        """Return the first of these folders that is there.

        Raises:
            engine.SekeError: none is.
        """
        candidates = tuple(names)
        for name in candidates:
            if (self.folder / name).is_dir():
                return self.folder / name
        raise SekeError(f"{self.folder}: has no folder {' or '.join(candidates)} with {what}")

    def pictures(self) -> Path:
        """Return the folder of the pictures.

        Raises:
            engine.SekeError: it is not there, or leads out of the set's folder.
        """
        if not self.options.pictures:
            return self.first_of(self.kind.pictures, "its pictures (--pictures names another)")
        given = PurePosixPath(self.options.pictures)
        if given.is_absolute() or ".." in given.parts:
            raise SekeError(f"--pictures {given}: names a folder below {self.folder}")
        return self.first_of([str(given)], "its pictures")

    def known_variables(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the variables among `names` that the base has, in its order.

        Raises:
            engine.SekeError: it has none of them.
        """
        wanted = set(names)
        present = tuple(name for name in self.base.variables if name in wanted)
        if not present:
            raise SekeError(f"the base {self.base.name} has none of what {self.kind.label} labels")
        return present

    def expression(self, place: str, code: str) -> tuple[str | None, bool]:
        """Return the state that a code stands for, None where the base lacks it; and whether it is kept.

        Raises:
            engine.SekeError: no such code.
        """
        number = whole(place, code)
        name = self.kind.expressions.get(number)
        if name is None:
            allowed = ", ".join(f"{key} {value}" for key, value in self.kind.expressions.items())
            raise SekeError(f"{place}: no class is {number}; they are {allowed}")
        if name in self.kind.drop:
            self.tally.leave_out(f"of class {name!r}", place)
            return None, False
        variable = self.base.variables.get(EXPRESSION)
        if variable is None or name not in variable.states:
            self.tally.leave_out(f"labels {name!r}, which the base lacks", place)
            return None, True
        return name, True

    def units(self, coded: Mapping[str, bool | None]) -> dict[str, int]:
        """Return action unit -> 1 or 0, of those that the base has and that are coded.

        A code that hides units leaves them unknown, unless they are coded as active beside it.
        """
        hidden = {name for code in self.base.codes.values() if coded.get(code.name) for name in code.hides}
        labels = {}
        for name, active in coded.items():
            if active is None or name not in self.base.variables or (name in hidden and not active):
                continue
            labels[name] = int(active)
        return labels


def unit(number: int) -> str:
    """Return the name of an action unit."""
    return f"AU{number}"


def whole(place: str, text: str) -> int:
    """Return a whole number, which may be written as 3.0 or 3.0000000e+00.

    Raises:
        engine.SekeError: none.
    """
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not number.is_integer():
        raise SekeError(f"{place}: met {text[:40]!r}; allowed is a whole number")
    return int(number)


def real(place: str, text: str, unknown: float | None) -> float | None:
    """Return a number from -1 to 1, None where it is the set's mark for unknown.

    Raises:
        engine.SekeError: none.
    """
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if unknown is not None and number == unknown:
        return None
    if not -1 <= number <= 1:
        also = f", or {unknown:g} where nothing is known" if unknown is not None else ""
        raise SekeError(f"{place}: met {text[:40]!r}; allowed is a number from -1 to 1{also}")
    return number


def lines_of(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines of a text that are not blank, each with its place, `file:line`.

    Raises:
        engine.AnswerError: a file that cannot be read as text.
    """
    for number, line in decode_lines(str(path), read_lines(path, may_be_empty=True)):
        if line.strip():
            yield f"{path}:{number}", line.strip()


def cells_of(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the rows of a CSV table that are not blank, each with its place, `file:line`.

    Raises:
        engine.AnswerError: a file that cannot be read as CSV.
    """
    for number, cells in csv_rows(path):
        yield f"{path}:{number}", [cell.strip() for cell in cells]


def numbered_pictures(folder: Path) -> dict[int, str]:
    """Return the names of a folder's pictures by the last number in each; none where it is missing."""
    by_number: dict[int, str] = {}
    if not folder.is_dir():
        return by_number
    for name in sorted(os.listdir(folder)):
        stem, ending = os.path.splitext(name)
        numbers = NUMBER.findall(stem)
        if ending.lower() in ENDINGS and numbers and not is_clutter(name):
            by_number.setdefault(int(numbers[-1]), name)
    return by_number


def read_or_note(tally: ReadCounts, read: Callable[..., Result], *arguments: Any) -> Result | None:
    """Return what `read` makes of the arguments; None where it raises a fault, which is noted."""
    try:
        return read(*arguments)
    except SekeError as error:
        tally.faults.note(str(error))
        return None
