"""Files that a user starts from, written into a folder of their own."""

from __future__ import annotations

from contextlib import contextmanager
from shutil import rmtree
from typing import TYPE_CHECKING

from engine import SekeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def check_free(folder: Path) -> None:
    """Refuse a folder in which something is.

    Raises:
        engine.SekeError: it is a file, or not empty.
    """
    if folder.is_dir():
        names = sorted(entry.name for entry in folder.iterdir())
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise SekeError(
                f"{folder}: is not empty (it has {names[0]}{more}); name a new or an empty folder"
            )
    elif folder.exists() or folder.is_symlink():
        raise SekeError(f"{folder}: is no folder; name a new or an empty one")


@contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """Make a folder, or take an empty one, for what is written within the block.

    After an error nothing of it is left.

    Raises:
        engine.SekeError: something is in the folder.
    """
    check_free(folder)
    made = next((place for place in (*reversed(folder.parents), folder) if not place.exists()), None)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for place in [made] if made is not None else list(folder.iterdir()):
            rmtree(place) if place.is_dir() else place.unlink()
        raise


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, and the folders that their names have. A name that ends in / is a folder."""
    for name, content in files.items():
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
