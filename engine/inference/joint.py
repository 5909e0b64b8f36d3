"""How strongly the variables of a network depend on one another, and two of them jointly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine.inference.device_tree import as_numpy
from engine.model.gold import states_of
from engine.observation.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.backend.types import Floats
    from engine.inference.posterior import Inference
    from engine.model.gold import Gold
    from engine.model.responses import Answers

# log-probability of a state that gold rules out.
IMPROBABLE = -60.0


def mutual_information(inference: Inference) -> dict[frozenset[str], float]:
    """Return I(X; Y) in bits for every pair of variables that are not derived.

        I(X; Y) = Σ_x P(x) Σ_y P(y | x) log2(P(y | x) / P(y))

    by one exact inference a state of each variable.
    """
    network, base = inference.network, inference.knowledge
    names = [base.root, *network.node_of]
    fixed_states = [(name, state) for name in names for state in range(len(base.variables[name].states))]
    rows = len(fixed_states)
    logs = {
        name: np.where(
            [fixed != name for fixed, _ in fixed_states],
            0.0,
            np.where(
                np.arange(len(base.variables[name].states))[:, None] == [s for _, s in fixed_states],
                0.0,
                -np.inf,
            ),
        )
        for name in names
    }
    none = np.zeros((2, 0), dtype=np.int64)
    every = np.full(rows, bool(inference.steps))
    given = inference.marginals(Evidence(rows, np.arange(rows), np.zeros(rows), logs, every, none))
    nothing = Evidence(1, np.zeros(1, dtype=np.int64), np.zeros(1), {}, np.zeros(1, dtype=bool), none)
    prior = inference.marginals(nothing)
    bits: dict[frozenset[str], float] = {}
    for name in names:
        fixed_rows = np.flatnonzero([fixed == name for fixed, _ in fixed_states])
        for second in names:
            if second != name and frozenset((name, second)) not in bits:
                p = given[second][fixed_rows]
                with np.errstate(divide="ignore", invalid="ignore"):
                    terms = np.where(p > 0, p * np.log2(p / prior[second]), 0.0)
                bits[frozenset((name, second))] = max(float(prior[name][0] @ terms.sum(1)), 0.0)
    return bits


def joint_marginal(inference: Inference, answers: Answers, pair: tuple[str, str]) -> Floats:
    """Return P(x, y | answers) of two variables of one item, (states of x, states of y).

        P(x, y | answers) = P(x, answers) / P(answers) · P(y | x, answers)

    by one exact inference a state of x; neither is derived, nor are both the same.
    """
    first, second = pair
    joint: Floats = joint_marginals(inference, answers, first, (second,))[second][0]
    return joint


def joint_marginals(
    inference: Inference, answers: Answers, first: str, other_names: Sequence[str]
) -> dict[str, Floats]:
    """Return P(x, y | answers) of one variable with each of several others, for N items at once.

    The formula is that of `joint_marginal`. Name of the other -> (N, states of `first`, states of the other);
    no variable is derived, and `first` is none of the others.
    """
    evidence = inference.observations.evidence(answers)
    states, rows = len(inference.knowledge.variables[first].states), len(evidence.row_item)
    copies = {name: np.tile(np.asarray(logs), states) for name, logs in evidence.log_likelihood.items()}
    held = np.repeat(np.where(np.eye(states, dtype=bool), 0.0, -np.inf), rows, axis=1)
    copies[first] = copies.get(first, 0.0) + held
    items = evidence.items
    clamped = replace(
        evidence,
        items=states * items,
        row_item=np.concatenate([evidence.row_item + state * items for state in range(states)]),
        log_weight=np.tile(np.asarray(evidence.log_weight), states),
        log_likelihood=copies,
        has_evidence=np.full(states * rows, bool(inference.steps)),
        on=np.zeros((2, 0), dtype=np.int64),
    )
    posterior = inference.given(clamped)
    log_evidence = posterior.log_evidence.reshape(states, items)
    share = np.exp(log_evidence - log_evidence.max(0))
    share /= share.sum(0)
    joint = {}
    for name in other_names:
        given = posterior.marginals[name].reshape(states, items, -1)
        joint[name] = np.where(share[..., None] > 0, share[..., None] * given, 0.0).transpose(1, 0, 2)
    return joint


def marginals_without_halo(
    inference: Inference, answers: Answers, names: Sequence[str], gold: Gold | None = None
) -> dict[str, Floats]:
    """Return P(x, a reading's answers did not follow its label | answers, gold), variable -> (R, states).

    The two events are dependent given the answers, so a product of their marginals is no joint. The sum is
    over all settings s of the switches of an item's readings:

        P(x, z_r = 0 | d) = Σ_s P(s | d) P(x | d, s) 1{s_r = 0}

    gold: of categorical and binary variables; it is taken as known where it is.
    """
    variables, readings = inference.knowledge.variables, len(answers.reading_item)
    marginals = {name: np.zeros((readings, len(variables[name].states))) for name in names}
    for items, evidence in inference.evidence_of(answers):
        rows = len(evidence.row_item)
        known = {} if gold is None else _log_gold_likelihood(inference, gold.part(items.start, items.stop))
        logs = {name: as_numpy(log_likelihood) for name, log_likelihood in evidence.log_likelihood.items()}
        for name, held in known.items():
            logs[name] = logs.get(name, 0.0) + held[:, evidence.row_item]
        by_row = replace(
            evidence,
            items=rows,
            row_item=np.arange(rows),
            log_likelihood=logs,
            has_evidence=np.full(rows, bool(inference.steps)) if known else evidence.has_evidence,
            on=np.zeros((2, 0), dtype=np.int64),
        )
        given = inference.given(by_row)
        peak = np.full(evidence.items, -np.inf)
        np.maximum.at(peak, evidence.row_item, given.log_evidence)
        share = np.exp(given.log_evidence - peak[evidence.row_item])
        share /= np.bincount(evidence.row_item, share)[evidence.row_item]
        in_part = (answers.reading_item >= items.start) & (answers.reading_item < items.stop)
        item = answers.reading_item[in_part] - items.start
        row, reading = evidence.on
        for name in names:
            p = share[:, None] * given.marginals[name]
            total = np.zeros((evidence.items, p.shape[1]))
            np.add.at(total, evidence.row_item, p)
            followed = np.zeros((len(item), p.shape[1]))
            np.add.at(followed, reading, p[row])
            marginals[name][in_part] = np.maximum(total[item] - followed, 0.0)
    return marginals


def _log_gold_likelihood(inference: Inference, gold: Gold) -> dict[str, Floats]:
    """Return log P(gold | state) of each variable, (states, N); 0 for items without gold."""
    variables = inference.knowledge.variables
    log_gold = {}
    for name, values in gold.values.items():
        if variables[name].kind in ("categorical", "binary"):
            state = states_of(variables[name], values)
            hot = np.arange(len(variables[name].states))[:, None] == state
            # Rather than what cannot be: gold may contradict answers that allow one state alone.
            log_gold[name] = np.where(hot | (state < 0), 0.0, IMPROBABLE)
    return log_gold
