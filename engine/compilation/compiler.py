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

from engine.compilation.maxent import DualProblem
from engine.compilation.passes import build_cliques, build_constraints, build_network
from engine.errors import Fault, KnowledgeError
from engine.language.yaml_tree import YamlTree
from engine.network.network import Network
from engine.network.values import CompiledRule

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from engine.backend.types import Floats
    from engine.compilation.maxent import Constraints, Event, Solution
    from engine.compilation.passes import PartialNetwork, RuleTables
    from engine.model.knowledge import Knowledge
    from engine.network.values import Clique


CERTAIN = 1e-12
# Squared parameters of all fits after the first, which are tried where rules fail because of weaker ones: 18
# fits of the shipped base, about .4 s each, and five where it has thirty rules more, a second or two each.
MOST_REFITTED = 20_000
# Cells that these fits may sum over (`DualProblem.work`): 1.2 million a second of one core, or more of a wide
# base, so seven seconds at most.
MOST_REFIT_WORK = 8_000_000
MOST_MISSED = 1e-6


def check_rules(partial: PartialNetwork, steps: tuple[Clique, ...]) -> PartialNetwork:
    """Refuse rules whose `if`, or `if` and `then`, cannot be true; mark rules that cannot fail as decided."""
    events = [event for item in partial.fitted_rules for event in _events(item)]
    probabilities = iter(_dual_problem(partial, steps).probabilities(events))
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
    return replace(partial, rule_tables=tuple(kept))


def solve(
    partial: PartialNetwork,
    steps: tuple[Clique, ...],
    near: Network | None,
    dropped: Collection[str] | None = None,
) -> tuple[Solution, tuple[CompiledRule, ...]]:
    """Fit the local tables and the rules' weights; dropped: see `compile_network`."""
    model = _dual_problem(partial, steps, near)
    if dropped is None:
        solution = _solve_by_strength(model, [item.rule.n for item in partial.fitted_rules])
    else:
        absent = [i for i, item in enumerate(partial.fitted_rules) if item.rule.name in dropped]
        solution = model.fit(_without(model.c.bounds, absent))
    if solution.miss > MOST_MISSED:
        message = (
            "the declared numbers contradict one another: after the fit one is still off by "
            f"{solution.miss:.2g}. Make extreme couplings and rules weaker, or remove some"
        )
        root = partial.knowledge.variables[partial.knowledge.root]
        raise KnowledgeError([Fault(root.place, "", message)])
    names = [item.rule.name for item in partial.fitted_rules]
    fits = dict(zip(names, zip(solution.held, solution.theta, strict=True), strict=True))
    events = iter(_event_probabilities(model, partial, solution))
    rules = []
    for item in partial.rule_tables:
        p_if, p_both = next(events), next(events)
        held, theta = fits.get(item.rule.name, (False, 0.0))
        is_met = not held and abs(p_both - item.rule.confidence * p_if) < 1e-3 * p_if
        status = "decided" if item.decided else "met" if is_met else "unmet"
        rules.append(_compiled(item, status, p_both, p_if, theta))
    return solution, tuple(rules)


def _event_probabilities(model: DualProblem, partial: PartialNetwork, solution: Solution) -> Iterator[float]:
    """Yield P(if) and P(if & then) of every rule in the fitted network, reference population."""
    weights = model.c.weights
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


def _dual_problem(
    partial: PartialNetwork, steps: tuple[Clique, ...], near: Network | None = None
) -> DualProblem:
    constraints = build_constraints(partial)
    begin = _start_parameters(constraints, partial, near) if near and steps else None
    return DualProblem(constraints, steps, partial.sizes, partial.factors, begin)


def _start_parameters(c: Constraints, partial: PartialNetwork, near: Network) -> Floats | None:
    """Return the parameters (K, J + F + R) of the near network; None where its tables are others."""
    tables = {factor.nodes[0]: factor.log_table for factor in near.factors if factor.kind == "table"}
    wanted = {name: (len(c.weights), node.size) for name, node in partial.state_nodes.items()}
    if wanted != {name: table.shape for name, table in tables.items()}:
        return None
    parts = [(tables[name][:, 1] - tables[name][:, 0])[:, None] for name in c.binary]
    if c.block:
        # The table is a sum of the features but for a constant.
        wide = np.concatenate([c.features, np.ones((*c.features.shape[:2], 1))], axis=2)
        solved = [np.linalg.lstsq(*pair)[0][:-1] for pair in zip(wide, tables[c.block], strict=True)]
        parts.append(np.stack(solved))
    theta = {rule.name: rule.weight for rule in near.rules}
    parts += [np.full((len(c.weights), 1), theta.get(rule.name, 0.0)) for rule in c.rules]
    return np.concatenate(parts, axis=1)


def _solve_by_strength(model: DualProblem, strengths: Sequence[float]) -> Solution:
    """Return the fit of all rules; where a rule fails because of weaker ones, one or all are dropped.

    The larger the base, the fewer are tried: a fit takes time as the square of its parameters.
    """
    bounds = model.c.bounds.copy()
    before = model.work
    solution = model.fit(bounds)
    work = max(model.work - before, 1)
    fits_left = min(MOST_REFITTED // model.size**2, MOST_REFIT_WORK // work) if len(strengths) else 0

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
    """Return the bounds (R,) with 0 for some rules, which drops them."""
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


def compile_network(
    knowledge: Knowledge, near: Network | None = None, dropped: Collection[str] | None = None
) -> Network:
    """Compile a base; see the module's docstring for what holds in the result.

    near: the network of a base that says nearly the same; the fit begins there and takes fewer steps.
    dropped: the rules that are compiled as if absent; None: those that give way to stronger ones.

    Raises:
        KnowledgeError: a formula that nothing satisfies, moments that no distribution on the
            bins has, or a base too wide for memory.
    """
    partial = build_network(knowledge)
    cliques, steps = build_cliques(partial)
    partial = check_rules(partial, steps)
    solution, rules = solve(partial, steps, near, dropped)
    log_prior = {
        name: np.log(np.array(population.p)) - solution.log_z
        for name, population in knowledge.populations.items()
    }
    names = (knowledge.root, *knowledge.cells, *knowledge.intervals)
    return Network(
        knowledge.root,
        {name: knowledge.variables[name].states for name in names},
        {name: knowledge.variables[name].edges for name in knowledge.intervals},
        knowledge.reference,
        partial.state_nodes,
        partial.function_nodes,
        (*solution.tables, *partial.factors, *solution.rules),
        log_prior,
        rules,
        partial.facts,
        solution.marginals,
        tuple(tuple(sorted(clique)) for clique in cliques),
        steps,
    )
