"""The decisions about one variable of many items."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from engine.backend.types import Bools, Floats


# Standard deviations of the risk that are added to it where limits apply: a judgement; five in six values of
# a normal distribution are below its mean and one standard deviation.
CAUTION = 1.0
# Where nothing is in doubt, its share is 0.
LEAST_DOUBT = 1e-12


def cautious(risk: Floats, risk_sd: Floats) -> Floats:
    """Return the risk that limits and thresholds are about, (...): risk + CAUTION risk_sd, at most 1."""
    return np.asarray(np.minimum(risk + CAUTION * risk_sd, 1.0))


@dataclass(frozen=True)
class LevelDecision:
    """One variable's decisions about N items.

    accepted: (N,). value: (N,) state index or mean. risk: (N,). eligible: (N,) whether it may be accepted at
    all, whatever its risk. origin: (N,) see `decision.origin`. lacking: (N,) whether it would be accepted but
    that its own answers tell too little of it (`Policy.evidence`). basis: (N,) on what it would rest, see
    `decision.basis`. risk_sd, risk_mean: (N,) standard deviation and mean of the risk of the same value under
    draws of the base's numbers; 0 and the risk where none were drawn.
    """

    accepted: Bools
    value: Floats
    risk: Floats
    eligible: Bools
    origin: NDArray[np.int8]
    lacking: Bools
    basis: NDArray[np.int8]
    risk_sd: Floats
    risk_mean: Floats

    @property
    def cautious_risk(self) -> Floats:
        """The risk that limits and thresholds are about, (N,)."""
        return cautious(self.risk, self.risk_sd)

    @property
    def knowledge_share(self) -> Floats:
        """How much of the doubt comes from the base's numbers, (N,), from 0 to 1.

        Whether a value is wrong has the variance m (1 - m), m the mean risk over draws; that of the risk over
        draws is the part that would go if the numbers were known (law of total variance).
        """
        doubt = self.risk_mean * (1 - self.risk_mean)
        return np.asarray(self.risk_sd**2 / np.maximum(doubt, LEAST_DOUBT))

    def of(self, chosen: NDArray[Any]) -> LevelDecision:
        """Return the decisions about some items, by a mask (N,) or their indices."""
        return LevelDecision(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @classmethod
    def stacked(cls, parts: Sequence[LevelDecision]) -> LevelDecision:
        """Return the decisions about several batches of items as one."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))
