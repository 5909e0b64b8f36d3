"""The decisions about one variable of many items."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from engine.backend.types import Bools, Floats


@dataclass(frozen=True)
class LevelDecision:
    """One variable's decisions about N items.

    accepted: (N,). value: (N,) state index or mean. risk: (N,). eligible: (N,) whether it may be accepted at
    all, whatever its risk. origin: (N,) see `decision.origin`. lacking: (N,) whether it would be accepted but
    that its own answers tell too little of it (`Policy.evidence`). basis: (N,) on what it would rest, see
    `decision.basis`.
    """

    accepted: Bools
    value: Floats
    risk: Floats
    eligible: Bools
    origin: NDArray[np.int8]
    lacking: Bools
    basis: NDArray[np.int8]

    def of(self, chosen: NDArray[Any]) -> LevelDecision:
        """Return the decisions about some items, by a mask (N,) or their indices."""
        return LevelDecision(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @classmethod
    def stacked(cls, parts: Sequence[LevelDecision]) -> LevelDecision:
        """Return the decisions about several batches of items as one."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))
