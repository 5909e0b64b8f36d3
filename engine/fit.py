"""The compiler's fit: Newton's method on the dual that `compiler` states.

The Hessian is an arrow: a dense block of each root state's local parameters λ_e, tied only
through the rules' θ. One exact log Z of the junction tree gives values, gradients and Hessians.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.junction_tree import log_partition
from engine.network import Factor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from engine.junction_tree import Clique

    Floats = NDArray[np.float64]
    Event = tuple[tuple[str, ...], Floats]

MOST_STEPS = 60
TOLERANCE = 1e-9
RIDGE = 1e-11


@dataclass(frozen=True)
class Constraints:
    """What the compiled network has to meet.

    weights: (K,) P(root), reference. binary: J node names; rates: (K, J) P(true | root).
    block: the block's node or ""; features: (K, cells, F), their required means targets: (K, F).
    rules: R factors whose tables are if · (then - c), (K, sizes...); bounds: (R,) of |θ|.
    """

    weights: Floats
    binary: tuple[str, ...]
    rates: Floats
    block: str
    features: Floats | None
    targets: Floats | None
    rules: tuple[Factor, ...]
    bounds: Floats


@dataclass(frozen=True)
class Solution:
    """tables: local factors (log P-like, (K, states)); rules: factors θ · feature; theta: (R,);
    log_z: (K,) of all factors; events: the probabilities asked for; marginals: node -> (K, states).
    """

    tables: tuple[Factor, ...]
    rules: tuple[Factor, ...]
    theta: Floats
    log_z: Floats
    events: Floats
    marginals: Mapping[str, Floats]


class _Model:
    """Clique tables as an affine function of the parameters (K, J + F + R)."""

    def __init__(
        self,
        constraints: Constraints,
        steps: Sequence[Clique],
        sizes: Mapping[str, int],
        fixed: Sequence[Factor],
    ) -> None:
        import torch

        self.torch = torch
        self.c = constraints
        self.steps = steps
        self.sizes = sizes
        self.k = len(constraints.weights)
        self.static = [torch.zeros(1, *(sizes[n] for n in step.nodes), dtype=torch.float64) for step in steps]
        for factor in fixed:
            self.add(self.static, factor.nodes, torch.as_tensor(factor.log_table))
        self.features = None if constraints.features is None else torch.as_tensor(constraints.features)
        self.rule_tables = [torch.as_tensor(rule.log_table) for rule in constraints.rules]
        self.local = len(constraints.binary) + (0 if self.features is None else self.features.shape[2])
        self.size = self.local + len(constraints.rules)

    def add(self, tables: list[Tensor], nodes: tuple[str, ...], log_table: Tensor) -> None:
        """Add a log-table (1 or K, nodes...) to a clique that holds its nodes."""
        index, step = next((i, s) for i, s in enumerate(self.steps) if set(nodes) <= set(s.nodes))
        order = sorted(range(len(nodes)), key=lambda i: step.nodes.index(nodes[i]))
        table = log_table.permute(0, *(1 + i for i in order))
        shape = [table.shape[0]] + [self.sizes[n] if n in nodes else 1 for n in step.nodes]
        tables[index] = tables[index] + table.reshape(shape)

    def log_tables(self, parameters: Tensor) -> list[Tensor]:
        """Return the log-table of every clique, (1 or rows of parameters, sizes...)."""
        torch = self.torch
        tables = list(self.static)
        copies = len(parameters) // self.k
        zero = parameters.new_zeros(len(parameters))
        for j, name in enumerate(self.c.binary):
            self.add(tables, (name,), torch.stack([zero, parameters[:, j]], dim=1))
        if self.features is not None:
            own = parameters[:, len(self.c.binary) : self.local].reshape(copies, self.k, -1)
            scores = torch.einsum("ksf,ckf->cks", self.features, own)
            self.add(tables, (self.c.block,), scores.flatten(0, 1))
        for r, rule in enumerate(self.c.rules):
            table = self.rule_tables[r].repeat(copies, *[1] * len(rule.nodes))
            weight = parameters[:, self.local + r].reshape(-1, *[1] * len(rule.nodes))
            self.add(tables, rule.nodes, table * weight)
        return tables

    def log_z(self, tables: list[Tensor]) -> Tensor:
        """Return log Z of each row, (rows,)."""
        rows = max(len(t) for t in tables)
        # A constant taken out of each table keeps its exponential within range.
        peaks = [t.detach().flatten(1).amax(1) for t in tables]
        linear = [
            (t - p.reshape(-1, *[1] * (t.dim() - 1))).exp().expand(rows, *t.shape[1:])
            for t, p in zip(tables, peaks, strict=True)
        ]
        total = log_partition(self.steps, linear, {})[0]
        return total + sum(peaks)

    def derivatives(self, parameters: Floats) -> tuple[Floats, Floats, Floats]:
        """Return log Z (K,), its gradient (K, P) and Hessian (K, P, P).

        The Hessian's P rows are P copies of the root's states, each asked for one derivative.
        """
        torch = self.torch
        x = torch.as_tensor(parameters).repeat(self.size, 1).requires_grad_()
        value = self.log_z(self.log_tables(x))
        (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        copies = gradient.reshape(self.size, self.k, self.size)
        (hessian,) = torch.autograd.grad(copies.diagonal(dim1=0, dim2=2).sum(), x)
        return (
            value[: self.k].detach().numpy(),
            gradient[: self.k].detach().numpy(),
            hessian.reshape(self.size, self.k, self.size).permute(1, 0, 2).numpy(),
        )

    def value(self, parameters: Floats) -> Floats:
        """Return log Z (K,)."""
        with self.torch.no_grad():
            return self.log_z(self.log_tables(self.torch.as_tensor(parameters))).numpy()

    def expectations(self, parameters: Floats, events: Sequence[Event]) -> tuple[Floats, list[Floats]]:
        """Return P(event) under the reference population and every node's marginals (K, states)."""
        torch = self.torch
        tables = [t.detach() for t in self.log_tables(torch.as_tensor(parameters))]
        tilts = torch.zeros(len(events), dtype=torch.float64, requires_grad=True)
        units = [
            torch.zeros(self.k, self.sizes[n], dtype=torch.float64, requires_grad=True) for n in self.sizes
        ]
        for (nodes, table), tilt in zip(events, tilts, strict=True):
            self.add(tables, nodes, torch.as_tensor(table) * tilt)
        for name, unit in zip(self.sizes, units, strict=True):
            self.add(tables, (name,), unit)
        total = self.log_z(tables)
        expected = torch.as_tensor(self.c.weights) @ total
        first = torch.autograd.grad(expected, tilts, retain_graph=True)[0] if events else tilts
        marginals = torch.autograd.grad(total.sum(), units)
        return first.detach().numpy(), [m.numpy() for m in marginals]


