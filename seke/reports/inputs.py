"""Reads the inputs of a report: records, and, where they exist, samples, ledger and pictures."""

from __future__ import annotations

import warnings
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from engine import SekeError
from seke.annotation.job import session_of
from seke.datasets.manifest import items_of
from seke.files.inputs import path_of
from seke.files.shard_folder import is_shard_folder
from seke.graphics.thumbnails import face_of
from seke.inference.session import Session
from seke.reports.records_table import RecordTable, read_records_table
from seke.runs.item_list import ITEMS, known_items
from seke.runs.ledger import NAME, course_of
from seke.runs.run_folder import POSTERIORS, SAMPLES, SUMMARY
from seke.samples import single_samples
from seke.tables.record_reader import posterior_records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from engine import Floats, Ints, Knowledge
    from seke.graphics.thumbnails import Face
    from seke.samples import SingleSamples


@dataclass(frozen=True)
class ItemSamples:
    """S samples of a table's items, sorted by item, then by the order of arrival, else as in their files.

    samples: as they were read; place: (S,) the index of each in them. row: (S,) the table's row of each one's
    item. when: (S,) seconds since 1970; price: (S,) in USD; NaN where unknown. ordered: whether the order of
    arrival is known.
    """

    samples: SingleSamples
    place: Ints
    row: Ints
    when: Floats
    price: Floats
    ordered: bool


@dataclass(frozen=True)
class ReportInputs:
    """The inputs of a report. name: the file or folder. item_samples: None where there are only records.

    population: the prior that was used, no text where it is unknown. pictures: by item. summary: of a run,
    empty where there is none. missing: what is lacking, in words for the page.
    """

    name: str
    base: Knowledge
    table: RecordTable
    session: Session
    population: str
    item_samples: ItemSamples | None = None
    pictures: Mapping[str, Face] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def is_run(path: Path) -> bool:
    """Tell whether the source of a report is the folder of a run."""
    return path.is_dir() and not is_shard_folder(path)


def read_inputs(
    path: str | Path,
    base: Knowledge,
    *,
    samples: Sequence[str | Path] = (),
    images: Sequence[str | Path] = (),
    population: str | None = None,
    pictures: bool = True,
) -> ReportInputs:
    """Read the inputs of a run's folder, or of a file of posteriors and the samples behind it.

    pictures: whether to look for pictures; a run's are looked for where it noted them.

    Raises:
        engine.SekeError: what cannot be read; samples of which some are about no item of the records.
    """
    allowed = "the folder of a run, or a file or folder of records (seke infer SAMPLES -o FILE)"
    source_path, missing = path_of(path, "source", allowed), []
    of_run = is_run(source_path)
    if of_run:
        session = session_of(source_path, base, population)
        base = session.knowledge
        summary = msgspec.json.decode((source_path / SUMMARY).read_bytes())
        table = read_records_table(
            posterior_records(source_path / POSTERIORS), base, str(source_path / POSTERIORS)
        )
        item_samples: ItemSamples | None = None
        # A run that ended before its first answer has no samples, and says why.
        if (source_path / SAMPLES).stat().st_size:
            item_samples = _read_samples(table, [source_path / SAMPLES], base, course_of(source_path))
        if item_samples is None:
            missing.append("nothing was answered, so only the records are known")
        elif not item_samples.ordered:
            missing.append(f"no {NAME}, so neither the order of answers nor prices are known")
    else:
        session = Session.open(base, population)
        summary = {}
        table = read_records_table(posterior_records(source_path), base, str(source_path))
        item_samples = _read_samples(table, samples, base, []) if samples else None
        if not samples:
            missing.append(
                "only posterior records are given, so answers, readings, steps and observers are not known "
                "(add --samples)"
            )
    faces: dict[str, Face] = {}
    if pictures and images:
        faces = _faces_of_files(images, base, table)
    elif pictures and of_run:
        faces = _faces_of_run(source_path, table)
    prior_known = of_run or population is not None or item_samples is not None
    used_population = session.inference.population if prior_known else ""
    return ReportInputs(
        str(path), base, table, session, used_population, item_samples, faces, summary, tuple(missing)
    )


def _read_samples(
    table: RecordTable, paths: Sequence[str | Path], base: Knowledge, course: Sequence[tuple[Any, Any, Any]]
) -> ItemSamples:
    samples = single_samples(paths, base)
    table_row = np.array([table.rows.get(item, -1) for item in samples.items], dtype=np.int64)
    if (table_row < 0).any():
        item = samples.items[int(np.flatnonzero(table_row < 0)[0])]
        raise SekeError(
            f"{paths[0]}: item {item[:80]!r} has no record in {table.path}; name the samples of these records"
        )
    rank, when, price = _arrival(samples, course)
    sorted_samples = np.lexsort((samples.place, rank, table_row[samples.item]))
    return ItemSamples(
        samples,
        sorted_samples,
        table_row[samples.item][sorted_samples],
        when[sorted_samples],
        price[sorted_samples],
        bool(course),
    )


def _arrival(samples: SingleSamples, course: Sequence[tuple[Any, Any, Any]]) -> tuple[Ints, Floats, Floats]:
    """Return (S,) the rank of each sample in the order of arrival, (S,) its time and (S,) its price."""
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


def _faces_of_run(folder: Path, table: RecordTable) -> dict[str, Face]:
    """Return the faces that a run noted, by item; none where the run has no list of items."""
    if not (folder / ITEMS).is_file():
        return {}
    return {
        name: face_of(listed_item) for name, listed_item in known_items(folder).items() if name in table.rows
    }


def _faces_of_files(images: Sequence[str | Path], base: Knowledge, table: RecordTable) -> dict[str, Face]:
    try:
        items = items_of(images, base)
    except SekeError as error:
        raise SekeError(f"--images: {error}") from None
    kept = {item.name: (item.path, item.box) for item in items if item.name in table.rows}
    if not kept:
        message = "none of these pictures belongs to an item of the records"
        warnings.warn(
            f"--images: {message} (an item has the name of its file without the ending)", stacklevel=3
        )
    return kept
