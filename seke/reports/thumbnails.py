"""Small pictures of items: upright, cut to the face where its box is known, only pixels."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from engine import Answers, Knowledge
from seke.pictures import PictureError, picture_of, view_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from seke.manifest import Item

SIDE = 96
QUALITY = 72


def thumbnails(
    items: Sequence[str], pictures: Mapping[str, Item], base: Knowledge, most: int
) -> Iterator[bytes | None]:
    """Yield for each item a JPEG of at most SIDE pixels a side, None where there is none, or it cannot be read.

    most: so many at most; of the items after them there are none.
    """
    made = 0
    view = view_of(base, Answers.USUAL_VIEW)
    for name in items:
        item = pictures.get(name)
        if item is None or made >= most:
            yield None
            continue
        try:
            whole = picture_of(item.path, view, item.box)
        except PictureError:
            yield None
            continue
        made += 1
        yield _small(whole.data)


def _small(data: bytes) -> bytes:
    from PIL import Image
    from PIL.Image import Resampling

    image = Image.open(io.BytesIO(data), formats=("JPEG",))
    image.thumbnail((SIDE, SIDE), Resampling.LANCZOS)
    made = io.BytesIO()
    image.convert("RGB").save(made, "JPEG", quality=QUALITY, optimize=True)
    return made.getvalue()
