"""Formulas -> nodes: what a rule needs beside the base's own nodes.

A threshold on an interval variable becomes a binary node (a fact); what all facts together can tell
about a block is one derived node of few states, its cell; and a count over many parts becomes a chain
of counters, so that no clique holds a block together with what a rule says, and a count of n things
costs n small tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.model.formula import Count, Formula, In, Not
from engine.network.values import Factor, Node

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.backend.types import Bools, Ints

WIDEST_COUNT = 4


@dataclass
class Propositions:
    """Collects the derived nodes that formulas need; equal parts share a node.

    facts: name -> (variable, which of its states make it true).
    """

    root: str
    nodes: dict[str, Node]
    intervals: frozenset[str]
    facts: dict[str, In] = field(default_factory=dict)
    derived: dict[str, Node] = field(default_factory=dict)
    links: list[Factor] = field(default_factory=list)
    _known: dict[tuple[tuple[str, ...], bytes], str] = field(default_factory=dict)

    def rewrite(self, formula: Formula) -> Formula:
        """Return an equivalent formula over the root, single-variable nodes and derived nodes."""
        match formula:
            case In(variable, states) if variable in self.intervals:
                return self._fact(variable, states)
            case Not(part):
                return Not(self.rewrite(part))
            case Count(parts, allowed):
                rewritten = tuple(self.rewrite(part) for part in parts)
                names = frozenset().union(*(part.variables() for part in rewritten))
                # Over few nodes a formula is one small table; a counter cannot hold the root.
                if len(names - {self.root}) <= WIDEST_COUNT or self.root in names:
                    return Count(rewritten, allowed)
                return self._counter(rewritten, allowed)
            case _:
                return formula

    def _fact(self, variable: str, states: frozenset[int]) -> Formula:
        size = self._interval_size(variable)
        complement = frozenset(range(size)) - states
        for name, fact in self.facts.items():
            # A fact and its negation are one node.
            if fact.variable == variable and fact.states in (states, complement):
                return In(name, frozenset({int(fact.states == states)}))
        # A dot keeps the names of derived nodes apart from those of variables.
        name = f"fact.{len(self.facts) + 1}"
        self.facts[name] = In(variable, states)
        self.derived[name] = Node(name, 2)
        return In(name, frozenset({1}))

    def _interval_size(self, variable: str) -> int:
        block = next(n for n in self.nodes.values() if variable in n.variables)
        assert block.index is not None
        return int(block.index[:, block.variables.index(variable)].max()) + 1

    def finish(self) -> None:
        """Link the facts to their block: block -> cell -> facts."""
        for block in list(self.nodes.values()):
            block_facts = {n: f for n, f in self.facts.items() if f.variable in block.variables}
            if not block_facts:
                continue
            assert block.index is not None
            columns = [
                np.isin(block.index[:, block.variables.index(f.variable)], sorted(f.states))
                for f in block_facts.values()
            ]
            rows, cell = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
            order = np.argsort(cell, kind="stable")
            name = f"{block.name}.cell"
            self.nodes[block.name] = replace(block, index=block.index[order], cell=name)
            self.derived[name] = Node(
                name, len(rows), parents=(block.name,), function=cell[order].astype(np.int64)
            )
            for column, fact in enumerate(block_facts):
                self._link(fact, (name,), rows[:, column].astype(np.int64), 2)

    def _derive(self, parents: tuple[str, ...], function: Ints) -> str:
        """Return the node that is this function of its parents."""
        if (parents, function.tobytes()) in self._known:
            return self._known[parents, function.tobytes()]
        name = f"count.{len(self.derived) + 1}"
        self._known[parents, function.tobytes()] = name
        self._link(name, parents, function, max(int(function.max()) + 1, 2))
        return name

    def _link(self, name: str, parents: tuple[str, ...], function: Ints, states: int) -> None:
        self.derived[name] = Node(name, states, parents=parents, function=function)
        with np.errstate(divide="ignore"):
            log_table = np.log((function[..., None] == np.arange(states)).astype(np.float64))[None]
        self.links.append(Factor(name, "link", (*parents, name), log_table))

    def _counter(self, parts: tuple[Formula, ...], allowed: frozenset[int]) -> Formula:
        """Add a chain of counters, each the count so far, capped where larger counts are equivalent."""
        cap = max((k for k in range(len(parts)) if (k in allowed) != (k + 1 in allowed)), default=0) + 1
        previous: str | None = None
        for part in parts:
            names = tuple(sorted(part.variables() - {self.root}))
            sizes = [self._size(n) for n in names]
            axes = dict(zip(names, np.ix_(*(np.arange(s) for s in sizes)), strict=True))
            holds = np.broadcast_to(part.holds(axes), sizes).astype(np.int64)
            if previous is None:
                parents, function = names, holds
            else:
                before = np.arange(self._size(previous)).reshape(-1, *[1] * len(names))
                parents = (previous, *names)
                function = np.minimum(before + holds[None], cap)
            previous = self._derive(parents, np.ascontiguousarray(function))
        counts = frozenset(k for k in range(cap + 1) if k in allowed)
        return In(previous or "", counts)

    def _size(self, name: str) -> int:
        return (self.derived[name] if name in self.derived else self.nodes[name]).size


def table_of(
    formula: Formula, root: str, states: int, names: tuple[str, ...], nodes: Mapping[str, Node]
) -> Bools:
    """Evaluate a rewritten formula on the grid (root or 1, nodes...)."""
    sizes = (states if root in formula.variables() else 1, *(nodes[n].size for n in names))
    axes = np.ix_(*(np.arange(size) for size in sizes))
    values = dict(zip((root, *names), axes, strict=True))
    return np.broadcast_to(formula.holds(values), sizes)


def cells_of(names: tuple[str, ...], nodes: Mapping[str, Node]) -> int:
    """Return the number of cells of a table over these nodes."""
    return math.prod(nodes[n].size for n in names)
