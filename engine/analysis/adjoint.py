"""Derivatives of a root state's log-odds with respect to every declared number, by the adjoint method.

The compiled parameters x = (λ_e, θ) solve F(x, d) = 0, the gradient of the dual that `compiler` states, with
d what is declared. For a function L of x and d the chain rule through the fit is

    dL/dd = ∂L/∂d - y · ∂F/∂d,     ∂²D/∂x² y = ∂L/∂x,

so that one linear solve (the adjoint) gives the derivative with respect to every declared number. Here L
is the log-odds of one or more root states against others, given an item's evidence; its derivative with
respect to a tilt of feature f given root state e is E[f | e, evidence] - E[f | e].
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from engine.compilation.maxent import DualProblem
from engine.compilation.passes import build_constraints, build_network
from engine.network.junction_tree import add_to_clique
from engine.network.values import Factor

if TYPE_CHECKING:
    from engine.backend.types import Floats
    from engine.compilation.maxent import Constraints
    from engine.inference.posterior import Inference
    from engine.model.knowledge import Knowledge, Moments
    from engine.network.network import Network
    from engine.observation.evidence import Evidence


MOST_ROWS = 64


@dataclass(frozen=True)
class Slopes:
    """Derivatives of C contrasts (nats); a contrast weighs the log-posteriors of the root states.

    declared: (C, D), with respect to what `declared_shift` lists. without: name of a rule or coupling ->
    (C,), the change to first order if it were left out.
    """

    declared: Floats
    without: dict[str, Floats]


def declared_shift(base: Knowledge, other: Knowledge, population: str) -> Floats:
    """Return the differences of the declared numbers of two bases of the same shape, (D,).

    These are log P(root); P(true | root) of the binary variables; what the features of the block of
    intervals must be on average, given each root state; log odds ratios; the rules' confidences; P(root) of
    the reference population, under which these hold.
    """
    log_prior, rates, ratios, confidences, reference = (
        np.subtract(*(np.array(of(knowledge), dtype=np.float64) for knowledge in (other, base)))
        for of in (
            lambda knowledge: np.log(knowledge.populations[population].p),
            lambda knowledge: [[cell.p for cell in row] for row in knowledge.cells.values()],
            lambda knowledge: [math.log(coupling.odds_ratio) for coupling in knowledge.couplings],
            lambda knowledge: [rule.confidence for rule in knowledge.rules],
            lambda knowledge: knowledge.populations[knowledge.reference].p,
        )
    )
    moments = [_moment_shift(*pair) for pair in zip(base.moments, other.moments, strict=True)]
    parts = [log_prior, rates.reshape(-1), *moments, ratios, confidences, reference]
    return np.concatenate(parts)


def slopes(inference: Inference, evidence: Evidence, contrasts: Floats) -> Slopes:
    """Return the slopes of contrasts (C, K) of one item's log-posterior, rows of which add up to 0."""
    network, base = inference.network, inference.knowledge
    if not network.steps:
        # Below the root there is nothing that could be declared otherwise.
        return Slopes(np.pad(contrasts, ((0, 0), (0, len(base.rules) + len(network.root_states)))), {})
    constraints = build_constraints(build_network(base))
    compiled = {rule.name: rule for rule in network.rules}
    both = np.tile([[0.0, 0.0], [0.0, 1.0]], (len(network.root_states), 1, 1))
    conditions = [compiled[rule.name].condition.astype(np.float64) for rule in constraints.rules]
    tilts = (
        *constraints.rules,
        *(Factor("", "rule", r.nodes, c) for r, c in zip(constraints.rules, conditions, strict=True)),
        *(Factor("", "rule", c.pair, both) for c in base.couplings),
    )
    # The compiled factors are all fixed here, and the parameters tilts around them.
    wider = replace(constraints, rules=tilts, bounds=np.zeros(len(tilts)))
    sizes = {name: node.size for name, node in network.nodes.items()}
    model = DualProblem(wider, network.steps, sizes, network.factors)
    _, mean, covariance = model.derivatives(np.zeros((model.k, model.size)))
    after = _means(model, network, evidence)
    u = contrasts[:, :, None] * (after - mean)
    return _adjoint(inference, constraints, mean, covariance, u, contrasts)


