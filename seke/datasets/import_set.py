"""A set in a folder -> a manifest; `seke import` as a function."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from engine import Knowledge, SekeError
from seke.datasets import affectnet, affwild2, bp4d, ckplus, disfa, rafdb
from seke.datasets.common import ReadCounts, ReadOptions, SourceFolder
from seke.datasets.manifest import BOX, is_manifest
from seke.datasets.registry import source_sets
from seke.files.shipped import knowledge as read_knowledge
from seke.files.text_report import FieldReport
from seke.tables.record_writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from seke.datasets.common import Frame, SetContents

    Row = dict[str, Any]

LAYOUTS: dict[str, Callable[[SourceFolder], SetContents]] = {
    "affectnet": affectnet.layout,
    "affwild2": affwild2.layout,
    "bp4d": bp4d.layout,
    "ckplus": ckplus.layout,
    "disfa": disfa.layout,
    "rafdb": rafdb.layout,
}
ENDINGS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz")
# Rows that are written at once.
ROW_BATCH = 1000


@dataclass(frozen=True, repr=False)
class Imported(FieldReport):
    """The result of an import: counts, and what was left out.

    items: pictures in the manifest. groups: how many there are, 0 where the set does not tell subjects.
    labelled: variable -> pictures with a label of it. active: binary variable -> pictures where it is active.
    left_out: reason -> how many; examples: reason -> a few of these.
    """

    source: str
    manifest: str
    items: int
    groups: int
    labelled: Mapping[str, int]
    active: Mapping[str, int]
    left_out: Mapping[str, int]
    examples: Mapping[str, list[str]]
    notes: tuple[str, ...]


def import_set(
    name: str,
    folder: str | Path,
    output: str | Path,
    *,
    knowledge: Knowledge | str | Path | None = None,
    only: str = "",
    exact_csv: bool = False,
    **given: Any,
) -> Imported:
    """Read the labels of a set into a manifest, which is whole or not there.

    Args:
        name: of the set: one of LAYOUTS.
        folder: where the set is.
        output: the manifest, in the set's folder or above it, as its paths do not leave its own folder.
        knowledge: the base whose variables are told; the shipped base by default.
        only: a pattern; only pictures whose path below the folder matches, or whose label file's path or
            whose split does.
        exact_csv: whether texts of CSV stay as they are, though a spreadsheet might execute them.
        given: `every`, `pictures`, `threshold`, `neutral`, `feab` (see `common.ReadOptions`).

    Raises:
        engine.AnswerError: bad lines, each with its file and number; nothing is written.
        engine.SekeError: no such set, or not where it should be; no picture is left.
    """
    if name not in LAYOUTS:
        raise SekeError(f"no set is called {name!r}; allowed are {', '.join(LAYOUTS)}")
    root, target = Path(folder), Path(output)
    above = _above(root, target)
    base = read_knowledge(knowledge)
    tally = ReadCounts()
    source = SourceFolder(source_sets()[name], root, base, ReadOptions(**given), tally)
    layout = LAYOUTS[name](source)
    counts = _Counts()
    with Writer(target, exact=exact_csv) as writer:
        rows: list[Row] = []
        for frame in _select_frames(layout.frames, only):
            counts.add(frame)
            rows.append(_row(name, frame, layout, above))
            if len(rows) == ROW_BATCH:
                writer.write(rows)
                rows = []
        tally.faults.raise_all()
        writer.write(rows)
        if not counts.items:
            raise SekeError(f"{root}: no picture with a label is left{_left_out_note(tally)}")
    return _imported(name, target, base, layout, counts, tally)


def _imported(
    name: str, target: Path, base: Knowledge, layout: SetContents, counts: _Counts, tally: ReadCounts
) -> Imported:
    return Imported(
        name,
        str(target),
        counts.items,
        len(counts.groups),
        {variable: counts.labelled[variable] for variable in layout.variables},
        {
            variable: counts.active[variable]
            for variable in layout.variables
            if base.variables[variable].kind == "binary"
        },
        dict(tally.left_out),
        tally.examples,
        tuple(tally.notes),
    )


class _Counts:
    def __init__(self) -> None:
        self.items, self.groups = 0, set[str]()
        self.labelled, self.active = Counter[str](), Counter[str]()

    def add(self, frame: Frame) -> None:
        self.items += 1
        self.groups |= {frame.group} if frame.group is not None else set()
        self.labelled.update(frame.labels.keys())
        self.active.update(name for name, value in frame.labels.items() if value == 1)


def _above(folder: Path, output: Path) -> PurePosixPath:
    """Return the set's folder as the manifest names it."""
    if not folder.is_dir():
        raise SekeError(f"{folder}: no such folder")
    if not output.name.lower().endswith(ENDINGS):
        raise SekeError(f"{output}: unknown ending; allowed are {', '.join(ENDINGS)}")
    inside, home = folder.resolve(), output.parent.resolve()
    if output.is_file() and not is_manifest(output):
        raise SekeError(f"{output}: exists already and is not a manifest; name another file")
    if not inside.is_relative_to(home):
        raise SekeError(
            f"{output}: a manifest's paths do not leave its own folder; write it to "
            f"{folder / output.name}, or above {folder}"
        )
    return PurePosixPath(inside.relative_to(home).as_posix())


def _select_frames(frames: Iterator[Frame], only: str) -> Iterator[Frame]:
    for frame in frames:
        named = (frame.path, frame.label_file, frame.split or "")
        if (frame.labels or frame.listed) and (not only or any(fnmatch(name, only) for name in named)):
            yield frame


def _row(name: str, frame: Frame, layout: SetContents, above: PurePosixPath) -> Row:
    row: Row = {
        "path": str(above / frame.path),
        "item": f"{name}/{PurePosixPath(frame.path).with_suffix('')}",
        "group": None if frame.group is None else f"{name}/{frame.group}",
        "source": name,
    }
    if layout.boxes:
        box = frame.box
        row |= (
            dict.fromkeys(BOX)
            if box is None
            else dict(zip(BOX, (box.x, box.y, box.width, box.height), strict=True))
        )
    if layout.splits:
        row["split"] = frame.split
    return row | {variable: frame.labels.get(variable) for variable in layout.variables}


def _left_out_note(tally: ReadCounts) -> str:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in tally.left_out.items())
    return f" (left out: {reasons})" if reasons else ""
