"""BP4D: occurrences of action units, a table for each subject and task, a row for each frame.

    AUCoding/AU_OCC/F001_T1.csv    0,1,2,4,...
                                   21,0,0,1,...
    2D+3D/F001/T1/0021.jpg

The first row has the units' numbers, the first column those of the frames; 9 is unknown. Pictures are found
by their numbers, whatever zeros stand before these.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine import SekeError
from seke.datasets.common import Frame, SetContents, cells_of, numbered_pictures, read_or_note, unit, whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from seke.datasets.common import SourceFolder

LABELS = ("AUCoding/AU_OCC", "AUCoding/AUCoding", "AUCoding", "AU_OCC")
NAME = re.compile(r"([FM]\d+)_(T\d+)\.csv")
ALLOWED = {"0": False, "1": True}


def layout(source: SourceFolder) -> SetContents:
    """Return what a folder of BP4D holds.

    Raises:
        engine.SekeError: it is none, or a table has no header.
    """
    labels, pictures = source.first_of(LABELS, "its labels"), source.pictures()
    tables = [path for path in sorted(labels.glob("*.csv")) if NAME.fullmatch(path.name)]
    if not tables:
        raise SekeError(f"{labels}: has no tables F001_T1.csv")
    names = source.known_variables(name for path in tables for name in _header(path))
    return SetContents(names, _frames(source, pictures, tables))


def _header(path: Path) -> list[str]:
    for place, cells in cells_of(path):
        return [unit(whole(place, cell)) for cell in cells[1:]]
    raise SekeError(f"{path}:1: no header; all lines are blank")


def _frames(source: SourceFolder, pictures: Path, tables: list[Path]) -> Iterator[Frame]:
    for path in tables:
        subject, task = NAME.fullmatch(path.name).groups()  # type: ignore[union-attr]
        folder = pictures / subject / task
        names, units = numbered_pictures(folder), _header(path)
        rows = cells_of(path)
        next(rows)
        for place, cells in rows:
            parsed_row = read_or_note(source.tally, _read_row, source, place, cells, units)
            if parsed_row is None or (parsed_row[0] - 1) % source.options.every:
                continue
            frame, coded = parsed_row
            labels = source.units(coded)
            if not labels:
                source.tally.leave_out("frames of which nothing is known", place)
            elif frame not in names:
                source.tally.leave_out("labels without a picture", place)
            else:
                yield Frame(source.below(folder / names[frame]), subject, labels, source.below(path))


def _read_row(
    source: SourceFolder, place: str, cells: list[str], units: list[str]
) -> tuple[int, dict[str, bool | None]]:
    if len(cells) != len(units) + 1:
        raise SekeError(f"{place}: met {len(cells)} cells; the header names {len(units) + 1} columns")
    coded: dict[str, bool | None] = {}
    for name, cell in zip(units, cells[1:], strict=True):
        if cell not in ALLOWED and cell != str(source.kind.unknown):
            raise SekeError(
                f"{place}: {name}: met {cell[:40]!r}; allowed are 0, 1 and {source.kind.unknown} (unknown)"
            )
        coded[name] = ALLOWED.get(cell)
    return whole(place, cells[0]), coded
