"""Mean, standard deviation and correlation of values that may come in groups, each with an interval.

Variances are those of the figures' influence functions, summed within groups: r_i = x_i - m of a mean,
(r_i² - s²) / (2 s) of a deviation, and u v - r (u² + v²) / 2 of a correlation of standardised values
(Hampel et al. 1986). The interval of a mean is Student's, that of a deviation on its log, that of a
correlation on Fisher's z.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from engine.metrics.proportions import LEVEL, IntervalEstimate, group_variance, quantile

if TYPE_CHECKING:
    from engine.backend.types import Floats, Ints

# A correlation this near to 1 has no interval.
MOST_CORRELATION = 1 - 1e-9


def mean_estimate(values: Floats, groups: Ints | None = None) -> IntervalEstimate:
    """Return the mean of values (n,) with Student's interval; groups: (n,)."""
    n = len(values)
    if n < 2 or not np.ptp(values):
        return IntervalEstimate(
            float(values.mean()) if n else math.nan, -math.inf, math.inf, n, float(min(n, 1))
        )
    mean = float(values.mean())
    variance = group_variance(values - mean, groups) / n**2
    size = min(float(values.var()) / variance, n) if variance > 0 else 1.0
    reach = float(stdtrit(max(size - 1, 1), (1 + LEVEL) / 2)) * math.sqrt(variance * size / max(size - 1, 1))
    return IntervalEstimate(mean, mean - reach, mean + reach, n, size)


def deviation_estimate(values: Floats, groups: Ints | None = None) -> IntervalEstimate:
    """Return the standard deviation of values (n,), with an interval by the spread of their squares."""
    n = len(values)
    if n < 2 or not np.ptp(values):
        return IntervalEstimate(0.0 if n else math.nan, 0.0, math.inf, n, float(min(n, 1)))
    square = (values - values.mean()) ** 2
    variance = float(square.mean())
    of_square = group_variance(square - variance, groups) / n**2
    size = mean_estimate(values, groups).size
    deviation = math.sqrt(variance * n / (n - 1))
    factor = math.exp(quantile() * math.sqrt(of_square) / (2 * variance))
    return IntervalEstimate(deviation, deviation / factor, deviation * factor, n, size)


def correlation_estimate(first: Floats, second: Floats, groups: Ints | None = None) -> IntervalEstimate:
    """Return the correlation of values (n,) each; its interval is by its influence function.

    On Fisher's z.
    """
    n = len(first)
    if n < 3 or not np.ptp(first) or not np.ptp(second):
        return IntervalEstimate(math.nan, -1.0, 1.0, n, float(min(n, 1)))
    u, v = ((values - values.mean()) / values.std() for values in (first, second))
    r = float(np.clip((u * v).mean(), -MOST_CORRELATION, MOST_CORRELATION))
    variance = group_variance(u * v - r * (u**2 + v**2) / 2, groups) / n**2
    size = min(mean_estimate(first, groups).size, mean_estimate(second, groups).size)
    reach = quantile() * math.sqrt(variance) / (1 - r**2)
    middle = math.atanh(r)
    return IntervalEstimate(r, math.tanh(middle - reach), math.tanh(middle + reach), n, size)
