"""A path where nothing is -> the one that was most likely meant, among what is there."""

from __future__ import annotations

import os
from contextlib import suppress
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# How like two names must be, without their endings: `samples` and `sample`, not `nothere` and `nonote`.
LIKE = 0.85
# Entries of a folder that are looked at, and folders in which a file of the same name is looked for.
MOST_ENTRIES, MOST_FOLDERS = 2_000, 200
# Letters of a name beyond which it is compared with none.
LONGEST_NAME = 255
# Folders above the working directory in which a path is looked for, too.
ABOVE = 2


def path_hint(path: str | Path, fits: Callable[[Path], bool] = Path.exists) -> str:
    """Return `; did you mean X?`, or no text where nothing is likely.

    fits: whether something can be what was meant.
    """
    meant = next(_candidates(Path(path), fits), None)
    return f"; did you mean {meant}?" if meant else ""


def likely_name(name: str, names: Iterable[str]) -> str:
    """Return the name that differs from this one by letter case, its ending or a slip; empty for none."""
    by_stem: dict[str, list[str]] = {}
    for other in names:
        by_stem.setdefault(Path(other).stem.casefold(), []).append(other)
    # Comparing long texts takes time squared in their length.
    near = get_close_matches(Path(name[:LONGEST_NAME]).stem.casefold(), by_stem, n=1, cutoff=LIKE)
    if not near:
        return ""
    ending = Path(name).suffix.casefold()
    return min(by_stem[near[0]], key=lambda other: (Path(other).suffix.casefold() != ending, other))


def nearest_file(path: Path) -> Path | None:
    """Return the path of a file whose folders and name are each most like these; None where there is none."""
    nearby = Path(path.anchor)
    for part in path.relative_to(path.anchor).parts:
        if os.path.exists(nearby / part):
            nearby /= part
            continue
        names = list[str]()
        with suppress(OSError):
            names = _entries(nearby)
        meant = get_close_matches(part[:LONGEST_NAME], names, n=1)
        if not meant:
            # The folder may have been left out.
            below = [folder / path.name for folder in nearby.glob("*/") if os.path.isfile(folder / path.name)]
            return below[0] if len(below) == 1 else None
        nearby /= meant[0]
    return nearby if os.path.isfile(nearby) else None


def _candidates(path: Path, fits: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield what is there and may be meant: beside it, by another working directory, or further below."""
    try:
        there = _entries(path.parent) if path.parent.is_dir() else []
        entries = [entry for entry in there if fits(path.parent / entry)]
        if name := likely_name(path.name, entries):
            yield path.parent / name
        if path.is_absolute():
            return
        tails = [Path(*path.parts[cut:]) for cut in range(1, len(path.parts))]
        yield from filter(fits, [*tails, *(Path(*[".."] * up, path) for up in range(1, ABOVE + 1))])
        for folder, folders, _ in islice(os.walk("."), MOST_FOLDERS):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            if fits(place := Path(folder, path.name)):
                yield place
    except (OSError, ValueError):
        return


def _entries(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in islice(entries, MOST_ENTRIES))
    return [name for name in names if not name.startswith(".")]
