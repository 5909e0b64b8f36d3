"""Knowledge -> Network: maximum entropy around the declared numbers.

    p(e, x) ∝ q(e) · q(block | e) · Π_j q(x_j | e) · Π couplings · Π_r exp(θ_r · if_r · (then_r - c_r))

θ_r makes E[if_r · (then_r - c_r)] = 0, that is P(then | if) = c; the local tables q make
P(x_j | e) and the moments of the block given e as declared; q(e) ∝ P(e) / Z(e) comes last, so
that another population needs no new fit. The local tables and θ are the minimum of a convex dual,

    D(λ, θ) = Σ_e P(e) · (log Z_e(λ_e, θ) - λ_e · m_e),     |θ_r| <= bound_r,

found by Newton's method with exact derivatives (Csiszár 1975, doi:10.1214/aop/1176996454: the
I-projection). The bound is the dual of a slack |P(then, if) - c P(if)| at the price of BOUND: a rule
that cannot hold ends with θ at its bound. Of rules that exclude one another the one with less strength
gives way: it is compiled as if it were absent, and reported as not met.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend.threads import torch_threads
from engine.compilation.maxent import DualProblem
from engine.compilation.passes import (
    PartialNetwork,
    build_cliques,
    build_constraints,
    build_couplings,
    build_nodes,
    build_rules,
)
from engine.errors import Fault, KnowledgeError
from engine.language.yaml_tree import YamlTree
from engine.network.network import Network
from engine.network.values import CompiledRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from engine.compilation.maxent import Constraints, Event, Solution
    from engine.compilation.passes import RuleTables
    from engine.model.knowledge import Knowledge

    Floats = NDArray[np.float64]

CERTAIN = 1e-12
MOST_REFITTED = 4_000_000
MOST_MISSED = 1e-6


def check_rules(partial: PartialNetwork) -> PartialNetwork:
    """Refuse rules whose `if`, or `if` and `then`, cannot be true; mark rules that cannot fail as decided."""
    fitted = [item for item in partial.rule_tables if not item.decided]
    probabilities = iter(_dual_problem(partial).probabilities([e for item in fitted for e in _events(item)]))
    yaml = partial.knowledge.yaml
    places = yaml.places if isinstance(yaml, YamlTree) else {}
    faults, kept = [], []
    for item in partial.rule_tables:
        if item.decided:
            p_if, p_both = float(item.condition.any()), float((item.condition & item.then).any())
        else:
            p_if, p_both = next(probabilities), next(probabilities)
        if p_both <= 0:
            path, what = f"rules.{item.rule.name}", "its `if`"
            place = places.get(f"{path}.if", item.rule.place)
            if p_if > 0:
                what = "its `if` and `then` together"
                place = places.get(f"{path}.then", item.rule.place)
            faults.append(Fault(place, path, f"nothing can satisfy {what}"))
        kept.append(replace(item, decided=item.decided or p_both >= p_if * (1 - CERTAIN)))
    if faults:
        raise KnowledgeError(faults)
    return build_constraints(replace(partial, rule_tables=tuple(kept)))


def solve(partial: PartialNetwork) -> PartialNetwork:
    """Fit the local tables and the rules' weights; see the module's docstring."""
    assert partial.constraints is not None
    fitted = [item for item in partial.rule_tables if not item.decided]
    model = _dual_problem(partial)
    solution = _solve_by_strength(model, [item.rule.n for item in fitted])
    marginals = solution.marginals
    if solution.miss > MOST_MISSED:
        message = (
            "the declared numbers contradict one another: after the fit one is still off by "
            f"{solution.miss:.2g}. Make extreme couplings and rules weaker, or remove some"
        )
        root = partial.knowledge.variables[partial.knowledge.root]
        raise KnowledgeError([Fault(root.place, "", message)])
    fits = dict(
        zip((item.rule.name for item in fitted), zip(solution.held, solution.theta, strict=True), strict=True)
    )
    events = iter(_event_probabilities(model, partial, solution))
    rules = []
    for item in partial.rule_tables:
        p_if, p_both = next(events), next(events)
        held, theta = fits.get(item.rule.name, (False, 0.0))
        is_met = not held and abs(p_both - item.rule.confidence * p_if) < 1e-3 * p_if
        status = "decided" if item.decided else "met" if is_met else "unmet"
        rules.append(_compiled(item, status, p_both, p_if, theta))
    return replace(
        partial,
        factors=(*solution.tables, *partial.factors, *solution.rules),
        rules=tuple(rules),
        marginals=marginals,
        log_z=solution.log_z,
    )


def _event_probabilities(model: DualProblem, partial: PartialNetwork, solution: Solution) -> Iterator[float]:
    """Yield P(if) and P(if & then) of every rule in the fitted network, reference population."""
    assert partial.constraints is not None
    weights = partial.constraints.weights
    below = [item for item in partial.rule_tables if item.nodes]
    probabilities = iter(
        model.probabilities([e for item in below for e in _events(item)], solution.parameters)
    )
    for item in partial.rule_tables:
        if item.nodes:
            yield from (next(probabilities), next(probabilities))
        else:
            yield from (
                float(weights @ event[:, 0]) for event in (item.condition, item.condition & item.then)
            )


def _dual_problem(partial: PartialNetwork) -> DualProblem:
    assert partial.constraints is not None
    sizes = {name: node.size for name, node in partial.nodes.items()}
    return DualProblem(partial.constraints, partial.steps, sizes, partial.factors, _start_parameters(partial))


def _start_parameters(partial: PartialNetwork) -> Floats | None:
    """Return the parameters of the near network, as far as it has the same tables."""
    c = partial.constraints
    if partial.near is None or c is None or not partial.nodes:
        return None
    tables = {factor.nodes[0]: factor.log_table for factor in partial.near.factors if factor.kind == "table"}
    wanted = {
        name: (len(c.weights), partial.nodes[name].size) for name in (*c.binary, *([c.block] * bool(c.block)))
    }
    if wanted != {name: table.shape for name, table in tables.items()}:
        return None
    parts = [(tables[name][:, 1] - tables[name][:, 0])[:, None] for name in c.binary]
    if c.features is not None:
        # The table is a sum of the features but for a constant.
        wide = np.concatenate([c.features, np.ones((*c.features.shape[:2], 1))], axis=2)
        solved = [np.linalg.lstsq(*pair)[0][:-1] for pair in zip(wide, tables[c.block], strict=True)]
        parts.append(np.stack(solved))
    theta = {rule.name: rule.weight for rule in partial.near.rules}
    parts += [np.full((len(c.weights), 1), theta.get(rule.name, 0.0)) for rule in c.rules]
    return np.concatenate(parts, axis=1)


def _solve_by_strength(model: DualProblem, strengths: Sequence[float]) -> Solution:
    """Return the fit of all rules; where a rule fails because of weaker ones, one or all are dropped.

    The larger the base, the fewer are tried: a fit takes time as the square of its parameters.
    """
    bounds = model.c.bounds.copy()
    solution = model.fit(bounds)
    fits_left = MOST_REFITTED // model.size**2 if len(strengths) else 0

    def fitted(trial: Floats) -> Solution | None:
        nonlocal fits_left
        fits_left -= 1
        return model.fit(trial) if fits_left >= 0 else None

    for strong in sorted(np.flatnonzero(solution.held), key=lambda i: -strengths[int(i)]):
        if fits_left <= 0:
            break
        weaker = [
            i
            for i in sorted(range(len(strengths)), key=lambda i: strengths[i])
            if strengths[i] < strengths[int(strong)] and bounds[i] > 0
        ]
        if not solution.held[strong] or not weaker:
            continue
        alone = fitted(_without(bounds, weaker))
        if alone is None or alone.held[strong]:
            continue
        for index in weaker:
            trial = fitted(_without(bounds, [index]))
            if trial is None:
                break
            if not trial.held[strong]:
                bounds, solution = _without(bounds, [index]), trial
                break
        else:
            bounds, solution = _without(bounds, weaker), alone
    return solution


def _without(bounds: Floats, rules: list[int]) -> Floats:
    changed = bounds.copy()
    changed[rules] = 0
    return changed


def _events(item: RuleTables) -> list[Event]:
    """Return the events `if` and `if & then`."""
    condition = item.condition.astype(np.float64)
    return [(item.nodes, condition), (item.nodes, condition * item.then)]


def _compiled(item: RuleTables, status: Any, p_both: float, p_if: float, weight: float) -> CompiledRule:
    return CompiledRule(
        item.rule.name,
        status,
        item.rule.confidence,
        float(p_both / p_if) if p_if > 0 else math.nan,
        float(p_if),
        float(weight),
        item.nodes,
        item.condition,
        item.condition & ~item.then,
    )


PASSES = (build_nodes, build_couplings, build_rules, build_cliques, build_constraints, check_rules, solve)


def constraints_of(knowledge: Knowledge) -> Constraints:
    """Return the constraints that the compiled network of a base must meet."""
    partial = PartialNetwork(knowledge)
    for step in PASSES[: PASSES.index(check_rules)]:
        partial = step(partial)
    assert partial.constraints is not None
    return partial.constraints


def compile_network(knowledge: Knowledge, near: Network | None = None) -> Network:
    """Compile a base; see the module's docstring for what holds in the result.

    near: the network of a base that says nearly the same; the fit begins there and takes fewer steps.

    Raises:
        KnowledgeError: a formula that nothing satisfies, moments that no distribution on the
            bins has, or a base too wide for memory.
    """
    partial = PartialNetwork(knowledge, near)
    with torch_threads(1):
        for step in PASSES:
            partial = step(partial)
    assert partial.log_z is not None
    log_prior = {
        name: np.log(np.array(population.p)) - partial.log_z
        for name, population in knowledge.populations.items()
    }
    cliques = tuple(tuple(sorted(clique)) for clique in partial.cliques)
    names = (knowledge.root, *knowledge.cells, *knowledge.affect)
    return Network(
        knowledge.root,
        {name: knowledge.variables[name].states for name in names},
        {name: knowledge.variables[name].edges for name in knowledge.affect},
        knowledge.reference,
        partial.nodes,
        partial.factors,
        log_prior,
        partial.rules,
        partial.facts,
        partial.marginals,
        cliques,
        partial.steps,
    )
