"""A compiled network as JSON values: all that exact inference on a page needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine import SekeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from engine import Bools, Floats, Knowledge, Network

    Facts = dict[str, Any]

# Cells of all tables together at most: a page sums over them several times whenever a value is set.
MOST_CELLS = 400_000


def network_facts(network: Network, base: Knowledge, most_cells: int = MOST_CELLS) -> Facts:
    """Return the nodes, cliques, factors and rules of a network.

    Tables are lists in C order. Factors that say that a derived node is a function of its parents are left
    out: `functions` says the same.

    Raises:
        engine.SekeError: a network that is too wide for a page.
    """
    cells = len(network.root_states) * sum(
        int(np.prod([network.nodes[name].size for name in step.nodes])) for step in network.steps
    )
    if cells > most_cells:
        raise SekeError(
            f"{base.name}: has {cells:,} cells in its tables; a page can sum over {most_cells:,}. Couplings "
            "and rules that tie many variables together make tables large (seke knowledge check)"
        )
    return {
        "root": network.root,
        "states": {name: list(states) for name, states in network.states.items()},
        "edges": {name: list(edges) for name, edges in network.edges.items()},
        "reference": network.reference,
        "log_prior": {name: _numbers(log_prior) for name, log_prior in network.log_prior.items()},
        "nodes": {
            name: {
                "size": node.size,
                "variables": list(node.variables),
                "values": {variable: node.values_of(variable).tolist() for variable in node.variables},
                "cell": node.cell,
            }
            for name, node in network.state_nodes.items()
        },
        "functions": {
            name: {"size": node.size, "parents": node.parents, "function": node.function.ravel().tolist()}
            for name, node in network.function_nodes.items()
        },
        "cliques": [
            {
                "nodes": list(step.nodes),
                "separator": list(step.separator),
                "children": list(step.children),
                "evidence": sorted(step.evidence & network.state_nodes.keys()),
            }
            for step in network.steps
        ],
        "factors": [
            {"nodes": list(factor.nodes), "log": _numbers(factor.log_table)}
            for factor in network.factors
            if factor.kind != "link"
        ],
        "rules": list(_rules(network)),
        "derived": dict(_derived(network, base)),
    }


def _rules(network: Network) -> Iterator[Facts]:
    keys = ("name", "status", "confidence", "p_if", "weight", "nodes")
    for rule in network.rules:
        events = {"condition": _bits(rule.condition), "violated": _bits(rule.violated)}
        yield {key: getattr(rule, key) for key in keys} | events


def _derived(network: Network, base: Knowledge) -> Iterator[tuple[str, Facts]]:
    """Yield each derived variable with the state that it has in each state of the block, -1 for none."""
    for variable in base.variables.values():
        if variable.kind != "derived":
            continue
        needed = variable.formulas[0].variables()
        node = next(node for node in network.state_nodes.values() if needed <= set(node.variables))
        values = {name: node.values_of(name) for name in node.variables}
        holds = np.stack([np.broadcast_to(f.holds(values), node.size) for f in variable.formulas])
        states = np.where(holds.any(0), holds.argmax(0), -1)
        yield variable.name, {"node": node.name, "states": list(variable.states), "state": states.tolist()}


def _numbers(table: Floats) -> list[float]:
    assert np.isfinite(table).all()
    flat: list[float] = table.ravel().tolist()
    return flat


def _bits(table: Bools | NDArray[Any]) -> str:
    """Return truth values, in C order, as a text of 0 and 1."""
    return "".join("01"[bool(value)] for value in table.ravel().tolist())
