"""The network's own tables learned from answers and gold, within the strengths that they are declared with.

Given root state e the network is an exponential family in the indicators of its binary variables and in the
first two moments of its intervals, and `n` the pseudo-counts of its conjugate prior (Diaconis & Ylvisaker
1979), so that each step of EM is linear in what must hold on average:

    p'[e, j] = (n p[e, j] + Σ_i P(e, j | i)) / (n + Σ_i P(e | i))

and the same for moments. Rules keep their confidences: the network is compiled anew with every step. How sure
a cell is follows from the information that is left when what is missing has been taken off (Louis 1982).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.compilation.compiler import compile_network
from engine.inference.posterior import Inference
from engine.language.parameter_paths import CELLS, MOMENTS
from engine.learning.likelihood import IMPOSSIBLE, Likelihood
from engine.learning.overlay_of_fit import Entry, shares_of_one
from engine.model.gold import Gold, states_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.backend.types import Floats
    from engine.learning.observer_fit import Fit
    from engine.model.knowledge import Knowledge, Moments
    from engine.model.responses import Answers


# Bounds of a learned cell, a probability.
LEAST_P, MOST_P = 0.001, 0.999
# Steps of EM at most, each with a compilation of the network.
EM_STEPS = 10
# EM ends where no cell or mean changed by more, in its unit.
CONVERGED = 0.002
# What a learned population is called. Rules are still meant under the reference, which stays as it is.
LEARNED = "learned"
# Rounds of EM for the population at most.
MOST_EM_ROUNDS = 2000
# Pseudo-counts that the overlay states at most.
MOST_N = 1e6


@dataclass(frozen=True)
class Learned:
    """A base with other cells and moments. entries: what moved; sections: the overlay's, nested texts."""

    knowledge: Knowledge
    inference: Inference
    entries: tuple[Entry, ...]
    sections: Mapping[str, Any]


@dataclass
class _Sums:
    """Expected counts over all items.

    state: (K,) of root states. true, doubt: binary variable -> (K,) sums of p and of p (1 - p). first,
    second: (K, D) and (K, D, D) moments of the D interval variables.
    """

    state: Floats
    true: dict[str, Floats]
    doubt: dict[str, Floats]
    first: Floats
    second: Floats


def learn_knowledge(fit: Fit, answers: Answers, gold: Gold, before: Knowledge) -> Learned:
    """Return the base with cells and moments learned from answers and gold, observers as they were fitted.

    before: the base as declared, whose strengths are the prior's; the fit may be of a later one.
    """
    inference = fit.parameters.inference
    for _ in range(EM_STEPS):
        sums = _expected_counts(fit, inference, answers, gold)
        base = _update_base(before, sums)
        moved = _largest_change(inference.knowledge, base)
        network = compile_network(base, inference.network)
        inference = Inference(network, base, inference.population)
        if moved < CONVERGED:
            break
    entries = tuple(_entries(before, inference.knowledge, sums))
    return Learned(inference.knowledge, inference, entries, _sections(before, entries, base))


def learn_population(fit: Fit, inference: Inference, answers: Answers, gold: Gold) -> Learned:
    """Return P(root) among these items, observers as they were fitted.

    Gold counts as certain, so the items with gold have to be a random sample of all items.

    EM for the shares of a mixture whose components are known, P(answers | root), which has one maximum. How
    sure a share is follows from what information is left when the missing is taken off (Louis 1982).
    """
    base, declared = inference.knowledge, inference.observations.prior
    observations, likelihood = fit.observations(), Likelihood(inference, answers, Gold({}))
    given = []
    for part in likelihood.parts:
        evidence = observations.evidence(part.answers)
        given.append(inference.given(evidence).marginals[base.root] / declared)
    likely, n = np.concatenate(given), fit.settings.priors.population_n * len(declared)
    if base.root in gold.values:
        known = states_of(base.variables[base.root], gold.values[base.root])
        likely[known >= 0] = np.eye(len(declared))[known[known >= 0]]
    p = declared
    for _ in range(MOST_EM_ROUNDS):
        shares = likely * p
        shares /= shares.sum(1, keepdims=True)
        before, p = p, (n * declared + shares.sum(0)) / (n + len(shares))
        if np.abs(p - before).max() < 1e-8:
            break
    whole = np.diag(p) - np.outer(p, p)
    information = (n + len(shares)) * whole - np.diag(shares.sum(0)) + shares.T @ shares
    sd = np.sqrt(np.diag(whole @ np.linalg.pinv(information, hermitian=True) @ whole))
    prior_sd = np.sqrt(declared * (1 - declared) / (n + 1))
    name, states = LEARNED, base.variables[base.root].states
    keys = [("priors", "populations", name, "p", state) for state in states]
    entries = tuple(
        Entry(key, float(a), float(b), float(c), float(min(d, b)), row=True)
        for key, a, b, c, d in zip(keys, declared, prior_sd, p, sd, strict=True)
    )
    texts = dict(zip(states, shares_of_one(p.tolist()), strict=True))
    sections = {"priors": {"usual": name, "populations": {name: {"p": texts}}}}
    population = replace(base.populations[inference.population], name=name, p=tuple(p.tolist()))
    learned = replace(base, populations={**base.populations, name: population}, usual_population=name)
    return Learned(learned, inference, entries, sections)


