"""Images named on the command line -> items with name, file, group, box and labels.

An argument is a picture, a folder (all pictures below it), a pattern with * or ?, or a manifest: a table with
a column `path`, and any of `item`, `group`, `source` (the set it is of), `left top width height` (the face's
box in pixels) and labels as in a label table. Paths of a manifest stand below its own folder and do not
leave it. A manifest is read row by row; what is kept of a picture is an `Item` alone.
"""

from __future__ import annotations

import glob
import math
import os
import re
import sys
from array import array
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.datasets.images import ENDINGS, is_clutter
from seke.files.column_hints import column_hint
from seke.files.faults import Faults
from seke.files.likely_path import nearest_file
from seke.files.rows import WORKBOOKS, RowFile, describe_met, is_blank, name_text
from seke.observers.seen import Box
from seke.tables.label_table import BESIDE, ITEM, LabelTableBuilder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from engine import Knowledge
    from seke.tables.label_table import LabelTable

    Record = dict[str, Any]

TABLES = tuple(
    f"{ending}{packed}"
    for ending in (".csv", ".tsv", ".tab", ".jsonl", ".parquet", *WORKBOOKS)
    for packed in ("", ".gz")
)
# Archives of pictures; a parquet file may be a manifest, too.
ARCHIVES = (".tar", ".tar.gz", ".tgz")
BOX = ("left", "top", "width", "height")
ITEM_COLUMNS = (ITEM, *BESIDE)
LONGEST_PATH = 4_095  # characters, the most that Linux allows
NO_PATH = "path: is missing"
DIGITS = re.compile(r"(\d+)")
NO_LABELS: Mapping[str, Any] = {}
_FOLDERS_KNOWN = 4_096  # of which is remembered whether they are below another one


@dataclass(frozen=True, slots=True)
class Item:
    """A picture to be annotated.

    A run holds all of its items at once, so they are small: the file is a text (a `Path` takes four times as
    much), and those without labels share one mapping.

    name: unique, and the same whenever the same files are named. labels: variable -> what the set says of it,
    a state's name, true or false, or a number. source: the set that it is of, where that is told.
    """

    name: str
    file: str
    group: str | None = None
    box: Box | None = None
    labels: Mapping[str, Any] = field(default_factory=lambda: NO_LABELS)
    source: str | None = None

    @property
    def path(self) -> Path:
        """Where the picture is."""
        return Path(self.file)


def items_of(
    images: Sequence[str | Path], base: Knowledge, labels: LabelTable | None = None
) -> tuple[Item, ...]:
    """Return the items that are named, in the order of the arguments and of their names.

    labels: known of items by name, besides what manifests say.

    Raises:
        engine.SekeError: nothing there, paths that lead out of their folder, names that are met twice, labels
            of other items alone, and bad rows of a manifest, all at once.
    """
    by_name: dict[str, Item] = {}
    for image in images:
        for item in _items_at(str(image), base):
            if item.name in by_name:
                earlier = by_name[item.name].path
                hint = "give a manifest with a column `item`"
                raise SekeError(f"{item.path}: would be item {item.name!r}, as {earlier} is; {hint}")
            by_name[item.name] = item
    if not by_name:
        raise SekeError(f"no pictures ({', '.join(ENDINGS)}) are there in {', '.join(map(str, images))}")
    if labels is not None:
        if labels.items and by_name.keys().isdisjoint(labels.items):
            labelled, pictured = labels.items[0], next(iter(by_name))
            raise SekeError(
                f"{labels.path}: labels none of the items; it names {labelled!r}, the pictures {pictured!r}"
            )
        return tuple(_with_labels(by_name.values(), labels, base))
    return tuple(by_name.values())


def is_manifest(path: Path) -> bool:
    """Whether the first row of a table names a picture; False for what cannot be read as a table."""
    file = RowFile(path, Faults(), strip=True, by_hand=True)
    _, first_row = next(_filled_rows(file), (0, {}))
    return not file.faults and "path" in first_row


def is_archive(path: Path) -> bool:
    """Whether a file may be an archive of pictures, by its name."""
    return path.name.lower().endswith((*ARCHIVES, ".parquet"))


def label_sample(item: Item, base: Knowledge, observer: str) -> Record:
    """Return an item's labels as a sample of an observer, under the broadest question."""
    question = max(
        base.questions.values(),
        key=lambda candidate: (not candidate.tells, len(candidate.variables), not candidate.about_one),
    )
    key = {"item": item.name, "observer": observer, "question": question.name, "draw": 0}
    return {**key, "reports": dict(item.labels)}


