"""Rankings whose later places depend on the truth: what a fit makes of them, and what is written of it."""

from __future__ import annotations

import numpy as np
import pytest

import seke
from engine import KnowledgeError
from engine import read as read_base
from seke.files.shipped import SHIPPED, shipped_folder

BASE = """
extends: shipped
observers:
  ranker:
    source: judgement
    note: Made up.
    askable: true
    categorical:
      expression: {accuracy: 0.5, repeat: 0.9, strength: 8, ranking: {bonus: 0.5}}
"""


def read(folder, text):
    (folder / "base.yaml").write_text(text)
    return seke.knowledge(folder / "base.yaml")


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """Rankings by Plackett-Luce: even habit, bonus 0.5, and fear draws surprise by 1.5."""
    folder = tmp_path_factory.mktemp("rankings")
    base, rng = read(folder, BASE), np.random.default_rng(3)
    states = base.variables["expression"].states
    samples, gold = [], []
    for i in range(1500):
        truth = rng.integers(len(states))
        table = np.full(len(states), 0.5 / (len(states) - 1))
        table[truth] = 0.5
        places = [int(rng.choice(len(states), p=table))]
        weight = np.exp(0.5 * (np.arange(len(states)) == truth))
        if states[truth] == "fear":
            weight[states.index("surprise")] *= np.exp(1.5)
        while len(places) < 3:
            weight[places[-1]] = 0
            places.append(int(rng.choice(len(states), p=weight / weight.sum())))
        item, ranked = f"f{i}", [states[k] for k in places]
        samples.append(
            {"item": item, "observer": "ranker", "question": "expression", "draw": 0, "expression": ranked}
        )
        gold.append({"item": item, "expression": states[truth]})
    calibrated = seke.calibrate(samples, base, gold, extends=str(folder / "base.yaml"))
    return folder, samples, calibrated


@pytest.mark.slow
def test_a_pull_is_found_and_the_others_stay_near_none(answered):
    _, _, calibrated = answered
    pulls = {entry.keys[-2:]: entry for entry in calibrated.entries if "pull" in entry.keys}
    assert len(pulls) == 8 * 7
    pull_entry = pulls.pop(("fear", "surprise"))
    # The prior, N(0, 0.3²), holds it back.
    assert 0.8 < pull_entry.value < 1.7
    scores = np.array([entry.value / entry.prior_sd for entry in pulls.values()])
    assert np.abs(scores).max() < 2
    assert all(entry.sd < entry.prior_sd for entry in pulls.values())


@pytest.mark.slow
def test_what_is_written_weighs_as_what_was_fitted(answered):
    folder, samples, calibrated = answered
    (folder / "fit.yaml").write_text(calibrated.overlay)
    fitted = read_base(folder / "fit.yaml", {SHIPPED: shipped_folder()})
    path = "observers.ranker.categorical.expression.ranking.pull.fear"
    assert f"{path}.surprise" in fitted.numbers
    assert f"{path}.sd.surprise" in fitted.numbers
    instrument = fitted.observers["ranker"].labels["expression"]
    states = fitted.variables["expression"].states
    written = instrument.pull[states.index("fear")][states.index("surprise")]
    record = next(iter(seke.infer(_first(samples, ["neutral", "surprise", "anger"]), fitted)))
    plain = read(folder, BASE)
    before = next(iter(seke.infer(_first(samples, ["neutral", "surprise", "anger"]), plain)))
    assert written > 0.8
    assert record["expression"]["fear"] > before["expression"]["fear"]


def _first(samples, ranking):
    return [{**samples[0], "expression": ranking}]


def test_a_declared_pull_by_hand(tmp_path):
    # Only places 2 and 3 tell fear from anger: P(surprise | fear) = e / (e + 6), else 1 / 7 of seven.
    pulled = BASE.replace("{bonus: 0.5}", "{bonus: 0, pull: {fear: {surprise: 1.0}}, habit: {HABIT}}")
    states = seke.knowledge().variables["expression"].states
    row = {s: ", ".join(f"{o}: {1 / 7}" for o in states if o != s) for s in states}
    habit = ", ".join(f"{s}: {{{row[s]}}}" for s in states)
    base = read(tmp_path, pulled.replace("HABIT", habit))
    samples = [{"item": "a", "observer": "ranker", "question": "expression", "draw": 0}]
    (record,) = seke.infer([{**samples[0], "expression": ["neutral", "surprise", "anger"]}], base)
    p, e = record["expression"], np.exp(1)
    second, third = (e / (e + 6)) / (1 / 7), (1 / 6) / (1 / 6)
    assert p["fear"] / p["sadness"] == pytest.approx(second * third, rel=1e-5)


def test_a_pull_on_its_own_name_is_the_bonus(tmp_path):
    with pytest.raises(KnowledgeError, match=r"fear.fear: .*other answer"):
        read(tmp_path, BASE.replace("{bonus: 0.5}", "{bonus: 0.5, pull: {fear: {fear: 1.0}}}"))
