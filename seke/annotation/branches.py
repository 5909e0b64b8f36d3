"""Runs that are begun with the answers of another run, and those that are refused because they differ."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from engine import SekeError
from seke.runs.ledger import NAME, status_of

if TYPE_CHECKING:
    from seke.runs.ledger import Ledger

# The fact of a run that names the run whose answers it goes on with.
ORIGIN = "branch_of"
# Runs that were begun as branches of one another; a model is asked for what none of them has.
LONGEST_CHAIN = 8


class OtherSettingsError(SekeError):
    """The run was begun with other settings than it is to go on with.

    what: that, with what differs. counts: whether its answers count in a branch.
    """

    def __init__(self, folder: Path, differs: str, *, counts: bool) -> None:
        """differs: what does, in words."""
        self.counts = counts
        self.what = f"{folder}: was started with other settings ({differs})"
        remedy = "start another run with --branch NEWDIR (in Python: `branch_of`)"
        if not counts:
            remedy = "answers under other settings do not count; start another run with --run NEWDIR"
        super().__init__(f"{self.what}; {remedy}")


def is_run(folder: Path) -> bool:
    """Say whether a run is in a folder."""
    return (folder / NAME).is_file()


def origin_of(folder: Path) -> Path | None:
    """Return the folder of the run that this run branched from; None where it did not branch."""
    origin = status_of(folder)[0].get(ORIGIN) if is_run(folder) else None
    return None if origin is None else Path(os.path.normpath(folder / origin))


def note_origin(ledger: Ledger, origin: Path) -> None:
    """Keep in a ledger whose answers its run goes on with; seen from there, so that both folders may move."""
    ledger.note({ORIGIN: os.path.relpath(origin.resolve(), ledger.folder.resolve())})


def origins(folder: Path, branch_of: Path | None, items: int) -> list[Path]:
    """Return the folders of the earlier runs whose answers this run reuses, the nearest first.

    branch_of: the run that it is to be a branch of; by default the one that it was begun with. items: how
    many the run has.

    Raises:
        engine.SekeError: a run is not there any more whose answers would be paid for again.
    """
    origin = branch_of or origin_of(folder)
    if branch_of is None and origin is not None and not is_run(origin):
        if status_of(folder)[1] >= items:
            return []
        raise SekeError(
            f"{folder}: is a branch of {origin}, which no longer exists, so its answers would be paid for "
            "again; put that folder back, or start a branch of this run (--branch NEWDIR)"
        )
    runs: list[Path] = []
    while origin is not None and len(runs) < LONGEST_CHAIN:
        runs.append(origin)
        # What a run farther back had, and has lost since, is asked for again.
        further = origin_of(origin)
        origin = further if further is not None and is_run(further) else None
    return runs
