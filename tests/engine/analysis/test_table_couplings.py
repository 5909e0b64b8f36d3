"""Odds ratios in the declared form, of tables drawn from compiled bases and of one worked by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from engine import compile_network
from engine.analysis.table_couplings import declared_ratios
from engine.metrics.odds_ratios import mantel_haenszel


def counted(table):
    """Items of a 2 x 2 x ... table of counts, as columns."""
    cells = list(np.ndindex(*table.shape))
    return np.repeat(np.array(cells), [table[cell] for cell in cells], axis=0).T


def test_one_pair_by_hand():
    # OR = 10 · 40 / (20 · 5) = 4 but for the added items, and var = 1/10 + 1/20 + 1/5 + 1/40 (Woolf).
    x, y = counted(np.array([[40, 5], [20, 10]]) * 100)
    (ratio,) = declared_ratios({"x": x, "y": y}, np.zeros(len(x), dtype=int), [("x", "y")]).values()
    assert ratio.value == pytest.approx(4, rel=0.01)
    width = 2 * 1.959964 * math.sqrt((1 / 10 + 1 / 20 + 1 / 5 + 1 / 40) / 100)
    assert math.log(ratio.high / ratio.low) == pytest.approx(width, rel=0.01)
    assert ratio.size == pytest.approx(1600 / 0.375, rel=0.02)


def test_all_ratios_at_once_are_recovered_from_their_distribution():
    """x - y - z in a chain: y and z hang together by 3 given x, and x and z not at all given y."""
    states = np.array(list(itertools.product((0, 1), repeat=3)))
    parts, roots = [], []
    for root, rates in enumerate(((0.2, -0.5, 0.4), (-0.3, 0.6, -1))):
        logs = states @ np.array(rates) + math.log(5) * states[:, 0] * states[:, 1]
        logs += math.log(3) * states[:, 1] * states[:, 2]
        p = np.exp(logs) / np.exp(logs).sum()
        rows = np.repeat(states, np.round(p * 40_000).astype(int), axis=0)
        parts.append(rows)
        roots += [root] * len(rows)
    x, y, z = np.concatenate(parts).T
    values, root = {"x": x, "y": y, "z": z}, np.array(roots)
    ratios = declared_ratios(values, root, [("x", "y"), ("y", "z"), ("x", "z")])
    assert [ratio.value for ratio in ratios.values()] == pytest.approx([5, 3, 1], rel=0.01)
    # Mantel and Haenszel leave the third variable out, and x and z seem to go together.
    assert mantel_haenszel(x == 1, z == 1, root).value > 1.2


def test_items_of_one_group_that_are_copies_add_nothing():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, 300)
    y = np.where(rng.random(300) < 0.7, x, 1 - x)
    root = rng.integers(0, 2, 300)
    groups = np.arange(300)
    (alone,) = declared_ratios({"x": x, "y": y}, root, [("x", "y")], groups).values()
    copied = [np.repeat(column, 5) for column in (x, y, root, groups)]
    (fivefold,) = declared_ratios(
        {"x": copied[0], "y": copied[1]}, copied[2], [("x", "y")], copied[3]
    ).values()
    assert math.log(fivefold.high / fivefold.low) == pytest.approx(math.log(alone.high / alone.low), rel=0.05)
    (naive,) = declared_ratios({"x": copied[0], "y": copied[1]}, copied[2], [("x", "y")]).values()
    assert naive.high / naive.low < alone.high / alone.low


def test_what_never_goes_together_has_a_small_ratio():
    x, y = counted(np.array([[60, 20], [20, 0]]))
    (ratio,) = declared_ratios({"x": x, "y": y}, np.zeros(100, dtype=int), [("x", "y")]).values()
    assert 0 < ratio.value < 0.1
    assert 0.3 < ratio.high < math.inf


def test_no_item_and_no_pair():
    nothing = np.zeros(0, dtype=int)
    assert declared_ratios({"x": nothing, "y": nothing}, nothing, [("x", "y")]) == {}
    assert declared_ratios({}, np.zeros(3, dtype=int), []) == {}


def test_a_sample_of_a_base_gives_back_its_couplings(base_of, names):
    """Drawn from P(noisy, shaking | fault) of the compiled machine, whose rules leave its coupling alone."""
    base = base_of("machine")
    network = compile_network(base)
    pair = base.couplings[0].pair
    rng = np.random.default_rng(3)
    root = rng.integers(0, 3, 20_000)
    given = {name: network.given_root[name][:, 1] for name in pair}
    # The table of a pair with these rates and this odds ratio, by its quadratic equation (Plackett 1965).
    a, b, ratio = given[pair[0]], given[pair[1]], base.couplings[0].odds_ratio
    s = 1 + (a + b) * (ratio - 1)
    both = (s - np.sqrt(s**2 - 4 * ratio * (ratio - 1) * a * b)) / (2 * (ratio - 1))
    x = rng.random(20_000) < a[root]
    y = rng.random(20_000) < np.where(x, both[root] / a[root], (b - both)[root] / (1 - a[root]))
    (fitted,) = declared_ratios({pair[0]: x * 1, pair[1]: y * 1}, root, [pair]).values()
    assert fitted.low < ratio < fitted.high
    assert fitted.high / fitted.low < 1.5
