"""Evidence -> posteriors, exact, for many items at once.

    log Z_i = log Σ_rows w_row · Σ_root q(root) u(root) Π_below (junction tree)

A row with evidence about the root alone needs no pass over the tree: given the root, the variables below it
have their prior distribution.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import namespace
from engine.inference.device_evidence import evidence_model
from engine.inference.device_tree import DeviceTree, as_numpy, check_device
from engine.inference.known_root import KnownRoot
from engine.model.responses import cuts_of
from engine.network.junction_tree import (
    Beliefs,
    Readout,
    add_to_clique,
    collect,
    distribute,
    indicators,
    largest_array,
)
from engine.observation.evidence import ObservationModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.backend.types import Array, Floats, Ints
    from engine.model.knowledge import Knowledge
    from engine.model.responses import Answers
    from engine.model.variable import Variable
    from engine.network.network import Network
    from engine.observation.evidence import Evidence


# Rows of evidence built at once.
MOST_ROWS = 8192
# Rows of a pass over the tree at most: on the CPU, and on a device.
MOST_CHUNK = 2560
DEVICE_CHUNK = 1 << 17
# Numbers of a pass's largest array at most, so that it stays in a processor's cache: 4,096 rows of the
# shipped base took .14 s in chunks of 340, .10 s of 700 and 1,400, .13 s in one.
CACHED_NUMBERS = 600_000
# Below this the calls themselves cost more than what they compute.
LEAST_CHUNK = 24
# Odds beyond this are as good as certain, and still numbers.
MOST_LOG_ODDS = 600.0


@dataclass(frozen=True)
class Posterior:
    """Posteriors of N items.

    marginals: variable -> (N, states), derived variables included. correlation: (N,) of the first two
    interval variables of the block, NaN where there are none. log_evidence: (N,) log P(answers), nats.
    violations: (N, R) P(if & not then) of the compiled rules `rules`. followed: for each reading P(its
    answers followed its label | all answers), 0 where there is no halo. answer_odds: of each binary variable
    the log-odds of true that the answers about it alone give, (N,), without prior, couplings and rules: 0
    where no answer is about it, or only answers that followed their label.
    """

    items: tuple[str, ...]
    marginals: Mapping[str, Floats]
    correlation: Floats
    log_evidence: Floats
    rules: tuple[str, ...]
    violations: Floats
    followed: Floats
    answer_odds: Mapping[str, Floats]


class Inference:
    """Exact inference in a network, for one population.

    knowledge: the base that the network was compiled from, with its observers, questions and policy.
    device: "cpu", where numpy computes in one thread, or one of torch, as CUDA's. single: the network in
    float32 there. like: inference of which it takes what it may, of observers that are the same. Raises
    SekeError where torch cannot compute on the device here.
    """

    def __init__(
        self,
        network: Network,
        knowledge: Knowledge,
        population: str | None = None,
        *,
        device: str = "cpu",
        single: bool = False,
        like: Inference | None = None,
    ) -> None:
        if device != "cpu":
            check_device(device)
        self.network, self.knowledge = network, knowledge
        self.population = population or knowledge.usual_population or network.reference
        known = like.observations if like else None
        self.observations: ObservationModel = ObservationModel(network, knowledge, self.population, known)
        self.device, self.single = device, single
        self.steps = network.steps
        self.rules = tuple(r for r in network.rules if r.status in ("met", "unmet"))
        self._layout = _RowLayout(network, knowledge, tuple(rule.name for rule in self.rules))
        tables, scale = self._tables()
        self._tree = DeviceTree(tables, self._outlets(tables))
        self._log_root = (scale + network.log_prior[self.population])[:, None]
        # All below the root as the knowledge has it: one column a root state.
        every = np.eye(len(scale))
        total, held = collect(self.steps, tables, {})
        self._chunk = min(MOST_CHUNK, max(CACHED_NUMBERS // largest_array(self.steps, held), LEAST_CHUNK))
        self._log_z_prior = np.broadcast_to(total, (len(scale), 1))
        self._prior_marginals = self._layout.stack(
            every, distribute(self.steps, self._tree.outlets, held, every)
        )

    def with_knowledge(self, knowledge: Knowledge) -> Inference:
        """Return the inference by a changed base of the same network: another policy, prices or observers."""
        observations = ObservationModel(self.network, knowledge, self.population, self.observations)
        return self._observing(observations, knowledge)

    def remembering(self, answers: Answers) -> Inference:
        """Return the same inference, which remembers what these answers report.

        So do those that `with_knowledge` makes of it: good for a few items that are weighed many times.
        """
        return self._observing(self.observations.remembering(answers), self.knowledge)

    def _observing(self, observations: ObservationModel, knowledge: Knowledge) -> Inference:
        changed = copy(self)
        changed.observations, changed.knowledge = observations, knowledge
        vars(changed).pop("_evidence_model", None)
        return changed

    @cached_property
    def _evidence_model(self) -> ObservationModel:
        return evidence_model(self.observations, self.device)

    @cached_property
    def _tensors(self) -> DeviceTree:
        return self._tree.as_tensors(self.device, self.single)

    @cached_property
    def known_root(self) -> KnownRoot:
        """Inference for rows whose root state is known, by numpy."""
        return KnownRoot(self.network, self._tree, self._log_root[:, 0])

    def _tables(self) -> tuple[tuple[Floats, ...], Floats]:
        """Return the linear tables, and the peaks (K,) of their logs that were taken out."""
        states = len(self.network.root_states)
        tables: list[Floats] = []
        for step in self.steps:
            shape = [self.network.nodes[n].size for n in step.nodes]
            tables.append(np.zeros((states, *shape)))
        for factor in self.network.factors:
            add_to_clique(self.steps, tables, factor.nodes, factor.log_table)
        peaks = [table.reshape(states, -1).max(1) for table in tables]
        linear = tuple(
            np.exp(table - peak.reshape(-1, *[1] * (table.ndim - 1)))
            for table, peak in zip(tables, peaks, strict=True)
        )
        return linear, sum(peaks, np.zeros(states))

    def _outlets(self, tables: tuple[Floats, ...]) -> tuple[Readout, ...]:
        """Return the readout of each clique: its own nodes, and the rules violated within it."""
        events: list[dict[int, Floats]] = [{} for _ in tables]
        for number, rule in enumerate(self.rules):
            zeros: list[Floats] = [np.zeros(1)] * len(tables)
            index = add_to_clique(self.steps, zeros, rule.nodes, rule.violated.astype(np.float64))
            events[index][number] = tables[index] * zeros[index]
        outlets = []
        for step, table, inside in zip(self.steps, tables, events, strict=True):
            if step.grid is not None:
                outlets.append(Readout(np.ascontiguousarray(table.T), self._layout.functions))
                continue
            cells = math.prod(table.shape[: 1 + len(step.shared)])
            rows = [weights.reshape(cells, -1).T for weights in (table, *inside.values())]
            outlets.append(Readout(np.concatenate(rows), indicators(step.sizes), tuple(inside)))
        return tuple(outlets)

    def posterior(self, answers: Answers) -> Posterior:
        """Return the posteriors of all items.

        Raises:
            AnswerError: an item whose readings cannot be weighed exactly.
        """
        stacked = np.empty((self._layout.rows, len(answers.items)))
        log_evidence = np.empty(len(answers.items))
        followed = np.zeros(len(answers.reading_item))
        odds = {name: np.zeros(len(answers.items)) for name in self.knowledge.cells}
        for items, evidence in self.evidence_of(answers):
            shares = np.empty(len(evidence.row_item))
            log_evidence[items] = self.log_evidence_rows(evidence, stacked[:, items], shares)
            if evidence.on.size:
                item = answers.reading_item
                part_readings = np.flatnonzero((item >= items.start) & (item < items.stop))
                row, reading = evidence.on
                followed[part_readings] = np.bincount(reading, shares[row], len(part_readings))
            for name in odds.keys() & evidence.log_likelihood.keys():
                odds[name][items] = _answer_odds(evidence, name, shares)
        return self._layout.posterior(answers.items, stacked, log_evidence, followed, odds)

    def marginals(self, evidence: Evidence) -> Mapping[str, Floats]:
        """Return the marginals of all variables given evidence, each (N, states)."""
        return self.given(evidence).marginals

    def given(self, evidence: Evidence) -> Posterior:
        """Return the posteriors given evidence; items have no names."""
        stacked = np.empty((self._layout.rows, evidence.items))
        log_evidence = self.log_evidence_rows(evidence, stacked)
        return self._layout.posterior((), stacked, log_evidence, np.zeros(0), {})

    def beliefs(self, evidence: Evidence) -> tuple[Floats, Mapping[str, Floats]]:
        """Return log P(answers) of each item, (N,), and the marginals of the answered variables, (states, N).

        The marginals are the derivatives of log P(answers) in the log-likelihoods.
        """
        stacked = np.empty((self._layout.rows, evidence.items))
        log_z = self.log_evidence_rows(evidence, stacked)
        return log_z, {name: stacked[self._layout.places[name]] for name in evidence.log_likelihood}

    def log_evidence(self, answers: Answers) -> Floats:
        """Return log P(answers) of each item, nats, (N,)."""
        log_z = np.empty(len(answers.items))
        for items, evidence in self.evidence_of(answers):
            log_z[items] = self.log_evidence_rows(evidence)
        return log_z

    def evidence_of(self, answers: Answers) -> Iterator[tuple[slice, Evidence]]:
        """Yield the evidence in parts: a slice of the items, and their evidence of at most MOST_ROWS rows.

        Items and readings are numbered within the part. It is made on the device, and stays there.
        """
        for start, stop in cuts_of(np.cumsum(self.observations.rows_of(answers)), MOST_ROWS):
            whole = (start, stop) == (0, len(answers.items))
            part = answers if whole else answers.part(start, stop)
            yield slice(start, stop), self._evidence_model.evidence(part)

    def log_evidence_rows(
        self, evidence: Evidence, stacked: Floats | None = None, shares: Floats | None = None
    ) -> Floats:
        """Return log P(answers) of each item, nats, (N,).

        Where given, `stacked` (rows of the layout, N) is filled with the posterior, and `shares` (rows,) with
        P(row | its item's answers).
        """
        rows = np.bincount(evidence.row_item, minlength=evidence.items)
        ends = np.cumsum(rows)
        log_z = np.empty(evidence.items)
        tree, most = (self._tree, self._chunk) if self.device == "cpu" else (self._tensors, DEVICE_CHUNK)
        # Chunks of equal size rather than a small last one.
        most = -(-len(evidence.row_item) // max(-(-len(evidence.row_item) // most), 1))
        for start, stop in cuts_of(ends, most):
            first, last = int(ends[start] - rows[start]), int(ends[stop - 1])
            part = evidence.part(start, stop, first, last)
            part_stacked = None if stacked is None else stacked[:, start:stop]
            log_z[start:stop], share = self._chunk_log_evidence(tree, part, part_stacked)
            if shares is not None:
                shares[first:last] = share
        return log_z

    def _chunk_log_evidence(
        self, tree: DeviceTree, evidence: Evidence, stacked: Floats | None
    ) -> tuple[Floats, Floats]:
        """Return log Z, (items,), and each row's share in it, (rows,); fill `stacked` unless it is None."""
        evidence_rows = np.flatnonzero(evidence.has_evidence)
        u, scale = self._likelihoods(tree, evidence, evidence_rows)
        logs = np.repeat(self._log_z_prior, len(evidence.row_item), axis=1)
        if len(evidence_rows):
            total, held = collect(self.steps, tree.tables, u)
            logs[:, evidence_rows] = as_numpy(total)
        logs += self._log_root
        if self.network.root in evidence.log_likelihood:
            logs += as_numpy(evidence.log_likelihood[self.network.root])
        log_rows, root = _log_sum_and_shares(logs)
        log_z, share = _item_log_z(log_rows + scale, evidence.row_item, evidence.items)
        if stacked is None:
            return log_z, share
        root *= share
        beliefs = None
        if len(evidence_rows):
            beliefs = distribute(self.steps, tree.outlets, held, tree.convert(root[:, evidence_rows]))
        self._fill(stacked, evidence, root, evidence_rows, beliefs)
        return log_z, share

    def _fill(
        self, stacked: Floats, evidence: Evidence, root: Floats, evidence_rows: Ints, beliefs: Beliefs | None
    ) -> None:
        """Sum the rows of each item, with and without evidence, into `stacked`.

        root: (K, rows) P(root state, row | answers of the item).
        """
        row_item = evidence.row_item
        if beliefs is not None and len(evidence_rows) == evidence.items == len(row_item):
            self._layout.stack(root, beliefs, stacked)
            return
        prior_shares = np.zeros((len(root), evidence.items))
        _add_columns(prior_shares, root[:, ~evidence.has_evidence], row_item[~evidence.has_evidence])
        np.matmul(self._prior_marginals, prior_shares, out=stacked)
        if beliefs is not None:
            _add_columns(
                stacked, self._layout.stack(root[:, evidence_rows], beliefs), row_item[evidence_rows]
            )

    def _likelihoods(
        self, tree: DeviceTree, evidence: Evidence, evidence_rows: Ints
    ) -> tuple[dict[str, Array], Floats]:
        """Return the likelihoods of rows with evidence, linear with peak 1, and the rows' log-scales.

        Variable -> (states, rows with evidence), and (rows,).
        """
        scale, linear = as_numpy(evidence.log_weight).copy(), {}
        for name, logs in evidence.log_likelihood.items():
            if name != self.network.root and len(evidence_rows):
                part = tree.convert(logs if len(evidence_rows) == len(scale) else logs[:, evidence_rows])
                xp = namespace(part)
                peak = xp.amax(part, 0)
                linear[name] = xp.exp(part - peak)
                scale[evidence_rows] += as_numpy(peak)
        return linear, scale


class _RowLayout:
    """The order of all posterior figures in one array (rows, N).

    First the root and the variables, then the means of functions of the block, then the rules.
    """

    def __init__(self, network: Network, knowledge: Knowledge, rules: tuple[str, ...]) -> None:
        self.network, self.rules, self.interval = network, rules, knowledge.intervals
        self.names = names = (network.root, *network.node_of)
        ends = np.cumsum([len(network.states[name]) for name in names]).tolist()
        self.places = dict(zip(names, map(slice, [0, *ends], ends), strict=False))
        self.derived = [v for v in knowledge.variables.values() if v.kind == "derived"]
        functions = [self._state_indicators(variable) for variable in self.derived]
        if len(self.interval) > 1:
            functions.append(self._product())
        cells = max((grid.runs[-1].stop for grid in (s.grid for s in network.steps) if grid), default=0)
        self.functions = np.concatenate([np.zeros((0, cells)), *functions])
        self.means = slice(ends[-1], ends[-1] + len(self.functions))
        self.rows = self.means.stop + len(rules)

    def _state_indicators(self, variable: Variable) -> Floats:
        """Return 1 where a state of a derived variable holds, (states, cells of the block)."""
        nodes = self.network.state_nodes.values()
        node = next(n for n in nodes if variable.formulas[0].variables() <= set(n.variables))
        values = {name: node.values_of(name) for name in node.variables}
        return np.stack([formula.holds(values) for formula in variable.formulas]).astype(np.float64)

    def _values(self, name: str) -> Floats:
        """Return the centres of an interval variable's bins, (bins,)."""
        edges = np.array(self.network.edges[name])
        return np.asarray((edges[:-1] + edges[1:]) / 2)

    def _product(self) -> Floats:
        """Return the product of the block's first two variables, (1, cells)."""
        first, second = self.interval[:2]
        node = self.network.node_of[first]
        product = self._values(first)[node.values_of(first)] * self._values(second)[node.values_of(second)]
        return np.asarray(product[None])

    def stack(self, root: Floats, beliefs: Beliefs, out: Floats | None = None) -> Floats:
        """Return the root's distribution and the figures read off the tree in one array, (rows, N)."""
        parts = [root, *(as_numpy(beliefs.marginals[name]) for name in self.names[1:])]
        parts += [] if beliefs.means is None else [as_numpy(beliefs.means)]
        parts += [as_numpy(beliefs.events[number])[None] for number in range(len(self.rules))]
        return np.concatenate(parts, out=out)

    def posterior(
        self,
        items: tuple[str, ...],
        stacked: Floats,
        log_evidence: Floats,
        followed: Floats,
        odds: Mapping[str, Floats],
    ) -> Posterior:
        """Return the posterior whose figures are in `stacked`, (rows, N)."""
        marginals = {name: stacked[place].T for name, place in self.places.items()}
        start = self.means.start
        for variable in self.derived:
            stop = start + len(variable.states)
            marginals[variable.name] = stacked[start:stop].T
            start = stop
        violations = stacked[self.means.stop :].T
        correlation = self._correlation(marginals, stacked[self.means.stop - 1])
        return Posterior(items, marginals, correlation, log_evidence, self.rules, violations, followed, odds)

    def _correlation(self, marginals: Mapping[str, Floats], product: Floats) -> Floats:
        """Return the correlation of the block's first two variables, (N,); values uniform within bins."""
        if len(self.interval) < 2:
            return np.full(len(product), np.nan)
        moments = []
        for name in self.interval[:2]:
            edges, value = self.network.edges[name], self._values(name)
            mean = marginals[name] @ value
            moments.append((mean, marginals[name] @ value**2 - mean**2 + (edges[1] - edges[0]) ** 2 / 12))
        (first, first_variance), (second, second_variance) = moments
        return np.asarray((product - first * second) / np.sqrt(first_variance * second_variance))


def _answer_odds(evidence: Evidence, name: str, shares: Floats) -> Floats:
    """Return the log-odds of a binary variable that its answers alone give under an even prior, (N,).

    It is the mean of P(true) over an item's rows, which are settings of its switches, by their posterior
    shares (rows,).
    """
    log_odds = np.asarray(np.diff(as_numpy(evidence.log_likelihood[name]), axis=0)[0])
    if len(evidence.row_item) == evidence.items:
        return log_odds
    true = 1 / (1 + np.exp(-np.clip(log_odds, -MOST_LOG_ODDS, MOST_LOG_ODDS)))
    p = np.bincount(evidence.row_item, shares * true, evidence.items)
    total = np.bincount(evidence.row_item, shares, evidence.items)
    return np.asarray(np.log(np.maximum(p, 1e-300)) - np.log(np.maximum(total - p, 1e-300)))


def _log_sum_and_shares(logs: Floats) -> tuple[Floats, Floats]:
    """Return the log of the sum over the first axis, (rows,), and the shares in it, (K, rows)."""
    peak = logs.max(0)
    shares = np.exp(logs - peak)
    total = shares.sum(0)
    shares /= total
    return peak + np.log(total), shares


def _item_log_z(log_rows: Floats, row_item: Ints, items: int) -> tuple[Floats, Floats]:
    """Return each item's log Z, (items,), and each row's share in it, (rows,); every item has a row."""
    if len(log_rows) == items:
        return log_rows, np.ones(items)
    starts = np.flatnonzero(np.diff(row_item, prepend=-1))
    peak = np.maximum.reduceat(log_rows, starts)
    shares = np.exp(log_rows - peak[row_item])
    total = np.add.reduceat(shares, starts)
    return peak + np.log(total), shares / total[row_item]


def _add_columns(totals: Floats, columns: Floats, item: Ints) -> None:
    """Add columns (K, n) to the totals (K, N) of their items; item: (n,), increasing."""
    starts = np.flatnonzero(np.diff(item, prepend=-1))
    sums = columns if len(starts) == len(item) else np.add.reduceat(columns, starts, axis=1)
    if len(starts) == totals.shape[1]:
        totals += sums
    else:
        totals[:, item[starts]] += sums
