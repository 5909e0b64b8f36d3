"""How observers err together: laws of the look that they share, and simulation against inference."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from brute_force import (
    DEPENDENCE,
    Ranked,
    Reading,
    Shape,
    World,
    answers_of,
    network_of,
    random_base,
    random_items,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from renaming import BASES, names_in
from thorough import examples

from engine import (
    Answers,
    Inference,
    Labels,
    Preposterior,
    Question,
    SimulatedObserver,
    prior_truth,
    read,
)
from engine.inference.simulation import draw_looks
from engine.model.confusion import own_answers
from engine.model.knowledge import Clarity, Dependence, ReadingType
from engine.observation.dependence import MOST_FOLLOWS, shared_look
from engine.observation.observer_kernels import derive_looks

few = settings(max_examples=examples(5), deadline=None, derandomize=True, database=None)
seeds = st.integers(0, 2**32 - 1)
# Deviations of a mean, in standard errors, that chance brings about once in 16,000 looks.
FAR = 4.0


def dependent_base(seed, follows=(0.9, 0.6, 0.2), **shape):
    """A random base whose observers follow the look as often as said, in turn."""
    shape = {"states": 3, "binaries": 2, "couplings": 1, "rules": 1, "halo": False, **shape}
    shape.setdefault("observers", len(follows))
    base = random_base(Shape(seed=seed, dependent=True, **shape))
    shares = itertools.cycle(follows)
    observers = {
        name: replace(observer, follows=share, askable=True)
        for (name, observer), share in zip(base.observers.items(), shares, strict=False)
    }
    return replace(base, observers=observers)


def same(posterior, other, atol):
    for name, p in posterior.marginals.items():
        np.testing.assert_allclose(other.marginals[name], p, atol=atol, rtol=0, err_msg=name)
    np.testing.assert_allclose(other.log_evidence, posterior.log_evidence, atol=atol, rtol=0)


def posterior_of(base, items, rng=None):
    return Inference(network_of(base), base).posterior(answers_of(base, items, rng))


# The tables


def test_looks_of_many_models_are_those_of_each():
    """Derived at once, of draws that differ in how often observers follow, they are as derived one by one."""
    base = dependent_base(5)
    network, names = network_of(base), ["root", "b0", "b1"]
    models, alone = [], []
    for share in (0.0, 0.3, 0.8):
        followers = [replace(o, follows=min(1.0, share + o.follows / 2)) for o in base.observers.values()]
        for kept in (models, alone):
            observations = Inference(network, base).observations
            observations.observers, observations._looks = tuple(followers), {}
            kept.append(observations)
    derive_looks(models, names)
    for model, one in zip(models, alone, strict=True):
        assert set(model._looks) == set(names)
        for name in names:
            look, expected = model.shared_look(name), one.shared_look(name)
            np.testing.assert_allclose(look.look_given_state, expected.look_given_state, atol=1e-12)
            for given_look, of_one in zip(look.answer_given, expected.answer_given, strict=True):
                np.testing.assert_allclose(given_look, of_one, atol=1e-12)
    assert not np.allclose(
        models[0].shared_look("root").look_given_state, models[2].shared_look("root").look_given_state
    )


@settings(max_examples=examples(40), deadline=None, derandomize=True, database=None)
@given(seeds)
def test_an_observer_alone_has_its_own_table_whatever_the_looks(seed):
    """Σ_j S[x, j] V[x, j, y] = T[x, y], for tables of different answers, also ones that never occur."""
    rng = np.random.default_rng(seed)
    states, observers = int(rng.integers(2, 7)), int(rng.integers(2, 6))
    clear, ambiguous = ((rng.uniform(0.5, 0.95), 0.9), (rng.uniform(0.05, 0.45), 0.8))
    declared = Dependence(
        clear=Clarity(right=clear[0], seen=clear[1]),
        ambiguous=Clarity(right=ambiguous[0], seen=ambiguous[1]),
        n=float(rng.uniform(1, 100)),
        look_n=float(rng.uniform(1, 20)),
        seen_n=float(rng.uniform(1, 20)),
    )
    tables, matches = [], []
    for _ in range(observers):
        answers = states + int(rng.integers(-1, 3))
        table = rng.dirichlet(np.full(max(answers, 1), rng.choice([0.2, 1, 5])), states)
        match = np.eye(states, max(answers, 1))
        tables.append(0.6 * table + 0.4 * np.where(match.sum(1, keepdims=True), match, table))
        matches.append(match)
    follows = np.minimum(rng.uniform(0, 1.1, observers), MOST_FOLLOWS)
    look = shared_look(tables, matches, follows, declared)
    assert look.look_given_state.shape == (states, 2 * states)
    assert (look.look_given_state >= 0).all()
    np.testing.assert_allclose(look.look_given_state.sum(1), 1, atol=1e-12)
    for table, given_look in zip(tables, look.answer_given, strict=True):
        assert (given_look >= 0).all()
        np.testing.assert_allclose(given_look.sum(2), 1, atol=1e-12)
        alone = np.einsum("xj,xjy->xy", look.look_given_state, given_look)
        np.testing.assert_allclose(alone, table, atol=1e-9)


@few
@given(seeds)
def test_types_of_reading_have_the_look_of_their_answers(seed):
    """What is derived by answers is the kernels' mix again, summed over the looks."""
    base = dependent_base(seed, types=2)
    observations = Inference(network_of(base), base).observations
    for name in (base.root, *base.cells):
        look = observations.shared_look(name)
        for observer, given_look in zip(
            observations.observers_of(name), look.answer_given if look else (), strict=bool(look)
        ):
            alone = np.einsum("xj,xjm->xm", look.look_given_state, given_look)
            np.testing.assert_allclose(alone, observations.kernels[observer, name].mix, atol=1e-9)


