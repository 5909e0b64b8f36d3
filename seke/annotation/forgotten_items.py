"""Items that are not asked about, since the run, or one that it goes on with, has forgotten them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import SekeError
from seke.annotation.branches import LONGEST_CHAIN, is_run, origin_of
from seke.console.plain_text import count
from seke.runs.forgotten import ForgottenItems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from seke.datasets.manifest import Item


def remembered_items(
    items: Sequence[Item], folder: Path, problems: Callable[[str], None] | None = None
) -> tuple[Item, ...]:
    """Return the items that a run has not forgotten, nor those that it branched from.

    problems: is called with how many are passed over, if any.

    Raises:
        engine.SekeError: it has forgotten all.
    """
    forgotten = [ForgottenItems.of(path) for path in _with_origins(folder)]
    remembered = tuple(
        item for item in items if not any(memory.has(item.name, item.group) for memory in forgotten)
    )
    if items and not remembered:
        raise SekeError(
            f"{folder}: all items that are named were forgotten (seke forget); nothing is left to ask"
        )
    passed_over = len(items) - len(remembered)
    if passed_over and problems is not None:
        problems(f"{folder} has forgotten {count(passed_over, 'item')} of these (seke forget); passed over")
    return remembered


def _with_origins(folder: Path) -> Iterator[Path]:
    """Yield the folders of a run and of those that it branched from, as far as they are there."""
    path: Path | None = folder
    for _ in range(LONGEST_CHAIN):
        if path is None or not is_run(path):
            return
        yield path
        path = origin_of(path)
