"""What the compiler promises: declared numbers hold, confidences are reached or said not to be."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import numpy as np
import pytest
from brute_force import Shape, World, random_base
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from thorough import examples

from engine import Answers, Inference, KnowledgeError, compile_network, feasible_interval
from engine.language.formula_parser import parse
from engine.model.knowledge import Coupling, Rule
from engine.observation.evidence import Evidence

quick = settings(max_examples=examples(6), deadline=None, derandomize=True, database=None)

shapes = st.builds(
    Shape,
    states=st.integers(2, 4),
    binaries=st.integers(2, 5),
    bins=st.sampled_from([(), (8,), (4, 3), (6, 5)]),
    couplings=st.integers(0, 5),
    rules=st.integers(0, 4),
    seed=st.integers(0, 2**32 - 1),
)


def compiled(base):
    try:
        return compile_network(base)
    except KnowledgeError as error:
        assert "nothing can satisfy" in str(error)
        assume(False)


def probabilities(world, rule):
    """P(if) and P(if & then) of a declared rule."""
    condition, then = (
        np.broadcast_to(f.holds(world.values), world.joint.shape) for f in (rule.condition, rule.then)
    )
    return world.probability(condition), world.probability(condition & then)


def check_declared(network, base, population=None):
    """Check by enumeration that the declared tables and moments hold."""
    world = World(network, base, population)
    for name, row in base.cells.items():
        np.testing.assert_allclose(
            world.table_of(name)[:, 1], [cell.p for cell in row], atol=1e-6, err_msg=name
        )
    for state, declared in enumerate(base.moments):
        mean, sd, correlation = world.moments(state)
        np.testing.assert_allclose(mean, declared.mean, atol=1e-6)
        np.testing.assert_allclose(sd, declared.sd, atol=1e-6)
        np.testing.assert_allclose(correlation, declared.correlation, atol=1e-6)
    return world


def check_rules(network, world):
    """Check the probabilities, status and weight reported for every rule by enumeration."""
    for rule, rule_fit in zip(world.base.rules, network.rules, strict=True):
        p_if, p_both = probabilities(world, rule)
        assert rule_fit.name == rule.name
        assert rule_fit.p_if == pytest.approx(p_if, abs=1e-8)
        assert rule_fit.reached == pytest.approx(p_both / p_if, abs=1e-6)
        if rule_fit.status == "met":
            assert rule_fit.reached == pytest.approx(rule.confidence, abs=1e-3)
        if rule_fit.status == "unmet":
            # At its bound, on the side of the confidence, or it gave way to a stronger one.
            assert rule_fit.weight == 0 or abs(rule_fit.weight) == pytest.approx(8)
            if rule_fit.weight:
                assert np.sign(rule.confidence - rule_fit.reached) == np.sign(rule_fit.weight)
            else:
                assert rule.n < max(other.n for other in world.base.rules)


@quick
@given(shapes)
def test_declared_numbers_hold_with_all_couplings_and_rules(shape):
    base = random_base(shape)
    network = compiled(base)
    check_rules(network, check_declared(network, base))


@quick
@given(shapes, st.randoms(use_true_random=False))
def test_declared_numbers_hold_at_the_extremes_of_what_may_be_declared(shape, random):
    base = random_base(shape)
    p = [0.001, 0.01, 0.3, 0.5, 0.99, 0.999]
    cells = {name: tuple(replace(c, p=random.choice(p)) for c in row) for name, row in base.cells.items()}
    couplings = tuple(replace(c, odds_ratio=random.choice([0.001, 0.05, 3, 1000])) for c in base.couplings)
    rules = tuple(replace(r, confidence=random.choice([0.001, 0.3, 0.95, 0.999])) for r in base.rules)
    base = replace(base, cells=cells, couplings=couplings, rules=rules)
    network = compiled(base)
    check_rules(network, check_declared(network, base))


def test_rules_that_pull_beyond_their_bounds_leave_the_tables_as_declared():
    # Clipping Newton's step coordinate by coordinate does not descend here.
    shape = Shape(states=3, binaries=2, bins=(4, 3), couplings=4, rules=3, seed=734994321)
    base = random_base(shape)
    confidences = (0.001, 0.999, 0.95)
    rules = tuple(replace(r, confidence=c) for r, c in zip(base.rules, confidences, strict=True))
    couplings = tuple(replace(c, odds_ratio=0.001) for c in base.couplings)
    base = replace(base, rules=rules, couplings=couplings)
    network = compile_network(base)
    check_rules(network, check_declared(network, base))


def test_every_part_of_the_small_bases_is_met(base_of):
    for name in ("machine", "weather"):
        base = base_of(name)
        network = compile_network(base)
        check_rules(network, check_declared(network, base))
        assert {rule.status for rule in network.rules} == {"met"}


def test_another_population_needs_no_refit(base_of):
    base = base_of("machine")
    network = compile_network(base)
    inside = {}
    for population, declared in base.populations.items():
        world = check_declared(network, base, population)
        np.testing.assert_allclose(world.joint.reshape(len(declared.p), -1).sum(1), declared.p, atol=1e-12)
        posterior = Inference(network, base, population).posterior(_nothing(base))
        np.testing.assert_allclose(posterior.marginals[base.root][0], declared.p, atol=1e-9)
        inside[population] = posterior
        for name, table in network.given_root.items():
            np.testing.assert_allclose(posterior.marginals[name][0], np.array(declared.p) @ table, atol=1e-9)
    # Only P(root) differs, so that a mixture of populations has the mixture of their marginals.
    first, second = base.populations
    p = [
        0.3 * a + 0.7 * b for a, b in zip(base.populations[first].p, base.populations[second].p, strict=True)
    ]
    mixed = replace(
        base, populations={**base.populations, "mixed": replace(base.populations[first], p=tuple(p))}
    )
    posterior = Inference(compile_network(mixed), mixed, "mixed").posterior(_nothing(base))
    for name, mixed_marginal in posterior.marginals.items():
        expected = 0.3 * inside[first].marginals[name] + 0.7 * inside[second].marginals[name]
        np.testing.assert_allclose(mixed_marginal, expected, atol=1e-9)


def _nothing(base):
    from brute_force import answers_of

    return answers_of(base, [[]])


def pair_rule(condition, then, confidence, n=10.0, name="pair", variables=None):
    return Rule(
        name=name,
        condition=parse(condition, variables),
        then=parse(then, variables),
        confidence=confidence,
        n=n,
    )


def test_a_pairs_feasible_interval_is_the_closed_form(base_of):
    base = base_of("machine")
    p = np.array(base.populations[base.reference].p)
    first, second = list(base.cells)[:2]
    rules = (pair_rule(first, second, 0.999, variables=base.variables),)
    network = compile_network(replace(base, rules=rules))
    a, b = (np.array([cell.p for cell in base.cells[name]]) for name in (first, second))
    low = (p * np.maximum(0, a + b - 1)).sum() / (p * a).sum()
    high = (p * np.minimum(a, b)).sum() / (p * a).sum()
    (rule,) = network.rules
    assert rule.status == "unmet"
    assert feasible_interval(network, base, rule) == pytest.approx((low, high), abs=1e-7)
    assert low <= rule.reached <= high
    # A coupling on top does not widen what can be.
    assert high - rule.reached < 0.02


@settings(max_examples=examples(6), deadline=None, derandomize=True, database=None)
@given(
    st.builds(
        Shape,
        states=st.integers(2, 3),
        binaries=st.integers(2, 4),
        bins=st.sampled_from([(), (4, 3)]),
        couplings=st.just(1),
        rules=st.integers(1, 3),
        seed=st.integers(0, 2**32 - 1),
    )
)
def test_feasible_intervals_equal_a_linear_programme_over_the_whole_joint(shape):
    base = random_base(shape)
    network = compiled(base)
    world = World(network, base)
    for rule, rule_fit in zip(base.rules, network.rules, strict=True):
        if rule_fit.status not in ("met", "unmet"):
            continue
        low, high = feasible_interval(network, base, rule_fit)
        assert low - 1e-6 <= rule_fit.reached <= high + 1e-6
        assert (low, high) == pytest.approx(whole_interval(world, rule), abs=1e-6)


def whole_interval(world, rule):
    """Extremes of P(then | if) over all joint tables with the declared rates and moments."""
    base = world.base
    root = world.values[base.root]
    rows, right = [], []
    features = [np.ones(root.shape)] + [world.values[name] == 1 for name in base.cells]
    places = []
    for name in base.intervals:
        edges = np.array(base.variables[name].edges)
        places.append(np.take((edges[:-1] + edges[1:]) / 2, world.values[name]))
    features += places + [a * b for a, b in itertools.combinations_with_replacement(places, 2)]
    for state in range(len(world.population)):
        for feature in features:
            row = (root == state) * feature
            rows.append(row.reshape(-1))
            right.append((world.joint * row).sum())
    condition, then = (
        np.broadcast_to(f.holds(world.values), root.shape) for f in (rule.condition, rule.then)
    )
    equal = np.hstack([np.array(rows), -np.array(right)[:, None]])
    equal = np.vstack([equal, np.append(condition.reshape(-1).astype(float), 0)])
    ends = []
    for sign in (1, -1):
        cost = np.append(sign * (condition & then).reshape(-1).astype(float), 0)
        solved = linprog(cost, A_eq=equal, b_eq=np.append(np.zeros(len(rows)), 1), method="highs")
        ends.append(sign * solved.fun)
    return tuple(ends)


@pytest.mark.parametrize("swap", [False, True])
def test_of_two_rules_that_exclude_one_another_the_stronger_wins(base_of, swap):
    base = base_of("weather")
    first, second = list(base.cells)[:2]
    probe = compile_network(replace(base, rules=(pair_rule(first, second, 0.5, variables=base.variables),)))
    low, high = feasible_interval(probe, base, probe.rules[0])
    much, little = low + 0.8 * (high - low), low + 0.2 * (high - low)
    rules = [
        pair_rule(first, second, much, n=4 if swap else 20, name="much", variables=base.variables),
        pair_rule(
            first, f"!{second}", 1 - little, n=20 if swap else 4, name="little", variables=base.variables
        ),
    ]
    for rule in rules:
        assert compile_network(replace(base, rules=(rule,))).rules[0].status == "met"
    both = {rule.name: rule for rule in compile_network(replace(base, rules=tuple(rules))).rules}
    strong, weak = ("little", "much") if swap else ("much", "little")
    assert (both[strong].status, both[weak].status) == ("met", "unmet")
    assert both[weak].reached == pytest.approx(1 - both[strong].confidence, abs=1e-3)


def test_a_rule_that_the_tables_decide_is_reported_and_not_compiled(base_of):
    base = base_of("machine")
    p = np.array(base.populations[base.reference].p)
    sign, gauge = next(iter(base.cells)), base.intervals[0]
    state = base.variables[base.root].states[1]
    texts = [
        (f"{base.root} == {state}", sign),
        (sign, f"{base.root} == {state}"),
        (f"{base.root} == {state}", f"{gauge} > 0"),
    ]
    rules = tuple(
        pair_rule(condition, then, 0.5, name=f"decided-{i}", variables=base.variables)
        for i, (condition, then) in enumerate(texts)
    )
    ruled_base = replace(base, rules=(*base.rules, *rules))
    with_rules = compile_network(ruled_base)
    without = compile_network(base)
    rule_fits = with_rules.rules[-3:]
    assert [rule.status for rule in rule_fits] == ["decided"] * 3
    a = np.array([cell.p for cell in base.cells[sign]])
    assert rule_fits[0].reached == pytest.approx(a[1], abs=1e-6)
    assert rule_fits[1].reached == pytest.approx(p[1] * a[1] / (p @ a), abs=1e-6)
    assert rule_fits[2].reached == pytest.approx(
        check_declared(with_rules, ruled_base).table_of(gauge)[1, 4:].sum(), abs=1e-6
    )
    assert len(with_rules.factors) == len(without.factors)
    np.testing.assert_allclose(World(with_rules, ruled_base).joint, World(without, base).joint, atol=1e-12)


def test_a_coupling_is_the_odds_ratio_given_everything_else(base_of):
    base = base_of("machine")
    (coupling,) = base.couplings
    world = World(compile_network(base), base)
    first, second = (world.names.index(name) for name in coupling.pair)
    joint = np.moveaxis(world.joint, (first, second), (0, 1))
    odds = joint[0, 0] * joint[1, 1] / (joint[0, 1] * joint[1, 0])
    # No rule speaks of both.
    np.testing.assert_allclose(odds, coupling.odds_ratio, rtol=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "{0} & !{0}",
        "{gauge} > 0.5 & {gauge} < 0",
        "count({0}, {1}, {2}) >= 4",
        "{gauge} > 0 & {0} & {gauge} <= 0",
    ],
)
@pytest.mark.parametrize("place", ["if", "then"])
def test_a_formula_that_nothing_can_satisfy_is_a_fault(base_of, text, place):
    base = base_of("machine")
    names = list(base.cells)
    text = text.format(*names, gauge=base.intervals[0])
    condition, then = (text, names[3]) if place == "if" else (names[3], text)
    rule = pair_rule(condition, then, 0.5, name="empty", variables=base.variables)
    with pytest.raises(KnowledgeError, match=r"rules\.empty.*nothing can satisfy its `if`"):
        compile_network(replace(base, rules=(rule,)))


@pytest.mark.parametrize(
    ("condition", "then"),
    [
        ("count({b}) >= 5 & !b0 & !b1", "b2"),
        ("count({b}) >= 5", "!b0 & !b1 & !b2"),
    ],
)
def test_what_nothing_can_satisfy_is_found_through_counters_too(condition, then):
    base = random_base(Shape(binaries=6, couplings=0, rules=0, seed=1))
    listed = ", ".join(base.cells)
    rule = pair_rule(condition.format(b=listed), then, 0.5, name="empty", variables=base.variables)
    with pytest.raises(KnowledgeError, match=r"rules\.empty.*nothing can satisfy its `if`"):
        compile_network(replace(base, rules=(rule,)))


def test_a_count_of_many_things_costs_small_tables():
    base = random_base(Shape(states=2, binaries=14, couplings=0, rules=0, seed=3))
    listed = ", ".join(list(base.cells)[1:])
    rule = pair_rule(f"count({listed}) >= 8", "b0", 0.8, variables=base.variables)
    base = replace(base, rules=(rule,))
    network = compile_network(base)
    assert network.cells(blocks=False) < 1000
    check_rules(network, check_declared(network, base))


@pytest.mark.parametrize(("binaries", "count"), [(6, 360), pytest.param(7, 630, marks=pytest.mark.slow)])
def test_many_rules_that_hold_together_are_met_and_the_tables_stay_as_declared(binaries, count):
    base = random_base(Shape(states=2, binaries=binaries, couplings=3, rules=2, seed=11))
    truth = World(compile_network(base), base)
    rules = []
    for a, b, c in itertools.permutations(base.cells, 3):
        for condition in (f"{a} & !{b}", f"!{a} & {b}", f"{a} | {b}"):
            rule = pair_rule(condition, c, 0.5, name=f"r{len(rules)}", variables=base.variables)
            p_if, p_both = probabilities(truth, rule)
            rules.append(replace(rule, confidence=p_both / p_if))
    base = replace(base, couplings=(), rules=tuple(rules))
    world = check_declared(compile_network(base), base)
    assert len(rules) == count
    for rule in rules:
        p_if, p_both = probabilities(world, rule)
        assert p_both / p_if == pytest.approx(rule.confidence, abs=0.003)


@pytest.mark.parametrize("binaries", [6, pytest.param(7, marks=pytest.mark.slow)])
def test_of_hundreds_of_rules_that_cannot_all_hold_each_is_told_apart(binaries):
    base = random_base(Shape(states=2, binaries=binaries, couplings=0, rules=0, seed=12))
    chance = np.random.default_rng(5)
    rules = [
        pair_rule(f"{a} & {b}", c, float(p), name=f"r-{a}-{b}-{c}-{p:.3f}", variables=base.variables)
        for a, b, c in itertools.permutations(base.cells, 3)
        for p in chance.uniform(0.1, 0.9, 5)
    ]
    base = replace(base, rules=tuple(rules))
    network = compile_network(base)
    world = check_declared(network, base)
    is_met = {rule.name: rule.status == "met" for rule in network.rules}
    for rule in rules:
        p_if, p_both = probabilities(world, rule)
        assert is_met[rule.name] <= (abs(p_both / p_if - rule.confidence) < 1.001e-3)
    assert sum(is_met.values()) < len(rules) / 2


@pytest.mark.slow
def test_three_thousand_rules_over_sixty_variables_are_audited():
    """Of each rule is said what it is: with this many not all hold, and the tables stay as declared."""
    base = random_base(Shape(states=3, binaries=60, couplings=0, rules=0, seed=4))
    chance, names = np.random.default_rng(6), list(base.cells)
    rules = []
    for number in range(3000):
        start = int(chance.integers(57))
        a, b, c = (names[start + i] for i in chance.choice(4, 3, replace=False))
        signs = ["!" * int(sign) for sign in chance.integers(0, 2, 3)]
        formulas = f"{signs[0]}{a} & {signs[1]}{b}", f"{signs[2]}{c}"
        rules.append(
            pair_rule(*formulas, float(chance.uniform(0.2, 0.8)), name=f"r{number}", variables=base.variables)
        )
    network = compile_network(replace(base, rules=tuple(rules)))
    assert max(map(len, network.cliques)) <= 5
    inference = Inference(network, base)
    nothing = Evidence(1, np.zeros(1, int), np.zeros(1), {}, np.ones(1, bool), np.zeros((2, 0), int))
    marginals = inference.marginals(nothing)
    weights = np.array(base.populations[base.reference].p)
    for name, row in base.cells.items():
        assert marginals[name][0, 1] == pytest.approx(weights @ [cell.p for cell in row], abs=1e-6)
    # By another way: the posterior's own probability that a rule is violated.
    violations = dict(
        zip(
            (rule.name for rule in inference.rules),
            inference.posterior(Answers.nothing()).violations[0],
            strict=True,
        )
    )
    for rule in network.rules:
        if rule.status != "decided":
            assert violations[rule.name] == pytest.approx(rule.p_if * (1 - rule.reached), abs=1e-6)
        if rule.status == "met":
            assert rule.reached == pytest.approx(rule.confidence, abs=1e-3)


def test_a_base_too_wide_is_refused_quickly_and_says_what_makes_it_so():
    base = random_base(Shape(states=3, binaries=30, couplings=0, rules=0, seed=2))
    couplings = tuple(
        Coupling(name=f"c-{a}-{b}", pair=(a, b), odds_ratio=2, n=5)
        for a, b in itertools.combinations(base.cells, 2)
    )
    rule = pair_rule("b0 & b1", "b2", 0.9, name="three", variables=base.variables)
    start = time.process_time()
    with pytest.raises(KnowledgeError) as caught:
        compile_network(replace(base, couplings=couplings, rules=(rule,)))
    assert time.process_time() - start < 5
    message = str(caught.value)
    assert "too wide to compile: 30 variables" in message
    assert "couplings.c-b0-b1, " in message
    only_rules = tuple(
        pair_rule(f"{a} & {b}", c, 0.5, name=f"r-{a}-{b}", variables=base.variables)
        for a, b, c in itertools.combinations(base.cells, 3)
    )
    start = time.process_time()
    with pytest.raises(KnowledgeError, match=r"tied by rules\.r-b0-b1"):
        compile_network(replace(base, rules=only_rules[:600:2]))
    assert time.process_time() - start < 10


def test_a_rule_that_is_too_wide_by_itself_is_refused():
    base = random_base(Shape(states=3, binaries=26, couplings=0, rules=0, seed=2))
    every = " & ".join(base.cells)
    rule = pair_rule(f"root == r0 & {every}", "root == r1 | b0", 0.9, name="all", variables=base.variables)
    with pytest.raises(KnowledgeError, match=r"rules\.all: is about 26 variables at once"):
        compile_network(replace(base, rules=(rule,)))


def test_compiling_twice_gives_the_same_numbers(base_of):
    base = base_of("machine")
    first_network, second_network = compile_network(base), compile_network(base)
    for a, b in zip(first_network.factors, second_network.factors, strict=True):
        assert a == b
        assert np.array_equal(a.log_table, b.log_table)


@quick
@given(shapes, st.sampled_from(["here", "there"]))
def test_the_exported_network_is_the_compiled_one(shape, population):
    base = random_base(shape)
    network = compiled(base)
    model = network.to_pgmpy(population)
    assert model.check_model()
    observed = network.observed()
    assert set(observed) <= set(model.nodes())
    assert all(name.isidentifier() and name.isascii() for name in model.nodes())
    world = World(network, base, population)
    joint = multiplied(model, observed, world.names)
    np.testing.assert_allclose(joint, world.joint, atol=1e-9)
    for name in base.intervals:
        middles = base.variables[name].states
        words = [("m" if x[0] == "-" else "p") + x.lstrip("-").replace(".", "_") for x in middles]
        assert model.get_cpds(name).state_names[name] == words


def multiplied(model, observed, names):
    """Multiply out the tables of a small network given its evidence and sum out all but `names`."""
    order = [*names, *(n for n in model.nodes() if n not in names and n not in observed)]
    letter = {name: i for i, name in enumerate(order)}
    operands = []
    for cpd in model.get_cpds():
        values, axes = cpd.values, list(cpd.variables)
        for name in [n for n in axes if n in observed]:
            place = axes.index(name)
            values = np.take(values, cpd.state_names[name].index(observed[name]), axis=place)
            axes.pop(place)
        operands += [values, [letter[n] for n in axes]]
    joint = np.einsum(*operands, [letter[n] for n in names], optimize="greedy")
    return joint / joint.sum()


def test_exported_names_are_fit_and_unique(overlay_of, names):
    extra = """
variables: {rule_dry: {kind: binary}, a-b: {kind: binary}, a_b: {kind: binary}, fact_1: {kind: binary}}
rules: {dry-er: {if: hot & rule_dry, then: fact_1 & a-b, confidence: 0.3, n: 1, source: judgement, note: x},
        dry_er: {if: hot & a_b, then: flow < 1, confidence: 0.3, n: 1, source: judgement, note: x}}
"""
    base = overlay_of(extra)
    network = compile_network(base)
    model = network.to_pgmpy()
    assert model.check_model()
    assert len(set(model.nodes())) == len(model.nodes())
    assert {"a_b", "a_b_", "rule_dry", "rule_dry_"} <= set(model.nodes())
    assert set(network.observed()) >= {"rule_dry_", "rule_dry_er", "rule_dry_er_", "coupling_rattle"}
    world = World(network, base)
    exported = [n.replace("-", "_") for n in world.names]
    exported[world.names.index("a_b")] = "a_b_"
    joint = multiplied(model, network.observed(), exported)
    np.testing.assert_allclose(joint, world.joint, atol=1e-9)
