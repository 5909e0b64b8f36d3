"""Shares and odds ratios, against figures worked by hand, published ones, and other programs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.metrics.odds_ratios import mantel_haenszel
from engine.metrics.proportions import share, wilson


def items(a, b, c, d):
    """Items of a two-by-two table: with both, only the first, only the second, neither."""
    first = np.repeat([True, True, False, False], [a, b, c, d])
    second = np.repeat([True, False, True, False], [a, b, c, d])
    return first, second


def stratified(*tables):
    parts = [items(*table) for table in tables]
    stratum = np.repeat(np.arange(len(tables)), [sum(table) for table in tables])
    return *(np.concatenate(column) for column in zip(*parts, strict=True)), stratum


def test_wilson_by_hand():
    # p = .8, n = 10, z = 1.96: (.8 + .1921 ± 1.96 sqrt(.016 + .0096)) / 1.384.
    assert wilson(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10)[0] == 0
    assert wilson(0, 10)[1] == pytest.approx(0.2775, abs=1e-4)


def test_plain_shares_and_ratios_are_those_of_statsmodels():
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    contingency = pytest.importorskip("statsmodels.stats.contingency_tables")
    for count, n in ((0, 1), (1, 1), (3, 7), (40, 60), (1, 200)):
        result = share(np.arange(n) < count)
        expected = proportion.proportion_confint(count, n, method="wilson")
        assert (result.low, result.high) == pytest.approx(expected, abs=1e-12)
        assert result.size == pytest.approx(n)
    rng = np.random.default_rng(1)
    for strata in (1, 2, 5):
        tables = rng.integers(1, 20, (strata, 4)).tolist()
        pooled = contingency.StratifiedTable([np.array(table).reshape(2, 2) for table in tables])
        ratio = mantel_haenszel(*stratified(*tables))
        assert ratio.value == pytest.approx(pooled.oddsratio_pooled)
        assert (ratio.low, ratio.high) == pytest.approx(pooled.oddsratio_pooled_confint(), rel=1e-6)


def test_weights_by_hand():
    # Two items of weight 3, one of them true, and two of weight 1, both false: p = 3 / 8; the residuals
    # 3 · 5/8, 3 · -3/8, -3/8, -3/8 have 225/64 + 81/64 + 9/64 + 9/64 = 324/64 as the sum of their squares.
    result = share(np.array([True, False, False, False]), np.array([3.0, 3, 1, 1]))
    assert result.value == 3 / 8
    assert result.size == pytest.approx(min((15 / 64) / (324 / 64 / 64), 64 / 20))


def test_items_that_always_agree_within_a_group_count_as_one():
    groups = np.repeat(np.arange(20), 5)
    happened = np.repeat(np.arange(20) < 10, 5)
    # Each group is one trial; with the correction for few groups worth 19 of them.
    assert share(happened, groups=groups).size == pytest.approx(19)
    assert share(np.ones(100, dtype=bool), groups=groups).size == 20
    assert share(happened).size == pytest.approx(100)


def test_no_item():
    nothing = share(np.zeros(0, dtype=bool))
    assert (nothing.low, nothing.high, nothing.items) == (0, 1, 0)
    assert math.isnan(nothing.value)


def test_one_stratum_by_hand():
    # OR = 10 · 40 / (20 · 5) = 4, and var = 1/10 + 1/20 + 1/5 + 1/40 (Woolf), as RBG has for one table.
    result = mantel_haenszel(*stratified((10, 20, 5, 40)))
    reach = 1.959964 * math.sqrt(1 / 10 + 1 / 20 + 1 / 5 + 1 / 40)
    assert result.value == pytest.approx(4)
    assert math.log(result.high / result.low) / 2 == pytest.approx(reach, rel=1e-6)


def test_strata_that_confound():
    # Within each stratum the two are independent (OR 1); over both they would seem to go together.
    first, second, stratum = stratified((81, 9, 9, 1), (1, 9, 9, 81))
    assert mantel_haenszel(first, second, stratum).value == pytest.approx(1)
    assert mantel_haenszel(first, second, np.zeros_like(stratum)).value > 10


def test_what_never_goes_together_has_an_upper_end():
    result = mantel_haenszel(*stratified((0, 20, 24, 56)))
    # (.5 · 56.5) / (20.5 · 24.5)
    assert result.value == pytest.approx(0.5 * 56.5 / (20.5 * 24.5))
    assert result.high < 1
    assert mantel_haenszel(*stratified((0, 0, 24, 56))) is None


def test_copies_of_items_in_a_group_add_nothing():
    first, second, stratum = stratified((20, 20, 10, 40))
    alone = mantel_haenszel(first, second, stratum)
    copied = mantel_haenszel(*(np.repeat(v, 4) for v in (first, second, stratum)), np.arange(360) // 4)
    widths = [math.log(result.high / result.low) for result in (alone, copied)]
    assert copied.value == pytest.approx(alone.value)
    assert widths[1] == pytest.approx(widths[0], rel=0.15)
