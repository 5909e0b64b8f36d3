"""The declared numbers of a base against a table of known values: what the data back and contradict.

What is declared of each number is a range: the 95 % range of a number of its strength n, as if seen in n
items.

* share (a rule's confidence, P(true | root state)): Wilson's interval of p of n items;
* odds ratio: ln OR ± 1.96 · 4 / √n, as of four cells with a quarter of n items each;
* mean, sd and correlation: ± 1.96 sd / √n, ln sd ± 1.96 / √(2n), and Fisher's z ± 1.96 / √(n - 3);
* P(root state) of a population: that number alone, since populations have no strength; the intervals of all
  states hold together at 95 % (Bonferroni).

The verdict compares it with the observed figure and its 95 % interval:

    backed            the interval holds the declared number
    allowed           it does not, but meets the declared range: the strength leaves room for this
    contradicted      the two do not meet
    too few           the items behind the figure are worth fewer than LEAST_SIZE independent ones
    not in the table  a variable that is needed is no column of the table
    not tested        a base rate, where nobody says which population the items are a sample of

A rule's confidence is P(then | if) under the reference population, so items are weighted by their root
states, as often as these are under the reference over how often they are among the items with all of the
rule's variables known. Where a root state is missing altogether, what is declared is what the compiled
network has under the reference without it. Where the root is unknown, items count equally, and the reason
says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engine.analysis.audit import compiled_moments
from engine.analysis.table_couplings import BOTH, declared_ratios
from engine.compilation.maxent import Constraints, DualProblem
from engine.language.parameter_paths import CELLS, MOMENTS
from engine.metrics.moments import correlation_estimate, deviation_estimate, mean_estimate
from engine.metrics.odds_ratios import mantel_haenszel
from engine.metrics.proportions import LEVEL, IntervalEstimate, quantile, share, wilson
from engine.metrics.strengths import fisher_z_sd, log_ratio_sd, log_sd_sd, mean_sd
from engine.model.gold import Gold, states_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.backend.types import Bools, Floats, Ints
    from engine.inference.posterior import Inference
    from engine.model.citation import Cited
    from engine.model.knowledge import Coupling, Knowledge, Moments, Rule
    from engine.network.network import Network

    Event = tuple[tuple[str, ...], Floats]

Kind = Literal["rule", "coupling", "cell", "base rate", "mean", "sd", "correlation"]
Verdict = Literal["backed", "allowed", "contradicted", "too few", "not in the table", "not tested"]

# Independent items that a figure must be worth; of fewer, an interval of a share is half of all values wide.
LEAST_SIZE = 10.0


@dataclass(frozen=True)
class TableItems:
    """N items of which some variables are known.

    gold: the variables that the table has. groups: (N,) the group that each item is of, such as a person,
    None where items are independent.
    """

    gold: Gold
    count: int
    groups: Ints | None = None

    def only(self, chosen: Bools) -> TableItems:
        """Return the chosen items: a mask (N,)."""
        groups = None if self.groups is None else self.groups[chosen]
        return TableItems(self.gold.only(chosen), int(chosen.sum()), groups)

    def states(self, base: Knowledge) -> dict[str, Ints]:
        """Return the state of each variable, (N,), -1 where it is unknown."""
        return {name: states_of(base.variables[name], values) for name, values in self.gold.values.items()}


@dataclass(frozen=True)
class DeclaredNumber:
    """A declared number as comparable with the observed one (see the module's docstring), and its range.

    strength: None where none is declared. compiled: the number in the network under the reference population.
    """

    path: str
    kind: Kind
    name: str
    number: float
    low: float
    high: float
    strength: float | None
    cited: Cited
    compiled: float


@dataclass(frozen=True)
class NumberTest:
    """A declared number against a table.

    observed: None where the table lacks a variable. compiled_here: the number in the network under the root
    states of the items; plain: the observed one without weighing items. others: further estimates of the
    same, by the name of the method.
    """

    declared: DeclaredNumber
    verdict: Verdict
    reason: str = ""
    observed: IntervalEstimate | None = None
    compiled_here: float = math.nan
    plain: float = math.nan
    others: Mapping[str, IntervalEstimate] = field(default_factory=dict)


def judge(declared: DeclaredNumber, observed: IntervalEstimate, reason: str = "", **more: Any) -> NumberTest:
    """Return the test of a number, with the verdict that the module's docstring defines."""
    verdict: Verdict = "contradicted"
    if observed.size < LEAST_SIZE or math.isnan(observed.value):
        verdict = "too few"
    elif observed.low <= declared.number <= observed.high:
        verdict = "backed"
    elif observed.low <= declared.high and declared.low <= observed.high:
        verdict = "allowed"
    return NumberTest(declared, verdict, reason, observed, **more)


def share_range(p: float, n: float) -> tuple[float, float]:
    """Return the range of a declared share of strength n."""
    return wilson(p, n)


def ratio_range(ratio: float, n: float) -> tuple[float, float]:
    """Return the range of a declared odds ratio of strength n."""
    reach = quantile() * log_ratio_sd(n)
    return ratio * math.exp(-reach), ratio * math.exp(reach)


class KnowledgeTest:
    """Tests the numbers of a compiled base on a table.

    population: the one that the items are a sample of, None where that is not known; only base rates need it.
    """

    def __init__(self, inference: Inference, items: TableItems, population: str | None = None) -> None:
        self.base, self.network, self.items = inference.knowledge, inference.network, items
        self.population, self.groups = population, items.groups
        self.states = items.states(self.base)
        self.root = self.states.get(self.base.root)
        self.names = self.base.variables[self.base.root].states
        self.reference = np.array(self.base.populations[self.base.reference].p)

    def tests(self) -> Iterator[NumberTest]:
        """Yield the test of each number: rules, couplings, cells, base rates, moments."""
        yield from self._rules()
        yield from self._couplings()
        yield from self._cells()
        yield from self._base_rates()
        for state, moments in enumerate(self.base.moments):
            yield from self._moments(state, moments)

    def _groups_of(self, chosen: Bools) -> Ints | None:
        return None if self.groups is None else self.groups[chosen]

    def _lacking(self, *names: str) -> str:
        """Return which of these variables the table lacks, in words; an empty text for none."""
        lacking = [name for name in names if name not in self.states]
        return f"no column {', '.join(lacking)}" if lacking else ""

    def _rules(self) -> Iterator[NumberTest]:
        compiled = {rule.name: rule for rule in self.network.rules}
        probabilities = rule_probabilities(self.network)
        for rule in self.base.rules:
            yield self._rule(rule, probabilities[rule.name], compiled[rule.name].reached)

    def _rule(self, rule: Rule, p: Floats, reached: float) -> NumberTest:
        """Test a rule; p: P(if) and P(if & then) given each root state, (K, 2)."""

        def declared(number: float) -> DeclaredNumber:
            path, ends = f"rules.{rule.name}.confidence", share_range(number, rule.n)
            return DeclaredNumber(path, "rule", rule.name, number, *ends, rule.n, rule, reached)

        variables = rule.condition.variables() | rule.then.variables()
        lacking = self._lacking(*sorted(variables))
        if lacking:
            return NumberTest(declared(rule.confidence), "not in the table", lacking)
        all_known = self._known(*variables, *([self.base.root] if self.root is not None else []))
        values = {variable: self.states[variable][all_known] for variable in variables}
        condition, then = (
            np.broadcast_to(formula.holds(values), all_known.sum()) for formula in (rule.condition, rule.then)
        )
        known = all_known.copy()
        known[all_known] = condition
        happened, groups = then[condition], self._groups_of(known)
        plain = float(happened.mean()) if len(happened) else math.nan
        if self.root is None:
            reason = f"no column {self.base.root}: items count equally"
            return judge(declared(rule.confidence), share(happened, None, groups), reason, plain=plain)
        shares = np.bincount(self.root[all_known], minlength=len(self.names)) / max(all_known.sum(), 1)
        weight, missing = self._weights(shares, p[:, 0])
        number, reason = rule.confidence, ""
        if missing:
            without = _conditional(p, np.where(shares > 0, self.reference, 0.0))
            number = number if math.isnan(without) else without
            reason = f"compared without {', '.join(missing)}, which the table lacks"
        observed = share(happened, weight[self.root[known]], groups)
        here = _conditional(p, shares)
        return judge(declared(number), observed, reason, compiled_here=here, plain=plain)

    def _weights(self, shares: Floats, p_if: Floats) -> tuple[Floats, list[str]]:
        """Return the weight of an item of each root state, (K,), and the missing states that a rule is about.

        shares: of the items, (K,). p_if: P(if) given each state, (K,).
        """
        there = shares > 0
        weight = np.where(there, self.reference, 0.0) / np.where(there, shares, 1.0)
        missing = [name for name, has, q in zip(self.names, there, p_if, strict=True) if q > 0 and not has]
        return weight, missing if there.any() else []

    def _couplings(self) -> Iterator[NumberTest]:
        pairs = [c.pair for c in self.base.couplings if not self._lacking(self.base.root, *c.pair)]
        together: dict[tuple[str, str], IntervalEstimate] = {}
        if self.root is not None and pairs:
            names = {name for pair in pairs for name in pair}
            known = self._known(self.base.root, *names)
            values = {name: self.states[name][known] for name in names}
            together = declared_ratios(values, self.root[known], pairs, self._groups_of(known))
        compiled = compiled_ratios(self.network, self.base)
        for coupling in self.base.couplings:
            yield self._coupling(coupling, compiled[coupling.name], together.get(coupling.pair))

    def _coupling(self, coupling: Coupling, compiled: float, together: IntervalEstimate | None) -> NumberTest:
        """Test a coupling; together: its estimate with all others, None where no item has all variables."""
        path, ratio = f"couplings.{coupling.name}.odds_ratio", coupling.odds_ratio
        ends = ratio_range(ratio, coupling.n)
        declared = DeclaredNumber(
            path, "coupling", coupling.name, ratio, *ends, coupling.n, coupling, compiled
        )
        lacking = self._lacking(self.base.root, *coupling.pair)
        if lacking or self.root is None:
            return NumberTest(declared, "not in the table", lacking)
        known = self._known(self.base.root, *coupling.pair)
        first, second = (self.states[variable][known] == 1 for variable in coupling.pair)
        pooled = mantel_haenszel(first, second, self.root[known], self._groups_of(known))
        if pooled is None:
            reason = f"in no {self.base.root} do both vary"
            return NumberTest(declared, "too few", reason)
        # Worth as many items as leave ln OR as uncertain with a quarter of them in each cell.
        deviation = math.log(pooled.high / pooled.low) / (2 * quantile())
        pooled = replace(pooled, size=16 / max(deviation, 1e-6) ** 2)
        others = {"Mantel-Haenszel": pooled} | ({"declared form": together} if together else {})
        # Items of which some other paired variable is unknown are in the pooled ratio alone.
        whole = together is not None and together.items >= pooled.items / 2
        reason = "" if whole else "Mantel and Haenszel: few items have all paired variables known"
        observed = together if together is not None and whole else pooled
        return judge(declared, observed, reason, plain=pooled.value, others=others)

    def _known(self, *names: str) -> Bools:
        """Return the items of which all of these variables are known, (N,)."""
        return np.asarray(np.all([self.states[name] >= 0 for name in names], axis=0))

    def _cells(self) -> Iterator[NumberTest]:
        for name, row in self.base.cells.items():
            lacking = self._lacking(self.base.root, name)
            for index, (state, cell) in enumerate(zip(self.names, row, strict=True)):
                path, p = ".".join((*CELLS, state, name)), float(self.network.given_root[name][index, 1])
                ends = share_range(cell.p, cell.n)
                declared = DeclaredNumber(path, "cell", f"{name} | {state}", cell.p, *ends, cell.n, cell, p)
                if lacking or self.root is None:
                    yield NumberTest(declared, "not in the table", lacking)
                    continue
                chosen = (self.root == index) & (self.states[name] >= 0)
                observed = share(self.states[name][chosen] == 1, groups=self._groups_of(chosen))
                yield judge(declared, observed, compiled_here=p, plain=observed.value)

    def _base_rates(self) -> Iterator[NumberTest]:
        usual = self.base.usual_population or self.base.reference
        population = self.base.populations[self.population or usual]
        lacking = self._lacking(self.base.root)
        for index, (state, p) in enumerate(zip(self.names, population.p, strict=True)):
            path = f"priors.populations.{population.name}.p.{state}"
            declared = DeclaredNumber(path, "base rate", state, p, p, p, None, population, p)
            if self.root is None:
                yield NumberTest(declared, "not in the table", lacking)
                continue
            known = self.root >= 0
            level = 1 - (1 - LEVEL) / len(self.names)
            observed = share(self.root[known] == index, None, self._groups_of(known), level)
            result = judge(declared, observed, compiled_here=p, plain=observed.value)
            if not self.population:
                reason = "it is not said which population the items are a sample of"
                result = replace(result, verdict="not tested", reason=reason)
            yield result

    def _moments(self, state: int, moments: Moments) -> Iterator[NumberTest]:
        names, n, z = self.base.intervals, moments.n, quantile()
        mean, sd, correlation = compiled_moments(self.network, names, state)
        prefix, title = ".".join((*MOMENTS, self.names[state])), self.names[state]
        for i, name in enumerate(names):
            m, s, chosen = moments.mean[i], moments.sd[i], self._values_given(state, name)
            reach, factor = z * mean_sd(s, n), math.exp(z * log_sd_sd(n))
            about = (n, moments)
            declared = DeclaredNumber(
                f"{prefix}.mean.{name}", "mean", f"{name} | {title}", m, m - reach, m + reach, *about,
                float(mean[i]),
            )  # fmt: skip
            yield self._moment(declared, mean_estimate(chosen[0][0], chosen[1]) if chosen else None, name)
            declared = DeclaredNumber(
                f"{prefix}.sd.{name}", "sd", f"{name} | {title}", s, s / factor, s * factor, *about,
                float(sd[i]),
            )  # fmt: skip
            observed = deviation_estimate(chosen[0][0], chosen[1]) if chosen else None
            yield self._moment(declared, observed, name)
        for i, j in np.transpose(np.triu_indices(len(names), 1)).tolist():
            pair, r = (names[i], names[j]), moments.correlation[i][j]
            reach, middle = z * fisher_z_sd(n), math.atanh(r)
            ends = math.tanh(middle - reach), math.tanh(middle + reach)
            label, compiled = f"{' '.join(pair)} | {title}", float(correlation[i, j])
            declared = DeclaredNumber(
                f"{prefix}.correlation", "correlation", label, r, *ends, n, moments, compiled
            )
            chosen = self._values_given(state, *pair)
            estimated = None
            if chosen is not None:
                first, second = chosen[0]
                estimated = correlation_estimate(first, second, chosen[1])
            yield self._moment(declared, estimated, *pair)

    def _values_given(self, state: int, *names: str) -> tuple[list[Floats], Ints | None] | None:
        """Return the values of intervals, (n,) each, of items in a root state, and these items' groups."""
        if self._lacking(self.base.root, *names) or self.root is None:
            return None
        columns = [self.items.gold.values[name] for name in names]
        chosen = (self.root == state) & ~np.isnan(columns).any(0)
        return [column[chosen] for column in columns], self._groups_of(chosen)

    def _moment(self, declared: DeclaredNumber, observed: IntervalEstimate | None, *names: str) -> NumberTest:
        if observed is None:
            return NumberTest(declared, "not in the table", self._lacking(self.base.root, *names))
        return judge(declared, observed, compiled_here=declared.compiled, plain=observed.value)


def _conditional(p: Floats, shares: Floats) -> float:
    """Return P(then | if) under shares (K,) of the root's states; p: P(if), P(if & then) given each, (K.

    2).
    """
    p_if, p_both = shares @ p
    return float(p_both / p_if) if p_if > 0 else math.nan


def given_root(network: Network, events: Sequence[Event]) -> Floats:
    """Return P(event | root state) in a compiled network, (events, K).

    events: each the nodes of one clique and 1 where it holds, (K or 1, sizes of the nodes...).
    """
    k = len(network.root_states)
    none = np.zeros((k, 0))
    constraints = Constraints(np.ones(k), (), none, "", np.zeros((k, 0, 0)), none, (), np.zeros(0))
    sizes = {name: node.size for name, node in network.nodes.items()}
    model = DualProblem(constraints, network.steps, sizes, network.factors)
    only = [
        (nodes, table * (np.arange(k) == state).reshape(k, *[1] * len(nodes)))
        for nodes, table in events
        for state in range(k)
    ]
    return model.probabilities(only, none).reshape(len(events), k)


def rule_probabilities(network: Network) -> dict[str, Floats]:
    """Return of each rule P(if) and P(if & then) given each root state, (K, 2)."""
    k, probabilities = len(network.root_states), {}
    both = {rule.name: rule.condition & ~rule.violated for rule in network.rules}
    below = [rule for rule in network.rules if rule.nodes]
    for rule in network.rules:
        columns = [table.reshape(k, -1)[:, 0] for table in (rule.condition, both[rule.name])]
        probabilities[rule.name] = np.stack(columns, axis=1).astype(np.float64)
    tables = [(rule.nodes, table) for rule in below for table in (rule.condition, both[rule.name])]
    values = given_root(network, [(nodes, table.astype(np.float64)) for nodes, table in tables])
    pairs = values.reshape(len(below), 2, k).transpose(0, 2, 1)
    return probabilities | {rule.name: pair for rule, pair in zip(below, pairs, strict=True)}


def compiled_ratios(network: Network, base: Knowledge) -> dict[str, float]:
    """Return the odds ratio of each coupling given the root in the compiled network, reference population.

    It is Mantel and Haenszel's: what rules and other couplings do to the pair is in it.
    """
    pairs = [coupling.pair for coupling in base.couplings]
    joint = given_root(network, [(pair, BOTH[None]) for pair in pairs])
    weights, ratios = np.array(base.populations[base.reference].p), {}
    for coupling, both in zip(base.couplings, joint, strict=True):
        first, second = (network.given_root[name][:, 1] for name in coupling.pair)
        neither = 1 - first - second + both
        apart = (first - both) * (second - both)
        ratios[coupling.name] = float(weights @ (both * neither) / (weights @ apart))
    return ratios
