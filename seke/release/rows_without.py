"""Files of rows without those about forgotten items; all other rows stay as they are."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import msgspec

from engine import SekeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from seke.files.staged import StagedFolder

    Record = dict[str, Any]


def jsonl_without(staged: StagedFolder, name: str, is_forgotten: Callable[[Record], bool]) -> list[Record]:
    """Stage a file of JSON Lines without some rows, where it has any; return these.

    Raises:
        engine.SekeError: a line that cannot be read.
    """
    path, taken = staged.folder / name, []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip() and is_forgotten(row := _row(path, number, line)):
                taken.append(row)
    if taken:
        with path.open("rb") as file, staged.path(name).open("wb") as output:
            for number, line in enumerate(file, 1):
                if not line.strip() or not is_forgotten(_row(path, number, line)):
                    output.write(line)
    return taken


def _row(path: Path, number: int, line: bytes) -> Record:
    try:
        row = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SekeError(f"{path}:{number}: cannot be read ({error})") from None
    return row if isinstance(row, dict) else {}


def csv_without(staged: StagedFolder, name: str, is_forgotten: Callable[[Record], bool]) -> int:
    """Stage a table with a column `item` without some rows, where it has any; return how many.

    Raises:
        engine.SekeError: it is no table.
    """
    path = staged.folder / name
    try:
        text = path.read_bytes().decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise SekeError(f"{path}: cannot be read ({error})") from None
    header = rows[0] if rows else []
    if "item" not in header:
        return 0
    kept = [row for row in rows[1:] if not is_forgotten(dict(zip(header, row, strict=False)))]
    if len(kept) + 1 < len(rows):
        with staged.path(name).open("w", encoding="utf-8", newline="") as output:
            csv.writer(output, lineterminator="\r\n" if "\r\n" in text else "\n").writerows([header, *kept])
    return len(rows) - 1 - len(kept)
