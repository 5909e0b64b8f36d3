"""Where an export has its pictures: copied, linked, or where they were, by path."""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from seke.runs.item_list import KnownItem


class PlacedPictures:
    """Puts pictures into an export.

    folder: where the export will be. copying: whether pictures are copied; linking: whether `images/` has
    links to them where they are not.
    """

    def __init__(self, folder: Path, *, copying: bool, linking: bool) -> None:
        self.folder, self.copying, self.linking = folder, copying, linking
        self._folder_from_export: dict[str, str] = {}

    def place(self, folder: Path, listed_item: KnownItem, split: str) -> str:
        """Put a picture, or a link to it, into the export where one is wanted; return its name there."""
        copying = self.copying
        if not copying and not self.linking:
            return ""
        place = folder / "images" / split
        place.mkdir(parents=True, exist_ok=True)
        ending = os.path.splitext(listed_item.path)[1].lower()
        if copying:
            name = f"{file_digest(listed_item.path)[:32]}{ending}"
            if not (place / name).exists():
                shutil.copyfile(listed_item.path, place / name)
            return name
        item_bytes = listed_item.item.encode("utf-8", "surrogatepass")
        name = f"{hashlib.blake2b(item_bytes, digest_size=16).hexdigest()}{ending}"
        # From images/SPLIT two folders up to where the export is.
        (place / name).symlink_to(os.path.join("..", "..", self.relative(listed_item.path)))
        return name

    def relative(self, path: str) -> str:
        """Return a path from the folder of the export."""
        above, name = os.path.split(path)
        if above not in self._folder_from_export:
            place = os.path.join(os.path.realpath(self.folder.parent), self.folder.name)
            self._folder_from_export[above] = os.path.relpath(above, place)
        return f"{self._folder_from_export[above]}/{name}"


def file_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
