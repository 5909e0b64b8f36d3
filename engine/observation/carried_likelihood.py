"""The likelihood of an observer's readings of one variable, of which a share is what it settled on.

Each of its readings k brings out what the observer settled on, m, in the share κ = carry, and sees the item
anew else: Σ_m C[x, m] Π_k (κ L_k(m) + (1 - κ) Σ_r C[x, r] L_k(r)).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import is_tensor, namespace, run_sums, take_rows
from engine.observation.kernels import LEAST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.backend.types import Array, Ints

# Numbers of a temporary array at most: 32 MB.
MOST_CELLS = 4_000_000


def log_mixture(table: Array, mix: Array) -> Array:
    """Return log Σ_m mix[x, m] exp(table[p, m]), (P, X)."""
    xp = namespace(table)
    peak = xp.amax(table, 1)[:, None]
    return _log(xp.exp(table - peak) @ mix.T) + peak


def _log(array: Array) -> Array:
    """Return the log of each number, clipped at LEAST, of the array's shape; a numpy array is overwritten."""
    if is_tensor(array):
        return array.clip(LEAST).log()
    numbers = np.asarray(array)
    return np.log(np.maximum(numbers, LEAST, out=numbers), out=numbers)


def carried_log_likelihood(
    mix: Array, likelihood: Array, row: Ints, rows: int, carry: Array | float
) -> Array:
    """Return log Σ_m C[x, m] Π_k (κ L_k(m) + (1 - κ) Σ_r C[x, r] L_k(r)), (rows, K).

    mix: C (K, M); likelihood: log L_k, (P, M); row: (P,) the row that each reading k belongs to, every row
    has one; carry: κ.
    """
    xp = namespace(mix)
    log_mix = xp.log(xp.clip(mix, LEAST, None))
    parts = []
    for logs, peak in settled_logs(mix, likelihood, row, rows, carry):
        total = logs + log_mix
        high = xp.amax(total, 2)[:, :, None]
        mixed = xp.log(xp.exp(total - high).sum(2)) + high[:, :, 0]
        parts.append(mixed + peak[:, None])
    return xp.concatenate(parts)


def settled_logs(
    mix: Array, likelihood: Array, row: Ints, rows: int, carry: Array | float
) -> Iterator[tuple[Array, Array]]:
    """Yield log Π_k (κ L_k(m) + (1 - κ) Σ_r C[x, r] L_k(r)) of some rows, (n, K, M), less their peaks (n,).

    One part of the rows after the other; arguments as those of `carried_log_likelihood`.
    """
    xp = namespace(mix)
    order = np.argsort(row, kind="stable")
    starts = np.searchsorted(row[order], np.arange(rows))
    peak = xp.amax(likelihood, 1)
    seen = xp.exp(likelihood - peak[:, None])
    fresh = seen @ mix.T
    ends = np.append(starts[1:], len(row))
    first = 0
    while first < rows:
        most = starts[first] + max(1, MOST_CELLS // mix.shape[0] // mix.shape[1])
        last = max(int(np.searchsorted(ends, most, side="right")), first + 1)
        part = order[starts[first] : ends[last - 1]]
        begin = starts[first:last] - starts[first]
        inner = carry * take_rows(seen, part)[:, None, :] + (1 - carry) * take_rows(fresh, part)[:, :, None]
        yield run_sums(_log(inner), begin), run_sums(take_rows(peak, part), begin)
        first = last
