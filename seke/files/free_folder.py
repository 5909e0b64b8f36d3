"""A folder in which the program may put files of its own: a new one, or an empty one."""

from __future__ import annotations

import os
from shutil import rmtree
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


def remove_left_behind(folder: Path) -> None:
    """Remove what processes that were killed left of a folder that they made beside it, as .NAME.PID.

    Only where such processes can be asked for without harm, which is not so on Windows.
    """
    if os.name != "posix":
        return
    begin = f".{folder.name}."
    for remnant in folder.parent.iterdir():
        process = remnant.name.removeprefix(begin)
        if (
            remnant.name.startswith(begin)
            and process.isdecimal()
            and remnant.is_dir()
            and not _runs(int(process))
        ):
            rmtree(remnant, ignore_errors=True)


def _runs(process: int) -> bool:
    """Tell whether a process of this machine runs."""
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
