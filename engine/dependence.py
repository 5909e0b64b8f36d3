"""How strongly the variables of a network depend on one another, and two of them jointly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine.evidence import Evidence
from engine.posterior import Inference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.answers import Answers
    from engine.network import Network


def mutual_information(network: Network) -> dict[frozenset[str], float]:
    """Return I(X; Y) in bits for every pair of variables that are not derived, reference population.

        I(X; Y) = Σ_x P(x) Σ_y P(y | x) log2(P(y | x) / P(y))

    by one exact inference a state of each variable.
    """
    base = network.knowledge
    inference = Inference(network)
    names = [base.root, *(v for node in network.nodes.values() for v in node.variables)]
    told = [(name, state) for name in names for state in range(len(base.variables[name].states))]
    rows = len(told)
    logs = {
        name: np.where(
            [other != name for other, _ in told],
            0.0,
            np.where(
                np.arange(len(base.variables[name].states))[:, None] == [s for _, s in told], 0.0, -np.inf
            ),
        )
        for name in names
    }
    none = np.zeros((2, 0), dtype=np.int64)
    every = np.full(rows, bool(inference.steps))
    given = inference.marginals(Evidence(rows, np.arange(rows), np.zeros(rows), logs, every, none))
    nothing = Evidence(1, np.zeros(1, dtype=np.int64), np.zeros(1), {}, np.zeros(1, dtype=bool), none)
    prior = inference.marginals(nothing)
    found: dict[frozenset[str], float] = {}
    for name in names:
        own = np.flatnonzero([other == name for other, _ in told])
        for other in names:
            if other != name and frozenset((name, other)) not in found:
                p = given[other][own]
                with np.errstate(divide="ignore", invalid="ignore"):
                    terms = np.where(p > 0, p * np.log2(p / prior[other]), 0.0)
                found[frozenset((name, other))] = max(float(prior[name][0] @ terms.sum(1)), 0.0)
    return found


def joint_marginal(inference: Inference, one: Answers, pair: tuple[str, str]) -> NDArray[np.float64]:
    """Return P(x, y | answers) of two variables of one item, (states of x, states of y).

        P(x, y | answers) = P(x, answers) / P(answers) · P(y | x, answers)

    by one exact inference a state of x; neither is derived, nor are both the same.
    """
    first, second = pair
    evidence = inference.observations.evidence(one)
    states, rows = len(inference.network.knowledge.variables[first].states), len(evidence.row_item)
    copies = {name: np.tile(np.asarray(logs), states) for name, logs in evidence.log_likelihood.items()}
    held = np.repeat(np.where(np.eye(states, dtype=bool), 0.0, -np.inf), rows, axis=1)
    copies[first] = copies.get(first, 0.0) + held
    each = replace(
        evidence,
        items=states,
        row_item=np.repeat(np.arange(states), rows),
        log_weight=np.tile(np.asarray(evidence.log_weight), states),
        log_likelihood=copies,
        told=np.full(states * rows, bool(inference.steps)),
        on=np.zeros((2, 0), dtype=np.int64),
    )
    found = inference.given(each)
    share = np.exp(found.log_evidence - found.log_evidence.max())
    given = np.where(share[:, None] > 0, found.marginals[second], 0.0)
    joint = share[:, None] * given
    return np.asarray(joint / joint.sum())
