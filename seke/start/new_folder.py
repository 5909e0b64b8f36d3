"""Files that a user starts from, written into a folder of their own."""

from __future__ import annotations

from contextlib import contextmanager
from shutil import rmtree
from typing import TYPE_CHECKING

from seke.files.free_folder import check_free

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


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
