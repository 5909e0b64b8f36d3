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

    outside: N texts, why it does not cover an item, empty where it does. finished: (N,) whether nothing more
    is to be asked of an item; true of all where the guarantee was not made with items that a policy asks.
    """

    base: Knowledge
    guarantee: Guarantee
    outside: tuple[str, ...]
    finished: Bools

    @classmethod
    def of(
        cls,
        base: Knowledge,
        guarantee: Guarantee,
        answers: Answers,
        following: Sequence[Option | None],
        off_policy: Mapping[str, str],
    ) -> GuaranteeScope:
        """Return the scope of a guarantee: items that were sampled as the calibration items were.

        following: what is next. off_policy: item -> in which way it was asked otherwise than the policy asks.
        """
        reasons = mismatches(guarantee.design, base, answers)
        outside = tuple(
            reason or off_policy.get(item, "") for item, reason in zip(answers.items, reasons, strict=True)
        )
        asks_more = np.array([option is not None for option in following], dtype=bool)
        return cls(base, guarantee, outside, ~(asks_more & guarantee.design.adaptive))

    @property
    def inside(self) -> Bools:
        """Whether each item is covered, (N,)."""
        return np.array([not reason for reason in self.outside], dtype=bool)

    def decide_levels(self, levels: Mapping[str, LevelDecision], allowed: Bools) -> dict[str, LevelDecision]:
        """Return the levels by certified thresholds where an item is covered; allowed: see `acceptable`."""
        certified = decide_certified(self.base, self.guarantee, levels, allowed & self.finished)
        return {
            name: replace(
                level,
                accepted=np.where(self.inside, certified[name].accepted, level.accepted),
                basis=np.where(self.inside, certified[name].basis, level.basis),
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
