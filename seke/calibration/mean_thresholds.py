"""A fit -> the thresholds that keep limits of the mean: of items as answered, and as the policy asks.

Of items as answered a threshold is a matter of their risks alone (`engine.decision.limits`). Where the policy
asks, it also matters how far down it does: items asked until each is at some risk are nearly all just below
it. Were that the threshold itself, it could only be found by finding itself, and a low one would confirm
itself, for nothing is asked that cannot reach it. So there are two numbers. Items are asked down to an `aim`;
whatever ends above it is accepted, too, as far as the mean allows: up to the threshold, which says nothing of
what is asked. Aims are tried at several shares of the limits, the same for all variables. Under each the
policy asks the recorded items, choosing among what is recorded of them, and the thresholds are those of the
items as they end. The best aims are those under which the accepted are worth most, less what they cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine import FitDraws, Threshold, set_thresholds, thresholds_by_value
from seke.sampling.replay import replay

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine import Answers, Fit, LevelDecision
    from seke.inference.session import Session
    from seke.samples import SingleSamples

    # A variable, and the value that a threshold is of (`Threshold`).
    Key = tuple[str, str]

# Items on which thresholds are found: where there are more, so many of them by chance. The limit is kept to
# about sqrt(limit / items), .02 at a limit of .05.
MOST_ITEMS = 150
# Shares of its limit down to which a risk may be asked, half a doubling apart: a judgement. Below the limit
# the mean has room for what ends above; risks asked down to more than the limit would leave it none.
SHARES = (1.0, 2**-0.5, 0.5, 2**-1.5, 0.25)


def thresholds_of(
    session: Session,
    fit: Fit,
    answers: Answers,
    rng: np.random.Generator,
    population_n: float | None,
    recorded: SingleSamples | None,
) -> tuple[tuple[Threshold, ...], tuple[Threshold, ...]]:
    """Return the thresholds that keep limits of the mean: of items as answered, and as the policy asks.

    session: of the base as it was written. recorded: the samples of the items one by one;
    None where the policy cannot be followed on them.
    """
    policy = session.network.knowledge.policy
    policy = replace(policy, thresholds={}, adaptive_thresholds={}, aims={}, adaptive_aims={})
    session = session.under(policy)
    if not session.without_threshold or not len(answers.items):
        return (), ()
    if len(answers.items) > MOST_ITEMS:
        chosen = np.zeros(len(answers.items), dtype=bool)
        chosen[rng.permutation(len(chosen))[:MOST_ITEMS]] = True
        answers = answers.only(chosen)
    draws = FitDraws.of(fit, session.inference, rng, population_n)
    plain = _thresholds(session, draws, answers)
    if recorded is None:
        return plain, ()
    return plain, _Search(session, draws, recorded.about(set(answers.items))).best()


def _thresholds(session: Session, draws: FitDraws, answers: Answers) -> tuple[Threshold, ...]:
    """Return the thresholds of items as they are answered."""
    base = session.network.knowledge
    least = base.policy.calibrated_from
    levels = _levels_with_threshold(session, answers)
    if not levels:
        return ()
    drawn = draws.risks(answers, levels)
    thresholds = []
    for name, level in levels.items():
        limit = base.policy.limits[name]
        risks = drawn.risk[name], drawn.weight
        means = set_thresholds(base.variables[name], base.policy, level, least, *risks)
        for value, mean in means.items():
            thresholds.append(Threshold(name, value, limit, mean.risk, mean.items, mean.accepted, mean.mean))
    return tuple(thresholds)


def _levels_with_threshold(session: Session, answers: Answers) -> dict[str, LevelDecision]:
    """Return the decisions about variables whose limit is of the mean, and that enough items speak of."""
    policy = session.network.knowledge.policy
    levels = session.levels(answers)
    return {
        name: levels[name]
        for name in policy.limits
        if name in policy.mean_limits and levels[name].eligible.sum() >= policy.calibrated_from
    }


@dataclass(frozen=True)
class _Search:
    """Searches how far down to ask, and the thresholds of items that are asked so.

    session: without thresholds. recorded: the items.
    """

    session: Session
    draws: FitDraws
    recorded: SingleSamples

    def best(self) -> tuple[Threshold, ...]:
        """Return the thresholds of the share of the limits that is best aimed at."""
        plain = self.under(1.0)
        if not plain.keys:
            return ()
        tried = [plain, *(self.under(share, plain.keys) for share in SHARES if share != 1)]
        # Where a value is too seldom met to have a threshold, its aim would hold for the search alone.
        whole = [attempt for attempt in tried if attempt.keys == plain.keys]
        return max(whole, key=lambda attempt: attempt.net_worth).thresholds

    def under(self, share: float, keys: Collection[Key] = ()) -> _Attempt:
        """Return what becomes of the items when they are asked down to a share of the limits.

        keys: variables and values of which that is so; all others are asked down to the limit itself.
        """
        base = self.session.network.knowledge
        by_name: dict[str, dict[str, float]] = {}
        for name, value in keys:
            by_name.setdefault(name, {})[value] = self._aim(name, share)
        aims = {
            name: thresholds_by_value(base.variables[name], base.policy.limits[name], by_value)
            for name, by_value in by_name.items()
        }
        session = self.session.under(replace(base.policy, aims=aims, adaptive_aims=aims))
        asked = replay(session, self.recorded, among_recorded=True)
        thresholds = tuple(
            replace(threshold, aim=self._aim(threshold.variable, share))
            for threshold in _thresholds(self.session, self.draws, asked.answers)
        )
        worth = sum(base.policy.worth[threshold.variable] * threshold.accepted for threshold in thresholds)
        return _Attempt(thresholds, worth - float(asked.cost.sum()))

    def _aim(self, name: str, share: float) -> float:
        policy = self.session.network.knowledge.policy
        return min(share * policy.limits[name], policy.worst)


@dataclass(frozen=True)
class _Attempt:
    """Thresholds of items asked down to one share of the limits.

    net_worth: what they accept is worth, less what it cost to ask.
    """

    thresholds: tuple[Threshold, ...]
    net_worth: float

    @property
    def keys(self) -> frozenset[Key]:
        """The variables and values that enough items have for a threshold."""
        return frozenset((threshold.variable, threshold.value) for threshold in self.thresholds)