def fit(
    constraints: Constraints,
    steps: Sequence[Clique],
    sizes: Mapping[str, int],
    fixed: Sequence[Factor],
    events: Sequence[tuple[tuple[str, ...], Floats, Floats]],
) -> Solution:
    """Find the local tables and θ; `events` are nodes with two events a rule to report P of."""
    model = _Model(constraints, steps, sizes, fixed)
    targets = _targets(constraints)
    parameters = _newton(model, constraints, targets)
    theta = parameters[0, model.local :]
    flat = [(nodes, table) for nodes, *pair in events for table in pair]
    probabilities, marginals = model.expectations(parameters, flat)
    tables = _local_factors(model, parameters)
    rules = tuple(
        Factor(rule.name, "rule", rule.nodes, rule.log_table * t)
        for rule, t in zip(constraints.rules, theta, strict=True)
    )
    return Solution(
        tables,
        rules,
        theta,
        model.value(parameters) - _normalisers(model, parameters),
        probabilities,
        dict(zip(sizes, marginals, strict=True)),
    )


def _targets(c: Constraints) -> Floats:
    return c.rates if c.targets is None else np.concatenate([c.rates, c.targets], axis=1)


def _start(model: _Model, c: Constraints) -> Floats:
    parameters = np.zeros((model.k, model.size))
    parameters[:, : len(c.binary)] = np.log(c.rates / (1 - c.rates))
    return parameters


