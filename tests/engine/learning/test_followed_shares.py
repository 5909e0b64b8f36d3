"""How often answers follow what they were told, or repeat what they were shown, is learned from gold."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from stated_worlds import with_reading, world

from engine import Answers, Gold, SimulatedObserver, fit_observers, prior_truth, values_of
from engine.inference.stated_answers import repeat_stated
from engine.learning.followed_shares import FEWEST_ITEMS, with_followed_shares
from engine.learning.overlay_of_fit import entries_of, overlay_tree, unidentified_numbers


def asked(inference, items, seed, kind):
    """Return answers to a blind question and to one that stated something, and all gold."""
    rng, base = np.random.default_rng(seed), inference.knowledge
    truth = prior_truth(inference, items, rng)
    drawing = SimulatedObserver(inference.observations, "o0", truth, rng)
    first = drawing.reading("first", 2)
    answers = with_reading(Answers.unasked([f"i{i}" for i in range(items)]), inference, "first", first)
    if kind == "told":
        stated = {base.root: rng.integers(0, 3, items).astype(float)}
        drawn = drawing.reading("told", 2, "face", stated)
        answers = with_reading(answers, inference, "told", drawn, "face", stated.items())
    else:
        shown = first[base.root][:, 0].astype(float)
        again = drawing.reading("again", 1)[base.root]
        chance = rng.random(again.shape)
        drawn = repeat_stated(inference.observations, 0, "again", base.root, again, shown, chance)
        answers = with_reading(answers, inference, "again", {base.root: drawn}, stated=[(base.root, shown)])
    gold = {}
    for name, values in values_of(base, truth, rng):
        states = base.variables[name].states
        gold[name] = np.array(values if base.variables[name].kind == "interval" else [
            states.index(v) if isinstance(v, str) else float(v) for v in values
        ], dtype=float)  # fmt: skip
    return answers, Gold(gold)


BELIEVED = world(1, told=0.5, echo=0.5)


@cache
def blind_fit(items):
    """The fit of the blind answers, which are the same whatever share follows what was stated."""
    answers, gold = asked(BELIEVED, items, 7, "told")
    blind = answers.keeping(answers.blind)
    return fit_observers(BELIEVED, blind, gold), blind


def fitted(kind, true, items):
    """Return the fit of made-up answers whose share is `true`, with another one declared."""
    answers, gold = asked(world(1, told=true, echo=true), items, 7, kind)
    fit, blind = blind_fit(items)
    for name, column in answers.keeping(answers.blind).labels.items():
        assert np.array_equal(column.answer, blind.labels[name].answer)
    return with_followed_shares(fit, answers, gold)


@pytest.mark.parametrize(("kind", "true"), [("told", 0.2), ("shown", 0.9)])
def test_the_share_is_found_whatever_was_declared(kind, true):
    fit = fitted(kind, true, 300)
    ((key, (declared, before, value, sd)),) = fit.followed.items()
    assert (key.what, key.question) == (("probability", "told") if kind == "told" else ("echo", "again"))
    assert declared == 0.5
    assert sd < before / 2
    assert abs(value - true) < 4 * sd
    (entry,) = [entry for entry in entries_of(fit) if entry.value == value]
    path = "observers.o0.halo.told.probability" if kind == "told" else "observers.o0.echo.again"
    assert entry.path == path
    tree = overlay_tree(fit, "a-fit")["observers"]["o0"]
    if kind == "told":
        assert float(tree["halo"]["told"]["probability"]) == pytest.approx(value, abs=1e-3)
        assert float(tree["halo"]["told"]["sd"]["probability"]) == pytest.approx(sd, abs=1e-3)
    else:
        assert {name: float(text) for name, text in tree["echo"].items()} == {
            "again": pytest.approx(value, abs=1e-3)
        }


def test_with_few_items_the_share_stays_as_declared_and_the_reason_is_named():
    fit = fitted("told", 0.9, FEWEST_ITEMS - 1)
    assert fit.followed == {}
    reasons = unidentified_numbers(fit)
    assert reasons["observers.o0.halo.told.probability"].startswith(f"{FEWEST_ITEMS - 1} items with gold")
