"""Formulas -> nodes: what a rule needs beside the base's own nodes.

A threshold on an interval variable becomes a binary node (a fact); what all facts together can tell
about a block is one derived node of few states, its cell; and a count over many parts becomes a chain
of counters, so that no clique holds a block together with what a rule says, and a count of n things
costs n small tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.model.formula import Count, Formula, In, Not
from engine.network.values import Factor, FunctionNode, StateNode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.backend.types import Bools, Ints

WIDEST_COUNT = 4


@dataclass
class Propositions:
    """Collects the derived nodes that formulas need; equal parts share a node.

    intervals: the interval variables' numbers of states. sizes: the states of all nodes, derived ones in the
    order in which they were first needed. facts: name -> (variable, which of its states make it true).
    """

    root: str
    intervals: Mapping[str, int]
    sizes: dict[str, int]
    facts: dict[str, In] = field(default_factory=dict)
    functions: dict[str, FunctionNode] = field(default_factory=dict)
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
        complement = frozenset(range(self.intervals[variable])) - states
        for name, fact in self.facts.items():
            # A fact and its negation are one node.
            if fact.variable == variable and fact.states in (states, complement):
                return In(name, frozenset({int(fact.states == states)}))
        # A dot keeps the names of derived nodes apart from those of variables.
        name = f"fact.{len(self.facts) + 1}"
        self.facts[name] = In(variable, states)
        self.sizes[name] = 2
        return In(name, frozenset({1}))

    def link_facts(self, block: StateNode) -> StateNode:
        """Link the facts to their block, block -> cell -> facts; return it with its states in runs."""
        if not self.facts:
            return block
        columns = [np.isin(block.values_of(f.variable), sorted(f.states)) for f in self.facts.values()]
        rows, cell = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
        order = np.argsort(cell, kind="stable")
        name = f"{block.name}.cell"
        self._add(FunctionNode(name, len(rows), (block.name,), cell[order].astype(np.int64)))
        for column, fact in enumerate(self.facts):
            self._link(fact, (name,), rows[:, column].astype(np.int64), 2)
        return replace(block, index=block.index[order], cell=name)

    def _derive(self, parents: tuple[str, ...], function: Ints) -> str:
        """Return the node that is this function of its parents."""
        if (parents, function.tobytes()) in self._known:
            return self._known[parents, function.tobytes()]
        name = f"count.{len(self.facts) + len(self.functions) + 1}"
        self._known[parents, function.tobytes()] = name
        self._link(name, parents, function, max(int(function.max()) + 1, 2))
        return name

    def _link(self, name: str, parents: tuple[str, ...], function: Ints, states: int) -> None:
        self._add(FunctionNode(name, states, parents, function))
        with np.errstate(divide="ignore"):
            log_table = np.log((function[..., None] == np.arange(states)).astype(np.float64))[None]
        self.links.append(Factor(name, "link", (*parents, name), log_table))

    def _add(self, node: FunctionNode) -> None:
        self.functions[node.name] = node
        self.sizes[node.name] = node.size

    def _counter(self, parts: tuple[Formula, ...], allowed: frozenset[int]) -> Formula:
        """Add a chain of counters, each the count so far, capped where larger counts are equivalent."""
        cap = max((k for k in range(len(parts)) if (k in allowed) != (k + 1 in allowed)), default=0) + 1
        previous: str | None = None
        for part in parts:
            names = tuple(sorted(part.variables() - {self.root}))
            sizes = [self.sizes[n] for n in names]
            axes = dict(zip(names, np.ix_(*(np.arange(s) for s in sizes)), strict=True))
            holds = np.broadcast_to(part.holds(axes), sizes).astype(np.int64)
            if previous is None:
                parents, function = names, holds
            else:
                before = np.arange(self.sizes[previous]).reshape(-1, *[1] * len(names))
                parents = (previous, *names)
                function = np.minimum(before + holds[None], cap)
            previous = self._derive(parents, np.ascontiguousarray(function))
        counts = frozenset(k for k in range(cap + 1) if k in allowed)
        return In(previous or "", counts)


def table_of(formula: Formula, names: Sequence[str], shape: Sequence[int]) -> Bools:
    """Evaluate a rewritten formula on the grid of the root and nodes, of this shape."""
    axes = np.ix_(*(np.arange(size) for size in shape))
    return np.broadcast_to(formula.holds(dict(zip(names, axes, strict=True))), shape)
