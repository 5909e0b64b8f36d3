"""Limits of the mean: which risks are accepted, by laws and by counting."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from brute_force import seen_level
from hypothesis import given
from hypothesis import strategies as st

from engine import EligibleRisks, Policy, Variable, set_thresholds, thresholds_by_value
from engine.decision.limits import TIE, mean_threshold

RISKS = st.lists(st.integers(0, 60).map(lambda k: k / 100), min_size=1, max_size=40).map(np.array)
LIMITS = st.integers(1, 40).map(lambda k: k / 100)


def test_a_threshold_by_hand():
    risk = np.array([0.10, 0.01, 0.30, 0.02, 0.05])
    # In their order .01 .02 .05 .10 .30 the means are .01 .015 .027 .045 .096.
    threshold = mean_threshold(risk, 0.05, 0.5)
    assert (threshold.risk, threshold.items, threshold.accepted) == (0.10, 5, 4)
    assert threshold.mean == pytest.approx(0.045)
    assert mean_threshold(risk, 0.096, 0.5).accepted == 5
    # No single risk above `worst`, whatever the mean allows.
    assert mean_threshold(risk, 0.096, 0.2).accepted == 4


def test_equal_risks_are_accepted_together_or_not_at_all():
    risk = np.array([0.01, 0.1, 0.1 + TIE / 10, 0.1])
    # Two of three equal ones would keep a mean of .07, all three do not.
    assert mean_threshold(risk, 0.075, 0.5).accepted == 1
    assert mean_threshold(risk, 0.08, 0.5).accepted == 4


@given(RISKS, LIMITS, st.integers(20, 60).map(lambda k: k / 100))
def test_it_is_the_largest_threshold_that_keeps_the_limit(risk, limit, worst):
    threshold = mean_threshold(risk, limit, worst)
    accepted = risk <= threshold.risk + TIE
    assert accepted.sum() == threshold.accepted
    if threshold.accepted:
        assert risk[accepted].mean() <= limit + TIE
        assert threshold.mean == pytest.approx(risk[accepted].mean())
    assert (risk[accepted] <= worst + TIE).all()
    # Every larger one breaks the limit, or accepts a risk above the worst.
    for larger in risk[risk > threshold.risk + TIE]:
        assert risk[risk <= larger + TIE].mean() > limit or larger > worst
    # A cap of each at the limit keeps the mean as well, so it never accepts more.
    assert threshold.risk >= min(limit, worst)


@given(RISKS, LIMITS)
def test_draws_that_all_say_the_same_change_nothing_but_the_cap_of_each(risk, limit):
    plain = mean_threshold(risk, limit, 0.5)
    drawn = mean_threshold(risk, limit, 0.5, np.tile(risk, (7, 1)), 0.8)
    assert drawn.accepted == plain.accepted
    assert drawn.risk <= plain.risk


def test_the_quantile_of_the_draws_keeps_the_limit():
    rng = np.random.default_rng(0)
    risk = rng.uniform(0, 0.3, 60)
    drawn = np.clip(risk * rng.lognormal(0, 0.5, (200, 1)), 0, 1)
    threshold = mean_threshold(risk, 0.08, 0.5, drawn, 0.8)
    means = drawn[:, risk <= threshold.risk].mean(1)
    assert 0.75 <= (means <= 0.08).mean() <= 0.85
    assert threshold.accepted < mean_threshold(risk, 0.08, 0.5).accepted
    # A surer one accepts no more.
    assert mean_threshold(risk, 0.08, 0.5, drawn, 0.95).accepted <= threshold.accepted
    # Where not even the safest item keeps it, nothing is accepted.
    nothing = mean_threshold(risk, 0.08, 0.5, np.full((5, 60), 0.2), 0.8)
    assert (nothing.risk, nothing.accepted) == (0, 0)


COLOUR = Variable("colour", "categorical", ("red", "green", "blue"), "colour")
SIGN = Variable("sign", "binary", ("false", "true"), "sign")


def test_each_value_of_a_binary_variable_has_a_mean_of_its_own():
    # A thousand safe absences pay for no presence that is wrong.
    value = np.repeat([0, 1], [1000, 80])
    risk = np.repeat([0.001, 0.2], [1000, 80])
    policy = Policy(limits={"sign": 0.05}, mean_limits=frozenset({"sign"}))
    thresholds = set_thresholds(SIGN, policy, seen_level(np.zeros(1080), value, risk))
    assert thresholds["false"].accepted == 1000
    assert thresholds["true"].accepted == 0
    risks = {value: threshold.risk for value, threshold in thresholds.items()}
    assert thresholds_by_value(SIGN, 0.05, risks) == (0.05, 0.05)


def test_values_of_a_categorical_variable_share_theirs_and_few_items_find_none():
    value, risk = np.tile([0, 1, 2], 30), np.tile([0.01, 0.05, 0.14], 30)
    policy = Policy(limits={"colour": 0.07}, mean_limits=frozenset({"colour"}))
    thresholds = set_thresholds(COLOUR, policy, seen_level(np.zeros(90), value, risk))
    assert {value: threshold.accepted for value, threshold in thresholds.items()} == {"any": 90}
    assert thresholds_by_value(COLOUR, 0.07, {"any": thresholds["any"].risk}) == (0.14,) * 3
    few = seen_level(np.zeros(30), value[:30], risk[:30])
    assert set_thresholds(COLOUR, policy, few) == {}
    assert set(set_thresholds(COLOUR, policy, few, least=30)) == {"any"}


@pytest.mark.parametrize("variable", [SIGN, COLOUR])
def test_the_part_that_is_kept_of_batches_has_the_same_thresholds(variable):
    rng = np.random.default_rng(0)
    level = seen_level(np.zeros(900), rng.integers(0, 2, 900), rng.random(900) ** 3)
    level.eligible[:] = rng.random(900) < 0.7
    policy = Policy(limits={variable.name: 0.07}, mean_limits=frozenset({variable.name}))
    parts = [EligibleRisks.of(variable, level.of(np.arange(at, at + 90))) for at in range(0, 900, 90)]
    whole = set_thresholds(variable, policy, level)
    assert whole
    assert set_thresholds(variable, policy, EligibleRisks.stacked(parts)) == whole


def test_what_may_not_be_accepted_at_all_does_not_count():
    value, risk = np.zeros(200), np.repeat([0.0, 0.1], 100)
    level = seen_level(np.zeros(200), value, risk)
    level.eligible[:100] = False
    policy = Policy(limits={"colour": 0.06}, mean_limits=frozenset({"colour"}))
    assert set_thresholds(COLOUR, policy, level)["any"].accepted == 0


def test_thresholds_take_the_place_of_limits():
    policy = Policy(limits={"sign": 0.1, "colour": 0.2}, thresholds={"sign": (0.3, 0.02)})
    assert policy.highest_risks(SIGN) == (0.3, 0.02)
    assert policy.highest_risks(COLOUR) == (0.2, 0.2, 0.2)
    assert policy.highest_risk(SIGN) == 0.3
    pairs = itertools.product((SIGN, COLOUR), (Policy(),))
    assert all(empty.highest_risk(variable) is None for variable, empty in pairs)


def test_items_count_as_often_as_a_draw_lets_them_be_met():
    """Two draws: under the second the last item's answers are four times as frequent, and it errs more."""
    risk = np.array([0.01, 0.02, 0.03])
    drawn = np.array([[0.01, 0.02, 0.01], [0.01, 0.02, 0.08]])
    weight = np.array([[1.0, 1.0, 0.4], [1.0, 1.0, 1.6]])
    # The means of all three: .0142 and .0439; without weights .0133 and .0367.
    assert mean_threshold(risk, 0.04, 0.5, drawn, 0.99, weight).accepted == 2
    assert mean_threshold(risk, 0.04, 0.5, drawn, 0.99).accepted == 3
    threshold = mean_threshold(risk, 0.044, 0.5, drawn, 0.99, weight)
    assert (threshold.accepted, threshold.mean) == (3, pytest.approx((0.01 + 0.02 + 1.6 * 0.08) / 3.6))
    alike = mean_threshold(risk, 0.04, 0.5, drawn, 0.99, np.full((2, 3), 7.0))
    assert alike == mean_threshold(risk, 0.04, 0.5, drawn, 0.99)