def _items_at(image: str, base: Knowledge) -> Iterator[Item]:
    path = Path(image)
    if path.is_dir():
        yield from _pictures(path)
    elif image.lower().endswith(TABLES):
        if not path.is_file():
            raise SekeError(f"{image}: {_not_a_file(path)}")
        yield from _manifest(path, base)
    elif image.lower().endswith(ARCHIVES) and path.is_file():
        raise SekeError(
            f"{image}: is an archive; unpack it first: seke import packed {image} -o pictures, and name "
            "pictures/manifest.jsonl then"
        )
    elif path.is_file():
        yield Item(path.stem, str(path))
    elif any(sign in image for sign in "*?["):
        names = sorted(glob.glob(image, recursive=True), key=_natural)
        paths = (Path(name) for name in names if name.lower().endswith(ENDINGS))
        yield from (Item(path.stem, str(path)) for path in paths if not any(map(is_clutter, path.parts)))
    else:
        raise SekeError(f"{image}: {_not_a_file(path)}")


def _not_a_file(path: Path) -> str:
    """Return what is wrong with a path that is neither a file nor a folder."""
    problem = "is a pipe or a device; allowed is a file or a folder"
    return problem if path.exists() else "no such file or folder"


def _pictures(folder: Path) -> Iterator[Item]:
    """Yield the pictures below a folder; links that lead out of it are left out."""
    below = _Below(folder)
    names = list(_picture_names(folder))
    for name in sorted(names, key=_natural):
        path = folder / name
        if path.is_file() and path in below:
            yield Item(str(PurePosixPath(name).with_suffix("")), str(path))


def _picture_names(folder: Path) -> Iterator[str]:
    """Yield the paths of the pictures below a folder, without what systems leave there."""
    for above, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_clutter(name)]
        for name in names:
            if name.lower().endswith(ENDINGS) and not is_clutter(name):
                yield Path(above, name).relative_to(folder).as_posix()


def _natural(name: str) -> list[Any]:
    """Order `face2` before `face10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in DIGITS.split(name)]


class _Below:
    """The paths that do not leave a folder, wherever links lead; links of folders are followed once."""

    def __init__(self, folder: Path) -> None:
        self._root = folder.resolve()
        self._holds_folder = lru_cache(_FOLDERS_KNOWN)(self._holds)

    def __contains__(self, path: Path) -> bool:
        plain = path.name not in ("", "..") and not os.path.islink(path)
        return (plain and self._holds_folder(path.parent)) or self._holds(path)

    def _holds(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self._root)


def _manifest(path: Path, base: Knowledge) -> Iterator[Item]:
    file = RowFile(path, Faults(), strip=True, by_hand=True)
    builder, items, below = LabelTableBuilder(base, file), list[Item](), _Below(path.parent)
    columns = _ManifestColumns(file, builder)
    # Rows before the first one with a path: where none has one, only that is said.
    without_path, has_rows, has_path = array("q"), False, False
    numbers, named = array("q"), False
    for number, row in _filled_rows(file):
        has_rows = True
        labels = columns.labels(number, row)
        if not has_path and "path" not in row:
            without_path.append(number)
            continue
        has_path = True
        try:
            item = _parse_item(path, row, below)
        except SekeError as fault:
            file.note(number, str(fault))
            continue
        items.append(item)
        numbers.append(number)
        named |= ITEM in row
        if labels:
            builder.add_rows([(number, {ITEM: item.name, **labels})])
    if has_path:
        for number in without_path:
            file.note(number, NO_PATH)
    elif has_rows:
        file.note(0, "has no column `path`")
    elif not file.faults:
        file.note(0, "names no pictures")
    _note_repeated_names(file, items, numbers, named=named)
    file.faults.raise_all()
    yield from _with_labels(items, builder.table(), base) if columns.has_labels else items


def _note_repeated_names(
    file: RowFile, items: Sequence[Item], numbers: Sequence[int], *, named: bool
) -> None:
    """Note the rows whose item is that of an earlier one. named: whether the rows have a column `item`."""
    if len({item.name for item in items}) == len(items):
        return
    first: dict[str, int] = {}
    cure = "give each its own name" if named else f"give each its own name in a column `{ITEM}`"
    for item, number in zip(items, numbers, strict=True):
        if (earlier := first.setdefault(item.name, number)) != number:
            file.note(number, f"{ITEM} {item.name!r} is that of {file.place(earlier)}, too; {cure}")


def _filled_rows(file: RowFile) -> Iterator[tuple[int, Record]]:
    """Yield the rows of a manifest without blank cells and what has no column's name."""
    for number, row in file.rows():
        yield (
            number,
            {
                key: file.number_text(cell) if key in BOX else cell
                for key, cell in row.items()
                if key and not is_blank(cell)
            },
        )


