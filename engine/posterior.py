"""Evidence -> posteriors, exact, for many items at once.

    log Z_i = log Σ_rows w_row · Σ_root q(root) u(root) Π_below (junction tree)

is one differentiable function of the likelihoods u; the marginal of a node is u · ∂ log Z / ∂u, and P(rule
violated) the derivative in a tilt of the cells that violate it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.evidence import ObservationModel
from engine.junction_tree import lay, log_partition, one_thread, plan
from engine.network import runs_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from engine.answers import Answers
    from engine.evidence import Evidence
    from engine.network import Factor, Network, Node

    Floats = NDArray[np.float64]

MOST_ROWS = 2048


@dataclass(frozen=True)
class Posterior:
    """Posteriors of N items.

    marginals: variable -> (N, states), derived variables included. correlation: (N,) of the first two
    interval variables of the block, NaN where there are none. log_evidence: (N,) log P(answers), nats.
    violations: (N, R) P(if & not then) of the compiled rules `rules`.
    """

    items: tuple[str, ...]
    marginals: Mapping[str, Floats]
    correlation: Floats
    log_evidence: Floats
    rules: tuple[str, ...]
    violations: Floats


class Inference:
    """A network made ready for one population."""

    def __init__(self, network: Network, population: str | None = None) -> None:
        self.network = network
        self.population = population or network.knowledge.reference
        self.observations = ObservationModel(network, self.population)
        sizes = {name: node.size for name, node in network.nodes.items()}
        cliques = [frozenset(clique) for clique in network.cliques]
        self.steps = plan(sizes, cliques, runs_of(network.nodes))
        self.tables = self._tables(network.factors)
        self.log_root = torch.as_tensor(network.log_prior[self.population])
        self.rules = tuple(r for r in network.rules if r.status in ("met", "unmet"))
        self.tilts = self._tilts()

    def _tables(self, factors: Sequence[Factor]) -> list[Tensor]:
        states = len(self.network.root_states)
        tables = []
        for step in self.steps:
            shape = [self.network.nodes[n].size for n in step.nodes]
            tables.append(torch.zeros(states, *shape, dtype=torch.float64))
        for factor in factors:
            lay(self.steps, tables, factor.nodes, torch.as_tensor(factor.log_table))
        # Each table is scaled to a peak of one; the scale goes to the root.
        peaks = [table.flatten(1).amax(1) for table in tables]
        self.scale = sum(peaks, torch.zeros(states, dtype=torch.float64))
        return [
            (table - peak.reshape(-1, *[1] * (table.dim() - 1))).exp()
            for table, peak in zip(tables, peaks, strict=True)
        ]

    def _tilts(self) -> dict[int, list[tuple[int, Tensor]]]:
        """Return for each clique the rules that it holds, with its table where they are violated."""
        tilts: dict[int, list[tuple[int, Tensor]]] = {}
        for rule, compiled in enumerate(self.rules):
            zeros = [torch.zeros(1, dtype=torch.float64)] * len(self.steps)
            violated = torch.as_tensor(compiled.violated.astype(np.float64))
            index = lay(self.steps, zeros, compiled.nodes, violated)
            tilts.setdefault(index, []).append((rule, self.tables[index] * zeros[index]))
        return tilts

    def posterior(self, answers: Answers) -> Posterior:
        """Return the posteriors of all items.

        Raises:
            AnswerError: an item whose readings cannot be weighed exactly.
        """
        with one_thread():
            parts = [self._posterior(part) for part in self._parts(answers)]
        if len(parts) == 1:
            return parts[0]
        first = parts[0]
        return Posterior(
            answers.items,
            {name: np.concatenate([p.marginals[name] for p in parts]) for name in first.marginals},
            np.concatenate([p.correlation for p in parts]),
            np.concatenate([p.log_evidence for p in parts]),
            first.rules,
            np.concatenate([p.violations for p in parts]),
        )

    def log_evidence(self, answers: Answers) -> Floats:
        """Return log P(answers) of each item, nats, (N,)."""
        parts = []
        for part in self._parts(answers):
            with one_thread(), torch.no_grad():
                evidence = self.observations.evidence(part)
                inputs, scale = self._inputs(evidence)
                parts.append(self._log_z(evidence, inputs, scale, None).numpy())
        return np.concatenate(parts) if parts else np.zeros(0)

    def _parts(self, answers: Answers) -> Iterator[Answers]:
        """Cut the items so that each part has a bounded number of rows; at least one part."""
        rows = np.cumsum(self.observations.rows_of(answers))
        start = 0
        while True:
            before = rows[start - 1] if start else 0
            stop = int(np.searchsorted(rows, before + MOST_ROWS, side="right"))
            stop = max(stop, min(start + 1, len(rows)))
            yield answers if (start, stop) == (0, len(rows)) else answers.part(start, stop)
            start = stop
            if start >= len(rows):
                return

    def _inputs(self, evidence: Evidence) -> tuple[dict[str, Tensor], Tensor]:
        """Return each node's likelihood (rows, states), linear, peak one; and the log taken out."""
        scale = evidence.log_weight
        linear: dict[str, Tensor] = {}
        for name, logs in evidence.log_likelihood.items():
            peak = logs.amax(1, keepdim=True)
            linear[name] = (logs - peak).exp()
            scale = scale + peak[:, 0]
        inputs = {}
        if self.network.root in linear:
            inputs[self.network.root] = linear[self.network.root]
        for node in self.network.nodes.values():
            present = [name for name in node.variables if name in linear]
            if present:
                inputs[node.name] = _block(node, linear)
        return inputs, scale

    def _log_z(
        self,
        evidence: Evidence,
        inputs: Mapping[str, Tensor],
        scale: Tensor,
        tilts: Tensor | None,
    ) -> Tensor:
        """Return log Z of each item, (N,)."""
        below = {name: u for name, u in inputs.items() if name != self.network.root}
        tilted = None if tilts is None else (tilts, self.tilts)
        rows = log_partition(self.steps, self.tables, below, tilted) + self.scale + self.log_root
        if self.network.root in inputs:
            rows = rows + inputs[self.network.root].clamp_min(1e-300).log()
        rows = torch.logsumexp(rows, dim=1) + scale
        index = torch.as_tensor(evidence.row_item)
        peak = torch.full((evidence.items,), -torch.inf, dtype=torch.float64)
        peak = peak.scatter_reduce(0, index, rows.detach(), "amax")
        total = torch.zeros(evidence.items, dtype=torch.float64)
        total = total.index_add(0, index, (rows - peak[index]).exp())
        return total.log() + peak

    def _posterior(self, answers: Answers) -> Posterior:
        evidence = self.observations.evidence(answers)
        inputs, scale = self._inputs(evidence)
        rows, network = len(evidence.row_item), self.network
        for name, size in self._leaves():
            if name not in inputs:
                inputs[name] = torch.ones(rows, size, dtype=torch.float64)
            inputs[name].requires_grad_()
        tilts = torch.zeros(rows, len(self.rules), dtype=torch.float64, requires_grad=True)
        log_z = self._log_z(evidence, inputs, scale, tilts)
        leaves = [inputs[name] for name, _ in self._leaves()]
        *gradients, tilt = torch.autograd.grad(log_z.sum(), [*leaves, tilts], allow_unused=True)
        index = torch.as_tensor(evidence.row_item)
        found: dict[str, Floats] = {}
        blocks: dict[str, Floats] = {}
        for (name, size), leaf, gradient in zip(self._leaves(), leaves, gradients, strict=True):
            weighted = leaf.detach() * gradient
            total = torch.zeros(evidence.items, size, dtype=torch.float64)
            blocks[name] = total.index_add_(0, index, weighted).numpy()
        found[network.root] = blocks.pop(network.root)
        for name, joint in blocks.items():
            found |= _spread(network, network.nodes[name], joint)
        violations = torch.zeros(evidence.items, len(self.rules), dtype=torch.float64)
        if tilt is not None:
            violations.index_add_(0, index, tilt)
        return Posterior(
            answers.items,
            found | _derived(network, blocks),
            _correlation(network, blocks, len(answers.items)),
            log_z.detach().numpy(),
            tuple(rule.name for rule in self.rules),
            violations.numpy(),
        )

    def _leaves(self) -> list[tuple[str, int]]:
        """Return the nodes whose marginals are wanted, the root first."""
        own = [(n.name, n.size) for n in self.network.nodes.values() if n.variables]
        return [(self.network.root, len(self.network.root_states)), *own]


