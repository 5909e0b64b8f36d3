"""The common odds ratio of two things within strata, by Mantel and Haenszel.

With a, b, c, d the items of a stratum that have both, only the first, only the second and neither, and n
their sum,

    OR = Σ a d / n / Σ b c / n                  (Mantel & Haenszel 1959, doi:10.1093/jnci/22.4.719),

and with R, S the two sums, P = (a + d) / n, Q = (b + c) / n,

    var(ln OR) = Σ P R_k / 2R² + Σ (P S_k + Q R_k) / 2RS + Σ Q S_k / 2S²

(Robins, Breslow & Greenland 1986, doi:10.2307/2531052). Where R or S is 0, half an item is added to each cell
of every stratum that tells anything, that is, in which both things vary.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from engine.metrics.bootstrap import resampled
from engine.metrics.proportions import LEVEL, IntervalEstimate, quantile

if TYPE_CHECKING:
    from engine.backend.types import Bools, Floats, Ints

# Resamples of whole groups for a standard deviation; its own error is then 3 %.
TIMES = 500
CONTINUITY = 0.5


def mantel_haenszel(
    first: Bools,
    second: Bools,
    stratum: Ints,
    groups: Ints | None = None,
    *,
    level: float = LEVEL,
    seed: int = 0,
) -> IntervalEstimate | None:
    """Return the common odds ratio of two things over strata, None where no stratum tells anything.

    first, second, stratum: (n,). groups: (n,) the group of each item; its interval then has the standard
    deviation of ln OR over resamples of whole groups. The estimate's size is the number of items in strata
    that tell something.
    """
    strata, index = np.unique(stratum, return_inverse=True)
    cell = 2 * (1 - first.astype(np.int64)) + (1 - second.astype(np.int64))
    code, size = 4 * index + cell, 4 * len(strata)
    table = np.bincount(code, minlength=size).reshape(1, -1, 4).astype(np.float64)
    telling = _tells(table[0])
    if not telling.any():
        return None
    log_ratio = float(_log_ratio(table[:, telling])[0])
    if groups is None:
        deviation = math.sqrt(_variance(_continuous(table[:, telling])[0]))
    else:
        _, group = np.unique(groups, return_inverse=True)
        weights = resampled(group, TIMES, np.random.default_rng(seed))
        tables = np.stack([np.bincount(code, row, size) for row in weights], dtype=np.float64)
        tables = tables.reshape(TIMES, -1, 4)
        deviation = float(_log_ratio(tables[:, telling]).std())
    reach = quantile(level) * deviation
    low, value, high = (math.exp(log_ratio + shift) for shift in (-reach, 0.0, reach))
    return IntervalEstimate(value, low, high, len(first), float(table[0, telling].sum()))


def _tells(table: Floats) -> Bools:
    """Return in which strata both things vary, (strata,); table: (strata, 4)."""
    a, b, c, d = table.T
    return np.asarray(((a + b) * (c + d) > 0) & ((a + c) * (b + d) > 0))


def _sums(tables: Floats) -> tuple[Floats, Floats]:
    """Return a d / n and b c / n of each stratum, (R, strata) each; 0 in empty ones."""
    a, b, c, d = np.moveaxis(tables, -1, 0)
    n = np.maximum(tables.sum(-1), 1e-300)
    return np.asarray(a * d / n), np.asarray(b * c / n)


def _continuous(tables: Floats) -> Floats:
    """Return tables (R, strata, 4) with half an item added to the cells of those without a ratio."""
    concordant, discordant = (part.sum(1) for part in _sums(tables))
    without = (concordant <= 0) | (discordant <= 0)
    return np.asarray(tables + CONTINUITY * without[:, None, None])


def _log_ratio(tables: Floats) -> Floats:
    """Return ln OR of each table, (R,); tables: (R, strata, 4)."""
    concordant, discordant = (part.sum(1) for part in _sums(_continuous(tables)))
    return np.asarray(np.log(concordant / discordant))


def _variance(table: Floats) -> float:
    """Return the variance of ln OR of Robins, Breslow and Greenland; table: (strata, 4)."""
    a, b, c, d = table.T
    n = table.sum(1)
    p, q = (a + d) / n, (b + c) / n
    r, s = a * d / n, b * c / n
    total_r, total_s = r.sum(), s.sum()
    parts = p @ r / total_r**2, (p @ s + q @ r) / (total_r * total_s), q @ s / total_s**2
    return float(sum(parts) / 2)
