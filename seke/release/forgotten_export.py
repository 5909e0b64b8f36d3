"""A folder of `seke export` without items: every format, counts, card and metadata."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from engine import SekeError
from seke.exporting.comparison import TASK as COMPARE
from seke.exporting.counts import ExportCounts
from seke.exporting.descriptions import DESCRIPTIONS, SIDE, write_descriptions
from seke.exporting.item_rows import ITEM_ROWS, ItemRow
from seke.exporting.near_pictures import NearPictures
from seke.exporting.placed_pictures import file_digest
from seke.exporting.splits import SplitEntry, uneven_classes
from seke.files.staged import StagedFolder
from seke.release.rows_without import jsonl_without
from seke.runs.item_list import decoded_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    Record = dict[str, Any]

# Rows of a row group of parquet that are read and written at once, at most.
ROWS_AT_ONCE = 2_000
PICTURES = "images"
# Formats with a row an item; the others have one a task.
TABLES = ("imagefolder", "parquet")


@dataclass(frozen=True)
class ExportRows:
    """Rows that go from an export, by file, and how many pictures do."""

    folder: str
    rows: dict[str, int]
    pictures: int


def items_of_export(folder: Path) -> dict[str, str | None]:
    """Return the items of an export -> their person.

    Raises:
        engine.SekeError: no export, or one that was written before exports listed their items.
    """
    return {row.item: row.group for row in decoded_lines(_listed(folder), ItemRow)}


def _listed(folder: Path) -> Path:
    if not (folder / SIDE).is_file():
        raise SekeError(f"{folder}: is no export (it has no {SIDE})")
    if not (folder / ITEM_ROWS).is_file():
        raise SekeError(f"{folder}: has no {ITEM_ROWS}, by which items are taken out; export it again")
    return folder / ITEM_ROWS


def stage_export(folder: Path, items: Collection[str]) -> tuple[StagedFolder, ExportRows]:
    """Write the files of an export aside without items; splits stay as they were drawn.

    Raises:
        engine.SekeError: no export; a file that cannot be read; nothing would be left.
    """
    rows = list(decoded_lines(_listed(folder), ItemRow))
    names, staged = set(items), StagedFolder(folder)
    try:
        facts: Record = msgspec.json.decode((folder / SIDE).read_bytes())
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SekeError(f"{folder / SIDE}: cannot be read ({error})") from None
    kept = [_uncompared(row) if row.partner in names else row for row in rows if row.item not in names]
    if not kept:
        raise SekeError(f"{folder}: all its {len(rows):,} items are to be forgotten; remove the folder")
    taken = {name: _stage_file(staged, name, names) for name in facts["files"]}
    gone = {name: count for name, count in taken.items() if count}
    if gone.get(ITEM_ROWS):
        staged.path(ITEM_ROWS).write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in kept))
    pictures = _unused_pictures(folder, kept)
    for path in pictures:
        staged.remove(path)
    if gone or pictures:
        _stage_descriptions(staged, facts, kept, gone)
    return staged, ExportRows(str(folder), gone, len(pictures))


def _uncompared(row: ItemRow) -> ItemRow:
    """Return the row of an item whose comparison goes with the other picture."""
    return msgspec.structs.replace(row, partner="", tasks=[task for task in row.tasks if task != COMPARE])


def _stage_file(staged: StagedFolder, name: str, items: set[str]) -> int:
    """Stage a file of data without items, where it has any; return how many rows go."""
    path = staged.folder / name
    if not path.is_file():
        raise SekeError(f"{path}: is gone, though {SIDE} names it")
    if name == ITEM_ROWS:
        return len(jsonl_without(staged, name, lambda row: row["item"] in items))
    if path.suffix == ".jsonl":
        about = ("item", "partner")
        return len(jsonl_without(staged, name, lambda row: any(row.get(key) in items for key in about)))
    if path.suffix == ".parquet":
        return _parquet_without(staged, name, items)
    if name.startswith("llava/"):
        return _list_without(staged, name, lambda row: str(row["id"]).rpartition("/")[0] in items)
    return 0


def _list_without(staged: StagedFolder, name: str, is_forgotten: Callable[[Record], bool]) -> int:
    """Stage a JSON list with a value on each line."""
    lines = (staged.folder / name).read_bytes().splitlines()
    values = [line.removesuffix(b",") for line in lines[1:-1]]
    kept = [value for value in values if not is_forgotten(msgspec.json.decode(value))]
    if len(kept) < len(values):
        staged.path(name).write_bytes(b"[\n" + b",\n".join(kept) + b"\n]\n")
    return len(values) - len(kept)


def _parquet_without(staged: StagedFolder, name: str, items: set[str]) -> int:
    import pyarrow as arrow
    from pyarrow import compute, parquet

    forgotten = arrow.array(sorted(items), arrow.string())
    with parquet.ParquetFile(staged.folder / name) as file:
        column = file.read(columns=["item"]).column("item")
        count = int(compute.sum(compute.is_in(column, forgotten)).as_py() or 0)
        if count:
            with parquet.ParquetWriter(staged.path(name), file.schema_arrow) as writer:
                for number in range(file.num_row_groups):
                    table = file.read_row_group(number)
                    stays = compute.invert(compute.is_in(table.column("item"), forgotten))
                    writer.write_table(table.filter(stays), row_group_size=ROWS_AT_ONCE)
    return count


def _unused_pictures(folder: Path, kept: list[ItemRow]) -> list[Path]:
    """Return the pictures, and links to such, that no item needs any more."""
    used = {row.file for row in kept} | {row.picture for row in kept}
    paths = sorted(path for path in (folder / PICTURES).rglob("*") if path.is_symlink() or path.is_file())
    return [
        path
        for path in paths
        if path.name != "metadata.jsonl" and path.relative_to(folder).as_posix() not in used
    ]


def _stage_descriptions(
    staged: StagedFolder, facts: Record, kept: list[ItemRow], gone: dict[str, int]
) -> None:
    tally = ExportCounts()
    for row in kept:
        tally.add(row)
    names = {row.item for row in kept}
    split = {row.item: row.split for row in kept}
    by_task = sum(len(row.tasks) for row in kept)
    formats = {
        name: {**of, "rows": len(kept) if name in TABLES else by_task}
        for name, of in facts["formats"].items()
    }
    entries = [SplitEntry(row.item, row.expression, None, "", "", None, 0) for row in kept]
    near = facts["near_duplicates"]
    if "clusters" in near:
        copies = {row.item: row.copies for row in kept if row.copies is not None}
        similar = {row.item: row.similar for row in kept if row.similar is not None}
        near = {
            **NearPictures(near["rule"], copies, similar).facts(split),
            "not_compared": near["not_compared"],
        }
    changed = {
        "formats": formats,
        "splits": {name: tally.splits[name] for name in facts["shares"]},
        "rows_by_task": {name: dict(tally.tasks[name]) for name in facts["shares"]},
        "items": tally.items,
        "bases": dict(tally.bases.most_common()),
        "near_duplicates": near,
        "contradicting": [name for name in facts["contradicting"] if name in names],
        "uneven": [asdict(uneven) for uneven in uneven_classes(entries, split, facts["shares"])],
        # What was exported is known also where an earlier process was killed halfway.
        "forgotten": facts["items"] + facts["forgotten"] - tally.items,
    }
    staged.aside.mkdir(exist_ok=True)
    untouched = {name: file_digest(staged.folder / name) for name in facts["files"] if name not in gone}
    write_descriptions(staged.aside, {**facts, **changed}, tally, untouched)
    for name in DESCRIPTIONS:
        staged.path(name)
    # As long as the item is in the list, the export is not done with.
    staged.put_last(ITEM_ROWS)
