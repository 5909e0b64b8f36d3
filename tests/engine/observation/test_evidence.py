"""How observers answer, against simulation of the story that the engine's docstrings tell, and by laws."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from brute_force import (
    Ranked,
    Reading,
    Shape,
    Spread,
    World,
    answers_of,
    label_kinds,
    random_base,
    random_items,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from renaming import BASES, names_in
from thorough import examples

from engine import Answers, Inference, Labels, Numbers, Rankings, compile_network, read
from engine.model.knowledge import Cell, Halo, LabelInstrument, ReadingType
from engine.observation.kernels import label_kernel, number_kernel

few = settings(max_examples=examples(5), deadline=None, derandomize=True, database=None)
seeds = st.integers(0, 2**32 - 1)


def instruments(base):
    """Every label instrument of a base with its variable and the prior of the root."""
    prior = np.array(base.populations[base.reference].p)
    for observer in base.observers.values():
        for name, instrument in observer.labels.items():
            yield instrument, base.variables[name], prior


# The one-answer table.


@few
@given(seeds, st.integers(1, 3))
def test_what_is_seen_times_what_is_brought_out_is_the_declared_table(seed, types):
    base = random_base(Shape(observers=3, types=types, seed=seed))
    for instrument, variable, prior in instruments(base):
        kernel = label_kernel(instrument, variable, prior)
        alpha = kernel.alpha
        answers = alpha / alpha.sum(1, keepdims=True)
        np.testing.assert_allclose(kernel.mix @ answers, instrument.confusion, atol=1e-12)
        np.testing.assert_allclose(kernel.mix.sum(1), 1, atol=1e-12)
        one_answer = np.exp(kernel.log_likelihood(np.eye(alpha.shape[1])))
        np.testing.assert_allclose(kernel.mix @ one_answer.T, instrument.confusion, atol=1e-12)


def simulate_labels(instrument, states, carry, truth, readings, draws, items, rng):
    """Simulate m, the r and propensities of each reading, and its answers, (items, readings, draws)."""
    kinds = label_kinds(instrument, states)
    chance = np.array([kind.chance[truth] for kind in kinds])
    chance /= chance.sum()
    seen = rng.choice(len(kinds), size=(items, 1), p=chance)
    fresh = rng.choice(len(kinds), size=(items, readings), p=chance)
    brought = np.where(rng.random((items, readings)) < carry, seen, fresh)
    alpha = np.array([kind.alpha for kind in kinds])[brought]
    gamma = rng.standard_gamma(alpha)
    theta = gamma / gamma.sum(-1, keepdims=True)
    uniform = rng.random((items, readings, draws, 1))
    return (uniform > np.cumsum(theta, -1)[:, :, None, :-1]).sum(-1)


def test_simulating_an_observer_gives_back_its_table(base_of):
    rng = np.random.default_rng(1)
    base = base_of("machine")
    for observer in base.observers.values():
        for name, instrument in observer.labels.items():
            states = base.variables[name].states
            for truth in range(len(states)):
                answers = simulate_labels(
                    instrument, states, observer.carry, truth, 2, 2, 100_000, rng
                ).reshape(-1)
                # Four dependent answers an item: the standard error is at most .0016.
                frequencies = np.bincount(answers, minlength=len(instrument.answers)) / len(answers)
                np.testing.assert_allclose(frequencies, instrument.confusion[truth], atol=0.005)


def test_repeated_answers_are_as_likely_as_the_simulation_makes_them(base_of):
    rng = np.random.default_rng(2)
    base = base_of("machine")
    observer = base.observers[base.policy.ask]
    instrument = observer.labels[base.root]
    world = World(compile_network(base), base)
    for truth in range(3):
        drawn = simulate_labels(
            instrument, base.variables[base.root].states, observer.carry, truth, 2, 2, 200_000, rng
        ).reshape(-1, 4)
        code = drawn @ 3 ** np.arange(4)
        frequencies = np.bincount(code, minlength=81) / len(code)
        for four in itertools.product(range(3), repeat=4):
            readings = [
                Reading(observer.name, question, "face", tuple({base.root: y} for y in pair))
                for question, pair in zip(list(base.questions)[:2], (four[:2], four[2:]), strict=True)
            ]
            expected = world.seen(observer, base.root, readings)[truth]
            assert frequencies[np.array(four) @ 3 ** np.arange(4)] == pytest.approx(expected, abs=0.004)


@pytest.mark.parametrize("name", ["load", "flow"])
def test_number_instruments_answer_as_simulated(base_of, names, name):
    rng = np.random.default_rng(3)
    base = base_of("machine")
    variable = base.variables[names[name]]
    instrument = base.observers[base.policy.ask].numbers[variable.name]
    kernel = number_kernel(instrument, variable)
    low, high = variable.edges[0], variable.edges[-1]
    grid = np.round(np.arange(round((high - low) / instrument.grid) + 1) * instrument.grid + low, 9)
    likely = kernel.mix @ np.exp(kernel.log_likelihood(grid)).T
    np.testing.assert_allclose(likely.sum(1), 1, atol=1e-9)
    np.testing.assert_allclose(kernel.mix.sum(1), 1, atol=1e-12)
    size = 200_000
    for bin_, (a, b) in enumerate(itertools.pairwise(variable.edges)):
        x = rng.uniform(a, b, size)
        brought = x + instrument.perception * rng.standard_normal(size)
        answer = instrument.gain * brought + instrument.offset + instrument.noise * rng.standard_normal(size)
        slip = rng.random(size) < instrument.slip
        answer = np.where(slip, rng.uniform(low, high, size), answer)
        step = np.clip(np.round((answer - low) / instrument.grid), 0, len(grid) - 1).astype(int)
        frequencies = np.bincount(step, minlength=len(grid)) / size
        np.testing.assert_allclose(likely[bin_], frequencies, atol=0.005)


# What many answers of one observer are worth.


def one_reading(base, observer, draws, question=0):
    return [Reading(observer.name, list(base.questions)[question], "face", tuple(draws))]


@pytest.mark.parametrize("answer", range(3))
def test_equal_answers_saturate_at_the_observers_reliability(base_of, answer):
    base = base_of("machine")
    network = compile_network(base)
    inference = Inference(network, base)
    observer = base.observers[base.policy.ask]
    prior = np.array(base.populations[base.reference].p)
    kinds = label_kinds(observer.labels[base.root], base.variables[base.root].states)
    known = prior * np.array(kinds[answer].chance)
    known /= known.sum()
    counts = (1, 2, 5, 50, 5000)
    items = [one_reading(base, observer, [{base.root: answer}] * n, question=1) for n in counts]
    marginals = inference.posterior(answers_of(base, items)).marginals[base.root]
    best = int(known.argmax())
    assert np.all(np.diff(marginals[:, best]) > 0)
    assert np.all(marginals[:, best] <= known[best] + 1e-12)
    assert marginals[-1, best] == pytest.approx(known[best], abs=2e-3)
    # Fifty are worth hardly more than five.
    assert marginals[3, best] - marginals[2, best] < 0.3 * (marginals[2, best] - prior[best])


def test_equal_numbers_leave_what_perception_leaves_open(base_of, names):
    base = base_of("machine")
    inference = Inference(compile_network(base), base)
    observer = base.observers[base.policy.ask]
    gauge = names["load"]
    instrument, edges = observer.numbers[gauge], np.array(base.variables[gauge].edges)
    items = [one_reading(base, observer, [{gauge: 0.2}] * n, question=1) for n in (1, 50)]
    p = inference.posterior(answers_of(base, items)).marginals[gauge]
    centres = (edges[:-1] + edges[1:]) / 2
    sd = np.sqrt(p @ centres**2 - (p @ centres) ** 2)
    prior = inference.posterior(answers_of(base, [[]])).marginals[gauge][0]
    # The reading known exactly: prior times a normal density of the perception's width.
    exact = prior * np.exp(
        -(((0.2 - instrument.offset) / instrument.gain - centres) ** 2) / (2 * instrument.perception**2)
    )
    exact /= exact.sum()
    exact_sd = math.sqrt(exact @ centres**2 - (exact @ centres) ** 2)
    assert exact_sd * 0.97 < sd[1] < sd[0]


# What must change nothing.


@few
@given(seeds)
def test_the_order_of_readings_and_samples_changes_nothing(seed):
    base = random_base(Shape(bins=(4, 3), couplings=1, rules=1, seed=seed))
    inference = Inference(compile_network(base), base)
    items = random_items(base, seed)
    plain = inference.posterior(answers_of(base, items))
    shuffled = inference.posterior(answers_of(base, items, np.random.default_rng(seed)))
    same(plain, shuffled)


def same(actual, expected, atol=1e-9):
    for name, p in actual.marginals.items():
        np.testing.assert_allclose(expected.marginals[name], p, atol=atol, err_msg=name)
    np.testing.assert_allclose(expected.log_evidence, actual.log_evidence, atol=atol)
    np.testing.assert_allclose(expected.violations, actual.violations, atol=atol)
    np.testing.assert_allclose(expected.correlation, actual.correlation, atol=atol)


def test_draws_of_one_reading_may_come_in_two_parts(base_of):
    base = base_of("machine")
    inference = Inference(compile_network(base), base)
    observer = base.observers[base.policy.ask]
    gauge, sign = base.intervals[0], next(iter(base.cells))
    draws = [
        {base.root: 1, sign: 1, gauge: 0.3},
        {base.root: 2, gauge: 0.1},
        {sign: 0, base.root: Ranked((1, 0, 2))},
    ]
    whole = answers_of(base, [one_reading(base, observer, draws), one_reading(base, observer, draws[:1])])
    # The last rows of the first item's columns come after those of the second item.
    order = {name: np.roll(np.arange(len(c.reading)), -1) for name, c in whole.labels.items()}
    split = replace(
        whole,
        labels={
            name: Labels(c.reading[i], c.answer[i], c.weight[i], c.spread[i])
            for (name, c), i in zip(whole.labels.items(), order.values(), strict=True)
        },
        numbers={n: Numbers(np.roll(c.reading, 2), np.roll(c.value, 2)) for n, c in whole.numbers.items()},
        rankings={n: Rankings(c.reading[::-1], c.places[::-1]) for n, c in whole.rankings.items()},
    )
    same(inference.posterior(whole), inference.posterior(split))


def test_no_samples_give_the_compiled_prior(base_of):
    base = base_of("machine")
    network = compile_network(base)
    for population, declared in base.populations.items():
        posterior = Inference(network, base, population).posterior(answers_of(base, [[], []]))
        assert posterior.log_evidence == pytest.approx([0, 0], abs=1e-12)
        np.testing.assert_allclose(posterior.marginals[base.root], [declared.p] * 2, atol=1e-9)
        for name, row in base.cells.items():
            expected = np.array(declared.p) @ [cell.p for cell in row]
            np.testing.assert_allclose(posterior.marginals[name][:, 1], expected, atol=1e-6)


def test_no_items_give_no_posteriors(base_of):
    base = base_of("machine")
    inference = Inference(compile_network(base), base)
    nothing = answers_of(base, [])
    assert inference.log_evidence(nothing).shape == (0,)
    assert inference.posterior(nothing).marginals[base.root].shape == (0, 3)


def symmetric(base, observer="symmetric", rows_equal=False):
    """Add an observer whose habit is uniform, or whose table says nothing."""
    labels = {}
    for name in (base.root, *base.cells):
        size = len(base.variables[name].states)
        table = np.full((size, size), 0.1) + np.eye(size) * (1 - 0.1 * size)
        if rows_equal:
            table = np.tile(np.arange(1, size + 1) / np.arange(1, size + 1).sum(), (size, 1))
        labels[name] = LabelInstrument(
            variable=name,
            answers=base.variables[name].states,
            confusion=tuple(tuple(map(float, row)) for row in table),
            types=(ReadingType(repeat=0.95, strength=8),),
            weight=3.0,
        )
    return replace(
        base,
        observers={
            **base.observers,
            observer: replace(
                base.observers[base.policy.ask], name=observer, labels=labels, numbers={}, halo={}
            ),
        },
    )


@pytest.mark.parametrize("rows_equal", [False, True])
def test_an_uninformative_sample_changes_nothing(base_of, rows_equal):
    base = symmetric(base_of("machine"), rows_equal=rows_equal)
    inference = Inference(compile_network(base), base)
    readings = one_reading(base, base.observers[base.policy.ask], [{base.root: 1, base.intervals[0]: 0.4}])
    if rows_equal:
        draws = [{base.root: 2, **dict.fromkeys(base.cells, 1)}] * 3
    else:
        draws = [{base.root: Spread((1 / 3,) * 3), **dict.fromkeys(base.cells, Spread((0.5, 0.5)))}]
    dull = one_reading(base, base.observers["symmetric"], draws)
    posterior = inference.posterior(answers_of(base, [readings, readings + dull]))
    for p in posterior.marginals.values():
        np.testing.assert_allclose(p[0], p[1], atol=1e-9)
    np.testing.assert_allclose(posterior.violations[0], posterior.violations[1], atol=1e-9)


def test_a_flat_report_lies_between_yes_and_no(base_of):
    """It is half an answer of each kind; for one who seldom says yes without cause that is some evidence."""
    base = base_of("machine")
    inference = Inference(compile_network(base), base)
    observer = base.observers[base.policy.ask]
    for name in base.cells:
        items = [one_reading(base, observer, [{name: y}], question=1) for y in (0, Spread((0.5, 0.5)), 1)]
        no, flat, yes = inference.posterior(answers_of(base, items)).marginals[name][:, 1]
        assert no < flat < yes


def test_a_barren_variable_changes_nothing(base_of):
    base = base_of("machine")
    barren = replace(
        next(iter(base.variables.values())), name="barren", kind="binary", states=("false", "true")
    )
    wider = replace(
        base,
        variables={"barren": barren, **base.variables},
        cells={"barren": tuple(Cell(p=p, n=5) for p in (0.2, 0.9, 0.5)), **base.cells},
    )
    items = random_items(base, 5, items=6)
    narrow = Inference(compile_network(base), base).posterior(answers_of(base, items))
    wide = Inference(compile_network(wider), wider).posterior(answers_of(wider, items))
    same(narrow, wide)
    expected = narrow.marginals[base.root] @ [0.2, 0.9, 0.5]
    np.testing.assert_allclose(wide.marginals["barren"][:, 1], expected, atol=1e-9)


@pytest.mark.parametrize(
    "taken", [{}, {"hot": "fact_1", "noisy": "count_1", "wear": "rule", "load": "cell", "dripping": "root"}]
)
def test_names_change_nothing(names, tmp_path, taken):
    """Other names, sorted the other way round; also names that the engine might use itself."""
    plain = read(BASES / "machine.yaml")
    mapping = {name: taken.get(name, names[name]) for name in names_in(plain)}
    path = tmp_path / "machine.yaml"
    path.write_text(replace_words((BASES / "machine.yaml").read_text("utf-8"), mapping), "utf-8")
    other = read(path)
    items = random_items(plain, 7, items=8, readings=4)
    renamed = [
        [replace(k, draws=tuple({mapping[v]: y for v, y in d.items()} for d in k.draws)) for k in readings]
        for readings in items
    ]
    original = Inference(compile_network(plain), plain).posterior(answers_of(plain, items))
    renamed_posterior = Inference(compile_network(other), other).posterior(answers_of(other, renamed))
    back = {name: renamed_posterior.marginals[mapping[name]] for name in original.marginals}
    same(original, replace(renamed_posterior, marginals=back))


def replace_words(text, mapping):
    import re

    return re.sub(r"[A-Za-z0-9_-]+", lambda match: mapping.get(match[0], match[0]), text)


@few
@given(seeds)
def test_evidence_in_two_halves_is_evidence_at_once(seed):
    base = random_base(Shape(bins=(4, 3), observers=3, seed=seed))
    # One of the observers may have switches; rows of the halves are then those of the whole.
    halo = {name: o.halo if i == 0 else {} for i, (name, o) in enumerate(base.observers.items())}
    base = replace(base, observers={n: replace(o, halo=halo[n]) for n, o in base.observers.items()})
    observations = Inference(compile_network(base), base).observations
    items = random_items(base, seed, items=2, readings=5)
    parts = [
        [[k for k in readings if (k.observer == "o0") == is_first] for readings in items]
        for is_first in (True, False)
    ]
    whole, first, second = (observations.evidence(answers_of(base, part)) for part in (items, *parts))
    assert np.array_equal(whole.row_item, first.row_item)
    np.testing.assert_allclose(whole.log_weight, first.log_weight, atol=1e-12)
    for name, log in whole.log_likelihood.items():
        size = log.shape
        total = (
            first.log_likelihood.get(name, np.zeros(size))
            + second.log_likelihood.get(name, np.zeros((size[0], len(second.row_item))))[
                :, two_rows(whole, second)
            ]
        )
        np.testing.assert_allclose(log, total, atol=1e-9)


def two_rows(whole, two):
    assert np.array_equal(two.row_item, np.arange(two.items))
    return whole.row_item


# Special cases that have names.


def test_full_carry_and_single_draws_are_dawid_and_skene():
    """Each answer by the row of the truth, independent of the others: C is the identity."""
    rng = np.random.default_rng(4)
    base = random_base(Shape(states=3, binaries=2, couplings=0, rules=0, observers=1, halo=False, seed=4))
    repeat, habit = 0.7, np.array([0.5, 0.3, 0.2])
    table = repeat * np.eye(3) + (1 - repeat) * habit
    instrument = LabelInstrument(
        variable="root",
        answers=("r0", "r1", "r2"),
        confusion=tuple(tuple(map(float, row)) for row in table),
        types=(ReadingType(repeat=repeat, strength=5),),
    )
    observer = replace(base.observers["o0"], carry=1.0, exponent=1.0, labels={"root": instrument}, numbers={})
    base = replace(base, observers={"o0": observer})
    inference = Inference(compile_network(base), base)
    draws = rng.integers(3, size=(20, 5))
    items = [
        [Reading("o0", "all", f"view-{i}", ({"root": int(y)},)) for i, y in enumerate(row)] for row in draws
    ]
    posterior = inference.posterior(answers_of(base, items))
    expected = np.array(base.populations["here"].p) * np.prod(table[:, draws], axis=2).T
    np.testing.assert_allclose(posterior.log_evidence, np.log(expected.sum(1)), atol=1e-9)
    np.testing.assert_allclose(
        posterior.marginals["root"], expected / expected.sum(1, keepdims=True), atol=1e-9
    )
    # Many draws of one reading are independent where propensities do not scatter.
    steady = replace(instrument, types=(ReadingType(repeat=repeat, strength=1e6),))
    base = replace(base, observers={"o0": replace(observer, labels={"root": steady})})
    items = [[Reading("o0", "all", "face", tuple({"root": int(y)} for y in row))] for row in draws]
    posterior = Inference(compile_network(base), base).posterior(answers_of(base, items))
    np.testing.assert_allclose(posterior.log_evidence, np.log(expected.sum(1)), atol=1e-4)


def test_readings_without_carry_multiply_the_one_answer_table():
    base = random_base(Shape(states=3, binaries=2, couplings=0, rules=0, observers=1, halo=False, seed=6))
    observer = replace(base.observers["o0"], carry=0.0)
    base = replace(base, observers={"o0": observer})
    instrument = observer.labels["root"]
    views = [Reading("o0", "all", view, ({"root": y},)) for view, y in (("a", 0), ("b", 2), ("c", 0))]
    posterior = Inference(compile_network(base), base).posterior(answers_of(base, [views]))
    table = np.array(instrument.confusion)
    expected = np.array(base.populations["here"].p) * table[:, 0] * table[:, 2] * table[:, 0]
    assert posterior.log_evidence[0] == pytest.approx(math.log(expected.sum()), abs=1e-9)


def test_no_halo_is_the_plain_product():
    base = random_base(Shape(binaries=4, bins=(4, 3), observers=1, halo=False, seed=8))
    observer = base.observers["o0"]
    halo = {"all": Halo(given="root", probability=0.0)}
    with_zero = replace(base, observers={"o0": replace(observer, halo=halo)})
    items = random_items(base, 8, items=6)
    without_halo = Inference(compile_network(base), base).posterior(answers_of(base, items))
    zero_halo = Inference(compile_network(with_zero), with_zero).posterior(answers_of(with_zero, items))
    same(without_halo, zero_halo, 1e-12)
    observations = Inference(compile_network(base), base).observations
    # Nothing ties the variables of one reading: each alone has the same likelihood as all together.
    whole = observations.evidence(answers_of(base, items))
    for name, log in whole.log_likelihood.items():
        alone = [
            [replace(k, draws=tuple({name: d[name]} for d in k.draws if name in d)) for k in readings]
            for readings in items
        ]
        evidence = observations.evidence(answers_of(base, alone))
        np.testing.assert_allclose(evidence.log_likelihood[name], log, atol=1e-12)


def test_a_halo_alone_makes_signs_tell_nothing_but_the_label():
    """Where answers nearly always follow the label, a sign that contradicts it hardly moves the sign."""
    base = random_base(Shape(states=2, binaries=3, couplings=0, rules=0, observers=1, halo=False, seed=11))
    given = Halo(given="root", probability=0.99)
    plain = replace(base.observers["o0"], carry=0.0)
    moved = []
    for halo in ({}, {"all": given}):
        changed = replace(base, observers={"o0": replace(plain, halo=halo)})
        sign = next(n for n in plain.labels if n != "root")
        items = [[Reading("o0", "all", "face", ({"root": 0, sign: y},))] for y in (0, 1)]
        p = (
            Inference(compile_network(changed), changed)
            .posterior(answers_of(changed, items))
            .marginals[sign][:, 1]
        )
        moved.append(p[1] - p[0])
    assert moved[1] < 0.1 * moved[0]


@few
@given(seeds)
def test_the_tails_of_rankings_sum_to_one(seed):
    base = random_base(Shape(states=4, seed=seed))
    for instrument, variable, prior in instruments(base):
        tails = label_kernel(instrument, variable, prior).tails
        if variable.kind == "binary":
            assert tails is None
            continue
        size = len(instrument.answers)
        for first in range(size):
            unranked = [k for k in range(size) if k != first]
            two = sum(np.exp(tails[first, second, size]) for second in unranked)
            three = sum(np.exp(tails[first, a, b]) for a, b in itertools.permutations(unranked, 2))
            np.testing.assert_allclose(two, 1, atol=1e-12)
            np.testing.assert_allclose(three, 1, atol=1e-12)


def test_a_flat_distribution_of_a_symmetric_binary_instrument_is_half_and_half(base_of):
    base = symmetric(base_of("machine"))
    kernel = Inference(compile_network(base), base).observations.kernels[
        len(base.observers) - 1, next(iter(base.cells))
    ]
    flat = kernel.log_likelihood(np.array([[1.5, 1.5]]))
    np.testing.assert_allclose(flat[0, 0], flat[0, 1], atol=1e-12)


def test_an_exponent_tempers_the_whole_evidence_of_an_observer():
    base = random_base(Shape(states=3, binaries=3, observers=1, halo=False, seed=12))
    items = random_items(base, 12, items=5)
    plain = Inference(compile_network(base), base).observations.evidence(answers_of(base, items))
    tempered = replace(base, observers={"o0": replace(base.observers["o0"], exponent=0.3)})
    evidence = Inference(compile_network(tempered), tempered).observations.evidence(
        answers_of(tempered, items)
    )
    for name, log in plain.log_likelihood.items():
        np.testing.assert_allclose(evidence.log_likelihood[name], 0.3 * log, atol=1e-12)


def test_items_are_weighed_apart_however_many_there_are():
    base = random_base(Shape(binaries=3, bins=(4, 3), observers=2, seed=13))
    inference = Inference(compile_network(base), base)
    items = random_items(base, 13, items=400, readings=4, draws=2)
    answers = answers_of(base, items)
    together = inference.posterior(answers)
    assert isinstance(answers, Answers)
    for i in range(0, 400, 57):
        alone = inference.posterior(answers_of(base, [items[i]]))
        np.testing.assert_allclose(together.log_evidence[i], alone.log_evidence[0], atol=1e-9)
        for name, p in alone.marginals.items():
            np.testing.assert_allclose(together.marginals[name][i], p[0], atol=1e-9)
