"""Makes thumbnails of items for pages: upright, cut to the face where its box is known, without metadata."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from engine import Answers, Knowledge
from seke.datasets.images import Box, PictureError, picture_of, view_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from seke.runs.item_list import Known

    Face = tuple[Path, Box | None]

SIDE = 128
QUALITY = 75


def face_of(known: Known) -> Face:
    """Return the path of a run's item's picture, and the box of the face in it."""
    return Path(known.path), None if known.box is None else Box(*known.box)


def thumbnail(face: Face, base: Knowledge, side: int = SIDE) -> bytes | None:
    """Return a JPEG of at most `side` pixels a side, None where the picture is missing or unreadable."""
    from PIL import Image
    from PIL.Image import Resampling

    try:
        whole = picture_of(face[0], view_of(base, Answers.USUAL_VIEW), face[1])
    except PictureError:
        return None
    image = Image.open(io.BytesIO(whole.data), formats=("JPEG",))
    image.thumbnail((side, side), Resampling.LANCZOS)
    made = io.BytesIO()
    image.convert("RGB").save(made, "JPEG", quality=QUALITY, optimize=True)
    return made.getvalue()


def thumbnails(
    items: Sequence[str], faces: Mapping[str, Face], base: Knowledge, most: int
) -> Iterator[bytes | None]:
    """Yield the thumbnail of each item, or None; at most `most` thumbnails are made."""
    made = 0
    for name in items:
        image = thumbnail(faces[name], base) if name in faces and made < most else None
        made += image is not None
        yield image
