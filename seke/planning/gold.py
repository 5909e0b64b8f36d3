"""The effect of gold on a base: a calibration on simulated items with gold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine import SekeError, declared_of, is_person
from seke.inference.session import Session
from seke.samples import only_about
from seke.sampling.simulate import simulate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Answers of each item with gold: a few, so that a fit sees how they scatter.
GOLD_DRAWS = 5


def calibrate_on_gold(
    session: Session, count: int, made_up: Mapping[str, Any], seed: int, variables: Sequence[str] = ()
) -> Session:
    """Return a session of the base calibrated on `count` simulated items with gold.

    made_up: who answers about them, and how (`simulate`); whom the policy asks first by default. People are
    not calibrated. variables: those that gold is of; all by default.

    Raises:
        engine.SekeError: no items; a policy that asks nothing.
    """
    from seke.calibration.calibrate import calibrate

    if count < 1:
        raise SekeError(f"gold: {count} items; allowed is 1 or more")
    base, asked = session.knowledge, session.first
    if asked is None:
        raise SekeError(f"the policy of {base.name} asks nothing, so there is nothing to calibrate")
    policy = base.policy
    observers = [name for name in made_up["observers"] or (policy.ask,) if not is_person(base, name)]
    answering = {**made_up, "observers": observers, "questions": [asked.question], "draws": GOLD_DRAWS}
    # Other items than those that are planned for.
    parts = list(simulate(base, count, seed=seed + 1, **answering))
    samples, truth = ([row for part in parts for row in getattr(part, key)] for key in ("samples", "truth"))
    if variables:
        samples = only_about(samples, base, variables)
        truth = [{key: row[key] for key in ("item", *variables)} for row in truth]
    population = session.inference.population
    calibration = calibrate(
        samples, base, truth, population=population, seed=seed, models=policy.models, with_checks=False
    )
    ready = declared_of(base).with_overlay(calibration.overlay)
    # Whom a plan asks, and how long, is not of the YAML; what the fit has found is.
    fitted = ready.policy
    ready = replace(
        ready,
        policy=replace(
            policy,
            thresholds=fitted.thresholds,
            adaptive_thresholds=fitted.adaptive_thresholds,
            adaptive_aims=fitted.adaptive_aims,
        ),
    )
    return Session.open(ready, population, seed).asking()
