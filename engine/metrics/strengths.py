"""What the strength n of a declared number says of it: as if it had been seen in n items.

* share p: Beta(n p, n (1 - p));
* log odds ratio: standard deviation 4 / √n, as of four cells with a quarter of n items each;
* mean of a variable with standard deviation s: s / √n; log of that: 1 / √(2n);
* correlation: 1 / √(n - 3) on Fisher's z.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv

if TYPE_CHECKING:
    from engine.backend.types import Floats


def share_quantile(p: float, n: float, at: float) -> float:
    """Return a quantile of Beta(n p, n (1 - p)); p itself where it is 0 or 1, or n is 0."""
    return float(betaincinv(n * p, n * (1 - p), at)) if n and 0 < p < 1 else p


def log_ratio_sd(n: float) -> float:
    """Return the standard deviation of the log of an odds ratio."""
    return 4 / math.sqrt(n)


def mean_sd(sd: float, n: float) -> float:
    """Return the standard deviation of the mean of a variable that has the standard deviation sd."""
    return sd / math.sqrt(n)


def log_sd_sd(n: float) -> float:
    """Return the standard deviation of the log of a standard deviation."""
    return 1 / math.sqrt(2 * n)


def fisher_z_sd(n: float) -> float:
    """Return the standard deviation of a correlation on Fisher's z; of n under 4 that of n = 4."""
    return 1 / math.sqrt(max(n - 3, 1))


def stratified(rng: np.random.Generator, draws: int, count: int) -> Floats:
    """Return uniform numbers (draws, count), of each column one in each of `draws` equal parts of (0, 1).

    Latin hypercube sampling (McKay, Beckman & Conover 1979, doi:10.2307/1268522): a mean
    over few draws is nearer to that over many.
    """
    order = rng.random((draws, count)).argsort(axis=0)
    return np.asarray((order + rng.random((draws, count))) / draws)
