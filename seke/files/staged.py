"""Changes of several files of a folder that are written aside first, and then take their places in turn."""

from __future__ import annotations

import os
from shutil import rmtree
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# The folder aside. Its name is always the same, so that what a killed process left is cleared by the next.
ASIDE = ".forget"


class StagedFolder:
    """New files of a folder, not in their places yet.

    Nothing of the folder changes before `commit`. A process that is killed in between leaves some files new
    and some old, each of them whole; whoever does the same again ends with all of them new.
    """

    def __init__(self, folder: Path) -> None:
        """Clear what an earlier process left aside."""
        self.folder, self.aside = folder, folder / ASIDE
        self._names: list[str] = []
        self._removed: list[Path] = []
        if self.aside.is_dir():
            rmtree(self.aside)

    def path(self, name: str) -> Path:
        """Return where the new file of a name (a path within the folder) is to be written."""
        path = self.aside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name not in self._names:
            self._names.append(name)
        return path

    def put_last(self, name: str) -> None:
        """Have a file take its place after all others."""
        if name in self._names:
            self._names.remove(name)
            self._names.append(name)

    def remove(self, path: Path) -> None:
        """Have a file removed once all others are in their places."""
        self._removed.append(path)

    @property
    def changes(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._names or self._removed)

    def commit(self) -> None:
        """Put the files in their places, in the order in which they were named, and remove what is to go."""
        for name in self._names:
            with (self.aside / name).open("rb") as file:
                os.fsync(file.fileno())
        for name in self._names:
            (self.aside / name).replace(self.folder / name)
        for path in self._removed:
            path.unlink(missing_ok=True)
        self.discard()

    def discard(self) -> None:
        """Drop what was written aside."""
        if self.aside.is_dir():
            rmtree(self.aside)
