"""The compiler's passes up to the fit: nodes, factors, cliques and constraints of a knowledge base.

Each function is a pass of the compiler: it takes a partial network and returns one with more in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.compilation.maxent import Constraints
from engine.compilation.rule_nodes import Propositions, cells_of, table_of
from engine.errors import Fault, KnowledgeError
from engine.network.junction_tree import plan, triangulate
from engine.network.values import Clique, CompiledRule, Factor, Node, grids_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from engine.model.formula import In
    from engine.model.knowledge import Knowledge, Rule
    from engine.network.network import Network

    Floats = NDArray[np.float64]

WIDEST = 4_000_000
HEAVIEST = 4_000_000
BOUND = 8.0


@dataclass(frozen=True)
class RuleTables:
    """A rule's `if` and `then` on the grid (root or 1, nodes...).

    decided: the declared tables alone fix how often it holds, or it cannot fail; it is reported, not fitted.
    """

    rule: Rule
    nodes: tuple[str, ...]
    condition: NDArray[np.bool_]
    then: NDArray[np.bool_]
    decided: bool


@dataclass(frozen=True)
class PartialNetwork:
    """A network during compilation: every pass returns a copy with more of its fields filled."""

    knowledge: Knowledge
    near: Network | None = None
    nodes: Mapping[str, Node] = field(default_factory=dict)
    factors: tuple[Factor, ...] = ()
    rule_tables: tuple[RuleTables, ...] = ()
    facts: Mapping[str, In] = field(default_factory=dict)
    cliques: tuple[frozenset[str], ...] = ()
    steps: tuple[Clique, ...] = ()
    constraints: Constraints | None = None
    rules: tuple[CompiledRule, ...] = ()
    marginals: Mapping[str, Floats] = field(default_factory=dict)
    log_z: Floats | None = None


def build_nodes(partial: PartialNetwork) -> PartialNetwork:
    """Add one node for each binary variable and one for the block of interval variables."""
    base = partial.knowledge
    nodes = {name: Node(name, 2, (name,), index=np.arange(2)[:, None]) for name in base.cells}
    if base.affect:
        shape = tuple(len(base.variables[v].states) for v in base.affect)
        index = np.stack(np.unravel_index(np.arange(math.prod(shape)), shape), axis=1)
        name = "+".join(base.affect)
        nodes[name] = Node(name, len(index), base.affect, index=index)
    return replace(partial, nodes=nodes)


def build_couplings(partial: PartialNetwork) -> PartialNetwork:
    """Add one factor for each coupling: its odds ratio where both variables are true."""
    factors = []
    for coupling in partial.knowledge.couplings:
        table = np.zeros((1, 2, 2))
        table[0, 1, 1] = np.log(coupling.odds_ratio)
        factors.append(Factor(coupling.name, "coupling", coupling.pair, table))
    return replace(partial, factors=(*partial.factors, *factors))


def build_rules(partial: PartialNetwork) -> PartialNetwork:
    """Add the tables of every rule's formulas and the derived nodes that these need."""
    base = partial.knowledge
    root, states = base.root, len(base.variables[base.root].states)
    propositions = Propositions(root, dict(partial.nodes), frozenset(base.affect))
    tables: list[RuleTables] = []
    faults: list[Fault] = []
    for rule in base.rules:
        assert rule.condition is not None
        assert rule.then is not None
        decided = _node_count(partial, rule) <= 1
        if decided:
            tables.append(_decided_tables(partial, rule))
            continue
        condition, then = propositions.rewrite(rule.condition), propositions.rewrite(rule.then)
        mentioned = condition.variables() | then.variables()
        names = tuple(sorted(mentioned - {root}))
        nodes = {**partial.nodes, **propositions.derived}
        if cells_of(names, nodes) * states > WIDEST:
            message = f"is about {len(names)} variables at once; split it, or use count(...)"
            faults.append(Fault(rule.place, f"rules.{rule.name}", message))
            continue
        shape = (states, *(nodes[n].size for n in names))
        tables.append(
            RuleTables(
                rule,
                names,
                np.broadcast_to(table_of(condition, root, states, names, nodes), shape),
                np.broadcast_to(table_of(then, root, states, names, nodes), shape),
                decided=False,
            )
        )
    propositions.finish()
    if faults:
        raise KnowledgeError(faults)
    return replace(
        partial,
        nodes={**propositions.nodes, **propositions.derived},
        facts=propositions.facts,
        factors=(*partial.factors, *propositions.links),
        rule_tables=tuple(tables),
    )


def _node_count(partial: PartialNetwork, rule: Rule) -> int:
    """Return the number of nodes below the root in the formulas of a rule."""
    assert rule.condition is not None
    assert rule.then is not None
    mentioned = rule.condition.variables() | rule.then.variables()
    return sum(1 for node in partial.nodes.values() if mentioned & set(node.variables))


