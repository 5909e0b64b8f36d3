"""Runs of JSON Lines -> sheets, each run by itself, as by another process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seke.files.faults import Faults
from seke.files.rows import RowSource
from seke.samples.binding import bind
from seke.samples.json_rows import decoders_of, read_json_lines
from seke.samples.vocabulary import vocabulary_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine import Knowledge
    from seke.samples.columns import Sheet


@dataclass(frozen=True)
class LineRun:
    """Lines of a file, the first of which has the number `first`.

    index, name, prefix: of the file, as of a `RowSource`.
    """

    index: int
    name: str
    prefix: str
    first: int
    lines: list[bytes]


@dataclass(frozen=True)
class BoundRun:
    """The sheets of a run, how many samples could be decoded, and what is wrong with others."""

    sheets: list[Sheet]
    count: int
    faults: Faults


class LineBinder:
    """Makes sheets of runs, for a base."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._vocabulary = vocabulary_of(knowledge)
        self._decoders = decoders_of(self._vocabulary)

    def __reduce__(self) -> tuple[type[LineBinder], tuple[Knowledge]]:
        # Decoders cannot be pickled.
        return LineBinder, (self._knowledge,)

    def __call__(self, run: LineRun) -> BoundRun:
        """Return what the lines of a run hold; after a fault no sheets of it."""
        faults = Faults()
        source = _Lines(run, faults)
        sheets: list[Sheet] = []
        count = 0
        for chunk in read_json_lines(source, self._vocabulary, decoders=self._decoders):
            count += len(chunk.records)
            sheets.append(bind(chunk, self._vocabulary, run.prefix, faults))
        return BoundRun([] if faults else sheets, count, faults)


class _Lines(RowSource):
    """The lines of a run as a source of rows."""

    def __init__(self, run: LineRun, faults: Faults) -> None:
        super().__init__(run.name, run.prefix, faults, run.index)
        self._run = run

    def runs(self) -> Iterator[tuple[int, list[bytes]]]:
        """Yield the run."""
        yield self._run.first, self._run.lines
