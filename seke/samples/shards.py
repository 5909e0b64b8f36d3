"""Samples of a file -> those of each shard, packed to be sent to another process, and unpacked there."""

from __future__ import annotations

import pickle
import zlib
from typing import TYPE_CHECKING

import numpy as np

from engine import AnswerError
from seke.files.addresses import local_copy
from seke.files.shards import shard_of
from seke.samples import read_sheets
from seke.samples.columns import Sheet, join, reorder, split

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine import Knowledge

# Samples that are packed together: some megabytes before, a tenth of that after.
BLOCK = 50_000
# Of zlib: the fastest; columns of samples shrink to a tenth.
LEVEL = 1


def read_shards(name: str, index: int, knowledge: Knowledge, shards: int) -> list[list[bytes]]:
    """Return the samples of a file for each of so many shards, in packed blocks.

    name: a path, or an address of a file system that Arrow reads, such as s3://bucket/samples.jsonl.gz.
    index: of the file among all of them, by which its samples are known.

    Raises:
        engine.AnswerError: what cannot be read, with its place.
    """
    packed: list[list[bytes]] = [[] for _ in range(shards)]
    with local_copy(name) as path:
        try:
            for sheet in _blocks(read_sheets(path, knowledge)):
                sheet.rows["file"] = index
                for blocks, part in zip(packed, _parts(sheet, shards), strict=True):
                    if len(part.rows):
                        blocks.append(zlib.compress(pickle.dumps(part), LEVEL))
        except AnswerError as error:
            raise AnswerError(str(error).replace(str(path), name)) from None
    return packed


def unpack(packed: Iterable[Sequence[bytes]]) -> Iterator[Sheet]:
    """Yield the samples of a shard; packed: its blocks of each file, in the order of the files."""
    for blocks in packed:
        for block in blocks:
            yield pickle.loads(zlib.decompress(block))


def _blocks(sheets: Iterable[Sheet]) -> Iterator[Sheet]:
    waiting: list[Sheet] = []
    count = 0
    for sheet in sheets:
        waiting.append(sheet)
        count += len(sheet.rows)
        if count >= BLOCK:
            yield join(waiting)
            waiting, count = [], 0
    if waiting:
        yield join(waiting)


def _parts(sheet: Sheet, shards: int) -> Iterator[Sheet]:
    """Yield the samples of each shard."""
    shard = np.array([shard_of(item, shards) for item in sheet.items], dtype=np.int64)
    by_shard = np.argsort(shard, kind="stable")
    number = np.empty_like(by_shard)
    number[by_shard] = np.arange(len(by_shard))
    sheet.rows["item"] = number[sheet.rows["item"]]
    items = tuple(sheet.items[at] for at in by_shard)
    renumbered = Sheet(items, sheet.views, sheet.rows, sheet.entries)
    ordered = reorder(renumbered, np.argsort(sheet.rows["item"], kind="stable"))
    yield from split(ordered, np.searchsorted(shard[by_shard], np.arange(shards + 1)).tolist())
