"""Stated probabilities against what happened: the reliability diagram, and ECE beside its null interval.

    ECE = sum_b n_b / n |share_b - stated_b|

over bins of (nearly) equally many items (Naeini et al. 2015, doi:10.1609/aaai.v29i1.9602). ECE is above 0
for perfectly calibrated statements too, the more so the fewer the items. What it would be for them is found
by drawing outcomes from the stated probabilities, as if they were independent given these (Bröcker and Smith
2007, doi:10.1175/WAF993.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.backend.types import Floats, Ints


NULL = (0.05, 0.95)  # quantiles of the null interval
NULL_TIMES = 1000


@dataclass(frozen=True)
class NullInterval:
    """Where calibrated statements would lie between the quantiles NULL.

    low, high: of ECE; lows, highs (B,): of the share that happens in each bin.
    """

    low: float
    high: float
    lows: Floats
    highs: Floats


@dataclass(frozen=True)
class Reliability:
    """n statements: the stated probability (n,), whether it happened (n,) 0 or 1, and its bin (n,)."""

    stated: Floats
    happened: Floats
    bin: Ints

    @classmethod
    def of(cls, stated: Floats, happened: Floats, bins: int) -> Reliability:
        """Put statements into at most so many bins of equal mass; equal statements stay together."""
        if not len(stated):
            return cls(stated, happened, np.zeros(0, dtype=np.int64))
        edges = np.quantile(stated, np.arange(1, bins) / bins, method="inverted_cdf")
        return cls(stated, happened, np.unique(np.searchsorted(edges, stated), return_inverse=True)[1])

    def ece(self) -> float:
        """Return the expected calibration error; NaN without any statement.

        It has no bootstrap interval: the chance of a resample adds to it, so that one would lie too high.
        """
        if not len(self.stated):
            return float("nan")
        gaps = np.bincount(self.bin, weights=self.happened - self.stated)
        return float(np.abs(gaps).sum() / len(self.stated))

    def diagram(self) -> tuple[Ints, Floats, Floats]:
        """Return of each bin the number of statements, their mean, and the share that happened, (B,) each."""
        counts = np.bincount(self.bin)
        stated, happened = (np.bincount(self.bin, values) for values in (self.stated, self.happened))
        return counts.astype(np.int64), stated / counts, happened / counts


def null_intervals(
    statements: Sequence[Reliability], seed: int, times: int = NULL_TIMES
) -> list[NullInterval]:
    """Return of each the quantiles of ECE and of the diagram's shares if its statements were calibrated.

    The outcomes of as many statements are drawn by the same random numbers. seed: of these.
    """
    happened = [np.empty((times, int(reliability.bin.max()) + 1)) for reliability in statements]
    for size in {len(reliability.stated) for reliability in statements}:
        rng = np.random.default_rng(seed)
        same = [
            (reliability.stated.astype(np.float32), reliability.bin, rows)
            for reliability, rows in zip(statements, happened, strict=True)
            if len(reliability.stated) == size
        ]
        for time in range(times):
            chance = rng.random(size, dtype=np.float32)
            for stated, bins, rows in same:
                rows[time] = np.bincount(bins, weights=chance < stated, minlength=rows.shape[1])
    return [_null(*pair) for pair in zip(statements, happened, strict=True)]


def _null(reliability: Reliability, happened: Floats) -> NullInterval:
    """Return the quantiles over numbers (times, B) of statements of each bin that happened."""
    counts, means, _ = reliability.diagram()
    ece = np.abs(happened - counts * means).sum(1) / len(reliability.stated)
    low, high = np.quantile(ece, NULL)
    lows, highs = np.quantile(happened / counts, NULL, axis=0)
    return NullInterval(float(low), float(high), lows, highs)