def _newton(model: _Model, c: Constraints, targets: Floats) -> Floats:
    """Minimise the dual: damped Newton steps, θ held within its bounds."""
    parameters = _start(model, c)
    for _ in range(MOST_STEPS):
        value, gradient, hessian = model.derivatives(parameters)
        miss = gradient[:, : model.local] - targets
        pull = c.weights @ gradient[:, model.local :]
        theta = parameters[0, model.local :]
        held = ((theta >= c.bounds) & (pull < 0)) | ((theta <= -c.bounds) & (pull > 0))
        if max(np.abs(miss).max(initial=0), np.abs(pull[~held]).max(initial=0)) < TOLERANCE:
            break
        step = _step(model, c, hessian, miss, pull, theta, held)
        dual = c.weights @ (value - (parameters[:, : model.local] * targets).sum(1))
        slope = float(c.weights @ (miss * step[:, : model.local]).sum(1) + pull @ step[0, model.local :])
        parameters = _search(model, c, targets, parameters, step, dual, slope)
    return parameters


def _step(
    model: _Model,
    c: Constraints,
    hessian: Floats,
    miss: Floats,
    pull: Floats,
    theta: Floats,
    held: NDArray[np.bool_],
) -> Floats:
    """Solve the arrow system by its Schur complement in θ; θ's step ends within the bounds."""
    own = hessian[:, : model.local, : model.local]
    tie = hessian[:, : model.local, model.local :]
    ridge = RIDGE * (np.einsum("kii->ki", own).max(initial=1.0) + 1)
    inverse = np.linalg.inv(own + ridge * np.eye(model.local))
    carried = inverse @ tie
    schur = np.einsum("k,krs->rs", c.weights, hessian[:, model.local :, model.local :])
    schur -= np.einsum("k,klr,kls->rs", c.weights, tie, carried)
    right = -pull + np.einsum("k,kl,klr->r", c.weights, miss, carried)
    move = np.zeros(len(theta))
    free = ~held
    if free.any():
        inner = schur[np.ix_(free, free)]
        scale = np.sqrt(np.maximum(np.diag(inner), 1e-14))
        white = inner / np.outer(scale, scale) + 1e-9 * np.eye(len(scale))
        move[free] = np.linalg.solve(white, right[free] / scale) / scale
    move = np.clip(theta + np.clip(move, -2, 2), -c.bounds, c.bounds) - theta
    local = -np.einsum("klm,km->kl", inverse, miss) - carried @ move
    return np.concatenate([local, np.broadcast_to(move, (model.k, len(move)))], axis=1)


def _search(
    model: _Model,
    c: Constraints,
    targets: Floats,
    parameters: Floats,
    step: Floats,
    dual: float,
    slope: float,
) -> Floats:
    """Halve the step until the dual falls as much as its slope promises."""
    length = 1.0
    for _ in range(30):
        trial = parameters + length * step
        value = model.value(trial)
        found = c.weights @ (value - (trial[:, : model.local] * targets).sum(1))
        if np.isfinite(found) and found <= dual + 1e-4 * length * min(slope, 0.0) + 1e-13:
            return trial
        length /= 2
    return parameters


def _local_factors(model: _Model, parameters: Floats) -> tuple[Factor, ...]:
    """Return the local tables as log P-like factors, normalised for each root state."""
    c = model.c
    tables = []
    for j, name in enumerate(c.binary):
        log_table = np.stack([np.zeros(model.k), parameters[:, j]], axis=1)
        tables.append((name, log_table))
    if c.features is not None:
        scores = parameters[:, len(c.binary) : model.local]
        tables.append((c.block, np.einsum("ksf,kf->ks", c.features, scores)))
    return tuple(Factor(name, "table", (name,), table - _log_sum(table)[:, None]) for name, table in tables)


def _normalisers(model: _Model, parameters: Floats) -> Floats:
    """Return the sum of the local tables' log normalisers, (K,)."""
    c = model.c
    total = np.logaddexp(0, parameters[:, : len(c.binary)]).sum(1)
    if c.features is not None:
        scores = parameters[:, len(c.binary) : model.local]
        total = total + _log_sum(np.einsum("ksf,kf->ks", c.features, scores))
    return np.asarray(total)


def _log_sum(table: Floats) -> Floats:
    peak = table.max(axis=1)
    return np.asarray(peak + np.log(np.exp(table - peak[:, None]).sum(axis=1)))
