"""Where the shipped knowledge is, which of its names commands use, and reading any base on top of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from engine import Knowledge, SekeError, read
from seke.files.inputs import path_of
from seke.files.likely_path import likely_name, path_hint

if TYPE_CHECKING:
    from collections.abc import Collection

SHIPPED = "shipped"
# What the shipped base names, where a command needs it by name; bases of one's own may name these, too.
# A base has no mark that could stand in place of these names.
# The levels of a base whose records have its posteriors at their top, and can be exported: they are columns
# of both file formats. Other bases have levels, too, and other records.
LEVELS = frozenset({"expression", "affect", "action_units"})
# Who an unknown model counts as. The observer that a policy asks is another one: it has numbers of its own.
GENERIC_OBSERVER = "generic-vlm"
# Who the labels count as that a data set has already. `origin: label` does not tell: an overlay that trusts
# the labels says `seen` of this observer.
DATASET_OBSERVER = "dataset-label"
# The view of answers that name none, where a base declares no `views` (else its first one is), and in a
# recording of answers, which is read without a base.
USUAL_VIEW = "face"


class HasKnowledge(Protocol):
    """What has a base: a calibration."""

    @property
    def knowledge(self) -> Knowledge:
        """The base."""


def shipped_folder() -> Path:
    """Return the folder of the shipped knowledge base.

    It is found from this package's own place, never through a name on the import path: a
    user's own `./knowledge` is another base. Installed, the YAML lies inside the package; in a
    checkout beside it.
    """
    package = Path(__file__).parents[1]
    inside = package / "knowledge"
    return inside if inside.is_dir() else package.parent / "knowledge"


def shipped_bases(folder: Path | None = None) -> dict[str, Path]:
    """Return name -> place of the bases that need no path: `shipped`, and the overlays that lie beside it.

    folder: the folder that is meant by `shipped`, this installation's own by default.
    """
    folder = folder or shipped_folder()
    return {SHIPPED: folder, **{file.stem: file for file in sorted((folder / "overlays").glob("*.yaml"))}}


def shipped_name(path: str | Path | None) -> str | None:
    """Return the name of the shipped base that a path means (for None, `shipped`), or None for one's own.

    A file or folder of that name in the working directory comes first.
    """
    if path is None:
        return SHIPPED
    return str(path) if str(path) in shipped_bases() and not Path(path).exists() else None


def knowledge(
    path: Knowledge | HasKnowledge | str | Path | None = None, *, shipped: Path | None = None
) -> Knowledge:
    """Read a knowledge base: a shipped one by its name (None: "shipped"), or a folder or file of one's own.

    A base that was read already is returned as it is, and so is that of what has one: a calibration's with
    its numbers. shipped: the folder that is meant by `shipped`, this installation's own by default.

    Raises:
        engine.KnowledgeError: all faults, each with file, line, column and path.
        engine.SekeError: there is nothing at the path, or it is none.
    """
    base = getattr(path, "knowledge", path)
    if isinstance(base, Knowledge):
        return base
    allowed = "a base, the folder or file of one, or a calibration"
    place = None if base is None else path_of(base, "knowledge", allowed)
    bases, name = shipped_bases(shipped), shipped_name(place)
    if name not in bases and place is not None and not os.path.lexists(place):
        raise SekeError(f"{place}: there is no such file or folder{_base_hint(place, bases)}")
    return read(bases[name] if name in bases else place or Path(SHIPPED), bases, USUAL_VIEW)


def _base_hint(path: Path, bases: Collection[str]) -> str:
    """Return `; did you mean X?` of shipped bases and of what lies beside a path, or the shipped bases."""
    near = likely_name(path.name, bases) if path.name == str(path) else ""
    hint = f"; did you mean {near}?" if near else path_hint(path)
    return hint or f"; the shipped bases are {', '.join(sorted(bases))}"
