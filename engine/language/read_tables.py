"""The sections of probabilities: `words`, `priors`, `activations`, `affect`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import did_you_mean
from engine.language.field_table import TABLES
from engine.language.fields import NAME, decimal, shown
from engine.language.read_variables import MOST_CELLS, of_kind, reach
from engine.language.yaml_nodes import CITATION, Items, Scalar, Table
from engine.model.knowledge import Cell, Moments, Population
from engine.model.variable import Variable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.language.fields import Fields
    from engine.language.yaml_nodes import Node

    Mixtures = Mapping[str, Mapping[str, float]]

# Shares that are written with two digits may sum to one so far off.
ROUNDING = 0.005
WEIGHT_OF_STATE = TABLES["LIKE"].fields["like"].inner[0]
NO_ROOT = Variable("", "categorical", (), "")


@dataclass(frozen=True)
class Priors:
    """The root variable, the population that confidences are meant under, all of them, and the usual one."""

    root: Variable = NO_ROOT
    reference: str = ""
    populations: Mapping[str, Population] = field(default_factory=dict)
    usual: str = ""


def words(fields: Fields, node: Node | None) -> dict[str, float]:
    """Read the likelihood words."""
    probabilities = {}
    for name, inner in fields.named(node):
        probabilities[name] = fields.read(inner, TABLES["BASE"].fields["words"].inner[0])
        fields.cited(inner)
    return probabilities


def priors(fields: Fields, node: Node | None, variables: Mapping[str, Variable]) -> Priors:
    """Read the `priors` section; without a root the stand-in is `NO_ROOT`."""
    entries = fields.table(node, "PRIORS")
    root = of_kind(variables, "categorical").get(entries.value("variable"), NO_ROOT)
    populations = {}
    for key, inner in fields.named(entries.get("populations") if "variable" in entries else None):
        inside = fields.table(inner, "POPULATION")
        if root is not NO_ROOT and "p" in inside:
            p = _distribution(fields, inside["p"], inside.get("add"), root)
            populations[key] = Population(**inside.cited("p"), name=key, p=p)
    fields.names["population"] = populations
    if root is NO_ROOT:
        return Priors()
    reference = entries.value("reference")
    return Priors(root, reference, populations, entries.value("usual") or reference)


def _distribution(fields: Fields, node: Node, add: Node | None, root: Variable) -> tuple[float, ...]:
    """Read P(root); `add` gives new states a share and shrinks the others alike."""
    before_added = len(fields.faults)
    added = _shares(fields, add, root)
    added_sound = len(fields.faults) == before_added
    old = [state for state in root.states if state not in added]
    stand_in = tuple(1 / len(root.states) for _ in root.states)
    if isinstance(node, Scalar) and node.text == "uniform":
        given = {state: 1 / len(old) for state in old}
    elif not isinstance(node, Table):
        fields.fault(node, "must be `uniform` or a mapping of states to probabilities")
        return stand_in
    else:
        before = len(fields.faults)
        given = _shares(fields, node, root)
        for state in given:
            if state in added:
                fields.key_fault(node, state, "is also under `add`; give it once")
        missing = [state for state in old if state not in given]
        if missing:
            remedy = "add it here, or under `add`, which rescales the others"
            fields.lacking(node, root, missing, "gives no probability for", remedy)
        total = sum(given.values())
        if len(fields.faults) > before:
            return stand_in
        if abs(total - 1) > ROUNDING and not node.shrunk:
            fields.fault(node, f"sums to {decimal(total)}; must sum to 1")
    if add is not None and not sum(added.values()) < 1:
        if added_sound:
            fields.fault(add, f"sums to {decimal(sum(added.values()))}; must be under 1")
        return stand_in
    scale = (1 - sum(added.values())) / (sum(given.values()) or 1.0)
    return tuple(added[s] if s in added else given[s] * scale for s in root.states)


def _shares(fields: Fields, node: Node | None, root: Variable) -> dict[str, float]:
    share = TABLES["POPULATION"].fields["add"].inner[0]
    return {state: fields.read(inner, share) for state, inner in fields.known(node, root.states, "state")}


def mixtures(fields: Fields, node: Node | None, root: Variable) -> dict[str, dict[str, float]]:
    """Read the `like` entries of a table keyed by states: what each new state starts from."""
    by_state: dict[str, dict[str, float]] = {}
    places: dict[str, Node] = {}
    rows = node.entries if isinstance(node, Table) else {}
    for state in root.states:
        row = rows.get(state)
        like = row.get("like") if isinstance(row, Table) else None
        if like is None:
            continue
        before = len(fields.faults)
        other_states = [other for other in root.states if other != state]
        mixture = {
            other: fields.read(weight, WEIGHT_OF_STATE)
            for other, weight in fields.known(like, other_states, "state")
        }
        total = sum(mixture.values())
        if abs(total - 1) > ROUNDING and len(fields.faults) == before:
            fields.fault(like, f"sums to {decimal(total)}; must sum to 1")
        fields.cited(like)
        places[state] = like
        by_state[state] = {other: weight / (total or 1.0) for other, weight in mixture.items()}
    for state, mixture in by_state.items():
        twice = [other for other in mixture if other in by_state]
        if twice:
            message = f"names {', '.join(twice)}, itself a mixture; name the states that it is mixed from"
            fields.fault(places[state], message)
    return by_state


def cells(
    fields: Fields,
    node: Node | None,
    root: Variable,
    variables: Mapping[str, Variable],
    scale: Mapping[str, float],
    likes: Mixtures,
) -> dict[str, tuple[Cell, ...]]:
    """Read the `activations` section; variables without any cell are left out."""
    return _Cells(fields, root, variables, scale, likes).read(node)


class _Cells:
    """Reads P(binary | root): given cells, then mixtures, then the background rate."""

    def __init__(
        self,
        fields: Fields,
        root: Variable,
        variables: Mapping[str, Variable],
        scale: Mapping[str, float],
        likes: Mixtures,
    ) -> None:
        self.fields = fields
        self.root = root
        self.binary = of_kind(variables, "binary")
        self.scale = scale
        self.likes = likes
        self.given: dict[tuple[str, str], Cell] = {}
        self.background: Cell | None = None

    def read(self, node: Node | None) -> dict[str, tuple[Cell, ...]]:
        """Read the section; variables without any cell are left out."""
        fields = self.fields
        entries = fields.table(node, "ACTIVATIONS")
        if self.root is NO_ROOT:
            return {}
        if "background" in entries:
            self.background = self._cell(entries["background"])
        cells = fields.any_table(entries.get("cells"))
        for state, inner in fields.known(cells, self.root.states, "state"):
            for name, cell in self._row(inner):
                self.given[name, state] = cell
        # What is wrong in a row of an unknown state is told together with its name.
        for state in cells.entries.keys() - {*self.root.states, *CITATION}:
            for _ in self._row(cells.entries[state]):
                pass
        named = {name for name, _ in self.given}
        wanted = [name for name in self.binary if name in named or self.background is not None]
        self._check_complete(cells, wanted)
        return {
            name: tuple(self._filled(name, state, cells) for state in self.root.states) for name in wanted
        }

    def _row(self, node: Node) -> Iterator[tuple[str, Cell]]:
        """Yield the cells of known variables in a row; those of others are read for their faults alone."""
        row = self.fields.any_table(node)
        row_cells = replace(row, entries={k: n for k, n in row.entries.items() if k != "like"})
        for name, cell in self.fields.known(row_cells, self.binary, "binary variable"):
            yield name, self._cell(cell)
        for name in row_cells.entries.keys() - {*self.binary, *CITATION}:
            self._cell(row_cells.entries[name])

    def _cell(self, node: Node) -> Cell:
        """Return a cell, from the cache where neither it nor the words have changed."""
        cell: Cell = self.fields.once(node.path, [node, self.scale], lambda: self._read_cell(node))
        return cell

    def _read_cell(self, node: Node) -> Cell:
        fields = self.fields
        if isinstance(node, Scalar) and node.text:
            text = node.text if len(node.text) <= 20 else "..."
            fields.fault(node, f"needs a strength too: write {{p: {text}, n: 10}}")
            return Cell(p=0.5, n=1)
        entries = fields.table(node, "CELL")
        p = entries.get("p")
        if p is None:
            return Cell(p=0.5, n=1)
        if isinstance(p, Scalar) and p.text in self.scale:
            value = self.scale[p.text]
            fields.note_number(p, value, 0, 1)
        elif isinstance(p, Scalar) and p.plain and NAME.fullmatch(p.text):
            hint = did_you_mean(p.text, self.scale)
            fields.fault(p, f"must be a number or a likelihood word; no word is {shown(p.text)}{hint}")
            value = 0.5
        else:
            value = fields.read(p, entries.fields["p"].inner[0])
        return Cell(**fields.cited(p), p=value, n=entries.value("n"))

    def _check_complete(self, cells: Table, wanted: list[str]) -> None:
        if self.background is not None:
            return
        for state in self.root.states:
            parts = self.likes.get(state, {}).keys() or {state}
            missing = [
                name
                for name in wanted
                if (name, state) not in self.given and any((name, s) not in self.given for s in parts)
            ]
            if missing:
                row = cells.get(state)
                what = f"no cell for {', '.join(missing)}"
                message = f"{what}{'' if row else f' given {state}'}, and there is no `background`"
                self.fields.fault(row or cells, message)

    def _filled(self, name: str, state: str, cells: Table) -> Cell:
        if (name, state) in self.given:
            return self.given[name, state]
        background = self.background or Cell(p=0.5, n=1)
        if state not in self.likes:
            return background
        row = cells.entries[state]
        cited = self.fields.cited(row.entries["like"] if isinstance(row, Table) else row)
        parts = [
            (w, self.given.get((name, known_state), background))
            for known_state, w in self.likes[state].items()
        ]
        return Cell(**cited, p=sum(w * cell.p for w, cell in parts), n=sum(w * cell.n for w, cell in parts))


def moments(
    fields: Fields,
    node: Node | None,
    root: Variable,
    variables: Mapping[str, Variable],
    likes: Mixtures,
) -> tuple[tuple[str, ...], tuple[Moments, ...]]:
    """Read the joint moments of the interval variables given the root."""
    if node is None:
        return (), ()
    entries = fields.table(node, "AFFECT")
    interval = of_kind(variables, "interval")
    names, listed = entries.value("variables"), fields.items_of(entries.get("variables"))
    size = math.prod(len(interval[name].states) for name in names)
    if size > MOST_CELLS:
        entries.fault("variables", f"have {size} bins together; at most {MOST_CELLS} can be weighed jointly")
    if isinstance(entries.get("variables"), Items) and not listed:
        entries.fault("variables", "must name at least one interval variable")
    if root is NO_ROOT or not names or len(listed) != len(names):
        return names, ()
    rows = fields.any_table(entries.get("moments"))
    given = {}
    for state, inner in fields.known(rows, root.states, "state"):
        if state in likes:
            fields.table(inner, "LIKE")
        else:
            given[state] = _moments(fields, inner, [interval[name] for name in names])
    missing = [state for state in root.states if state not in given and state not in likes]
    if missing and "moments" in entries:
        remedy = "give its moments, or `like` to mix them from those of known states"
        fields.lacking(entries["moments"], root, missing, "says nothing about", remedy)
    if fields.faults:
        return names, ()
    return names, tuple(
        given[state] if state in given else _mixed(fields, rows.entries[state], likes[state], given)
        for state in root.states
    )


def _moments(fields: Fields, node: Node, variables: list[Variable]) -> Moments:
    entries = fields.table(node, "MOMENTS")
    mean, sd = [], []
    for item, variable in _paired(fields, entries.get("mean"), variables):
        low, high, _ = reach(variable)
        mean.append(fields.number_at(item, low, high, f"the range of {variable.name}"))
    for item, variable in _paired(fields, entries.get("sd"), variables):
        low, high, step = reach(variable)
        span = high - low
        sd.append(fields.number_at(item, step, span, f"{variable.name} spans {decimal(span)}"))
    correlation = np.eye(len(variables))
    if "correlation" in entries and len(variables) == 2:
        correlation[0, 1] = correlation[1, 0] = entries.value("correlation")
    elif "correlation" in entries:
        entries.fault("correlation", "is for two variables only")
    return Moments(
        **(entries.cited("mean") | {"place": node.place}),
        mean=tuple(mean),
        sd=tuple(sd),
        correlation=tuple(tuple(float(x) for x in row) for row in correlation),
        n=entries.value("n"),
    )


def _paired(fields: Fields, node: Node | None, variables: list[Variable]) -> list[tuple[Node, Variable]]:
    items = fields.items_of(node)
    if isinstance(node, Items) and len(items) != len(variables):
        names = ", ".join(variable.name for variable in variables)
        fields.fault(node, f"holds {len(items)} numbers; must hold {len(variables)} ({names})")
        return []
    return list(zip(items, variables, strict=False))


def _mixed(fields: Fields, node: Node, weights: Mapping[str, float], given: Mapping[str, Moments]) -> Moments:
    """Return the moments of a mixture of distributions with these moments."""
    w = np.array(list(weights.values()))
    means = np.array([given[s].mean for s in weights])
    sds = np.array([given[s].sd for s in weights])
    matrices = np.array([given[s].correlation for s in weights]) * sds[:, :, None] * sds[:, None, :]
    mean = w @ means
    second = np.einsum("s,sij->ij", w, matrices + means[:, :, None] * means[:, None, :])
    covariance = second - np.outer(mean, mean)
    sd = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(sd, sd)
    return Moments(
        **fields.cited(node.entries["like"] if isinstance(node, Table) else node),
        mean=tuple(float(x) for x in mean),
        sd=tuple(float(x) for x in sd),
        correlation=tuple(tuple(float(x) for x in row) for row in correlation),
        n=float(sum(weight * given[s].n for s, weight in weights.items())),
    )
