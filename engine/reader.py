"""YAML folder -> `Knowledge`: every section read and checked, all faults in one report."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import observer_reader
from engine.errors import KnowledgeError, did_you_mean
from engine.fields import NAME, Fields, shown
from engine.formula import Formula, FormulaError, conjunction, parse
from engine.knowledge import (
    Cell,
    Code,
    Coupling,
    Knowledge,
    Moments,
    Population,
    Rule,
    Source,
    Variable,
)
from engine.layers import read_layers
from engine.source import Items, Scalar, Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.source import Node

SECTIONS = (
    "name description sources variables codes levels words priors activations affect couplings "
    "rules observers questions policy"
)
MOST_BINS = 200


def read(path: Path, bases: Mapping[str, Path] | None = None) -> Knowledge:
    """Read a knowledge base: a folder of YAML files, or one file.

    `bases` gives the folders that `extends` may name without a path.

    Raises:
        KnowledgeError: all faults found, each with file, line, column and path.
    """
    tree = read_layers(path, bases or {})
    knowledge = _Reader(tree).read()
    return replace(knowledge, digest=_digest(tree))


def _digest(tree: Table) -> str:
    """Return a digest of what the base says; places and order of files do not count."""

    def plain(node: Node) -> Any:
        if isinstance(node, Scalar):
            return node.text
        if isinstance(node, Items):
            return [plain(item) for item in node.items]
        return {key: plain(entry) for key, entry in node.entries.items()}

    text = json.dumps(plain(tree), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Reader:
    """Reads one table of sections; each method reads one section."""

    def __init__(self, tree: Table) -> None:
        self.tree = tree
        self.fields = Fields()
        self.variables: dict[str, Variable] = {}
        self.words: dict[str, float] = {}
        self.likes: dict[str, dict[str, float]] = {}

    def read(self) -> Knowledge:
        fields = self.fields
        required = "name variables levels priors observers questions policy"
        top = fields.table(self.tree, "", required, SECTIONS)
        sources = self._sources(top.get("sources"))
        fields.sources = frozenset(sources)
        self._variables(top.get("variables"))
        self._words(top.get("words"))
        levels = self._levels(top.get("levels"))
        root, reference, populations = self._priors(top.get("priors"))
        self._likes(root, top)
        cells = self._activations(top.get("activations"), root)
        affect, moments = self._affect(top.get("affect"), root)
        self._described(root, cells, affect)
        questions = observer_reader.questions(fields, top.get("questions"), self.variables, levels)
        observers = observer_reader.observers(
            fields, top.get("observers"), self.variables, questions, self._mixture_of(root)
        )
        knowledge = Knowledge(
            name=fields.text(top, "name", ""),
            description=fields.text(top, "description", ""),
            sources=sources,
            variables=self.variables,
            codes=self._codes(top.get("codes")),
            levels=levels,
            root=root.name,
            reference=reference,
            populations=populations,
            cells=cells,
            affect=affect,
            moments=moments,
            couplings=self._couplings(top.get("couplings")),
            rules=self._rules(top.get("rules")),
            observers=observers,
            questions=questions,
            policy=observer_reader.policy(
                fields, top.get("policy"), self.variables, levels, observers
            ),
            digest="",
        )
        if fields.faults:
            raise KnowledgeError(fields.faults)
        return knowledge

    def _sources(self, node: Node | None) -> dict[str, Source]:
        sources = {}
        for name, inner, path in self.fields.named(node, "sources"):
            entries = self.fields.table(inner, path, "cite", "url used confirmed")
            cite, url, used = (self.fields.text(entries, k, path) for k in ("cite", "url", "used"))
            sources[name] = Source(name, cite, url, used, inner.place)
        return sources

    def _variables(self, node: Node | None) -> None:
        derived = []
        for name, inner, path in self.fields.named(node, "variables", strict=True):
            optional = "label description states range bins about"
            entries = self.fields.table(inner, path, "kind", optional)
            if "kind" not in entries:
                continue
            kinds = ("categorical", "binary", "interval", "derived")
            kind = self.fields.one_of(entries["kind"], f"{path}.kind", kinds, "kind")
            variable = self._variable(name, kind, entries, inner, path)
            if kind == "derived":
                derived.append((variable, entries.get("states"), path))
            else:
                self.variables[name] = variable
        plain = dict(self.variables)
        for variable, states, path in derived:
            self.variables[variable.name] = self._derived(variable, states, path, plain)

    def _variable(
        self, name: str, kind: str, entries: Mapping[str, Node], node: Node, path: str
    ) -> Variable:
        fields = self.fields
        about = {
            key: fields.text_at(inner, where)
            for key, inner, where in fields.named(entries.get("about"), f"{path}.about")
        }
        states: tuple[str, ...] = ("false", "true")
        edges: tuple[float, ...] = ()
        descriptions = {}
        if kind in ("categorical", "derived"):
            found = list(fields.named(entries.get("states"), f"{path}.states", strict=True))
            states = tuple(state for state, _, _ in found)
            if len(states) < 2:
                fields.fault(node.place, path, "needs at least two `states`")
            if kind == "categorical":
                descriptions = {s: fields.text_at(inner, where) for s, inner, where in found}
        elif kind == "interval":
            edges = self._edges(entries, node, path)
            states = tuple(f"{(a + b) / 2:g}" for a, b in zip(edges, edges[1:], strict=False))
        return Variable(
            name,
            kind,  # type: ignore[arg-type]
            states,
            fields.text(entries, "label", path, name),
            fields.text(entries, "description", path),
            descriptions,
            about,
            edges,
            place=node.place,
        )

    def _edges(self, entries: Mapping[str, Node], node: Node, path: str) -> tuple[float, ...]:
        fields = self.fields
        bins = fields.whole(entries, "bins", path, 2, MOST_BINS, 2)
        ends = [
            fields.number_at(end, f"{path}.range")
            for end in fields.listed(entries.get("range"), f"{path}.range")
        ]
        if len(ends) != 2 or not ends[0] < ends[1] or "bins" not in entries:
            message = "an interval variable needs `range: [low, high]` and `bins`"
            fields.fault(node.place, path, message)
            return (0.0, 0.5, 1.0)
        return tuple(float(x) for x in np.round(np.linspace(ends[0], ends[1], bins + 1), 12))

    def _derived(
        self, variable: Variable, node: Node | None, path: str, plain: Mapping[str, Variable]
    ) -> Variable:
        formulas = tuple(
            self._formula(inner, where, plain)
            for _, inner, where in self.fields.named(node, f"{path}.states")
        )
        names = sorted(frozenset().union(*(f.variables() for f in formulas)))
        if any(plain[n].kind != "interval" for n in names):
            self.fields.fault(variable.place, path, "may only speak of interval variables")
        elif formulas and names:
            axes = np.ix_(*(np.arange(len(plain[n].states)) for n in names))
            values = dict(zip(names, axes, strict=True))
            total = sum(formula.holds(values).astype(int) for formula in formulas)
            if np.any(total != 1):
                message = "its states must exclude one another and leave nothing out"
                self.fields.fault(variable.place, path, message)
        return replace(variable, formulas=formulas)

    def _formula(self, node: Node, path: str, variables: Mapping[str, Variable]) -> Formula:
        text = self.fields.text_at(node, path)
        try:
            return parse(text, variables)
        except FormulaError as error:
            place = node.place
            shift = error.column + (0 if isinstance(node, Scalar) and node.plain else 1)
            self.fields.fault(replace(place, column=place.column + shift), path, str(error))
            return conjunction()

    def _codes(self, node: Node | None) -> dict[str, Code]:
        codes = {}
        binary = [v.name for v in self.variables.values() if v.kind == "binary"]
        for name, inner, path in self.fields.named(node, "codes"):
            entries = self.fields.table(inner, path, "label", "description hides")
            hides = tuple(
                self.fields.one_of(item, f"{path}.hides", binary, "binary variable")
                for item in self.fields.listed(entries.get("hides"), f"{path}.hides")
            )
            if name in self.variables:
                self.fields.fault(inner.place, path, "is a variable already")
            label = self.fields.text(entries, "label", path)
            description = self.fields.text(entries, "description", path)
            cited = self.fields.cited(inner, path) if hides else {"place": inner.place}
            codes[name] = Code(**cited, name=name, label=label, description=description, hides=hides)
        return codes

    def _words(self, node: Node | None) -> None:
        for name, inner, path in self.fields.named(node, "words"):
            self.words[name] = self.fields.number_at(inner, path, 0, 1)
            self.fields.cited(inner, path)

    def _levels(self, node: Node | None) -> dict[str, tuple[str, ...]]:
        levels = {}
        names = [v.name for v in self.variables.values() if v.kind != "derived"]
        taken: dict[str, str] = {}
        for name, inner, path in self.fields.named(node, "levels", strict=True):
            items = self.fields.listed(inner, path)
            levels[name] = tuple(self.fields.one_of(i, path, names, "variable") for i in items)
            for variable in levels[name]:
                if variable in taken:
                    message = f"{variable} is in level {taken[variable]} already"
                    self.fields.fault(inner.place, path, message)
                taken[variable] = name
        return levels

    def _priors(self, node: Node | None) -> tuple[Variable, str, dict[str, Population]]:
        fields = self.fields
        entries = fields.table(node, "priors", "variable reference populations")
        roots = [v.name for v in self.variables.values() if v.kind == "categorical"]
        stand_in = Variable("", "categorical", (), "")
        if "variable" not in entries or not roots:
            return stand_in, "", {}
        name = fields.one_of(entries["variable"], "priors.variable", roots, "categorical variable")
        root = self.variables.get(name, stand_in)
        populations = {}
        for key, inner, path in fields.named(entries.get("populations"), "priors.populations"):
            inside = fields.table(inner, path, "p", "add")
            if "p" in inside:
                p = self._distribution(inside["p"], inside.get("add"), f"{path}.p", root)
                populations[key] = Population(**fields.cited(inside["p"], path), name=key, p=p)
        reference = ""
        if "reference" in entries:
            reference = fields.one_of(
                entries["reference"], "priors.reference", populations, "population"
            )
        return root, reference, populations

    def _distribution(
        self, node: Node, add: Node | None, path: str, root: Variable
    ) -> tuple[float, ...]:
        """Read P(root); `add` gives new states a share and shrinks the others alike."""
        fields = self.fields
        added = {
            state: fields.number_at(inner, where, 0, 1)
            for state, inner, where in fields.known(add, f"{path[:-2]}.add", root.states, "state")
        }
        old = [state for state in root.states if state not in added]
        if isinstance(node, Scalar) and node.text == "uniform":
            given = {state: 1 / len(old) for state in old}
        else:
            given = {
                state: fields.number_at(inner, where, 0, 1)
                for state, inner, where in fields.known(node, path, root.states, "state")
            }
        missing = [state for state in old if state not in given]
        if missing:
            message = f"gives no probability for {', '.join(missing)}; give it here or under `add`"
            fields.fault(node.place, path, message)
        total = sum(given.values())
        if abs(total - 1) > 0.005 and not (isinstance(node, Table) and node.shrunk) and not missing:
            fields.fault(node.place, path, f"sums to {total:g}; must sum to 1")
        rest = (1 - sum(added.values())) / (total or 1.0)
        p = tuple(added.get(s, given.get(s, 0.0) * rest) for s in root.states)
        if min(p, default=1) <= 0 and not missing:
            fields.fault(node.place, path, "must be above 0 for every state; remove a state instead")
        return p

    def _likes(self, root: Variable, top: Mapping[str, Node]) -> None:
        """Read the mixtures that new states start from."""
        for section, key in (("activations", "cells"), ("affect", "moments")):
            inner = self.fields.entries(top.get(section), section).get(key)
            for state, node in self.fields.entries(inner, f"{section}.{key}").items():
                like = node.entries.get("like") if isinstance(node, Table) else None
                if like is None:
                    continue
                path = f"{section}.{key}.{state}.like"
                others = [s for s in root.states if s != state]
                mixture = {
                    other: self.fields.number_at(weight, where, 0, 1)
                    for other, weight, where in self.fields.known(like, path, others, "state")
                }
                if abs(sum(mixture.values()) - 1) > 0.005:
                    total = sum(mixture.values())
                    self.fields.fault(like.place, path, f"sums to {total:g}; must sum to 1")
                elif set(mixture) & set(self.likes):
                    self.fields.fault(like.place, path, "names a state that is itself a mixture")
                else:
                    self.likes.setdefault(state, mixture)

    def _mixture_of(self, root: Variable) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
        return {root.name: self.likes}

    def _activations(self, node: Node | None, root: Variable) -> dict[str, tuple[Cell, ...]]:
        """Read P(binary | root): given cells, then mixtures, then the background rate."""
        fields = self.fields
        entries = fields.table(node, "activations", "", "background cells")
        path = "activations.cells"
        background = None
        if "background" in entries:
            background = self._cell(entries["background"], "activations.background")
        given: dict[tuple[str, str], Cell] = {}
        named: set[str] = set()
        binary = [v.name for v in self.variables.values() if v.kind == "binary"]
        for state, inner, where in fields.known(entries.get("cells"), path, root.states, "state"):
            mine = {k: n for k, n in fields.entries(inner, where).items() if k != "like"}
            table = Table(mine, getattr(inner, "places", {}), inner.place, inner.cited)
            for name, cell, inside in fields.known(table, where, binary, "variable"):
                given[name, state] = self._cell(cell, inside)
                named.add(name)
        cells = {}
        for name in [b for b in binary if b in named or background is not None]:
            row = [self._filled(name, s, given, background, node) for s in root.states]
            cells[name] = tuple(row)
        return cells

    def _cell(self, node: Node, path: str) -> Cell:
        entries = self.fields.table(node, path, "p n")
        p = entries.get("p", node)
        if isinstance(p, Scalar) and p.text in self.words:
            value = self.words[p.text]
        elif isinstance(p, Scalar) and NAME.fullmatch(p.text):
            hint = did_you_mean(p.text, self.words)
            self.fields.fault(p.place, path, f"no likelihood word is called {shown(p.text)}{hint}")
            value = 0.5
        else:
            value = self.fields.number(entries, "p", path, 0, 1)
        if "p" in entries and not 0.001 <= value <= 0.999:
            message = f"is {value:g}; allowed is 0.001 to 0.999: knowledge is never certain"
            self.fields.fault(p.place, f"{path}.p", message)
        n = self.fields.number(entries, "n", path, 0.1, 1e6)
        return Cell(**self.fields.cited(p, path), p=value, n=n)

    def _filled(
        self,
        name: str,
        state: str,
        given: Mapping[tuple[str, str], Cell],
        background: Cell | None,
        node: Node | None,
    ) -> Cell:
        if (name, state) in given:
            return given[name, state]
        if state in self.likes:
            parts = [
                (w, self._filled(name, s, given, background, node))
                for s, w in self.likes[state].items()
            ]
            p = sum(w * cell.p for w, cell in parts)
            n = sum(w * cell.n for w, cell in parts)
            first = parts[0][1]
            return replace(first, p=p, n=n, note="mixture of other states")
        if background is None:
            place = node.place if node else self.tree.place
            path = f"activations.cells.{state}.{name}"
            self.fields.fault(place, path, "is missing and there is no `background`")
            return Cell(p=0.5, n=1)
        return background

    def _affect(
        self, node: Node | None, root: Variable
    ) -> tuple[tuple[str, ...], tuple[Moments, ...]]:
        fields = self.fields
        if node is None:
            return (), ()
        entries = fields.table(node, "affect", "variables moments")
        names = [v.name for v in self.variables.values() if v.kind == "interval"]
        variables = tuple(
            fields.one_of(item, "affect.variables", names, "interval variable")
            for item in fields.listed(entries.get("variables"), "affect.variables")
        )
        given = {}
        path = "affect.moments"
        for state, inner, where in fields.known(entries.get("moments"), path, root.states, "state"):
            if isinstance(inner, Table) and "like" not in inner.entries:
                given[state] = self._moments(inner, where, variables)
        moments = []
        for state in root.states:
            if state in given:
                moments.append(given[state])
            elif state in self.likes and all(s in given for s in self.likes[state]):
                moments.append(_mixed(self.likes[state], given))
            else:
                fields.fault(node.place, path, f"says nothing about {state}")
        return variables, tuple(moments)

    def _moments(self, node: Node, path: str, variables: tuple[str, ...]) -> Moments:
        fields = self.fields
        entries = fields.table(node, path, "mean sd n", "correlation")
        size = len(variables)
        numbers: dict[str, list[float]] = {}
        for key in ("mean", "sd"):
            items = fields.listed(entries.get(key), f"{path}.{key}")
            low = 0.001 if key == "sd" else float("-inf")
            numbers[key] = [fields.number_at(item, f"{path}.{key}", low) for item in items]
            if key in entries and len(items) != size:
                fields.fault(entries[key].place, f"{path}.{key}", f"must hold {size} numbers")
                numbers[key] = [0.0] * size
        for name, mean in zip(variables, numbers["mean"], strict=False):
            edges = self.variables[name].edges
            if not edges[0] < mean < edges[-1]:
                message = f"the mean of {name} is {mean:g}; allowed is within {edges[0]:g} and {edges[-1]:g}"
                fields.fault(node.place, path, message)
        correlation = np.eye(size)
        if "correlation" in entries and size == 2:
            value = fields.number(entries, "correlation", path, -0.99, 0.99)
            correlation[0, 1] = correlation[1, 0] = value
        elif "correlation" in entries:
            fields.fault(entries["correlation"].place, path, "is for two variables only")
        cited = fields.cited(entries.get("mean", node), path)
        n = fields.number(entries, "n", path, 0.1, 1e6)
        matrix = tuple(tuple(float(x) for x in row) for row in correlation)
        return Moments(
            **cited, mean=tuple(numbers["mean"]), sd=tuple(numbers["sd"]), correlation=matrix, n=n
        )

    def _described(
        self, root: Variable, cells: Mapping[str, object], affect: tuple[str, ...]
    ) -> None:
        for variable in self.variables.values():
            known = variable.name in cells or variable.name in affect
            if variable.name != root.name and variable.kind != "derived" and not known:
                message = "nothing is said about it: give it cells in `activations`, or `affect`"
                if variable.kind == "categorical":
                    message = "only the variable of `priors` may be categorical"
                self.fields.fault(variable.place, f"variables.{variable.name}", message)

    def _couplings(self, node: Node | None) -> tuple[Coupling, ...]:
        fields = self.fields
        couplings = []
        binary = [v.name for v in self.variables.values() if v.kind == "binary"]
        for name, inner, path in fields.named(node, "couplings"):
            entries = fields.table(inner, path, "pair odds_ratio n", "statement")
            pair = [
                fields.one_of(item, f"{path}.pair", binary, "binary variable")
                for item in fields.listed(entries.get("pair"), f"{path}.pair")
            ]
            if "pair" in entries and len(set(pair)) != 2:
                fields.fault(entries["pair"].place, f"{path}.pair", "must name two variables")
                continue
            ratio = fields.number(entries, "odds_ratio", path, 0.001, 1000, 1.0)
            n = fields.number(entries, "n", path, 0.1, 1e6)
            statement = fields.text(entries, "statement", path)
            cited = fields.cited(entries.get("odds_ratio", inner), path)
            if len(pair) == 2:
                couplings.append(
                    Coupling(
                        **cited, name=name, pair=(pair[0], pair[1]), odds_ratio=ratio, n=n,
                        statement=statement,
                    )
                )
        return tuple(couplings)

    def _rules(self, node: Node | None) -> tuple[Rule, ...]:
        fields = self.fields
        rules = []
        for name, inner, path in fields.named(node, "rules"):
            entries = fields.table(inner, path, "if then confidence n", "statement")
            if not {"if", "then", "confidence"} <= set(entries):
                continue
            condition = self._formula(entries["if"], f"{path}.if", self.variables)
            then = self._formula(entries["then"], f"{path}.then", self.variables)
            confidence = fields.number(entries, "confidence", path, 0.001, 0.999)
            rules.append(
                Rule(
                    **fields.cited(entries["confidence"], path),
                    name=name,
                    condition=condition,
                    then=then,
                    confidence=confidence,
                    n=fields.number(entries, "n", path, 0.1, 1e6),
                    statement=fields.text(entries, "statement", path),
                )
            )
        return tuple(rules)


def _mixed(weights: Mapping[str, float], given: Mapping[str, Moments]) -> Moments:
    """Return the moments of a mixture of distributions with these moments."""
    w = np.array([weights[s] for s in weights])
    means = np.array([given[s].mean for s in weights])
    sds = np.array([given[s].sd for s in weights])
    matrices = np.array([given[s].correlation for s in weights]) * sds[:, :, None] * sds[:, None, :]
    mean = w @ means
    second = np.einsum("s,sij->ij", w, matrices + means[:, :, None] * means[:, None, :])
    covariance = second - np.outer(mean, mean)
    sd = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(sd, sd)
    first = given[next(iter(weights))]
    return replace(
        first,
        mean=tuple(float(x) for x in mean),
        sd=tuple(float(x) for x in sd),
        correlation=tuple(tuple(float(x) for x in row) for row in correlation),
        n=float(sum(weights[s] * given[s].n for s in weights)),
        note="mixture of other states",
    )
