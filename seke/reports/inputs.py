"""What a report is made of: the records, and as far as they are at hand samples, ledger and pictures."""

from __future__ import annotations

import warnings
from collections import defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from engine import SekeError
from seke.annotation.job import session_of
from seke.datasets.manifest import items_of
from seke.graphics.thumbnails import face_of
from seke.inference.session import Session
from seke.reports.records_table import Table, table_of
from seke.runs.item_list import ITEMS, known_items
from seke.runs.ledger import NAME, course_of
from seke.runs.run_folder import POSTERIORS, SAMPLES, SUMMARY
from seke.samples import single_samples
from seke.tables.record_reader import posterior_records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from engine import Knowledge
    from seke.graphics.thumbnails import Face
    from seke.samples import SingleSamples

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

DIGEST = 16


@dataclass(frozen=True)
class Asked:
    """S samples of a table's items, sorted by item and as they came, else as in their files.

    row: (S,) the item of each in the table. samples: as they were read; place: (S,) where in them each is.
    when: (S,) seconds since 1970; price: (S,) in USD; NaN where unknown. ordered: whether the order is known.
    """

    samples: SingleSamples
    place: Ints
    row: Ints
    when: Floats
    price: Floats
    ordered: bool


@dataclass(frozen=True)
class Source:
    """What there is. name: the file or folder. asked: None where only records are there.

    population: the prior that was used, no text where nothing says which. pictures: by item. summary: that of
    a run. missing: what there is not, in words.
    """

    name: str
    base: Knowledge
    table: Table
    session: Session
    population: str
    asked: Asked | None = None
    pictures: Mapping[str, Face] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def source_of(
    path: str | Path,
    base: Knowledge,
    *,
    samples: Sequence[str | Path] = (),
    images: Sequence[str | Path] = (),
    population: str | None = None,
    pictures: bool = True,
) -> Source:
    """Find all that there is of a run's folder, or of a file of posteriors and the samples behind it.

    pictures: whether to look for them, of a run where it says that they were.

    Raises:
        engine.SekeError: what cannot be read; samples of which some are about no item of the records.
    """
    place, missing = Path(path), []
    if place.is_dir():
        session = session_of(place, base, population)
        base = session.network.knowledge
        summary = msgspec.json.decode((place / SUMMARY).read_bytes())
        table = table_of(posterior_records(place / POSTERIORS), base, str(place / POSTERIORS))
        asked: Asked | None = _asked(table, [place / SAMPLES], base, course_of(place))
        if not asked or not asked.ordered:
            missing.append(f"no {NAME}, so neither the order of answers nor prices are known")
    else:
        session = Session.open(base, population)
        summary = {}
        table = table_of(posterior_records(place), base, str(place))
        asked = _asked(table, samples, base, []) if samples else None
        if not samples:
            missing.append(
                "only posterior records are at hand: what was answered, readings, steps and observers are "
                "not known (add --samples)"
            )
    known: dict[str, Face] = {}
    if pictures and images:
        known = _named(images, base, table)
    elif pictures and place.is_dir():
        known = _noted(place, table)
    told = place.is_dir() or population is not None or asked is not None
    whose = session.inference.population if told else ""
    return Source(str(path), base, table, session, whose, asked, known, summary, tuple(missing))


def _asked(
    table: Table, paths: Sequence[str | Path], base: Knowledge, course: Sequence[tuple[Any, Any, Any]]
) -> Asked:
    samples = single_samples(paths, base)
    of = np.array([table.rows.get(item, -1) for item in samples.items], dtype=np.int64)
    if (of < 0).any():
        item = samples.items[int(np.flatnonzero(of < 0)[0])]
        raise SekeError(
            f"{paths[0]}: item {item[:80]!r} has no record in {table.path}; name the samples behind it"
        )
    rank, when, price = _came(samples, course)
    order = np.lexsort((samples.place, rank, of[samples.item]))
    return Asked(samples, order, of[samples.item][order], when[order], price[order], bool(course))


def _came(samples: SingleSamples, course: Sequence[tuple[Any, Any, Any]]) -> tuple[Ints, Floats, Floats]:
    """Return for each sample its place in the order in which they came, when it came, and its price."""
    count = len(samples.line)
    waiting: dict[Any, deque[int]] = defaultdict(deque)
    for place, line in enumerate(samples.line):
        waiting[line].append(place)
    # What a set says of itself was there before anything was asked.
    rank, when, price = np.full(count, -1), np.full(count, np.nan), np.full(count, np.nan)
    for number, (line, ended, paid) in enumerate(course):
        # A refused answer to a question about one variable is about none.
        for key in (line, (*line[:3], None, line[4])):
            if waiting.get(key):
                place = waiting[key].popleft()
                rank[place] = number
                when[place] = np.nan if ended is None else ended
                price[place] = np.nan if paid is None else paid
                break
    return rank.astype(np.int64), when, price


def _noted(folder: Path, table: Table) -> dict[str, Face]:
    """Return where a run's pictures were; one without its list of items has none."""
    if not (folder / ITEMS).is_file():
        return {}
    return {name: face_of(known) for name, known in known_items(folder).items() if name in table.rows}


def _named(images: Sequence[str | Path], base: Knowledge, table: Table) -> dict[str, Face]:
    try:
        found = items_of(images, base)
    except SekeError as error:
        raise SekeError(f"--images: {error}") from None
    kept = {item.name: (item.path, item.box) for item in found if item.name in table.rows}
    if not kept:
        message = "none of these pictures is of an item of the records"
        warnings.warn(f"--images: {message} (their names are the files' names without ending)", stacklevel=3)
    return kept
