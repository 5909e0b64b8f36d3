"""A folder in which the program may put files of its own: a new one, or an empty one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import SekeError

if TYPE_CHECKING:
    from pathlib import Path


def check_free(folder: Path, besides: tuple[str, ...] = ()) -> None:
    """Refuse a folder in which something is. besides: beginnings of names that do not matter.

    Raises:
        engine.SekeError: it is a file, or not empty.
    """
    if folder.is_dir():
        names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith(besides))
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise SekeError(
                f"{folder}: is not empty (it has {names[0]}{more}); name a new or an empty folder"
            )
    elif folder.exists() or folder.is_symlink():
        raise SekeError(f"{folder}: is no folder; name a new or an empty one")
