"""How much each part of the evidence about one item weighs, for its label or against it.

The weight of evidence (Good 1979, doi:10.1093/biomet/66.2.393) is the change of log-odds, here of the label
against all other root states, in bits. A part is weighed by leaving it out of all there is, and alone, beside
the prior. Parts overlap (a second draw says much of what the first said), so that weights do not add up. Two
parts are in conflict by log2 P(a) P(b) / P(a, b) bits: above 0 where they are less probable together
than apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.backend.types import Floats
    from engine.inference.posterior import Inference
    from engine.model.citation import Cited
    from engine.model.responses import Answers, Labels, Numbers


MOST_PAIRED = 40


@dataclass(frozen=True)
class Weight:
    """The weight of one part in bits: when left out of all, alone, and its conflict with the rest."""

    bits: float
    alone: float
    conflict: float


@dataclass(frozen=True)
class ReadingWeight:
    """The weight of a reading. counts: variable -> answer -> how often; a number's answer is its text."""

    observer: str
    question: str
    view: str
    counts: Mapping[str, Mapping[str, float]]
    weight: Weight


@dataclass(frozen=True)
class VariableWeight:
    """The weight of all answers about a variable; given, declared: its expected values.

    given: root state -> P(true) of a binary variable or mean of an interval variable, compiled, for the label
    and for the other state whose probability these answers change most; declared: where the YAML says so.
    Both are empty for the root itself.
    """

    variable: str
    counts: Mapping[str, float]
    weight: Weight
    given: Mapping[str, float]
    declared: Mapping[str, Cited]


@dataclass(frozen=True)
class Pair:
    """Two readings (indices) and their conflict, bits."""

    first: int
    second: int
    bits: float


@dataclass(frozen=True)
class Weights:
    """The weights of all parts. label, runner_up: root states; prior, p: P(root state); bits: log-odds."""

    label: str
    runner_up: str
    prior: Mapping[str, float]
    p: Mapping[str, float]
    prior_bits: float
    bits: float
    readings: tuple[ReadingWeight, ...]
    variables: tuple[VariableWeight, ...]
    pairs: tuple[Pair, ...]


def log_odds(p: Floats, state: int) -> Floats:
    """Return the log-odds in bits of a state against all others, (...), of distributions p (..., K)."""
    p_against = np.delete(p, state, axis=-1).sum(-1)
    return np.asarray(np.log2(np.maximum(p[..., state], 1e-300) / np.maximum(p_against, 1e-300)))


def first_two(p: Floats) -> tuple[int, int]:
    """Return the likeliest root state as it is decided, and the next; p: (K,)."""
    order = np.argsort(-np.round(p, 9), kind="stable")
    return int(order[0]), int(order[min(1, len(order) - 1)])


def weigh_parts(inference: Inference, answers: Answers) -> Weights:
    """Return the weights of the parts of one item's answers."""
    network = inference.network
    readings = len(answers.reading_item)
    columns: dict[str, Labels | Numbers] = {**answers.labels, **answers.numbers}
    answered = [
        name for name in inference.knowledge.variables if name in columns and len(columns[name].reading)
    ]
    every, single = np.ones((1, readings), dtype=bool), np.eye(readings, dtype=bool)
    pairs = [
        (i, j) for i in range(min(readings, MOST_PAIRED)) for j in range(i + 1, min(readings, MOST_PAIRED))
    ]
    couples = np.array([single[i] | single[j] for i, j in pairs], dtype=bool).reshape(len(pairs), readings)
    parts = [every, ~every, ~single, single]
    parts += [every] * (2 * len(answered)) + [couples]
    all_but_one = [[v for v in answered if v != name] for name in answered]
    nothing: list[list[str]] = [[]]
    hidden = [
        *nothing * (2 + 2 * readings),
        *([name] for name in answered),
        *all_but_one,
        *nothing * len(pairs),
    ]
    posterior = inference.posterior(answers.copies(np.concatenate(parts), hidden))
    p, log_p = posterior.marginals[network.root], posterior.log_evidence / np.log(2)
    label, runner_up = first_two(p[0])
    bits = log_odds(p, label)
    cuts = np.cumsum([2, readings, readings, len(answered), len(answered)])

    def weight(left_out: int, alone: int) -> Weight:
        conflict = log_p[left_out] + log_p[alone] - log_p[0]
        return Weight(float(bits[0] - bits[left_out]), float(bits[alone] - bits[1]), float(conflict))

    change = np.abs(p[cuts[2] : cuts[3]] - p[0])
    change[:, label] = -1
    most_changed = change.argmax(1).tolist()
    states = network.root_states
    alone = log_p[cuts[1] : cuts[2]]
    return Weights(
        states[label],
        states[runner_up],
        dict(zip(states, p[1].tolist(), strict=True)),
        dict(zip(states, p[0].tolist(), strict=True)),
        float(bits[1]),
        float(bits[0]),
        tuple(
            _reading_weight(inference, answers, r, weight(cuts[0] + r, cuts[1] + r)) for r in range(readings)
        ),
        tuple(
            _variable_weight(
                inference, answers, name, weight(cuts[2] + v, cuts[3] + v), (label, most_changed[v])
            )
            for v, name in enumerate(answered)
        ),
        tuple(Pair(i, j, float(alone[i] + alone[j] - log_p[cuts[4] + k])) for k, (i, j) in enumerate(pairs)),
    )


def _reading_weight(inference: Inference, answers: Answers, reading: int, weight: Weight) -> ReadingWeight:
    base = inference.knowledge
    observer = inference.observations.observers[answers.reading_observer[reading]]
    counts = said_of(inference, answers.copies(np.arange(len(answers.reading_item))[None] == reading))
    question = list(base.questions)[answers.reading_question[reading]]
    return ReadingWeight(
        observer.name, question, answers.views[answers.reading_view[reading]], counts, weight
    )


def said_of(inference: Inference, answers: Answers) -> dict[str, dict[str, float]]:
    """Return the answers: variable -> answer -> how often; a number's answer is its text."""
    return {
        name: counts
        for name in (*answers.labels, *answers.numbers)
        if (counts := _answer_counts(inference, answers, name))
    }


def _answer_counts(inference: Inference, answers: Answers, name: str) -> dict[str, float]:
    """Return the answers about a variable, and how often each was given, most often first."""
    counts: dict[str, float] = {}
    if name in answers.labels:
        column = answers.labels[name]
        observers = answers.reading_observer[column.reading]
        for observer, answer, weight in zip(observers, column.answer, column.weight, strict=True):
            text = inference.observations.observers[observer].labels[name].answers[answer]
            counts[text] = counts.get(text, 0.0) + float(weight)
    if name in answers.numbers:
        for value in answers.numbers[name].value:
            text = f"{value + 0.0:g}"
            counts[text] = counts.get(text, 0.0) + 1
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))


def _variable_weight(
    inference: Inference, answers: Answers, name: str, weight: Weight, states: tuple[int, int]
) -> VariableWeight:
    network = inference.network
    base, counts = inference.knowledge, _answer_counts(inference, answers, name)
    if name == network.root:
        return VariableWeight(name, counts, weight, {}, {})
    table, variable = network.given_root[name], base.variables[name]
    edges = np.array(variable.edges)
    values = (edges[:-1] + edges[1:]) / 2 if variable.kind == "interval" else np.arange(2)
    declared = base.moments if variable.kind == "interval" else base.cells[name]
    names = network.root_states
    return VariableWeight(
        name,
        counts,
        weight,
        {names[k]: float(table[k] @ values) for k in states},
        {names[k]: declared[k] for k in states},
    )
