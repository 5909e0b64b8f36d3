"""Compares two sets of records about the same items: which decisions and labels differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import SekeError
from seke.console.decision_words import DECISIONS
from seke.reports.basis_section import basis_facts
from seke.reports.proportions import json_numbers

if TYPE_CHECKING:
    from engine import Floats, Ints
    from seke.reports.inputs import ReportInputs
    from seke.reports.records_table import RecordTable

    Facts = dict[str, Any]

# Code of an item that the second set lacks, in columns of the page that are uint8.
NOT_THERE = 255


@dataclass(frozen=True)
class Comparison:
    """The second set's results for the N items of the first set.

    facts: JSON values. decision, label: (N,) indices, NOT_THERE where the second set lacks the item; p: (N,)
    probability of that label. moved: (N,) the total variation between both posteriors of the root.
    """

    facts: Facts
    decision: Ints
    label: Ints
    p: Floats
    moved: Floats


def compare_records(first: ReportInputs, second: ReportInputs) -> Comparison:
    """Return the comparison of two sets of records.

    Raises:
        engine.SekeError: no item that both have.
    """
    first_table, second_table = first.table, second.table
    second_row = np.array([second_table.rows.get(item, -1) for item in first_table.items], dtype=np.int64)
    common = second_row >= 0
    if not common.any():
        raise SekeError(f"{second.name}: has none of the items of {first.name}")
    states = list(dict.fromkeys([*_states(first_table), *_states(second_table)]))
    probabilities, other_probabilities = (
        _by_state(first_table, states),
        _by_state(second_table, states)[second_row],
    )
    moved = np.where(common, np.abs(probabilities - other_probabilities).sum(1) / 2, np.nan)
    label, other_label = probabilities.argmax(1), other_probabilities.argmax(1)
    decision, other_decision = first_table.decision, second_table.decision[second_row]
    rows = np.flatnonzero(common)
    facts = {
        "names": [first.name, second.name],
        "bases": [f"{inputs.base.name} {inputs.base.digest}" for inputs in (first, second)],
        "populations": [inputs.population or "not stated" for inputs in (first, second)],
        "both": len(rows),
        "only": [int((~common).sum()), len(second_table.items) - len(rows)],
        "states": states,
        "decisions": _cross_table(decision[rows], other_decision[rows], len(DECISIONS)),
        "labels": _cross_table(label[rows], other_label[rows], len(states)),
        "moved": json_numbers(moved[rows].mean()),
        "sides": [_side(table) for table in (first_table, second_table)],
    }
    return Comparison(
        facts,
        np.where(common, other_decision, NOT_THERE),
        np.where(common, other_label, NOT_THERE),
        np.where(common, other_probabilities.max(1), 0.0),
        moved,
    )


def _states(table: RecordTable) -> tuple[str, ...]:
    return table.base.variables[table.base.root].states


def _by_state(table: RecordTable, states: list[str]) -> Floats:
    probabilities = np.zeros((len(table.items), len(states)))
    probabilities[:, [states.index(state) for state in _states(table)]] = table.root
    return probabilities


def _cross_table(rows: Ints, columns: Ints, size: int) -> list[list[int]]:
    table = np.zeros((size, size), dtype=int)
    np.add.at(table, (rows, columns), 1)
    return table.tolist()


def _side(table: RecordTable) -> Facts:
    """Return the facts of one set of records."""
    levels = {
        level: table.accepted[:, [i for i, n in enumerate(table.levels) if n in names]].mean()
        for level, names in table.base.levels.items()
    }
    return {
        "items": len(table.items),
        "decisions": np.bincount(table.decision, minlength=len(DECISIONS)).tolist(),
        "uncalibrated": basis_facts(table)["uncalibrated"],
        "levels": {level: json_numbers(share) for level, share in levels.items()},
        "samples": json_numbers(table.counts[:, 0].mean(), 2),
        "epistemic": json_numbers(table.bits[:, 1].mean(), 3),
        "conflict": json_numbers(table.bits[:, 2].mean(), 3),
    }
