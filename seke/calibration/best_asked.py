"""How far down items are asked for certificates: chosen on the part of the gold that fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import predicted_thresholds, risk_of_each

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine import Bools, Floats, Gold, Knowledge, LevelDecision, Policy
    from seke.calibration.decided_items import DecidedItems
    from seke.calibration.promise import Promise

    # Variable -> a risk for each of its values.
    Risks = Mapping[str, tuple[float, ...]]

# Shares of the predicted thresholds down to which items may be asked, a doubling apart: a judgement.
SHARES = (1.0, 0.5, 0.25)


@dataclass(frozen=True)
class CertificationTest:
    """What is tested with N items of gold, whatever they were asked; the fields are those of `certify`."""

    base: Knowledge
    promise: Promise
    gold: Gold
    in_fit_split: Bools
    groups: Sequence[object] | None
    rng: np.random.Generator

    def about(
        self, decided: DecidedItems
    ) -> tuple[Knowledge, Mapping[str, LevelDecision], Bools, Gold, Bools]:
        """Return base, decisions, what is allowed (N,), gold, and who is of the fit part (N,)."""
        levels = {name: level for name, level in decided.levels.items() if name in self.gold.values}
        return self.base, levels, decided.allowed, self.gold, self.in_fit_split

    def settings(self) -> dict[str, Any]:
        """Return the promise, the subjects and the chance, by name."""
        promise = self.promise
        numbers = {"alpha": promise.alpha, "delta": promise.delta, "breadth": promise.breadth}
        return {**numbers, "groups": self.groups, "rng": self.rng}

    def predicted(self, decided: DecidedItems) -> Risks:
        """Return about the thresholds that the test would end with, as its fit split predicts."""
        return predicted_thresholds(*self.about(decided), **self.settings())


@dataclass(frozen=True)
class AskedGold:
    """Items as they were asked, down to `aims`: by the policy itself where there are none."""

    decided: DecidedItems
    aims: Risks | None = None

    def net_worth(self, test: CertificationTest, cost: Floats) -> float:
        """Return what the fit's part accepts is worth at the predicted thresholds, less what it cost.

        cost: (N,) of each item's answers.
        """
        policy, total = test.base.policy, -float(cost[test.in_fit_split].sum())
        for name, thresholds in test.predicted(self.decided).items():
            if name in policy.worth and name in self.decided.levels:
                level = self.decided.levels[name]
                threshold = risk_of_each(test.base.variables[name], thresholds, level.value)
                accepted = self.decided.allowed & level.eligible & (level.risk <= threshold)
                total += policy.worth[name] * int(accepted[test.in_fit_split].sum())
        return total


def best_asked(
    test: CertificationTest, policy: Policy, ask: Callable[[Risks | None], tuple[AskedGold, Floats]]
) -> AskedGold:
    """Return the items as they are best asked for the certificates.

    What is accepted is right as often as in the test only among items that are asked as those of the test
    were, so how far down to ask is settled before it. Asked down to a threshold itself nearly all items end
    just below it, and err more often than those that came there from a higher risk; asked down to the
    policy's limits they may cost answers that no certificate needs. So the items are asked down to several
    risks, and that counts under which the fit's part accepts the most worth, less its cost. The part that
    certifies has no say. A value without hope is never asked about.

    Args:
        test: of the same items.
        policy: whose limits are the first risk that is tried.
        ask: returns the items asked down to a risk for each value (None: as the policy asks), and what the
            answers of each cost, (N,).
    """
    by_policy, cost = ask(None)
    predicted = test.predicted(by_policy.decided)
    if not any(map(any, predicted.values())):
        return by_policy
    variables = test.base.variables
    hopeful = {name: np.array(risks) > 0 for name, risks in predicted.items()}
    down_to = [
        {name: np.where(hopeful[name], policy.highest_risks(variables[name]), 0.0) for name in predicted},
        *({name: share * np.array(risks) for name, risks in predicted.items()} for share in SHARES),
    ]
    attempts = [(by_policy.net_worth(test, cost), by_policy)]
    for aims in ({name: tuple(risks.tolist()) for name, risks in by_name.items()} for by_name in down_to):
        asked, cost = ask(aims)
        attempts.append((asked.net_worth(test, cost), asked))
    return max(attempts, key=lambda attempt: attempt[0])[1]
