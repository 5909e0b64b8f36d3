"""How observers answer: declared instruments -> kernels.

One kernel serves every kind of report. Truth x is seen as a type m ~ C[x, :], a reading brings
out r = m with probability `carry`, else a fresh draw of C[x, :], and its answers follow r:

* labels (categorical and binary): θ ~ Dirichlet(α[r, :]), answers ~ θ, so that a reading's counts c
  have the Dirichlet-multinomial likelihood of their sequence,
      Γ(A) / Γ(A + n) · Π_y Γ(α[r, y] + c_y) / Γ(α[r, y]),     A = Σ_y α[r, y], n = Σ_y c_y;
* numbers: y = gain · r + offset + noise, rounded to the grid and clipped, or with probability
  `slip` anything on the grid; of the others the share `blank` is `nothing`, whatever r. Answers are
  independent given r, which is the truth and a normal error, or, of the share `stray` of readings, anything.

α = s · R with R = ρ I + (1 - ρ) f (`repeat` ρ, habit f). The declared confusion T is that of one
answer, T = C R; with f proportional to T's column minima C = (T - (1 - ρ) f) / ρ is never negative while
1 - ρ is at most their sum, which the reader checks. Dawid & Skene 1979 (doi:10.2307/2346806) is the
case of independent draws and full carry.

What an observer settles on may be declared in place of T, and is what a fit learns: then C is given, and each
answer r scatters as it is confused, R[r, :] = ρ I + (1 - ρ) H[r, :], H[r, y] in proportion to C[x, y], y ≠ r,
x the state that r names (an answer that names none: to the mean of C's columns); T = C R follows.

Readings may be of several kinds t, easy and hard ones, each with its ρ and s: a type is a kind and an answer.
The kind's share may be one, π, where a reading brings out the truth's own answer o, and another, ω, where it
brings out anything else: what is hard is misread more often. With ρ = Σ π ρ_t, ρ' = Σ ω ρ_t,

    C[x, o] = (T[x, o] - f[o] (1 - ρ')) / (ρ - f[o] (ρ - ρ')),
    C[x, y] = (T[x, y] - f[y] w) / ρ',      y ≠ o,      w = C[x, o] (1 - ρ) + (1 - C[x, o]) (1 - ρ'),

never negative while the share w of the habit in all answers to x is at most that sum of minima.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import asarray_like, gammaln, namespace, ndtr
from engine.model.confusion import confused_scatter, own_answers

if TYPE_CHECKING:
    from engine.backend.types import Array, Floats, Ints
    from engine.model.knowledge import LabelInstrument, NumberInstrument
    from engine.model.variable import Variable


# Probabilities are at least this before a log is taken.
LEAST = 1e-300


@dataclass(frozen=True)
class LabelKernel:
    """How labels are answered; its arrays are numpy's, or torch's where a fit needs derivatives.

    mix: (K, M) P(type | truth). alpha: (M, Y) Dirichlet counts. answer_of: (M,) each type's own answer;
    share: (M,) that of its kind of reading, where it is right. weight: answers that a reported distribution
    counts for. tails: None, or the log-likelihood (Y, Y + 1, Y + 1, K) of places 2 and 3 of a ranking given
    the first (index Y: missing). by_question: the index of each question whose answers scatter otherwise, and
    its alpha; counts of answers have a block of Y columns for all others, then one for each of these.
    """

    mix: Array
    alpha: Array
    answer_of: Ints
    share: Array
    weight: float
    tails: Array | None
    by_question: tuple[tuple[int, Array], ...] = ()

    @property
    def width(self) -> int:
        """The number of columns of counts of answers."""
        return int(self.alpha.shape[1]) * (1 + len(self.by_question))

    def blocks(self, questions: Ints) -> Ints:
        """Return the block of columns that answers to each question, by index, are counted in, (n,)."""
        blocks = np.zeros(len(questions), dtype=np.int64)
        for place, (question, _) in enumerate(self.by_question, 1):
            blocks[questions == question] = place
        return blocks

    def alpha_of(self, block: int) -> Array:
        """Return the alpha of a block's answers, (M, Y)."""
        return self.by_question[block - 1][1] if block else self.alpha

    def log_likelihood(self, counts: Floats) -> Array:
        """Return log P(sequence of answers | type), (R, M); counts (R, width) may be fractions."""
        size = self.alpha.shape[1]
        logs = dirichlet_multinomial(asarray_like(counts[:, :size], self.alpha), self.alpha)
        for place, (_, alpha) in enumerate(self.by_question, 1):
            of_block = asarray_like(counts[:, place * size : (place + 1) * size], alpha)
            logs = logs + dirichlet_multinomial(of_block, alpha)
        return logs


