"""Network -> Bayesian network of pgmpy: the same distribution in the form that others read.

Every coupling and rule becomes a binary child of what it speaks of, with

    P(true | parents) = exp(f - max f)

for the factor's log-table f: given that all of them are true the joint is the compiled one, since constant
scales cancel. A block of interval variables is written by the chain rule, one variable after another; what
rules say of its variables hangs directly below these, without the block's cell node.

Names are letters, digits and underscores, as BIF wants them; a name that is taken gets a further underscore.
So are names of states: the bin at -0.95 is m0_95, that at 0.05 is p0_05.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pgmpy.factors.discrete import TabularCPD
    from pgmpy.models import DiscreteBayesianNetwork

    from engine.backend.types import Floats
    from engine.network.values import Factor, NetworkValues, StateNode


TRUTH = ("true", "false")
OBSERVED = ("coupling", "rule")


def to_pgmpy(network: NetworkValues, population: str) -> DiscreteBayesianNetwork:
    """Return the network under a population; it is to be read given `observed_true(network)`."""
    from pgmpy.models import DiscreteBayesianNetwork

    tables = list(_PgmpyTables(network, population).tables())
    model = DiscreteBayesianNetwork()
    model.add_nodes_from(table.variable for table in tables)
    model.add_edges_from((parent, t.variable) for t in tables for parent in t.variables[1:])
    model.add_cpds(*tables)
    return model


def exported(
    network: NetworkValues, title: str, form: Literal["bif", "xmlbif", "net"], population: str | None = None
) -> str:
    """Return the network as the text of a file of another program, with a comment that says how to read it.

    title: what the comment calls the network. population: whose prior it has; the reference by default.
    Both pgmpy and pyAgrum read all three back, pyAgrum XMLBIF by the ending .bifxml. NET has eight decimals,
    and pyAgrum reads BIF and NET in single precision.
    """
    from pgmpy.readwrite import BIFWriter, NETWriter, XMLBIFWriter

    population = population or network.reference
    model = to_pgmpy(network, population)
    comment = _comment(network, title, population)
    if form == "xmlbif":
        text = XMLBIFWriter(model).__str__()
        head, _, body = (text.decode() if isinstance(text, bytes) else str(text)).partition("?>\n")
        return f"{head}?>\n<!--\n{re.sub('-(?=-)', '- ', comment)}-->\n{body}"
    writer, sign = (BIFWriter, "//") if form == "bif" else (NETWriter, "%")
    lines = "".join(f"{sign} {line}\n" for line in comment.splitlines())
    return f"{lines}{writer(model)}"


def _comment(network: NetworkValues, title: str, population: str) -> str:
    evidence = ", ".join(f"{name}={value}" for name, value in observed_true(network).items())
    return "\n".join(
        [
            f"{title}, population {population}.",
            "Couplings and rules are nodes that were observed: the network has the declared numbers given",
            *textwrap.wrap(evidence or "nothing (there are none)", 100),
            "and not without. Bins of an interval are named by their middle: m0_95 is -0.95, p0_05 is 0.05.",
            "",
        ]
    )


def exchange_names(network: NetworkValues) -> dict[tuple[str, str], str]:
    """Return the exported name of everything, keyed by kind and name.

    Kinds: variable (also of the root), derived (facts and counters), coupling, rule.
    """
    wanted = [("variable", name, name) for name in network.states]
    wanted += [("derived", name, name) for name in _derived(network)]
    wanted += [(f.kind, f.name, f"{f.kind}_{f.name}") for f in network.factors if f.kind in OBSERVED]
    names: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    for kind, name, plain in wanted:
        free = re.sub(r"\W", "_", plain, flags=re.ASCII)
        # Some programs take upper and lower case for the same.
        while free.lower() in taken:
            free += "_"
        taken.add(free.lower())
        names[kind, name] = free
    return names


def observed_true(network: NetworkValues) -> dict[str, str]:
    """Return the evidence under which the exported network is the compiled one."""
    names = exchange_names(network)
    return {name: TRUTH[0] for (kind, _), name in names.items() if kind in OBSERVED}


def _derived(network: NetworkValues) -> list[str]:
    """Return facts and counters, each after what it depends on; the blocks' cell nodes are left out."""
    others = {*network.facts, *(node.cell for node in network.state_nodes.values())}
    return [*network.facts, *(name for name in network.function_nodes if name not in others)]


