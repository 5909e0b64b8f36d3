"""Models fitted on a table alone, by cross-validation, beside which a base is scored.

* base rates: the classes' shares, with one item added to each;
* naive Bayes: units independent given the class, P(present | class) with one item present and one absent
  added;
* logistic regression, with the penalty ½ |w|² on all weights but the intercepts (that of scikit-learn, C =
  1);
* linear regression of numbers, with the same penalty.

An unknown unit tells naive Bayes nothing; regressions read it as a value halfway, with a column of its own
that says so where units are unknown at all. All items of a person are in one fold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_softmax, softmax

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine import Floats, Ints

FOLDS = 10


def fold_of(groups: Ints, seed: int, folds: int = FOLDS) -> Ints:
    """Return the fold of each item, (N,), folds of nearly equal size; groups: (N,), kept whole."""
    _, index = np.unique(groups, return_inverse=True)
    sizes = np.bincount(index)
    order = np.random.default_rng(seed).permutation(len(sizes))
    fold, filled = np.zeros(len(sizes), dtype=np.int64), np.zeros(min(folds, len(sizes)))
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        fold[group] = filled.argmin()
        filled[fold[group]] += sizes[group]
    return fold[index]


def cross_validated(predict: Callable[[Ints, Ints], Floats], fold: Ints) -> Floats:
    """Return what `predict(fit, score)`, given items as indices, says of each item when it is held out.

    (N, K).
    """
    parts = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(int(fold.max()) + 1)]
    outputs = [predict(fit, score) for fit, score in parts]
    result = np.empty((len(fold), *outputs[0].shape[1:]))
    for (_, score), output in zip(parts, outputs, strict=True):
        result[score] = output
    return result


def shares(y: Ints, classes: int) -> Floats:
    """Return the classes' shares with one item added to each, (K,)."""
    return np.asarray((np.bincount(y, minlength=classes) + 1) / (len(y) + classes))


def naive_bayes(x: Floats, y: Ints, classes: int) -> Callable[[Ints, Ints], Floats]:
    """Return a function that predicts classes, (n, K), from items to fit and to score, (n,) each.

    x: (N, J) 0, 1 or NaN. y: (N,).
    """
    known, value = ~np.isnan(x), np.nan_to_num(x)

    def predict(fit: Ints, score: Ints) -> Floats:
        hot = np.eye(classes)[y[fit]]
        p = (hot.T @ value[fit] + 1) / (hot.T @ known[fit] + 2)
        logs = np.log(shares(y[fit], classes)) + value[score] @ np.log(p).T
        logs = logs + (known[score] - value[score]) @ np.log1p(-p).T
        return np.asarray(softmax(logs, axis=1))

    return predict


def _design(x: Floats) -> Floats:
    """Return the columns of a regression, (N, 1 + J or 1 + 2 J): units, then which are unknown, then 1."""
    unknown = np.isnan(x)
    columns = [np.where(unknown, 0.5, x)]
    varied = unknown[:, unknown.any(0)]
    return np.column_stack([*columns, varied, np.ones(len(x))])


def logistic(x: Floats, y: Ints, classes: int) -> Callable[[Ints, Ints], Floats]:
    """Return a function that predicts classes, (n, K), from items to fit and to score, (n,) each.

    x: (N, J) 0, 1 or NaN. y: (N,).
    """
    from scipy.optimize import minimize

    design = _design(x)
    size = design.shape[1]

    def predict(fit: Ints, score: Ints) -> Floats:
        hot, columns = np.eye(classes)[y[fit]], design[fit]

        def loss(flat: Floats) -> tuple[float, Floats]:
            weights = flat.reshape(size, classes)
            penalised = np.vstack([weights[:-1], np.zeros(classes)])
            logs = log_softmax(columns @ weights, axis=1)
            gradient = columns.T @ (np.exp(logs) - hot) + penalised
            return float(-(hot * logs).sum() + (penalised**2).sum() / 2), gradient.ravel()

        fitted = minimize(loss, np.zeros(size * classes), jac=True, method="L-BFGS-B").x
        return np.asarray(softmax(design[score] @ fitted.reshape(size, classes), axis=1))

    return predict


def linear(x: Floats, y: Floats) -> Callable[[Ints, Ints], Floats]:
    """Return how linear regression predicts numbers, each (n,); x: (N, J) 0, 1 or NaN, y: (N,)."""
    design = _design(x)
    penalty = np.diag([1.0] * (design.shape[1] - 1) + [0.0])

    def predict(fit: Ints, score: Ints) -> Floats:
        columns = design[fit]
        weights = np.linalg.lstsq(columns.T @ columns + penalty, columns.T @ y[fit])[0]
        return np.asarray(design[score] @ weights)

    return predict