@dataclass(frozen=True)
class NumberKernel:
    """mix: (K, M) P(what the reading brings out | bin); cuts: (M + 1,) between its values, in the unit."""

    mix: Array
    cuts: Floats
    instrument: NumberInstrument
    low: float
    high: float

    @property
    def nodes(self) -> Floats:
        """The values between the cuts, (M,)."""
        return (self.cuts[:-1] + self.cuts[1:]) / 2

    def log_likelihood(self, values: Floats) -> Array:
        """Return log P(answer | node) of single answers, (S, M)."""
        instrument, half = self.instrument, self.instrument.grid / 2
        # Far beyond the range, yet finite: an infinite bound has no derivative.
        far = 1e3 * (self.high - self.low)
        lower: Array = np.where(values <= self.low + 1e-9, self.low - far, values - half)[:, None]
        upper: Array = np.where(values >= self.high - 1e-9, self.high + far, values + half)[:, None]
        apart = instrument.nothing - values
        is_nothing = np.array((-half <= apart) & (apart < half), dtype=np.float64)[:, None]
        # An end of the range is half a cell of the grid.
        width: Array = (np.minimum(upper, self.high) - np.maximum(lower, self.low)) / (self.high - self.low)
        nodes, lower, upper, width = (
            asarray_like(array, self.mix) for array in (self.nodes, lower, upper, width)
        )
        centre = instrument.gain * nodes + instrument.offset
        inside = ndtr((upper - centre) / instrument.noise) - ndtr((lower - centre) / instrument.noise)
        inside = (1 - instrument.blank) * inside + instrument.blank * asarray_like(is_nothing, self.mix)
        likely = instrument.slip * width + (1 - instrument.slip) * inside
        xp = namespace(likely)
        return xp.log(xp.clip(likely, LEAST, None))


def put_kernel(kernel: LabelKernel | NumberKernel, like: Array) -> LabelKernel | NumberKernel:
    """Return a kernel with its arrays in the library, and on the device, of `like`."""
    mix = asarray_like(kernel.mix, like)
    if isinstance(kernel, NumberKernel):
        return replace(kernel, mix=mix)
    tails = None if kernel.tails is None else asarray_like(kernel.tails, like)
    alpha, share = asarray_like(kernel.alpha, like), asarray_like(kernel.share, like)
    by_question = tuple(
        (question, asarray_like(of_question, like)) for question, of_question in kernel.by_question
    )
    return replace(kernel, mix=mix, alpha=alpha, share=share, tails=tails, by_question=by_question)


def dirichlet_multinomial(counts: Array, alpha: Array) -> Array:
    """Return the log-likelihood (R, M) of answer counts (R, Y) under Dirichlet counts (M, Y)."""
    total, mass = counts.sum(1)[:, None], alpha.sum(1)
    rising = gammaln(alpha[None] + counts[:, None]) - gammaln(alpha)[None]
    logs: Array = rising.sum(2) + gammaln(mass)[None] - gammaln(mass[None] + total)
    return logs


