"""What describes an export beside its data: export.json, the card and the Croissant metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from seke.exporting.croissant import croissant
from seke.exporting.data_card import card_text
from seke.exporting.placed_pictures import file_digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from seke.exporting.counts import ExportCounts

    Record = dict[str, Any]

SIDE, CARD, CROISSANT = "export.json", "README.md", "croissant.json"
DESCRIPTIONS = (CARD, CROISSANT, SIDE)


def write_descriptions(
    folder: Path, facts: Record, tally: ExportCounts, elsewhere: Mapping[str, str] | None = None
) -> Record:
    """Write them into a folder, and return the content of export.json.

    facts: that, without the digests of files. elsewhere: digests of files of data that are not in the folder.
    """
    digests = {**(elsewhere or {}), **file_digests(folder)}
    facts = {**facts, "files": dict(sorted(digests.items()))}
    (folder / SIDE).write_bytes(as_json(facts))
    (folder / CARD).write_bytes(card_text(facts, tally).encode())
    (folder / CROISSANT).write_bytes(as_json(croissant(facts, tally)))
    return facts


def file_digests(folder: Path) -> dict[str, str]:
    """Return the digests of all files of data, by their path: what is no picture and no description."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    kept = [path for path in paths if path.suffix in (".jsonl", ".json", ".parquet")]
    names = {path.relative_to(folder).as_posix(): path for path in kept}
    return {name: file_digest(path) for name, path in names.items() if name not in (SIDE, CROISSANT)}


def as_json(value: Any) -> bytes:
    """Return a value as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
