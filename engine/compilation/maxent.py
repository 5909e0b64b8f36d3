"""The compiler's fit: Newton's method on the dual that `compiler` states.

The Hessian is an arrow: a dense block of each root state's local parameters λ_e, tied only
through the rules' θ. One exact log Z of the junction tree gives values, gradients and Hessians.
Where there are many rules, a limited-memory quasi-Newton method within the bounds (Byrd, Lu, Nocedal &
Zhu 1995, doi:10.1137/0916069) finds θ, and Newton's method then makes the local tables exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.compilation.log_partition import log_partition, moments
from engine.network.junction_tree import add_to_clique, aligned_table
from engine.network.values import Factor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.backend.types import Bools, Floats
    from engine.compilation.log_partition import Design
    from engine.network.values import Clique

    Event = tuple[tuple[str, ...], Floats]

MOST_STEPS = 60
TOLERANCE = 1e-9
RIDGE = 1e-11
MOST_DENSE = 600
MOST_WORK = 600_000


@dataclass(frozen=True)
class Constraints:
    """The constraints of the compiled network.

    weights: (K,) P(root), reference. binary: J node names; rates: (K, J) P(true | root).
    block: the block's node; features: (K, cells, F), their required means targets: (K, F). Without a block
    they are "", (K, 0, 0) and (K, 0).
    rules: R factors whose tables are if · (then - c), (K, sizes...); bounds: (R,) of |θ|.
    """

    weights: Floats
    binary: tuple[str, ...]
    rates: Floats
    block: str
    features: Floats
    targets: Floats
    rules: tuple[Factor, ...]
    bounds: Floats


@dataclass(frozen=True)
class Solution:
    """The minimum of the dual.

    parameters: (K, J + F + R). theta: (R,); held: (R,) where θ is at its bound. tables: the local
    tables, log P-like (K, states); rules: factors θ · feature. log_z: (K,) of all factors.
    marginals: node -> (K, states). miss: how far the worst declared rate or standardised moment is
    from being met.
    """

    parameters: Floats
    theta: Floats
    held: Bools
    tables: tuple[Factor, ...]
    rules: tuple[Factor, ...]
    log_z: Floats
    marginals: Mapping[str, Floats]
    miss: float


class DualProblem:
    """The dual and its minimum.

    Clique log-tables are an affine function of parameters (K, J + F + R): the local tables' λ, and
    θ, the same in every row.
    """

    def __init__(
        self,
        constraints: Constraints,
        steps: Sequence[Clique],
        sizes: Mapping[str, int],
        fixed: Sequence[Factor],
        begin: Floats | None = None,
    ) -> None:
        """begin: parameters (K, J + F + R) near the minimum, where such are known."""
        self.c = constraints
        self.steps = steps
        self.sizes = sizes
        self.k = len(constraints.weights)
        self.static = [np.zeros((1, *(sizes[n] for n in step.nodes))) for step in steps]
        for factor in fixed:
            add_to_clique(steps, self.static, factor.nodes, factor.log_table)
        self.targets = np.concatenate([constraints.rates, constraints.targets], axis=1)
        self.local = self.targets.shape[1]
        self.size = self.local + len(constraints.rules)
        self.begin = begin
        self.cells = sum(math.prod(sizes[name] for name in step.nodes) for step in steps)
        # Cells that were summed over so far: what a fit takes in time, on any machine.
        self.work = 0
        self.designs = self._designs()

    def _designs(self) -> list[Design | None]:
        """Return for each clique which parameters tilt it, and how: (K or 1, parameters, cells)."""
        units = np.array([[0.0, 1.0]])
        features: list[tuple[int, tuple[str, ...], Floats]]
        features = [(j, (name,), units) for j, name in enumerate(self.c.binary)]
        features += [
            (len(self.c.binary) + f, (self.c.block,), self.c.features[:, :, f])
            for f in range(self.c.features.shape[2])
        ]
        features += [(self.local + r, rule.nodes, rule.log_table) for r, rule in enumerate(self.c.rules)]
        by_clique: dict[int, list[tuple[int, Floats]]] = {}
        for column, nodes, table in features:
            index, wide = aligned_table(self.steps, nodes, table)
            full = np.broadcast_to(wide, (len(wide), *self.static[index].shape[1:]))
            by_clique.setdefault(index, []).append((column, full.reshape(len(wide), -1)))
        designs: list[Design | None] = [None] * len(self.steps)
        for index, members in by_clique.items():
            rows = max(len(full) for _, full in members)
            tables = [np.broadcast_to(full, (rows, full.shape[1])) for _, full in members]
            designs[index] = [column for column, _ in members], np.stack(tables, axis=1)
        return designs

    def log_tables(self, parameters: Floats) -> list[Floats]:
        """Return the log-table of every clique, (1 or rows of parameters, sizes...)."""
        copies = len(parameters) // self.k
        tables = [np.tile(t, (copies, *[1] * (t.ndim - 1))) if len(t) > 1 else t for t in self.static]
        for index, design in enumerate(self.designs):
            if design is not None:
                columns, features = design
                clique_parameters = parameters[:, columns].reshape(copies, self.k, 1, -1)
                tilt = (clique_parameters @ features).reshape(len(parameters), *tables[index].shape[1:])
                tables[index] = tables[index] + tilt
        return tables

    def means(self, log_tables: Sequence[Floats]) -> tuple[Floats, Floats]:
        """Return log Z (rows,) of log-tables, and E of each feature (rows, P)."""
        results = moments(self.steps, log_tables, self.designs, self.size)
        return results.log_z, results.mean

    def derivatives(self, parameters: Floats, count: int | None = None) -> tuple[Floats, Floats, Floats]:
        """Return log Z (K,), its gradient and Hessian in the first parameters, (K, P) and (K, P, P).

        count: P, all by default.
        """
        count = self.size if count is None else count
        self.work += max(count, 1) * self.cells
        results = moments(self.steps, self._wide(parameters), self.designs, self.size, count)
        hessian = np.zeros((self.k, 0, 0)) if results.covariance is None else results.covariance
        return results.log_z, results.mean[:, :count], hessian

    def slope(self, parameters: Floats) -> tuple[Floats, Floats]:
        """Return log Z (K,) and its gradient (K, P)."""
        self.work += self.cells
        return self.means(self._wide(parameters))

    def value(self, parameters: Floats) -> Floats:
        """Return log Z (K,)."""
        self.work += self.cells
        return log_partition(self.steps, self._wide(parameters))

    def probabilities(self, events: Sequence[Event], parameters: Floats | None = None) -> Floats:
        """Return P(event) of each event, (events,), in the reference population.

        parameters: (K, J + F + R); those of the unfitted tables where none are given.
        """
        if not self.steps:
            return np.zeros(len(events))
        tables = self._wide(self.start() if parameters is None else parameters)
        beliefs = moments(self.steps, tables, self.designs, self.size).beliefs
        probabilities = []
        for nodes, table in events:
            index, wide = aligned_table(self.steps, nodes, table)
            belief = beliefs[index]
            by_state = (belief * wide).reshape(self.k, -1).sum(1)
            probabilities.append(float(self.c.weights @ by_state))
        return np.array(probabilities)

    def marginals(self, parameters: Floats) -> dict[str, Floats]:
        """Return P(node | root) of every node, (K, states)."""
        beliefs = moments(self.steps, self._wide(parameters), self.designs, self.size).beliefs
        marginals = {}
        for name in self.sizes:
            index, step = next((i, s) for i, s in enumerate(self.steps) if name in s.nodes)
            others = tuple(1 + axis for axis, node in enumerate(step.nodes) if node != name)
            marginals[name] = beliefs[index].sum(axis=others)
        return marginals

    def _wide(self, parameters: Floats) -> list[Floats]:
        """Return the log-tables with a row for each root state in one at least."""
        tables = self.log_tables(parameters)
        if tables:
            tables[0] = np.broadcast_to(tables[0], (self.k, *tables[0].shape[1:]))
        return tables

    def start(self) -> Floats:
        """Return the parameters (K, J + F + R) of the declared rates, everything else zero."""
        parameters = np.zeros((self.k, self.size))
        parameters[:, : len(self.c.binary)] = np.log(self.c.rates / (1 - self.c.rates))
        return parameters

    def fit(self, bounds: Floats) -> Solution:
        """Minimise the dual with |θ| <= bounds, (R,)."""
        if not self.steps:
            none = np.zeros(0)
            return Solution(self.start(), none, none > 0, (), (), np.zeros(self.k), {}, 0.0)
        begin, count = self.start() if self.begin is None else self.begin, self.size
        if self.size > MOST_DENSE:
            begin, count = _lbfgs(self, begin, bounds), self.local
        parameters, miss = _newton(self, begin, bounds, count)
        theta = parameters[0, self.local :]
        return Solution(
            parameters,
            theta,
            np.abs(theta) >= bounds - 1e-9,
            _local_factors(self, parameters),
            tuple(
                Factor(rule.name, "rule", rule.nodes, rule.log_table * t)
                for rule, t in zip(self.c.rules, theta, strict=True)
            ),
            self.value(parameters) - _normalisers(self, parameters),
            self.marginals(parameters),
            miss,
        )


def _newton(model: DualProblem, begin: Floats, bounds: Floats, count: int) -> tuple[Floats, float]:
    """Return the parameters (K, J + F + R) at which the constraints hold, and what the worst of them misses.

    The way there is damped Newton steps, θ kept within its bounds.

    count: how many of the parameters move: all, or the local ones only. A Hessian serves again as long as
    steps by it bring the constraints ten times nearer, as they do where the fit begins near its end.
    """
    c, targets, rules = model.c, model.targets, count - model.local
    parameters, worst, bounds = begin, 0.0, bounds[:rules]
    hessian, before = None, np.inf
    for _ in range(MOST_STEPS):
        if hessian is None:
            value, gradient, hessian = model.derivatives(parameters, count)
        else:
            value, gradient = model.slope(parameters)
            gradient = gradient[:, :count]
        miss = gradient[:, : model.local] - targets
        pull = c.weights @ gradient[:, model.local :]
        theta = parameters[0, model.local : count]
        held = ((theta >= bounds) & (pull < 0)) | ((theta <= -bounds) & (pull > 0))
        worst = float(np.abs(miss).max(initial=0))
        residual = max(worst, np.abs(pull[~held]).max(initial=0))
        if residual < TOLERANCE:
            break
        if residual > before / 10:
            _, _, hessian = model.derivatives(parameters, count)
        before = residual
        step = _step(model, hessian, miss, pull, (-bounds - theta, bounds - theta))
        dual = c.weights @ (value - (parameters[:, : model.local] * targets).sum(1))
        slope = float(c.weights @ (miss * step[:, : model.local]).sum(1) + pull @ step[0, model.local :])
        step = np.pad(step, ((0, 0), (0, model.size - count)))
        parameters = _search(model, parameters, step, dual, slope)
    return parameters, worst


def _lbfgs(model: DualProblem, begin: Floats, bounds: Floats) -> Floats:
    """Return the parameters (K, J + F + R) that minimise the dual, by L-BFGS-B.

    Each parameter is in units of its curvature at the start.
    A larger base gets fewer steps: thousands of rules can seldom all hold, and the confidence that each
    reaches after some hundred steps is reported.
    """
    from scipy.optimize import minimize

    c, targets, k, local = model.c, model.targets, model.k, model.local
    events = [(rule.nodes, rule.log_table**2) for rule in c.rules]
    curvature = model.probabilities(events, begin)
    spread = np.ones((k, local))
    spread[:, : len(c.binary)] = c.rates * (1 - c.rates)
    spread *= c.weights[:, None]
    scale = 1 / np.sqrt(np.concatenate([spread.reshape(-1), curvature]) + 1e-6)

    def whole(x: Floats) -> Floats:
        local_values, theta = np.split(x * scale, [k * local])
        return np.concatenate(
            [local_values.reshape(k, local), np.broadcast_to(theta, (k, len(theta)))], axis=1
        )

    def dual(x: Floats) -> tuple[float, Floats]:
        parameters = whole(x)
        value, gradient = model.slope(parameters)
        dual_value = c.weights @ (value - (parameters[:, :local] * targets).sum(1))
        miss = c.weights[:, None] * (gradient[:, :local] - targets)
        return float(dual_value), np.concatenate([miss.reshape(-1), c.weights @ gradient[:, local:]]) * scale

    ends = np.concatenate([np.full(k * local, np.inf), bounds]) / scale
    x = np.concatenate([begin[:, :local].reshape(-1), begin[0, local:]]) / scale
    most = MOST_WORK // model.size
    options = {"maxiter": most, "maxfun": 2 * most, "maxcor": 30, "ftol": 1e-12, "gtol": 1e-7}
    box = list(zip(-ends, ends, strict=True))
    optimum = minimize(
        dual, np.clip(x, -ends, ends), jac=True, method="L-BFGS-B", bounds=box, options=options
    )
    return whole(optimum.x)


def _step(
    model: DualProblem, hessian: Floats, miss: Floats, pull: Floats, limits: tuple[Floats, Floats]
) -> Floats:
    """Return the Newton step (K, parameters that move), θ's within its limits.

    The arrow system is solved by its Schur complement in θ. hessian, miss: by root state; pull, limits: (R,).
    """
    weights = model.c.weights
    local_hessian = hessian[:, : model.local, : model.local]
    tie = hessian[:, : model.local, model.local :]
    ridge = RIDGE * (np.einsum("kii->ki", local_hessian).max(initial=1.0) + 1)
    inverse = np.linalg.inv(local_hessian + ridge * np.eye(model.local))
    carried = inverse @ tie
    schur = np.einsum("k,krs->rs", weights, hessian[:, model.local :, model.local :])
    schur -= np.einsum("k,klr,kls->rs", weights, tie, carried)
    right = -pull + np.einsum("k,kl,klr->r", weights, miss, carried)
    schur += np.diag(1e-9 * np.diag(schur) + 1e-14)
    low, high = np.maximum(limits[0], -2), np.minimum(limits[1], 2)
    move = _box_qp(schur, right, low, high)
    local = -np.einsum("klm,km->kl", inverse, miss) - carried @ move
    return np.concatenate([local, np.broadcast_to(move, (model.k, len(move)))], axis=1)


def _box_qp(square: Floats, right: Floats, low: Floats, high: Floats) -> Floats:
    """Return x (R,), low <= x <= high, that minimises ½ x·Sx - b·x.

    By an active set that starts at 0 and only descends; square: S (R, R), right: b, low, high: (R,).
    Clipping the free solution instead need not descend where rules pull against one another.
    """
    x, fixed = np.zeros(len(right)), np.zeros(len(right), dtype=bool)
    for _ in range(10 * len(right)):
        free, goal = ~fixed, x.copy()
        free_right = (right - square[:, fixed] @ x[fixed])[free]
        goal[free] = np.linalg.solve(square[np.ix_(free, free)], free_right)
        step = goal - x
        room = np.full(len(x), np.inf)
        np.divide(np.where(step > 0, high - x, x - low), np.abs(step), out=room, where=step != 0)
        first = int(room.argmin())
        x = np.clip(x + min(1.0, room[first]) * step, low, high)
        if room[first] < 1:
            x[first] = high[first] if step[first] > 0 else low[first]
            fixed[first] = True
            continue
        slope = square @ x - right
        wrong = np.where(fixed, np.where(x >= high, slope, -slope), 0)
        if wrong.max(initial=0) <= 1e-12:
            break
        fixed[wrong.argmax()] = False
    return x


def _search(model: DualProblem, parameters: Floats, step: Floats, dual: float, slope: float) -> Floats:
    """Return the parameters (K, J + F + R) after a step, halved until the dual falls as its slope says."""
    weights, targets = model.c.weights, model.targets
    length = 1.0
    for _ in range(30):
        trial = parameters + length * step
        value = model.value(trial)
        trial_dual = weights @ (value - (trial[:, : model.local] * targets).sum(1))
        if np.isfinite(trial_dual) and trial_dual <= dual + 1e-4 * length * min(slope, 0.0) + 1e-13:
            return trial
        length /= 2
    return parameters


def _local_factors(model: DualProblem, parameters: Floats) -> tuple[Factor, ...]:
    """Return the local tables as log P-like factors, normalised for each root state."""
    c = model.c
    tables = []
    for j, name in enumerate(c.binary):
        log_table = np.stack([np.zeros(model.k), parameters[:, j]], axis=1)
        tables.append((name, log_table))
    if c.block:
        scores = parameters[:, len(c.binary) : model.local]
        tables.append((c.block, np.einsum("ksf,kf->ks", c.features, scores)))
    return tuple(Factor(name, "table", (name,), table - _log_sum(table)[:, None]) for name, table in tables)


def _normalisers(model: DualProblem, parameters: Floats) -> Floats:
    """Return the sum of the local tables' log normalisers, (K,)."""
    c = model.c
    total = np.logaddexp(0, parameters[:, : len(c.binary)]).sum(1)
    if c.block:
        scores = parameters[:, len(c.binary) : model.local]
        total = total + _log_sum(np.einsum("ksf,kf->ks", c.features, scores))
    return np.asarray(total)


def _log_sum(table: Floats) -> Floats:
    """Return the log of the sum of exponentials over the states, (K,); table: (K, states)."""
    peak = table.max(axis=1)
    return np.asarray(peak + np.log(np.exp(table - peak[:, None]).sum(axis=1)))