def _block(node: Node, linear: Mapping[str, Tensor]) -> Tensor:
    """Return the likelihood of a node's states from those of its variables."""
    if len(node.variables) == 1 and not node.cell:
        return linear[node.variables[0]]
    assert node.index is not None
    product: Tensor | None = None
    for column, name in enumerate(node.variables):
        if name in linear:
            part = linear[name][:, torch.as_tensor(node.index[:, column])]
            product = part if product is None else product * part
    assert product is not None
    return product


def _spread(network: Network, node: Node, joint: Floats) -> dict[str, Floats]:
    """Return the marginals of a node's variables from those of its states."""
    if len(node.variables) == 1 and not node.cell:
        return {node.variables[0]: joint}
    assert node.index is not None
    return {
        name: joint @ np.eye(len(network.knowledge.variables[name].states))[node.index[:, column]]
        for column, name in enumerate(node.variables)
    }


def _derived(network: Network, blocks: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the marginals of derived variables."""
    found = {}
    for variable in network.knowledge.variables.values():
        if variable.kind != "derived":
            continue
        node = next(n for n in network.nodes.values() if variable.formulas[0].variables() <= set(n.variables))
        assert node.index is not None
        values = {name: node.index[:, i] for i, name in enumerate(node.variables)}
        holds = np.stack([f.holds(values) for f in variable.formulas], axis=1)
        found[variable.name] = blocks[node.name] @ holds.astype(np.float64)
    return found


def _correlation(network: Network, blocks: Mapping[str, Floats], items: int) -> Floats:
    """Return the correlation of the block's first two variables; values uniform within bins."""
    base = network.knowledge
    if len(base.affect) < 2:
        return np.full(items, np.nan)
    node = network.nodes[network.node_of[base.affect[0]]]
    assert node.index is not None
    joint = blocks[node.name]
    moments = []
    for column, name in enumerate(base.affect[:2]):
        edges = np.array(base.variables[name].edges)
        value = ((edges[:-1] + edges[1:]) / 2)[node.index[:, column]]
        mean = joint @ value
        variance = joint @ value**2 - mean**2 + (edges[1] - edges[0]) ** 2 / 12
        moments.append((value, mean, variance))
    (v, v_mean, v_var), (a, a_mean, a_var) = moments
    return np.asarray((joint @ (v * a) - v_mean * a_mean) / np.sqrt(v_var * a_var))
