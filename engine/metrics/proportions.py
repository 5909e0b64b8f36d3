"""How often something happens in items that may be weighted and may come in groups, with an interval.

The share is p = Σ w y / Σ w. Its variance, to first order, is that of the sum of the groups' residuals,

    var = G / (G - 1) · Σ_g (Σ_{i in g} w_i (y_i - p))² / (Σ w)²,

G the number of groups (without the first factor where each item is its own). The interval is Wilson's (1927,
doi:10.1080/01621459.1927.10502953) for as many independent items as would leave the share as uncertain,
n = p (1 - p) / var: the effective size of Korn and Graubard (1998, Survey Methodology 24:193).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import ndtri

if TYPE_CHECKING:
    from engine.backend.types import Bools, Floats, Ints

LEVEL = 0.95


@dataclass(frozen=True)
class IntervalEstimate:
    """A figure of a table, its interval, the items behind it.

    And how many independent ones they are worth.
    """

    value: float
    low: float
    high: float
    items: int
    size: float


def wilson(p: float, size: float, level: float = LEVEL) -> tuple[float, float]:
    """Return Wilson's interval of a share p of so many independent items; the size may be a fraction."""
    if size <= 0:
        return 0.0, 1.0
    z = quantile(level)
    centre = p + z**2 / (2 * size)
    half = z * math.sqrt(max(p * (1 - p), 0.0) / size + z**2 / (4 * size**2))
    whole = 1 + z**2 / size
    # Where nothing or everything happened, one end is that share itself but for rounding.
    low = 0.0 if p <= 0 else (centre - half) / whole
    high = 1.0 if p >= 1 else (centre + half) / whole
    return max(low, 0.0), min(high, 1.0)


def quantile(level: float = LEVEL) -> float:
    """Return how many standard deviations a two-sided interval of this level reaches."""
    return float(ndtri((1 + level) / 2))


def share(
    happened: Bools, weights: Floats | None = None, groups: Ints | None = None, level: float = LEVEL
) -> IntervalEstimate:
    """Return the share of items in which something happened.

    happened: (n,). weights: (n,) above 0, all equal by default. groups: (n,) the group of each item, each its
    own by default. Without an item the share is NaN, between 0 and 1.
    """
    n = len(happened)
    if not n:
        return IntervalEstimate(math.nan, 0.0, 1.0, 0, 0.0)
    w = np.ones(n) if weights is None else weights
    total = float(w.sum())
    p = float(w @ happened / total)
    alone = total**2 / float(w @ w)
    variance = group_variance(w * (happened - p), groups) / total**2
    if variance > 0:
        size = min(p * (1 - p) / variance, alone)
    else:
        # All alike: nothing shows how groups hang together, so each counts once.
        size = alone if groups is None else min(alone, float(len(np.unique(groups))))
    return IntervalEstimate(p, *wilson(p, size, level), n, size)


def group_variance(residuals: Floats, groups: Ints | None) -> float:
    """Return the variance of the sum of residuals (n,) that are independent between groups only."""
    if groups is None:
        return float(residuals @ residuals)
    _, index = np.unique(groups, return_inverse=True)
    sums = np.bincount(index, residuals)
    count = len(sums)
    if count > 1:
        return float(sums @ sums) * count / (count - 1)
    # Of a single group nothing tells how far groups differ: as if all its residuals went one way.
    return float(np.abs(residuals).sum()) ** 2
