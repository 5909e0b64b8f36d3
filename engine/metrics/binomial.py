"""The exact binomial test: how many errors among so many say that a rate is below a level.

Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import bdtrik, betaincc, betaincinv

if TYPE_CHECKING:
    from engine.backend.types import Bools, Floats, Ints


def fewest(alpha: float, share: float) -> int:
    """Return how many accepted units without an error certify: the least n with (1 - alpha)^n <= share."""
    return math.ceil(math.log(share) / math.log1p(-alpha) - 1e-12)


def passes(n: Ints | int, errors: Ints | int, alpha: float, share: float) -> Bools:
    """Return whether counts, of any shape, reject that more than alpha err.

    They do where P(Binomial(n, alpha) <= errors) <= share.
    """
    return np.asarray(tail(n, errors, alpha) <= share)


def passes_once(n: int, errors: int, alpha: float, share: float) -> bool:
    """Return `passes` of one pair of counts, at a twentieth of the time that arrays of one number take."""
    return errors < n and bool(betaincc(errors + 1, n - errors, alpha) <= share)


def tail(n: Ints | int, errors: Ints | int, p: Floats | float) -> Floats:
    """Return P(Binomial(n, p) <= errors) = 1 - I_p(errors + 1, n - errors), of their common shape."""
    n, errors = np.asarray(n), np.asarray(errors)
    return np.where(errors < n, betaincc(errors + 1, np.maximum(n - errors, 1), p), 1.0)


def most_errors(n: Ints, alpha: float, share: float) -> Ints:
    """Return the largest number of errors among n, (...), that passes the test; -1 where none does."""
    # Where the tail, continued between whole numbers, comes to the share; its last digits may be wrong.
    least = np.floor(np.nan_to_num(bdtrik(share, n.astype(np.float64), alpha))).astype(np.int64)
    return np.asarray(least - 1 + passes(n, least, alpha, share) + passes(n, least + 1, alpha, share))


def upper_bound(n: int, errors: int, share: float) -> float:
    """Return the upper bound of Clopper and Pearson at level 1 - share; 1 where nothing was seen."""
    return 1.0 if errors >= n else float(betaincinv(errors + 1, n - errors, 1 - share))
