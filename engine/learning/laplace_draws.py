"""A Laplace approximation of shares -> draws whose shares are Beta, not logistic-normal.

A row of a table with a Dirichlet posterior is a chain of independent sticks, stick k ~ Beta(a, b), and the
fit's coordinate of each is its logit, shifted by a constant. There the density is proportional to
p^a (1 - p)^b: its mode is p = a / (a + b), the stick's mean, and its curvature (a + b) p (1 - p). So mode and
curvature give back a and b without error (the Laplace bridge, MacKay 1998, doi:10.1023/A:1007558615313, in
these coordinates), where a Gaussian of this curvature lies far off: a share of .06 that counts for eight
answers is .11 in the mean of its draws, and one that counts for half an answer .33.

Coordinates that depend on one another are drawn with the correlations of the Gaussian, mapped quantile by
quantile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv, expit, logit, ndtr

if TYPE_CHECKING:
    from engine.backend.types import Floats


# A share nearer to 0 or 1 is drawn as this: its logit is finite, and no answer is ever so improbable.
LEAST_SHARE = 1e-12
# The fewest answers that a stick counts for: below, quantiles of a Beta underflow.
LEAST_COUNT = 1e-4


def draw_shares(mode: Floats, root: Floats, shift: Floats, drawn: Floats) -> Floats:
    """Return draws (S, P) of unconstrained coordinates of which some are logits of shares.

    mode: (P,). root: (P, P), a square root of the Laplace covariance. shift: (P,), subtracted from a
    coordinate to make it the logit of a stick; NaN for a coordinate that is no share and stays Gaussian.
    drawn: (S, P) standard normal numbers.
    """
    coordinates = mode + drawn @ root.T
    shares = ~np.isnan(shift)
    sd = np.sqrt((root**2).sum(1))[shares]
    stick = expit(mode[shares] - shift[shares])
    spread = np.maximum(stick * (1 - stick), LEAST_SHARE)
    count = 1 / (sd**2 * spread)
    quantile = ndtr((coordinates[:, shares] - mode[shares]) / sd)
    first, second = (np.maximum(part * count, LEAST_COUNT) for part in (stick, 1 - stick))
    share = betaincinv(first, second, quantile).clip(LEAST_SHARE, 1 - LEAST_SHARE)
    coordinates[:, shares] = logit(share) + shift[shares]
    return coordinates
