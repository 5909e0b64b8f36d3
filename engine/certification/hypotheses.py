"""Decisions and gold -> the promises to be tested, each with its decisions in both parts of the gold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv

from engine.model.guarantee import ANY, POOLED, Breadth, values_about

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.backend.types import Bools, Floats, Ints
    from engine.decision.level import LevelDecision
    from engine.model.gold import Gold
    from engine.model.knowledge import Knowledge
    from engine.model.variable import Variable

# Thresholds that are laid out for a promise, at most.
CANDIDATES = 50
# Where the rate of errors is looked at: the middles of equal shares of its distribution.
QUANTILES = (np.arange(16) + 0.5) / 16


@dataclass(frozen=True)
class Part:
    """The decisions of one part that a promise is about, by risk: risk (M,), wrong (M,) and unit (M,).

    Not acceptable ones have an infinite risk. order: (M,) by chance, which of a unit's decisions is taken
    first; None where every decision is its own unit.
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
        ends = self._ends(self.order)
        begun, ended = (np.searchsorted(np.sort(risk), thresholds, "right") for risk in (self.risk, ends))
        begun_wrong, ended_wrong = (
            np.searchsorted(np.sort(risk[self.wrong]), thresholds, "right") for risk in (self.risk, ends)
        )
        return begun - ended, begun_wrong - ended_wrong

    def _ends(self, order: Floats) -> Floats:
        """Return the threshold from which on a decision is no longer the one of its unit, (M,).

        From its own risk on it is, until one of its unit that comes earlier by chance is accepted as well.
        """
        by_chance = np.lexsort((order, self.unit))
        unit = self.unit[by_chance]
        first = np.diff(unit, prepend=-1) != 0
        # Risks are in order: places stand for them. Each unit's lie below those of the one before.
        below = np.cumsum(first) * (len(unit) + 1)
        least = np.minimum.accumulate(by_chance - below) + below
        earlier = np.full(len(unit), np.inf)
        earlier[1:] = np.where(first[1:], np.inf, self.risk[least[:-1]])
        ends = np.empty(len(unit))
        ends[by_chance] = earlier
        return np.maximum(self.risk, ends)


@dataclass(frozen=True)
class Units:
    """What the test counts of N items of gold: items, or subjects where items cluster.

    index: (N,) the unit of each item. order: (N,) by chance, which of a unit's items is taken first; None
    where every item is its own unit. rng: for decisions of which an item has several. fitting, certifying:
    units of the two parts.
    """

    index: Ints
    order: Floats | None
    rng: np.random.Generator | None
    fitting: int
    certifying: int

    @classmethod
    def of(
        cls, in_fit_split: Bools, groups: Sequence[object] | None, rng: np.random.Generator | None
    ) -> Units:
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
        return cls(index, order, rng, len(fitting), len(certifying))

    @property
    def ratio(self) -> float:
        """Units that certify for each that fits."""
        return self.certifying / max(self.fitting, 1)

    def repeated(self, times: int) -> Units:
        """Return the units of so many decisions about each item, (times * N,), any of which may be taken."""
        if self.rng is None:
            raise ValueError("to pool variables an rng is needed")
        index = np.tile(self.index, times)
        return replace(self, index=index, order=self.rng.random(len(index)))


def error_rates(n: Ints, errors: Ints) -> Floats:
    """Return quantiles of the rates of errors behind counts (T,), (T, QUANTILES)."""
    return np.asarray(betaincinv(errors[:, None] + 0.5, (n - errors)[:, None] + 0.5, QUANTILES))


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """One promise to be certified: the decisions that it is about in the fit split and in the certifying one.

    variable, value, pooled, limit: as of the certificate. candidates: (T,) thresholds, increasing. counts:
    accepted units and errors of the fit split at each, (T,). each: where it is about several values, the
    certifying split of each by itself.
    """

    variable: str
    value: str
    fit: Part
    test: Part
    candidates: Floats
    counts: tuple[Ints, Ints]
    limit: float | None
    pooled: tuple[str, ...] = ()
    each: Mapping[tuple[str, str], Part] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """Variable and value."""
        return self.variable, self.value

    def values_of(self, variable: Variable) -> tuple[str, ...]:
        """Return the values of a variable that it is about."""
        return values_about(variable, self.variable, self.value, self.pooled)

    @cached_property
    def rates(self) -> Floats:
        """Quantiles of the rate of errors at each of T candidates, (T, QUANTILES)."""
        return error_rates(*self.counts)


