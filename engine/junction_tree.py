r"""Exact inference: one collect pass over a junction tree, batched and differentiable.

Every clique is conditioned on the root, which all tables share as their first axis (K). For a
clique with private nodes P (nobody else's) and shared nodes Q the pass computes, for N items,

    message[n, k, sep] = Σ_{Q \ sep} (Σ_P u[n, P] · T[k, P, Q]) · Π u[n, q] · Π messages[n, k, ·]

so that the static table meets the batch in one matrix product and items x clique is never
stored. Messages are normalised and their log-scales added up (Shafer & Shenoy 1990; scaling as
in hidden Markov models). Marginals are the gradient of log Z in the log-evidence (Darwiche
2003, doi:10.1145/765568.765570).
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx
import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from torch import Tensor

TINY = 1e-300


@dataclass(frozen=True)
class Clique:
    """One step of the collect pass.

    nodes: private ones first, then shared ones. evidence: those whose evidence enters here.
    children: indices of the steps whose messages come in. separator: nodes of the message
    that goes out; none at the last step of a connected component. runs: only for a clique of
    a block and its cell node: cell c is the block's states runs[c] to runs[c + 1]; the table of
    such a clique has the block's axis only.
    """

    private: tuple[str, ...]
    shared: tuple[str, ...]
    evidence: frozenset[str]
    children: tuple[int, ...]
    separator: tuple[str, ...]
    runs: tuple[int, ...] = ()

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes of the table's axes, in their order."""
        return self.private if self.runs else self.private + self.shared


def triangulate(sizes: Mapping[str, int], scopes: Iterable[Sequence[str]]) -> list[frozenset[str]]:
    """Return the maximal cliques of a triangulation; greedy by the smallest table, then fill.

    sizes: states of each node. scopes: the node sets that must be together in a clique.
    """
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


def _elimination_cost(graph: nx.Graph[str], name: str, sizes: Mapping[str, int]) -> tuple[float, int, str]:
    around = list(graph[name])
    table = sizes[name] * math.prod(sizes[a] for a in around)
    fill = sum(1 for a in around for b in around if a < b and not graph.has_edge(a, b))
    return table, fill, name


def plan(
    sizes: Mapping[str, int],
    cliques: Sequence[frozenset[str]],
    runs_of: Mapping[str, tuple[int, ...]],
) -> tuple[Clique, ...]:
    """Order the cliques of a junction tree for the collect pass; children come before parents.

    runs_of: block -> where each of its cells' runs of states begins, and the end.
    """
    graph = nx.Graph()
    graph.add_nodes_from(range(len(cliques)))
    for i, one in enumerate(cliques):
        for j in range(i):
            if one & cliques[j]:
                graph.add_edge(i, j, weight=len(one & cliques[j]))
    tree = nx.maximum_spanning_tree(graph)
    steps: list[Clique] = []
    for component in nx.connected_components(tree):
        # A large table is a good leaf: its big nodes are private and leave in one product.
        top = min(component, key=lambda i: (_cells(cliques[i], sizes), i))
        directed = nx.dfs_tree(tree, top)
        place: dict[int, int] = {}
        for i in nx.dfs_postorder_nodes(directed, top):
            parent = next(iter(directed.predecessors(i)), None)
            separator = cliques[i] & cliques[parent] if parent is not None else frozenset()
            children = tuple(place[c] for c in directed.successors(i))
            incoming = frozenset().union(*(cliques[c] & cliques[i] for c in directed.successors(i)))
            shared = separator | incoming
            place[i] = len(steps)
            private = tuple(sorted(cliques[i] - shared))
            runs: tuple[int, ...] = ()
            if len(private) == 1 and private[0] in runs_of:
                runs = runs_of[private[0]]
            steps.append(
                Clique(
                    private,
                    tuple(sorted(shared)),
                    cliques[i] - separator,
                    children,
                    tuple(sorted(separator)),
                    runs,
                )
            )
    return tuple(steps)


def _cells(clique: frozenset[str], sizes: Mapping[str, int]) -> int:
    return math.prod(sizes[n] for n in clique)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread meanwhile.

    The tensors here are small: threads gain little, and beside another busy process their waiting
    for one another costs twenty times the work.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def lay(steps: Sequence[Clique], tables: list[Tensor], nodes: tuple[str, ...], log_table: Tensor) -> int:
    """Add a log-table (1 or K, nodes...) to that of the first clique that holds its nodes.

    Returns:
        The clique's index.
    """
    index, step = next((i, s) for i, s in enumerate(steps) if set(nodes) <= set(s.nodes))
    order = sorted(range(len(nodes)), key=lambda i: step.nodes.index(nodes[i]))
    table = log_table.permute(0, *(1 + i for i in order))
    sizes = iter(table.shape[1:])
    shape = [len(table), *(next(sizes) if name in nodes else 1 for name in step.nodes)]
    tables[index] = tables[index] + table.reshape(shape)
    return index


