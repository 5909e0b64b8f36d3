"""Makes thumbnails of items for pages: upright, cut to the face where its box is known, without metadata."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from seke.datasets.images import PictureError, picture_of, view_of
from seke.observers.seen import Box

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine import Knowledge
    from seke.runs.item_list import KnownItem

    Face = tuple[Path, Box | None]

# Longest side of a thumbnail in pixels, and quality of its JPEG from 0 to 100.
SIDE = 128
QUALITY = 75


def face_of(listed_item: KnownItem) -> Face:
    """Return the path of a run's item's picture, and the box of the face in it."""
    return Path(listed_item.path), None if listed_item.box is None else Box(*listed_item.box)


def thumbnail(face: Face, base: Knowledge, side: int = SIDE) -> bytes | None:
    """Return a JPEG of at most `side` pixels a side, None where the picture is missing or unreadable."""
    from PIL import Image
    from PIL.Image import Resampling

    try:
        picture = picture_of(face[0], view_of(base, base.usual_view), face[1])
    except PictureError:
        return None
    image = Image.open(io.BytesIO(picture.data), formats=("JPEG",))
    image.thumbnail((side, side), Resampling.LANCZOS)
    sink = io.BytesIO()
    image.convert("RGB").save(sink, "JPEG", quality=QUALITY, optimize=True)
    return sink.getvalue()


def thumbnails(
    items: Sequence[str], faces: Mapping[str, Face], base: Knowledge, most: int
) -> Iterator[bytes | None]:
    """Yield the thumbnail of each item, or None; at most `most` thumbnails are made."""
    count = 0
    for name in items:
        image = thumbnail(faces[name], base) if name in faces and count < most else None
        count += image is not None
        yield image