def hypotheses_of(
    base: Knowledge,
    levels: Mapping[str, LevelDecision],
    acceptable: Bools,
    gold: Gold,
    in_fit_split: Bools,
    breadth: Breadth,
    units: Units,
) -> list[Hypothesis]:
    """Return the promises to be tested; the arguments are those of `certify`."""
    decided = _decided(base, levels, acceptable, gold, in_fit_split)
    return [
        _hypothesis(base, decided, promise, in_fit_split, units)
        for promise in _promises(base, decided, breadth)
    ]


@dataclass(frozen=True, eq=False)
class _Decided:
    """The decisions about a variable of N items with gold: all of them, value (N,), risk (N,), wrong (N,).

    known: (N,) whether there is gold. An infinite risk is never accepted.
    """

    variable: Variable
    value: Floats
    risk: Floats
    wrong: Bools
    known: Bools

    def has(self, value: str) -> Bools:
        """Return which items with gold are decided to be a value, or any, (N,)."""
        if value not in self.variable.values or self.variable.kind == "interval":
            return self.known
        return np.asarray(self.known & (self.value == self.variable.values.index(value)))


def _decided(
    base: Knowledge, levels: Mapping[str, LevelDecision], acceptable: Bools, gold: Gold, in_fit_split: Bools
) -> dict[str, _Decided]:
    decided = {}
    for name in (name for names in base.levels.values() for name in names if name in levels):
        variable, level, truth = base.variables[name], levels[name], gold.values.get(name)
        if truth is None:
            truth = np.full(len(in_fit_split), np.nan)
        most = base.policy.tolerance[name] if variable.kind == "interval" else 0.5
        wrong = np.abs(truth - level.value) > most
        risk = np.where(acceptable & level.eligible, level.risk, np.inf)
        decided[name] = _Decided(variable, level.value, risk, wrong, ~np.isnan(truth))
    return decided


def _promises(
    base: Knowledge, decided: Mapping[str, _Decided], breadth: Breadth
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield what is to be promised: variable or level, value, and the variables of a level that is pooled."""
    for level, names in base.levels.items():
        binary = tuple(name for name in names if name in decided and base.variables[name].kind == "binary")
        pooled = binary if breadth == Breadth.POOLED and len(binary) > 1 else ()
        if pooled:
            yield level, POOLED, pooled
        for name in (name for name in names if name in decided and name not in pooled):
            variable = base.variables[name]
            # A state of that name leaves none for the whole.
            whole = breadth != Breadth.VALUES and ANY not in variable.states
            by_value = not whole or variable.kind in ("binary", "interval")
            for value in variable.values if by_value else (ANY,):
                yield name, value, ()


def _hypothesis(
    base: Knowledge,
    decided: Mapping[str, _Decided],
    promise: tuple[str, str, tuple[str, ...]],
    in_fit_split: Bools,
    units: Units,
) -> Hypothesis:
    name, value, pooled = promise
    about = [decided[variable] for variable in pooled or (name,)]
    rows = units.repeated(len(about)) if pooled else units
    chosen = np.concatenate([variable.has(value) for variable in about])
    fits = np.tile(in_fit_split, len(about))
    fit, test = (_part(about, rows, chosen & part) for part in (fits, ~fits))
    candidates = _candidates(fit.risk)
    each = {}
    if value in (ANY, POOLED):
        each = {
            (single.variable.name, state): _part([single], units, single.has(state) & ~in_fit_split)
            for single in about
            for state in single.variable.values
        }
    limits = {base.policy.limits.get(single.variable.name) for single in about}
    limit = limits.pop() if len(limits) == 1 else None
    return Hypothesis(name, value, fit, test, candidates, fit.counts(candidates), limit, pooled, each)


def _part(about: Sequence[_Decided], units: Units, chosen: Bools) -> Part:
    """Return the chosen decisions by risk; chosen: (variables * N,), the items of each variable in turn."""
    risk = np.concatenate([single.risk for single in about])
    wrong = np.concatenate([single.wrong for single in about])
    index = np.flatnonzero(chosen)
    index = index[np.argsort(risk[index], kind="stable")]
    order = None if units.order is None else units.order[index]
    return Part(risk[index], wrong[index], units.index[index], order)


def _candidates(risk: Floats) -> Floats:
    """Return thresholds at quantiles of the risks (M,), increasing, infinite ones left out."""
    risk = risk[np.isfinite(risk)]
    if not len(risk):
        return np.zeros(0)
    places = np.unique(np.round(np.linspace(0, len(risk) - 1, CANDIDATES)).astype(np.int64))
    # Half a unit more, so that the last bits of a risk decide nothing.
    return np.unique(np.ceil(risk[places] * 1e9 + 0.5) / 1e9)
