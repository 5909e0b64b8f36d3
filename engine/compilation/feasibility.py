"""Which confidences a rule can have: a linear programme over the junction tree's cliques.

The distributions that keep the declared tables of what a rule speaks of are, clique by clique, tables
that agree on their separators (which for a junction tree is all that a joint distribution needs). Over
them the extremes of P(then | if) are a linear-fractional programme, made linear by scaling with
1 / P(if) (Charnes & Cooper 1962, doi:10.1002/nav.3800090303). For a pair of binary variables this
is the closed form Σ_e P(e) [max(0, a + b - 1), min(a, b)] / Σ_e P(e) a.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from engine.backend.types import Bools, Floats, Ints
    from engine.model.knowledge import Knowledge
    from engine.network.network import Network
    from engine.network.values import CompiledRule, StateNode


def feasible_interval(network: Network, knowledge: Knowledge, rule: CompiledRule) -> tuple[float, float]:
    """Return the smallest and largest P(then | if) that the declared tables allow.

    Other rules and the couplings are left out of account. NaN where `if` cannot happen.
    """
    from scipy.optimize import linprog

    reference = np.array(knowledge.populations[network.reference].p)
    programme = _Programme(network, reference, _relevant_nodes(network, rule))
    condition = programme.condition(rule)
    both = programme.conclusion(rule)
    matrix, right = programme.constraints()
    # Unknowns are scaled by t = 1 / P(if): right-hand sides move to the column of t.
    from scipy.sparse import csr_matrix, hstack, vstack

    scaled = hstack([matrix, csr_matrix(-right[:, None])])
    normalisation = csr_matrix(np.append(condition, 0.0)[None])
    ends = []
    for sign in (1, -1):
        solved = linprog(
            np.append(sign * both, 0.0),
            A_eq=vstack([scaled, normalisation]),
            b_eq=np.append(np.zeros(len(right)), 1.0),
            method="highs",
        )
        ends.append(float(sign * solved.fun) if solved.status == 0 else float("nan"))
    return min(max(ends[0], 0.0), 1.0), min(max(ends[1], 0.0), 1.0)


def _relevant_nodes(network: Network, rule: CompiledRule) -> frozenset[str]:
    """Return the rule's nodes and all their ancestors; no other node constrains the rule."""
    names: set[str] = set()
    pending = list(rule.nodes)
    while pending:
        name = pending.pop()
        if name not in names:
            names.add(name)
            if name in network.function_nodes:
                pending += network.function_nodes[name].parents
    return frozenset(names)


