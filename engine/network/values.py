"""The compiled network: the waist between what is declared and inference.

    p(root, x) ∝ q(root) · Π_factors exp(log_table[root, x_nodes])

Everything below the root is a node with finitely many states; a block of interval variables
is one node whose states are the cells of its grid. Rules and couplings are factors; in the
Bayesian network of `to_pgmpy` each is a child that was observed to be true.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.backend.types import Bools, Floats, Ints
    from engine.model.formula import In


@dataclass(frozen=True)
class StateNode:
    """A node below the root that stands for `variables` of the base.

    index: (size, variables), each state's value of each variable. cell: the name of the function node that
    says what the rules need to know of a block, or "". A block's states are ordered so that each state of
    its cell node is one run of them.
    """

    name: str
    variables: tuple[str, ...]
    index: Ints = field(compare=False)
    cell: str = ""

    @property
    def size(self) -> int:
        """Number of states."""
        return len(self.index)

    def values_of(self, variable: str) -> Ints:
        """Return each state's value of a variable, (size,)."""
        return self.index[:, self.variables.index(variable)]


@dataclass(frozen=True)
class FunctionNode:
    """A node that is a function of its parents: the index of its state, shape = the parents' sizes."""

    name: str
    size: int
    parents: tuple[str, ...]
    function: Ints = field(compare=False)


@dataclass(frozen=True)
class StateRun:
    """A rectangle of a block's states: those from start to stop.

    cell: the state of the block's cell node that it makes up; sizes, states: for each variable how many of
    its states it takes, and which (as an index into them).
    """

    cell: int
    start: int
    stop: int
    sizes: tuple[int, ...]
    states: tuple[slice | Ints, ...] = field(compare=False)


@dataclass(frozen=True)
class Grid:
    """A block of interval variables: their names and sizes, its cell node or "", and its states' runs."""

    variables: tuple[str, ...]
    sizes: tuple[int, ...]
    cell: str
    runs: tuple[StateRun, ...]


def grid_of(block: StateNode, cell_node: FunctionNode | None) -> Grid:
    """Return the grid of a block; a cell's states are a rectangle, as facts are on one variable each."""
    ends = np.cumsum(np.bincount(cell_node.function)).tolist() if cell_node else [block.size]
    runs = []
    for cell, (start, stop) in enumerate(zip((0, *ends), ends, strict=False)):
        states = [np.unique(column) for column in block.index[start:stop].T]
        sizes = tuple(len(axis_states) for axis_states in states)
        assert math.prod(sizes) == stop - start
        runs.append(StateRun(cell, start, stop, sizes, tuple(_range(axis_states) for axis_states in states)))
    sizes = tuple((block.index.max(axis=0) + 1).tolist())
    return Grid(block.variables, sizes, block.cell, tuple(runs))


def _range(states: Ints) -> slice | Ints:
    """Return states (n,) as a slice where they follow one another; a slice copies nothing."""
    low, high = int(states[0]), int(states[-1]) + 1
    return slice(low, high) if high - low == len(states) else states


@dataclass(frozen=True)
class Clique:
    """One step of the pass over the junction tree towards its top.

    shared, private: its nodes (private ones are nobody else's), in the order of its table's axes
    (K, shared..., private...); sizes: the private nodes' states. evidence: the nodes whose evidence enters
    here. children: indices of the steps whose messages come in. separator: the nodes of the message that
    goes out; none at the top of a connected component. grid: only where the private node is a block; the
    table's axes are then (K, block), and the shared node is the block's cell.
    """

    shared: tuple[str, ...]
    private: tuple[str, ...]
    sizes: tuple[int, ...]
    evidence: frozenset[str]
    children: tuple[int, ...]
    separator: tuple[str, ...]
    grid: Grid | None = None

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes of the table's axes after the root, in their order."""
        return self.private if self.grid else self.shared + self.private


@dataclass(frozen=True)
class Factor:
    """A log-linear factor: `log_table` has axes (root states or 1, one axis a node of `nodes`)."""

    name: str
    kind: Literal["table", "coupling", "rule", "link"]
    nodes: tuple[str, ...]
    log_table: Floats = field(compare=False)


@dataclass(frozen=True)
class CompiledRule:
    """A rule in the compiled network.

    reached: P(then | if) in the compiled network under the reference population; p_if: P(if);
    weight: the fitted θ (below 0: the tables imply more than the confidence); nodes, condition,
    violated: where `if` and where `if & not then` hold, axes (root states, nodes...);
    status: met, unmet (θ at its bound, or 0 where it gave way), or decided (by the tables; not compiled).
    """

    name: str
    status: Literal["met", "unmet", "decided"]
    confidence: float
    reached: float
    p_if: float
    weight: float
    nodes: tuple[str, ...]
    condition: Bools = field(compare=False)
    violated: Bools = field(compare=False)


@dataclass(frozen=True)
class NetworkValues:
    """The values of a compiled base; `Network` adds the export to other programs.

    states: the names of the states of the root and of every variable below it. edges: the edges of the bins,
    (bins + 1,), of the interval variables. reference: the population under which rules hold. log_prior: per
    population the log q(root), (K,); with the factors it gives P(root) of that population.
    facts: derived node -> the variable and states of which it is the truth.
    function_nodes: the facts, the counters and the block's cell.
    marginals: node -> P(node | root), (K, states), whatever the population.
    cliques: the nodes of each clique below the root, which is in all of them. steps: the same as the plan of
    the pass to the top, small leaves merged.
    """

    root: str
    states: Mapping[str, tuple[str, ...]]
    edges: Mapping[str, tuple[float, ...]]
    reference: str
    state_nodes: Mapping[str, StateNode]
    function_nodes: Mapping[str, FunctionNode]
    factors: tuple[Factor, ...]
    log_prior: Mapping[str, Floats]
    rules: tuple[CompiledRule, ...]
    facts: Mapping[str, In]
    marginals: Mapping[str, Floats]
    cliques: tuple[tuple[str, ...], ...]
    steps: tuple[Clique, ...]

    @property
    def root_states(self) -> tuple[str, ...]:
        """States of the root variable."""
        return self.states[self.root]

    @cached_property
    def nodes(self) -> Mapping[str, StateNode | FunctionNode]:
        """All nodes below the root."""
        return {**self.state_nodes, **self.function_nodes}

    @cached_property
    def node_of(self) -> Mapping[str, StateNode]:
        """For each variable below the root the node that stands for it."""
        return {v: node for node in self.state_nodes.values() for v in node.variables}

    @property
    def treewidth(self) -> int:
        """Treewidth of the moral graph, the root and the blocks' nodes counted as one each."""
        return max((len(clique) for clique in self.cliques), default=0)

    def cells(self, blocks: bool) -> int:
        """Size of the largest clique table (root included) among those with or without a block."""
        sizes = [
            len(self.root_states) * math.prod(self.nodes[n].size for n in clique)
            for clique in self.cliques
            if any(self.node_of[v].name in clique for v in self.edges) == blocks
        ]
        return max(sizes, default=0)

    @cached_property
    def given_root(self) -> Mapping[str, Floats]:
        """Compiled P(variable | root) of every variable below the root, (K, states)."""
        return {
            name: self.marginals[node.name] @ np.eye(len(self.states[name]))[node.values_of(name)]
            for name, node in self.node_of.items()
        }