def label_kernel(instrument: LabelInstrument, variable: Variable, prior: Floats) -> LabelKernel:
    """Build the kernel of a label instrument; prior: (K,) P(state), for the habit of rankings."""
    table, size = np.array(instrument.confusion), len(instrument.answers)
    tails = None
    if variable.kind == "categorical":
        pull = np.array(instrument.pull) if instrument.pull else np.zeros_like(table)
        tails = ranking_tails(
            habit_of(instrument, prior), instrument.bonus * own_answers(instrument.answers, variable) + pull
        )
    if instrument.settled:
        (kind,) = instrument.types
        settled = np.array(instrument.settled)
        return settled_kernel(settled, variable, instrument, kind.repeat, kind.strength, tails)
    share, misread, repeat, strength = np.array(
        [(*t.shares, t.repeat, t.strength) for t in instrument.types]
    ).T
    matches = own_answers(instrument.answers, variable)
    mix, alpha = scatter(table, matches, share, misread, repeat, strength)
    answer_of = np.tile(np.arange(size), len(instrument.types))
    return LabelKernel(mix, alpha, answer_of, np.repeat(share, size), instrument.weight, tails)


def settled_kernel(
    settled: Array,
    variable: Variable,
    instrument: LabelInstrument,
    repeat: Array | float,
    strength: Array | float,
    tails: Array | None,
) -> LabelKernel:
    """Build the kernel of an observer that settles on (K, Y), around which its draws scatter."""
    size = len(instrument.answers)
    alpha = strength * confused_scatter(settled, own_answers(instrument.answers, variable), repeat)
    share = asarray_like(np.ones(size), settled)
    return LabelKernel(settled, alpha, np.arange(size), share, instrument.weight, tails)


def scatter(
    table: Array,
    matches: Floats,
    share: Array,
    misread: Array,
    repeat: Array,
    strength: Array,
    least: Array | None = None,
) -> tuple[Array, Array]:
    """Return mix (K, T Y) and alpha (T Y, Y) of T kinds of reading, each with Y types, one an answer.

    table: (K, Y) P(one answer | truth). own: (K, Y) 1 where an answer is the truth's own. share, misread:
    (T,) of right and of other readings; a truth without an answer of its own has `share` throughout. repeat,
    strength: (T,). least: (Y,) at most the columns' minima, in their place.
    """
    xp = namespace(table)
    least = xp.amin(table, 0) if least is None else least
    habit, size = least / least.sum(), table.shape[1]
    is_match, named = asarray_like(matches, table), asarray_like(matches.sum(1, keepdims=True), table)
    rho = (share * repeat).sum()
    # What is not the truth's own answer scatters with the kinds of what is misread.
    off = named * (misread * repeat).sum() + (1 - named) * rho
    aim, usual = (is_match * table).sum(1)[:, None], (is_match * habit).sum(1)[:, None]
    right = named * (aim - usual * (1 - off)) / (rho - usual * (rho - off))
    drawn = right * (1 - rho) + (1 - right) * (1 - off)
    seen = xp.clip(is_match * right + (1 - is_match) * (table - drawn * habit) / off, 0, None)
    seen = seen / seen.sum(1)[:, None]
    rows = repeat[:, None, None] * asarray_like(np.eye(size), table) + (1 - repeat)[:, None, None] * habit
    alpha = (strength[:, None, None] * rows).reshape(-1, size)
    right_share, misread_share = share[None, :, None], misread[None, :, None]
    shares = right_share + (named * (1 - is_match))[:, None, :] * (misread_share - right_share)
    return (shares * seen[:, None, :]).reshape(len(table), -1), alpha


def habit_of(instrument: LabelInstrument, prior: Floats) -> Floats:
    """Return P(place 2 | place 1) (Y, Y) of rankings, whatever the truth, up to its diagonal.

    Where none is declared, Σ_x P(x | first) T[x, k]: what this observer says of the items of which it says
    `first`.
    """
    if instrument.habit:
        return np.array(instrument.habit)
    table = np.array(instrument.confusion)
    given_first = prior[:, None] * table
    return np.asarray((given_first / given_first.sum(axis=0)).T @ table)


