"""Small pictures of items for pages: upright, cut to the face where its box is known, only pixels."""

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
    """Return where the picture of a run's item is, and the face in it."""
    return Path(known.path), None if known.box is None else Box(*known.box)


def thumbnail(face: Face, base: Knowledge, side: int = SIDE) -> bytes | None:
    """Return a JPEG of at most so many pixels a side, None where there is no picture or it cannot be read."""
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
    """Yield for each item its thumbnail, or None; so many at most."""
    made = 0
    for name in items:
        one = thumbnail(faces[name], base) if name in faces and made < most else None
        made += one is not None
        yield one
