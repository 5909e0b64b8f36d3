"""Computes all scores of one variable's predictions against gold, on the items and on resamples of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from engine import (
    BinaryScore,
    CategoricalScore,
    NumberScore,
    Reliability,
    SelectiveScore,
    percentile_interval,
    scored_together,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine import Floats, Ints, Knowledge, Variable
    from seke.benchmarking.predictions import Prediction


# Decimal places of scores in the facts.
DIGITS = 6
# Bins of equal mass of a reliability diagram, by default.
BINS = 15
# Predictions of a variable that are scored at once, times items; each takes some 200 bytes. Variables that do
# not fit are scored later, for which the resamples are drawn again.
_SCORED_AT_ONCE = 600_000
_LABELS_ONLY = "hard labels have no probabilities"
_ALL_EVIDENCE = "all its gold entered as evidence, as labels of a data set"


@dataclass(frozen=True)
class ScoreOptions:
    """Options of scores: bootstrap resamples (0: no intervals), seed, level of intervals, bins of ECE."""

    bootstrap: int = 1000
    seed: int = 0
    level: float = 0.95
    bins: int = BINS


def variables_at_once(items: int, prediction_sets: int = 1) -> int:
    """Return how many variables of so many items are scored at once, so that memory is bounded."""
    return max(_SCORED_AT_ONCE // (max(items, 1) * prediction_sets), 1)


@dataclass(frozen=True)
class VariableSummary:
    """The scores of a variable without its arrays. undefined: score -> why it is not defined."""

    variable: Variable
    point: dict[str, float]
    undefined: dict[str, str]


@dataclass(frozen=True)
class Scorer:
    """The predictions and gold (n,) of one variable; `chosen` (n,): indices of their items.

    A void answer has the value that it counts as; see `fill_void_values`. gold_evidence: further items with
    gold, left out because a data set's label of the variable is among their evidence.
    """

    variable: Variable
    prediction: Prediction
    gold: Floats
    chosen: Ints
    tolerance: float
    bins: int
    gold_evidence: int = 0

    @cached_property
    def kind_score(self) -> CategoricalScore | BinaryScore | NumberScore:
        """The scores of the variable's kind."""
        prediction, gold = self.prediction, self.gold
        if self.variable.kind == "interval":
            signed = self.variable.edges[0] < 0 < self.variable.edges[-1]
            return NumberScore(gold, prediction.value, signed, prediction.low, prediction.high)
        truth, predicted = gold.astype(np.int64), prediction.value.astype(np.int64)
        if self.variable.kind == "binary":
            return BinaryScore(truth, predicted, prediction.p)
        return CategoricalScore(truth, predicted, len(self.variable.states), prediction.p)

    @cached_property
    def reliability(self) -> Reliability | None:
        """The reliability of P(present), or of the probability of the predicted class."""
        p = self.prediction.p
        if p is None:
            return None
        if self.variable.kind == "binary":
            return Reliability.of(p, self.gold, self.bins)
        predicted = self.prediction.value.astype(np.int64)
        return Reliability.of(p[np.arange(len(p)), predicted], 1 - self.wrong, self.bins)

    @cached_property
    def wrong(self) -> Floats:
        """(n,): 1 where the value is wrong; of a number, where it is further from gold than the tolerance."""
        if self.variable.kind == "interval":
            far = np.abs(self.gold - self.prediction.value) > self.tolerance
            wrong = far | self.prediction.void
        else:
            wrong = self.gold != self.prediction.value
        return np.asarray(wrong, dtype=np.float64)

    @cached_property
    def selective(self) -> SelectiveScore | None:
        """The scores of the stated risk against `wrong`; None without risks."""
        prediction = self.prediction
        if prediction.risk is None:
            return None
        return SelectiveScore(
            self.wrong, prediction.risk, prediction.accepted, self.variable.kind != "binary"
        )

    def scores(self, weights: Floats) -> dict[str, Floats]:
        """Return all scores but ECE, (R,) each, for weights (R, n) of the chosen items."""
        scores = self.kind_score.scores(weights)
        return scores if self.selective is None else scores | self.selective.scores(weights)

    @cached_property
    def point(self) -> dict[str, float]:
        """All scores on the items themselves."""
        scores = self.scores(np.ones((1, len(self.chosen))))
        point = {name: float(values[0]) for name, values in scores.items()}
        return point if self.reliability is None else point | {"ece": self.reliability.ece()}

    def summary(self) -> VariableSummary:
        """Return the scores without the arrays behind them, which take memory for every item."""
        return VariableSummary(self.variable, self.point, self.undefined())

    def undefined(self) -> dict[str, str]:
        """Return score -> why it is not defined."""
        reasons = self.kind_score.undefined()
        if self.selective is not None:
            reasons |= self.selective.undefined()
        else:
            reasons["aurc"] = reasons["coverage"] = "no risks are predicted"
        if self.prediction.p is None and self.variable.kind != "interval":
            reasons |= dict.fromkeys(("log_loss", "brier", "ece"), _LABELS_ONLY)
        elif not len(self.chosen) and self.variable.kind != "interval":
            reasons["ece"] = reasons["log_loss"]
        if self.prediction.low is None and self.variable.kind == "interval":
            reasons["inside"] = "no intervals are predicted"
        return (
            reasons if len(self.chosen) or not self.gold_evidence else dict.fromkeys(reasons, _ALL_EVIDENCE)
        )


