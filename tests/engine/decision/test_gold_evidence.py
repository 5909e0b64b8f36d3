"""Labels of data sets about values that gold tells: counted, and taken out as if never given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from brute_force import Reading, Shape, answers_of, random_base
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

from engine import Gold, GoldEvidence, Inference, compile_network, labelled_by_sets

NAN = np.nan


def set_labels():
    """Return a base whose observer o1 stands for a data set's labels."""
    base = random_base(Shape(seed=4, binaries=2, bins=(3,), observers=2, couplings=0, rules=0))
    label = replace(base.observers["o1"], origin="label", askable=False)
    return replace(base, observers={**base.observers, "o1": label})


BASE = set_labels()
INFERENCE = Inference(compile_network(BASE), BASE)


def label(**values):
    return Reading("o1", "all", "face", (values,))


def look(**values):
    return Reading("o0", "all", "face", (values, values))


def test_labels_and_gold_of_the_same_value_are_counted_by_hand():
    items = [
        [label(root=1, b0=1), look(root=0)],  # gold of both: root equal, b0 not
        [label(root=0)],  # no gold of the root: it is evidence as any other
        [look(root=1)],  # gold, but no label
        [label(root=0, v0=0.5)],  # gold of the root, and not equal
    ]
    middle = float(np.mean(BASE.variables["v0"].edges[:2]))
    items[3] = [label(root=0, v0=middle)]
    gold = Gold(
        {"root": np.array([1, NAN, 1, 1]), "b0": np.array([0, 1, NAN, NAN]), "v0": np.full(4, middle)}
    )
    evidence = GoldEvidence.of(BASE, answers_of(BASE, items), gold)
    assert evidence.counts == {"root": 2, "b0": 1, "v0": 1}
    assert evidence.equal == {"root": 1, "b0": 0, "v0": 1}
    assert evidence.observers == ("o1",)
    assert evidence.hollow(BASE, answers_of(BASE, items)).tolist() == [False, False, False, True]
    entered = labelled_by_sets(BASE, answers_of(BASE, items))
    assert entered["root"].tolist() == [True, True, False, True]
    assert entered["b0"].tolist() == [True, False, False, False]


def test_without_gold_or_without_labels_nothing_changes():
    answers = answers_of(BASE, [[label(root=1), look(root=0)]])
    for gold in (Gold({}), Gold({"root": np.array([NAN])}), Gold({"b0": np.array([1.0])})):
        evidence = GoldEvidence.of(BASE, answers, gold)
        assert evidence.counts == {}
        assert evidence.observers == ()
        assert evidence.without(BASE, answers) is answers


VALUES = st.fixed_dictionaries(
    {}, optional={"root": st.integers(0, 1), "b0": st.integers(0, 1), "b1": st.integers(0, 1)}
)
ITEMS = st.lists(
    st.tuples(VALUES, VALUES, st.sets(st.sampled_from(["root", "b0", "b1"]))), min_size=1, max_size=4
)


@settings(deadline=None, max_examples=examples(40))
@given(ITEMS)
def test_what_is_left_is_what_would_have_been_without_these_labels(items):
    """A label's values that gold tells leave no trace: posterior, readings and counts are as without them."""
    given_items, bare_items = [], []
    known = {name: np.full(len(items), NAN) for name in ("root", "b0", "b1")}
    for row, (reported, seen, with_gold) in enumerate(items):
        bare = {name: value for name, value in reported.items() if name not in with_gold}
        looks = [look(**seen)] if seen else []
        given_items.append(([label(**reported)] if reported else []) + looks)
        bare_items.append(([label(**bare)] if bare else []) + looks)
        for name in with_gold:
            known[name][row] = 1
    answers, bare_answers = answers_of(BASE, given_items), answers_of(BASE, bare_items)
    blind = GoldEvidence.of(BASE, answers, Gold(known)).without(BASE, answers)
    assert blind.samples.tolist() == bare_answers.samples.tolist()
    assert blind.reading_item.tolist() == bare_answers.reading_item.tolist()
    assert blind.reading_observer.tolist() == bare_answers.reading_observer.tolist()
    posterior, expected = INFERENCE.posterior(blind), INFERENCE.posterior(bare_answers)
    for name in BASE.variables:
        np.testing.assert_allclose(posterior.marginals[name], expected.marginals[name], atol=1e-12)
