"""One of several outcomes, drawn with given probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from engine.backend.types import Floats, Ints


def choose(p: Floats, u: Floats) -> Ints:
    """Return the index (N,) at which the running sum of each row of p (N, states) passes u (N,)."""
    reached = (np.cumsum(p, axis=1) < u[:, None] * p.sum(1, keepdims=True)).sum(1)
    return np.asarray(np.minimum(reached, p.shape[1] - 1))
