"""Decisions about items with gold, a part of them at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine import LevelDecision, acceptable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import Answers, Bools, Floats
    from seke.inference.session import Session

# Items that are decided at once, to bound memory.
BATCH = 2048


@dataclass(frozen=True)
class DecidedItems:
    """The decisions about N items as the policy makes them in the end.

    stages: their answers, in parts. levels: variable -> decisions, (N,). allowed: whether anything of an item
    may be accepted, (N,). marginals: variable -> P(state), (states,), the mean over all items.
    """

    stages: tuple[Answers, ...]
    levels: Mapping[str, LevelDecision]
    allowed: Bools
    marginals: Mapping[str, Floats]

    @classmethod
    def of(cls, session: Session, answers: Answers) -> DecidedItems:
        """Decide the items, BATCH at a time."""
        base, count = session.knowledge, len(answers.items)
        stages = [answers.part(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]
        judged = [session.judge(part) for part in stages]
        levels = {
            name: LevelDecision.stacked([stage.decisions.levels[name] for stage in judged])
            for name in judged[0].decisions.levels
        }
        allowed = [
            acceptable(base, part, stage.diagnostics.conflict)
            for part, stage in zip(stages, judged, strict=True)
        ]
        by_stage = [stage.posterior.marginals for stage in judged]
        marginals = {
            name: np.concatenate([marginals[name] for marginals in by_stage]).mean(0) for name in by_stage[0]
        }
        return cls(tuple(stages), levels, np.concatenate(allowed), marginals)
