"""JSON Lines -> chunks of decoded records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from seke.files.lines import read_lines, shown
from seke.samples.schema import Chunk, decoding_fault, in_chunks, record_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from seke.samples.vocabulary import Vocabulary

_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def read_json_lines(
    path: str | Path,
    file: int,
    vocabulary: Vocabulary,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Chunk]:
    """Yield the records of a file; what precedes a bad line comes before its error."""
    quick: msgspec.json.Decoder[Any]
    quick = msgspec.json.Decoder(record_type(vocabulary, narrow=True))
    # An unknown name fits this one, so that `bind` can say what is wrong with it.
    wide: msgspec.json.Decoder[Any] = msgspec.json.Decoder(record_type(vocabulary))
    for first, lines in read_lines(path, progress):
        try:
            records = list(map(quick.decode, lines))
        except _UNDECODABLE:  # also where a line is blank
            samples = _decoded(lines, first, shown(path), vocabulary, wide)
            yield from in_chunks(file, samples)
        else:
            yield Chunk(file, records, np.arange(first, first + len(lines)))


def _decoded(
    lines: list[bytes],
    first: int,
    name: str,
    vocabulary: Vocabulary,
    decoder: msgspec.json.Decoder[Any],
) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        try:
            yield number, decoder.decode(line)
        except _UNDECODABLE as error:
            raise decoding_fault(line, f"{name}:{number}", vocabulary, error) from None
