"""Aff-Wild2 as the ABAW challenges give it: a text for each video and level, a line for each frame.

    annotations/EXPR_Set/Train_Set/VIDEO.txt    header; a class, -1 where nothing is known
    annotations/VA_Set/Train_Set/VIDEO.txt      header; valence,arousal, -5
    annotations/AU_Set/Train_Set/VIDEO.txt      header with the units' names; 0, 1 or -1 of each
    cropped_aligned/VIDEO/00001.jpg

The multi-task challenge has one list of pictures instead, a row for each with all three levels:

    training_set_annotations.txt                image,valence,arousal,expression,aus
                                                VIDEO/00001.jpg,0.2,0.3,4,0,0,0,1,...

Other years' names of the folders are known too (EXPR_Classification_Challenge, ...). Subjects are not told:
the group is the video, both persons of one that shows two (`VIDEO_left`, `VIDEO_right`).
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.datasets.common import (
    AROUSAL,
    EXPRESSION,
    VALENCE,
    Frame,
    SetContents,
    lines_of,
    numbered_pictures,
    read_or_note,
    real,
    unit,
    whole,
)
from seke.datasets.images import is_clutter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seke.datasets.common import SourceFolder

    Texts = dict[str, dict[str, Path]]

LEVELS = ("EXPR", "VA", "AU")
# Folders within one another below which texts of labels are looked for.
DEEPEST = 3
UNKNOWN = {"EXPR": -1, "VA": -5, "AU": -1}
# The beginning of a list of the multi-task challenge, and its units in their order.
LIST_HEADER = "image,valence,arousal,expression"
LISTED_UNITS = (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)
PERSON = re.compile(r"_(left|right)$")
LETTER = re.compile(r"[A-Za-z]")
UNIT = re.compile(r"AU0*(\d+)")


def layout(source: SourceFolder) -> SetContents:
    """Return what a folder of Aff-Wild2 holds.

    Raises:
        engine.SekeError: it is none, or a video has two texts of one level.
    """
    pictures = source.pictures()
    lists = _lists(source.folder)
    if lists:
        listed = (EXPRESSION, VALENCE, AROUSAL, *map(unit, LISTED_UNITS))
        return SetContents(source.known_variables(listed), _of_lists(source, pictures, lists))
    videos: Texts = {}
    for level, path in _texts(source.folder, pictures):
        known = videos.setdefault(path.stem, {})
        if level in known:
            raise SekeError(f"{path}: {known[level]} is about the same video")
        known[level] = path
    if not videos:
        raise SekeError(
            f"{source.folder}: has no folders EXPR_Set, VA_Set or AU_Set with texts of videos, "
            f"and no list of pictures ({LIST_HEADER},...)"
        )
    levels = {level for texts in videos.values() for level in texts}
    names = {EXPRESSION} if "EXPR" in levels else set()
    names |= {VALENCE, AROUSAL} if "VA" in levels else set()
    names |= {name for texts in videos.values() if "AU" in texts for name in _units(texts["AU"])}
    return SetContents(source.known_variables(names), _frames(source, pictures, videos))


def _texts(folder: Path, pictures: Path) -> Iterator[tuple[str, Path]]:
    """Yield level and path of every text; the pictures, which are millions, are passed by."""
    for above, folders, names in os.walk(folder):
        depth = len(Path(above).relative_to(folder).parts)
        folders[:] = sorted(
            subfolder for subfolder in folders if Path(above, subfolder) != pictures and depth < DEEPEST
        )
        parts = [part.upper().split("_")[0] for part in Path(above).relative_to(folder).parts]
        level = next((part for part in parts if part in LEVELS), None)
        if level is not None:
            texts = (name for name in sorted(names) if name.endswith(".txt") and not is_clutter(name))
            yield from ((level, Path(above, name)) for name in texts)


def _lists(folder: Path) -> list[Path]:
    """Return the lists of the multi-task challenge, in the set's folder or one within it."""
    paths = (path for pattern in ("*.txt", "*/*.txt") for path in sorted(folder.glob(pattern)))
    return [path for path in paths if not is_clutter(path.name) and _is_list(path)]


def _is_list(path: Path) -> bool:
    try:
        _, header = next(lines_of(path), ("", ""))
    except SekeError:
        return False
    return header.replace(" ", "").lower().startswith(LIST_HEADER)


def _of_lists(source: SourceFolder, pictures: Path, lists: list[Path]) -> Iterator[Frame]:
    """Yield every picture of the lists, also one of which nothing is known."""
    blank = 0
    for path in lists:
        for place, line in lines_of(path):
            if place.endswith(":1"):
                continue
            row = read_or_note(source.tally, _listed, source, place, line)
            if row is None:
                continue
            name, labels = row
            number = re.findall(r"\d+", name.stem)
            if number and (int(number[-1]) - 1) % source.options.every:
                continue
            if not (pictures / name).is_file():
                source.tally.leave_out("labels without a picture", place)
                continue
            blank += not labels
            group = PERSON.sub("", name.parent.as_posix())
            yield Frame(source.below(pictures / name), group, labels, source.below(path), listed=True)
    if blank:
        source.tally.notes.append(f"nothing is known of {blank:,} pictures of the lists, which are taken")


