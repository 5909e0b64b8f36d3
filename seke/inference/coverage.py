"""The items of a batch that a guarantee covers, and the values that it allows to be accepted.

An item that was answered otherwise than the calibration items is not covered: it is decided as if there were
no guarantee. Where those were answered until the policy asked no more, nothing is accepted of an item before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import certified_thresholds, decide_certified, mismatches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine import Answers, Bools, Guarantee, Knowledge, LevelDecision, Option

    Record = dict[str, Any]

# Decimal places of certified limits.
DIGITS = 9


@dataclass(frozen=True)
class GuaranteeScope:
    """Which of N items a guarantee covers.

    outside: N texts, why it does not cover an item, empty where it does.
    """

    base: Knowledge
    guarantee: Guarantee
    outside: tuple[str, ...]

    @classmethod
    def of(
        cls,
        base: Knowledge,
        guarantee: Guarantee,
        answers: Answers,
        off_policy: Mapping[str, str],
    ) -> GuaranteeScope:
        """Return the scope of a guarantee: items that were sampled as the calibration items were.

        off_policy: item -> in which way it was asked otherwise than the policy asks.
        """
        reasons = mismatches(guarantee.design, base, answers)
        outside = tuple(
            reason or off_policy.get(item, "") for item, reason in zip(answers.items, reasons, strict=True)
        )
        return cls(base, guarantee, outside)

    @property
    def inside(self) -> Bools:
        """Whether each item is covered, (N,)."""
        return np.array([not reason for reason in self.outside], dtype=bool)

    def decide_levels(
        self,
        levels: Mapping[str, LevelDecision],
        covered: Mapping[str, LevelDecision],
        allowed: Bools,
        following: Sequence[Option | None],
    ) -> dict[str, LevelDecision]:
        """Return the levels by certified thresholds where an item is covered.

        covered: the decisions about all items as if each was. allowed: see `acceptable`. following: what is
        asked next; where the guarantee is about items that a policy asks, nothing is accepted before all is
        asked.
        """
        asks_more = np.array([option is not None for option in following], dtype=bool)
        finished = ~(asks_more & self.guarantee.design.adaptive)
        certified = decide_certified(self.base, self.guarantee, covered, allowed & finished)
        return {
            name: replace(
                level,
                accepted=np.where(self.inside, certified[name].accepted, level.accepted),
                basis=np.where(self.inside, certified[name].basis, level.basis),
                lacking=np.where(self.inside, certified[name].lacking, level.lacking),
            )
            for name, level in levels.items()
        }

    def columns(self, name: str, level: LevelDecision) -> tuple[list[bool], list[float | None]]:
        """Return whether each acceptance of a variable is certified, and the highest risk that would be."""
        threshold = certified_thresholds(self.base.variables[name], self.guarantee, level.value)
        thresholds = np.where(self.inside, threshold, np.nan)
        limits = [None if np.isnan(limit) else round(float(limit), DIGITS) for limit in thresholds]
        return (level.accepted & self.inside).tolist(), limits

    def items(self) -> Iterator[Record]:
        """Yield the `guarantee` field of each item's decision."""
        for reason in self.outside:
            yield {
                "alpha": self.guarantee.alpha,
                "delta": self.guarantee.delta,
                "holds": not reason,
                "why": reason,
            }

    def reasons(self, levels: Mapping[str, LevelDecision]) -> list[tuple[str, ...]]:
        """Return for each item its required variables without a certificate for their value."""
        policy = self.base.policy
        required = [name for level in policy.required for name in self.base.levels[level]]
        lacking = {
            name: self.inside
            & np.isnan(certified_thresholds(self.base.variables[name], self.guarantee, levels[name].value))
            for name in required
        }
        return [
            tuple(f"uncertified: {name}" for name, lacks in lacking.items() if lacks[i])
            for i in range(len(self.outside))
        ]
