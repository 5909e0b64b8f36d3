"""A guarantee for what will be accepted: items of gold that the fit never saw certify its thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine import (
    Answers,
    Gold,
    Guarantee,
    LevelDecision,
    SekeError,
    acceptable,
    certify,
    design_of,
    split,
)
from seke.inference.session import Session
from seke.sampling.replay import replay

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine import Knowledge
    from seke.samples import SingleSamples

FITTING = 1 / 3
BATCH = 2048
# So few may end before the policy does: what they do to a share of errors is within its bound's slack.
MOST_SHORT = 0.01


@dataclass(frozen=True)
class Promise:
    """What is asked for: at most `alpha` wrong among what is accepted, with probability 1 - `delta`."""

    alpha: float
    delta: float = 0.1

    def __post_init__(self) -> None:
        for name in ("alpha", "delta"):
            if not 0 < getattr(self, name) < 1:
                raise SekeError(f"{name} is {getattr(self, name):g}; it must lie between 0 and 1")


@dataclass(frozen=True)
class Parts:
    """Which items have gold, and which of these fit, (N,); the others of them certify, and fit nothing."""

    known: NDArray[np.bool_]
    fits: NDArray[np.bool_]

    @classmethod
    def of(cls, gold: Gold, groups: tuple[str | None, ...] | None, rng: np.random.Generator) -> Parts:
        """Split the gold; subjects stay whole.

        Raises:
            engine.SekeError: an item with gold and no group, where groups are given.
        """
        known = np.any([~np.isnan(values) for values in gold.values.values()], axis=0)
        if groups is not None and any(groups[i] is None for i in np.flatnonzero(known)):
            raise SekeError("some items with gold have no group; give every one its subject")
        mine = None if groups is None else [str(groups[i]) for i in np.flatnonzero(known)]
        fits = np.zeros(len(known), dtype=bool)
        fits[known] = split(int(known.sum()), mine, FITTING, rng)
        return cls(known, fits)

    @property
    def learned_from(self) -> NDArray[np.bool_]:
        """Return the items that the fit may see."""
        return self.fits | ~self.known


def guaranteed(
    base: Knowledge,
    population: str,
    answers: Answers,
    gold: Gold,
    parts: Parts,
    groups: tuple[str | None, ...] | None,
    promise: Promise,
    made: str,
    seed: int,
    recorded: SingleSamples | None = None,
) -> Guarantee:
    """Return what can be promised of what the calibrated base accepts.

    base: as it was written and read again; its digests are what the guarantee holds for. recorded: the
    samples one by one, where it is to be promised of items that are asked as the base's policy asks.

    Raises:
        engine.SekeError: too many items whose recording ends before the policy does.
    """
    session = Session.open(base, population, seed)
    answers, gold = answers.only(parts.known), gold.only(parts.known)
    if recorded is not None:
        answers = _asked(session, recorded.about(set(answers.items)))
    count = len(answers.items)
    stages = [answers.part(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]
    judged = [session.judge(part) for part in stages]
    levels = {
        name: LevelDecision.stacked([one.decisions.levels[name] for one in judged])
        for name in judged[0].decisions.levels
        if name in gold.values
    }
    fit_to_accept = [
        acceptable(base, part, j.diagnostics.conflict) for part, j in zip(stages, judged, strict=True)
    ]
    mine = None if groups is None else [groups[i] for i in np.flatnonzero(parts.known)]
    return certify(
        base,
        levels,
        np.concatenate(fit_to_accept),
        gold,
        parts.fits[parts.known],
        alpha=promise.alpha,
        delta=promise.delta,
        population=population,
        design=design_of(base, stages, adaptive=recorded is not None),
        made=made,
        groups=mine,
        rng=np.random.default_rng(seed),
    )


def _asked(session: Session, recorded: SingleSamples) -> Answers:
    """Return the answers that the policy would have asked for."""
    found = replay(session, recorded)
    short, count, policy = int(found.short.sum()), len(found.short), session.network.knowledge.policy
    if short > MOST_SHORT * count:
        raise SekeError(
            f"of {short} of the {count} items with gold the policy would ask for more than was recorded; to "
            f"certify what it accepts, draw up to its budget ({policy.budget}) of all that it may ask"
        )
    return found.answers
