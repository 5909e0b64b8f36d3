"""A guarantee on accepted values: thresholds are certified on gold that the fit never saw."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

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
    split,
)
from seke.calibration.best_asked import AskedItems, CertificationTest, best_asked
from seke.sampling.replay import replay

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import Bools, Floats
    from seke.calibration.best_asked import Risks
    from seke.calibration.labelled_answers import LabelledAnswers
    from seke.inference.session import Session
    from seke.samples import SingleSamples

# Share of the gold that fits; the rest certifies.
FITTING = 1 / 3
# Items that are decided at once, to bound memory.
BATCH = 2048
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
    test = CertificationTest(base, promise, labelled.gold, parts.fits[parts.known], labelled.groups, rng)
    if recorded is None:
        asked = AskedItems(DecidedItems.of(session, labelled.answers))
    else:
        recorded = recorded.about(set(labelled.answers.items))
        policy = session.asking().knowledge.policy.aimed_at()
        asked = best_asked(test, policy, lambda aims: _asked_by(session, recorded, aims))
    return certify(
        *test.about(asked.decided),
        **test.settings(),
        population=session.inference.population,
        design=design_of(base, asked.decided.stages, adaptive=recorded is not None),
        made=made,
        aims=asked.aims,
    )


def _asked_by(session: Session, recorded: SingleSamples, aims: Risks | None) -> tuple[AskedItems, Floats]:
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
    return AskedItems(DecidedItems.of(session, replayed.answers), aims), replayed.cost
