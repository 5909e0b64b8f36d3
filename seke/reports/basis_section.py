"""The section on the bases of accepted values, values that were only inferred, and the policy's limits."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from seke.console.decision_words import BASES, UNCALIBRATED, UNKNOWN
from seke.reports.proportions import json_numbers
from seke.reports.records_table import ORIGINS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from engine import Ints
    from seke.reports.records_table import RecordTable

    Facts = dict[str, Any]

# Variables with overruled labels that are named at most.
MOST_NAMED = 12
# Bits of an item's mark in the page's column `marks`.
LACKING, OVERRULED = 1, 2


def basis_facts(table: RecordTable) -> Facts:
    """Return how many values and items rest on each of BASES, and how many values no observer looked at.

    items: by the weakest basis of their required values. uncalibrated: accepted items whose weakest basis is
    one of UNCALIBRATED. inferred, lacking: values; overruled: [variable, labels].
    """
    items = _counts(table.item_basis)
    return {
        "values": _counts(table.basis),
        "items": items,
        "uncalibrated": sum(items[BASES.index(basis)] for basis in UNCALIBRATED),
        "inferred": int(table.inferred.sum()),
        "lacking": _total(table.lacking),
        "overruled": Counter(name for names in table.overruled for name in names).most_common(MOST_NAMED),
        "overruled_total": _total(table.overruled),
    }


def uncalibrated_share(table: RecordTable, columns: Sequence[int]) -> float:
    """Return the share of some columns' values that is accepted on an uncalibrated basis.

    NaN where records do not say what accepted values rest on.
    """
    basis = table.basis[:, columns]
    if (basis == BASES.index(UNKNOWN)).any():
        return np.nan
    return float(np.isin(basis, [BASES.index(name) for name in UNCALIBRATED]).mean())


def inferred_share(table: RecordTable, columns: Sequence[int]) -> float:
    """Return the share of some columns' values that is only inferred; NaN where no origin is known."""
    known_origin = table.origin[:, columns] != ORIGINS.index(UNKNOWN)
    return float(table.inferred[:, columns].mean()) if known_origin.any() else np.nan


def item_marks(table: RecordTable) -> NDArray[np.uint8]:
    """Return (N,) bit masks: LACKING where an item has lacking values, OVERRULED where overruled ones."""
    lacking = np.array([bool(names) for names in table.lacking])
    overruled = np.array([bool(names) for names in table.overruled])
    return np.asarray(LACKING * lacking + OVERRULED * overruled, dtype=np.uint8)


def limit_facts(table: RecordTable, names: Sequence[str]) -> Facts:
    """Return the risk limit of some variables, and the risks up to which their values are accepted.

    limit: that of the first variable. of: `mean` or `each`, what the limit bounds. thresholds: [lowest,
    highest] of those that keep a mean, null where there is none, so that the limit caps each risk. highest:
    the highest risk of an accepted value, null where none is accepted.
    """
    policy, variables = table.base.policy, table.base.variables
    name = names[0]
    with_thresholds = [
        member for member in names if member in policy.thresholds and member in policy.mean_limits
    ]
    risks = [risk for member in with_thresholds for risk in policy.highest_risks(variables[member])]
    columns = [table.levels.index(member) for member in names]
    accepted = table.risk[:, columns][table.accepted[:, columns]]
    return {
        "limit": policy.limits.get(name),
        "of": "mean" if name in policy.mean_limits else "each",
        "thresholds": [json_numbers(min(risks)), json_numbers(max(risks))] if risks else None,
        "highest": json_numbers(accepted.max()) if accepted.size else None,
    }


def _counts(basis: Ints) -> list[int]:
    return [int(count) for count in np.bincount(basis[basis >= 0], minlength=len(BASES))]


def _total(named: Iterable[tuple[str, ...]]) -> int:
    return sum(map(len, named))