# What must change nothing


@few
@given(seeds)
def test_where_nobody_follows_the_section_says_nothing(seed):
    base = dependent_base(seed, follows=(0.0,), observers=3, halo=True, bins=(3,))
    items = random_items(base, seed, items=4, readings=5)
    same(posterior_of(replace(base, dependence=None), items), posterior_of(base, items), atol=1e-12)


@few
@given(seeds)
def test_one_observer_alone_answers_as_without_the_section(seed):
    base = dependent_base(seed, halo=True)
    items = [
        [reading for reading in readings if reading.observer == name]
        for readings in random_items(base, seed, items=2, readings=9)
        for name in base.observers
    ]
    same(posterior_of(replace(base, dependence=None), items), posterior_of(base, items), atol=1e-12)


def dull(base, name):
    """The base with all rows of an observer's tables alike."""
    observer = base.observers[name]

    def alike(table):
        return (tuple(np.mean(table, 0).tolist()),) * len(table) if table else ()

    labels = {
        variable: replace(label, confusion=alike(label.confusion), settled=alike(label.settled))
        for variable, label in observer.labels.items()
    }
    return replace(base, observers={**base.observers, name: replace(observer, labels=labels)})


def unranked(items):
    """The items' readings with the first place alone of every ranking."""
    return [
        [
            replace(
                reading,
                draws=tuple(
                    {n: Ranked(y.places[:1]) if isinstance(y, Ranked) else y for n, y in draw.items()}
                    for draw in reading.draws
                ),
            )
            for reading in readings
        ]
        for readings in items
    ]


@few
@given(seeds)
def test_an_observer_that_follows_only_changes_no_posterior_of_others(seed):
    """The same numbers to the last bit; one that has a say moves them."""
    base = dependent_base(seed, follows=(0.9, 0.6, 0.8))
    items = [
        [reading for reading in readings if reading.observer != "o2"]
        for readings in random_items(base, seed, items=2, readings=9)
    ]
    alone = {name: observer for name, observer in base.observers.items() if name != "o2"}
    added = {**alone, "o2": replace(base.observers["o2"], follows_only=True)}
    same(
        posterior_of(replace(base, observers=alone), items),
        posterior_of(replace(base, observers=added), items),
        atol=0,
    )


def test_an_observer_that_has_a_say_shapes_the_looks_and_one_that_follows_only_fits_its_own_table():
    tables = [np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([[0.6, 0.4], [0.1, 0.9]])]
    matches, follows = [np.eye(2)] * 2, np.array([0.9, 0.9])
    declared = Dependence(clear=Clarity(right=0.9, seen=0.9), ambiguous=Clarity(right=0.2, seen=0.9), n=20)
    alone = shared_look(tables[:1], matches[:1], follows[:1], declared)
    both = shared_look(tables, matches, follows, declared)
    follower = shared_look(tables, matches, follows, declared, [True, False])
    np.testing.assert_array_equal(follower.look_given_state, alone.look_given_state)
    np.testing.assert_array_equal(follower.answer_given[0], alone.answer_given[0])
    assert np.abs(both.look_given_state - alone.look_given_state).max() > 0.01
    given_state = np.einsum("xj,xjy->xy", follower.look_given_state, follower.answer_given[1])
    np.testing.assert_allclose(given_state, tables[1], atol=1e-9)


