"""The likelihood of an observer's readings of one variable, of which a share is what it settled on.

Each of its readings k brings out what the observer settled on, m, in the share κ = carry, and sees the item
anew else: Σ_m C[x, m] Π_k (κ L_k(m) + (1 - κ) Σ_r C[x, r] L_k(r)).
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import distinct, is_tensor, namespace, run_sums, take_rows
from engine.observation.kernels import LEAST
from engine.observation.reported_answers import distinct_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.backend.types import Array, Ints

# Numbers of a temporary array at most: 32 MB.
MOST_CELLS = 4_000_000
# Readings whose sets are gone through, 27 at most; of six there are 58, which are no quicker.
MOST_SUBSETS_OF = 5


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
    mix: Array, table: Array, pattern: Ints, row: Ints, rows: int, carry: Array | float
) -> Array:
    """Return log Σ_m C[x, m] Π_k (κ L_k(m) + (1 - κ) Σ_r C[x, r] L_k(r)), (rows, K).

    mix: C (K, M); table: (patterns, M), of which reading k has log L_k in row pattern[k], (P,); row: (P,) the
    row that each reading belongs to, every row has one; carry: κ.
    """
    xp = namespace(mix)
    which = None
    if len(table) < rows:
        # Rows whose readings answered alike, one after the other, are weighed once.
        pattern, row, which = distinct_runs(pattern, row, rows)
        rows = int(row[-1]) + 1
    likelihood = take_rows(table, pattern)
    order = np.argsort(row, kind="stable")
    counts = np.bincount(row, minlength=rows)
    starts = np.cumsum(counts) - counts
    parts, places = [], []
    for count in distinct(np.minimum(counts, MOST_SUBSETS_OF + 1)).tolist():
        if count <= MOST_SUBSETS_OF:
            place = np.flatnonzero(counts == count)
            readings = order[starts[place][:, None] + np.arange(count)]
            parts.append(_by_subsets(mix, likelihood, readings, carry))
        else:
            place = np.flatnonzero(counts > MOST_SUBSETS_OF)
            chosen = order[np.repeat(counts > MOST_SUBSETS_OF, counts)]
            new_row = np.repeat(np.arange(len(place)), counts[place])
            parts.append(_by_settled_type(mix, take_rows(likelihood, chosen), new_row, len(place), carry))
        places.append(place)
    back = np.argsort(np.concatenate(places))
    return take_rows(xp.concatenate(parts), back if which is None else back[which])


def _by_subsets(mix: Array, likelihood: Array, readings: Ints, carry: Array | float) -> Array:
    """Return `carried_log_likelihood` of rows that have the same number of readings, (rows, K).

    likelihood: log L, (P, M). readings: (rows, k) of each row. The product is written out as the sum over the
    sets S of readings that bring out what was settled on; as Σ_m C[x, m] L_k(m) is what a fresh look gives, a
    set of one is as none:

        Σ_S κ^|S| (1 - κ)^(k - |S|) Σ_m C[x, m] Π_S L_k(m) Π_not S Σ_r C[x, r] L_k(r).
    """
    xp = namespace(mix)
    count = readings.shape[1]
    settled = [take_rows(likelihood, column) for column in readings.T]
    fresh_by_reading = log_mixture(likelihood, mix)
    fresh = [take_rows(fresh_by_reading, column) for column in readings.T]
    weights = [(1 - carry) ** count + count * carry * (1 - carry) ** (count - 1)]
    terms = [sum(fresh[1:], fresh[0])]
    for size in range(2, count + 1):
        for chosen in combinations(range(count), size):
            together = log_mixture(sum((settled[k] for k in chosen[1:]), settled[chosen[0]]), mix)
            terms.append(sum((fresh[k] for k in range(count) if k not in chosen), together))
            weights.append(carry**size * (1 - carry) ** (count - size))
    used = [k for k, weight in enumerate(weights) if is_tensor(weight) or weight > 0]
    high = terms[used[0]]
    for k in used[1:]:
        high = xp.maximum(high, terms[k])
    return _log(sum(weights[k] * xp.exp(terms[k] - high) for k in used)) + high


def _by_settled_type(mix: Array, likelihood: Array, row: Ints, rows: int, carry: Array | float) -> Array:
    """Return `carried_log_likelihood`, (rows, K), of rows with any number of readings, type by type.

    likelihood: log L of each reading, (P, M).
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

    One part of the rows after the other; arguments as those of `_by_settled_type`.
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
