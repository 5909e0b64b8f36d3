"""A fit -> the YAML that says it: every number with what it was, what it is, and how sure that is."""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from engine.learning.observer_fit import Fit
    from engine.model.knowledge import LabelInstrument, Observer

    Floats = NDArray[np.float64]
    Tree = dict[str, Any]

REPEATS = 200
LEAST_SD = 1e-6
WORTH_SAYING = 0.1
WIDTH = 120
JOINED = "\N{NO-BREAK SPACE}"
LAST = ("n", "sd")
# What the reader allows of these probabilities: a fit to much gold may be surer than that.
ALLOWED = {
    "stereotype": (0.001, 0.999),
    "sensitivity": (0.01, 0.9999),
    "specificity": (0.01, 0.9999),
    "probability": (0.0, 0.99),
    "slip": (0.0, 0.9),
}
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Entry:
    """A number that a fit may have moved.

    keys: its path in the YAML. prior, prior_sd: what it began with. value, sd: what it is now, in its unit.
    row: whether it is part of a row that adds up to 1; then the row's `n` says how sure it is. derived:
    whether it only had to follow others, and nothing was learned of it.
    """

    keys: tuple[str, ...]
    prior: float
    prior_sd: float
    value: float
    sd: float
    row: bool = False
    derived: bool = False

    @property
    def path(self) -> str:
        """Return the dotted path."""
        return ".".join(self.keys)

    @property
    def learned(self) -> float:
        """Return the share of the prior's variance that is gone: 0 nothing learned, 1 known exactly."""
        return 1 - (self.sd / self.prior_sd) ** 2

    @property
    def shift(self) -> float:
        """Return how far it moved, in standard deviations of the prior."""
        return (self.value - self.prior) / self.prior_sd


def entries_of(fit: Fit) -> list[Entry]:
    """Return all numbers that the fit may have moved, in the order of the YAML."""
    return [entry for index in fit.unknowns.observers for entry in _Writer(fit, index).all()]