def make_scorer(
    base: Knowledge,
    name: str,
    prediction: Prediction,
    gold: Floats,
    bins: int,
    also: Prediction | None = None,
) -> Scorer:
    """Return the scorer of a variable over the items, of N, with gold, a prediction, and one in `also`.

    Items are left out where a data set's label of the variable is among the evidence of a prediction.
    """
    usable, labelled = ~np.isnan(gold), np.zeros(len(gold), dtype=bool)
    for required in (prediction, also):
        usable &= True if required is None else ~np.isnan(required.value) | required.void
        if required is not None and required.labelled is not None:
            labelled |= required.labelled
    chosen = np.flatnonzero(usable & ~labelled)
    tolerance = base.policy.tolerance.get(name, 0.0)
    chosen_prediction = fill_void_values(base.variables[name], prediction.of(chosen), gold[chosen])
    left_out = int((usable & labelled).sum())
    return Scorer(base.variables[name], chosen_prediction, gold[chosen], chosen, tolerance, bins, left_out)


def fill_void_values(variable: Variable, prediction: Prediction, gold: Floats) -> Prediction:
    """Return a prediction whose void answers have the value that they count as, in place of NaN.

    gold: (n,). The value of a categorical variable is a class beyond its states, which no gold has; of a
    binary variable the opposite of gold; of a number the middle of its range, as a guess without looking
    would be, shifted by the smallest step where gold is the middle itself.
    """
    if not prediction.void.any():
        return prediction
    if variable.kind == "interval":
        half = (variable.edges[0] + variable.edges[-1]) / 2
        substitute = np.where(gold == half, np.nextafter(half, variable.edges[-1]), half)
    else:
        substitute = (
            1 - gold if variable.kind == "binary" else np.full(len(gold), float(len(variable.states)))
        )
    return replace(prediction, value=np.where(prediction.void, substitute, prediction.value))


class Scored(Protocol):
    """A score of some items at weights of these: `chosen` (n,) their indices."""

    @property
    def chosen(self) -> Ints:
        """The indices, (n,)."""
        ...

    def scores(self, weights: Floats) -> Mapping[str, Floats]:
        """Return score -> its values (R,) at weights (R, n)."""
        ...


class Resamples:
    """The same resamples of some items for every score: of each item, or of whole groups.

    unit: (N,) the number of what is drawn as a whole with each item. units: how many there are.
    """

    def __init__(self, groups: Sequence[str | None], options: ScoreOptions) -> None:
        self.unit = np.empty(len(groups), dtype=np.int64)
        self.units, self.level, self._seed = 0, options.level, options.seed
        numbers: dict[str, int] = {}
        for index, group in enumerate(groups):
            # An item of no known group is a group of its own.
            self.unit[index] = self.units if group is None else numbers.setdefault(group, self.units)
            self.units += int(self.unit[index] == self.units)
        self._times = options.bootstrap if self.units > 1 else 0

    def scores(self, scorers: Sequence[Scored]) -> list[dict[str, Floats]]:
        """Return, for each scorer, score -> (R,) values on all resamples; empty where there are none."""
        rng = np.random.default_rng(self._seed)
        return scored_together(
            [(scorer.scores, scorer.chosen) for scorer in scorers], self.unit, self._times, rng
        )

    def estimate(self, value: float, resamples: Floats | None) -> dict[str, Any]:
        """Return a value and its interval from resamples (R,); None where it has none."""
        facts: dict[str, Any] = {"value": json_number(value), "low": None, "high": None}
        if resamples is None or facts["value"] is None:
            return facts
        interval = percentile_interval(resamples, self.level)
        if interval is not None:
            facts["low"], facts["high"] = map(json_number, interval)
        return facts


def json_number(value: float) -> float | None:
    """Return a rounded number, None for NaN."""
    return None if math.isnan(value) else round(float(value), DIGITS)


def json_numbers(values: Floats) -> list[float | None]:
    """Return the rounded numbers of an array (n,), None for NaN."""
    return [json_number(value) for value in np.asarray(values, dtype=np.float64).tolist()]
