"""Plain text for people: places, faults with the lines that they are about, counts, lists cut short."""

from __future__ import annotations

import os
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from engine import AnswerError
from seke.console.terminal import printable
from seke.files.inputs import open_file
from seke.files.shipped import SHIPPED, shipped_folder
from seke.files.texts import MOST_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine import Fault, Place

WIDEST = 110


def near(place: Place) -> str:
    """Return a place as file:line:column, the file as `near_file` shows it."""
    return f"{near_file(place.file)}:{place.line}:{place.column}"


def near_file(file: str) -> str:
    """Return a file's path as seen from the working directory where that is shorter.

    Files of the shipped knowledge, which lie elsewhere on each machine, are shipped/...
    """
    if file.startswith(_shipped_beginning()):
        return f"{SHIPPED}/{file[len(_shipped_beginning()) :]}"
    inside = os.path.relpath(file) if file and os.path.isabs(file) else file
    return inside if len(inside) < len(file) and not inside.startswith("..") else file


@cache
def _shipped_beginning() -> str:
    return f"{shipped_folder()}{os.sep}"


def place_text(place: Place) -> str:
    """Return a place as file:line:column; the file without the folders of this machine."""
    return short_place(f"{place.file}:{place.line}:{place.column}")


def short_place(place: str) -> str:
    """Return a place, file:line:column, without the folders of this machine."""
    name, line, column = place.rsplit(":", 2)
    file = Path(near_file(str(Path(name).absolute())))
    if file.parts[0] != SHIPPED:
        file = Path(*file.parts[-3:])
    return f"{file.as_posix()}:{line}:{column}"


def fault_with_line(fault: Fault, kind: str = "") -> str:
    """Return a fault or warning with the line that it is about, and a caret under the column."""
    path = f"{fault.path}: " if fault.path else ""
    text = printable(" ".join(f"{kind}{near(fault.place)}: {path}{fault.message}".split("\n")))
    line = _line(fault.place)
    if line is None:
        return text
    # A long line is cut around the column.
    start = max(fault.place.column - 1 - 70, 0)
    shown = line[start : start + WIDEST]
    blank = "".join("\t" if sign == "\t" else " " for sign in shown[: fault.place.column - 1 - start])
    return f"{text}\n    {shown}\n    {blank}^"


def _line(place: Place) -> str | None:
    """Return the line that a place speaks of, where it can be read."""
    lines = _lines(place.file)
    if not 0 < place.line <= len(lines):
        return None
    return printable(lines[place.line - 1])


def forget_lines() -> None:
    """Read files anew from now on: they may have been edited."""
    _lines.cache_clear()


@lru_cache(maxsize=64)
def _lines(file: str) -> list[str]:
    """Return a file's lines, those beyond MOST_BYTES left out; none where it cannot be read."""
    try:
        with open_file(file) as binary:
            data = binary.read(MOST_BYTES + 1)
    except (AnswerError, OSError, ValueError):
        return []
    lines = re.split(r"\r\n?|\n", data[:MOST_BYTES].decode("utf-8-sig", errors="replace"))
    return lines[:-1] if len(data) > MOST_BYTES else lines


def count(number: int, singular: str, plural: str = "") -> str:
    """Return a number with its noun."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def first_names(names: Sequence[str], most: int) -> str:
    """Return names in a list of which only the first `most` are named and the others counted."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def unseen_text(names: Sequence[str]) -> str:
    """Return that nothing of some variables is accepted, since nobody looked at them."""
    if len(names) == 1:
        return f"nothing of {names[0]} is accepted: no observer looked at it, so it is only inferred"
    shown = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"nothing of {shown} is accepted: no observer looked at them, so they are only inferred"