class _Writer:
    """Lists one observer's numbers."""

    def __init__(self, fit: Fit, index: int) -> None:
        self.fit, self.index, self.unknowns = fit, index, fit.unknowns
        self.base = fit.unknowns.base
        self.observer: Observer = fit.unknowns.observers[index]
        self.path = f"observers.{self.observer.name}"
        self.keys = ("observers", self.observer.name)

    def all(self) -> Iterator[Entry]:
        """Yield everything about the observer."""
        if f"{self.path}.carry" in self.fit.point:
            yield self._site(f"{self.path}.carry", (*self.keys, "carry"))
        if f"{self.path}.exponent" in self.fit.exponents:
            yield Entry((*self.keys, "exponent"), *self.fit.exponents[f"{self.path}.exponent"])
        for question in self.observer.halo:
            place = f"{self.path}.halo.{question}.probability"
            if place in self.fit.point:
                yield self._site(place, (*self.keys, "halo", question, "probability"))
        yield from self._stereotype()
        mine = [name for index, name in self.unknowns.reported if index == self.index]
        binary = [name for name in mine if self.base.variables[name].kind == "binary"]
        for name in mine:
            if name in self.observer.labels and name not in binary:
                yield from self._table(self.observer.labels[name])
        yield from self._rates(binary)
        for name in (name for name in mine if name in self.observer.numbers):
            for key in ("gain", "offset", "perception", "noise", "slip"):
                place = f"{self.path}.interval.{name}.{key}"
                if place in self.fit.point:
                    yield self._site(place, (*self.keys, "interval", name, key))

    def _site(self, place: str, keys: tuple[str, ...], at: Any = (), *, row: bool = False) -> Entry:
        return _site(self.fit, place, keys, at, row=row)

    def _stereotype(self) -> Iterator[Entry]:
        place = f"{self.path}.stereotype"
        if place not in self.fit.point:
            return
        names = self.unknowns.binary(self.index)
        for k, state in enumerate(self.unknowns.inference.network.root_states):
            for j, name in enumerate(names):
                entry = self._site(place, (*self.keys, "stereotype", state, name), (j, k))
                # What is left out follows the network.
                if entry.learned >= WORTH_SAYING:
                    yield entry

    def _table(self, one: LabelInstrument) -> Iterator[Entry]:
        path, keys = f"{self.path}.categorical.{one.variable}", (*self.keys, "categorical", one.variable)
        for form in (form for form in ("confusion", "settled") if f"{path}.{form}" in self.fit.point):
            for k, state in enumerate(self.base.variables[one.variable].states):
                for y, answer in enumerate(one.answers):
                    yield self._site(f"{path}.{form}", (*keys, form, state, answer), (k, y), row=True)
        if self.unknowns.is_settled(self.index, one.variable):
            for key in ("repeat", "strength"):
                if f"{path}.{key}" in self.fit.point:
                    yield self._site(f"{path}.{key}", (*keys, key))
        else:
            yield from self._types(path, keys, one)
        if f"{path}.ranking.bonus" in self.fit.point:
            yield from self._ranking(f"{path}.ranking", (*keys, "ranking"), one)

    def _ranking(self, path: str, keys: tuple[str, ...], one: LabelInstrument) -> Iterator[Entry]:
        yield self._site(f"{path}.bonus", (*keys, "bonus"))
        for first, answer in enumerate(one.answers):
            others = [other for other in one.answers if other != answer]
            for second, other in enumerate(others):
                yield self._site(f"{path}.habit", (*keys, "habit", answer, other), (first, second), row=True)
        if f"{path}.pull" in self.fit.point:
            for k, state in enumerate(self.base.variables[one.variable].states):
                for y, answer in enumerate(one.answers):
                    if answer != state:
                        yield self._site(f"{path}.pull", (*keys, "pull", state, answer), (k, y))

    def _types(self, path: str, keys: tuple[str, ...], one: LabelInstrument) -> Iterator[Entry]:
        if f"{path}.room" not in self.fit.point:
            yield from self._followed(keys, one)
            return
        after = self._repeats(one.variable, self.fit.draws)
        # What several kinds repeat is not bound to the table before there are answers.
        before = 1 - self.fit.prior[f"{path}.room"]
        if len(one.types) == 1:
            before = self._repeats(one.variable, self.fit.prior)
        at = self.unknowns.scattered(self.index, one.variable, self.fit.point)[3]
        for t, kind in enumerate(one.types):
            inner = (*keys, "types", kind.name) if len(one.types) > 1 else keys
            for key in ("share", "misread"):
                if f"{path}.{key}" in self.fit.point:
                    yield self._site(f"{path}.{key}", (*inner, key), (t,))
            yield _entry((*inner, "repeat"), before[:, t], float(at[t]), after[:, t], kind.repeat)
            yield self._site(f"{path}.strength", (*inner, "strength"), (t,))

    def _followed(self, keys: tuple[str, ...], one: LabelInstrument) -> Iterator[Entry]:
        """Yield repeats that were not fitted, where the fitted table asks for more than the declared ones."""
        at = self.unknowns.scattered(self.index, one.variable, self.fit.point)[3]
        for t, kind in enumerate(one.types):
            if at[t] > kind.repeat + LEAST_SD:
                inner = (*keys, "types", kind.name) if len(one.types) > 1 else keys
                sd = kind.repeat * (1 - kind.repeat)
                yield Entry((*inner, "repeat"), kind.repeat, sd, float(at[t]), sd, derived=True)

    def _repeats(self, name: str, draws: Mapping[str, Floats]) -> Floats:
        """Return the repeats that draws of table and room come to, (REPEATS, kinds)."""
        rows = []
        for s in range(REPEATS):
            values = {site: one[s] for site, one in draws.items()}
            rows.append(self.unknowns.scattered(self.index, name, values)[3])
        return np.array(rows)

    def _rates(self, names: list[str]) -> Iterator[Entry]:
        path, keys = f"{self.path}.binary", (*self.keys, "binary")
        groups = self.unknowns.groups(self.index)
        if path in groups:
            yield from self._types(path, keys, self.observer.labels[names[groups[path][0]]])
        rated = self.unknowns.rated.get(self.index, [])
        for name in names:
            inner = (*keys, "cells", name)
            for key in ("sensitivity", "specificity") if name in rated else ():
                yield self._site(f"{path}.{key}", (*inner, key), (rated.index(name),))
            if f"{path}.cells.{name}" in groups:
                yield from self._types(f"{path}.cells.{name}", inner, self.observer.labels[name])


def _entry(
    keys: tuple[str, ...], prior: Floats, value: float, draws: Floats, mean: float, *, row: bool = False
) -> Entry:
    """Make an entry; nothing is said to be less sure than it was before."""
    before = max(float(prior.std()), LEAST_SD)
    return Entry(keys, mean, before, value, min(max(float(draws.std()), LEAST_SD), before), row)


def _site(fit: Fit, place: str, keys: tuple[str, ...], at: Any = (), *, row: bool = False) -> Entry:
    """Return the entry of one number of a site."""
    prior, draws = (one[place][(slice(None), *np.atleast_1d(at))] for one in (fit.prior, fit.draws))
    value, mean = (float(one[at]) for one in (fit.point[place], fit.unknowns.sites[place].mean))
    return _entry(keys, prior, value, draws, mean, row=row)