class _PgmpyTables:
    """Writes the tables of one network; `states` is keyed by exported names."""

    def __init__(self, network: NetworkValues, population: str) -> None:
        self.network = network
        self.population = population
        self.names = exchange_names(network)
        self.states: dict[str, tuple[str, ...]] = {}
        for (kind, name), exported in self.names.items():
            if kind == "variable":
                self.states[exported] = _words(network.states[name])
            elif name in network.facts and kind == "derived":
                self.states[exported] = ("false", "true")
            elif kind == "derived":
                self.states[exported] = tuple(map(str, range(network.nodes[name].size)))
            else:
                self.states[exported] = TRUTH

    def tables(self) -> Iterator[TabularCPD]:
        """Yield one conditional table a variable, parents before children."""
        network = self.network
        root = self.names["variable", network.root]
        prior = network.log_prior[self.population]
        yield self._table(root, (), _normalised(prior, 0))
        local = {f.nodes[0]: f.log_table for f in network.factors if f.kind == "table"}
        for node in network.state_nodes.values():
            yield from self._chain(root, node, local[node.name])
        for name in _derived(network):
            yield self._function(name)
        for factor in network.factors:
            if factor.kind in OBSERVED:
                yield self._event(root, factor)

    def _table(self, name: str, parents: Sequence[str], values: Floats) -> TabularCPD:
        """Build P(name | parents); values has one axis a parent, then the states of `name`."""
        from pgmpy.factors.discrete import TabularCPD

        size = values.shape[-1]
        return TabularCPD(
            name,
            size,
            np.moveaxis(values, -1, 0).reshape(size, -1),
            evidence=list(parents) or None,
            evidence_card=list(values.shape[:-1]) or None,
            state_names={n: list(self.states[n]) for n in (name, *parents)},
        )

    def _chain(self, root: str, node: StateNode, log_table: Floats) -> Iterator[TabularCPD]:
        """Write a node's table (K, states) as P(first | root), P(second | root, first), ..."""
        names = [self.names["variable", v] for v in node.variables]
        shape = (len(log_table), *(len(self.states[n]) for n in names))
        joint = np.full(shape, -np.inf)
        joint[(slice(None), *node.index.T)] = log_table
        for place, name in enumerate(names):
            later = tuple(range(2 + place, len(shape)))
            marginal = np.logaddexp.reduce(joint, axis=later) if later else joint
            yield self._table(name, (root, *names[:place]), _normalised(marginal, -1))

    def _function(self, name: str) -> TabularCPD:
        """Write a fact or a counter as the function of its parents that it is."""
        exported = self.names["derived", name]
        if name in self.network.facts:
            fact = self.network.facts[name]
            parents = [self.names["variable", fact.variable]]
            bins = np.arange(len(self.states[parents[0]]))
            value = np.isin(bins, sorted(fact.states)).astype(np.int64)
        else:
            node = self.network.function_nodes[name]
            parents, value = [self._of_node(p) for p in node.parents], node.function
        return self._table(exported, parents, np.eye(len(self.states[exported]))[value])

    def _event(self, root: str, factor: Factor) -> TabularCPD:
        """Write a coupling or a rule as a child that is true with probability exp(f - max f)."""
        parents = [self._of_node(n) for n in factor.nodes]
        table = factor.log_table
        if np.all(table == table[:1]):
            table = table[0]
        else:
            parents = [root, *parents]
        true = np.exp(table - table.max())
        return self._table(self.names[factor.kind, factor.name], parents, np.stack([true, 1 - true], axis=-1))

    def _of_node(self, name: str) -> str:
        kind = "variable" if name in self.network.state_nodes else "derived"
        return self.names[kind, name]


def _words(states: Sequence[str]) -> tuple[str, ...]:
    """Return names of states as words, each once; numbers begin with p or m, for plus or minus."""
    words: dict[str, None] = {}
    for state in states:
        number = re.fullmatch(r"(-?)(\d.*)", state)
        signed = f"{'m' if number[1] else 'p'}{number[2]}" if number else state
        word = re.sub(r"\W", "_", signed, flags=re.ASCII)
        while word in words:
            word += "_"
        words[word] = None
    return tuple(words)


def _normalised(logs: Floats, axis: int) -> Floats:
    """Return exp(logs), of their shape, summing to one along an axis."""
    linear = np.exp(logs - np.max(logs, axis=axis, keepdims=True))
    return np.asarray(linear / linear.sum(axis=axis, keepdims=True))
