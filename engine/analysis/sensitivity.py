"""Which declared numbers move the posteriors of many items, and by how much.

The slope of a probability with respect to a number is a difference quotient of the whole computation: the
YAML is read with the number a little changed, the fit begun at the fitted base and brought to its minimum
again, observers made anew, and all items inferred. For the network's numbers and one item `adjoint` has the
same from derivatives alone; the tests compare them.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from engine.analysis.perturbation import Perturbation
from engine.decision.decision import decide_levels, highest_risk
from engine.inference.diagnostics import diagnose

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.backend.types import Floats
    from engine.inference.posterior import Inference
    from engine.model.citation import Number
    from engine.model.responses import Answers


# Step of a difference quotient, as a share of the number's size.
STEP = 1e-3
# Share of the way to the end of a number's range that is searched at most: ends are often not allowed.
NEARLY = 0.95


@dataclass(frozen=True)
class Influence:
    """The derivatives of one variable of N items with respect to a number.

    slope: (N,) of the probability that the variable's value as decided now is right, a unit of the number.
    sure: (N,) the same of the value that would be decided (an interval's mean moves along). flip:
    (N,) the value at which the item would be accepted, or accepted no longer, were all linear; NaN where none
    is allowed. shared: other numbers of its distribution shrink or grow to make room.
    """

    number: Number
    slope: Floats
    sure: Floats
    flip: Floats
    shared: bool


class Influences:
    """Numbers that the decisions about one variable of N items depend on.

    p: (N,) the probability that the decided value is right. threshold: (N,) that from which it is accepted;
    NaN where the policy says nothing about the variable.
    """

    def __init__(self, inference: Inference, answers: Answers, variable: str = "") -> None:
        self.base = inference.knowledge
        self.variable = variable or self.base.root
        self.perturbation = Perturbation(inference, answers)
        posterior = inference.posterior(answers)
        marginals = posterior.marginals[self.variable]
        self.right = self._right(marginals)
        self.p = (marginals * self.right).sum(1)
        # Of an item that nobody has read, or whose readings contradict one another, nothing is accepted.
        readings = np.bincount(answers.reading_item, minlength=len(answers.items))
        conflict = diagnose(inference, answers, posterior).conflict
        self.open = (readings > 0) & (conflict >= self.base.policy.conflict)
        self.threshold = np.full(len(self.p), np.nan)
        if self.variable in self.base.policy.limits:
            level = decide_levels(self.base, answers, posterior, conflict)[self.variable]
            about = self.base.variables[self.variable]
            self.threshold = 1 - highest_risk(about, self.base.policy, level.value)
            self.open &= level.eligible

    def _right(self, marginals: Floats) -> Floats:
        """Return the share of each state for which the value decided now would be right, (N, states)."""
        variable = self.base.variables[self.variable]
        if variable.kind != "interval":
            cut = self.base.policy.cuts.get(self.variable, 0.5)
            best = marginals[:, 1] >= cut if variable.kind == "binary" else marginals.argmax(1)
            return np.eye(marginals.shape[1])[np.asarray(best, dtype=np.int64)]
        edges = np.array(variable.edges)
        mean = marginals @ ((edges[:-1] + edges[1:]) / 2)
        tolerance = self.base.policy.tolerance.get(self.variable, (edges[-1] - edges[0]) / 10)
        low, high = (np.clip(mean + sign * tolerance, edges[0], edges[-1])[:, None] for sign in (-1, 1))
        inside = np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1])
        return np.asarray(np.clip(inside / np.diff(edges), 0, 1))

    def each(self, numbers: Iterable[Number] | None = None) -> Iterator[Influence | None]:
        """Yield the influence of numbers, None where no change is allowed; all that can move these items."""
        for number in self.perturbation.numbers if numbers is None else numbers:
            yield self.influence(number)

    def influence(self, number: Number) -> Influence | None:
        """Return the influence of one of these numbers; None where no change of it is allowed."""
        size = min(number.high - number.low, max(abs(number.value), 0.1))
        # Away from the nearer end, where there is room.
        step = STEP * size * (1 if number.high - number.value >= number.value - number.low else -1)
        values = self.perturbation.renormalised({number.path: number.value + step})
        perturbed = self.perturbation.marginals(values)
        if perturbed is None:
            return None
        marginals = perturbed[self.variable]
        slope = ((marginals * self.right).sum(1) - self.p) / step
        # What is decided moves too: an interval's mean, and with it what would be right.
        sure = ((marginals * self._right(marginals)).sum(1) - self.p) / step
        with np.errstate(divide="ignore", invalid="ignore"):
            flip = number.value + (self.threshold - self.p) / sure
        allowed = (flip >= number.low) & (flip <= number.high) & self.open
        return Influence(number, slope, sure, np.where(allowed, flip, np.nan), len(values) > 1)

    def decision_threshold(self, influence: Influence, index: int = 0) -> float:
        """Return the value at which an item would be accepted, or accepted no longer; NaN where none is.

        Sought from the first-order one, or from the end that the slope points to, by compiling and inferring
        anew: a crossing in that direction, at most NEARLY as far as the end.
        """
        number, threshold = influence.number, float(self.threshold[index])

        @cache
        def sure(value: float) -> float:
            if value == number.value:
                return float(self.p[index]) - threshold
            perturbed = self.perturbation.marginals({number.path: value})
            if perturbed is None:
                return math.nan
            marginals = perturbed[self.variable]
            return float((marginals * self._right(marginals)).sum(1)[index]) - threshold

        if not self.open[index] or not influence.sure[index] or math.isnan(threshold):
            return math.nan
        up = (influence.sure[index] > 0) == (sure(number.value) < 0)
        end = number.high if up else number.low
        near = influence.flip[index] if math.isfinite(influence.flip[index]) else (number.value + end) / 2
        # Ends themselves are often not allowed, with others of the distribution at 0.
        for far in (near, (near + end) / 2, number.value + NEARLY * (end - number.value)):
            if sure(float(far)) * sure(number.value) < 0:
                # Where something on the way is not allowed, the next end is tried.
                with suppress(ValueError):
                    return float(brentq(sure, number.value, float(far), xtol=1e-12, rtol=1e-3))
        return math.nan
