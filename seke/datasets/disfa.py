"""DISFA: intensities 0 to 5 of twelve action units, a file for each subject and unit, a line for each frame.

    ActionUnit_Labels/SN001/SN001_au1.txt    1,0
    frames/SN001/1.jpg                       extracted from the videos by whoever uses the set

A unit counts as active from an intensity on (`threshold`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine import SekeError
from seke.datasets.common import Frame, SetContents, lines_of, numbered_pictures, read_or_note, unit, whole
from seke.datasets.images import is_clutter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from seke.datasets.common import SourceFolder

LABELS = ("ActionUnit_Labels",)
# The highest intensity of an action unit (FACS: A to E).
HIGHEST = 5
NAME = re.compile(r"_au(\d+)\.txt", re.IGNORECASE)


def layout(source: SourceFolder) -> SetContents:
    """Return what a folder of DISFA holds.

    Raises:
        engine.SekeError: it is none.
    """
    labels, pictures = source.first_of(LABELS, "its labels"), source.pictures()
    subjects: dict[str, dict[int, Path]] = {}
    for path in sorted(labels.glob("*/*.txt")):
        match = None if is_clutter(path.name) else NAME.search(path.name)
        if match is not None:
            subjects.setdefault(path.parent.name, {})[int(match[1])] = path
    if not subjects:
        raise SekeError(f"{labels}: has no files SN001/SN001_au1.txt")
    _note_threshold(source)
    names = source.known_variables(unit(number) for files in subjects.values() for number in files)
    return SetContents(names, _frames(source, pictures, subjects))


def _note_threshold(source: SourceFolder) -> None:
    """Note that units count from another intensity than models are told."""
    threshold, briefing = source.options.threshold, source.base.briefing
    if briefing is not None and briefing.intensity not in (None, threshold):
        source.tally.notes.append(
            f"units count from intensity {threshold} (--threshold), while prompts say from "
            f"{briefing.intensity} (briefing.intensity): {briefing.counts} "
            "Answers are measured against another meaning"
        )


def _frames(source: SourceFolder, pictures: Path, subjects: dict[str, dict[int, Path]]) -> Iterator[Frame]:
    for subject, files in subjects.items():
        coded: dict[int, dict[str, bool | None]] = {}
        for number, path in files.items():
            for frame, intensity in _intensities(source, path):
                coded.setdefault(frame, {})[unit(number)] = intensity >= source.options.threshold
        folder = _folder_of(pictures, subject)
        if folder is None:
            source.tally.leave_out("subjects without pictures", subject)
            continue
        names = numbered_pictures(folder)
        # Programs that extract frames begin with 0 or with 1.
        shift = int(bool(names) and min(names) == 0 and 0 not in coded)
        if shift:
            source.tally.notes.append(f"{folder}: counts from 0 and the labels from 1: picture 0 is frame 1")
        for frame, units in sorted(coded.items()):
            if (frame - 1) % source.options.every:
                continue
            name = names.get(frame - shift)
            if name is None:
                source.tally.leave_out("labels without a picture", f"{subject} frame {frame}")
                continue
            label_file = source.below(next(iter(files.values())).parent)
            yield Frame(source.below(folder / name), subject, source.units(units), label_file)


def _intensities(source: SourceFolder, path: Path) -> Iterator[tuple[int, int]]:
    """Yield frame and intensity of each line."""
    for place, line in lines_of(path):
        frame_intensity = read_or_note(source.tally, _read_line, place, line)
        if frame_intensity is not None:
            yield frame_intensity


def _read_line(place: str, line: str) -> tuple[int, int]:
    cells = line.split(",")
    if len(cells) != 2:
        raise SekeError(f"{place}: met {line[:40]!r}; allowed is frame,intensity")
    frame, intensity = (whole(place, cell) for cell in cells)
    if not 0 <= intensity <= HIGHEST:
        raise SekeError(f"{place}: met intensity {intensity}; allowed is 0 to {HIGHEST}")
    return frame, intensity


def _folder_of(pictures: Path, subject: str) -> Path | None:
    """Return the folder of a subject's frames, which may be called as its video is.

    Raises:
        engine.SekeError: there are several, such as those of the left and the right camera.
    """
    if (pictures / subject).is_dir():
        return pictures / subject
    folders = sorted(path for path in pictures.iterdir() if path.is_dir() and subject in path.name)
    if len(folders) > 1:
        names = ", ".join(path.name for path in folders)
        raise SekeError(
            f"{pictures}: {names} may all be of {subject}; name one folder of folders with --pictures"
        )
    return folders[0] if folders else None
