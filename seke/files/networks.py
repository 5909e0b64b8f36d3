"""Compiled networks: those that ship, and where others are kept.

Whoever changes the shipped knowledge, or how it is compiled, makes those that ship anew:

    python -m seke.files.networks
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from engine import compiled, ship
from seke.files.shipped import knowledge, shipped_bases, shipped_folder
from seke.progress import task

if TYPE_CHECKING:
    from engine import Knowledge, Network


def shipped_networks() -> Path:
    """Return the folder of the compiled networks of the bases that ship."""
    return shipped_folder() / "compiled"


def cache_folder() -> Path | None:
    """Return where compiled networks are kept: $SEKE_CACHE, or the user's cache; None where it is empty."""
    chosen = os.environ.get("SEKE_CACHE")
    if chosen is None:
        from platformdirs import user_cache_path

        return user_cache_path("seke")
    return Path(chosen) if chosen else None


def network_of(base: Knowledge) -> Network:
    """Return a base compiled: as shipped, as kept from an earlier start, or anew.

    Raises:
        engine.KnowledgeError: as `engine.compile_network`.
    """
    with ExitStack() as stack:

        def note() -> None:
            text = f"compiling {base.name} (up to a minute)"
            stack.enter_context(task(text, soon=True))

        return compiled(base, cache_folder(), shipped_networks(), note)


if __name__ == "__main__":
    ship(map(knowledge, shipped_bases()), shipped_networks())
