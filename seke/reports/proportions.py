"""Shares with intervals, and the probabilities that stand for the truth: gold, or else the posterior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import Floats, Gold
    from seke.reports.records_table import RecordTable


# Standard normal quantile of 95 % intervals.
Z = 1.96
# Decimal places of numbers in the page.
DIGITS = 4


def wilson(share: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Return the lower and upper limits of 95 % intervals of shares (Wilson 1927).

    share, n and the limits have one shape. n may be an expected count; with n = 0 the interval is (0, 1).
    Source: doi:10.1080/01621459.1927.10502953.
    """
    n = np.maximum(np.asarray(n, dtype=np.float64), 1e-12)
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def json_numbers(values: Any, digits: int = DIGITS) -> Any:
    """Return a number, or nested lists of an array's numbers, rounded, with None for NaN."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim:
        return [json_numbers(row, digits) for row in array]
    return None if np.isnan(array) else round(float(array), digits)


def truth_probabilities(table: RecordTable, gold: Gold | None) -> tuple[Mapping[str, Floats], str]:
    """Return variable -> (N, K) P(state) of the root and the binary variables, and `gold` or `posterior`.

    Rows of gold are 1 at its state, and NaN where it is unknown; variables that gold lacks are left out.
    """
    if gold is None:
        probabilities = {table.base.root: table.root}
        for b, name in enumerate(table.binaries):
            probabilities[name] = np.stack([1 - table.binary[:, b], table.binary[:, b]], axis=1)
        return probabilities, "posterior"
    known = {}
    for name in (table.base.root, *table.binaries):
        if name in gold.values:
            values, states = gold.values[name], len(table.base.variables[name].states)
            hot = np.eye(states)[np.nan_to_num(values).astype(int)]
            known[name] = np.where(np.isnan(values)[:, None], np.nan, hot)
    return known, "gold"
