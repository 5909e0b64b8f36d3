"""Copies of a set as they circulate: a folder for each class, and perhaps a list of pictures and classes.

    train/happy/a.jpg, train/5/a.jpg     the folder's name is a class of the set, or its code
    labels.csv                           image,label (or pth, file, ...; class, expression, ...)

A list comes first: where it and a folder differ, the list counts, which is told.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from engine import SekeError
from seke.datasets.common import EXPRESSION, Frame, SetContents, cells_of, read_or_note
from seke.datasets.images import ENDINGS, is_clutter
from seke.samples.spelling import name_meant, other_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seke.datasets.common import SourceFolder

    GroupOf = Callable[[str], str | None]

NAMES = ("image", "pth", "path", "file", "filename", "img", "image_path", "subdirectory_filepath")
CLASSES = ("label", "labels", "class", "expression", "emotion")
DEEPEST = 4  # folders within one another in which pictures are looked for
DEEPEST_LIST = 1  # folders within one another in which lists are


def class_contents(source: SourceFolder, group_of: GroupOf = lambda _: None) -> SetContents | None:
    """Return what a copy of a set holds; None where it has neither class folders nor a list of classes.

    group_of: the group of a picture by its name.
    """
    pictures = dict(_pictures(source))
    lists = [path for path in _tables(source) if _columns(path) is not None]
    frames = (
        _of_lists(source, pictures, lists, group_of) if lists else _of_folders(source, pictures, group_of)
    )
    if not lists and not any(_class_of(source, path) for path in pictures):
        return None
    return SetContents(source.known_variables([EXPRESSION]), frames)


def _pictures(source: SourceFolder) -> Iterator[tuple[str, Path]]:
    """Yield each picture below the set's folder by its path there."""
    for above, folders, names in os.walk(source.folder):
        depth = len(Path(above).relative_to(source.folder).parts)
        folders[:] = sorted(name for name in folders if not is_clutter(name) and depth < DEEPEST)
        for name in sorted(names):
            path = Path(above, name)
            if path.suffix.lower() in ENDINGS and not is_clutter(name):
                yield source.below(path), path


def _tables(source: SourceFolder) -> list[Path]:
    patterns = ["/".join(["*"] * depth + ["*.csv"]) for depth in range(DEEPEST_LIST + 1)]
    paths = (path for pattern in patterns for path in sorted(source.folder.glob(pattern)))
    return [path for path in paths if not any(map(is_clutter, path.relative_to(source.folder).parts))]


def _columns(path: Path) -> tuple[int, int] | None:
    """Return where the picture's name and its class stand in a list's rows; None where it is no list."""
    try:
        head = [cell.lower() for cell in next(cells_of(path), ("", list[str]()))[1]]
    except SekeError:
        return None
    if "item" in head:  # a manifest, such as an import made here before
        return None
    places = [next((head.index(name) for name in names if name in head), -1) for names in (NAMES, CLASSES)]
    return None if -1 in places else (places[0], places[1])


def _code(source: SourceFolder, text: str) -> int | None:
    """Return the code of a class that a text names or is."""
    if text.isdigit():
        return int(text) if int(text) in source.kind.expressions else None
    variable = source.base.variables.get(EXPRESSION)
    also = other_words(variable) if variable is not None else {}
    name = name_meant(text, source.kind.expressions.values(), also, {})
    return next((code for code, known in source.kind.expressions.items() if known == name), None)


def _class_of(source: SourceFolder, path: str) -> str | None:
    """Return the name of the innermost folder of a picture that is a class of the set."""
    folders = PurePosixPath(path).parent.parts
    return next((folder for folder in reversed(folders) if _code(source, folder) is not None), None)


def _of_folders(source: SourceFolder, pictures: dict[str, Path], group_of: GroupOf) -> Iterator[Frame]:
    for path in pictures:
        folder = _class_of(source, path)
        code = None if folder is None else _code(source, folder)
        if code is None:
            source.tally.leave_out("pictures in no folder of a class", path)
            continue
        state, _ = source.expression(path, str(code))
        if state is not None:
            yield Frame(path, group_of(PurePosixPath(path).name), {EXPRESSION: state}, path)


def _of_lists(
    source: SourceFolder, pictures: dict[str, Path], lists: list[Path], group_of: GroupOf
) -> Iterator[Frame]:
    by_name: dict[str, list[str]] = {}
    for path in pictures:
        by_name.setdefault(PurePosixPath(path).name, []).append(path)
    differ, rows = 0, 0
    for list_file in lists:
        columns = _columns(list_file)
        for place, cells in list(cells_of(list_file))[1:]:
            row = read_or_note(source.tally, _read_row, source, place, cells, columns)
            if row is None:
                continue
            name, code = row
            paths = _matching(by_name.get(PurePosixPath(name).name, []), name)
            if not paths:
                source.tally.leave_out("labels without a picture", place)
            elif len(paths) > 1:
                several = ", ".join(paths[:3])
                source.tally.faults.note(f"{place}: {name[:80]!r} may be any of {several}")
            else:
                state, _ = source.expression(place, str(code))
                folder, rows = _class_of(source, paths[0]), rows + 1
                differ += folder is not None and _code(source, folder) != code
                if state is not None:
                    group = group_of(PurePosixPath(name).name)
                    yield Frame(paths[0], group, {EXPRESSION: state}, source.below(list_file))
    if differ:
        source.tally.notes.append(
            f"the class of the list was taken, not of the folder: {differ:,} of {rows:,} differ"
        )


def _matching(paths: list[str], name: str) -> list[str]:
    """Return the paths that end as a list names a picture; all where no folder is named."""
    parts = PurePosixPath(name).parts
    return [path for path in paths if PurePosixPath(path).parts[-len(parts) :] == parts]


def _read_row(
    source: SourceFolder, place: str, cells: list[str], columns: tuple[int, int]
) -> tuple[str, int]:
    if len(cells) <= max(columns):
        raise SekeError(f"{place}: met {len(cells)} cells; the header names more columns")
    name, text = (cells[at] for at in columns)
    code = _code(source, text.removesuffix(".0"))
    if code is None:
        allowed = ", ".join(f"{key} {value}" for key, value in source.kind.expressions.items())
        raise SekeError(f"{place}: no class is {text[:40]!r}; they are {allowed}")
    return name.replace("\\", "/").removeprefix("./"), code