def _expected_counts(fit: Fit, inference: Inference, answers: Answers, gold: Gold) -> _Sums:
    """Return the expected counts over all items, by one pass of the network for each root state."""
    observations = fit.observations()
    base, likelihood = inference.knowledge, Likelihood(inference, answers, gold)
    root, states = base.root, base.variables[base.root].states
    edges = [np.array(base.variables[name].edges) for name in base.intervals]
    centres = [(edge[:-1] + edge[1:]) / 2 for edge in edges]
    k, d = len(states), len(base.intervals)
    sums = _Sums(
        np.zeros(k),
        {name: np.zeros(k) for name in base.cells},
        {name: np.zeros(k) for name in base.cells},
        np.zeros((k, d)),
        np.zeros((k, d, d)),
    )
    for part in likelihood.parts:
        evidence, rows = likelihood.rows(part, observations)
        about = rows.log_likelihood.get(root, np.zeros((k, rows.items)))
        log_rows, posteriors = np.empty((k, rows.items)), []
        for e in range(k):
            only = np.where(np.arange(k)[:, None] == e, 0.0, IMPOSSIBLE)
            posterior = inference.given(
                replace(rows, log_likelihood={**rows.log_likelihood, root: about + only})
            )
            log_rows[e] = posterior.log_evidence + evidence.log_weight
            posteriors.append(posterior)
        starts = np.flatnonzero(np.diff(evidence.row_item, prepend=-1))
        peak = np.maximum.reduceat(log_rows.max(0), starts)[evidence.row_item]
        weight = np.exp(log_rows - peak)
        weight /= np.add.reduceat(weight.sum(0), starts)[evidence.row_item]
        for e, posterior in enumerate(posteriors):
            w = weight[e]
            sums.state[e] += w.sum()
            for name in base.cells:
                p = posterior.marginals[name][:, 1]
                sums.true[name][e] += w @ p
                sums.doubt[name][e] += w @ (p * (1 - p))
            bins = [posterior.marginals[name] for name in base.intervals]
            shape = d, rows.items
            mean = np.array([p @ c for p, c in zip(bins, centres, strict=True)]).reshape(shape)
            within = np.array([(edge[1] - edge[0]) ** 2 / 12 for edge in edges])
            square = np.array([p @ c**2 for p, c in zip(bins, centres, strict=True)]).reshape(shape)
            square += within[:, None]
            sums.first[e] += mean @ w
            for i in range(d):
                sums.second[e, i, i] += w @ square[i]
            if d == 2:
                product = posterior.correlation * np.sqrt((square - mean**2).prod(0)) + mean.prod(0)
                sums.second[e, 0, 1] += w @ product
                sums.second[e, 1, 0] = sums.second[e, 0, 1]
    return sums


def _update_base(base: Knowledge, sums: _Sums) -> Knowledge:
    """Return the base with the posterior means of cells and moments, given expected counts."""
    cells = {
        name: tuple(
            replace(cell, p=float(np.clip((cell.n * cell.p + true) / (cell.n + count), LEAST_P, MOST_P)))
            for cell, true, count in zip(row, sums.true[name], sums.state, strict=True)
        )
        for name, row in base.cells.items()
    }
    moments = tuple(_update_moments(prior, sums, e) for e, prior in enumerate(base.moments))
    return replace(base, cells=cells, moments=moments, yaml=None, numbers=base.numbers)


