"""RAF-DB, the basic single-label part: one list of names and classes.

    EmoLabel/list_patition_label.txt    train_00001.jpg 5
    Image/aligned/train_00001_aligned.jpg

It does not tell subjects. Copies with a folder for each class are read, too.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from engine import SekeError
from seke.datasets.class_folders import class_contents
from seke.datasets.common import EXPRESSION, Frame, SetContents, lines_of, read_or_note

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from seke.datasets.common import SourceFolder

# The set's own spelling.
LISTS = ("EmoLabel/list_patition_label.txt", "list_patition_label.txt")


def layout(source: SourceFolder) -> SetContents:
    """Return what a folder of RAF-DB holds.

    Raises:
        engine.SekeError: it is none.
    """
    list_file = next((source.folder / name for name in LISTS if (source.folder / name).is_file()), None)
    if list_file is None:
        copy = class_contents(source)
        if copy is None:
            raise SekeError(f"{source.folder}: has no {LISTS[0]}, and no folders of classes")
        return copy
    pictures = source.pictures()
    return SetContents(source.known_variables([EXPRESSION]), _frames(source, pictures, list_file))


def _frames(source: SourceFolder, pictures: Path, list_file: Path) -> Iterator[Frame]:
    for place, line in lines_of(list_file):
        parsed_line = read_or_note(source.tally, _read_line, source, place, line)
        if parsed_line is None or parsed_line[1] is None:
            continue
        name, state = parsed_line
        # The list names the originals.
        for candidate in (f"{name.stem}_aligned{name.suffix}", name.name):
            if (pictures / candidate).is_file():
                path = source.below(pictures / candidate)
                yield Frame(path, None, {EXPRESSION: state}, source.below(list_file))
                break
        else:
            source.tally.leave_out("labels without a picture", place)


def _read_line(source: SourceFolder, place: str, line: str) -> tuple[PurePosixPath, str | None]:
    cells = line.split()
    if len(cells) != 2:
        raise SekeError(f"{place}: met {len(cells)} words; allowed are the name of a picture and its class")
    name = PurePosixPath(cells[0])
    if name.name != cells[0]:
        raise SekeError(f"{place}: met {cells[0]!r}; allowed is a name without a folder")
    return name, source.expression(place, cells[1])[0]
