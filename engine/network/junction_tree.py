r"""Exact inference on a junction tree: one pass in, one pass out, for many items at once.

Every clique is conditioned on the root, which all tables share as their first axis (K); items are the last
axis (N), so that every operation runs along them. For a clique with private nodes P (nobody else's) and
shared nodes Q the pass towards the top computes

    static[k, Q, n] = Σ_P T[k, Q, P] · u[P, n]
    message[k, S, n] = Σ_{Q \ S} static[k, Q, n] · outside[k, Q, n],    S = separator

with outside = Π u[q, n] · Π messages that come in, so that the static table meets the batch in one matrix
product and cliques x items is never stored. Messages are scaled and the log-scales added up. The pass back
gives the marginals (Shafer & Shenoy 1990; divided by what came in as by Lauritzen & Spiegelhalter 1988,
doi:10.1111/j.2517-6161.1988.tb01721.x).

Arrays are numpy's or torch's, on any device: the same lines serve both, and the pass inwards can be
differentiated. Numpy is quicker for few items, torch for many.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend.arrays import is_tensor, namespace
from engine.network.values import Clique, Grid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from networkx import Graph

    from engine.backend.types import Array


MERGED = 32


def triangulate(sizes: Mapping[str, int], scopes: Iterable[Sequence[str]]) -> list[frozenset[str]]:
    """Return the maximal cliques of a triangulation; greedy by the smallest table, then fill.

    sizes: states of each node. scopes: the node sets that must be together in a clique.
    """
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(sizes)
    for scope in scopes:
        graph.add_edges_from((a, b) for a in scope for b in scope if a < b)
    chordal = graph.copy()
    while graph:
        name = min(graph, key=lambda node: _elimination_cost(graph, node, sizes))
        around = list(graph[name])
        fill = [(a, b) for a in around for b in around if a < b]
        graph.add_edges_from(fill)
        chordal.add_edges_from(fill)
        graph.remove_node(name)
    # networkx walks sets: sorted, the order of sums does not depend on the hash seed.
    return sorted((frozenset(clique) for clique in nx.chordal_graph_cliques(chordal)), key=sorted)


def _elimination_cost(graph: Graph[str], name: str, sizes: Mapping[str, int]) -> tuple[float, int, str]:
    around = list(graph[name])
    table = sizes[name] * math.prod(sizes[a] for a in around)
    fill = sum(1 for a in around for b in around if a < b and not graph.has_edge(a, b))
    return table, fill, name


def plan(
    sizes: Mapping[str, int], cliques: Sequence[frozenset[str]], grids: Mapping[str, Grid]
) -> tuple[Clique, ...]:
    """Order the cliques of a junction tree for the pass towards the top; children come before parents.

    Leaves with the same separator are merged while their private nodes have at most MERGED states
    together: few larger matrix products are quicker than many small ones.
    """
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(range(len(cliques)))
    for i, clique in enumerate(cliques):
        for j in range(i):
            if clique & cliques[j]:
                # A block's clique has one neighbour only, since its message is all that it can pass on.
                block = (clique | cliques[j]) & set(grids)
                graph.add_edge(i, j, weight=len(clique & cliques[j]) - (0.5 if block else 0))
    tree = nx.maximum_spanning_tree(graph)
    order: list[int] = []
    parent: dict[int, int] = {}
    for component in nx.connected_components(tree):
        # A large table is a good leaf: its big nodes are private and leave in one product.
        top = min(component, key=lambda i: (bool(cliques[i] & set(grids)), _cells(cliques[i], sizes), i))
        directed = nx.dfs_tree(tree, top)
        order += nx.dfs_postorder_nodes(directed, top)
        parent |= {child: above for above, child in directed.edges}
    separator = {i: cliques[i] & cliques[parent[i]] if i in parent else frozenset() for i in order}
    merged = _merge(order, parent, separator, cliques, sizes, grids)
    place: dict[int, int] = {}
    steps: list[Clique] = []
    for i in (i for i in order if i in merged):
        children = tuple(place[c] for c in order if parent.get(c) == i and c in merged)
        shared = separator[i].union(*(separator[c] for c in order if parent.get(c) == i))
        private = tuple(sorted(merged[i] - shared))
        grid = grids.get(private[0]) if private else None
        place[i] = len(steps)
        steps.append(
            Clique(
                tuple(sorted(shared)),
                private,
                tuple(sizes[name] for name in private),
                merged[i] - separator[i],
                children,
                tuple(sorted(separator[i])),
                grid,
            )
        )
    return tuple(steps)


def _merge(
    order: Sequence[int],
    parent: Mapping[int, int],
    separator: Mapping[int, frozenset[str]],
    cliques: Sequence[frozenset[str]],
    sizes: Mapping[str, int],
    grids: Mapping[str, Grid],
) -> dict[int, frozenset[str]]:
    """Return the nodes of each clique that is left after leaves were merged."""
    inner = set(parent.values())
    merged: dict[int, frozenset[str]] = {}
    open_: dict[tuple[int | None, frozenset[str]], int] = {}
    for i in order:
        merged[i] = cliques[i]
        if i in inner or cliques[i] & set(grids):
            continue
        key = (parent.get(i), separator[i])
        into = open_.get(key)
        if into is not None and _cells((merged[into] | cliques[i]) - separator[i], sizes) <= MERGED:
            merged[into] |= merged.pop(i)
        else:
            open_[key] = i
    return merged


def _cells(clique: frozenset[str], sizes: Mapping[str, int]) -> int:
    return math.prod(sizes[n] for n in clique)


def aligned_table(steps: Sequence[Clique], nodes: tuple[str, ...], log_table: Array) -> tuple[int, Array]:
    """Return the first clique that holds these nodes, and their table (1 or K, nodes...) on its axes."""
    index, step = next((i, s) for i, s in enumerate(steps) if set(nodes) <= set(s.nodes))
    order = sorted(range(len(nodes)), key=lambda i: step.nodes.index(nodes[i]))
    table = namespace(log_table).moveaxis(log_table, [1 + i for i in order], list(range(1, 1 + len(order))))
    sizes = iter(table.shape[1:])
    shape = [len(table), *(next(sizes) if name in nodes else 1 for name in step.nodes)]
    return index, table.reshape(shape)


def add_to_clique(
    steps: Sequence[Clique], tables: list[Any], nodes: tuple[str, ...], log_table: Array
) -> int:
    """Add a log-table (1 or K, nodes...) to that of the first clique that holds its nodes.

    tables: of one kind of array, which one the caller knows: one a step, (1 or K, nodes...).

    Returns:
        The clique's index.
    """
    index, table = aligned_table(steps, nodes, log_table)
    tables[index] = tables[index] + table
    return index


@dataclass(frozen=True)
class CliqueState:
    """The arrays of one clique after the pass inwards, for the pass outwards.

    private_evidence: the product of the private nodes' evidence, (private states, N), one for each run of a
    grid, or None where there is none. static: (K, shared..., N or 1). outside: None or what broadcasts to
    (K, shared..., N). message: (K, separator..., N or 1); peak: (N,) what it was divided by, or 1.
    """

    private_evidence: Any
    static: Array
    outside: Array | None
    message: Array
    peak: Array | float


def collect(
    steps: Sequence[Clique], tables: Sequence[Array], evidence: Mapping[str, Array]
) -> tuple[Array, list[CliqueState]]:
    """Sum out everything below the root.

    Args:
        steps: the plan.
        tables: one a step, (K, sizes of its nodes...), probabilities (linear, not normalised).
        evidence: variable -> likelihood (states, N), linear, at most 1; those without evidence are
            left out.

    Returns:
        (K, N or 1): log Σ_x Π tables · Π evidence; and each clique's state, for `distribute`.
    """
    total: Any = 0.0  # An array from the first clique on.
    clique_states: list[CliqueState] = []
    for step, table in zip(steps, tables, strict=True):
        private_evidence, static = _static(step, table, evidence)
        incoming = [(steps[child], clique_states[child].message) for child in step.children]
        outside = _outside(step, static, evidence, incoming)
        value = static if outside is None else static * outside
        gone = [1 + axis for axis, name in enumerate(step.shared) if name not in step.separator]
        message = _sum_out(value, gone)
        xp, tiny = namespace(message), _tiny(message)
        peak: Array | float = 1.0
        if step.children:
            constant = message.detach() if is_tensor(message) else message
            peak = xp.clip(xp.amax(constant, tuple(range(message.ndim - 1))), tiny, None)
            message = message / peak
            total = total + xp.log(peak)
        if not step.separator:
            total = total + xp.log(xp.clip(message, tiny, None))
        clique_states.append(CliqueState(private_evidence, static, outside, message, peak))
    return total, clique_states


def _static(step: Clique, table: Array, evidence: Mapping[str, Array]) -> tuple[Any, Array]:
    """Return the private nodes' evidence u, and Σ_P T[k, Q, P] · u[P, n], (K, shared..., N or 1)."""
    if step.grid is not None:
        return _static_grid(step.grid, table, evidence)
    outer, inner = table.shape[: 1 + len(step.shared)], table.shape[1 + len(step.shared) :]
    private_evidence = _product(evidence, step.private, inner)
    flat = table.reshape(math.prod(outer), -1)
    if private_evidence is None:
        return None, flat.sum(1).reshape(*outer, 1)
    return private_evidence, (flat @ private_evidence).reshape(*outer, -1)


