"""A fit -> a YAML overlay with its numbers, each with its prior, value and standard deviation."""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.language.parameter_paths import yaml_keys, yaml_path
from engine.learning.kernels_at import GAUGE, MOST_REPEAT
from engine.model.parameter_key import ParameterKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from engine.backend.types import Floats
    from engine.learning.observer_fit import Fit
    from engine.model.knowledge import LabelInstrument, Observer
    from engine.model.parameter_key import What

    Tree = dict[str, Any]
    Keyed = tuple[ParameterKey, "Entry"]

# Draws from which mean and sd of a derived repeat are computed.
REPEAT_DRAWS = 200
# Sds are at least this, so that ratios of them are finite.
LEAST_SD = 1e-6
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
    "blank": (0.0, 0.9),
    "stray": (0.0, 0.9),
}
# The numbers of each kind of reading that are shares, and of each binary variable, in the order of the YAML.
SHARES: tuple[What, ...] = ("share", "misread")
RATES: tuple[What, ...] = ("sensitivity", "specificity")
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
        """Return the share of the prior's variance that the fit removed: 0 no gain, 1 known exactly.

        Below 0 where the fitted number is less certain than the declared one.
        """
        return 1 - (self.sd / self.prior_sd) ** 2

    @property
    def shift(self) -> float:
        """Return the change from the prior, in standard deviations of the prior."""
        return (self.value - self.prior) / self.prior_sd


def entries_of(fit: Fit) -> list[Entry]:
    """Return all numbers that the fit may have moved, in the order of the YAML."""
    return [entry for _, entry in _entries_by_key(fit)]


def unidentified_numbers(fit: Fit) -> dict[str, str]:
    """Return the paths of numbers that the data do not identify, which stay as declared, with reasons."""
    return {
        ", ".join(map(yaml_path, group.keys)) + " (in part)" * group.in_part: group.reason
        for group in fit.parameters.unidentified
    }


def _entries_by_key(fit: Fit) -> list[tuple[ParameterKey, Entry]]:
    observers = fit.parameters.observers
    return [(key, entry) for index in observers for key, entry in _ObserverEntries(fit, index).all()]


