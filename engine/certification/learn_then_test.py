"""Decisions and gold -> a guarantee: thresholds on the risk, each with an exact test.

Fixed-sequence Learn-then-Test (Angelopoulos, Bates, Candès, Jordan and Lei, Learn then Test, arXiv
2110.01052), for each value of each variable by itself. Gold is split by chance. On one part, which a fit may
use as well, candidates t_1 < t_2 < ... of the threshold are laid out, and where to start is chosen. On the
other part each candidate from the start on is tested:

    p(t) = P(Binomial(n, alpha) <= errors),     n units accepted at t, of which `errors` wrong;

while p(t) <= share the next one is tried, and the last that passed is certified. That p(t) <= share is that
the upper bound of Clopper and Pearson at this share is at or under alpha. The candidates do not depend on
the part that tests, so with probability 1 - share none passes at which more than alpha err; the shares of all
values that are tried add up to delta. There is one start, where a pass is most probable: to share delta over
several certified less in every simulation that was tried.

Where items cluster the unit is the subject: one accepted item of each, chosen by chance, is tested, so that
the test is exact for a random accepted item of a random subject.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv

from engine.metrics.binomial import most_errors, passes, tail, upper_bound
from engine.model.guarantee import Certificate, Guarantee

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.backend.types import Bools, Floats, Ints
    from engine.decision.level import LevelDecision
    from engine.model.gold import Gold
    from engine.model.guarantee import Design
    from engine.model.knowledge import Knowledge


CANDIDATES = 50
# Chance of a certificate, as the fit split predicts it, below which a value takes no share of delta.
WORTH_TRYING = 0.05
QUANTILES = (np.arange(16) + 0.5) / 16
MOST_GOLD = 10_000_000


def split(items: int, groups: Sequence[object] | None, share: float, rng: np.random.Generator) -> Bools:
    """Return a random mask (N,) of the gold items for fitting; the others certify.

    groups: the subject of each item; all of a subject's are in one part. share: of the items, or subjects,
    that fit; a third is enough to choose where to start, and certifies clearly more than a half does.
    """
    if groups is None:
        return np.asarray(rng.permutation(items) < round(share * items))
    names, of = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    return np.asarray(rng.permutation(len(names)) < round(share * len(names)))[of]


@dataclass(frozen=True)
class _Part:
    """The items of one part decided to be one value, by risk: risk (M,), wrong (M,) and unit (M,).

    Not acceptable ones have an infinite risk. order: (M,) by chance, which of a unit's items is taken first;
    None where every item is its own unit.
    """

    risk: Floats
    wrong: Bools
    unit: Ints
    order: Floats | None

    def counts(self, thresholds: Floats) -> tuple[Ints, Ints]:
        """Return the accepted units and the wrong ones among them at each threshold, (T,) each."""
        if self.order is None:
            n = np.searchsorted(self.risk, thresholds, side="right")
            return n, np.concatenate([[0], np.cumsum(self.wrong)])[n]
        first = np.lexsort((self.order, self.unit))
        risk, wrong, unit = self.risk[first], self.wrong[first], self.unit[first]
        totals = np.zeros((2, len(thresholds)), dtype=np.int64)
        for i, threshold in enumerate(thresholds):
            inside = np.flatnonzero(risk <= threshold)
            chosen = inside[np.diff(unit[inside], prepend=-1) != 0]
            totals[:, i] = len(chosen), wrong[chosen].sum()
        return totals[0], totals[1]


@dataclass(frozen=True)
class _Units:
    """What the test counts of N items of gold: items, or subjects where items cluster.

    index: (N,) the unit of each item. order: (N,) by chance, which of a unit's items is taken first; None
    where every item is its own unit. fitting, certifying: units of the two parts.
    """

    index: Ints
    order: Floats | None
    fitting: int
    certifying: int

    @classmethod
    def of(
        cls, in_fit_split: Bools, groups: Sequence[object] | None, rng: np.random.Generator | None
    ) -> _Units:
        """Return the units; groups: the subject of each item, whose items are taken by chance."""
        index, order = np.arange(len(in_fit_split)), None
        if groups is not None:
            if rng is None:
                raise ValueError("with groups an rng is needed")
            index = np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]
            order = rng.random(len(in_fit_split))
        fitting, certifying = (set(index[part].tolist()) for part in (in_fit_split, ~in_fit_split))
        if fitting & certifying:
            raise ValueError("a subject is in both parts")
        return cls(index, order, len(fitting), len(certifying))

    @property
    def ratio(self) -> float:
        """Units that certify for each that fits."""
        return self.certifying / max(self.fitting, 1)


@dataclass(frozen=True)
class _Trial:
    """How each value is tested: at most alpha wrong, a pass by chance with probability share at most."""

    alpha: float
    share: float
    units: _Units

    def passes(self, n: int, errors: int) -> bool:
        """Return whether `errors` of n accepted units pass."""
        return bool(passes(n, errors, self.alpha, self.share))


@dataclass(frozen=True, eq=False)
class _Hypothesis:
    """One value of one variable to be certified: its items in the fit split and in the certifying split.

    candidates: (T,) thresholds, increasing. counts: accepted units and errors of the fit split at each, (T,).
    """

    variable: str
    value: str
    fit: _Part
    test: _Part
    candidates: Floats
    counts: tuple[Ints, Ints]

    def chances(self, trial: _Trial) -> Floats:
        """Return the approximate probability that each candidate passes, (T,).

        Errors to come are beta-binomial around those of the fit (Jeffreys).
        """
        expected = np.floor(self.counts[0] * trial.units.ratio).astype(np.int64)
        allowed = most_errors(expected, trial.alpha, trial.share)
        chance = tail(expected[:, None], np.maximum(allowed, 0)[:, None], self._rates).mean(1)
        return np.where(allowed < 0, 0.0, chance)

    @cached_property
    def _rates(self) -> Floats:
        """Quantiles of the rate of errors at each candidate, (candidates, QUANTILES)."""
        n, errors = self.counts
        return np.asarray(betaincinv(errors[:, None] + 0.5, (n - errors)[:, None] + 0.5, QUANTILES))


def certify(
    base: Knowledge,
    levels: Mapping[str, LevelDecision],
    acceptable: Bools,
    gold: Gold,
    in_fit_split: Bools,
    *,
    alpha: float,
    delta: float,
    population: str,
    design: Design,
    made: str,
    groups: Sequence[object] | None = None,
    rng: np.random.Generator | None = None,
) -> Guarantee:
    """Return the guarantee for values accepted from now on.

    Args:
        base: as it will be read; its digests are what the guarantee holds for.
        levels: the decisions about N items of gold as `decide_levels` makes them at the end of the pipeline;
            whether they are accepted by the policy does not matter. A variable that is left out takes no
            part of delta, and is not accepted.
        acceptable: (N,) items of which anything may be accepted (see `decision.acceptable`).
        gold: of the same items; where it is unknown the item does not count for the variable.
        in_fit_split: (N,) see `split`; what fitted the base must be among these items.
        alpha: the most that may err among the accepted.
        delta: the probability that any promise is broken.
        population: the prior of the inference.
        design: how the items were answered, see `design_of`.
        made: the date, such as 2025-01-31.
        groups: the subject of each item, where items cluster.
        rng: which of a subject's items is taken; needed with groups.
    """
    units = _Units.of(in_fit_split, groups, rng)
    hypotheses = _hypotheses(base, levels, acceptable, gold, in_fit_split, units)
    # What has no hope takes no share; that is seen on the fit split alone.
    testable = [hypothesis for hypothesis in hypotheses if len(hypothesis.candidates)]
    trial = _Trial(alpha, _equal_shares(delta, len(testable)), units)
    tried = [hypothesis for hypothesis in testable if hypothesis.chances(trial).max() >= WORTH_TRYING]
    if tried:
        trial = replace(trial, share=_equal_shares(delta, len(tried)))
    items, subjects = int((~in_fit_split).sum()), None if groups is None else units.certifying
    return Guarantee(
        tuple(_certificate(hypothesis, trial, tried=hypothesis in tried) for hypothesis in hypotheses),
        alpha,
        delta,
        "item" if groups is None else "subject",
        population,
        dict(base.digests),
        design,
        items,
        made,
        _assumptions(items, subjects, population, design),
    )


def _equal_shares(delta: float, among: int) -> float:
    """Return delta divided equally, rounded down to the digits that are written."""
    return float(math.floor(delta / max(among, 1) * 1e9) / 1e9)


def _hypotheses(
    base: Knowledge,
    levels: Mapping[str, LevelDecision],
    acceptable: Bools,
    gold: Gold,
    in_fit_split: Bools,
    units: _Units,
) -> list[_Hypothesis]:
    hypotheses = []
    for name in (name for names in base.levels.values() for name in names if name in levels):
        variable, level, truth = base.variables[name], levels[name], gold.values.get(name)
        if truth is None:
            truth = np.full(len(in_fit_split), np.nan)
        off = np.abs(truth - level.value)
        interval = variable.kind == "interval"
        wrong = off > (base.policy.tolerance[name] if interval else 0.5)
        risk = np.where(acceptable & level.eligible, level.risk, np.inf)
        for index, value in enumerate(variable.values):
            decided = ~np.isnan(truth) & (interval | (level.value == index))
            fit, test = (_part(risk, wrong, units, decided & part) for part in (in_fit_split, ~in_fit_split))
            candidates = _candidates(fit.risk)
            hypotheses.append(_Hypothesis(name, value, fit, test, candidates, fit.counts(candidates)))
    return hypotheses


def _part(risk: Floats, wrong: Bools, units: _Units, chosen: Bools) -> _Part:
    index = np.flatnonzero(chosen)
    index = index[np.argsort(risk[index], kind="stable")]
    order = None if units.order is None else units.order[index]
    return _Part(risk[index], wrong[index], units.index[index], order)


def _candidates(risk: Floats) -> Floats:
    """Return thresholds at quantiles of the risks (M,), increasing, infinite ones left out."""
    risk = risk[np.isfinite(risk)]
    if not len(risk):
        return np.zeros(0)
    places = np.unique(np.round(np.linspace(0, len(risk) - 1, CANDIDATES)).astype(np.int64))
    # Half a unit more, so that the last bits of a risk decide nothing.
    return np.unique(np.ceil(risk[places] * 1e9 + 0.5) / 1e9)


def _certificate(hypothesis: _Hypothesis, trial: _Trial, *, tried: bool) -> Certificate:
    """Test the candidates of a value from its start on."""
    share, candidates = trial.share, hypothesis.candidates
    start = int(hypothesis.chances(trial).argmax()) if len(candidates) else 0
    n, errors = hypothesis.test.counts(candidates)
    passed = passes(n, errors, trial.alpha, share)[start:] if tried else np.zeros(0, dtype=bool)
    steps = len(passed) if passed.all() else int(passed.argmin())
    at = start + max(steps - 1, 0)
    counted = (int(n[at]), int(errors[at])) if len(n) else (0, 0)
    threshold = float(candidates[at]) if steps else None
    predicted = len(hypothesis.test.risk)
    accepted = int((hypothesis.test.risk <= threshold).sum()) if threshold is not None else 0
    missing = gold = None
    if threshold is None and len(n):
        missing = _missing(*counted, trial)
        fit_n, fit_errors = (int(counts[start]) for counts in hypothesis.counts)
        gold = _gold(fit_n + counted[0], fit_errors + counted[1], missing, trial)
    return Certificate(
        hypothesis.variable,
        hypothesis.value,
        threshold,
        *counted,
        share if tried else 0.0,
        upper_bound(*counted, share) if tried else 1.0,
        predicted,
        accepted / predicted if predicted else 0.0,
        float(hypothesis.test.wrong.mean()) if predicted else 0.0,
        missing,
        gold,
    )


def _missing(n: int, errors: int, trial: _Trial) -> int:
    """Return how many more accepted units, all of them right, would make the test pass."""
    return _least(lambda more: trial.passes(n + more, errors))


def _gold(n: int, errors: int, missing: int, trial: _Trial) -> int | None:
    """Return how many more units of gold would be about enough at the rates met; None where none would.

    n, errors: accepted among all units of gold.
    """
    ratio, units = trial.units.ratio, trial.units.fitting + trial.units.certifying
    # The share of all units that certifies.
    testing = ratio / (1 + ratio)
    if not n or not testing or errors / n >= trial.alpha:
        return None
    rate = n / units * testing
    total = _least(lambda total: trial.passes(int(rate * total), int(errors / n * rate * total)))
    # Bad luck in the test is to be made good as well.
    more = max(total - units, math.ceil(missing / rate))
    return more if more < MOST_GOLD else None


def _least(enough: Callable[[int], bool]) -> int:
    """Return about the least number that is enough, at most MOST_GOLD."""
    low, high = 0, 1
    while high < MOST_GOLD and not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return min(high, MOST_GOLD)


def _assumptions(items: int, subjects: int | None, population: str, design: Design) -> tuple[str, ...]:
    """Return the assumptions of the guarantee, in words."""
    of = f"{items} items" if subjects is None else f"{items} items of {subjects} subjects"
    unit = "accepted items" if subjects is None else "a random accepted item of a random subject"
    unit_noun = "item" if subjects is None else "subject"
    assumptions = [
        f"The promise is about the share of errors of {unit}, for each certified value by itself; it is not "
        "about an item with all its values.",
        f"Every future {unit_noun} is drawn independently from the same source as the {of} that certified; "
        "the certificate cannot tell whether another source is like it.",
        "The gold is right: a value that differs from it counts as wrong, and errors of the gold go unseen.",
        f"Future items are answered by the same observers, asked in the same way: {design}.",
        f"Base, prompts, observers, policy and the population ({population}) stay as they were.",
    ]
    if design.adaptive:
        assumptions.append("The answers of an item are exactly those that this policy asked for.")
    else:
        assumptions.append(
            "The promise holds for items with as many answers as these; further answers void it."
        )
    return tuple(assumptions)
