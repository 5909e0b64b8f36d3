"""JSON Lines -> chunks of decoded records."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from seke.files.repeated_keys import may_repeat_keys, repeated_key
from seke.files.rows import UNDECODABLE
from seke.samples.schema import Chunk, decoding_fault, in_chunks, record_type, with_plain_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from seke.files.rows import RowFile
    from seke.samples.vocabulary import Vocabulary


def read_json_lines(
    file: RowFile, vocabulary: Vocabulary, items: Collection[str] | None = None
) -> Iterator[Chunk]:
    """Yield the records of a file; lines that are none are noted.

    items: lines that cannot be about one of these are passed over unread, whatever is in them.
    """
    quick: msgspec.json.Decoder[Any]
    quick = msgspec.json.Decoder(record_type(vocabulary, narrow=True))
    # An unknown name fits this one, so that `bind` can say what is wrong with it.
    wide: msgspec.json.Decoder[Any] = msgspec.json.Decoder(record_type(vocabulary))
    # A text that is written otherwise than by its own bytes, as \u0061 for a, has a backslash.
    names = None if items is None else [*(name.encode(errors="surrogatepass") for name in items), b"\\"]
    about = None if names is None else re.compile(b"|".join(map(re.escape, names)))
    for first, lines in file.runs():
        if about is not None:
            possible = ((n, line) for n, line in enumerate(lines, first) if about.search(line))
            yield from in_chunks(file.index, _decoded(file, possible, vocabulary, wide))
            continue
        try:
            records = list(map(quick.decode, lines))
        except UNDECODABLE:  # also where a line is blank
            yield from in_chunks(file.index, _decoded(file, enumerate(lines, first), vocabulary, wide))
        else:
            if any(map(may_repeat_keys, lines)):
                yield from in_chunks(file.index, _decoded(file, enumerate(lines, first), vocabulary, wide))
            else:
                yield Chunk(file.index, records, np.arange(first, first + len(lines)))


def _decoded(
    file: RowFile,
    numbered: Iterable[tuple[int, bytes]],
    vocabulary: Vocabulary,
    decoder: msgspec.json.Decoder[Any],
) -> Iterator[tuple[int, Any]]:
    for number, line in numbered:
        if not line.strip():
            continue
        try:
            sample = with_plain_key(decoder.decode(line))
            if repeated := repeated_key(line):
                column, key = repeated
                file.faults.note(
                    f"{file.place(number)}:{column}: {key}: is given twice", (file.index, number)
                )
            else:
                yield number, sample
        except UNDECODABLE as error:
            fault = partial(decoding_fault, line, file.place(number), vocabulary, error)
            file.faults.note(fault, (file.index, number))