class _ObserverEntries:
    """The entries of one observer, each with its key."""

    def __init__(self, fit: Fit, index: int) -> None:
        self.fit, self.index, self.parameters = fit, index, fit.parameters
        self.answered, self.base = fit.parameters.answered, fit.parameters.base
        self.observer: Observer = fit.parameters.observers[index]

    def all(self) -> Iterator[Keyed]:
        """Yield all entries of the observer, in the order of the YAML."""
        key = ParameterKey(self.observer.name)
        yield from self._number(key.of("carry"))
        if key.of("exponent") in self.fit.exponents:
            numbers = self.fit.exponents[key.of("exponent")]
            yield key.of("exponent"), Entry(yaml_keys(key.of("exponent")), *numbers)
        for question in self.observer.halo:
            yield from self._number(replace(key, what="probability", question=question))
        for share, numbers in self.fit.followed.items():
            if share.observer == self.observer.name:
                yield share, Entry(yaml_keys(share), *numbers)
        yield from self._stereotype(key.of("stereotype"))
        names, binary = list(self.answered.answered(self.index)), self.answered.binary(self.index)
        for name in names:
            if name in self.observer.labels and name not in binary:
                yield from self._labels(self.observer.labels[name])
        if binary:
            yield from self._rates(binary)
        for name in (name for name in names if name in self.observer.numbers):
            for what in GAUGE:
                yield from self._number(self.answered.key(self.index, name).of(what))

    def _number(self, key: ParameterKey) -> Iterator[Keyed]:
        """Yield the entry of a number, if it was fitted."""
        if key in self.fit.point:
            yield self._site(key, key)

    def _site(self, key: ParameterKey, site: ParameterKey, at: Any = (), *, row: bool = False) -> Keyed:
        """Return the entry of one number of a site, at an index."""
        prior, draws = (
            drawn[site][(slice(None), *np.atleast_1d(at))] for drawn in (self.fit.prior, self.fit.draws)
        )
        value, mean = (
            float(values[at]) for values in (self.fit.point[site], self.parameters.sites[site].mean)
        )
        return _entry(key, prior, value, draws, mean, row=row)

    def _cells(
        self, table: ParameterKey, rows: Sequence[str], columns: Sequence[str], *, diagonal: bool = True
    ) -> Iterator[Keyed]:
        """Yield the entries of a table whose rows add up to 1, if it was fitted.

        diagonal: whether the table has a column of the row's own name.
        """
        if table not in self.fit.point:
            return
        for i, row in enumerate(rows):
            for j, column in enumerate(columns if diagonal else [name for name in columns if name != row]):
                yield self._site(table.of(table.what, row, column), table, (i, j), row=True)

    def _stereotype(self, site: ParameterKey) -> Iterator[Keyed]:
        if site not in self.fit.point:
            return
        names = self.answered.binary(self.index)
        for k, state in enumerate(self.parameters.inference.network.root_states):
            for j, name in enumerate(names):
                key, entry = self._site(site.of("stereotype", state, name), site, (j, k))
                # What is left out follows the network.
                if entry.learned >= self.fit.settings.priors.least_learned:
                    yield key, entry

    def _labels(self, instrument: LabelInstrument) -> Iterator[Keyed]:
        """Yield the entries of a categorical variable."""
        key = self.answered.key(self.index, instrument.variable)
        states, answers = self.base.variables[instrument.variable].states, instrument.answers
        yield from self._cells(key.of("confusion"), states, answers)
        yield from self._cells(key.of("settled"), states, answers)
        if self.parameters.kernels.is_settled(self.index, instrument.variable):
            yield from self._number(key.of("repeat"))
            yield from self._number(key.of("strength"))
        else:
            yield from self._types(key, instrument)
        yield from self._number(key.of("bonus"))
        yield from self._cells(key.of("habit"), answers, answers, diagonal=False)
        if key.of("pull") in self.fit.point:
            for k, state in enumerate(states):
                for y, answer in enumerate(answers):
                    if answer != state:
                        yield self._site(key.of("pull", state, answer), key.of("pull"), (k, y))

    def _types(self, key: ParameterKey, instrument: LabelInstrument) -> Iterator[Keyed]:
        """Yield the entries of the kinds of reading, whose shared sites have this key."""
        several, name = len(instrument.types) > 1, instrument.variable
        keys = [replace(key, reading_type=kind.name) if several else key for kind in instrument.types]
        at = self.parameters.kernels.table_parameters(self.index, name, self.fit.point)[3]
        if key.of("room") not in self.fit.point:
            # Repeats that were not fitted but rise above the declared ones for the fitted table.
            for t, kind in enumerate(instrument.types):
                if float(at[t]) > kind.repeat + LEAST_SD:
                    sd, repeat = kind.repeat * (1 - kind.repeat), keys[t].of("repeat")
                    numbers = kind.repeat, sd, float(at[t]), sd
                    yield repeat, Entry(yaml_keys(repeat), *numbers, derived=True)
            return
        after = self._repeats(name, self.fit.draws)
        # What several kinds repeat is not bound to the table before there are answers.
        before = 1 - self.fit.prior[key.of("room")] if several else self._repeats(name, self.fit.prior)
        for t, kind in enumerate(instrument.types):
            for what in SHARES:
                if key.of(what) in self.fit.point:
                    yield self._site(keys[t].of(what), key.of(what), (t,))
            yield _entry(keys[t].of("repeat"), before[:, t], float(at[t]), after[:, t], kind.repeat)
            yield self._site(keys[t].of("strength"), key.of("strength"), (t,))

    def _repeats(self, name: str, draws: Mapping[ParameterKey, Floats]) -> Floats:
        """Return the repeats that follow from draws of table and room, (REPEAT_DRAWS, kinds)."""
        rows = []
        for s in range(REPEAT_DRAWS):
            values = {site: site_draws[s] for site, site_draws in draws.items()}
            rows.append(self.parameters.kernels.table_parameters(self.index, name, values)[3])
        return np.array(rows)

    def _rates(self, names: list[str]) -> Iterator[Keyed]:
        all_binary = ParameterKey(self.observer.name, "", "binary")
        groups, rated = self.answered.groups(self.index), self.parameters.rated[self.index]
        if all_binary in groups:
            yield from self._types(all_binary, self.observer.labels[names[groups[all_binary][0]]])
        for name in names:
            key = self.answered.key(self.index, name)
            for what in RATES if name in rated else ():
                yield self._site(key.of(what), all_binary.of(what), (rated.index(name),))
            if key in groups:
                yield from self._types(key, self.observer.labels[name])
        for question in self.answered.questions_apart(self.index):
            of_question = replace(all_binary, question=question)
            for place, name in enumerate(self.parameters.rated_by_question[self.index, question]):
                key = replace(of_question, variable=name)
                for what in RATES:
                    yield self._site(key.of(what), of_question.of(what), (place,))


