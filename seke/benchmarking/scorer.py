"""One variable's predictions and gold -> all its scores, as they are and on resamples."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

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
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from engine import Knowledge, Variable
    from seke.benchmarking.predictions import Prediction

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

DIGITS = 6
BINS = 15
# Variables, and pairs of them, scored at once: each takes some 200 bytes an item; for the next ones the
# resamples are drawn again.
AT_ONCE, PAIRS_AT_ONCE = 6, 3
_LABELS_ONLY = "hard labels have no probabilities"


@dataclass(frozen=True)
class Options:
    """How scores are made: bootstrap resamples (0: no intervals), seed, level of intervals, bins of ECE."""

    bootstrap: int = 1000
    seed: int = 0
    level: float = 0.95
    bins: int = BINS


@dataclass(frozen=True)
class Summary:
    """What is kept of a scorer: all its scores, and why which are not defined."""

    variable: Variable
    point: dict[str, float]
    undefined: dict[str, str]


@dataclass(frozen=True)
class Scorer:
    """What is known of one variable: `chosen` (n,) among the items, their predictions and gold (n,).

    Where an answer is none, the prediction holds what it counts as; see `counted`.
    """

    variable: Variable
    prediction: Prediction
    gold: Floats
    chosen: Ints
    tolerance: float
    bins: int

    @cached_property
    def own(self) -> CategoricalScore | BinaryScore | NumberScore:
        """The scores of the variable's kind."""
        told, gold = self.prediction, self.gold
        if self.variable.kind == "interval":
            signed = self.variable.edges[0] < 0 < self.variable.edges[-1]
            return NumberScore(gold, told.value, signed, told.low, told.high)
        truth, said = gold.astype(np.int64), told.value.astype(np.int64)
        if self.variable.kind == "binary":
            return BinaryScore(truth, said, told.p)
        return CategoricalScore(truth, said, len(self.variable.states), told.p)

    @cached_property
    def reliability(self) -> Reliability | None:
        """P(present), or the probability of the predicted class, against what is so."""
        p = self.prediction.p
        if p is None:
            return None
        if self.variable.kind == "binary":
            return Reliability.of(p, self.gold, self.bins)
        said = self.prediction.value.astype(np.int64)
        return Reliability.of(p[np.arange(len(p)), said], 1 - self.wrong, self.bins)

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
        """What is wrong against the stated risk."""
        told = self.prediction
        if told.risk is None:
            return None
        return SelectiveScore(self.wrong, told.risk, told.accepted, self.variable.kind != "binary")

    def scores(self, weights: Floats) -> dict[str, Floats]:
        """Return all scores but ECE, (R,) each, for weights (R, n) of the chosen items."""
        found = self.own.scores(weights)
        return found if self.selective is None else found | self.selective.scores(weights)

    @cached_property
    def point(self) -> dict[str, float]:
        """All scores of the items as they are."""
        found = self.scores(np.ones((1, len(self.chosen))))
        point = {name: float(values[0]) for name, values in found.items()}
        return point if self.reliability is None else point | {"ece": self.reliability.ece()}

    def summary(self) -> Summary:
        """Return the scores without what they were made from, which takes memory for every item."""
        return Summary(self.variable, self.point, self.undefined())

    def undefined(self) -> dict[str, str]:
        """Return why which scores are not defined."""
        why = self.own.undefined()
        if self.selective is not None:
            why |= self.selective.undefined()
        else:
            why["aurc"] = why["coverage"] = "no risks are predicted"
        if self.prediction.p is None and self.variable.kind != "interval":
            why |= dict.fromkeys(("log_loss", "brier", "ece"), _LABELS_ONLY)
        elif not len(self.chosen) and self.variable.kind != "interval":
            why["ece"] = why["log_loss"]
        if self.prediction.low is None and self.variable.kind == "interval":
            why["inside"] = "no intervals are predicted"
        return why


def scorer_of(
    base: Knowledge,
    name: str,
    prediction: Prediction,
    gold: Floats,
    bins: int,
    also: Prediction | None = None,
) -> Scorer:
    """Return the scorer of a variable over those items (N,) that have gold, prediction, and one in `also`."""
    known = ~np.isnan(gold)
    for one in (prediction, also):
        known &= True if one is None else ~np.isnan(one.value) | one.void
    chosen = np.flatnonzero(known)
    tolerance = base.policy.tolerance.get(name, 0.0)
    told = counted(base.variables[name], prediction.of(chosen), gold[chosen])
    return Scorer(base.variables[name], told, gold[chosen], chosen, tolerance, bins)


def counted(variable: Variable, prediction: Prediction, gold: Floats) -> Prediction:
    """Return a prediction with what answers that are none count as: (n,) values in place of NaN.

    A class that no gold is of; of a binary variable the opposite of gold; of a number the middle of its
    range, which is what one would say who does not look, and of another sign than gold.
    """
    if not prediction.void.any():
        return prediction
    if variable.kind == "interval":
        half = (variable.edges[0] + variable.edges[-1]) / 2
        instead = np.where(gold == half, np.nextafter(half, variable.edges[-1]), half)
    else:
        instead = 1 - gold if variable.kind == "binary" else np.full(len(gold), float(len(variable.states)))
    return replace(prediction, value=np.where(prediction.void, instead, prediction.value))


class Resamples:
    """The same resamples of some items for every score: of each item, or of whole groups."""

    def __init__(self, groups: Sequence[str | None], options: Options) -> None:
        # An item of no known group is a group of its own.
        keys = ((index, "") if group is None else (-1, group) for index, group in enumerate(groups))
        numbers: dict[tuple[int, str], int] = {}
        self._unit = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
        self.units, self.level, self._seed = len(numbers), options.level, options.seed
        self._times = options.bootstrap if self.units > 1 else 0

    def scores(self, scorers: Sequence[Scorer]) -> list[dict[str, Floats]]:
        """Return each score of each variable on all resamples; nothing where there are none."""
        rng = np.random.default_rng(self._seed)
        return scored_together([(one.scores, one.chosen) for one in scorers], self._unit, self._times, rng)

    def shown(self, value: float, resamples: Floats | None) -> dict[str, Any]:
        """Return a value and its interval, null where it has none."""
        found: dict[str, Any] = {"value": rounded(value), "low": None, "high": None}
        if resamples is None or found["value"] is None:
            return found
        interval = percentile_interval(resamples, self.level)
        if interval is not None:
            found["low"], found["high"] = map(rounded, interval)
        return found


def rounded(value: float) -> float | None:
    """Return a number as JSON has it, null for NaN."""
    return None if math.isnan(value) else round(float(value), DIGITS)


def all_rounded(values: Floats) -> list[float | None]:
    """Return numbers as JSON has them."""
    return [rounded(value) for value in np.asarray(values, dtype=np.float64).tolist()]
