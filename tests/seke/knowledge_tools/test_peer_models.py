"""Models fitted on a table, against scikit-learn, and folds that keep persons whole."""

from __future__ import annotations

import numpy as np
import pytest

from seke.knowledge_tools.peer_models import cross_validated, fold_of, linear, logistic, naive_bayes, shares


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 3, 300)
    p = np.array([[0.1, 0.5, 0.8, 0.3], [0.7, 0.5, 0.2, 0.3], [0.4, 0.1, 0.2, 0.9]])
    return (rng.random((300, 4)) < p[y]).astype(float), y


FIT, SCORE = np.arange(200), np.arange(200, 300)


def test_naive_bayes_is_that_of_scikit_learn(table):
    sklearn = pytest.importorskip("sklearn.naive_bayes")
    x, y = table
    model = sklearn.BernoulliNB(alpha=1, class_prior=shares(y[FIT], 3)).fit(x[FIT], y[FIT])
    assert naive_bayes(x, y, 3)(FIT, SCORE) == pytest.approx(model.predict_proba(x[SCORE]), abs=1e-9)


def test_logistic_regression_is_that_of_scikit_learn(table):
    sklearn = pytest.importorskip("sklearn.linear_model")
    x, y = table
    model = sklearn.LogisticRegression(tol=1e-8, max_iter=1000).fit(x[FIT], y[FIT])
    assert logistic(x, y, 3)(FIT, SCORE) == pytest.approx(model.predict_proba(x[SCORE]), abs=2e-4)


def test_linear_regression_is_that_of_scikit_learn(table):
    sklearn = pytest.importorskip("sklearn.linear_model")
    x, y = table
    model = sklearn.Ridge(alpha=1).fit(x[FIT], y[FIT] * 1.0)
    assert linear(x, y * 1.0)(FIT, SCORE) == pytest.approx(model.predict(x[SCORE]))


def test_an_unknown_unit_tells_naive_bayes_nothing(table):
    x, y = table
    without = naive_bayes(x[:, :3], y, 3)(FIT, SCORE)
    unknown = x.copy()
    unknown[SCORE, 3] = np.nan
    assert naive_bayes(unknown, y, 3)(FIT, SCORE) == pytest.approx(without)
    assert np.isfinite(logistic(unknown, y, 3)(FIT, SCORE)).all()


def test_folds_keep_persons_whole_and_are_alike_in_size():
    persons = np.repeat(np.arange(23), np.arange(1, 24))
    fold = fold_of(persons, seed=1, folds=5)
    assert all(len(set(fold[persons == person])) == 1 for person in range(23))
    assert np.ptp(np.bincount(fold)) <= 3
    assert set(fold_of(np.arange(3), seed=1, folds=5)) == {0, 1, 2}
    # Each item is predicted by what was fitted without its person.
    seen = cross_validated(lambda fit, score: np.isin(persons[score], persons[fit])[:, None] * 1.0, fold)
    assert seen.sum() == 0
