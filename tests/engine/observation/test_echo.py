"""Answers whose prompt stated an earlier one, against the list of what may have been repeated, and by law."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from brute_force import Shape, random_base
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

from engine import Answers, Inference, compile_network
from engine.model.policy import Question
from engine.observation.echo import echoed_labels, echoed_numbers
from engine.observation.kernels import label_kernel, number_kernel

few = settings(max_examples=examples(6), deadline=None, derandomize=True, database=None)
shares = st.floats(0.05, 0.95)


def kernel_of(seed):
    base = random_base(Shape(states=3, binaries=2, observers=1, seed=seed))
    (observer,) = base.observers.values()
    root = base.variables[base.root]
    return label_kernel(observer.labels[base.root], root, np.full(len(root.states), 1 / len(root.states)))


@few
@given(st.integers(0, 999), shares, st.lists(st.integers(0, 2), min_size=1, max_size=4))
def test_labels_by_brute_force_over_which_of_them_are_mere_repeats(seed, echo, labels):
    """The first label was stated: each answer that is it is a repeat, or was looked for."""
    kernel, told = kernel_of(seed), labels[0]
    size = kernel.alpha.shape[1]
    whole = np.zeros(kernel.alpha.shape[0])
    for repeats in itertools.product([False, True], repeat=len(labels)):
        if any(repeat and label != told for repeat, label in zip(repeats, labels, strict=True)):
            continue
        looked = [label for repeat, label in zip(repeats, labels, strict=True) if not repeat]
        counts = np.bincount(looked, minlength=size)[None].astype(float)
        p = math.prod(echo if repeat else 1 - echo for repeat in repeats)
        whole += p * np.exp(kernel.log_likelihood(counts)[0])
    counts = np.bincount(labels, minlength=size)[None]
    logs = echoed_labels(kernel, counts.astype(float), np.array([told]), np.array([echo]))
    np.testing.assert_allclose(np.exp(logs[0]), whole, rtol=1e-9)


def test_a_number_by_hand():
    base = random_base(Shape(states=2, binaries=1, bins=(4,), observers=1, seed=4))
    (name,) = base.intervals
    (observer,) = base.observers.values()
    kernel = number_kernel(observer.numbers[name], base.variables[name])
    values, told = np.array([0.5, 0.5, -0.5]), np.array([0.5, -0.5, -0.5])
    plain = np.exp(kernel.log_likelihood(values))
    logs = echoed_numbers(kernel, values, told, np.full(3, 0.25))
    expected = [0.25 + 0.75 * plain[0], 0.75 * plain[1], 0.25 + 0.75 * plain[2]]
    np.testing.assert_allclose(np.exp(logs), expected, rtol=1e-12)


class Asked:
    """A base with one observer, of which one question states what it answered to the other."""

    def __init__(self, echo):
        base = random_base(Shape(states=3, binaries=2, observers=1, rules=1, halo=False, seed=11))
        (observer,) = base.observers.values()
        variables = tuple(observer.labels)
        questions = {
            "first": Question(name="first", variables=variables),
            "again": Question(name="again", variables=variables, about_one=True, recall=True),
        }
        observer = replace(observer, carry=0.8, echo={"again": echo}, halo={})
        self.base = replace(base, questions=questions, observers={observer.name: observer})
        self.inference = Inference(compile_network(self.base), self.base)
        self.root = base.root

    def root_after(self, first, again=(), *, stated=True):
        """P(root) after these answers about it."""
        answers = Answers.nothing()
        for question, labels in enumerate((first, again)):
            rows = (np.zeros(len(labels), np.int64), np.array(labels, np.int64), np.ones(len(labels)))
            if labels:
                answers = answers.with_answers((0, question, "face"), {self.root: rows}, {})
        if again and stated:
            # The second reading was told the first answer.
            told = ((self.root, float(first[0])),)
            answers = replace(answers, reading_given=np.array([-1, 0]), givens=(told,))
        return self.inference.posterior(answers).marginals[self.root][0]


def test_a_mere_repeat_says_nothing():
    asked = Asked(1.0)
    np.testing.assert_allclose(asked.root_after([1], [1, 1, 1]), asked.root_after([1]), atol=1e-12)


def test_without_an_echo_it_counts_as_if_nothing_had_been_stated():
    asked = Asked(0.0)
    np.testing.assert_array_equal(asked.root_after([1], [1, 0]), asked.root_after([1], [1, 0], stated=False))


@pytest.mark.parametrize("echo", [0.3, 0.9])
def test_a_change_of_mind_counts_in_full_and_staying_the_less_the_more_it_echoes(echo):
    asked = Asked(echo)
    fresh = asked.root_after([1], [0], stated=False)
    np.testing.assert_allclose(asked.root_after([1], [0]), fresh, atol=1e-12)
    stays = [Asked(e).root_after([1], [1])[1] for e in (0.0, echo, 1.0)]
    assert stays[0] > stays[1] > stays[2]


def test_what_was_stated_moves_with_its_reading():
    """Copies, parts, joins and choices of items keep it, and so the posterior."""
    asked = Asked(0.9)
    rows = (np.zeros(1, np.int64), np.ones(1, np.int64), np.ones(1))
    one = Answers.unasked(["a"]).with_answers((0, 1, "face"), {asked.root: rows}, {})
    blind, told = np.array([-1]), ((asked.root, 1.0),)
    one = replace(one, reading_given=np.array([0]), givens=(told,))
    other = replace(one, items=("b",), reading_given=blind, givens=())
    both = Answers.stacked([one, other])
    p = asked.inference.posterior(both).marginals[asked.root]
    assert abs(p[0] - p[1]).max() > 0.01
    every = np.ones(2, dtype=bool)
    ways = [
        both.only(every),
        both.part(0, 2),
        both.keeping(every),
        both.each_reading(every),
        both.gathered(both.items, np.arange(2)),
        Answers.unasked(["a", "b"]).joined(both),
        both.joined(replace(Answers.unasked(["a"]), items=("a",))),
    ]
    for answers in ways:
        np.testing.assert_allclose(asked.inference.posterior(answers).marginals[asked.root], p, atol=1e-12)
    tiled = asked.inference.posterior(one.tiled(3)).marginals[asked.root]
    np.testing.assert_allclose(tiled, np.repeat(p[:1], 3, axis=0), atol=1e-12)
    copied = asked.inference.posterior(one.copies(np.array([[True], [False]]))).marginals[asked.root]
    np.testing.assert_allclose(copied[0], p[0], atol=1e-12)
    assert both.without_each(every).stated_of(asked.root)[0].size == 0


@pytest.mark.parametrize("apart", [False, True])
def test_a_repeat_says_little_where_its_question_has_rates_of_its_own_too(apart):
    base = Asked(0.9).base
    (observer,) = base.observers.values()
    name = next(name for name in observer.labels if name != base.root)
    rates = (("again", ((0.9, 0.1), (0.4, 0.6))),) if apart else ()
    labels = {**observer.labels, name: replace(observer.labels[name], by_question=rates)}
    base = replace(base, observers={observer.name: replace(observer, labels=labels)})
    inference = Inference(compile_network(base), base)
    rows = np.zeros(1, np.int64), np.ones(1, np.int64), np.ones(1)
    first = Answers.nothing().with_answers((0, 0, "face"), {name: rows}, {})
    twice = first.with_answers((0, 1, "face"), {name: rows}, {})
    told = replace(twice, reading_given=np.array([-1, 0]), givens=(((name, 1.0),),))
    p = [inference.posterior(answers).marginals[name][0] for answers in (first, told, twice)]
    assert abs(p[2] - p[0]).max() > 1e-3
    assert 0 < abs(p[1] - p[0]).max() < 0.5 * abs(p[2] - p[0]).max()
