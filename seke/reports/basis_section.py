"""On what accepted values rest, what nobody looked at, and how the limits of the policy are kept."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from seke.console.decision_words import BASES, UNCALIBRATED, UNKNOWN
from seke.reports.proportions import rounded
from seke.reports.records_table import ORIGINS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from seke.reports.records_table import Table

    Facts = dict[str, Any]

# Of labels that were decided otherwise as many variables are named.
MOST_NAMED = 12
# Bits of an item's mark in the page's column `marks`.
LACKING, OVERRULED = 1, 2


def basis_facts(table: Table) -> Facts:
    """Return how many values and items rest on what, in the order of BASES, and what nobody saw.

    items: by the weakest basis of their required values. uncalibrated: accepted items of which that is one of
    UNCALIBRATED. inferred, lacking: values; overruled: [variable, labels].
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


def uncalibrated_share(table: Table, columns: Sequence[int]) -> float:
    """Return the share of the values of some columns that is accepted on what was not calibrated for them.

    NaN where records do not say on what accepted values rest.
    """
    basis = table.basis[:, columns]
    if (basis == BASES.index(UNKNOWN)).any():
        return np.nan
    return float(np.isin(basis, [BASES.index(name) for name in UNCALIBRATED]).mean())


def inferred_share(table: Table, columns: Sequence[int]) -> float:
    """Return the share of the values of some columns that is only inferred; NaN where no origin is known."""
    known = table.origin[:, columns] != ORIGINS.index(UNKNOWN)
    return float(table.inferred[:, columns].mean()) if known.any() else np.nan


def marks_of(table: Table) -> NDArray[np.uint8]:
    """Return of each item, (N,), the sum of LACKING and OVERRULED where it has values that are so."""
    lacking = np.array([bool(names) for names in table.lacking])
    overruled = np.array([bool(names) for names in table.overruled])
    return np.asarray(LACKING * lacking + OVERRULED * overruled, dtype=np.uint8)


def limit_facts(table: Table, names: Sequence[str]) -> Facts:
    """Return the limit of some variables, of what it is, and the risks up to which they are accepted.

    limit: the first one's. of: `mean` or `each`. thresholds: [lowest, highest] of those that keep a mean,
    null where none was found, so that the limit caps each risk. highest: the highest risk of what the records
    accept, null where they accept nothing.
    """
    policy, variables = table.base.policy, table.base.variables
    name = names[0]
    known = [one for one in names if one in policy.thresholds and one in policy.mean_limits]
    risks = [risk for one in known for risk in policy.highest_risks(variables[one])]
    columns = [table.levels.index(one) for one in names]
    accepted = table.risk[:, columns][table.accepted[:, columns]]
    return {
        "limit": policy.limits.get(name),
        "of": "mean" if name in policy.mean_limits else "each",
        "thresholds": [rounded(min(risks)), rounded(max(risks))] if risks else None,
        "highest": rounded(accepted.max()) if accepted.size else None,
    }


def _counts(basis: NDArray[np.int64]) -> list[int]:
    return [int(count) for count in np.bincount(basis[basis >= 0], minlength=len(BASES))]


def _total(named: Iterable[tuple[str, ...]]) -> int:
    return sum(map(len, named))