def _static_grid(grid: Grid, table: Array, evidence: Mapping[str, Array]) -> tuple[Any, Array]:
    """Sum a block's states cell by cell: (K, cells, N or 1), or (K, N or 1) where it has no cells."""
    run_evidence, parts = [], []
    for run in grid.runs:
        part = table[:, run.start : run.stop]
        cut = {
            v: evidence[v][rows] for v, rows in zip(grid.variables, run.states, strict=True) if v in evidence
        }
        run_evidence.append(_product(cut, grid.variables, run.sizes))
        parts.append(part.sum(1)[:, None] if run_evidence[-1] is None else part @ run_evidence[-1])
    return run_evidence, namespace(table).stack(parts, 1) if grid.cell else parts[0]


def _product(evidence: Mapping[str, Array], names: Sequence[str], sizes: Sequence[int]) -> Array | None:
    """Return Π u over the names' joint states, (cells, N); None where there is no evidence."""
    present = [name for name in names if name in evidence]
    if not present:
        return None
    first = evidence[present[0]]
    xp, product = namespace(first), None
    for name, size in zip(names, sizes, strict=True):
        u = evidence[name] if name in evidence else xp.broadcast_to(xp.ones_like(first[:1, :1]), (size, 1))
        product = u if product is None else (product[:, None] * u[None]).reshape(len(product) * size, -1)
    return product


