"""Kinds of reading: kept where an observer has them and not where it has not, written as they were fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine import (
    Answers,
    Gold,
    Inference,
    Labels,
    SimulatedObserver,
    compile_network,
    entries_of,
    fit_observers,
    overlay_tree,
    prior_truth,
    read,
    replaced_paths,
    split_types,
    written,
)
from engine.model.knowledge import ReadingType

BASES = Path(__file__).parents[1] / "bases"
WEAR = "observers.fitter.categorical.wear"
ONE = (ReadingType(name="reading", repeat=0.9, strength=8),)
TWO = (
    ReadingType(name="easy", share=0.8, misread=0.3, repeat=0.97, strength=40),
    ReadingType(name="hard", share=0.2, misread=0.7, repeat=0.7, strength=2),
)


def silent(*_):
    """Tell nobody."""


@pytest.fixture(scope="module")
def base():
    return read(BASES / "machine.yaml")


def with_types(base, types):
    fitter = base.observers["fitter"]
    wear = replace(fitter.labels["wear"], types=types)
    if len(types) == 1:
        # One kind scatters as answers are confused, as a fit has it.
        wear = replace(wear, settled=wear.confusion)
    return replace(
        base, observers={**base.observers, "fitter": replace(fitter, labels={**fitter.labels, "wear": wear})}
    )


def simulated(base, types, seed, items=500, draws=6):
    """Answers of the fitter about what is wrong, asked again and again, and the truth."""
    rng = np.random.default_rng(seed)
    base = with_types(base, types)
    inference = Inference(compile_network(base), base)
    truth = prior_truth(inference, items, rng)
    drawn = SimulatedObserver(inference.observations, "fitter", truth, rng).reading("walk", draws)["wear"]
    reading, ones = np.repeat(np.arange(items), draws), np.ones(items * draws)
    none, every = np.zeros(items, dtype=np.int64), np.arange(items)
    counts = dict.fromkeys(("refused", "unreadable", "not_judged", "hidden"), none)
    labels = {"wear": Labels(reading, drawn.reshape(-1), ones, ones < 0)}
    place = list(base.questions).index("walk")
    answers = Answers(
        tuple(f"i{i}" for i in range(items)), ("face",), every, none, none + place, none, labels, {}, {},
        samples=none + draws, asked=none + draws, asked_in_vain=none, **counts,
        reading_given=none - 1, givens=(),
    )  # fmt: skip
    return answers, Gold({"wear": truth["wear"].astype(float)})


@pytest.fixture(scope="module")
def two(base):
    answers, gold = simulated(base, TWO, 1, items=1500, draws=8)
    inference, trials = split_types(Inference(compile_network(base), base), answers, gold, silent)
    return answers, gold, inference, trials


def test_two_kinds_are_found(two):
    *_, trials = two
    assert trials[0].kept
    assert trials[0].gain > 3 * trials[0].gain_se
    assert [trial.kept for trial in trials[1:]] == [False]


def test_shares_and_strengths_are_recovered(two):
    answers, gold, inference, _ = two
    entry_by_path = {entry.path: entry for entry in entries_of(fit_observers(inference, answers, gold))}
    for kind in TWO:
        for key in ("share", "misread", "repeat", "strength"):
            entry, true = entry_by_path[f"{WEAR}.types.{kind.name}.{key}"], getattr(kind, key)
            assert abs(entry.value - true) < 3 * entry.sd, entry.path
            assert entry.learned > 0.2, entry.path


@pytest.mark.parametrize("seed", range(2))
def test_one_kind_stays_one(base, seed):
    answers, gold = simulated(base, ONE, 10 + seed, items=300)
    start = Inference(compile_network(base), base)
    inference, trials = split_types(start, answers, gold if seed else Gold({}), silent)
    assert [trial.kept for trial in trials] == [False]
    assert inference is start


def test_the_overlay_says_what_was_fitted(base, two, tmp_path):
    answers, gold, inference, _ = two
    fit = fit_observers(inference, answers, gold)
    (tmp_path / "machine.yaml").write_text((BASES / "machine.yaml").read_text())
    gone = ", ".join(replaced_paths(fit))
    head = f"extends: machine.yaml\nremove: [{gone}]\nsources: {{fit: {{cite: a fit}}}}\n"
    text = head + written(overlay_tree(fit, "fit"))
    (tmp_path / "mine.yaml").write_text(text)
    again = read(tmp_path / "mine.yaml")
    assert [kind.name for kind in again.observers["fitter"].labels["wear"].types] == ["easy", "hard"]
    declared = Inference(compile_network(again), again).posterior(answers).marginals["wear"]
    evidence = fit.observations().evidence(answers)
    np.testing.assert_allclose(declared, inference.given(evidence).marginals["wear"], atol=2e-3)