class _ManifestColumns:
    """The columns of a manifest as its rows name them; those that it cannot have are noted, each once.

    has_labels: whether a row said something in a column of labels.
    """

    def __init__(self, file: RowFile, builder: LabelTableBuilder) -> None:
        self._file, self._builder, self.has_labels = file, builder, False
        self._is_label = dict.fromkeys(ITEM_COLUMNS, False)

    def labels(self, number: int, row: Record) -> Record:
        """Return the cells of a row that are labels."""
        for name in [name for name in row if name not in self._is_label]:
            variables = self._builder.knowledge.variables
            self._is_label[name] = name in variables or self._builder.variable_meant(name) is not None
            if not self._is_label[name]:
                hint, allowed = column_hint(name, [*ITEM_COLUMNS, *variables]), ", ".join(ITEM_COLUMNS)
                self._file.note(number, f"no column is called {name!r}{hint}; besides labels: {allowed}")
        labels = {name: cell for name, cell in row.items() if self._is_label[name]}
        self.has_labels |= bool(labels)
        return labels


def _parse_item(manifest: Path, row: Record, below: _Below) -> Item:
    path_text = row.get("path")
    if not isinstance(path_text, str):
        raise SekeError(NO_PATH)
    name = name_text(row.get(ITEM, str(PurePosixPath(path_text).with_suffix(""))))
    for key, text in (("path", path_text), (ITEM, str(name))):
        _check_name(key, text)
    path = manifest.parent / path_text
    if Path(path_text).is_absolute() or path not in below:
        raise SekeError(f"path: {path_text!r} leads out of the manifest's folder")
    # Many items are of one group and of one source.
    group, source = (
        None if row.get(key) is None else sys.intern(str(name_text(row[key]))) for key in ("group", "source")
    )
    return Item(str(name), str(path), group, _box(row), source=source)


def _check_name(key: str, text: str) -> None:
    """Refuse a name that no file can have, or that cannot be written."""
    if "\0" in text or len(text) > LONGEST_PATH:
        raise SekeError(
            f"{key}: {describe_met(text)}; allowed are {LONGEST_PATH} characters, none of them NUL"
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SekeError(f"{key}: must be encodable as UTF-8 (half a surrogate pair is not)") from None


def _box(row: Record) -> Box | None:
    given = [key for key in BOX if key in row]
    if not given:
        return None
    if len(given) < len(BOX):
        raise SekeError(f"a box needs all of {', '.join(BOX)}; there is only {', '.join(given)}")
    try:
        numbers = [float(row[key]) for key in BOX]
    except (TypeError, ValueError):
        raise SekeError(f"a box is four numbers, not {[row[key] for key in BOX]}") from None
    if not all(math.isfinite(number) for number in numbers) or min(numbers[2:]) <= 0:
        raise SekeError(f"a box needs a width and a height above 0, not {numbers[2]:g} and {numbers[3]:g}")
    return Box(*numbers)


def _with_labels(items: Iterable[Item], table: LabelTable, base: Knowledge) -> Iterator[Item]:
    """Yield the items with the labels of a table."""
    item_list = list(items)
    gold = table.gold_of([item.name for item in item_list]).values
    for i, item in enumerate(item_list):
        values = ((name, float(column[i])) for name, column in gold.items())
        known = {name: _label_value(base, name, value) for name, value in values if not math.isnan(value)}
        yield replace(item, labels=dict(item.labels) | known) if known else item


def _label_value(base: Knowledge, name: str, value: float) -> Any:
    variable = base.variables[name]
    if variable.kind == "interval":
        return float(value)
    return bool(value) if variable.kind == "binary" else variable.states[int(value)]


def check_some_are_there(items: Sequence[Item]) -> None:
    """Refuse items of which no picture is there: then it is the paths that are wrong.

    Raises:
        engine.SekeError: no picture is there, with the first path and the one that may be meant.
    """
    if items and not any(os.path.exists(item.file) for item in items):
        others = f", and so it is with all {len(items):,} pictures that are named" if len(items) > 1 else ""
        meant = nearest_file(items[0].path)
        hint = f"; did you mean {meant}?" if meant else ""
        raise SekeError(f"{items[0].file}: no such file{others}{hint}")