def _adjoint(
    inference: Inference,
    constraints: Constraints,
    mean: Floats,
    covariance: Floats,
    u: Floats,
    contrasts: Floats,
) -> Slopes:
    """Solve for y and read off the derivatives; mean: (K, P), covariance: (K, P, P), u: (C, K, P)."""
    base, weights, rule_count = inference.knowledge, constraints.weights, len(constraints.rules)
    fitted = {rule.name: rule for rule in inference.network.rules}
    compiled_rules = [fitted[rule.name] for rule in constraints.rules]
    free = np.array([rule.status == "met" for rule in compiled_rules], dtype=bool)
    binary = len(constraints.binary)
    local = u.shape[2] - 2 * rule_count - len(base.couplings)
    k, size = len(weights), len(weights) * local
    which = local + np.flatnonzero(free)
    weighted = weights[:, None, None] * covariance
    # Every parameter's row of the Hessian, with a column for every tilt.
    ties = np.concatenate([weighted[:, :local].reshape(size, -1), weighted[:, which].sum(0)])
    square = np.zeros((size + len(which), size + len(which)))
    for e in range(k):
        at = slice(e * local, (e + 1) * local)
        square[at, at] = weighted[e, :local, :local]
    square[:, size:] = ties[:, which]
    square[size:, :size] = square[:size, size:].T
    right = np.concatenate([u[:, :, :local].reshape(len(u), size), u[:, :, which].sum(1)], axis=1)
    inverse = np.linalg.inv(square + 1e-11 * np.trace(square) / len(square) * np.eye(len(square)))
    y = right @ inverse
    tilted = u[:, :, local:].sum(1) - y @ ties[:, local:]
    declared = y[:, :size].reshape(-1, k, local) * weights[:, None]
    confidences, without = np.zeros((len(u), len(base.rules))), {}
    order = {rule.name: number for number, rule in enumerate(base.rules)}
    for number, rule in enumerate(compiled_rules):
        if free[number]:
            place = size + int(free[:number].sum())
            slope = -rule.weight * tilted[:, rule_count + number] + y[:, place] * rule.p_if
            confidences[:, order[rule.name]] = slope
            without[rule.name] = -rule.weight * y[:, place] / inverse[place, place]
        else:
            without[rule.name] = -rule.weight * tilted[:, number]
    ratios = tilted[:, 2 * rule_count :]
    for number, coupling in enumerate(base.couplings):
        without[coupling.name] = -math.log(coupling.odds_ratio) * ratios[:, number]
    rates = declared[:, :, :binary].transpose(0, 2, 1)
    # A rule holds over all root states together: E[if · (then - c)] of each counts as often as it does.
    reference = -y[:, size:] @ mean[:, which].T
    parts = [contrasts, rates, declared[:, :, binary:], ratios, confidences, reference]
    return Slopes(np.concatenate([part.reshape(len(u), -1) for part in parts], axis=1), without)


def _means(model: DualProblem, network: Network, evidence: Evidence) -> Floats:
    """Return E[feature | root state, evidence], (K, P): of each row, then of the rows by their shares."""
    totals, means = [], []
    for start in range(0, len(evidence.row_item), MOST_ROWS):
        cut = slice(start, start + MOST_ROWS)
        logs = {name: log_table[:, cut] for name, log_table in evidence.log_likelihood.items()}
        rows = len(evidence.row_item[cut])
        tables = model.log_tables(np.zeros((rows * model.k, model.size)))
        for node in network.state_nodes.values():
            observed = [v for v in node.variables if v in logs]
            if observed:
                log_likelihood = sum(logs[v][node.values_of(v)].T for v in observed)
                row_tables = np.repeat(log_likelihood, model.k, axis=0)
                add_to_clique(model.steps, tables, (node.name,), row_tables)
        total, mean = model.means(tables)
        means.append(mean.reshape(rows, model.k, -1))
        totals.append(total.reshape(rows, model.k))
    log_rows = np.concatenate(totals) + evidence.log_weight[:, None]
    if network.root in evidence.log_likelihood:
        log_rows = log_rows + evidence.log_likelihood[network.root].T
    return np.asarray(np.einsum("rk,rkp->kp", softmax(log_rows, axis=0), np.concatenate(means)))


def _moment_shift(old: Moments, new: Moments) -> Floats:
    """Return the change of the features' required means, standardised by `old`, (F,)."""
    shift = (np.array(new.mean) - np.array(old.mean)) / np.array(old.sd)
    spread = np.array(new.sd) / np.array(old.sd)
    second = np.array(new.correlation) * np.outer(spread, spread) + np.outer(shift, shift)
    upper = np.triu_indices(len(shift))
    return np.concatenate([shift, (second - np.array(old.correlation))[upper]])
