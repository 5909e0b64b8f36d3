"""AffectNet: the lists of the manual annotation, or the release with a file for each label.

    Manually_Annotated_file_lists/training.csv    path, face's box, landmarks, class, valence, arousal
    Manually_Annotated_Images/689/737db2.jpg

    train_set/images/0.jpg                        (or val_set, or the folder itself)
    train_set/annotations/0_exp.npy, 0_val.npy, 0_aro.npy

It does not tell subjects. Copies with a folder for each class are read, too.
"""

from __future__ import annotations

import io
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from engine import AnswerError, SekeError
from seke.datasets.class_folders import class_contents
from seke.datasets.common import (
    AROUSAL,
    EXPRESSION,
    VALENCE,
    Frame,
    SetContents,
    cells_of,
    read_or_note,
    real,
)
from seke.datasets.images import ENDINGS, is_clutter
from seke.observers.seen import Box

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seke.datasets.common import SourceFolder

LISTS = ("Manually_Annotated_file_lists", "Manually_Annotated/Manually_Annotated_file_lists", ".")
PARTS = ("train_set", "val_set", ".")
HEADER = (
    *("subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks"),
    *("expression", "valence", "arousal"),
)
BY_PROGRAM = "automatically"
MOST_BYTES = 4_096  # of a file that holds one number: 128 of header and the number
NAMES = (EXPRESSION, VALENCE, AROUSAL)


def layout(source: SourceFolder) -> SetContents:
    """Return what a folder of AffectNet holds, in either form.

    Raises:
        engine.SekeError: it is neither.
    """
    parts = [source.folder / part for part in PARTS if (source.folder / part / "annotations").is_dir()]
    if parts:
        return SetContents(source.known_variables(NAMES), _of_files(source, parts))
    lists = [path for name in LISTS for path in sorted((source.folder / name).glob("*.csv"))]
    lists = [
        path
        for path in lists
        if not is_clutter(path.name) and not path.name.lower().startswith(BY_PROGRAM) and _is_list(path)
    ]
    if not lists:
        copy = class_contents(source)
        if copy is None:
            places = f"annotations/0_exp.npy nor {LISTS[0]}/training.csv nor folders of classes"
            raise SekeError(f"{source.folder}: has neither {places}")
        return copy
    return SetContents(source.known_variables(NAMES), _of_lists(source, source.pictures(), lists), boxes=True)


def _labels(source: SourceFolder, place: str, texts: tuple[str, str, str]) -> dict[str, Any] | None:
    """Return the labels of class, valence and arousal; None where the picture is to be left out."""
    state, kept = source.expression(place, texts[0])
    if not kept:
        return None
    numbers = (
        real(f"{place}: {name}", text, source.kind.unknown)
        for name, text in zip(NAMES[1:], texts[1:], strict=True)
    )
    labels = dict(zip(NAMES, (state, *numbers), strict=True))
    return {name: value for name, value in labels.items() if value is not None}


# The lists -----------------------------------------------------------------------------------------


def _is_list(path: Path) -> bool:
    """Whether a table has as many columns as a list; other tables may be no UTF-8."""
    try:
        return len(next(cells_of(path), ("", []))[1]) == len(HEADER)
    except AnswerError:
        return False


def _of_lists(source: SourceFolder, pictures: Path, lists: list[Path]) -> Iterator[Frame]:
    for path in lists:
        for place, cells in _rows(path):
            parsed_row = read_or_note(source.tally, _read_row, source, place, cells)
            if parsed_row is None:
                continue
            name, box, labels = parsed_row
            if not (pictures / name).is_file():
                source.tally.leave_out("labels without a picture", place)
            else:
                yield Frame(source.below(pictures / name), None, labels, source.below(path), box)


def _rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    for place, cells in cells_of(path):
        # Not every copy of validation.csv has a header.
        if cells[0] != HEADER[0]:
            yield place, cells


def _read_row(
    source: SourceFolder, place: str, cells: list[str]
) -> tuple[str, Box | None, dict[str, Any]] | None:
    if len(cells) != len(HEADER):
        raise SekeError(f"{place}: met {len(cells)} cells; there are {len(HEADER)} columns")
    name = PurePosixPath(cells[0])
    if name.is_absolute() or ".." in name.parts or name.suffix.lower() == "":
        raise SekeError(f"{place}: met {cells[0][:80]!r}; allowed is a picture below {source.folder}")
    labels = _labels(source, place, (cells[6], cells[7], cells[8]))
    if labels is None or not labels:
        return None
    if name.suffix.lower() not in ENDINGS:
        source.tally.leave_out(f"pictures of kind {name.suffix.lower()}, which cannot be shown", place)
        return None
    return name.as_posix(), _box(place, cells[1:5]), labels


def _box(place: str, cells: list[str]) -> Box | None:
    """Return the box of the face; None where it is missing (blank, NULL, or without a size)."""
    if any(cell in ("", "NULL") for cell in cells):
        return None
    try:
        x, y, width, height = (float(cell) for cell in cells)
    except ValueError:
        raise SekeError(f"{place}: met the box {', '.join(cells)[:80]!r}; allowed are four numbers") from None
    return Box(x, y, width, height) if width > 0 and height > 0 else None


# A file for each label -----------------------------------------------------------------------------


def _of_files(source: SourceFolder, parts: list[Path]) -> Iterator[Frame]:
    for part in parts:
        names = sorted(
            name
            for name in os.listdir(part / "annotations")
            if name.endswith("_exp.npy") and not is_clutter(name)
        )
        for name in names:
            stem = name.removesuffix("_exp.npy")
            first = part / "annotations" / name
            labels = read_or_note(source.tally, _of_stem, source, part, stem)
            if not labels:
                continue
            picture = next(
                (candidate for end in ENDINGS if (candidate := part / "images" / f"{stem}{end}").is_file()),
                None,
            )
            if picture is None:
                source.tally.leave_out("labels without a picture", source.below(first))
            else:
                yield Frame(source.below(picture), None, labels, source.below(first))


def _of_stem(source: SourceFolder, part: Path, stem: str) -> dict[str, Any] | None:
    paths = [part / "annotations" / f"{stem}_{kind}.npy" for kind in ("exp", "val", "aro")]
    unknown = str(source.kind.unknown)
    texts = [_value(path) if path.is_file() else unknown for path in paths]
    return _labels(source, str(paths[0]), (texts[0], texts[1], texts[2]))


def _value(path: Path) -> str:
    """Return the one text or number that a file holds.

    Raises:
        engine.SekeError: it holds something else.
    """
    import numpy as np

    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise SekeError(f"{path}: has more than {MOST_BYTES:,} bytes; allowed is one text or number")
        array = np.load(io.BytesIO(data), allow_pickle=False)
        if array.size == 1 and array.dtype.kind in "iufU":
            return str(array.item())
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise SekeError(f"{path}: cannot be read ({error})") from None
    raise SekeError(f"{path}: met {array.dtype} of shape {array.shape}; allowed is one text or number")
