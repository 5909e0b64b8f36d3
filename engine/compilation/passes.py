"""The compiler's passes up to the fit: nodes, factors, cliques and constraints of a knowledge base.

Each public function is a pass of the compiler; compiler.py has them in their order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.compilation.maxent import Constraints
from engine.compilation.rule_nodes import Propositions, table_of
from engine.errors import Fault, KnowledgeError
from engine.language.parameter_paths import MOMENTS
from engine.network.junction_tree import plan, triangulate
from engine.network.values import Factor, StateNode, grid_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from engine.backend.types import Bools, Floats
    from engine.model.formula import In
    from engine.model.knowledge import Knowledge, Rule
    from engine.network.values import Clique, FunctionNode


WIDEST = 4_000_000
# Cells of the widest table times the parameters of the fit: ten to thirty seconds of one core.
HEAVIEST = 1_500_000
BOUND = 8.0


@dataclass(frozen=True)
class RuleTables:
    """A rule's `if` and `then` on the grid (root or 1, nodes...).

    decided: the declared tables alone fix how often it holds, or it cannot fail; it is reported, not fitted.
    """

    rule: Rule
    nodes: tuple[str, ...]
    condition: Bools
    then: Bools
    decided: bool


@dataclass(frozen=True)
class PartialNetwork:
    """The nodes, couplings, links and rule tables of a base: its network without what the fit adds.

    block: the node of all interval variables. sizes: the states of all nodes, in the network's order.
    facts: derived node -> the variable and states of which it is the truth.
    """

    knowledge: Knowledge
    block: StateNode | None
    state_nodes: Mapping[str, StateNode]
    function_nodes: Mapping[str, FunctionNode]
    sizes: Mapping[str, int]
    facts: Mapping[str, In]
    factors: tuple[Factor, ...]
    rule_tables: tuple[RuleTables, ...]

    @property
    def fitted_rules(self) -> list[RuleTables]:
        """The rules that no table decides."""
        return [item for item in self.rule_tables if not item.decided]


def build_network(base: Knowledge) -> PartialNetwork:
    """Build the nodes and couplings of a base, the tables of its rules and the nodes that these need.

    Raises:
        KnowledgeError: a rule over too many nodes.
    """
    block = _block_node(base)
    nodes = {name: StateNode(name, (name,), np.arange(2)[:, None]) for name in base.cells}
    nodes |= {block.name: block} if block else {}
    intervals = {name: len(base.variables[name].states) for name in base.intervals}
    propositions = Propositions(base.root, intervals, {name: node.size for name, node in nodes.items()})
    tables = _rule_tables(base, nodes.values(), propositions)
    if block:
        nodes[block.name] = block = propositions.link_facts(block)
    functions = propositions.functions
    return PartialNetwork(
        base,
        block,
        nodes,
        {name: functions[name] for name in propositions.sizes if name in functions},
        propositions.sizes,
        propositions.facts,
        (*_coupling_factors(base), *propositions.links),
        tables,
    )


def _block_node(base: Knowledge) -> StateNode | None:
    """Return one node for the block of all interval variables, if there are any."""
    if not base.intervals:
        return None
    shape = tuple(len(base.variables[v].states) for v in base.intervals)
    index = np.stack(np.unravel_index(np.arange(math.prod(shape)), shape), axis=1)
    return StateNode("+".join(base.intervals), base.intervals, index)


def _coupling_factors(base: Knowledge) -> Iterator[Factor]:
    """Yield one factor for each coupling: its odds ratio where both variables are true."""
    for coupling in base.couplings:
        table = np.zeros((1, 2, 2))
        table[0, 1, 1] = np.log(coupling.odds_ratio)
        yield Factor(coupling.name, "coupling", coupling.pair, table)


def _rule_tables(
    base: Knowledge, nodes: Collection[StateNode], propositions: Propositions
) -> tuple[RuleTables, ...]:
    """Return the tables of every rule's formulas, collecting the derived nodes that these need."""
    root, states = base.root, len(base.variables[base.root].states)
    tables: list[RuleTables] = []
    faults: list[Fault] = []
    for rule in base.rules:
        mentioned = rule.condition.variables() | rule.then.variables()
        rule_nodes = [node for node in nodes if mentioned & set(node.variables)]
        if len(rule_nodes) <= 1:
            tables.append(_decided_tables(base, rule, rule_nodes))
            continue
        condition, then = propositions.rewrite(rule.condition), propositions.rewrite(rule.then)
        names = tuple(sorted((condition.variables() | then.variables()) - {root}))
        shape = (states, *(propositions.sizes[n] for n in names))
        if math.prod(shape) > WIDEST:
            message = f"is about {len(names)} variables at once; split it, or use count(...)"
            faults.append(Fault(rule.place, f"rules.{rule.name}", message))
            continue
        condition_table, then_table = (table_of(f, (root, *names), shape) for f in (condition, then))
        tables.append(RuleTables(rule, names, condition_table, then_table, decided=False))
    if faults:
        raise KnowledgeError(faults)
    return tuple(tables)