@few
@given(seeds)
def test_an_observer_that_cannot_tell_states_apart_changes_nothing(seed):
    base = dull(dependent_base(seed, follows=(0.9, 0.9, 0.9)), "o2")
    items = unranked(random_items(base, seed, items=3, readings=6))
    without_observer = [[reading for reading in readings if reading.observer != "o2"] for readings in items]
    inference = Inference(network_of(base), base)
    whole, part = (inference.posterior(answers_of(base, given)) for given in (items, without_observer))
    for name, p in part.marginals.items():
        np.testing.assert_allclose(whole.marginals[name], p, atol=1e-9, err_msg=name)


def test_a_ranking_that_tells_no_states_apart_takes_nothing_from_others():
    """Places 2 and 3 are shared out among those that have something to say."""
    moved = []
    for seed in range(12):
        base = dull(dependent_base(seed, follows=(0.9, 0.9, 0.9)), "o2")
        flat = replace(base.observers["o2"].labels[base.root], bonus=0.0, pull=())
        observer = base.observers["o2"]
        observer = replace(observer, labels={**observer.labels, base.root: flat})
        base = replace(base, observers={**base.observers, "o2": observer})
        if min(len(o.labels[base.root].answers) for o in base.observers.values()) < 3:
            continue
        items = [
            [Reading(name, "all", "face", ({base.root: Ranked((0, 1, 2))},)) for name in names]
            for names in (("o0",), ("o0", "o2"), ("o0", "o1"), ("o0", "o1", "o2"))
        ]
        p = posterior_of(base, items).marginals[base.root]
        np.testing.assert_allclose(p[0::2], p[1::2], atol=1e-9)
        moved.append(np.abs(p[0] - p[2]).max())
    assert max(moved) > 0.1


@few
@given(seeds)
def test_an_observer_that_is_declared_and_follows_nothing_changes_no_look(seed):
    """One that follows has its say in what items look like, though it answered nothing: it is in the base."""
    base = dependent_base(seed, follows=(0.9, 0.7, 0.0))
    items = [[k for k in readings if k.observer != "o2"] for readings in random_items(base, seed, items=4)]
    smaller = replace(base, observers={name: base.observers[name] for name in ("o0", "o1")})
    same(posterior_of(base, items), posterior_of(smaller, items), atol=1e-9)


@few
@given(seeds)
def test_the_order_of_arrival_changes_nothing(seed):
    base = dependent_base(seed, halo=True)
    rng = np.random.default_rng(seed)
    items = random_items(base, seed, items=3, readings=5)
    plain = posterior_of(base, items)
    same(plain, posterior_of(base, items, rng), atol=1e-9)
    order = rng.permutation(len(items))
    moved = posterior_of(base, [items[i] for i in order], rng)
    back = np.argsort(order)
    marginals = {name: p[back] for name, p in moved.marginals.items()}
    same(plain, replace(moved, marginals=marginals, log_evidence=moved.log_evidence[back]), atol=1e-9)


@few
@given(seeds)
def test_the_order_of_observers_in_the_base_changes_nothing(seed):
    base = dependent_base(seed)
    items = random_items(base, seed, items=3, readings=4)
    turned = replace(base, observers=dict(reversed(base.observers.items())))
    same(posterior_of(base, items), posterior_of(turned, items), atol=1e-9)


DECLARED = """
dependence:
  {source: judgement, note: A trial., clear: {right: 0.8, seen: 0.9}, ambiguous: {right: 0.2, seen: 0.7},
   n: 20, look_n: 5, seen_n: 8, default: eye, kinds: {eye: {follows: 0.8}}}
"""


