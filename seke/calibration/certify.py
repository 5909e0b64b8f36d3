"""A guarantee on accepted values: thresholds are certified on gold that the fit never saw."""

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

# Share of the gold that fits; the rest certifies.
FITTING = 1 / 3
# Items that are decided at once, to bound memory.
BATCH = 2048
# So few may end before the policy does: what they do to a share of errors is within its bound's slack.
MOST_SHORT = 0.01


@dataclass(frozen=True)
class Promise:
    """The guarantee asked for: at most `alpha` wrong among accepted values, with probability 1 - `delta`."""

    alpha: float
    delta: float = 0.1

    def __post_init__(self) -> None:
        for name in ("alpha", "delta"):
            if not 0 < getattr(self, name) < 1:
                raise SekeError(f"{name} is {getattr(self, name):g}; it must lie between 0 and 1")


@dataclass(frozen=True)
class Parts:
    """Masks (N,): items with gold, and those of them that fit; the others with gold certify."""

    known: NDArray[np.bool_]
    fits: NDArray[np.bool_]

    @classmethod
    def of(cls, gold: Gold, groups: tuple[str | None, ...] | None, rng: np.random.Generator) -> Parts:
        """Split the items with gold at random; the items of a subject stay together.

        Raises:
            engine.SekeError: an item with gold and no group, where groups are given.
        """
        known = np.any([~np.isnan(values) for values in gold.values.values()], axis=0)
        if groups is not None and any(groups[i] is None for i in np.flatnonzero(known)):
            raise SekeError("some items with gold have no group; give every one its subject")
        subjects = None if groups is None else [str(groups[i]) for i in np.flatnonzero(known)]
        fits = np.zeros(len(known), dtype=bool)
        fits[known] = split(int(known.sum()), subjects, FITTING, rng)
        return cls(known, fits)

    @property
    def learned_from(self) -> NDArray[np.bool_]:
        """Return the items that the fit may see, (N,)."""
        return self.fits | ~self.known


def issue_guarantee(
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
    """Certify the thresholds of a calibrated base on the gold that the fit did not see.

    base: as it was written and read again; its digests are what the guarantee holds for. recorded: the
    samples one by one, where it is to be promised of items that are asked as the base's policy asks.

    Raises:
        engine.SekeError: too many items whose recording ends before the policy does.
    """
    session = Session.open(base, population, seed)
    answers, gold = answers.only(parts.known), gold.only(parts.known)
    if recorded is not None:
        answers = _answers_by_policy(session, recorded.about(set(answers.items)))
    count = len(answers.items)
    stages = [answers.part(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]
    judged = [session.judge(part) for part in stages]
    levels = {
        name: LevelDecision.stacked([judged_stage.decisions.levels[name] for judged_stage in judged])
        for name in judged[0].decisions.levels
        if name in gold.values
    }
    fit_to_accept = [
        acceptable(base, part, j.diagnostics.conflict) for part, j in zip(stages, judged, strict=True)
    ]
    subjects = None if groups is None else [groups[i] for i in np.flatnonzero(parts.known)]
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
        groups=subjects,
        rng=np.random.default_rng(seed),
    )


def _answers_by_policy(session: Session, recorded: SingleSamples) -> Answers:
    """Return the answers that the policy asks for when it is replayed on recorded samples."""
    replayed = replay(session, recorded)
    short, count, policy = int(replayed.short.sum()), len(replayed.short), session.knowledge.policy
    if short > MOST_SHORT * count:
        raise SekeError(
            f"of {short} of the {count} items with gold the policy would ask for more than was recorded; to "
            f"certify what it accepts, draw up to its budget ({policy.budget}) of all that it may ask"
        )
    return replayed.answers
