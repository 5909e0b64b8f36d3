"""How well a base tells the root and its intervals from a table's units, beside models fitted on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import (
    CategoricalScore,
    Gold,
    NumberScore,
    Reliability,
    percentile_interval,
    predict_root,
    predictions_without_one,
    scored_together,
    states_of,
    with_prior,
)
from seke.knowledge_tools.peer_models import (
    cross_validated,
    fold_of,
    linear,
    logistic,
    naive_bayes,
    shares,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine import Floats, Inference, Ints, TableItems

    Facts = dict[str, Any]

LEVEL, TIMES, BINS = 0.95, 500, 10
# Items that folds need: with fewer, a fold holds one or two.
LEAST_FOLDED = 20
# The systems, in the order in which they are shown.
BASE, RATED, RATES, BAYES, LOGISTIC = "base", "base, table's rates", "base rates", "naive Bayes", "logistic"
MEAN, LINEAR = "mean", "linear"
CATEGORICAL = ("log_loss", "accuracy", "brier")
NUMERIC = ("pearson", "rmse")


@dataclass(frozen=True)
class TableScore:
    """The items that have the root, the units by which it is told, and the base's answer.

    y: (n,) the root's states; p: (n, K) under the prior `prior`, (K,), which is 0 for states that no item
    has; groups, fold: (n,). unscored: why the root cannot be scored, in words; no text where it can.
    """

    inference: Inference
    gold: Gold
    units: tuple[str, ...]
    y: Ints
    p: Floats
    means: Mapping[str, Floats]
    prior: Floats
    groups: Ints
    fold: Ints | None
    unscored: str

    def by_system(self) -> dict[str, Floats]:
        """Return each system's P(root state | units), (n, K)."""
        k = self.p.shape[1]
        systems = {BASE: self.p}
        if self.fold is not None:
            x = np.stack([self.gold.values[name] for name in self.units], axis=1)
            rates = cross_validated(
                lambda fit, score: np.tile(shares(self.y[fit], k), (len(score), 1)), self.fold
            )
            systems[RATED] = with_prior(self.p, np.where(self.prior > 0, self.prior, 1.0), rates)
            systems[RATES] = rates
            systems[BAYES] = cross_validated(naive_bayes(x, self.y, k), self.fold)
            systems[LOGISTIC] = cross_validated(logistic(x, self.y, k), self.fold)
        return systems


def table_score(
    inference: Inference, items: TableItems, population: str | None, seed: int
) -> TableScore | str:
    """Return what is scored, or in words why nothing can be.

    Of a table without a known root only intervals are scored.
    """
    base = inference.knowledge
    units = tuple(name for name in base.cells if name in items.gold.values)
    if not units:
        return f"the table has no binary variable of the base to tell {base.root} from"
    root = items.gold.values.get(base.root, np.full(items.count, np.nan))
    some = items if np.isnan(root).all() else items.only(~np.isnan(root))
    y = states_of(base.variables[base.root], root[~np.isnan(root)])
    unscored = _unscored(base.root, items, y)
    if unscored and not any(name in some.gold.values for name in base.intervals):
        return unscored
    n = some.count
    groups = np.arange(n) if some.groups is None else np.unique(some.groups, return_inverse=True)[1]
    fold = fold_of(groups, seed) if n >= LEAST_FOLDED and groups.max() > 0 else None
    given = Gold(
        {name: some.gold.values[name] for name in (*units, *base.intervals) if name in some.gold.values}
    )
    predicted = predict_root(inference, given, units)
    reference = np.array(base.populations[inference.population].p)
    prior = np.array(base.populations[population or inference.population].p)
    if not unscored:
        # Of an answer that nobody could give nothing is asked.
        prior = np.where(np.bincount(y, minlength=len(prior)) > 0, prior, 0.0)
        prior /= prior.sum()
    p = with_prior(predicted.root, reference, prior)
    return TableScore(inference, given, units, y, p, predicted.means, prior, groups, fold, unscored)


def _unscored(root: str, items: TableItems, y: Ints) -> str:
    """Return why the root cannot be scored, in words; an empty text where it can."""
    if root not in items.gold.values:
        return f"the table has no column {root}"
    if len(set(y.tolist())) < 2:
        return f"all items have the same {root}" if len(y) else f"no item has a known {root}"
    return ""


def prediction_facts(score: TableScore, seed: int) -> Facts:
    """Return the scores of all systems, the base's confusion and how its top probabilities are met."""
    base, n = score.inference.knowledge, len(score.p)
    states = base.variables[base.root].states
    facts: Facts = {
        "items": n,
        "units": list(score.units),
        "states": list(states),
        "missing": [state for state, rate in zip(states, score.prior, strict=True) if not rate],
        "folds": 0 if score.fold is None else int(score.fold.max()) + 1,
        "systems": {},
        "intervals": {
            name: _number_facts(score, name, seed) for name in score.means if name in score.gold.values
        },
    }
    return facts if score.unscored else facts | _root_facts(score, seed)


