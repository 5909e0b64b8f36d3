"""A guarantee on accepted values: thresholds are certified on gold that the fit never saw."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine import (
    Guarantee,
    SekeError,
    certify,
    design_of,
    split,
)
from seke.calibration.best_asked import AskedGold, CertificationTest, best_asked
from seke.calibration.decided_items import DecidedItems
from seke.sampling.replay import replay

if TYPE_CHECKING:
    from engine import Bools, Floats
    from seke.calibration.best_asked import Risks
    from seke.calibration.labelled_answers import LabelledAnswers
    from seke.calibration.promise import Promise
    from seke.inference.session import Session
    from seke.samples import SingleSamples

# Share of the gold that fits; the rest certifies.
FITTING = 1 / 3
# Share of items whose recording may end before the policy does: small beside the slack of the bound.
MOST_SHORT = 0.01


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
        asked = AskedGold(DecidedItems.of(session, labelled.answers))
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


def _asked_by(session: Session, recorded: SingleSamples, aims: Risks | None) -> tuple[AskedGold, Floats]:
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
    return AskedGold(DecidedItems.of(session, replayed.answers), aims), replayed.cost
