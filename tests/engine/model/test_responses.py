"""Answers that come bit by bit are the same as all at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brute_force import Shape, answers_of, random_base, random_items
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

from engine import Answers, Inference, compile_network

SHAPE = Shape()


def halves(readings, rng):
    """The draws of each reading, some in one part and the rest in another."""
    parts = ([], [])
    for reading in readings:
        chosen = rng.random(len(reading.draws)) < 0.5
        for part, here in zip(parts, (chosen, ~chosen), strict=True):
            draws = tuple(draw for draw, taken in zip(reading.draws, here, strict=True) if taken)
            if draws:
                part.append(replace(reading, draws=draws))
    return parts


@settings(max_examples=examples(15), deadline=None)
@given(st.integers(0, 10_000))
def test_answers_joined_in_any_order_say_what_they_say_together(seed):
    rng = np.random.default_rng(seed)
    base = random_base(replace(SHAPE, seed=seed % 7))
    items = random_items(base, seed)
    whole = answers_of(base, items)
    first, second = zip(*(halves(readings, rng) for readings in items), strict=True)
    first_answers, second_answers = answers_of(base, first, rng), answers_of(base, second, rng)
    backwards = Answers.unasked(whole.items).joined(turned(second_answers)).joined(turned(first_answers))
    inference = Inference(compile_network(base), base)
    expected = inference.posterior(whole)
    for joined in (first_answers.joined(second_answers), backwards):
        assert joined.items == whole.items
        assert len(joined.reading_item) == len(whole.reading_item)
        for count in ("samples", "asked", "refused"):
            assert np.array_equal(getattr(joined, count), getattr(whole, count))
        posterior = inference.posterior(joined)
        np.testing.assert_allclose(posterior.log_evidence, expected.log_evidence, atol=1e-9)
        for name, p in expected.marginals.items():
            np.testing.assert_allclose(posterior.marginals[name], p, atol=1e-9)


def turned(answers):
    """The same items in another order."""
    count = len(answers.items)
    return answers.gathered(answers.items[::-1], np.arange(count)[::-1])


def test_only_items_that_are_known_are_joined():
    with pytest.raises(KeyError):
        Answers.unasked(["a"]).joined(Answers.unasked(["b"]))


def test_nothing_joined_is_the_same():
    base = random_base(SHAPE)
    whole = answers_of(base, random_items(base, 3))
    for joined in (whole.joined(Answers.unasked(whole.items)), whole.joined(Answers.unasked(()))):
        for name in ("reading_item", "reading_observer", "reading_question", "reading_view", "samples"):
            assert np.array_equal(getattr(joined, name), getattr(whole, name))
        assert joined.views == whole.views