def test_names_change_nothing(tmp_path):
    """Every variable and state renamed, and sorted the other way round."""
    apart = (BASES / "machine.yaml").read_text("utf-8").replace("exponent: 0.9", "carry: 0.9")
    text = apart + DECLARED

    def written(name, text):
        (tmp_path / f"{name}.yaml").write_text(text, "utf-8")
        return read(tmp_path / f"{name}.yaml")

    plain = written("plain", text)
    mapping = {name: f"q{i:02}" for i, name in enumerate(sorted(names_in(plain), reverse=True))}
    other = written("other", re.sub(r"[A-Za-z0-9_-]+", lambda word: mapping.get(word[0], word[0]), text))
    items = random_items(plain, 7, items=8, readings=4)
    renamed = [
        [replace(k, draws=tuple({mapping[v]: y for v, y in d.items()} for d in k.draws)) for k in readings]
        for readings in items
    ]
    posterior = posterior_of(other, renamed)
    back = {name: posterior.marginals[mapping[name]] for name in plain.variables}
    together = posterior_of(plain, items)
    same(together, replace(posterior, marginals=back), atol=1e-9)
    independent = posterior_of(written("apart", apart), items)
    assert np.abs(together.log_evidence - independent.log_evidence).max() > 0.05


# What must hold of answers to come


@pytest.mark.parametrize("seed", range(4))
def test_a_question_never_raises_the_expected_bayes_risk(seed):
    """Of any variable, whoever is asked, also who answered nothing yet: posteriors average to now's."""
    base = asking(dependent_base(seed, observers=3))
    inference = Inference(network_of(base), base)
    readings = [
        Reading("o0", "each", "face", ({base.root: 0},)),
        Reading("o0", "all", "face", (dict.fromkeys(base.observers["o0"].labels, 1),)),
    ]
    answers = answers_of(base, [readings])
    now, look_ahead = inference.posterior(answers), Preposterior(inference)
    asked, falls = set(), []
    for question in look_ahead._askings(answers):
        if len(question.names) > 1:
            continue
        for batch in (1, 3):
            _, p, after = look_ahead.patterns(answers, now, question.names[0], question, batch)
            assert p.sum() == pytest.approx(1, abs=1e-9)
            for name, marginal in after.items():
                np.testing.assert_allclose(p @ marginal, now.marginals[name][0], atol=1e-9, err_msg=name)
                risk = p @ (1 - marginal.max(1))
                falls.append(1 - now.marginals[name][0].max() - risk)
        asked.add(question.observer)
    assert asked == {0, 1, 2}
    assert min(falls) > -1e-9
    assert max(falls) > 1e-3


def asking(base):
    """The base with a question about each variable alone, and everybody to be asked."""
    names = tuple(name for level in base.levels.values() for name in level)
    policy = replace(
        base.policy,
        budget=1000,
        batches=(1, 2),
        others=tuple(base.observers),
        views=("face",),
        worth=dict.fromkeys(names, 1.0),
        limits=dict.fromkeys(names, 0.15),
    )
    single = Question(name="each", variables=names, about_one=True)
    return replace(base, policy=policy, questions={**base.questions, "each": single})


@pytest.mark.parametrize("seed", range(2))
def test_simulated_gains_are_the_exact_ones_after_another_observer(seed):
    base = asking(dependent_base(seed, follows=(0.9, 0.9), halo=True))
    inference = Inference(network_of(base), base)
    given_before = ({base.root: 0, **dict.fromkeys(base.observers["o0"].labels.keys() - {base.root}, 1)},)
    answers = answers_of(base, [[Reading("o0", "all", "face", given_before)]])
    look_ahead = Preposterior(inference, seed, paths=1200)
    exact = {(o.observer, o.question, o.about, o.view, o.samples): o for o in look_ahead.options(answers, 0)}
    with patch("engine.decision.voi_exact.MOST_PATTERNS", 0):
        simulated = look_ahead.options(answers, 0)
    misses = []
    for option in simulated:
        other = exact[option.observer, option.question, option.about, option.view, option.samples]
        if other.error == 0 and option.error > 0 and option.observer == "o1":
            misses.append((option.gain - other.gain) / option.error)
    assert len(misses) >= 4
    assert max(np.abs(misses)) < 4.5


@few
@given(seeds)
def test_what_an_observer_settles_on_given_others_is_by_bayes(seed):
    """P(m | x, others) = Σ_j S[x, j] V[x, j, m] Π_o P(answers of o | x, j) / the same without V[x, j, m]."""
    base = dependent_base(seed, follows=(0.9, 0.5, 0.7))
    network = network_of(base)
    world, observations = World(network, base), Inference(network, base).observations
    (readings,) = unranked(random_items(base, seed, items=1, readings=9))
    answers = answers_of(base, [readings])
    for name in (base.root, *base.cells):
        look = world.look(name)
        known = [observer for observer in base.observers.values() if name in observer.labels]
        for index in observations.observers_of(name):
            observer = observations.observers[index]
            given_by = [
                (other, [k for k in readings if k.observer == other.name and name in k.variables])
                for other in known
                if other.name != observer.name
            ]
            given_by = [(other, used) for other, used in given_by if used]
            given_others = observations.given_others(answers, index, name)
            if look is None or not given_by:
                assert given_others is None
                continue
            (settles,) = given_others
            for x in range(len(base.variables[name].states)):
                weight = look.look_given_state[x].copy()
                for other, used in given_by:
                    _, settled = world.settled(other, name, x, used)
                    weight *= look.answer_given[known.index(other)][x] @ settled
                expected = weight @ look.answer_given[known.index(observer)][x] / weight.sum()
                np.testing.assert_allclose(settles[x], expected, atol=1e-9)


