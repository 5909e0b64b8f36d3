"""How observers answer: declared instruments -> kernels.

One kernel serves every kind of report. Truth x is seen as a type m ~ C[x, :], a reading brings
out r = m with probability `carry`, else a fresh draw of C[x, :], and its answers follow r:

* labels (categorical and binary): θ ~ Dirichlet(α[r, :]), answers ~ θ, so that a reading's counts c
  have the Dirichlet-multinomial likelihood of their sequence,
      Γ(A) / Γ(A + n) · Π_y Γ(α[r, y] + c_y) / Γ(α[r, y]),     A = Σ_y α[r, y], n = Σ_y c_y;
* numbers: y = gain · r + offset + noise, rounded to the grid and clipped, or with probability
  `slip` anything on the grid; answers are independent given r.

α = s · R with R = ρ I + (1 - ρ) f (`repeat` ρ, habit f). The declared confusion T is that of one
answer, T = C R; with f proportional to T's column minima C = (T - (1 - ρ) f) / ρ is never negative while
1 - ρ is at most their sum, which the reader checks. Dawid & Skene 1979 (doi:10.2307/2346806) is the
case of independent draws and full carry.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln, ndtr

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.knowledge import LabelInstrument, NumberInstrument, Variable

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LabelKernel:
    """How labels are answered.

    mix: (K, M) P(type | truth). alpha: (M, Y) Dirichlet counts. answer_of: (M,) each type's own answer;
    share: (M,) that of its kind of reading. weight: answers that a reported distribution counts for.
    tails: None, or the log-likelihood (Y, Y + 1, Y + 1, K) of places 2 and 3 of a ranking given the
    first (index Y: missing).
    """

    mix: Floats
    alpha: Floats
    answer_of: NDArray[np.int64]
    share: Floats
    weight: float
    tails: Floats | None

    def log_likelihood(self, counts: Floats) -> Floats:
        """Return log P(sequence of answers | type), (R, M); counts (R, Y) may be fractions."""
        return dirichlet_multinomial(counts, self.alpha)


@dataclass(frozen=True)
class NumberKernel:
    """mix: (K, M) P(what the reading brings out | bin); nodes: (M,) its values, in the unit."""

    mix: Floats
    nodes: Floats
    instrument: NumberInstrument
    low: float
    high: float

    def log_likelihood(self, values: Floats) -> Floats:
        """Return log P(answer | node) of single answers, (S, M)."""
        one, half = self.instrument, self.instrument.grid / 2
        y = values[:, None]
        centre = one.gain * self.nodes[None] + one.offset
        lower = np.where(y <= self.low + 1e-9, -np.inf, y - half)
        upper = np.where(y >= self.high - 1e-9, np.inf, y + half)
        inside = ndtr((upper - centre) / one.noise) - ndtr((lower - centre) / one.noise)
        # An end of the range is half a cell of the grid.
        width = (np.minimum(upper, self.high) - np.maximum(lower, self.low)) / (self.high - self.low)
        likely = one.slip * width + (1 - one.slip) * inside
        return np.asarray(np.log(np.maximum(likely, 1e-300)))


def dirichlet_multinomial(counts: Floats, alpha: Floats) -> Floats:
    """Return the log-likelihood (R, M) of answer counts (R, Y) under Dirichlet counts (M, Y)."""
    total, mass = counts.sum(1, keepdims=True), alpha.sum(1)
    rising = gammaln(alpha[None] + counts[:, None]) - gammaln(alpha)[None]
    return np.asarray(rising.sum(2) + gammaln(mass)[None] - gammaln(mass[None] + total))


def label_kernel(one: LabelInstrument, variable: Variable, prior: Floats) -> LabelKernel:
    """Build the kernel of a label instrument; prior: (K,) P(state), for the habit of rankings."""
    table = np.array(one.confusion)
    least = table.min(axis=0)
    habit = least / least.sum()
    repeat = sum(t.share * t.repeat for t in one.types)
    seen = np.maximum(table - (1 - repeat) * habit, 0) / repeat
    seen /= seen.sum(axis=1, keepdims=True)
    size = len(one.answers)
    rows = [t.repeat * np.eye(size) + (1 - t.repeat) * habit for t in one.types]
    alpha = np.concatenate([t.strength * r for t, r in zip(one.types, rows, strict=True)])
    mix = np.concatenate([t.share * seen for t in one.types], axis=1)
    tails = None
    if variable.kind == "categorical":
        tails = _ranking_tails(one, variable, table, prior)
    answer_of = np.tile(np.arange(size), len(one.types))
    share = np.repeat([t.share for t in one.types], size)
    return LabelKernel(mix, alpha, answer_of, share, one.weight, tails)


def _ranking_tails(one: LabelInstrument, variable: Variable, table: Floats, prior: Floats) -> Floats:
    """Places 2 and 3 by Plackett-Luce with weights exp(b[first, k] + g · 1[k = truth]).

    The habit exp(b) is the declared share of k at place 2 after `first`; where none is declared,
    Σ_x P(x | first) T[x, k]: what this observer says of the items of which it says `first`.
    """
    size, states = len(one.answers), len(variable.states)
    if one.habit:
        habit = np.array(one.habit)
    else:
        given_first = prior[:, None] * table
        habit = (given_first / given_first.sum(axis=0)).T @ table
    weights = np.repeat(habit[:, None, :], states, axis=1)
    for x, state in enumerate(variable.states):
        if state in one.answers:
            weights[:, x, one.answers.index(state)] *= math.exp(one.bonus)
    tails = np.zeros((size, size + 1, size + 1, states))
    for first in range(size):
        left = weights[first].copy()
        left[:, first] = 0
        for second in range(size):
            if second == first:
                continue
            place_2 = np.log(left[:, second] / left.sum(axis=1))
            tails[first, second, size] = place_2
            rest = left.copy()
            rest[:, second] = 0
            for third in set(range(size)) - {first, second}:
                tails[first, second, third] = place_2 + np.log(rest[:, third] / rest.sum(axis=1))
    return tails


def number_kernel(one: NumberInstrument, variable: Variable) -> NumberKernel:
    """Build the kernel of a number instrument.

    Within its bin the truth is uniform, so that P(r <= z | bin [a, b]) is the integral of the normal
    distribution function, σ/w · (G((z - a)/σ) - G((z - b)/σ)) with G(t) = t Φ(t) + φ(t).
    """
    edges = np.array(variable.edges)
    low, high = variable.edges[0], variable.edges[-1]
    reach = 4 * one.perception
    width = min(variable.edges[1] - low, one.perception / 2, one.noise / one.gain)
    count = math.ceil((high - low + 2 * reach) / width)
    cuts = np.linspace(low - reach, high + reach, count + 1)
    z = (cuts[None, 1:-1] - edges[:, None]) / one.perception
    integral = z * ndtr(z) + np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    spread = one.perception / np.diff(edges)[:, None]
    below = np.clip(spread * (integral[:-1] - integral[1:]), 0, 1)
    mix = np.maximum(np.diff(below, prepend=0, append=1, axis=1), 0)
    return NumberKernel(mix, (cuts[:-1] + cuts[1:]) / 2, one, low, high)