def _entry(
    key: ParameterKey, prior: Floats, value: float, draws: Floats, mean: float, *, row: bool = False
) -> Keyed:
    """Return an entry with its key; where answers contradict the prior its sd may be above the prior's."""
    before, after = (max(float(drawn.std()), LEAST_SD) for drawn in (prior, draws))
    return key, Entry(yaml_keys(key), mean, before, value, after, row)


def overlay_tree(fit: Fit, source: str) -> Tree:
    """Return the overlay as nested mappings of texts."""
    tree: Tree = {}
    rows: dict[ParameterKey, list[Entry]] = {}
    for key, entry in _entries_by_key(fit):
        if entry.row:
            rows.setdefault(key.of(key.what, key.cell[0]), []).append(entry)
            continue
        _insert(tree, entry.keys, _text(key, entry.value))
        # Beside an echo the YAML has no place for how sure it is.
        if not entry.derived and key.what != "echo":
            _insert(tree, yaml_keys(key, "sd"), _short(entry.sd))
    for row, members in rows.items():
        for entry, text in zip(members, shares_of_one([member.value for member in members]), strict=True):
            _insert(tree, entry.keys, text)
        # Pseudo-counts of the Dirichlet that has the row's variances in sum: Σ p (1 - p) = (n + 1) Σ sd².
        spread = sum(member.value * (1 - member.value) for member in members)
        n = max(spread / sum(member.sd**2 for member in members) - 1, 0.1)
        _insert(tree, yaml_keys(row, "n"), f"{n:.1f}")
    for index, observer in fit.parameters.observers.items():
        observer_tree = tree.setdefault("observers", {}).setdefault(observer.name, {})
        observer_tree["source"] = source
        for keys, text in _chosen_numbers(fit, index, observer):
            _insert(observer_tree, keys, text)
    named = tree.get("observers", {})
    return {
        "observers": {name: {"source": numbers.pop("source"), **numbers} for name, numbers in named.items()}
    }


def _chosen_numbers(fit: Fit, index: int, observer: Observer) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield what was chosen of an observer before the fit: grids, and weights of distributions."""
    declared = fit.parameters.answered.observations.observers[index]
    for name, instrument in observer.numbers.items():
        if instrument.grid != declared.numbers[name].grid:
            yield ("interval", name, "grid"), f"{instrument.grid:.6f}".rstrip("0")
    for name, label in observer.labels.items():
        if label.weight != declared.labels[name].weight:
            kind = fit.parameters.base.variables[name].kind
            variable = () if kind == "binary" else (name,)
            yield (kind, *variable, "distribution", "weight"), _short(label.weight)


def replaced_paths(fit: Fit) -> list[str]:
    """Return the paths of the base that the overlay's numbers replace and that have to be removed."""
    numbers = fit.parameters.base.numbers
    tables, replaced = [], list[str]()
    for key in fit.point:
        gone: tuple[What, ...] = ("repeat", "strength") if key.what == "share" else ()
        if key.what in ("confusion", "settled"):
            gone = ("accuracy",)
        replaced += [
            path for what in gone for path in (yaml_path(key.of(what)), yaml_path(key.of(what), "sd"))
        ]
        # What is settled on takes the place of the table of one answer, which follows from it.
        if key.what == "settled":
            tables.append(yaml_path(key.of("confusion")))
    tables = [path for path in tables if any(number.startswith(f"{path}.") for number in numbers)]
    return [*tables, *(path for path in replaced if path in numbers)]


def _insert(tree: Tree, keys: tuple[str, ...], text: str) -> None:
    """Set the text at a path of the tree, making the mappings above it."""
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
    tree[keys[-1]] = text


def _text(key: ParameterKey, value: float) -> str:
    """Write a number as it may be read; a repeat rounded up, as its table asks for at least so much."""
    if key.what in ALLOWED:
        least, most = ALLOWED[key.what]
        return _short(min(max(value, least), most))
    if key.what in SHARES:
        return f"{max(value, 0.001):.4f}"
    if key.what == "repeat":
        return f"{min(np.ceil(value * 1e4 + 1) / 1e4, MOST_REPEAT):.4f}"
    return _short(value)


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