def _listed(source: SourceFolder, place: str, line: str) -> tuple[PurePosixPath, dict[str, Any]]:
    """Return the picture and the labels of a row of a list."""
    cells = [cell.strip() for cell in line.split(",")]
    width = 4 + len(LISTED_UNITS)
    if len(cells) != width:
        raise SekeError(
            f"{place}: met {len(cells)} cells; allowed are {width}: {LIST_HEADER} and {width - 4} units"
        )
    name = PurePosixPath(cells[0])
    if name.is_absolute() or ".." in name.parts or not name.name:
        raise SekeError(f"{place}: met {cells[0][:80]!r}; allowed is a picture below the folder of pictures")
    nothing = str(UNKNOWN["AU"])
    if not set(cells[4:]) <= {"0", "1", nothing}:
        raise SekeError(f"{place}: met {','.join(cells[4:])[:80]!r}; allowed of units are 0, 1 and {nothing}")
    coded = {
        unit(number): None if cell == nothing else cell == "1"
        for number, cell in zip(LISTED_UNITS, cells[4:], strict=True)
    }
    affect = _affect(place, ",".join(cells[1:3]))
    return name, {**_expression(source, place, cells[3]), **affect, **source.units(coded)}


def _units(path: Path) -> list[str]:
    """Return the names in the header of a text of action units."""
    place, header = next(lines_of(path), (f"{path}:1", ""))
    matches = [UNIT.fullmatch(cell.strip().upper()) for cell in header.split(",")]
    names = [unit(int(match[1])) for match in matches if match is not None]
    if len(names) != len(matches):
        raise SekeError(f"{place}: met {header[:80]!r}; allowed is a header of units, AU1,AU2,...")
    return names


def _frames(source: SourceFolder, pictures: Path, videos: Texts) -> Iterator[Frame]:
    for video, texts in sorted(videos.items()):
        labels: dict[int, dict[str, Any]] = {}
        for level, path in texts.items():
            for frame, frame_labels in _read_frames(source, level, path):
                labels.setdefault(frame, {}).update(frame_labels)
        if not (pictures / video).is_dir():
            source.tally.leave_out("videos without pictures", video)
            continue
        names = numbered_pictures(pictures / video)
        label_file = source.below(next(iter(texts.values())))
        for frame, known in sorted(labels.items()):
            if not known:
                source.tally.leave_out("frames of which nothing is known", f"{video} frame {frame}")
            elif frame not in names:
                source.tally.leave_out("labels without a picture", f"{video} frame {frame}")
            else:
                picture = source.below(pictures / video / names[frame])
                yield Frame(picture, PERSON.sub("", video), known, label_file)


def _read_frames(source: SourceFolder, level: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the selected frames, counted from 1, with the labels of each."""
    read = _reader(source, level, path)
    for place, line in lines_of(path):
        # The first line is the header; a blank one is a frame of which nothing is known.
        frame = int(place.rpartition(":")[2]) - 1
        if not frame and not LETTER.search(line):
            raise SekeError(
                f"{place}: met {line[:80]!r}; allowed is a header, as frames count from the second line"
            )
        if not frame or (frame - 1) % source.options.every:
            continue
        labels = read_or_note(source.tally, read, place, line)
        if labels is not None:
            yield frame, labels


def _reader(source: SourceFolder, level: str, path: Path) -> Callable[[str, str], dict[str, Any]]:
    """Return the function that reads a line of a level."""
    nothing = str(UNKNOWN[level])
    if level == "EXPR":
        return lambda place, line: _expression(source, place, line)
    if level == "VA":
        return _affect
    units = _units(path)

    def read(place: str, line: str) -> dict[str, Any]:
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != len(units) or not set(cells) <= {"0", "1", nothing}:
            raise SekeError(
                f"{place}: met {line[:80]!r}; allowed are {len(units)} of 0, 1 and {nothing} (unknown)"
            )
        coded = {
            name: None if cell == nothing else cell == "1" for name, cell in zip(units, cells, strict=True)
        }
        return source.units(coded)

    return read


def _expression(source: SourceFolder, place: str, line: str) -> dict[str, Any]:
    if whole(place, line) == UNKNOWN["EXPR"]:
        return {}
    state, _ = source.expression(place, line)
    return {} if state is None else {EXPRESSION: state}


def _affect(place: str, line: str) -> dict[str, Any]:
    cells = line.split(",")
    if len(cells) != 2:
        raise SekeError(f"{place}: met {line[:80]!r}; allowed is valence,arousal")
    numbers = [real(place, cell, UNKNOWN["VA"]) for cell in cells]
    # One without the other is no point of the plane.
    return {} if None in numbers else dict(zip((VALENCE, AROUSAL), numbers, strict=True))