# Simulation


def drawn_answers(base, inference, items, rng):
    """Truth of many items, and one answer of each observer about each variable, all as declared."""
    observations, truth = inference.observations, prior_truth(inference, items, rng)
    looks = draw_looks(observations, truth, rng)
    labels = {name: [] for name in (base.root, *base.cells)}
    for index, name in enumerate(base.observers):
        observer = SimulatedObserver(observations, name, truth, rng, looks=looks)
        for variable, drawn in observer.reading("all", 1).items():
            labels[variable].append((index, drawn[:, 0]))
    return truth, labels


def in_columns(base, labels, items):
    """Answers of each observer about each item, one reading each: reading = item · observers + observer."""
    observers = len(base.observers)
    reading, none = np.arange(items * observers), np.zeros(items, dtype=np.int64)
    columns = {}
    for name, parts in labels.items():
        if parts:
            place = np.concatenate([np.arange(items) * observers + index for index, _ in parts])
            answer = np.concatenate([drawn for _, drawn in parts])
            ones = np.ones(len(place))
            columns[name] = Labels(place, answer, ones, np.zeros(len(place), dtype=bool))
    return Answers(
        tuple(map(str, range(items))),
        ("face",),
        reading // observers,
        reading % observers,
        np.zeros_like(reading),
        np.zeros_like(reading),
        columns,
        {},
        {},
        none + observers,
        *[none] * 4,
        asked=none + observers,
        asked_in_vain=none,
        reading_given=np.full_like(reading, -1),
        givens=(),
    )


@pytest.mark.parametrize("seed", range(3))
def test_simulated_observers_err_together_as_often_as_inference_believes(seed):
    """How often two give each pair of answers, and how often both are wrong."""
    items, base = 40_000, dependent_base(seed, follows=(0.9, 0.6))
    inference, rng = Inference(network_of(base), base), np.random.default_rng(seed)
    truth, labels = drawn_answers(base, inference, items, rng)
    compared = 0
    for name, parts in labels.items():
        if len(parts) < 2:
            continue
        variable, observers = base.variables[name], list(base.observers.values())
        sizes = [len(observers[index].labels[name].answers) for index, _ in parts]
        pairs = list(itertools.product(*map(range, sizes)))
        one_each = [
            [
                Reading(observers[i].name, "all", "face", ({name: y},))
                for (i, _), y in zip(parts, pair, strict=True)
            ]
            for pair in pairs
        ]
        posterior = inference.posterior(answers_of(base, one_each))
        p = np.exp(posterior.log_evidence)
        assert p.sum() == pytest.approx(1, abs=1e-9)
        code = parts[0][1] * sizes[1] + parts[1][1]
        share = np.bincount(code, minlength=len(pairs)) / items
        assert (np.abs(share - p) <= FAR * np.sqrt(p * (1 - p) / items)).all(), name
        # Right is whose answer names the truth: [truth, answer].
        right = [own_answers(observers[i].labels[name].answers, variable) > 0 for i, _ in parts]
        both = sum(
            p[k] * (marginal * ~right[0][:, a] * ~right[1][:, b]).sum()
            for k, ((a, b), marginal) in enumerate(zip(pairs, posterior.marginals[name], strict=True))
        )
        wrong = [~table[truth[name], drawn] for table, (_, drawn) in zip(right, parts, strict=True)]
        assert (wrong[0] & wrong[1]).mean() == pytest.approx(
            both, abs=FAR * math.sqrt(both * (1 - both) / items)
        )
        compared += 1
    assert compared >= 2