def _decided_tables(base: Knowledge, rule: Rule, nodes: Sequence[StateNode]) -> RuleTables:
    """Evaluate a rule over the root and at most one node, whose own tables decide it."""
    states = len(base.variables[base.root].states)
    values = {base.root: np.arange(states)[:, None]}
    values |= {v: node.values_of(v)[None] for node in nodes for v in node.variables}
    shape = (states, *(node.size for node in nodes)) if nodes else (states, 1)
    condition, then = (
        np.broadcast_to(formula.holds(values), shape) for formula in (rule.condition, rule.then)
    )
    return RuleTables(rule, tuple(node.name for node in nodes), condition, then, decided=True)


def build_cliques(partial: PartialNetwork) -> tuple[list[frozenset[str]], tuple[Clique, ...]]:
    """Return the triangulation's cliques and the plan of the pass over them.

    Raises:
        KnowledgeError: the base is too wide for memory; with the names that make it so.
    """
    sizes, block = partial.sizes, partial.block
    scopes = [factor.nodes for factor in partial.factors]
    scopes += [(block.name, block.cell)] if block and block.cell else []
    scopes += [item.nodes for item in partial.fitted_rules]
    cliques = triangulate(sizes, scopes)
    widest = max(cliques, key=lambda clique: math.prod(sizes[n] for n in clique), default=frozenset())
    states = len(partial.knowledge.variables[partial.knowledge.root].states)
    cells = states * math.prod(sizes[n] for n in widest)
    # The fit holds every table once a parameter.
    most = HEAVIEST // (len(partial.knowledge.cells) + len(partial.rule_tables) + 1)
    if cells > most:
        raise KnowledgeError([_width_fault(partial, widest, cells, most)])
    grids = {block.name: grid_of(block, partial.function_nodes.get(block.cell))} if block else {}
    return cliques, plan(sizes, cliques, grids)


def _width_fault(partial: PartialNetwork, clique: frozenset[str], cells: int, most: int) -> Fault:
    """Return the fault of a clique that is too large, with the couplings and rules that tie it together."""
    ties = [(len(clique & set(c.pair)), f"couplings.{c.name}", c.place) for c in partial.knowledge.couplings]
    for item in partial.fitted_rules:
        mentioned = {*item.nodes, *item.rule.condition.variables(), *item.rule.then.variables()}
        ties.append((len(clique & mentioned), f"rules.{item.rule.name}", item.rule.place))
    ties = sorted((tie for tie in ties if tie[0] >= 2), key=lambda tie: -tie[0])
    shown = ", ".join(name for _, name, _ in ties[:8])
    shown += f" and {len(ties) - 8} more" if len(ties) > 8 else ""
    message = (
        f"the base is too wide to compile: {len(clique)} variables would need one joint table of "
        f"{float(cells):.2g} cells; allowed are {most:.1g}. They are tied by {shown}; remove some of these"
    )
    root = partial.knowledge.variables[partial.knowledge.root].place
    return Fault(ties[0][2] if ties else root, "", message)


