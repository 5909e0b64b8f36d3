"""A folder in which the program may put files of its own: a new one, or an empty one."""

from __future__ import annotations

import os
import platform
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


def folder_aside(folder: Path) -> Path:
    """Make the folder in which another one is made: beside it, as .NAME.MACHINE.PID.

    What processes of this machine that were killed left there is removed.
    """
    folder = folder.absolute()
    begin = f".{folder.name}.{platform.node()}."
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_behind(folder.parent, begin)
    aside = folder.parent / f"{begin}{os.getpid()}"
    rmtree(aside, ignore_errors=True)
    aside.mkdir()
    return aside


def _remove_left_behind(parent: Path, begin: str) -> None:
    """Remove folders whose names are this beginning and the number of a process that no longer runs.

    Only where processes can be asked for without harm, which is not so on Windows.
    """
    if os.name != "posix":
        return
    for remnant in parent.iterdir():
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