def _outside(
    step: Clique, static: Array, evidence: Mapping[str, Array], incoming: Sequence[tuple[Clique, Array]]
) -> Array | None:
    """Return the product of what comes to the shared nodes, their evidence and the children's messages.

    None where nothing does, else what broadcasts to (K, shared..., N).
    """
    sizes, product = static.shape[1:-1], None
    for axis, name in enumerate(step.shared):
        if name in step.evidence and name in evidence:
            shape = [1] * (1 + len(sizes)) + [evidence[name].shape[-1]]
            shape[1 + axis] = sizes[axis]
            u = evidence[name].reshape(shape)
            product = u if product is None else product * u
    for child, message in incoming:
        wide = _widened(message, child.separator, step.shared, sizes)
        product = wide if product is None else product * wide
    return product


def _widened(message: Array, separator: Sequence[str], shared: Sequence[str], sizes: Sequence[int]) -> Array:
    """Give a message (K, separator..., N) the axes (K, shared..., N), of size 1 where it has none."""
    axes = [size if name in separator else 1 for name, size in zip(shared, sizes, strict=True)]
    return message.reshape(message.shape[0], *axes, message.shape[-1])


def _tiny(array: Array) -> float:
    return float(namespace(array).finfo(array.dtype).tiny)


@dataclass(frozen=True)
class Readout:
    """The matrices by which the pass outwards reads marginals and events off one clique.

    transposed: ((1 + R) private states, K · shared states), the table and below it those of R events within
    the clique (table · event); events: which events these are. For a grid it is (block, K), without events.
    states: (states of each private node in turn, private states), in which of the private states they hold;
    for a grid F functions of the block's states, (F, block), of which the mean is wanted.
    """

    transposed: Array
    states: Array
    events: tuple[int, ...] = ()


def indicators(sizes: Sequence[int]) -> Array:
    """Return the 0/1 matrix of each node's states by the nodes' joint states, (Σ sizes, Π sizes)."""
    index = np.indices(sizes).reshape(len(sizes), math.prod(sizes))
    rows = [np.arange(size)[:, None] == states for size, states in zip(sizes, index, strict=True)]
    return np.concatenate(rows or [np.zeros((0, 1))]).astype(np.float64)


@dataclass
class Beliefs:
    """marginals: variable -> (states, N). events: event -> (N,). means: (F, N) of the grids' functions."""

    marginals: dict[str, Array]
    events: dict[int, Array]
    means: Array | None = None


