"""Expectations tested on a compiled base, and which numbers would have to move where one fails.

What is demanded of the root is a contrast L of its states' log-posteriors, at least 0 where it is met. Its
derivatives by all declared numbers are `adjoint`'s; the change that each number would need is -L / dL/dd to
first order, and then exact, by compiling anew. The numbers are ranked by that change in units of their own
standard deviation, as their strength gives it: the first is the one that its author was least sure of.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.analysis.adjoint import slopes
from engine.analysis.declared_values import DeclaredValue, declared_values
from engine.compilation.compiler import compile_network
from engine.errors import KnowledgeError
from engine.inference.known_values import allowed_evidence
from engine.inference.posterior import Inference
from engine.language.formula_parser import COMPARISONS
from engine.model.expectation import Bound, Expectation, Order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.backend.types import Floats
    from engine.observation.evidence import Evidence

# Numbers that are shown of one that fails, and steps of the search for the exact value of each.
MOST_REMEDIES, MOST_STEPS = 3, 8
# A change of more standard deviations than this is no mere correction, and is not searched for.
FARTHEST = 6.0
# The search ends where the contrast is this near to 0, nats, on the side on which the demand is met.
NEAR = 0.005
LEAST = 1e-12


@dataclass(frozen=True)
class Remedy:
    """A number that would meet the demand alone, at the value `needed`.

    deviations: how far that is, in units of the standard deviation that its strength gives it.
    """

    declared: DeclaredValue
    needed: float
    deviations: float


@dataclass(frozen=True)
class DemandResult:
    """A demand, whether it is met, the figures that decide, in words, and what would meet it.

    searched: whether such numbers were sought, as they are of the root's states.
    """

    demand: Bound | Order
    holds: bool
    reached: str
    searched: bool = False
    remedies: tuple[Remedy, ...] = ()


@dataclass(frozen=True)
class ExpectationResult:
    """An expectation and the results of its demands; root: P(state | given), (K,)."""

    expectation: Expectation
    root: Floats
    demands: tuple[DemandResult, ...]

    @property
    def holds(self) -> bool:
        """Return whether all demands are met."""
        return all(result.holds for result in self.demands)


def examine_expectation(inference: Inference, expectation: Expectation) -> ExpectationResult:
    """Return whether what an expectation demands follows from a compiled base."""
    evidence = _evidence(inference, expectation)
    given = {name: p[0] for name, p in inference.marginals(evidence).items()}
    root = given[inference.knowledge.root]
    results = []
    for demand in expectation.demands:
        if isinstance(demand, Bound):
            figure = _figure(inference, given, demand)
            holds, reached = COMPARISONS[demand.compare](figure, demand.value), f"{figure:.3f}"
        else:
            holds = _margin(root, demand) > 0
            reached = _order_text(inference, root, demand)
        of_root = isinstance(demand, Order) or demand.state is not None
        searched = of_root and not holds
        remedies = _remedies(inference, evidence, root, demand) if searched else ()
        results.append(DemandResult(demand, holds, reached, searched, remedies))
    return ExpectationResult(expectation, root, tuple(results))


def _evidence(inference: Inference, expectation: Expectation) -> Evidence:
    allowed = {name: np.array([states]) for name, states in (expectation.given or {}).items()}
    return allowed_evidence(inference, allowed)


def _figure(inference: Inference, given: Mapping[str, Floats], bound: Bound) -> float:
    """Return the probability or the mean that a bound is about."""
    if bound.state is not None:
        return float(given[bound.variable][bound.state])
    edges = np.array(inference.knowledge.variables[bound.variable].edges)
    p = given[bound.variable]
    return float(p @ ((edges[:-1] + edges[1:]) / 2)) if len(edges) else float(p[1])


def _order_text(inference: Inference, root: Floats, order: Order) -> str:
    names = inference.knowledge.variables[inference.knowledge.root].states
    states = order.states if not order.not_first else (*order.states, _rival(root, order.states[0]))
    return ", ".join(f"{names[state]} {root[state]:.3f}" for state in states)


def _rival(root: Floats, state: int) -> int:
    """Return the likeliest of the other states."""
    return int(np.where(np.arange(len(root)) == state, -1.0, root).argmax())


def _margin(root: Floats, demand: Bound | Order) -> float:
    """Return the contrast, nats: at or above 0 where the demand is met."""
    p = np.maximum(root, LEAST)
    if isinstance(demand, Order):
        first, second = (
            (_rival(root, demand.states[0]), demand.states[0]) if demand.not_first else demand.states
        )
        return float(np.log(p[first] / p[second]))
    assert demand.state is not None
    state = demand.state
    log_odds = math.log(p[state] / max(1 - p[state], LEAST))
    margin = log_odds - math.log(demand.value / (1 - demand.value))
    return margin if demand.compare.startswith(">") else -margin


def _contrast(root: Floats, demand: Bound | Order) -> Floats:
    """Return the weights of the log-posteriors in the contrast, (K,), which add up to 0."""
    hot = np.eye(len(root))
    if isinstance(demand, Order):
        if demand.not_first:
            return np.asarray(hot[_rival(root, demand.states[0])] - hot[demand.states[0]])
        return np.asarray(hot[demand.states[0]] - hot[demand.states[1]])
    assert demand.state is not None
    others = np.where(hot[demand.state] > 0, 0.0, root)
    weights = hot[demand.state] - others / max(others.sum(), LEAST)
    return np.asarray(weights if demand.compare.startswith(">") else -weights)


def _remedies(
    inference: Inference, evidence: Evidence, root: Floats, demand: Bound | Order
) -> tuple[Remedy, ...]:
    """Return the numbers that would meet a demand alone, those that would have to move least first."""
    declared = slopes(inference, evidence, _contrast(root, demand)[None]).declared[0]
    margin, candidates = _margin(root, demand), []
    for number in declared_values(inference.knowledge):
        slope = declared[number.column]
        if abs(slope) > LEAST:
            needed = number.scaled - margin / slope
            candidates.append((abs(needed - number.scaled) / number.deviation, number, needed))
    remedies: list[Remedy] = []
    for _, number, guess in sorted(candidates, key=lambda candidate: candidate[0])[: 2 * MOST_REMEDIES]:
        needed = _search(inference, evidence, demand, number, (margin, guess))
        deviations = abs(needed - number.scaled) / number.deviation
        if not math.isnan(needed) and deviations <= FARTHEST:
            value = math.exp(needed) if number.kind == "coupling" else needed
            remedies.append(Remedy(number, value, deviations))
        if len(remedies) == MOST_REMEDIES:
            break
    return tuple(sorted(remedies, key=lambda remedy: remedy.deviations))


def _search(
    inference: Inference,
    evidence: Evidence,
    demand: Bound | Order,
    number: DeclaredValue,
    start: tuple[float, float],
) -> float:
    """Return the value, on the scale of the derivatives, that meets a demand; NaN where none is found.

    By secant steps within what is allowed. start: the contrast as it is, and the first-order value.
    """
    low, high = number.limits
    (before, margin), value = (number.scaled, start[0]), start[1]
    for _ in range(MOST_STEPS):
        value = min(max(value, low), high)
        reached = _margin_at(inference, evidence, demand, number, value)
        if math.isnan(reached) or value == before:
            return math.nan
        if 0 <= reached <= NEAR:
            return value
        slope = (reached - margin) / (value - before)
        if abs(slope) < LEAST:
            return math.nan
        before, margin = value, reached
        value -= (reached - NEAR / 2) / slope
    return math.nan


def _margin_at(
    inference: Inference, evidence: Evidence, demand: Bound | Order, number: DeclaredValue, value: float
) -> float:
    """Return the contrast with a number at another value, NaN where that does not compile."""
    base = number.moved(inference.knowledge, value)
    try:
        network = compile_network(base, inference.network)
    except KnowledgeError:
        return math.nan
    root = Inference(network, base, inference.population).marginals(evidence)[base.root][0]
    return _margin(root, demand)
