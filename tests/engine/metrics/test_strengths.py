"""What the strength of a number says of it, against the data that it stands for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import beta

from engine.metrics.strengths import (
    fisher_z_sd,
    log_ratio_sd,
    log_sd_sd,
    mean_sd,
    share_quantile,
    stratified,
)


@pytest.mark.parametrize(("p", "n"), [(0.3, 10), (0.9, 4), (0.02, 5), (0.5, 1000)])
def test_a_share_is_that_of_a_beta_distribution(p, n):
    for at in (0.1, 0.5, 0.95):
        assert share_quantile(p, n, at) == pytest.approx(beta(n * p, n * (1 - p)).ppf(at), abs=1e-9)


@pytest.mark.parametrize(("p", "n"), [(0.0, 10), (1.0, 10), (0.3, 0)])
def test_what_is_certain_or_has_no_strength_is_not_drawn(p, n):
    assert share_quantile(p, n, 0.9) == p


def test_spreads_are_those_of_n_items():
    rng, n, sets = np.random.default_rng(0), 400, 4000
    # Independent fair coins: a quarter of the items in each of four cells.
    counts = rng.multinomial(n, [0.25] * 4, sets).astype(float)
    log_ratio = np.log(counts[:, 0] * counts[:, 3] / (counts[:, 1] * counts[:, 2]))
    assert log_ratio.std() == pytest.approx(log_ratio_sd(n), rel=0.06)
    x, y = rng.normal(0, 0.5, (2, sets, n))
    y = 0.6 * x + 0.8 * y
    assert x.mean(1).std() == pytest.approx(mean_sd(0.5, n), rel=0.06)
    assert np.log(x.std(1)).std() == pytest.approx(log_sd_sd(n), rel=0.06)
    r = [np.corrcoef(*pair)[0, 1] for pair in zip(x, y, strict=True)]
    assert np.arctanh(r).std() == pytest.approx(fisher_z_sd(n), rel=0.06)
    assert fisher_z_sd(2) == 1.0


def test_of_each_number_one_draw_falls_in_each_part():
    places = stratified(np.random.default_rng(1), 8, 5)
    assert np.array_equal(np.sort(np.floor(places * 8), axis=0), np.tile(np.arange(8.0)[:, None], 5))
    assert not np.array_equal(places[:, 0].argsort(), places[:, 1].argsort())
    # A mean over few is nearer to that over many: of a uniform number by the factor of the parts.
    means = [stratified(np.random.default_rng(seed), 24, 1).mean() for seed in range(200)]
    assert np.std(means) < 0.1 / math.sqrt(12 * 24)
