"""What is known of a tool's table: a YAML file beside this one, or a user's own, as values."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from engine import Fault, KnowledgeError, Place, SekeError, did_you_mean
from seke.files.texts import read_text
from seke.files.yaml_nodes import compose_yaml

if TYPE_CHECKING:
    import yaml

Unit = Literal[
    "mark", "probability", "percent", "odds10", "logits", "intensity", "number", "label"
]  # see `Cells.unit`
FOLDER = Path(__file__).parent


class _Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A mapping of the YAML, of which all keys are known."""


class Cells(_Declared, frozen=True):
    """Columns of one kind, and what their cells mean.

    columns: name in the base -> a pattern of the whole column's name; the name may hold groups of it. order:
    names that the user has to give, one for each column that matches, in the order of the table. unit: mark
    (1 or 0), probability, percent, odds10 (log10 odds), logits, intensity, number or label (text). words:
    cell -> what it means. words_only: whether other cells are faults. missing: cells without a value.
    limits: the least and the greatest number. half, width: of an intensity, in its unit: P(active) is
    1 / (1 + exp((half - x) / width)).
    """

    columns: dict[str, str]
    unit: Unit
    order: str = ""
    words: dict[str, float | str] = {}
    words_only: bool = False
    limits: tuple[float, float] | None = None
    half: float = 0.0
    width: float = 1.0


class Reading(_Declared, frozen=True):
    """One reading of a row: the answer to one question.

    values: its columns. Where several columns are of one variable they count as one: their mean, or the
    greatest (`combine: max`). scores: whether classes have scores of their own, of which the shares count,
    rather than probabilities that sum to 1. remainder: the class that has what scores leave of 1.
    """

    question: str
    values: list[Cells]
    combine: Literal["mean", "max"] = "mean"
    scores: bool = False
    remainder: str = ""


class SeveralFaces(_Declared, frozen=True):
    """Several faces of a frame.

    column: what tells them apart. largest: columns whose product says which is the one to take.
    """

    column: str = ""
    largest: list[str] = []


class ToolFormat(_Declared, frozen=True):
    """A tool's table.

    label: the tool. names_from: where the names of the columns were read. not_seen: what was not seen, such
    as a real file. observer: whose answers they are. recognise: patterns of columns that a table of this
    kind has. header: a pattern of the header's line, where others stand before it. item: columns that may
    name the picture or the video; without one the file's name does. frame: columns that may number frames.
    seconds: a column with the time of a frame in seconds. judged: column -> the cell that it has where a
    face was found (a number), or `above: x`. missing: cells that say that nothing was found. passed_over:
    column -> why it is no evidence of its own.
    """

    label: str
    names_from: str
    observer: str
    readings: list[Reading]
    not_seen: str = ""
    recognise: list[str] = []
    header: str = ""
    item: list[str] = []
    frame: list[str] = []
    seconds: str = ""
    face: SeveralFaces = SeveralFaces()
    judged: dict[str, float | dict[Literal["above"], float]] = {}
    missing: list[str] = []
    passed_over: dict[str, str] = {}


def format_names() -> list[str]:
    """Return the names of the formats that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def format_named(name: str) -> ToolFormat:
    """Return a format by its name, or a user's own by the path of its YAML.

    Raises:
        engine.SekeError: no format has this name.
        engine.KnowledgeError: a declaration that is at fault, with its place.
    """
    if name in format_names():
        return _shipped(name)
    path = Path(name)
    if path.suffix.lower() in (".yaml", ".yml"):
        return read_format(path)
    names = (*format_names(), "auto")
    raise SekeError(
        f"no format is called {name!r}{did_you_mean(name, names)}; there are {', '.join(names)}, or the "
        "path of a YAML file of your own"
    )


@cache
def _shipped(name: str) -> ToolFormat:
    return read_format(FOLDER / f"{name}.yaml")


def read_format(path: Path) -> ToolFormat:
    """Read the declaration of a format.

    Raises:
        engine.KnowledgeError: what is at fault, with its place.
    """
    import yaml

    node = compose_yaml(path)
    start = Place(str(path), 1, 1)
    if node is None:
        raise KnowledgeError([Fault(start, "", "the file is empty; a format has a label, readings and more")])
    _check_keys(node, str(path), "")
    tree: Any = yaml.load(read_text(path), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    try:
        declared = msgspec.convert(tree, ToolFormat)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        where = where.strip("`").removeprefix("$").removeprefix(".")
        raise KnowledgeError([Fault(_place_of(node, where, start), where, _in_words(what))]) from None
    faults = [Fault(start, where, f"is no pattern ({error})") for where, error in _pattern_faults(declared)]
    if faults:
        raise KnowledgeError(faults)
    return declared


def _in_words(message: str) -> str:
    """Return a message of the decoder as ours are: in small letters, with single quotes."""
    return f"{message[:1].lower()}{message[1:]}".replace("`", "'")


def _check_keys(node: yaml.Node, file: str, path: str) -> None:
    """Refuse a key that is given twice, which YAML would forgive."""
    import yaml

    if isinstance(node, yaml.SequenceNode):
        for number, inner in enumerate(node.value):
            _check_keys(inner, file, f"{path}[{number}]")
    if not isinstance(node, yaml.MappingNode):
        return
    known = set[str]()
    for key, inner in node.value:
        name = str(key.value)
        if name in known:
            place = Place(file, key.start_mark.line + 1, key.start_mark.column + 1)
            raise KnowledgeError([Fault(place, f"{path}.{name}".strip("."), "is given twice")])
        known.add(name)
        _check_keys(inner, file, f"{path}.{name}".strip("."))


def _place_of(node: yaml.Node, path: str, start: Place) -> Place:
    """Return the place of what a path of the decoder leads to, as far as it can be followed."""
    import yaml

    for part in re.findall(r"\[(\d+|\.\.\.)\]|([^.\[\]]+)", path):
        inner: Any = None
        if isinstance(node, yaml.SequenceNode) and part[0].isdigit():
            inner = node.value[int(part[0])]
        elif isinstance(node, yaml.MappingNode):
            inner = next((value for key, value in node.value if key.value == part[1]), None)
        if inner is None:
            break
        node = inner
    return Place(start.file, node.start_mark.line + 1, node.start_mark.column + 1)


def _pattern_faults(declared: ToolFormat) -> list[tuple[str, re.error]]:
    """Return the patterns that are none, each with its path."""
    patterns = {"header": declared.header, "seconds": declared.seconds, "face.column": declared.face.column}
    patterns |= {f"recognise[{i}]": pattern for i, pattern in enumerate(declared.recognise)}
    for i, reading in enumerate(declared.readings):
        for j, cells in enumerate(reading.values):
            patterns |= {f"readings[{i}].values[{j}].columns.{name}": p for name, p in cells.columns.items()}
    faults = []
    for where, pattern in patterns.items():
        try:
            re.compile(pattern)
        except re.error as error:
            faults.append((where, error))
    return faults
