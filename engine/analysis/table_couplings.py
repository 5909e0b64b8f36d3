"""Odds ratios of pairs of binary variables given the root, as a table of known values has them.

All pairs are fitted at once in the form that the base declares,

    p(x | e) ∝ Π_j exp(λ_ej x_j) · Π_(a,b) exp(θ_ab x_a x_b),

by maximum likelihood, with λ of each root state e: a log-linear model with common interactions (Bishop,
Fienberg & Holland 1975). Its likelihood equations are those of the compiler's dual, in which the weights of
the root states, the rates given them and the mean of each x_a x_b are those of the table, so the compiler's
fit solves it. One item in which the variables are independent is added to each root state, at its rates
(which have half a true and half a false added), so that no ratio is 0 or infinite.

The variance of θ is the inverse of the information that is left when λ is fitted too; of items in groups it
is the sandwich of that with the sums of the groups' efficient scores (Liang & Zeger 1986,
doi:10.1093/biomet/73.1.13).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.compilation.maxent import Constraints, DualProblem
from engine.compilation.passes import BOUND
from engine.metrics.proportions import LEVEL, IntervalEstimate, quantile
from engine.network.junction_tree import plan, triangulate
from engine.network.values import Factor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.backend.types import Floats, Ints

    Pair = tuple[str, str]

BOTH = np.array([[0.0, 0.0], [0.0, 1.0]])
# Items added to each root state in which all variables are independent of one another.
ADDED = 1.0
# Standard deviations beyond this say that the table does not tell the ratio.
MOST_DEVIATION = 10.0


@dataclass(frozen=True)
class _PairCounts:
    """What the likelihood needs of the table.

    x: (N, J) 0 or 1; both: (N, R) the products of the pairs; weights: (K,) items of each root state, those
    added included; rates: (K, J); means: (R,) of the products over all items.
    """

    x: Floats
    both: Floats
    root: Ints
    weights: Floats
    rates: Floats
    means: Floats


def declared_ratios(
    values: Mapping[str, Ints],
    root: Ints,
    pairs: Sequence[Pair],
    groups: Ints | None = None,
    level: float = LEVEL,
) -> dict[Pair, IntervalEstimate]:
    """Return the odds ratio of each pair given the root and all other pairs.

    values: variable -> (N,) 0 or 1, of all variables of the pairs. root: (N,). groups: (N,) the group of
    each item, each its own by default. An estimate's size is the number of items that would leave ln OR as
    uncertain if each of the four cells held a quarter of them, 16 / var.
    """
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    if not pairs or not len(root):
        return {}
    counts = _counts(np.stack([values[name] for name in names], axis=1), names, root, pairs)
    theta, covariance, mean = _fit(names, pairs, counts)
    information, projection = _information(covariance, counts.weights, len(names))
    variance = np.asarray(np.linalg.pinv(information, hermitian=True), dtype=np.float64)
    if groups is not None:
        variance = _sandwich(variance, projection, mean, counts, groups)
    estimates = {}
    for number, pair in enumerate(pairs):
        deviation = min(math.sqrt(max(variance[number, number], 1e-12)), MOST_DEVIATION)
        reach = quantile(level) * deviation
        low, value, high = (math.exp(theta[number] + shift) for shift in (-reach, 0.0, reach))
        estimates[pair] = IntervalEstimate(value, low, high, len(root), 16 / deviation**2)
    return estimates


def _counts(x: Ints, names: Sequence[str], root: Ints, pairs: Sequence[Pair]) -> _PairCounts:
    states, index = np.unique(root, return_inverse=True)
    first, second = (np.array([names.index(pair[side]) for pair in pairs]) for side in (0, 1))
    x_float = x.astype(np.float64)
    both = x_float[:, first] * x_float[:, second]
    hot = np.eye(len(states))[index]
    n = hot.sum(0)
    rates = (hot.T @ x_float + 0.5) / (n[:, None] + 1)
    weights = n + ADDED
    products = hot.T @ both + ADDED * rates[:, first] * rates[:, second]
    return _PairCounts(x_float, both, index, weights, rates, products.sum(0) / weights.sum())


def _fit(names: Sequence[str], pairs: Sequence[Pair], counts: _PairCounts) -> tuple[Floats, Floats, Floats]:
    """Return θ (R,), and the features' covariance (K, J + R, J + R) and mean (K, J + R)."""
    k = len(counts.weights)
    sizes = dict.fromkeys(names, 2)
    steps = plan(sizes, triangulate(sizes, pairs), {})
    features = tuple(
        Factor("", "rule", pair, np.tile(BOTH - mean, (k, 1, 1)))
        for pair, mean in zip(pairs, counts.means, strict=True)
    )
    constraints = Constraints(
        counts.weights / counts.weights.sum(),
        tuple(names),
        counts.rates,
        "",
        np.zeros((k, 0, 0)),
        np.zeros((k, 0)),
        features,
        np.full(len(pairs), BOUND),
    )
    model = DualProblem(constraints, steps, sizes, ())
    solution = model.fit(constraints.bounds)
    _, mean, covariance = model.derivatives(solution.parameters)
    mean = mean.copy()
    mean[:, len(names) :] += counts.means
    return solution.theta, covariance, mean


def _information(covariance: Floats, weights: Floats, local: int) -> tuple[Floats, Floats]:
    """Return the information of θ that is left of λ, (R, R), and C_θλ C_λλ⁻¹ of each root state, (K, R.

    J).
    """
    within, tie = covariance[:, :local, :local], covariance[:, local:, :local]
    projection = tie @ np.linalg.pinv(within, hermitian=True)
    remaining = covariance[:, local:, local:] - projection @ tie.transpose(0, 2, 1)
    return np.asarray(np.einsum("k,krs->rs", weights, remaining)), np.asarray(projection)


def _sandwich(
    variance: Floats, projection: Floats, mean: Floats, counts: _PairCounts, groups: Ints
) -> Floats:
    """Return the variance of θ, (R, R), where items are independent between groups only."""
    local = counts.x.shape[1]
    apart = counts.x - mean[counts.root, :local]
    score = counts.both - mean[counts.root, local:] - np.einsum("nrj,nj->nr", projection[counts.root], apart)
    unique, index = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(unique), score.shape[1]))
    np.add.at(sums, index, score)
    few = len(unique) / max(len(unique) - 1, 1)
    return np.asarray(variance @ (few * sums.T @ sums) @ variance)
