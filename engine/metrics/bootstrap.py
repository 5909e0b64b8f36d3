"""Resamples of items, as weights: how far a score would move with other items of the same kind.

A resample draws N items (or G whole groups of items) with replacement; the weight of an item is how
often it was drawn. A score that is a function of weights is then computed for many resamples at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from engine.backend.types import Floats, Ints

    Scores = Mapping[str, Floats]

LEAST_DEFINED = 0.9
_AT_ONCE = 2_000_000  # weights in one chunk


def resampled(groups: Ints, times: int, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Return weights (times, N) of bootstrap resamples of whole groups.

    groups: (N,) from 0 without gaps; each item its own where items are resampled by themselves.
    """
    count = int(groups.max()) + 1 if len(groups) else 0
    weights = np.empty((times, len(groups)), dtype=np.uint16)
    for row in weights:
        drawn = np.bincount(rng.integers(0, max(count, 1), count), minlength=count)
        row[:] = drawn[groups]
    return weights


def scored(score: Callable[[Floats], Scores], weights: NDArray[np.uint16], chosen: Ints) -> dict[str, Floats]:
    """Return for each score its values (times,) on resamples (times, N) of all items.

    score: takes weights (rows, n) of the n items that are chosen, those that it is about.
    """
    parts = [dict(score(chunk)) for chunk in _chunks(weights, chosen)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def scored_together(
    scores: Sequence[tuple[Callable[[Floats], Scores], Ints]],
    groups: Ints,
    times: int,
    rng: np.random.Generator,
) -> list[dict[str, Floats]]:
    """Return the values (times,) of several scores on resamples, as `scored` does.

    The memory that it takes does not grow with the resamples.

    scores: each with the items that it is about. groups, times, rng: those of `resampled`; the resamples are
    the same, but are drawn a few at a time, for all scores at once, and forgotten.
    """
    parts: list[list[Scores]] = [[] for _ in scores]
    rows = max(_AT_ONCE // max(len(groups), 1), 1)
    for start in range(0, times if scores else 0, rows):
        weights = resampled(groups, min(rows, times - start), rng).astype(np.float64)
        for (score, chosen), scored_so_far in zip(scores, parts, strict=True):
            # Indices that are all of them would only copy.
            of_chosen = weights if len(chosen) == len(groups) else weights[:, chosen]
            scored_so_far.append(dict(score(of_chosen)))
    return [
        {name: np.concatenate([part[name] for part in rows_of]) for name in rows_of[0]} if rows_of else {}
        for rows_of in parts
    ]


def _chunks(weights: NDArray[np.uint16], chosen: Ints) -> Iterator[Floats]:
    """Yield the weights of the chosen items, a few resamples at a time, (rows, n)."""
    rows = max(_AT_ONCE // max(len(chosen), 1), 1)
    for start in range(0, len(weights), rows):
        yield weights[start : start + rows][:, chosen].astype(np.float64)


def percentile_interval(values: Floats, level: float) -> tuple[float, float] | None:
    """Return the percentile bootstrap interval of a score's values (times,) on resamples.

    None where fewer than LEAST_DEFINED of the resamples have the score (are not NaN), and where all have the
    same: of a share of 0 or 1 they cannot tell how far it is from that elsewhere.
    """
    defined = values[~np.isnan(values)]
    if not len(values) or len(defined) < LEAST_DEFINED * len(values) or np.ptp(defined) == 0:
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def mcnemar(only_one: int, only_other: int) -> float:
    """Return the exact two-sided p value that one is right as often as the other, from their disagreements.

    only_one, only_other: items on which the one is right and the other wrong, and the reverse. Under the
    hypothesis they are Binomial(n, 1/2) (McNemar 1947, doi:10.1007/BF02295996). 1 where they never differ.
    """
    from scipy.stats import binomtest

    if only_one + only_other == 0:
        return 1.0
    return float(binomtest(only_one, only_one + only_other, 0.5).pvalue)
