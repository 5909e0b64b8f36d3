"""A guarantee on accepted values: thresholds are certified on gold that the fit never saw."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import (
    Answers,
    Breadth,
    Guarantee,
    LevelDecision,
    SekeError,
    acceptable,
    certify,
    design_of,
    predicted_thresholds,
    risk_of_each,
    split,
)
from seke.sampling.replay import replay

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine import Bools, Floats, Gold, Knowledge
    from seke.calibration.labelled_answers import LabelledAnswers
    from seke.inference.session import Session
    from seke.samples import SingleSamples

    # Variable -> a risk for each of its values.
    Risks = Mapping[str, tuple[float, ...]]

# Share of the gold that fits; the rest certifies.
FITTING = 1 / 3
# Items that are decided at once, to bound memory.
BATCH = 2048
# Shares of the predicted thresholds down to which items may be asked, a doubling apart: a judgement.
SHARES = (1.0, 0.5, 0.25)
# Share of items whose recording may end before the policy does: small beside the slack of the bound.
MOST_SHORT = 0.01


@dataclass(frozen=True)
class Promise:
    """The guarantee asked for: at most `alpha` wrong among accepted values, with probability 1 - `delta`.

    adaptive: of items that are asked as the policy asks. breadth: what each promise is about, see
    `engine.certify`.
    """

    alpha: float
    delta: float = 0.1
    adaptive: bool = False
    breadth: Breadth = Breadth.LEVELS

    def __post_init__(self) -> None:
        for name in ("alpha", "delta"):
            if not 0 < getattr(self, name) < 1:
                raise SekeError(f"{name} is {getattr(self, name):g}; it must lie between 0 and 1")

    @classmethod
    def of(
        cls, alpha: float | None, delta: float, *, adaptive: bool, breadth: str = Breadth.LEVELS
    ) -> Promise | None:
        """Return the promise; None where there is no alpha."""
        if breadth not in tuple(Breadth):
            raise SekeError(f"breadth is {breadth!r}; allowed are {', '.join(Breadth)}")
        if alpha is None and adaptive:
            raise SekeError("certifying items that the policy asks needs alpha")
        if alpha is None and breadth != Breadth.LEVELS:
            raise SekeError("to certify each value, or pooled ones, needs alpha")
        return None if alpha is None else cls(alpha, delta, adaptive, Breadth(breadth))


@dataclass(frozen=True)
class Parts:
    """Masks (N,): items with gold, and those of them that fit; the others with gold certify."""

    known: Bools
    fits: Bools

    @classmethod
    def of(cls, every: LabelledAnswers, rng: np.random.Generator) -> Parts:
        """Split the items with gold at random; the items of a subject stay together.

        Raises:
            engine.SekeError: an item with gold and no group, where groups are given.
        """
        known = every.known
        groups = None if every.groups is None else list(itertools.compress(every.groups, known))
        if groups is not None and None in groups:
            raise SekeError("some items with gold have no group; every item needs its subject")
        fits = np.zeros(len(known), dtype=bool)
        fits[known] = split(int(known.sum()), groups, FITTING, rng)
        return cls(known, fits)

    @property
    def learned_from(self) -> Bools:
        """Return the items that the fit may see, (N,)."""
        return self.fits | ~self.known


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


def issue_guarantee(
    session: Session,
    every: LabelledAnswers,
    parts: Parts,
    promise: Promise,
    made: str,
    rng: np.random.Generator,
    recorded: SingleSamples | None = None,
) -> Guarantee:
    """Certify the thresholds of a calibrated base on the gold that the fit did not see.

    session: of the base as it was written and read again; the guarantee holds for its digests. recorded: the
    samples one by one, if the guarantee is about items that are asked as the policy asks.

    Raises:
        engine.SekeError: too many items whose recording ends before the policy does.
    """
    # What the base was certified for before is no part of how it asks now.
    session, labelled = replace(session, guarantee=None), every.only(parts.known)
    base = session.knowledge
    test = _Test(base, promise, labelled.gold, parts.fits[parts.known], labelled.groups, rng)
    if recorded is None:
        asked = _Asked(DecidedItems.of(session, labelled.answers))
    else:
        asked = _best_asked(session, recorded.about(set(labelled.answers.items)), test)
    return certify(
        *test.about(asked.decided),
        **test.settings(),
        population=session.inference.population,
        design=design_of(base, asked.decided.stages, adaptive=recorded is not None),
        made=made,
        aims=asked.aims,
    )


@dataclass(frozen=True)
class _Test:
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
        """Return base, decisions, what is allowed, gold and parts."""
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
class _Asked:
    """Items as they were asked, down to `aims`: by the policy itself where there are none."""

    decided: DecidedItems
    aims: Risks | None = None

    def net_worth(self, test: _Test, cost: Floats) -> float:
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


def _best_asked(session: Session, recorded: SingleSamples, test: _Test) -> _Asked:
    """Return the items as they are best asked for the certificates.

    What is accepted is right as often as in the test only among items that are asked as those of the test
    were, so how far down to ask is settled before it. Asked down to a threshold itself nearly all items end
    just below it, and err more often than those that came there from a higher risk; asked down to the
    policy's limits they may cost answers that no certificate needs. So the policy is followed through the
    recorded items down to several risks, and that counts under which the fit's part accepts the most worth,
    less its cost. The part that certifies has no say. A value without hope is never asked about.
    """
    by_policy, cost = _asked_by(session, recorded, None)
    predicted = test.predicted(by_policy.decided)
    if not any(map(any, predicted.values())):
        return by_policy
    policy, variables = session.asking().knowledge.policy.aimed_at(), test.base.variables
    hopeful = {name: np.array(risks) > 0 for name, risks in predicted.items()}
    down_to = [
        {name: np.where(hopeful[name], policy.highest_risks(variables[name]), 0.0) for name in predicted},
        *({name: share * np.array(risks) for name, risks in predicted.items()} for share in SHARES),
    ]
    attempts = [(by_policy.net_worth(test, cost), by_policy)]
    for aims in ({name: tuple(risks.tolist()) for name, risks in by_name.items()} for by_name in down_to):
        asked, cost = _asked_by(session, recorded, aims)
        attempts.append((asked.net_worth(test, cost), asked))
    return max(attempts, key=lambda attempt: attempt[0])[1]


def _asked_by(session: Session, recorded: SingleSamples, aims: Risks | None) -> tuple[_Asked, Floats]:
    """Return recorded items as the policy asks them down to some risks, and the cost of each item's answers.

    aims: variable -> the risk for each value; None for the policy's own.
    """
    if aims is not None:
        policy = replace(session.knowledge.policy, aims=aims, adaptive_aims=aims)
        session = session.with_policy(policy)
    replayed = replay(session, recorded)
    short, count, policy = int(replayed.short.sum()), len(replayed.short), session.knowledge.policy
    if short > MOST_SHORT * count:
        raise SekeError(
            f"for {short} of the {count} items with gold the policy would ask for more answers than were "
            f"recorded; record as many as its budget ({policy.budget}) for everything that it may ask"
        )
    return _Asked(DecidedItems.of(session, replayed.answers), aims), replayed.cost
