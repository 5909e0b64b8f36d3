"""JSON Lines -> chunks of decoded records."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import numpy as np

from seke.files.repeated_keys import may_repeat_keys, repeated_key
from seke.files.rows import UNDECODABLE
from seke.samples.schema import Chunk, decoding_fault, in_chunks, record_type, with_plain_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from seke.files.faults import Faults
    from seke.samples.vocabulary import Vocabulary

    Decoders = tuple[msgspec.json.Decoder[Any], msgspec.json.Decoder[Any]]


class LineSource(Protocol):
    """A source of rows that has runs of lines, each with the number of its first; see `RowFile`."""

    index: int
    faults: Faults

    def place(self, number: int) -> str:
        """Return how messages name a line."""

    def runs(self) -> Iterator[tuple[int, list[bytes]]]:
        """Yield runs of lines."""


def decoders_of(vocabulary: Vocabulary) -> Decoders:
    """Return a quick decoder of samples, and one that an unknown name fits, so that `bind` can say what."""
    quick, wide = (record_type(vocabulary, narrow=narrow) for narrow in (True, False))
    return msgspec.json.Decoder(quick), msgspec.json.Decoder(wide)


def read_json_lines(
    file: LineSource,
    vocabulary: Vocabulary,
    items: Collection[str] | None = None,
    decoders: Decoders | None = None,
) -> Iterator[Chunk]:
    """Yield the records of a file; lines that are none are noted.

    items: lines that cannot be about one of these are passed over unread, whatever is in them. decoders:
    `decoders_of` the vocabulary, where they are at hand.
    """
    quick, wide = decoders or decoders_of(vocabulary)
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
    file: LineSource,
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