def log_partition(
    steps: Sequence[Clique],
    tables: Sequence[Tensor],
    evidence: Mapping[str, Tensor],
    tilted: tuple[Tensor, Mapping[int, list[tuple[int, Tensor]]]] | None = None,
) -> Tensor:
    """Sum out everything below the root.

    Args:
        steps: the plan.
        tables: one a step, (K, *sizes of its nodes), probabilities (linear, not normalised).
        evidence: node -> likelihood (N, states), linear, at most 1; nodes without evidence
            may be left out.
        tilted: tilts (N, R) and, for each step, (rule, its table within one event) pairs: the table of
            the step becomes table + tilt · event, so that the derivative in a tilt at 0 is P(event).

    Returns:
        (N, K): log Σ_x Π tables · Π evidence for each item and root state.
    """
    total: Tensor | None = None
    messages: dict[int, tuple[Tensor, Clique]] = {}
    scale: Tensor | float = 0.0
    for index, (step, table) in enumerate(zip(steps, tables, strict=True)):
        value = _static(step, table, evidence)
        if tilted is not None:
            for rule, event in tilted[1].get(index, ()):
                inside = _static(step, event, evidence)
                value = value + tilted[0][:, rule].view(-1, *[1] * (value.dim() - 1)) * inside
        value = _collect(step, value, evidence, messages)
        if step.separator:
            peak = value.detach().flatten(1).amax(1).clamp_min(TINY)
            value = value / peak.view(-1, *[1] * (value.dim() - 1))
            scale = scale + peak.log()[:, None]
            messages[index] = (value, step)
        else:
            logs = value.clamp_min(TINY).log()
            total = logs if total is None else total + logs
    if total is None:
        rows = next((len(e) for e in evidence.values()), 1)
        return torch.zeros(rows, 1, dtype=torch.float64)
    return total + scale


def _static(step: Clique, table: Tensor, evidence: Mapping[str, Tensor]) -> Tensor:
    """Sum out the private nodes: Σ_P u[n, P] · T[k, P, Q], (N or 1, K, *shared)."""
    if step.runs:
        return _static_runs(step, table, evidence)
    k = table.shape[0]
    inner = table.shape[1 : 1 + len(step.private)]
    outer = table.shape[1 + len(step.private) :]
    own = _outer_product([n for n in step.private if n in evidence], step.private, inner, evidence)
    flat = table.reshape(k, math.prod(inner), -1)
    if own is None:
        return flat.sum(1).reshape(1, k, *outer)
    matrix = flat.transpose(0, 1).reshape(math.prod(inner), -1)
    return (own @ matrix).reshape(-1, k, *outer)


def _collect(
    step: Clique,
    value: Tensor,
    evidence: Mapping[str, Tensor],
    messages: dict[int, tuple[Tensor, Clique]],
) -> Tensor:
    """Multiply in what comes to the shared nodes and sum out those that stay here."""
    outer = value.shape[2:]
    for axis, name in enumerate(step.shared):
        if name in step.evidence and name in evidence:
            shape = [-1, 1] + [1] * len(outer)
            shape[2 + axis] = outer[axis]
            value = value * evidence[name].reshape(shape)
    for child in step.children:
        message, source = messages.pop(child)
        shape = [message.shape[0], message.shape[1]] + [
            outer[axis] if name in source.separator else 1 for axis, name in enumerate(step.shared)
        ]
        value = value * message.reshape(shape)
    gone = [2 + axis for axis, name in enumerate(step.shared) if name not in step.separator]
    return value.sum(gone) if gone else value


def _static_runs(step: Clique, table: Tensor, evidence: Mapping[str, Tensor]) -> Tensor:
    """Sum a block's states cell by cell: its message is to its cell node, (N or 1, K, cells)."""
    u = evidence.get(step.private[0])
    runs = list(zip(step.runs, step.runs[1:], strict=False))
    if u is None:
        return torch.stack([table[:, a:b].sum(1) for a, b in runs], dim=1)[None]
    return torch.stack([u[:, a:b] @ table[:, a:b].T for a, b in runs], dim=2)


def _outer_product(
    present: Sequence[str],
    private: Sequence[str],
    sizes: Sequence[int],
    evidence: Mapping[str, Tensor],
) -> Tensor | None:
    """Return Π u over the private nodes as (N, cells), or None where there is no evidence."""
    if not present:
        return None
    product: Tensor | None = None
    for name, size in zip(private, sizes, strict=True):
        u = evidence.get(name)
        if u is None:
            u = torch.ones(1, size, dtype=torch.float64, device=evidence[present[0]].device)
        product = u if product is None else (product[:, :, None] * u[:, None, :]).flatten(1)
    return product
