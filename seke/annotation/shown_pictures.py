"""The pictures of a run as its requests show them: in a view, cut to what a question is about."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seke.datasets.images import picture_of, region_shown, view_of

if TYPE_CHECKING:
    from engine import Knowledge
    from seke.datasets.manifest import Item
    from seke.sampling.loop import ReadingKey, Request
    from seke.vision.messages import Picture

# Encoded pictures that are kept for an item's next request.
CACHED_PICTURES = 256


@dataclass(frozen=True)
class ShownPictures:
    """Encodes pictures, and keeps the last ones."""

    base: Knowledge
    _kept: OrderedDict[tuple[str, str, str, bool], Picture] = field(default_factory=OrderedDict)

    def region(self, item: Item, line: ReadingKey) -> str:
        """Return the part of the face that a reading's picture is cut to; empty where it shows the whole."""
        _, _, question, about, view = line
        if not about or not self.base.questions[question].enlarge:
            return ""
        region = str(self.base.variables[about].about.get("region", ""))
        return region_shown(view_of(self.base, view), item.box, region)

    def shown(self, item: Item, line: ReadingKey) -> tuple[str, bool]:
        """Return the part that a reading's picture is cut to, and whether the face stands beside it."""
        region = self.region(item, line)
        return region, bool(region) and self.base.questions[line[2]].whole

    def picture(self, item: Item, request: Request) -> Picture:
        """Return the picture that goes with a request.

        Raises:
            PictureError: it cannot be shown.
        """
        region, whole = self.shown(item, request.line)
        key = (item.name, request.view, region, whole)
        cached = self._kept.get(key)
        if cached is not None:
            return cached
        picture = picture_of(item.path, view_of(self.base, request.view), item.box, region, whole=whole)
        self._kept[key] = picture
        while len(self._kept) > CACHED_PICTURES:
            self._kept.popitem(last=False)
        return picture
