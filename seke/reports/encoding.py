"""Encodes values as elements of a page: gzip and base64, so that no foreign text is part of the HTML."""

from __future__ import annotations

import base64
import gzip
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from engine import Floats

KINDS = {"uint8": "u1", "uint16": "u2", "uint32": "u4", "float32": "f4"}
# Probabilities are kept as whole numbers of 1 / FINE.
FINE = 10_000
# Values, and pictures, of one element; web/data.js, which unpacks elements one by one, has the same numbers.
ITEMS_A_BLOCK = 256
PICTURES_A_BLOCK = 32


def block(name: str, data: bytes, kind: str) -> str:
    """Return an element that holds compressed bytes. kind: `json`, or that of a typed array."""
    # Without name and time: equal reports make equal files.
    zipped = base64.b64encode(gzip.compress(data, 6, mtime=0)).decode("ascii")
    return f'<script type="application/gzip" id="{name}" data-kind="{kind}">{zipped}</script>\n'


def json_block(name: str, value: Any) -> str:
    """Return an element that holds a value as JSON."""
    return block(name, msgspec.json.encode(value), "json")


def column(name: str, values: NDArray[Any]) -> str:
    """Return an element that holds an array, row after row, little-endian."""
    kind = KINDS[values.dtype.name]
    return block(name, np.ascontiguousarray(values).astype(f"<{kind}").tobytes(), kind)


def quantize(p: Floats) -> NDArray[np.uint16]:
    """Return probabilities as whole numbers of 1 / FINE, in the same shape; NaN becomes 0."""
    return np.round(np.clip(np.nan_to_num(p), 0, 1) * FINE).astype(np.uint16)


def thousandths(p: Floats) -> list[list[int]]:
    """Return rows of numbers as lists of whole thousandths."""
    return np.round(p * 1000).astype(int).tolist()  # type: ignore[no-any-return]


def json_blocks(prefix: str, values: Sequence[Any], size: int = ITEMS_A_BLOCK) -> Iterator[str]:
    """Yield elements with `size` values each."""
    for number, start in enumerate(range(0, len(values), size)):
        yield json_block(f"{prefix}-{number}", values[start : start + size])


def pictures(prefix: str, images: Iterable[bytes | None], size: int = PICTURES_A_BLOCK) -> Iterator[str]:
    """Yield elements with `size` pictures each, one a line; the line is empty where there is no picture."""
    lines = ["" if image is None else base64.b64encode(image).decode("ascii") for image in images]
    for number, start in enumerate(range(0, len(lines), size)):
        text = "\n".join(lines[start : start + size])
        yield f'<script type="text/plain" id="{prefix}-{number}">{text}</script>\n'
