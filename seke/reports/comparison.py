"""Two sets of records about the same items side by side: decisions and labels that differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import SekeError
from seke.console.decision_words import DECISIONS
from seke.reports.basis_section import basis_facts
from seke.reports.proportions import rounded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from seke.reports.inputs import Source
    from seke.reports.overview_section import Floats
    from seke.reports.records_table import Table

    Ints = NDArray[np.int64]
    Facts = dict[str, Any]

NOT_THERE = 255


@dataclass(frozen=True)
class Compared:
    """facts: JSON values. Of the N items of the first: decision and label of the other, NOT_THERE where it
    has none; p: (N,) of that label; moved: (N,) the total variation between both posteriors of the root.
    """

    facts: Facts
    decision: Ints
    label: Ints
    p: Floats
    moved: Floats


def compared(one: Source, other: Source) -> Compared:
    """Compare.

    Raises:
        engine.SekeError: no item that both have.
    """
    a, b = one.table, other.table
    at = np.array([b.rows.get(item, -1) for item in a.items], dtype=np.int64)
    both = at >= 0
    if not both.any():
        raise SekeError(f"{other.name}: has none of the items of {one.name}")
    states = list(dict.fromkeys([*_states(a), *_states(b)]))
    mine, theirs = _by_state(a, states), _by_state(b, states)[at]
    moved = np.where(both, np.abs(mine - theirs).sum(1) / 2, np.nan)
    label, their_label = mine.argmax(1), theirs.argmax(1)
    decision, their_decision = a.decision, b.decision[at]
    rows = np.flatnonzero(both)
    facts = {
        "names": [one.name, other.name],
        "bases": [f"{s.base.name} {s.base.digest}" for s in (one, other)],
        "populations": [s.population or "not told" for s in (one, other)],
        "both": len(rows),
        "only": [int((~both).sum()), len(b.items) - len(rows)],
        "states": states,
        "decisions": _crossed(decision[rows], their_decision[rows], len(DECISIONS)),
        "labels": _crossed(label[rows], their_label[rows], len(states)),
        "moved": rounded(moved[rows].mean()),
        "sides": [_side(table) for table in (a, b)],
    }
    return Compared(
        facts,
        np.where(both, their_decision, NOT_THERE),
        np.where(both, their_label, NOT_THERE),
        np.where(both, theirs.max(1), 0.0),
        moved,
    )


def _states(table: Table) -> tuple[str, ...]:
    return table.base.variables[table.base.root].states


def _by_state(table: Table, states: list[str]) -> Floats:
    found = np.zeros((len(table.items), len(states)))
    found[:, [states.index(state) for state in _states(table)]] = table.root
    return found


def _crossed(one: Ints, other: Ints, size: int) -> list[list[int]]:
    table = np.zeros((size, size), dtype=int)
    np.add.at(table, (one, other), 1)
    return table.tolist()


def _side(table: Table) -> Facts:
    """Return what is told of one side in a row."""
    levels = {
        level: table.accepted[:, [i for i, n in enumerate(table.levels) if n in names]].mean()
        for level, names in table.base.levels.items()
    }
    return {
        "items": len(table.items),
        "decisions": np.bincount(table.decision, minlength=len(DECISIONS)).tolist(),
        "uncalibrated": basis_facts(table)["uncalibrated"],
        "levels": {level: rounded(share) for level, share in levels.items()},
        "samples": rounded(table.counts[:, 0].mean(), 2),
        "epistemic": rounded(table.bits[:, 1].mean(), 3),
        "conflict": rounded(table.bits[:, 2].mean(), 3),
    }