class _Programme:
    """Columns: (root state, clique, cell) with cells that the derived nodes allow only.

    weights: P(root) of the reference population, (K,). names: the nodes whose tables count.
    """

    def __init__(self, network: Network, weights: Floats, names: frozenset[str]) -> None:
        self.network = network
        self.names = names
        self.weights = weights
        # What is left of a junction tree's cliques is a junction tree's.
        scopes = dict.fromkeys(tuple(n for n in clique if n in names) for clique in network.cliques)
        self.cliques = [
            scope for scope in scopes if scope and not any(set(scope) < set(other) for other in scopes)
        ]
        self.cells: list[dict[str, Ints]] = []
        self.offsets: list[int] = []
        self.size = 0
        for clique in self.cliques:
            sizes = [network.nodes[n].size for n in clique]
            index = np.indices(sizes).reshape(len(clique), -1)
            cells = dict(zip(clique, index, strict=True))
            allowed = self._allowed(cells)
            self.cells.append({n: c[allowed] for n, c in cells.items()})
            self.offsets.append(self.size)
            self.size += len(self.weights) * int(allowed.sum())

    def _allowed(self, cells: dict[str, Ints]) -> Bools:
        """Return which cells of a clique its functions allow, (cells,); cells: node -> (cells,) states."""
        size = len(next(iter(cells.values())))
        allowed = np.ones(size, dtype=bool)
        for name, index in cells.items():
            node = self.network.function_nodes.get(name)
            if node is not None and set(node.parents) <= set(cells):
                allowed &= node.function[tuple(cells[p] for p in node.parents)] == index
        return allowed

    def _columns(self, clique: int, state: int) -> slice:
        count = len(next(iter(self.cells[clique].values())))
        start = self.offsets[clique] + state * count
        return slice(start, start + count)

    def _event(self, rule: CompiledRule, table: Bools) -> Floats:
        """Return the coefficients (size,) of P(event) for a table (root states, rule nodes...)."""
        clique = next(i for i, c in enumerate(self.cliques) if set(rule.nodes) <= set(c))
        row = np.zeros(self.size)
        cells = tuple(self.cells[clique][n] for n in rule.nodes)
        for state in range(len(self.weights)):
            row[self._columns(clique, state)] = table[(state, *cells)]
        return row

    def condition(self, rule: CompiledRule) -> Floats:
        """Return the coefficients of P(if), (size,)."""
        return self._event(rule, rule.condition)

    def conclusion(self, rule: CompiledRule) -> Floats:
        """Return the coefficients of P(if & then), (size,)."""
        return self._event(rule, rule.condition & ~rule.violated)

    def constraints(self) -> tuple[Floats, Floats]:
        """Return the equations A x = b: declared tables and moments, agreement on separators.

        A is sparse, (equations, size); b: (equations,).
        """
        from scipy.sparse import coo_matrix

        rows: list[Ints] = []
        columns: list[Ints] = []
        values: list[Floats] = []
        right: list[float] = []

        def equation(terms: list[tuple[slice, Floats]], value: float) -> None:
            for place, factors in terms:
                index = np.flatnonzero(factors)
                rows.append(np.full(len(index), len(right)))
                columns.append(place.start + index)
                values.append(factors[index])
            right.append(value)

        self._declared(equation)
        self._agreement(equation)
        places = np.concatenate(rows), np.concatenate(columns)
        matrix = coo_matrix((np.concatenate(values), places), shape=(len(right), self.size)).tocsr()
        return matrix, np.array(right)

    def _declared(self, equation: object) -> None:
        network = self.network
        for node in network.state_nodes.values():
            if node.name not in self.names:
                continue
            clique = next(i for i, c in enumerate(self.cliques) if node.name in c)
            index = self.cells[clique][node.name]
            for state, weight in enumerate(self.weights):
                columns = self._columns(clique, state)
                p = network.marginals[node.name][state]
                for feature in _features(network, node):
                    equation([(columns, feature[index])], weight * float(p @ feature))  # type: ignore[operator]

    def _agreement(self, equation: object) -> None:
        for first in range(len(self.cliques)):
            for second in range(first):
                shared = [n for n in self.cliques[first] if n in self.cliques[second]]
                if not shared:
                    continue
                sizes = [self.network.nodes[n].size for n in shared]
                for values in np.ndindex(*sizes):
                    masks = [
                        np.all([self.cells[c][n] == v for n, v in zip(shared, values, strict=True)], axis=0)
                        for c in (first, second)
                    ]
                    for state in range(len(self.weights)):
                        terms = [
                            (self._columns(first, state), masks[0].astype(np.float64)),
                            (self._columns(second, state), -masks[1].astype(np.float64)),
                        ]
                        equation(terms, 0.0)  # type: ignore[operator]


def _features(network: Network, node: StateNode) -> list[Floats]:
    """Return the declared functions of a node's states, (states,) each: total, rate or moments."""
    features = [np.ones(node.size)]
    if node.size == 2 and not node.cell:
        return [*features, np.array([0.0, 1.0])]
    values = []
    for variable in node.variables:
        edges = np.array(network.edges[variable])
        values.append(((edges[:-1] + edges[1:]) / 2)[node.values_of(variable)])
    features += values
    features += [a * b for i, a in enumerate(values) for b in values[i:]]
    return features