def _decided_tables(partial: PartialNetwork, rule: Rule) -> RuleTables:
    """Evaluate a rule over the root and at most one node, whose own tables decide it."""
    base = partial.knowledge
    assert rule.condition is not None
    assert rule.then is not None
    mentioned = rule.condition.variables() | rule.then.variables()
    node = next((n for n in partial.nodes.values() if mentioned & set(n.variables)), None)
    states = len(base.variables[base.root].states)
    values = {base.root: np.arange(states)[:, None]}
    if node is not None and node.index is not None:
        values |= {v: node.index[None, :, i] for i, v in enumerate(node.variables)}
    shape = (states, node.size if node else 1)
    condition, then = (
        np.broadcast_to(formula.holds(values), shape) for formula in (rule.condition, rule.then)
    )
    return RuleTables(rule, (node.name,) if node else (), condition, then, decided=True)


def build_cliques(partial: PartialNetwork) -> PartialNetwork:
    """Add the triangulation's cliques; refuse a base too wide for memory, with the names that make it so."""
    sizes = {name: node.size for name, node in partial.nodes.items()}
    scopes = [factor.nodes for factor in partial.factors]
    scopes += [(node.name, node.cell) for node in partial.nodes.values() if node.cell]
    scopes += [item.nodes for item in partial.rule_tables if not item.decided]
    cliques = triangulate(sizes, scopes)
    states = len(partial.knowledge.variables[partial.knowledge.root].states)
    widest = max(cliques, key=lambda clique: cells_of(tuple(clique), partial.nodes), default=frozenset())
    cells = states * cells_of(tuple(widest), partial.nodes)
    # The fit holds every table once a parameter.
    most = HEAVIEST // (len(partial.knowledge.cells) + len(partial.rule_tables) + 1)
    if cells > most:
        raise KnowledgeError([_width_fault(partial, widest, cells, most)])
    blocks = [
        node.name
        for node in partial.nodes.values()
        if node.variables and node.variables == partial.knowledge.affect
    ]
    return replace(
        partial, cliques=tuple(cliques), steps=plan(sizes, cliques, grids_of(partial.nodes, blocks))
    )


def _width_fault(partial: PartialNetwork, clique: frozenset[str], cells: int, most: int) -> Fault:
    """Return the fault of a clique that is too large, with the couplings and rules that tie it together."""
    ties = [(len(clique & set(c.pair)), f"couplings.{c.name}", c.place) for c in partial.knowledge.couplings]
    for item in (item for item in partial.rule_tables if not item.decided):
        assert item.rule.condition is not None
        assert item.rule.then is not None
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


def build_constraints(partial: PartialNetwork) -> PartialNetwork:
    """Add the constraints that the fit has to meet."""
    base = partial.knowledge
    reference = base.populations[base.reference]
    block = next((n for n in partial.nodes.values() if n.variables == base.affect), None)
    features, targets = _moment_features(base, block) if block and base.affect else (None, None)
    rules = [item for item in partial.rule_tables if not item.decided]
    constraints = Constraints(
        weights=np.array(reference.p),
        binary=tuple(base.cells),
        rates=np.array([[cell.p for cell in row] for row in base.cells.values()]).T.reshape(
            len(reference.p), -1
        ),
        block=block.name if block and base.affect else "",
        features=features,
        targets=targets,
        rules=tuple(
            Factor(item.rule.name, "rule", item.nodes, item.condition * (item.then - item.rule.confidence))
            for item in rules
        ),
        bounds=np.full(len(rules), BOUND),
    )
    return replace(partial, constraints=constraints)


def _moment_features(base: Knowledge, block: Node) -> tuple[Floats, Floats]:
    """Return the standardised first and second moments on the block's grid, and their required means.

    A bin's value is uniform within the bin: its second moment is centre² + width² / 12.

    Returns:
        features (K, cells, F) and targets (K, F).
    """
    edges = [np.array(base.variables[v].edges) for v in base.affect]
    centres = [(e[:-1] + e[1:]) / 2 for e in edges]
    widths = np.array([e[1] - e[0] for e in edges])
    assert block.index is not None
    grid = np.stack([c[block.index[:, i]] for i, c in enumerate(centres)], axis=1)
    upper = np.triu_indices(len(edges))
    features, targets = [], []
    faults = []
    for state, moments in zip(base.variables[base.root].states, base.moments, strict=True):
        mean, sd = np.array(moments.mean), np.array(moments.sd)
        correlation = np.array(moments.correlation)
        for name, e, c, m, s in zip(base.affect, edges, centres, mean, sd, strict=True):
            faults += _spread_fault(moments.place, f"affect.moments.{state}", name, e, c, m, s)
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
    width = edges[1] - edges[0]
    if not centres[0] < mean < centres[-1]:
        message = f"the mean of {name} is {mean:g}; its bins allow {centres[0]:g} to {centres[-1]:g}"
        return [Fault(place, path, message)]
    right = int(np.searchsorted(centres, mean))
    least = (mean - centres[right - 1]) * (centres[right] - mean) + width**2 / 12
    most = (mean - centres[0]) * (centres[-1] - mean) + width**2 / 12
    # The ends themselves are reached by a point or two points only, which no fit attains.
    low, high = np.sqrt(least) * 1.02, np.sqrt(most) * 0.98
    if low <= sd <= high:
        return []
    message = f"the sd of {name} is {sd:g}; bins of {width:g} and this mean allow {low:.3f} to {high:.3f}"
    return [Fault(place, path, message)]
