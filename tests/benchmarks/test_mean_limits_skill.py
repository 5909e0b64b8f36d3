"""Limits of the mean on weak and strong observers: what caution about the fit costs and buys.

    pytest tests/benchmarks/test_mean_limits_skill.py -m slow -s

Observers are those of test_simulated_skill: of known skill, around a table that the base does not declare.
GOLD faces with five draws each calibrate (`seke.calibrate`, population learned); the threshold that keeps a
limit of the mean is found on these faces, and TESTED others are decided with it at five draws. It is found
with the policy's caution (the .8 quantile over draws of the fit), with none (.5, the median), and from the
risks as the fit states them, which choosing the smallest makes too low. Figures are pooled over observers,
with the standard error between them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from test_simulated_skill import (
    DATA,
    LEARNED_DRAWS,
    SKILLS,
    STATES,
    TESTED,
    populations,
    samples,
    simulated,
    standard_error,
    write_base,
)

import seke
from engine import Answers, set_thresholds
from engine.decision.limits import TIE
from seke.calibration.mean_thresholds import thresholds_of
from seke.inference.session import Session
from seke.samples import answers_from

GOLD, LIMITS = (56, 156), (0.05, 0.1)
CONFIDENCES = (0.8, 0.5)
SEEDS = 6
# How much the error of what is accepted may exceed its limit.
TOLERANCE = 0.03

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here"),
]


@dataclass(frozen=True)
class Share:
    """Of one observer's TESTED faces the shares accepted, accepted and wrong, and stated to be."""

    coverage: float
    wrong: float
    risk: float

    @classmethod
    def of(cls, level, right, threshold):
        accepted = level.eligible & (level.risk <= threshold + TIE)
        return cls(accepted.mean(), (accepted & ~right).mean(), (level.risk * accepted).mean())


class Observer:
    """A simulated observer, its gold, and what is tested of it."""

    def __init__(self, skill, shares, seed, folder):
        self.folder, self.base_path = folder, write_base(folder, "other set")
        self.base_path.write_text(
            self.base_path.read_text().replace(
                "limits: {expression: 0.05}", "limits: {expression: {mean: 0.05}}"
            )
        )
        rng = np.random.default_rng([seed, round(100 * skill)])
        self.truth, self.draws = simulated(skill, shares, TESTED + max(GOLD), LEARNED_DRAWS, rng)

    def answers(self, base, faces):
        return Answers.stacked(list(answers_from(samples(self.draws, faces, LEARNED_DRAWS), base)))

    def shares(self, size):
        """Yield (limit, how its threshold was found) and the Share of what is accepted with it."""
        known, overlay = range(TESTED, TESTED + size), self.folder / "fit.yaml"
        labels = [{"item": f"{face:05d}", "expression": STATES[self.truth[face]]} for face in known]
        rows = list(samples(self.draws, known, LEARNED_DRAWS))
        fit = seke.calibrate(rows, self.base_path, labels, learn_population=True, output=overlay)
        overlay.write_text(fit.overlay)
        session = Session.open(seke.knowledge(overlay))
        base = session.knowledge
        policy, variable = base.policy, base.variables["expression"]
        gold = self.answers(base, known)
        level = session.levels(self.answers(base, range(TESTED)))["expression"]
        right = level.value.astype(int) == self.truth[:TESTED]
        for limit in LIMITS:
            limits = replace(policy, limits={**policy.limits, "expression": limit}, thresholds={})
            for confidence in CONFIDENCES:
                chosen = session.under(replace(limits, confidence=confidence))
                rng = np.random.default_rng(0)
                (threshold,) = thresholds_of(chosen, fit.fit, gold, rng, fit.facts["population_n"], None)[0]
                if (limit, confidence) == (0.05, policy.confidence):
                    (frozen,) = fit.record.thresholds
                    assert frozen.risk == pytest.approx(threshold.risk, abs=1e-6)
                yield (limit, f"confidence {confidence}"), Share.of(level, right, threshold.risk)
            caps = session.under(limits).levels(gold)["expression"]
            (threshold,) = set_thresholds(variable, limits, caps).values() if size >= 60 else (None,)
            if threshold is not None:
                yield (limit, "as stated"), Share.of(level, right, threshold.risk)
            yield (limit, "each"), Share.of(level, right, limit)


def pooled(shares):
    """Coverage, share of the accepted that is wrong with the ratio's standard error, and the share stated."""
    coverage, wrong, risk = (
        np.array([getattr(share, key) for share in shares]) for key in ("coverage", "wrong", "risk")
    )
    whole = max(coverage.sum(), 1e-12)
    error = wrong.sum() / whole
    spread = standard_error(wrong - error * coverage) / max(coverage.mean(), 1e-12)
    return coverage.mean(), error, spread, risk.sum() / whole


@pytest.mark.parametrize("population", ["balanced", "in the wild"])
@pytest.mark.parametrize("skill", SKILLS)
def test_what_is_accepted_of_simulated_observers_keeps_the_mean(skill, population, tmp_path, capsys):
    shares_by_case = {}
    for seed in range(SEEDS):
        observer = Observer(skill, populations()[population], seed, tmp_path)
        for size in GOLD:
            for key, share in observer.shares(size):
                shares_by_case.setdefault((size, *key), []).append(share)
    lines, faults = [f"  skill {skill}, {population}, {SEEDS} observers"], {}
    for (size, limit, how), shares in shares_by_case.items():
        coverage, error, spread, stated = pooled(shares)
        text = f"accepted {coverage:.3f}, wrong {error:.3f} ± {spread:.3f}, stated {stated:.3f}"
        if how == "confidence 0.8" and error > limit + TOLERANCE:
            faults[size, limit] = text
        nothing = "; nothing" if coverage == 0 else ""
        lines.append(f"    gold {size:3d}, mean {limit}, {how:14} {text}{nothing}")
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert faults == {}
