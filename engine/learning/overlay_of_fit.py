"""A fit -> the YAML overlay with its numbers: each with its prior, its value and its sd."""

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

# Draws from which mean and sd of a derived repeat are computed.
REPEAT_DRAWS = 200
# Sds are at least this, so that ratios of them are finite.
LEAST_SD = 1e-6
# A stereotype is written if the fit removed this share of its prior variance.
LEAST_LEARNED = 0.1
# Columns of a line of YAML.
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

    keys: its path in the YAML. prior, prior_sd: mean and sd of the prior. value, sd: those of the posterior,
    in its unit. row: whether it is part of a row that adds up to 1; the row's `n` then states how sure it is.
    derived: whether it follows from other numbers, and nothing was learned of it.
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
        """Return the share of the prior's variance that the fit removed: 0 no gain, 1 known exactly."""
        return 1 - (self.sd / self.prior_sd) ** 2

    @property
    def shift(self) -> float:
        """Return the change from the prior, in standard deviations of the prior."""
        return (self.value - self.prior) / self.prior_sd


def entries_of(fit: Fit) -> list[Entry]:
    """Return all numbers that the fit may have moved, in the order of the YAML."""
    return [entry for index in fit.unknowns.observers for entry in _ObserverEntries(fit, index).all()]


class _ObserverEntries:
    """The entries of one observer."""

    def __init__(self, fit: Fit, index: int) -> None:
        self.fit, self.index, self.unknowns = fit, index, fit.unknowns
        self.base = fit.unknowns.base
        self.observer: Observer = fit.unknowns.observers[index]
        self.path = f"observers.{self.observer.name}"
        self.keys = ("observers", self.observer.name)

    def all(self) -> Iterator[Entry]:
        """Yield all entries of the observer, in the order of the YAML."""
        if f"{self.path}.carry" in self.fit.point:
            yield self._site(f"{self.path}.carry", (*self.keys, "carry"))
        if f"{self.path}.exponent" in self.fit.exponents:
            yield Entry((*self.keys, "exponent"), *self.fit.exponents[f"{self.path}.exponent"])
        for question in self.observer.halo:
            place = f"{self.path}.halo.{question}.probability"
            if place in self.fit.point:
                yield self._site(place, (*self.keys, "halo", question, "probability"))
        yield from self._stereotype()
        names = [name for index, name in self.unknowns.answer_counts if index == self.index]
        binary = [name for name in names if self.base.variables[name].kind == "binary"]
        for name in names:
            if name in self.observer.labels and name not in binary:
                yield from self._table(self.observer.labels[name])
        yield from self._rates(binary)
        for name in (name for name in names if name in self.observer.numbers):
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
                if entry.learned >= LEAST_LEARNED:
                    yield entry

    def _table(self, instrument: LabelInstrument) -> Iterator[Entry]:
        path, keys = (
            f"{self.path}.categorical.{instrument.variable}",
            (*self.keys, "categorical", instrument.variable),
        )
        for form in (form for form in ("confusion", "settled") if f"{path}.{form}" in self.fit.point):
            for k, state in enumerate(self.base.variables[instrument.variable].states):
                for y, answer in enumerate(instrument.answers):
                    yield self._site(f"{path}.{form}", (*keys, form, state, answer), (k, y), row=True)
        if self.unknowns.is_settled(self.index, instrument.variable):
            for key in ("repeat", "strength"):
                if f"{path}.{key}" in self.fit.point:
                    yield self._site(f"{path}.{key}", (*keys, key))
        else:
            yield from self._types(path, keys, instrument)
        if f"{path}.ranking.bonus" in self.fit.point:
            yield from self._ranking(f"{path}.ranking", (*keys, "ranking"), instrument)

    def _ranking(self, path: str, keys: tuple[str, ...], instrument: LabelInstrument) -> Iterator[Entry]:
        yield self._site(f"{path}.bonus", (*keys, "bonus"))
        for first, answer in enumerate(instrument.answers):
            other_answers = [name for name in instrument.answers if name != answer]
            for second, other_answer in enumerate(other_answers):
                yield self._site(
                    f"{path}.habit", (*keys, "habit", answer, other_answer), (first, second), row=True
                )
        if f"{path}.pull" in self.fit.point:
            for k, state in enumerate(self.base.variables[instrument.variable].states):
                for y, answer in enumerate(instrument.answers):
                    if answer != state:
                        yield self._site(f"{path}.pull", (*keys, "pull", state, answer), (k, y))

    def _types(self, path: str, keys: tuple[str, ...], instrument: LabelInstrument) -> Iterator[Entry]:
        if f"{path}.room" not in self.fit.point:
            yield from self._derived_repeats(keys, instrument)
            return
        after = self._repeats(instrument.variable, self.fit.draws)
        # What several kinds repeat is not bound to the table before there are answers.
        before = 1 - self.fit.prior[f"{path}.room"]
        if len(instrument.types) == 1:
            before = self._repeats(instrument.variable, self.fit.prior)
        at = self.unknowns.table_parameters(self.index, instrument.variable, self.fit.point)[3]
        for t, kind in enumerate(instrument.types):
            inner = (*keys, "types", kind.name) if len(instrument.types) > 1 else keys
            for key in ("share", "misread"):
                if f"{path}.{key}" in self.fit.point:
                    yield self._site(f"{path}.{key}", (*inner, key), (t,))
            yield _entry((*inner, "repeat"), before[:, t], float(at[t]), after[:, t], kind.repeat)
            yield self._site(f"{path}.strength", (*inner, "strength"), (t,))

    def _derived_repeats(self, keys: tuple[str, ...], instrument: LabelInstrument) -> Iterator[Entry]:
        """Yield repeats that were not fitted but rise above the declared ones for the fitted table."""
        at = self.unknowns.table_parameters(self.index, instrument.variable, self.fit.point)[3]
        for t, kind in enumerate(instrument.types):
            if at[t] > kind.repeat + LEAST_SD:
                inner = (*keys, "types", kind.name) if len(instrument.types) > 1 else keys
                sd = kind.repeat * (1 - kind.repeat)
                yield Entry((*inner, "repeat"), kind.repeat, sd, float(at[t]), sd, derived=True)

    def _repeats(self, name: str, draws: Mapping[str, Floats]) -> Floats:
        """Return the repeats that follow from draws of table and room, (REPEAT_DRAWS, kinds)."""
        rows = []
        for s in range(REPEAT_DRAWS):
            values = {site: site_draws[s] for site, site_draws in draws.items()}
            rows.append(self.unknowns.table_parameters(self.index, name, values)[3])
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
    """Return an entry; its sd is at most the prior's."""
    before = max(float(prior.std()), LEAST_SD)
    return Entry(keys, mean, before, value, min(max(float(draws.std()), LEAST_SD), before), row)


