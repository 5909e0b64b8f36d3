"""What limits by the cautious risk buy where the truth comes from a base that is not quite the declared one.

Sixteen worlds are drawn from the shipped base within its strengths; items and answers of each are made up by
the world and decided by the declared base, once as it is and once with draws of its own.
"""

from __future__ import annotations

import numpy as np
import pytest

import seke
from engine.analysis.knowledge_draws import count_numbers, draw_base
from engine.metrics.strengths import stratified
from seke.inference.session import Session
from seke.samples import answers_from

pytestmark = pytest.mark.slow
WORLDS, ITEMS, DRAWS = 16, 300, 3
# Limits that leave enough accepted values to count errors in.
LIMITS = {"binary": 0.05, "interval": 0.2}


def errors(base, name, level, truth):
    """Whether each decided value is wrong, (N,)."""
    return np.abs(level.value - truth) > base.policy.tolerance.get(name, 0.5)


def test_fewer_values_are_wrong_than_at_the_risk_alone():
    base = seke.knowledge()
    session = Session.open(base, knowledge_uncertainty=True)
    # Worlds of another seed than the session's draws.
    places = stratified(np.random.default_rng(99), WORLDS, count_numbers(base))
    # Accepted, wrong and stated wrong, by variable, kind of risk and world.
    counts = {}
    for world, row in enumerate(places):
        (batch,) = seke.simulate(draw_base(base, row), ITEMS, questions=["joint"], draws=DRAWS, seed=world)
        (answers,) = answers_from(batch.samples, base)
        truth = {label["item"]: label for label in batch.truth}
        for name, level in session.levels(answers).items():
            kind = base.variables[name].kind
            if kind not in LIMITS:
                continue
            wrong = errors(base, name, level, np.array([truth[item][name] for item in answers.items]))
            for word, risk in (("plain", level.risk), ("cautious", level.cautious_risk)):
                chosen = level.eligible & (risk <= LIMITS[kind])
                counted = np.array([chosen.sum(), wrong[chosen].sum(), level.risk[chosen].sum()])
                key = name if kind == "interval" else "action units", word
                counts.setdefault(key, np.zeros((WORLDS, 3)))[world] += counted
    for (name, word), by_world in counts.items():
        accepted, wrong, stated = by_world.sum(0)
        worst = (by_world[:, 1] / np.maximum(by_world[:, 0], 1)).max()
        print(
            f"{name:12} {word:8} accepted {accepted:5.0f}  wrong {wrong / accepted:.3f}  "
            f"stated {stated / accepted:.3f}  worst world {worst:.3f}"
        )
    for name in dict.fromkeys(name for name, _ in counts):
        plain, cautious = (counts[name, word].sum(0) for word in ("plain", "cautious"))
        assert 0 < cautious[0] < plain[0]
        assert cautious[1] / cautious[0] < plain[1] / plain[0]
        # What is stated of all that the risk alone accepts holds for what the cautious risk accepts.
        assert cautious[1] / cautious[0] < plain[2] / plain[0]