def _root_facts(score: TableScore, seed: int) -> Facts:
    """Return how well the root is told."""
    systems, (n, k) = score.by_system(), score.p.shape
    scores = {name: CategoricalScore(score.y, np.asarray(p.argmax(1)), k, p) for name, p in systems.items()}
    drawn = scored_together(
        [(part.scores, np.arange(n)) for part in scores.values()],
        score.groups,
        TIMES,
        np.random.default_rng(seed),
    )
    shown = {}
    for (name, part), values in zip(scores.items(), drawn, strict=True):
        point = part.scores(np.ones((1, n)))
        shown[name] = {key: _figure(float(point[key][0]), values[key]) for key in CATEGORICAL}
        shown[name]["ece"] = {"value": _reliability(systems[name], score.y).ece(), "low": None, "high": None}
    confusion = scores[BASE].confusion(np.ones((1, n)))[0, :, :k]
    return {
        "systems": shown,
        "confusion": confusion.astype(int).tolist(),
        "reliability": {name: _diagram(p, score.y) for name, p in systems.items() if name in (BASE, RATED)},
    }


def _figure(value: float, resampled: Floats) -> Facts:
    ends = percentile_interval(resampled, LEVEL)
    low, high = ends if ends is not None else (None, None)
    return {"value": None if math.isnan(value) else value, "low": low, "high": high}


def _reliability(p: Floats, y: Ints) -> Reliability:
    top = p.argmax(1)
    return Reliability.of(p.max(1), (top == y).astype(np.float64), BINS)


def _diagram(p: Floats, y: Ints) -> list[Facts]:
    counts, stated, happened = _reliability(p, y).diagram()
    return [
        {"items": int(count), "stated": float(mean), "right": float(right)}
        for count, mean, right in zip(counts, stated, happened, strict=True)
    ]


def _number_facts(score: TableScore, name: str, seed: int) -> Facts:
    """Return how well an interval is told: correlation and root mean squared error of each system."""
    known = ~np.isnan(score.gold.values[name])
    y, n = score.gold.values[name][known], int(known.sum())
    if n < 2:
        return {"items": n, "systems": {}}
    systems = {BASE: score.means[name][known]}
    if score.fold is not None and n >= LEAST_FOLDED:
        fold = fold_of(score.groups[known], seed)
        x = np.stack([score.gold.values[unit][known] for unit in score.units], axis=1)
        systems[MEAN] = cross_validated(lambda fit, held: np.full(len(held), y[fit].mean()), fold)
        systems[LINEAR] = cross_validated(linear(x, y), fold)
    scores = {system: NumberScore(y, predicted) for system, predicted in systems.items()}
    drawn = scored_together(
        [(part.scores, np.arange(n)) for part in scores.values()],
        np.unique(score.groups[known], return_inverse=True)[1],
        TIMES,
        np.random.default_rng(seed),
    )
    shown = {}
    for (system, part), values in zip(scores.items(), drawn, strict=True):
        point = part.scores(np.ones((1, n)))
        # Means of folds differ a little, and their correlation says nothing.
        keys = NUMERIC if system != MEAN else NUMERIC[1:]
        shown[system] = {key: _figure(float(point[key][0]), values[key]) for key in keys}
    return {"items": n, "systems": shown}


def worth_facts(score: TableScore, progress: Callable[[int, int], None] | None) -> list[Facts]:
    """Return what each rule and coupling is worth: the rise of the log loss without it, nats an item."""
    base = score.inference.knowledge
    reference = np.array(base.populations[score.inference.population].p)
    total, rows = len(base.rules) + len(base.couplings), []
    item = np.arange(len(score.y))
    loss = -np.log(np.maximum(score.p[item, score.y], 1e-12))
    parts = predictions_without_one(score.inference, score.gold, score.units)
    for done, (path, predicted) in enumerate(parts, 1):
        p = with_prior(predicted.root, reference, score.prior)
        rise = -np.log(np.maximum(p[item, score.y], 1e-12)) - loss
        sums = np.bincount(score.groups, rise - rise.mean())
        reach = 1.959964 * math.sqrt(float(sums @ sums)) / len(rise)
        mean = float(rise.mean())
        rows.append({"path": path, "rise": mean, "low": mean - reach, "high": mean + reach})
        if progress is not None:
            progress(done, total)
    return sorted(rows, key=lambda row: -row["rise"])