def _site(fit: Fit, place: str, keys: tuple[str, ...], at: Any = (), *, row: bool = False) -> Entry:
    """Return the entry of one number of a site."""
    prior, draws = (drawn[place][(slice(None), *np.atleast_1d(at))] for drawn in (fit.prior, fit.draws))
    value, mean = (float(values[at]) for values in (fit.point[place], fit.unknowns.sites[place].mean))
    return _entry(keys, prior, value, draws, mean, row=row)


def overlay_tree(fit: Fit, source: str) -> Tree:
    """Return the overlay as nested mappings of texts."""
    tree: Tree = {}
    rows: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries_of(fit):
        if entry.row:
            rows.setdefault(entry.keys[:-1], []).append(entry)
            continue
        _insert(tree, entry.keys, _text(entry))
        if not entry.derived:
            _insert(tree, (*entry.keys[:-1], "sd", entry.keys[-1]), _short(entry.sd))
    for keys, members in rows.items():
        for entry, text in zip(members, shares_of_one([member.value for member in members]), strict=True):
            _insert(tree, entry.keys, text)
        # Pseudo-counts of the Dirichlet that has the row's variances in sum: Σ p (1 - p) = (n + 1) Σ sd².
        spread = sum(member.value * (1 - member.value) for member in members)
        n = max(spread / sum(member.sd**2 for member in members) - 1, 0.1)
        _insert(tree, (*keys[:-2], "n", keys[-1]), f"{n:.1f}")
    for index, observer in fit.unknowns.observers.items():
        observer_tree = tree.setdefault("observers", {}).setdefault(observer.name, {})
        observer_tree["source"] = source
        declared = fit.unknowns.observations.observers[index]
        for name, instrument in observer.numbers.items():
            if instrument.grid != declared.numbers[name].grid:
                _insert(observer_tree, ("interval", name, "grid"), f"{instrument.grid:.6f}".rstrip("0"))
    named = tree.get("observers", {})
    return {
        "observers": {name: {"source": numbers.pop("source"), **numbers} for name, numbers in named.items()}
    }


def replaced_paths(fit: Fit) -> list[str]:
    """Return the paths of the base that the overlay's numbers replace and that have to be removed."""
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


def _insert(tree: Tree, keys: tuple[str, ...], text: str) -> None:
    """Set the text at a path of the tree, making the mappings above it."""
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
    tree[keys[-1]] = text


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