def build_constraints(partial: PartialNetwork) -> Constraints:
    """Return the constraints that the fit has to meet.

    Raises:
        KnowledgeError: moments that no distribution on the bins has.
    """
    base, block = partial.knowledge, partial.block
    weights = np.array(base.populations[base.reference].p)
    k = len(weights)
    features, targets = _moment_features(base, block) if block else (np.zeros((k, 0, 0)), np.zeros((k, 0)))
    return Constraints(
        weights=weights,
        binary=tuple(base.cells),
        rates=np.array([[cell.p for cell in row] for row in base.cells.values()]).T.reshape(k, -1),
        block=block.name if block else "",
        features=features,
        targets=targets,
        rules=tuple(
            Factor(item.rule.name, "rule", item.nodes, item.condition * (item.then - item.rule.confidence))
            for item in partial.fitted_rules
        ),
        bounds=np.full(len(partial.fitted_rules), BOUND),
    )


def _moment_features(base: Knowledge, block: StateNode) -> tuple[Floats, Floats]:
    """Return the standardised first and second moments on the block's grid, and their required means.

    A bin's value is uniform within the bin: its second moment is centre² + width² / 12.

    Returns:
        features (K, cells, F) and targets (K, F).
    """
    edges = [np.array(base.variables[v].edges) for v in base.intervals]
    centres = [(e[:-1] + e[1:]) / 2 for e in edges]
    widths = np.array([e[1] - e[0] for e in edges])
    grid = np.stack([c[block.index[:, i]] for i, c in enumerate(centres)], axis=1)
    upper = np.triu_indices(len(edges))
    features, targets = [], []
    faults = []
    for state, moments in zip(base.variables[base.root].states, base.moments, strict=True):
        mean, sd = np.array(moments.mean), np.array(moments.sd)
        correlation = np.array(moments.correlation)
        for name, e, c, m, s in zip(base.intervals, edges, centres, mean, sd, strict=True):
            faults += _spread_fault(moments.place, ".".join((*MOMENTS, state)), name, e, c, m, s)
        z = (grid - mean) / sd
        second = z[:, :, None] * z[:, None, :]
        wanted = correlation - np.diag((widths / sd) ** 2 / 12)
        features.append(np.concatenate([z, second[:, upper[0], upper[1]]], axis=1))
        targets.append(np.concatenate([np.zeros(len(mean)), wanted[upper]]))
    if faults:
        raise KnowledgeError(faults)
    return np.stack(features), np.stack(targets)


def _spread_fault(
    place: Any, path: str, name: str, edges: Floats, centres: Floats, mean: float, sd: float
) -> list[Fault]:
    """Return the fault of a mean or sd that no distribution on these bins has, if there is one."""
    if not centres[0] < mean < centres[-1]:
        message = f"the mean of {name} is {mean:g}; its bins allow {centres[0]:g} to {centres[-1]:g}"
        return [Fault(place, path, message)]
    low, high = sd_bounds(edges, mean)
    if low <= sd <= high:
        return []
    width = edges[1] - edges[0]
    message = f"the sd of {name} is {sd:g}; bins of {width:g} and this mean allow {low:.3f} to {high:.3f}"
    return [Fault(place, path, message)]


def sd_bounds(edges: Floats, mean: float) -> tuple[float, float]:
    """Return the least and the greatest sd that values with this mean, uniform within bins, can have.

    mean: between the middles of the first and the last bin.
    """
    centres, width = (edges[:-1] + edges[1:]) / 2, edges[1] - edges[0]
    right = int(np.searchsorted(centres, mean))
    least = (mean - centres[right - 1]) * (centres[right] - mean) + width**2 / 12
    most = (mean - centres[0]) * (centres[-1] - mean) + width**2 / 12
    # The ends themselves are reached by a point or two points only, which no fit attains.
    return float(np.sqrt(least) * 1.02), float(np.sqrt(most) * 0.98)
