"""CK+: FACS and emotion files of sequences, which name the peak frame, the last one.

    cohn-kanade-images/S005/001/S005_001_00000011.png
    FACS/S005/001/S005_001_00000011_facs.txt          a line a unit: its number and intensity
    Emotion/S005/001/S005_001_00000011_emotion.txt    one number; most sequences have none

Copies with a folder for each class, in which names tell person and sequence, are read, too. FEAB's protocol
takes the last frame of each sequence with an emotion; `sets.yaml` names the persons of its test part.

A unit in the file counts as active whatever its intensity (0: not told), one that is not as absent.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.datasets.class_folders import class_contents
from seke.datasets.common import (
    EXPRESSION,
    Frame,
    SetContents,
    lines_of,
    numbered_pictures,
    read_or_note,
    unit,
    whole,
)
from seke.datasets.images import is_clutter
from seke.datasets.registry import source_sets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from seke.datasets.common import SourceFolder

UNITS = ("FACS", "FACS_labels/FACS")
EMOTIONS = ("Emotion", "Emotion_labels/Emotion")
NEUTRAL = "neutral"
UNIT = re.compile(r"AU\d+")
FRAME = re.compile(r"(S\d+)_(\d+)_(\d+)")  # person, sequence and number of a frame


def layout(source: SourceFolder) -> SetContents:
    """Return what a folder of CK+ holds.

    Raises:
        engine.SekeError: it is none.
    """
    if source.options.feab and source.options.neutral:
        raise SekeError("--feab takes no neutral pictures; leave out --neutral")
    files = {
        suffix: _files(source, names, suffix) for names, suffix in ((UNITS, "facs"), (EMOTIONS, "emotion"))
    }
    if not any(files.values()):
        return _copy(source)
    pictures = source.pictures()
    names = {EXPRESSION} if files["emotion"] or source.options.neutral else set()
    if (
        source.options.neutral
        and NEUTRAL not in source.base.variables[source.known_variables([EXPRESSION])[0]].states
    ):
        raise SekeError(f"--neutral: the base {source.base.name} has no state {NEUTRAL}")
    names |= set(_units(source)) if files["facs"] else set()
    frames = _frames(source, pictures, files)
    if source.options.feab:
        return SetContents(source.known_variables(names), _feab(source, frames), splits=True)
    return SetContents(source.known_variables(names), frames)


def _copy(source: SourceFolder) -> SetContents:
    """Return what a copy with a folder for each class holds.

    Raises:
        engine.SekeError: it is none.
    """
    if source.options.neutral:
        raise SekeError(f"{source.folder}: a copy in folders of classes has no first frames for --neutral")
    copy = class_contents(source, lambda name: person[1] if (person := FRAME.match(name)) else None)
    if copy is None:
        wanted = "FACS/ or Emotion/ with *_facs.txt or *_emotion.txt files"
        raise SekeError(f"{source.folder}: has no {wanted}, and no folders of classes")
    return replace(copy, frames=_feab(source, copy.frames), splits=True) if source.options.feab else copy


def _feab(source: SourceFolder, frames: Iterator[Frame]) -> Iterator[Frame]:
    """Yield the last frame of each sequence that has an emotion other than neutral, with its part."""
    part = source_sets()["ckplus"].feab
    assert part is not None
    last: dict[tuple[str, str], tuple[int, Frame]] = {}
    for frame in frames:
        match = FRAME.match(PurePosixPath(frame.path).name)
        if match is None:
            source.tally.leave_out("pictures whose names tell no sequence", frame.path)
        elif frame.labels.get(EXPRESSION) in (None, NEUTRAL):
            source.tally.leave_out("sequences without one of the seven classes", frame.path)
        else:
            sequence, number = (match[1], match[2]), int(match[3])
            if number > last.get(sequence, (-1, frame))[0]:
                last[sequence] = (number, frame)
    for (person, _), (_, frame) in sorted(last.items()):
        yield replace(frame, split="test" if person in part.persons else "train")
    if len(last) != part.sequences:
        parts = f"{part.sequences - part.items} and {part.items}"
        source.tally.notes.append(f"{len(last)} sequences; FEAB has {part.sequences}, {parts}")


def _units(source: SourceFolder) -> list[str]:
    """Return the action units of the base, all of which the set codes."""
    return [name for name in source.base.variables if UNIT.fullmatch(name)]


def _files(source: SourceFolder, names: tuple[str, ...], suffix: str) -> dict[str, Path]:
    """Return the label files of a kind by the name of the frame that they are about."""
    folders = [source.folder / name for name in names if (source.folder / name).is_dir()]
    ending = f"_{suffix}.txt"
    paths = sorted(path for folder in folders[:1] for path in folder.glob(f"*/*/*{ending}"))
    return {path.name.removesuffix(ending): path for path in paths if not is_clutter(path.name)}


def _frames(source: SourceFolder, pictures: Path, files: dict[str, dict[str, Path]]) -> Iterator[Frame]:
    for name in sorted({*files["facs"], *files["emotion"]}):
        paths = [files[kind][name] for kind in ("facs", "emotion") if name in files[kind]]
        labels = read_or_note(source.tally, _labels, source, files, name)
        if labels is None:
            continue
        label_file = source.below(paths[0])
        subject, sequence = paths[0].parts[-3:-1]
        folder = pictures / subject / sequence
        if (folder / f"{name}.png").is_file():
            yield Frame(source.below(folder / f"{name}.png"), subject, labels, label_file)
        else:
            source.tally.leave_out("labels without a picture", label_file)
        first = min(numbered_pictures(folder).items(), default=None) if source.options.neutral else None
        if first is not None and first[1] != f"{name}.png":
            yield Frame(source.below(folder / first[1]), subject, {EXPRESSION: NEUTRAL}, label_file)


def _labels(source: SourceFolder, files: dict[str, dict[str, Path]], name: str) -> dict[str, Any]:
    labels: dict[str, Any] = {}
    if name in files["facs"]:
        coded: dict[str, bool | None] = dict.fromkeys(_units(source), False)
        for place, line in lines_of(files["facs"][name]):
            number, _, intensity = line.partition(" ")
            whole(place, intensity)
            coded[unit(whole(place, number))] = True
        labels |= source.units(coded)
    if name in files["emotion"]:
        lines = list(lines_of(files["emotion"][name]))
        if len(lines) != 1:
            raise SekeError(f"{files['emotion'][name]}:1: met {len(lines)} lines; allowed is one number")
        state, _ = source.expression(*lines[0])
        labels |= {} if state is None else {EXPRESSION: state}
    return labels
