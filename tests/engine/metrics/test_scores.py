"""Scores against scikit-learn, brute force on written-out resamples, and examples worked by hand."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn import metrics
from thorough import examples

from engine import (
    BinaryScore,
    CategoricalScore,
    NumberScore,
    Reliability,
    SelectiveScore,
    mcnemar,
    null_intervals,
    percentile_interval,
    resampled,
    scored,
    scored_together,
)

seeds = st.integers(0, 2**32 - 1)


def unweighted_scores(score):
    """The scores of the items as they are."""
    size = len(score.gold) if hasattr(score, "gold") else len(score.risk)
    return {name: values.item() for name, values in score.scores(np.ones((1, size))).items()}


def drawn(seed, least=2):
    rng = np.random.default_rng(seed)
    return rng, int(rng.integers(least, 40))


def written_out(weights):
    """Indices of the items of a resample, each as often as it was drawn."""
    return np.repeat(np.arange(len(weights)), weights.astype(int))


def near(actual, wanted):
    if math.isnan(wanted):
        assert math.isnan(actual)
    else:
        assert actual == pytest.approx(wanted, abs=1e-9)


def sklearn_categorical(gold, predicted, p):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are predicted and not in gold
        several = len(set(gold.tolist())) > 1
        clipped = np.maximum(p[np.arange(len(gold)), gold], 1e-6)
        return {
            "accuracy": metrics.accuracy_score(gold, predicted),
            "balanced_accuracy": metrics.balanced_accuracy_score(gold, predicted) if several else math.nan,
            "macro_f1": metrics.f1_score(gold, predicted, labels=np.unique(gold), average="macro"),
            "log_loss": -np.log(clipped).mean(),
            "brier": np.mean(
                [((row - np.eye(len(row))[k]) ** 2).sum() for row, k in zip(p, gold, strict=True)]
            ),
        }


@settings(max_examples=examples(15), deadline=None)
@given(seeds)
def test_categorical_scores_of_every_resample_are_those_of_scikit_learn(seed):
    rng, n = drawn(seed)
    classes = int(rng.integers(2, 5))
    gold, p = rng.integers(0, classes, n), rng.dirichlet(np.full(classes, 0.3), n)
    predicted = rng.integers(0, classes, n)
    weights = resampled(np.arange(n), 5, rng)
    weights[0] = 1
    score = CategoricalScore(gold, predicted, classes, p)
    actual = scored(score.scores, weights, np.arange(n))
    for at, row in enumerate(weights):
        i = written_out(row)
        for name, wanted in sklearn_categorical(gold[i], predicted[i], p[i]).items():
            near(actual[name][at], wanted)
    table = score.confusion(np.ones((1, n)))[0]
    wanted = metrics.confusion_matrix(gold, predicted, labels=range(classes))
    np.testing.assert_array_equal(table, np.column_stack([wanted, np.zeros(classes)]))
    assert {name for name, values in actual.items() if math.isnan(values[0])} == set(score.undefined())


def test_log_loss_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    gold, p = rng.integers(0, 3, 50), rng.dirichlet([1, 1, 1], 50)
    assert unweighted_scores(CategoricalScore(gold, p.argmax(1), 3, p))["log_loss"] == pytest.approx(
        metrics.log_loss(gold, p, labels=[0, 1, 2])
    )
    truth = rng.integers(0, 2, 50)
    actual = unweighted_scores(BinaryScore(truth, (p[:, 0] > 0.5).astype(int), p[:, 0]))
    assert actual["log_loss"] == pytest.approx(metrics.log_loss(truth, p[:, 0]))
    assert actual["brier"] == pytest.approx(metrics.brier_score_loss(truth, p[:, 0]))


def test_what_was_called_impossible_costs_a_known_sum():
    p = np.array([[1.0, 0.0], [0.5, 0.5]])
    actual = unweighted_scores(CategoricalScore(np.array([1, 1]), np.array([0, 0]), 2, p))
    assert actual["log_loss"] == pytest.approx((math.log(1e6) + math.log(2)) / 2)
    assert actual["brier"] == pytest.approx((2 + 0.5) / 2)


@settings(max_examples=examples(15), deadline=None)
@given(seeds)
def test_binary_scores_of_every_resample_are_those_of_scikit_learn(seed):
    rng, n = drawn(seed)
    gold = (rng.random(n) < rng.choice([0.0, 0.1, 0.5, 1.0])).astype(int)
    predicted = (rng.random(n) < rng.choice([0.0, 0.3, 1.0])).astype(int)
    weights = resampled(np.arange(n), 4, rng)
    weights[0] = 1
    score = BinaryScore(gold, predicted)
    actual = scored(score.scores, weights, np.arange(n))
    for at, row in enumerate(weights):
        y, z = gold[written_out(row)], predicted[written_out(row)]
        some, named = y.any(), z.any()
        near(actual["f1"][at], metrics.f1_score(y, z) if some else math.nan)
        near(actual["precision"][at], metrics.precision_score(y, z) if named else math.nan)
        near(actual["recall"][at], metrics.recall_score(y, z) if some else math.nan)
        both = some and not y.all()
        near(actual["balanced_accuracy"][at], metrics.balanced_accuracy_score(y, z) if both else math.nan)
        near(actual["prevalence"][at], y.mean())
    assert {name for name, values in actual.items() if math.isnan(values[0])} == set(score.undefined())


def test_ccc_by_hand():
    """Gold 1 2 3 4 (mean 2.5, variance 1.25), predicted 2 2 4 4 (mean 3, variance 1), covariance 1."""
    actual = unweighted_scores(NumberScore(np.array([1.0, 2, 3, 4]), np.array([2.0, 2, 4, 4])))
    assert actual["ccc"] == pytest.approx(2 * 1 / (1.25 + 1 + 0.25))
    assert actual["pearson"] == pytest.approx(1 / math.sqrt(1.25))
    assert (actual["rmse"], actual["mae"]) == (pytest.approx(math.sqrt(0.5)), pytest.approx(0.5))


def test_signs_and_intervals_by_hand():
    gold, predicted = np.array([0.5, -0.5, 0.0, 0.2]), np.array([0.1, 0.1, 0.1, 0.9])
    actual = unweighted_scores(
        NumberScore(gold, predicted, True, np.array([0.0, -0.4, 0.0, 0.3]), np.array([0.5, 0.4, 0.0, 1.0]))
    )
    assert (actual["sign_agreement"], actual["inside"]) == (0.5, 0.5)
    assert "inside" not in unweighted_scores(NumberScore(gold, predicted))
    assert set(NumberScore(gold, predicted).undefined()) == {"sign_agreement"}


@settings(max_examples=examples(15), deadline=None)
@given(seeds, st.sampled_from([0.0, 1e5]))
def test_number_scores_of_every_resample_are_those_of_numpy(seed, far):
    rng, n = drawn(seed, 3)
    gold = far + rng.normal(size=n)
    predicted = gold + rng.normal(size=n)
    weights = resampled(np.arange(n), 4, rng)
    actual = scored(NumberScore(gold, predicted).scores, weights, np.arange(n))
    for at, row in enumerate(weights):
        x, y = gold[written_out(row)], predicted[written_out(row)]
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            continue
        cov = np.cov(x, y, bias=True)
        wanted = 2 * cov[0, 1] / (cov[0, 0] + cov[1, 1] + (x.mean() - y.mean()) ** 2)
        assert actual["ccc"][at] == pytest.approx(wanted, abs=1e-6)
        assert actual["pearson"][at] == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-6)
        assert actual["rmse"][at] == pytest.approx(math.sqrt(((x - y) ** 2).mean()))


def test_constant_numbers_have_no_correlation():
    for gold, predicted, missing in (
        ([0.1, 0.1, 0.1], [0.1, 0.2, 0.7], {"pearson"}),
        ([0.1, 0.2, 0.7], [0.3, 0.3, 0.3], {"pearson"}),
        ([0.1, 0.1, 0.1], [0.3, 0.3, 0.3], {"pearson"}),
        ([0.1, 0.1, 0.1], [0.1, 0.1, 0.1], {"pearson", "ccc"}),
        ([], [], {"pearson", "ccc", "rmse", "mae", "sign_agreement"}),
    ):
        score = NumberScore(np.array(gold), np.array(predicted), signed=True)
        actual = unweighted_scores(score)
        assert {name for name, value in actual.items() if math.isnan(value)} == missing
        assert missing <= set(score.undefined())
        if "ccc" not in missing:
            assert actual["ccc"] == pytest.approx(0)


def by_definition(risk, wrong, rng, orders=400):
    """AURC as the mean over many orders of items of equal risk."""
    total = 0.0
    for _ in range(orders):
        order = np.lexsort((rng.random(len(risk)), risk))
        total += (np.cumsum(wrong[order]) / np.arange(1, len(risk) + 1)).mean()
    return total / orders


def test_aurc_by_hand():
    """Errors at places 2 and 4 of 4: (0 + 1/2 + 1/3 + 2/4) / 4."""
    score = SelectiveScore(np.array([1.0, 0, 0, 1]), np.array([0.9, 0.1, 0.3, 0.2]))
    assert unweighted_scores(score)["aurc"] == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    coverage, errors, risk = score.curve()
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(errors, [0, 1 / 2, 1 / 3, 1 / 2])
    np.testing.assert_allclose(risk, [0.1, 0.2, 0.3, 0.9])


def test_aurc_of_two_equal_risks_by_hand():
    """The error comes first or last, with equal chances: ((1 + 1/2) + (0 + 1/2)) / 2 / 2."""
    assert unweighted_scores(SelectiveScore(np.array([1.0, 0]), np.array([0.5, 0.5])))[
        "aurc"
    ] == pytest.approx(0.5)


@settings(max_examples=examples(15), deadline=None)
@given(seeds)
def test_aurc_of_every_resample_is_the_mean_over_orders(seed):
    rng, n = drawn(seed)
    risk, wrong = rng.choice([0.1, 0.2, 0.3, 0.5], n), (rng.random(n) < 0.4).astype(float)
    weights = resampled(np.arange(n), 3, rng)
    actual = scored(SelectiveScore(wrong, risk).scores, weights, np.arange(n))["aurc"]
    for value, row in zip(actual, weights, strict=True):
        i = written_out(row)
        assert value == pytest.approx(by_definition(risk[i], wrong[i], rng), abs=0.05)
    unequal = risk + np.arange(n) * 1e-6
    actual = scored(SelectiveScore(wrong, unequal).scores, weights, np.arange(n))["aurc"]
    for value, row in zip(actual, weights, strict=True):
        i = written_out(row)
        assert value == pytest.approx(by_definition(unequal[i], wrong[i], rng, 1), abs=1e-9)


def test_decisions_by_hand():
    score = SelectiveScore(
        np.array([0.0, 1, 0, 1]), np.array([0.1, 0.2, 0.4, 0.5]), np.array([True, True, False, False])
    )
    actual = unweighted_scores(score)
    assert (actual["coverage"], actual["accepted_error"]) == (0.5, 0.5)
    assert actual["accepted_risk"] == pytest.approx(0.15)
    none = SelectiveScore(score.wrong, score.risk, np.zeros(4, dtype=bool))
    assert math.isnan(unweighted_scores(none)["accepted_error"])
    assert none.undefined() == dict.fromkeys(("accepted_error", "accepted_risk"), "nothing is accepted")


def test_ece_by_hand():
    """Two bins: 0.6 0.6 stated of which one is right, 0.8 1.0 of which both are."""
    reliability = Reliability.of(np.array([0.6, 0.8, 0.6, 1.0]), np.array([1.0, 1, 0, 1]), 2)
    assert reliability.ece() == pytest.approx((abs(1 - 1.2) + abs(2 - 1.8)) / 4)
    counts, stated, share = reliability.diagram()
    assert counts.tolist() == [2, 2]
    np.testing.assert_allclose(stated, [0.6, 0.9])
    np.testing.assert_allclose(share, [0.5, 1.0])
    assert math.isnan(Reliability.of(np.zeros(0), np.zeros(0), 2).ece())


@settings(max_examples=examples(15), deadline=None)
@given(seeds, st.integers(1, 12))
def test_bins_have_equal_mass_and_keep_equals_together(seed, bins):
    rng, n = drawn(seed)
    distinct = Reliability.of(rng.permutation(n) / n, np.zeros(n), bins)
    counts = distinct.diagram()[0]
    assert len(counts) == min(bins, n)
    assert counts.max() - counts.min() <= 1
    stated = rng.choice([0.2, 0.5, 0.9], n)
    tied = Reliability.of(stated, np.zeros(n), bins)
    for value in set(stated.tolist()):
        assert len(set(tied.bin[stated == value].tolist())) == 1


def test_the_null_interval_of_one_bin_is_that_of_a_binomial():
    """n statements of 0.3: ECE is |k / n - 0.3| with k ~ Binomial(n, 0.3)."""
    n, p = 50, 0.3
    (null,) = null_intervals([Reliability.of(np.full(n, p), np.zeros(n), 10)], 0, 20_000)
    k = np.arange(n + 1)
    gap, mass = np.abs(k / n - p), binom.pmf(k, n, p)
    for value, quantile in ((null.low, 0.05), (null.high, 0.95)):
        assert mass[gap <= value + 1e-6].sum() >= quantile - 0.01
        assert mass[gap < value - 1e-6].sum() <= quantile + 0.01
    assert null.lows.item() == pytest.approx(binom.ppf(0.05, n, p) / n)
    assert null.highs.item() == pytest.approx(binom.ppf(0.95, n, p) / n)


def test_calibrated_statements_lie_in_the_null_interval_nine_times_in_ten():
    rng = np.random.default_rng(3)
    inside, honest, bold = 0, 400, 0
    for seed in range(honest):
        stated = rng.beta(2, 1, 150)
        happened = (rng.random(150) < stated).astype(float)
        reliability = Reliability.of(stated, happened, 10)
        boasted = Reliability.of(stated**0.5, happened, 10)
        null, null_of_boasted = null_intervals([reliability, boasted], seed, 300)
        inside += null.low <= reliability.ece() <= null.high
        bold += boasted.ece() > null_of_boasted.high
    assert abs(inside / honest - 0.9) < 4 * math.sqrt(0.9 * 0.1 / honest)
    assert bold > 0.9 * honest


def test_null_intervals_of_several_are_those_of_each_by_itself():
    rng = np.random.default_rng(5)
    statements = [Reliability.of(rng.random(n), np.zeros(n), bins) for n, bins in ((40, 3), (31, 5), (40, 4))]
    for together, reliability in zip(null_intervals(statements, 7, 50), statements, strict=True):
        (alone,) = null_intervals([reliability], 7, 50)
        assert (together.low, together.high) == (alone.low, alone.high)
        assert np.array_equal(together.lows, alone.lows)
        assert np.array_equal(together.highs, alone.highs)
    assert null_intervals([], 7) == []


def test_groups_are_drawn_whole():
    groups = np.array([0, 1, 1, 2, 2, 2])
    weights = resampled(groups, 300, np.random.default_rng(0))
    for group in range(3):
        group_weights = weights[:, groups == group]
        assert (group_weights == group_weights[:, :1]).all()
    firsts = weights[:, [0, 1, 3]]
    assert (firsts.sum(1) == 3).all()
    assert abs(firsts.mean(0) - 1).max() < 0.2


@pytest.mark.parametrize("items", [7, 1_500, 70_000])
def test_scores_made_together_are_those_made_one_by_one(items):
    """With several resamples at once and with one at a time; of some items and of all."""
    rng = np.random.default_rng(items)
    x, groups = rng.normal(size=items), np.sort(rng.integers(0, 5, items))
    groups = np.unique(groups, return_inverse=True)[1]
    every, some = np.arange(items), np.arange(items)[::3]
    scores = [
        (lambda w: {"total": w @ x}, every),
        (lambda w: {"total": w @ x[some], "weight": w.sum(1)}, some),
    ]
    together = scored_together(scores, groups, 60, np.random.default_rng(9))
    weights = resampled(groups, 60, np.random.default_rng(9))
    for actual, (score, chosen) in zip(together, scores, strict=True):
        wanted = scored(score, weights, chosen)
        assert list(actual) == list(wanted)
        for name in wanted:
            np.testing.assert_allclose(actual[name], wanted[name], rtol=1e-12, atol=1e-9)
    assert scored_together(scores, groups, 0, rng) == [{}, {}]
    assert scored_together([], groups, 60, rng) == []


def test_the_interval_of_a_mean_is_that_of_theory():
    """The 95 % interval of a share of 400 items is nearly 1.96 standard errors to each side."""
    happened = np.repeat([1.0, 0.0], [120, 280])
    weights = resampled(np.arange(400), 4000, np.random.default_rng(1))
    shares = scored(lambda w: {"share": w @ happened / w.sum(1)}, weights, np.arange(400))["share"]
    low, high = percentile_interval(shares, 0.95)
    error = math.sqrt(0.3 * 0.7 / 400)
    assert low == pytest.approx(0.3 - 1.96 * error, abs=0.004)
    assert high == pytest.approx(0.3 + 1.96 * error, abs=0.004)


def test_an_interval_needs_resamples_that_have_the_score():
    assert percentile_interval(np.array([]), 0.95) is None
    assert percentile_interval(np.array([math.nan, 1, 1, 1, 1]), 0.95) is None
    assert percentile_interval(np.array([math.nan, *[0.0] * 10, *[1.0] * 10]), 0.95) == (0, 1)
    assert percentile_interval(np.zeros(20), 0.95) is None


def test_mcnemar_by_hand():
    """5 against 0: 2 / 2^5. 3 against 1: (1 + 4) * 2 / 2^4."""
    assert mcnemar(5, 0) == pytest.approx(2 / 32)
    assert mcnemar(1, 3) == pytest.approx(10 / 16)
    assert (mcnemar(0, 0), mcnemar(2, 2)) == (1, 1)
