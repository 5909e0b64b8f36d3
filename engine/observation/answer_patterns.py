"""All answers that some draws of one reading can give, as counts."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import gammaln

if TYPE_CHECKING:
    from engine.backend.types import Floats


def answer_patterns(size: int, batch: int) -> tuple[Floats, Floats]:
    """Return all patterns of counts of `batch` draws over `size` answers, (patterns, size).

    The second array is the log of the number of orders in which each pattern comes, (patterns,).
    """
    draws = np.array(list(itertools.combinations_with_replacement(range(size), batch)))
    counts = np.stack([(draws == answer).sum(1) for answer in range(size)], axis=1).astype(np.float64)
    return counts, gammaln(batch + 1) - gammaln(counts + 1).sum(1)