def ranking_tails(habit: Array, lift: Array) -> Array:
    """Return the tails (Y, Y + 1, Y + 1, K) of a `LabelKernel`.

    Places 2 and 3 by Plackett-Luce with weights exp(b[first, k] + lift[truth, k]); habit: exp(b), (Y, Y);
    lift: (K, Y), the bonus g where k is the truth's own name, else the truth's pull. What cannot be ranked
    has 0.
    """
    xp, size = namespace(habit), len(habit)
    off_diagonal = 1 - np.eye(size)
    weight = habit[:, None, :] * xp.exp(lift) * asarray_like(off_diagonal[:, None, :], habit)
    total = weight.sum(2)[:, :, None]
    log_second = xp.log(xp.clip(weight / total, LEAST, None))
    remaining = xp.clip(total - weight, LEAST, None)
    log_third = xp.log(xp.clip(weight[:, :, None, :] / remaining[:, :, :, None], LEAST, None))
    # (first, truth, second, third), third missing at the end.
    logs = xp.concatenate([log_second[..., None] + log_third, log_second[..., None]], 3)
    third = np.concatenate([off_diagonal[:, None, :] * off_diagonal[None], np.ones((size, size, 1))], axis=2)
    places = xp.moveaxis(logs, 1, 3) * asarray_like((off_diagonal[:, :, None] * third)[..., None], habit)
    return xp.concatenate([places, xp.zeros_like(places[:, :1])], 1)


def quadrature(instrument: NumberInstrument, variable: Variable, slack: float = 1.0) -> Floats:
    """Return cuts (M + 1,) between the values that a reading brings out, fine enough for the instrument.

    slack: so much larger perception and smaller noise they will do for, too.
    """
    low, high = variable.edges[0], variable.edges[-1]
    reach = 4 * instrument.perception * slack
    width = min(
        variable.edges[1] - low, instrument.perception / 2 / slack, instrument.noise / instrument.gain / slack
    )
    count = math.ceil((high - low + 2 * reach) / width)
    return np.linspace(low - reach, high + reach, count + 1)


def number_kernel(
    instrument: NumberInstrument, variable: Variable, cuts: Floats | None = None
) -> NumberKernel:
    """Build the kernel of a number instrument, whose numbers may be torch's; then the cuts are needed.

    Within its bin the truth is uniform, so that P(r <= z | bin [a, b]) is the integral of the normal
    distribution function, σ/w · (G((z - a)/σ) - G((z - b)/σ)) with G(t) = t Φ(t) + φ(t).
    """
    cuts = quadrature(instrument, variable) if cuts is None else cuts
    edges, sigma = np.array(variable.edges), instrument.perception
    mix = with_strays(normal_readings(edges, cuts, sigma), edges, cuts, instrument.stray)
    return NumberKernel(mix, cuts, instrument, variable.edges[0], variable.edges[-1])


def normal_readings(edges: Floats, cuts: Floats, sigma: Array | float) -> Array:
    """Return P(a reading lies between two cuts | bin), (..., K, M).

    sigma: the sd of readings, whose error is normal. edges: (K + 1,). cuts: (..., M + 1); the first and the
    last cell hold all that lies beyond.
    """
    xp = namespace(sigma)
    z = asarray_like(cuts[..., None, 1:-1] - edges[:, None], sigma) / sigma
    integral = z * ndtr(z) + xp.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    spread = sigma / asarray_like(np.diff(edges)[:, None], sigma)
    below = xp.clip(spread * (integral[..., :-1, :] - integral[..., 1:, :]), 0, 1)
    none = xp.zeros_like(below[..., :1])
    below = xp.concatenate([none, below, none + 1], -1)
    return xp.clip(below[..., 1:] - below[..., :-1], 0, None)


def with_strays(normal: Array, edges: Floats, cuts: Floats, stray: Array | float) -> Array:
    """Return P(cell | bin, whatever else), (K, ..., M), of readings of which a share strays within the range.

    normal: (K, ..., M), that of the others. edges: (K + 1,). cuts: (M + 1,).
    """
    return (1 - stray) * normal + stray * asarray_like(uniform_readings(edges, cuts), normal)


def uniform_readings(edges: Floats, cuts: Floats) -> Floats:
    """Return P(cell), (M,), of readings that stray; edges: (K + 1,); cuts: (M + 1,)."""
    return np.asarray(np.diff(np.clip(cuts, edges[0], edges[-1])) / (edges[-1] - edges[0]))
