"""The list of a run's items: the path of each picture and its labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from engine import SekeError
from seke.files.faults import Faults
from seke.files.rows import RowFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ITEMS = "items.jsonl"


class KnownItem(msgspec.Struct, frozen=True):
    """The path, group, box and labels of an item.

    box: left, top, width and height of the face. picture: the digest of the pixels that were shown. place: of
    an item of a shard, where it stands in the list of all.
    """

    item: str
    path: str
    group: str | None = None
    source: str | None = None
    box: tuple[float, float, float, float] | None = None
    labels: dict[str, Any] = {}
    picture: str | None = None
    place: int | None = None


def known_items(folder: Path) -> dict[str, KnownItem]:
    """Return the items of a run by name, in their order.

    Raises:
        engine.SekeError: there is no list; lines that cannot be read.
    """
    return {item.item: item for item in decoded_lines(folder / ITEMS, KnownItem)}


def decoded_lines(path: Path, kind: Any) -> Iterator[Any]:
    """Yield each line of a file of JSON Lines as a value of a kind, up to the first fault.

    Raises:
        engine.SekeError: lines that cannot be read.
    """
    file = RowFile(path, Faults(), may_be_empty=True)
    for number, row in file.rows():
        try:
            value = msgspec.convert(row, kind)
        except msgspec.ValidationError as error:
            file.note(number, f"cannot be read ({error})")
            continue
        if not file.faults:
            yield value
    file.faults.raise_all(SekeError)