def overlay_tree(fit: Fit, source: str) -> Tree:
    """Return what the overlay says, as nested mappings of texts."""
    found: Tree = {}
    rows: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries_of(fit):
        if entry.row:
            rows.setdefault(entry.keys[:-1], []).append(entry)
            continue
        _put(found, entry.keys, _text(entry))
        if not entry.derived:
            _put(found, (*entry.keys[:-1], "sd", entry.keys[-1]), _short(entry.sd))
    for keys, members in rows.items():
        for entry, text in zip(members, shares_of_one([one.value for one in members]), strict=True):
            _put(found, entry.keys, text)
        # Pseudo-counts of the Dirichlet that has the row's variances in sum: Σ p (1 - p) = (n + 1) Σ sd².
        spread = sum(one.value * (1 - one.value) for one in members)
        n = max(spread / sum(one.sd**2 for one in members) - 1, 0.1)
        _put(found, (*keys[:-2], "n", keys[-1]), f"{n:.1f}")
    for index, observer in fit.unknowns.observers.items():
        own = found.setdefault("observers", {}).setdefault(observer.name, {})
        own["source"] = source
        declared = fit.unknowns.observations.observers[index]
        for name, one in observer.numbers.items():
            if one.grid != declared.numbers[name].grid:
                _put(own, ("interval", name, "grid"), f"{one.grid:.6f}".rstrip("0"))
    named = found.get("observers", {})
    return {"observers": {name: {"source": own.pop("source"), **own} for name, own in named.items()}}


def replaced_paths(fit: Fit) -> list[str]:
    """Return the paths of the base that have to go where what is fitted says the same in another way."""
    numbers, gone = fit.unknowns.base.numbers, list[tuple[str, str]]()
    for site in fit.point:
        above, _, key = site.rpartition(".")
        if key in ("confusion", "settled"):
            gone.append((above, "accuracy"))
        if key == "share":
            gone += [(above, "repeat"), (above, "strength")]
    paths = [f"{above}.{inner}{key}" for above, key in gone for inner in ("", "sd.")]
    # What is settled on takes the place of the table of one answer, which follows from it.
    tables = [f"{site.removesuffix('.settled')}.confusion" for site in fit.point if site.endswith(".settled")]
    tables = [path for path in tables if any(number.startswith(f"{path}.") for number in numbers)]
    return [*tables, *(path for path in paths if path in numbers)]


def _put(found: Tree, keys: tuple[str, ...], text: str) -> None:
    for key in keys[:-1]:
        found = found.setdefault(key, {})
    found[keys[-1]] = text


def _text(entry: Entry) -> str:
    """Write a number as it may be read; a repeat rounded up, as its table asks for at least so much."""
    key = "stereotype" if "stereotype" in entry.keys[2:-2] else entry.keys[-1]
    if key in ALLOWED:
        least, most = ALLOWED[key]
        return _short(min(max(entry.value, least), most))
    if entry.keys[-1] in ("share", "misread"):
        return f"{max(entry.value, 0.001):.4f}"
    if entry.keys[-1] == "repeat":
        return f"{min(np.ceil(entry.value * 1e4 + 1) / 1e4, 0.999):.4f}"
    return _short(entry.value)


def _short(value: float) -> str:
    """Write a number with four significant digits and no exponent."""
    digits = 4 if value == 0 else max(3 - int(np.floor(np.log10(abs(value)))), 1)
    return f"{value:.{min(digits, 9)}f}"


def shares_of_one(values: list[float]) -> list[str]:
    """Write shares that add up to 1, none of them 0."""
    rounded = np.maximum(np.round(values, 5), 1e-5)
    rounded[rounded.argmax()] += 1 - rounded.sum()
    return [f"{value:.5f}" for value in rounded]


def written(tree: Mapping[str, Any], indent: int = 0) -> str:
    """Write nested mappings of texts as YAML; the innermost ones in a line where they fit."""
    return "".join(_lines(tree, indent))


def _lines(tree: Mapping[str, Any], indent: int) -> Iterable[str]:
    for key, value in tree.items():
        name, space = _key(key), " " * indent
        if not isinstance(value, dict):
            yield f"{space}{name}: {value}\n"
            continue
        if all(not isinstance(inner, dict) for inner in value.values()) and indent:
            # Lines break between entries, not within them.
            line = ", ".join(f"{_key(inner)}:{JOINED}{text}" for inner, text in value.items())
            whole = f"{space}{name}:{JOINED}{{{line}}}"
            after = " " * (indent + len(name) + 3)
            yield textwrap.fill(whole, WIDTH, subsequent_indent=after).replace(JOINED, " ") + "\n"
        else:
            yield f"{space}{name}:\n"
            yield from _lines(dict(sorted(value.items(), key=lambda pair: pair[0] in LAST)), indent + 2)


def _key(key: str) -> str:
    return key if PLAIN.fullmatch(key) else json.dumps(key)