def _update_moments(prior: Moments, sums: _Sums, e: int) -> Moments:
    """Return the posterior means of the moments in root state e."""
    total = prior.n + sums.state[e]
    mean, sd = np.array(prior.mean), np.array(prior.sd)
    declared = np.array(prior.correlation) * np.outer(sd, sd) + np.outer(mean, mean)
    first = (prior.n * mean + sums.first[e]) / total
    known = sums.second[e] != 0
    second = np.where(known, (prior.n * declared + sums.second[e]) / total, 0.0)
    covariance = second - np.outer(first, first)
    wide = np.sqrt(np.diag(covariance))
    correlation = np.where(known, covariance / np.outer(wide, wide), np.array(prior.correlation))
    correlation = np.clip(correlation, -0.99, 0.99)
    np.fill_diagonal(correlation, 1.0)
    rows = tuple(tuple(float(x) for x in row) for row in correlation)
    return replace(prior, mean=tuple(first.tolist()), sd=tuple(wide.tolist()), correlation=rows)


def _largest_change(old: Knowledge, new: Knowledge) -> float:
    """Return the largest absolute change of any cell or mean."""
    cells = [
        abs(a.p - b.p) for name in old.cells for a, b in zip(old.cells[name], new.cells[name], strict=True)
    ]
    means = [np.abs(np.subtract(a.mean, b.mean)).max() for a, b in zip(old.moments, new.moments, strict=True)]
    return float(max([*cells, *means], default=0.0))


def _entries(before: Knowledge, after: Knowledge, sums: _Sums) -> list[Entry]:
    """Return the entries of all cells and means, with their sds before and after."""
    states = before.variables[before.root].states
    entries = []
    for name, row in before.cells.items():
        for e, (old, new) in enumerate(zip(row, after.cells[name], strict=True)):
            width = new.p * (1 - new.p)
            information = (old.n + sums.state[e]) / width - sums.doubt[name][e] / width**2
            prior_sd = float(np.sqrt(old.p * (1 - old.p) / (old.n + 1)))
            sd = min(1 / np.sqrt(max(information, 1 / prior_sd**2)), prior_sd)
            keys: tuple[str, ...] = (*CELLS, states[e], name, "p")
            entries.append(Entry(keys, old.p, prior_sd, new.p, float(sd)))
    for e, (old_m, new_m) in enumerate(zip(before.moments, after.moments, strict=True)):
        for i in range(len(before.intervals)):
            prior_sd = old_m.sd[i] / np.sqrt(old_m.n + 1)
            sd = min(new_m.sd[i] / np.sqrt(old_m.n + sums.state[e] + 1), prior_sd)
            keys = (*MOMENTS, states[e], f"mean[{i}]")
            entries.append(Entry(keys, old_m.mean[i], float(prior_sd), new_m.mean[i], float(sd)))
    return entries


def _sections(before: Knowledge, entries: tuple[Entry, ...], after: Knowledge) -> dict[str, Any]:
    """Return the sections of the overlay: cells with what they count for now, and moments."""
    states = before.variables[before.root].states
    cells: dict[str, Any] = {}
    for entry in (entry for entry in entries if entry.keys[:2] == CELLS):
        _, _, state, name, _ = entry.keys
        n = min(max(entry.value * (1 - entry.value) / entry.sd**2 - 1, 0.1), MOST_N)
        cells.setdefault(state, {})[name] = {"p": f"{entry.value:.5f}", "n": f"{n:.1f}"}
    moments: dict[str, Any] = {}
    sure = {entry.keys[2]: entry for entry in entries if entry.keys[:2] == MOMENTS}
    for state, fitted in zip(states, after.moments, strict=False):
        n = min(max((fitted.sd[-1] / sure[state].sd) ** 2 - 1, 0.1), MOST_N)
        moments[state] = {
            "mean": f"[{', '.join(f'{x:.4f}' for x in fitted.mean)}]",
            "sd": f"[{', '.join(f'{x:.4f}' for x in fitted.sd)}]",
            "n": f"{n:.1f}",
        }
        if len(fitted.mean) == 2:
            moments[state]["correlation"] = f"{fitted.correlation[0][1]:.4f}"
    sections: dict[str, Any] = {CELLS[0]: {CELLS[1]: cells}} if cells else {}
    return sections | ({MOMENTS[0]: {MOMENTS[1]: moments}} if moments else {})
