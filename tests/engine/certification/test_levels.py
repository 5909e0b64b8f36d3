"""Certificates of a level: a variable as a whole, and the binary variables of a level, pooled."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_levels import COLOUR, DESIGN, MACHINE, SIZE, base_of, level
from scipy.stats import beta, binomtest
from thorough import examples

from engine import (
    Gold,
    KnowledgeError,
    Variable,
    certificates_yaml,
    certify,
    decide_certified,
    listed,
    predicted_thresholds,
    read,
    split,
)
from engine.certification.hypotheses import Part
from engine.metrics.binomial import passes
from engine.model.guarantee import ANY, POOLED

HOT, WET = (Variable(name, "binary", ("false", "true"), name) for name in ("hot", "wet"))


def certified(base, levels, wrong, fits, **options):
    """Certify; wrong: variable -> (N,) whether each decision is wrong."""
    count = len(fits)
    gold = {}
    for name, column in wrong.items():
        value = np.array(levels[name].value)
        gold[name] = np.where(column, 1 - value, value)
    options = {"alpha": 0.1, "delta": 0.1, "population": "here", "made": "2025-11-25"} | options
    return certify(base, levels, np.ones(count, bool), Gold(gold), np.array(fits), design=DESIGN, **options)


# What a promise is about.


def test_what_is_promised_by_breadth():
    base = base_of(COLOUR, HOT, WET, SIZE)
    levels = {name: level([0, 1] * 30, [0.01] * 60) for name in base.variables}
    wrong = {name: np.zeros(60, bool) for name in base.variables}
    by_value = ["hot false", "hot true", "wet false", "wet true"]
    for breadth, names in {
        "levels": ["colour as a whole", *by_value, "size"],
        "values": ["colour red", "colour green", *by_value, "size"],
        "pooled": ["all, pooled", "colour as a whole", "size"],
    }.items():
        made = certified(
            base, levels, wrong, [True, False] * 30, breadth=breadth, rng=np.random.default_rng(0)
        )
        assert [certificate.name for certificate in made.certificates] == names
    assert listed(made.certificates) == "all, pooled; colour as a whole; size"
    with pytest.raises(ValueError, match="rng"):
        certified(base, levels, wrong, [True, False] * 30, breadth="pooled")


def test_a_variable_with_a_state_called_any_is_certified_by_value():
    odd = replace(COLOUR, states=("any", "green"))
    made = certified(base_of(odd), {"colour": level([0, 1] * 60, [0.01] * 120)}, {}, [True, False] * 60)
    assert [certificate.value for certificate in made.certificates] == ["any", "green"]
    assert made.certificates[0].values_of(odd) == ("any",)


def test_the_limit_is_that_of_the_policy_where_there_is_one():
    base = base_of(COLOUR, HOT, WET, limits={"colour": 0.2, "hot": 0.1, "wet": 0.1})
    levels = {name: level([0, 1] * 30, [0.01] * 60) for name in base.variables}
    options = {"breadth": "pooled", "rng": np.random.default_rng(0)}
    for limits, pooled_limit in ((base.policy.limits, 0.1), (base.policy.limits | {"wet": 0.3}, None)):
        changed = replace(base, policy=replace(base.policy, limits=limits))
        pooled, colour = certified(changed, levels, {}, [True, False] * 30, **options).certificates
        assert (pooled.limit, colour.limit) == (pooled_limit, 0.2)


# The test of a whole.


def blocks(*parts):
    """Items of (risk, right, wrong) blocks, of which red and green take turns: value, risk, wrong."""
    risk = [r for r, right, wrong in parts for _ in range(right + wrong)]
    wrong = [w for _, right, wrong in parts for w in [False] * right + [True] * wrong]
    return [i % 2 for i in range(len(risk))], risk, wrong


def whole(fit, test, **options):
    """Certify the colour as a whole on blocks of both parts."""
    value, risk, wrong = (f + t for f, t in zip(blocks(*fit), blocks(*test), strict=True))
    fits = np.arange(len(risk)) < len(blocks(*fit)[0])
    made = certified(
        base_of(COLOUR), {"colour": level(value, risk)}, {"colour": np.array(wrong)}, fits, **options
    )
    return made.certificates


def test_a_threshold_of_a_whole_by_hand():
    # alpha .5, delta .25. The fit sends the start to risk .2, where nothing is wrong. P(Bin(n, .5) <= e) of
    # 4 right: 1/16; 8 right: 1/256; 5 wrong of 13: 2380/8192 = .29 > .25, so the second is the last.
    fit, test = [(0.2, 4, 0), (0.4, 0, 4), (0.6, 0, 4)], [(0.2, 4, 0), (0.4, 4, 0), (0.6, 0, 5)]
    (certificate,) = whole(fit, test, alpha=0.5, delta=0.25)
    assert certificate.threshold == pytest.approx(0.4, abs=2e-9)
    assert (certificate.value, certificate.n, certificate.errors) == (ANY, 8, 0)
    assert (certificate.predicted, certificate.share) == (13, 0.25)
    # Four of each: the bound of each spends an eighth, (1 - b)^4 = .125.
    assert [(test.value, test.n, test.errors) for test in certificate.each] == [
        ("red", 4, 0),
        ("green", 4, 0),
    ]
    assert certificate.worst.bound == pytest.approx(1 - 0.125 ** (1 / 4))
    # Each value by itself has two and four right ones at these risks, of which two prove nothing: at a share
    # of an eighth it takes three.
    red, green = whole(fit, test, alpha=0.5, delta=0.25, breadth="values")
    assert red.threshold == green.threshold == pytest.approx(0.4, abs=2e-9)
    few = [(0.2, 4, 0)]
    assert whole(few, few, alpha=0.5, delta=0.25)[0].threshold is not None
    assert [c.threshold for c in whole(few, few, alpha=0.5, delta=0.25, breadth="values")] == [None, None]


def test_a_whole_may_hide_a_value_that_errs_more_and_says_so():
    # 200 red ones without an error, 20 green ones of which half is wrong: 10 of 220 are within a tenth.
    value = np.tile([0] * 200 + [1] * 20, 2)
    wrong = np.tile([False] * 200 + [False, True] * 10, 2)
    fits = np.arange(440) < 220
    base, levels = base_of(COLOUR), {"colour": level(value, np.full(440, 0.05))}
    made = certified(base, levels, {"colour": wrong}, fits)
    (certificate,) = made.certificates
    assert (certificate.n, certificate.errors) == (220, 10)
    assert certificate.bound < 0.1
    worst = certificate.worst
    assert (worst.value, worst.n, worst.errors) == ("green", 20, 10)
    assert worst.bound == pytest.approx(beta.ppf(0.95, 11, 10))
    assert "single values may err more often" in " ".join(made.assumptions)
    red, green = certified(base, levels, {"colour": wrong}, fits, breadth="values").certificates
    assert (red.threshold is None, green.threshold is None) == (False, True)


@pytest.mark.parametrize(("n", "alpha", "delta"), [(9, 0.5, 0.25), (12, 0.25, 0.1), (30, 0.1, 0.1)])
@pytest.mark.parametrize("breadth", ["levels", "pooled"])
def test_a_false_certificate_is_as_rare_as_its_share_and_no_rarer_than_need_be(n, alpha, delta, breadth):
    """Every outcome of n units that err with probability alpha, each weighed: how many certify?

    Both values of a pooled item are wrong together: counted as 2 n trials they would certify too often.
    """
    base = base_of(COLOUR) if breadth == "levels" else base_of(HOT, WET)
    levels = {name: level([i % 2 for i in range(2 * n)], [0.01] * 2 * n) for name in base.variables}
    weights = [math.comb(n, k) * alpha**k * (1 - alpha) ** (n - k) for k in range(n + 1)]
    certified_after = []
    for k in range(n + 1):
        wrong = np.arange(2 * n) < k
        made = certified(
            base,
            levels,
            dict.fromkeys(base.variables, wrong),
            np.arange(2 * n) >= n,
            alpha=alpha,
            delta=delta,
            breadth=breadth,
            rng=np.random.default_rng(k),
        )
        (certificate,) = made.certificates
        assert (certificate.n, certificate.errors) == (n, k)
        certified_after.append(certificate.threshold is not None)
    most = certified_after.index(False)
    assert not any(certified_after[most:])
    assert sum(weights[:most]) <= delta < sum(weights[: most + 1])
    counted_twice = sum(weight for k, weight in enumerate(weights) if passes(2 * n, 2 * k, alpha, delta))
    assert counted_twice > delta


@st.composite
def worlds(draw):
    """A colour, two binary variables and a number, of any risk; which are wrong, and who fits."""
    count = draw(st.integers(1, 120))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    skill = draw(st.floats(0, 1))
    base = base_of(COLOUR, HOT, WET, SIZE)
    levels = {
        name: level(rng.integers(0, 2, count), np.round(rng.random(count), draw(st.integers(1, 6))))
        for name in base.variables
    }
    wrong = {name: rng.random(count) > skill for name in levels}
    groups = rng.integers(0, 20, count) if draw(st.booleans()) else None
    fits = (groups if groups is not None else rng.integers(0, 20, count)) < 8
    return base, levels, wrong, fits, groups


@settings(deadline=None, max_examples=examples(25))
@given(worlds(), st.sampled_from(["levels", "pooled"]), st.sampled_from([0.2, 0.5]), st.integers(0, 99))
def test_laws_of_certificates_of_levels(world, breadth, alpha, seed):
    base, levels, wrong, fits, groups = world

    def made_with(truth):
        options = {"groups": groups, "rng": np.random.default_rng(seed), "breadth": breadth}
        return certified(base, levels, truth, fits, alpha=alpha, delta=0.6, **options)

    made = made_with(wrong)
    assert sum(certificate.share for certificate in made.certificates) <= 0.6
    units = np.arange(len(fits)) if groups is None else groups
    for certificate in made.certified:
        assert (
            binomtest(certificate.errors, certificate.n, alpha, alternative="less").pvalue
            <= certificate.share
        )
        names = certificate.pooled or (certificate.variable,)
        about = {
            name: ~fits
            & np.isin(levels[name].value, [0, 1] if certificate.is_level else [certificate.value == "true"])
            for name in names
        }
        inside = {name: mask & (levels[name].risk <= certificate.threshold) for name, mask in about.items()}
        accepted_units = set().union(*(units[mask].tolist() for mask in inside.values()))
        decisions = sum(mask.sum() for mask in inside.values())
        assert certificate.coverage * certificate.predicted == pytest.approx(decisions)
        assert certificate.predicted == sum(mask.sum() for mask in about.values())
        assert certificate.n == len(accepted_units)
        for test in certificate.each:
            value = base.variables[test.variable].states.index(test.value)
            chosen = inside[test.variable] & (levels[test.variable].value == value)
            assert test.n == len(set(units[chosen].tolist()))
            if groups is None:
                assert test.errors == wrong[test.variable][chosen].sum()
            share = certificate.share / len(certificate.each)
            expected = (
                1 if test.errors == test.n else beta.ppf(1 - share, test.errors + 1, test.n - test.errors)
            )
            assert test.bound == pytest.approx(expected)
        if certificate.value == ANY and groups is None:
            assert sum(test.n for test in certificate.each) == certificate.n
            assert sum(test.errors for test in certificate.each) == certificate.errors
    # What certifies has no say in what is tried.
    other = made_with({name: np.where(fits, column, ~column) for name, column in wrong.items()})
    assert [c.share for c in made.certificates] == [c.share for c in other.certificates]


@settings(deadline=None, max_examples=examples(25))
@given(worlds(), st.sampled_from(["levels", "values", "pooled"]), st.integers(0, 99))
def test_what_a_test_will_end_with_is_predicted_by_the_fit_split_alone(world, breadth, seed):
    base, levels, wrong, fits, groups = world

    def options():
        return {"alpha": 0.5, "delta": 0.6, "groups": groups, "breadth": breadth}

    def predicted(levels, truth):
        gold = {
            name: np.where(column, 1 - levels[name].value, levels[name].value)
            for name, column in truth.items()
        }
        about = base, levels, np.ones(len(fits), dtype=bool), Gold(gold), fits
        return predicted_thresholds(*about, **options(), rng=np.random.default_rng(seed))

    thresholds = predicted(levels, wrong)
    other_levels = {name: replace(l, risk=np.where(fits, l.risk, 1 - l.risk)) for name, l in levels.items()}
    other_wrong = {name: np.where(fits, column, ~column) for name, column in wrong.items()}
    assert predicted(other_levels, other_wrong) == thresholds
    made = certified(base, levels, wrong, fits, **options(), rng=np.random.default_rng(seed), aims=thresholds)
    for certificate in made.certificates:
        names = certificate.pooled or (certificate.variable,)
        for variable in (base.variables[name] for name in names):
            for value in certificate.values_of(variable):
                aim = thresholds[variable.name][variable.values.index(value)]
                assert certificate.aim == aim
                assert (aim > 0) == (certificate.share > 0)
                # A candidate is a risk of the fit split, and hardly more.
                assert (
                    aim == 0
                    or np.isclose(levels[variable.name].risk, aim, atol=2e-9).any()
                    or certificate.pooled
                )


def test_what_passes_for_sure_is_predicted_and_what_cannot_is_not():
    """What is red, at a risk of .1, is right, what is green always wrong: .1 is the end, none of green."""
    base, value = base_of(COLOUR), np.repeat([0, 1], 400)
    levels, fits = {"colour": level(value, np.where(value, 0.3, 0.1))}, np.arange(800) % 2 == 0
    gold = Gold({"colour": np.zeros(800)})
    options = {"alpha": 0.1, "delta": 0.1, "breadth": "values"}
    predicted = predicted_thresholds(base, levels, np.ones(800, dtype=bool), gold, fits, **options)
    assert predicted == {"colour": (pytest.approx(0.1, abs=2e-9), 0.0)}


# One decision of each unit.


@given(st.integers(0, 60), st.integers(1, 20), st.integers(0, 10**6))
def test_of_each_unit_the_first_accepted_one_counts(count, units, seed):
    rng = np.random.default_rng(seed)
    risk = np.sort(np.round(rng.random(count), 1))
    risk[risk > 0.8] = np.inf
    wrong, unit, order = rng.random(count) < 0.4, rng.integers(0, units, count), rng.random(count)
    thresholds = np.round(np.linspace(0, 1, 12), 3)
    n, errors = Part(risk, wrong, unit, order).counts(thresholds)
    for i, threshold in enumerate(thresholds):
        accepted = [j for j in np.argsort(order) if risk[j] <= threshold]
        first = {unit[j]: wrong[j] for j in reversed(accepted)}
        assert (n[i], errors[i]) == (len(first), sum(first.values()))


def test_any_accepted_value_of_an_item_may_be_the_one():
    # Of each item one value is right and one wrong; a third, wrong, is not accepted.
    odd = Variable("odd", "binary", ("false", "true"), "odd")
    base, count = base_of(HOT, WET, odd), 200
    levels = {name: level([1] * count, [0.01] * count) for name in ("hot", "wet")}
    levels["odd"] = level([1] * count, [np.inf] * count)
    wrong = {"hot": np.zeros(count, bool), "wet": np.ones(count, bool), "odd": np.ones(count, bool)}
    errors = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        fits = np.arange(count) < 100
        made = certified(base, levels, wrong, fits, alpha=0.7, breadth="pooled", rng=rng)
        (certificate,) = made.certificates
        assert (certificate.n, certificate.predicted, certificate.value) == (100, 300, POOLED)
        assert certificate.worst.variable == "wet"
        errors.append(certificate.errors)
    assert np.mean(errors) == pytest.approx(50, abs=4 * np.sqrt(25 / 40))
    assert "one accepted value of each item, drawn by chance" in " ".join(made.assumptions)


def test_thresholds_of_levels_take_the_place_of_limits():
    base, count = base_of(COLOUR, HOT, WET), 120
    half = [True, False] * 60
    levels = {name: level([0, 0, 1, 1] * 30, [0.2] * count) for name in base.variables}
    wrong = {name: np.zeros(count, bool) for name in base.variables}
    made = certified(base, levels, wrong, half, breadth="pooled", rng=np.random.default_rng(0))
    assert len(made.certified) == 2
    new = {name: level([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.0]) for name in base.variables}
    decided = decide_certified(base, made, new, np.array([True, True, True, False]))
    for name in base.variables:
        assert decided[name].accepted.tolist() == [True, True, False, False]
    # A certified threshold is about the risk and its deviation over draws of the base, too.
    spread = np.array([0.0, 0.2, 0.0, 0.0])
    doubted = {name: replace(decision, risk_sd=spread) for name, decision in new.items()}
    decided = decide_certified(base, made, doubted, np.array([True, True, True, False]))
    assert decided[COLOUR.name].accepted.tolist() == [True, False, False, False]


# The section of the YAML.


def machine_guarantee(base, breadth, count=600):
    rng = np.random.default_rng(3)
    levels, wrong = {}, {}
    for name in (name for names in base.levels.values() for name in names):
        states = 1 if base.variables[name].kind == "interval" else len(base.variables[name].states)
        levels[name] = level(rng.integers(0, states, count), rng.random(count) ** 3)
        wrong[name] = rng.random(count) < levels[name].risk
    return certified(base, levels, wrong, split(count, None, 1 / 3, rng), breadth=breadth, rng=rng)


def written(folder, guarantee):
    path = folder / "certified.yaml"
    path.write_text(f"extends: {MACHINE}\n{certificates_yaml(guarantee, 'handbook')}", "utf-8")
    return path


@pytest.mark.parametrize("breadth", ["levels", "pooled"])
def test_what_is_written_of_levels_is_read_again(tmp_path, breadth):
    base = read(MACHINE)
    made = machine_guarantee(base, breadth)
    path = written(tmp_path, made)
    again = read(path).guarantee
    assert [c.name for c in again.certificates if c.value not in (POOLED,)] == [
        c.name for c in made.certificates if c.value != POOLED
    ]
    by_name = {certificate.name: certificate for certificate in again.certificates}
    assert any(certificate.each for certificate in made.certified)
    for certificate in made.certificates:
        other = by_name[certificate.name]
        for key in ("threshold", "n", "errors", "share", "limit", "pooled", "missing"):
            assert getattr(certificate, key) == getattr(other, key)
        for test, same in zip(certificate.each, other.each, strict=True):
            assert replace(same, bound=0.0) == replace(test, bound=0.0)
            assert test.bound <= same.bound <= test.bound + 1e-6
    # Certificates of an earlier version say no limit and count no single values; they mean the same.
    plain = replace(made, certificates=tuple(replace(c, limit=None, each=()) for c in made.certificates))
    old = written(tmp_path, plain)
    assert "limit:" not in old.read_text().partition("values:")[2]
    assert [c.threshold for c in read(old).guarantee.certificates] == [
        c.threshold for c in again.certificates
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("      any:", "      every:", "no such value of wear"),
        ("        each:\n", "        every:\n", "unknown key"),
        ("    of:", "    off:", "unknown key"),
    ],
)
def test_slips_in_levels_are_faults(tmp_path, old, new, message):
    path = written(tmp_path, machine_guarantee(read(MACHINE), "pooled"))
    text = path.read_text("utf-8")
    if old not in text:  # Flow style writes them in one line.
        old, new = (part.strip().rstrip(":") + ":" for part in (old, new))
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(KnowledgeError, match=message):
        read(path)
