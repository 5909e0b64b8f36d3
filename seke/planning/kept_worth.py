"""What gold labels buy, estimated once and kept beside the compiled networks: it takes seconds."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from seke._version import __version__
from seke.files.atomic import write_file
from seke.files.networks import cache_folder
from seke.planning.plan import worth_of_gold
from seke.progress import task

if TYPE_CHECKING:
    from pathlib import Path

    from engine import Knowledge

    Record = dict[str, Any]

# To be raised with whatever changes the numbers of `worth_of_gold` for the same base.
FORMAT = 1


def kept_worth_of_gold(base: Knowledge, population: str | None = None) -> Record:
    """Return `worth_of_gold` with seed 0, as kept from an earlier start, or computed and kept.

    Raises:
        engine.SekeError: as `worth_of_gold`.
    """
    path = _path_of(base, population)
    kept = None if path is None else _read(path)
    if kept is not None:
        return kept
    with task("looking for what gold labels would buy", soon=True):
        worth = worth_of_gold(base, population)
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(json.dumps(worth).encode(), path)
        except OSError:
            # Only time is lost.
            pass
    return worth


def _path_of(base: Knowledge, population: str | None) -> Path | None:
    """Return where the estimate of a base is kept; None where nothing is kept."""
    folder = cache_folder()
    if folder is None:
        return None
    # Options change the policy and the prices of questions, which the digest of the files does not say.
    questions = tuple(base.questions.values())
    inputs = (FORMAT, __version__, base.digest, population or base.usual_population, base.policy, questions)
    return folder / f"gold-{hashlib.sha256(repr(inputs).encode()).hexdigest()[:32]}.json"


def _read(path: Path) -> Record | None:
    """Return what is kept; None where it is not there or damaged."""
    try:
        kept = json.loads(path.read_bytes())
        shares = kept["accepted"].values()
        whole = all(share.keys() >= {"share", "low", "high"} for share in shares)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return kept if whole and kept.keys() >= {"variable", "observer", "items"} else None