def test_observers_that_follow_err_together_more_often_than_chance():
    """More often the more they follow; each alone is wrong in .2 all along."""
    doubles = []
    for follows in (0.0, 0.5, 0.9):
        base = dependent_base(5, follows=(follows, follows))
        label = replace(
            base.observers["o0"].labels["b0"],
            confusion=((0.8, 0.2), (0.2, 0.8)),
            types=(ReadingType(repeat=0.9, strength=8),),
        )
        observers = {
            name: replace(observer, carry=1.0, labels={**observer.labels, "b0": label})
            for name, observer in base.observers.items()
        }
        base = replace(base, observers=observers)
        inference = Inference(network_of(base), base)
        pairs = list(itertools.product(range(2), repeat=2))
        asked = [
            [Reading(name, "all", "face", ({"b0": y},)) for name, y in zip(observers, pair, strict=True)]
            for pair in pairs
        ]
        posterior = inference.posterior(answers_of(base, asked))
        p, marginal = np.exp(posterior.log_evidence), posterior.marginals["b0"]
        doubles.append(p[0] * marginal[0, 1] + p[3] * marginal[3, 0])
        for name in observers:
            wrong = sum(
                p[k] * marginal[k, 1 - pair[list(observers).index(name)]] for k, pair in enumerate(pairs)
            )
            assert wrong == pytest.approx(0.2, abs=1e-9)
    assert doubles[0] == pytest.approx(0.2 * 0.2, abs=1e-9)
    assert np.all(np.diff(doubles) > 0.005)


@pytest.mark.parametrize("seed", range(3))
def test_posteriors_of_simulated_items_are_right_as_often_as_stated(seed):
    items, base = 8_000, dependent_base(seed, follows=(0.9, 0.8, 0.6), halo=seed == 2)
    inference, rng = Inference(network_of(base), base), np.random.default_rng(seed)
    truth, labels = drawn_answers(base, inference, items, rng)
    posterior = inference.posterior(in_columns(base, labels, items))
    for name, p in posterior.marginals.items():
        stated, right = p.max(1), p.argmax(1) == truth[name]
        for part in (np.ones(items, dtype=bool), stated > np.median(stated)):
            reach = FAR * math.sqrt((stated[part] * (1 - stated[part])).sum()) / part.sum()
            assert (stated[part] - right[part]).mean() == pytest.approx(0, abs=reach), name


def test_many_observers_that_agree_leave_what_all_may_see_wrongly():
    """Sixty of them: finite, ever surer, never past what the look leaves open, in the order of likeness."""
    base = dependent_base(3, follows=(0.9,), observers=2, couplings=0, rules=0)
    (first, _) = base.observers.values()
    names = [f"o{i}" for i in range(60)]
    first = replace(first, carry=1.0)
    base = replace(base, observers={name: replace(first, name=name) for name in names})
    counts = (1, 2, 4, 8, 30, 60)
    for answer in range(len(first.labels[base.root].answers)):
        items = [
            [Reading(name, "all", "face", ({base.root: answer},)) for name in names[:count]]
            for count in counts
        ]
        together = posterior_of(base, items)
        apart = posterior_of(replace(base, dependence=None), items)
        p, independent = (posterior.marginals[base.root] for posterior in (together, apart))
        assert np.isfinite(p).all()
        assert np.isfinite(together.log_evidence).all()
        # Agreement is likelier than of independent ones.
        assert np.all(np.diff(together.log_evidence) < 0)
        assert np.all(together.log_evidence[1:] > apart.log_evidence[1:])
        best = int(independent[-1].argmax())
        assert np.all(np.diff(p[:, best]) > -1e-12)
        assert independent[-1, best] > 1 - 1e-6
        assert p[-1, best] < 0.999
        assert np.array_equal(np.argsort(p[-1]), np.argsort(independent[1]))


def test_many_observers_of_their_own_mind_do_not_underflow():
    base = dependent_base(3, follows=(0.1,), observers=2, couplings=0, rules=0)
    (first, _) = base.observers.values()
    names = [f"o{i}" for i in range(60)]
    base = replace(
        base, observers={name: replace(first, name=name, carry=1.0) for name in names}, dependence=DEPENDENCE
    )
    items = [[Reading(name, "all", "face", ({base.root: y},)) for name in names] for y in range(2)]
    mixed = [Reading(name, "all", "face", ({base.root: i % 2},)) for i, name in enumerate(names)]
    posterior = posterior_of(base, [*items, mixed])
    for p in posterior.marginals.values():
        np.testing.assert_allclose(p.sum(1), 1, atol=1e-9)
    assert np.isfinite(posterior.log_evidence).all()
    assert (posterior.log_evidence > -300).all()