def distribute(
    steps: Sequence[Clique], readouts: Sequence[Readout], clique_states: Sequence[CliqueState], weights: Array
) -> Beliefs:
    """Return the marginals and events for a posterior of the root, in which everything is linear.

    Args:
        steps: the plan.
        readouts: one a step.
        clique_states: one a step, from `collect`.
        weights: (K, N) P(root | evidence), possibly times a weight of each column.

    Returns:
        The marginals of the nodes with evidence axes, and the events' probabilities, times the weights.
    """
    beliefs = Beliefs({}, {})
    down: dict[int, Array] = {}
    for index in reversed(range(len(steps))):
        step, state = steps[index], clique_states[index]
        # The derivative of log Z in this clique's message, then in its static part.
        pull = down.pop(index) if step.separator else _ratio(weights, state.message)
        pull = pull / state.peak if step.children else pull
        if step.grid is not None:
            _read_grid(step.grid, readouts[index], state, pull, beliefs)
            continue
        sizes = state.static.shape[1:-1]
        pull = _widened(pull, step.separator, step.shared, sizes)
        pull = pull if state.outside is None else pull * state.outside
        if step.children or step.evidence & set(step.shared):
            _read_shared(step, steps, clique_states, pull * state.static, down, beliefs)
        if step.private or readouts[index].events:
            _read_private(step, readouts[index], state, pull, weights.shape[-1], beliefs)
    return beliefs


def _sum_out(array: Array, axes: Sequence[int]) -> Array:
    """Return the sum over axes, of the shape without them.

    One after another: far quicker than at once, since items are the last axis.
    """
    for axis in reversed(axes):
        before = (slice(None),) * axis
        array = array[(*before, 0)] + array[(*before, 1)] if array.shape[axis] == 2 else array.sum(axis)
    return array


def _ratio(above: Array, below: Array) -> Array:
    """Return above / below, of their shape; 0 where below is 0, since above is 0 there."""
    return above / namespace(below).clip(below, _tiny(below), None)


def _read_shared(
    step: Clique,
    steps: Sequence[Clique],
    clique_states: Sequence[CliqueState],
    belief: Array,
    down: dict[int, Array],
    beliefs: Beliefs,
) -> None:
    """Read off the shared nodes' marginals and what goes down to the children; belief: (K, shared..., N)."""
    for child in step.children:
        gone = [1 + axis for axis, name in enumerate(step.shared) if name not in steps[child].separator]
        down[child] = _ratio(_sum_out(belief, gone), clique_states[child].message)
    joint = belief.sum(0)
    for name in step.evidence & set(step.shared):
        beliefs.marginals[name] = _sum_out(joint, [axis for axis, o in enumerate(step.shared) if o != name])


def _read_private(
    step: Clique, readout: Readout, state: CliqueState, pull: Array, items: int, beliefs: Beliefs
) -> None:
    """Read off the private nodes' marginals and the events within the clique."""
    xp = namespace(pull)
    full = xp.broadcast_to(pull, (pull.shape[0], *state.static.shape[1:-1], items))
    read = readout.transposed @ full.reshape(-1, items)
    read = read.reshape(1 + len(readout.events), -1, items)
    if state.private_evidence is not None:
        read *= state.private_evidence
    for event, part in zip(readout.events, read[1:], strict=True):
        beliefs.events[event] = part.sum(0)
    marginals = readout.states @ read[0] if len(step.private) > 1 else read[0]
    start = 0
    for name, size in zip(step.private, step.sizes, strict=True):
        beliefs.marginals[name] = marginals[start : start + size]
        start += size


def _read_grid(grid: Grid, readout: Readout, state: CliqueState, pull: Array, beliefs: Beliefs) -> None:
    """Read off a block's marginals and functions, run by run of its cells; pull: (K, cells..., N)."""
    items = pull.shape[-1]
    for name, size in zip(grid.variables, grid.sizes, strict=True):
        beliefs.marginals[name] = _zeros(pull, size, items)
    for run, run_evidence in zip(grid.runs, state.private_evidence, strict=True):
        joint = readout.transposed[run.start : run.stop] @ (pull[:, run.cell] if grid.cell else pull)
        if run_evidence is not None:
            joint *= run_evidence
        mean = readout.states[:, run.start : run.stop] @ joint
        beliefs.means = mean if beliefs.means is None else beliefs.means + mean
        joint = joint.reshape(*run.sizes, items)
        for axis, (name, rows) in enumerate(zip(grid.variables, run.states, strict=True)):
            beliefs.marginals[name][rows] += _sum_out(joint, [i for i in range(len(run.sizes)) if i != axis])


def _zeros(like: Array, rows: int, columns: int) -> Array:
    """Return zeros (rows, columns) of the kind of an array."""
    if is_tensor(like):
        return like.new_zeros(rows, columns)
    zeros: Array = np.zeros((rows, columns), like.dtype)
    return zeros


def largest_array(steps: Sequence[Clique], held: Sequence[CliqueState]) -> int:
    """Return the size per item of the largest array of the two passes, in numbers."""
    sizes = [math.prod(messages.static.shape[:-1]) for messages in held]
    for step in steps:
        runs = step.grid.runs if step.grid else ()
        sizes.append(max((run.stop - run.start for run in runs), default=math.prod(step.sizes)))
    return max(sizes, default=1)
