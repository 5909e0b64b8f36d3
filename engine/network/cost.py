"""What a compiled network costs: how wide it is, and how quick its inference will be.

The speed is counted, not measured: multiplications in matrix products and elements of arrays written, one
row of evidence at a time, priced as they came out on one core (tests/benchmarks/test_engine_speed.py prints
counted beside measured). It tells a quick base from a slow one; machines differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.network.network import Network
    from engine.network.values import Clique

# Nanoseconds of one core, as measured: of a multiplication in a matrix product, of an element of an array,
# written, and of a row of evidence whatever the network.
NS_A_PRODUCT = 0.1
NS_AN_ELEMENT = 0.65
NS_A_ROW = 300.0


@dataclass(frozen=True)
class Cost:
    """Cost of a network.

    treewidth: the largest clique below the root, in nodes, a block of intervals counted as one.
    largest_table, largest_block: cells of the largest clique table (root included) without and with a
    block. largest_message: numbers in the widest message between two cliques, for one item. products,
    elements: work for one item of which everything is told, in multiplications and in numbers written.
    items_a_second: expected on one core, without reading, decisions and look-ahead; each reading under
    halo doubles an item's work at most.
    """

    treewidth: int
    largest_table: int
    largest_block: int
    largest_message: int
    products: int
    elements: int
    items_a_second: float

    def __str__(self) -> str:
        """Return the cost in one line."""
        table = max(self.largest_table, self.largest_block)
        speed = float(f"{self.items_a_second:.2g}")
        return (
            f"treewidth {self.treewidth}, largest table {table:,} cells, largest message "
            f"{self.largest_message:,} numbers; about {speed:,.0f} posteriors/s on one core"
        )


def cost_of(network: Network) -> Cost:
    """Count what inference on a network costs."""
    states = len(network.root_states)
    sizes = {name: node.size for name, node in network.nodes.items()}
    rules = [rule.nodes for rule in network.rules if rule.status in ("met", "unmet")]
    placed = [next(i for i, s in enumerate(network.steps) if set(nodes) <= set(s.nodes)) for nodes in rules]
    products = elements = 0
    for index, step in enumerate(network.steps):
        work = _step(step, states, sizes, placed.count(index))
        products, elements = products + work[0], elements + work[1]
    messages = [states * math.prod(sizes[n] for n in step.separator) for step in network.steps]
    spent = NS_A_PRODUCT * products + NS_AN_ELEMENT * elements + NS_A_ROW
    return Cost(
        network.treewidth,
        network.cells(blocks=False),
        network.cells(blocks=True),
        max(messages, default=states),
        products,
        elements,
        1e9 / spent,
    )


def _step(step: Clique, states: int, sizes: dict[str, int], rules: int) -> tuple[int, int]:
    """Return the products and the elements of one clique, both passes."""
    private = math.prod(step.sizes)
    shared = states * math.prod(sizes[n] for n in step.shared)
    message = states * math.prod(sizes[n] for n in step.separator)
    if step.grid is not None:
        return 2 * states * private, 4 * private + 2 * shared
    products = (2 + rules) * shared * private + private * sum(step.sizes)
    passes = 2 + len(step.children) + (4 + len(step.children) if step.children or step.evidence else 1)
    return products, passes * shared + 3 * message + (3 + 2 * rules) * private
