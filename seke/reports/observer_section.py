"""The section about observers: how they answered, against what the base declares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import marginals_without_halo
from seke.reports.proportions import Z, json_numbers, truth_probabilities, wilson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine import Bools, Floats, Gold, Ints, LabelInstrument, Observer
    from seke.reports.inputs import ReportInputs
    from seke.reports.sample_contributions import SampleContributions

    Facts = dict[str, Any]

# Points of the drift curve.
PARTS = 16
# Least divisor of a rate: without any item the rate is 0, and its interval (0, 1).
LEAST_COUNT = 1e-9


def observer_facts(inputs: ReportInputs, contributions: SampleContributions, gold: Gold | None) -> Facts:
    """Return the facts of the section, for the observers that answered.

    Gold stands for the truth, or, without it, the posteriors, which the declared reliabilities shape.
    """
    truth_by_variable, truth = truth_probabilities(inputs.table, gold)
    # With gold of the same variables: given the answers, truth and halo depend on one another.
    names = (inputs.base.root, *inputs.table.binaries)
    marginals = marginals_without_halo(inputs.session.inference, contributions.responses, names, gold)
    followed = 1 - marginals[inputs.base.root].sum(1)
    lines = contributions.item_samples.samples.line
    places = contributions.item_samples.place.tolist()
    observers = np.array([lines[place][1] for place in places])
    questions = np.array([lines[place][2] for place in places])
    facts = []
    for number, (name, observer) in enumerate(inputs.base.observers.items()):
        of_observer = observers == name
        if not of_observer.any():
            continue
        facts.append(
            {
                "name": name,
                "label": observer.label,
                "answers": int(of_observer.sum()),
                "refused": int((contributions.status[of_observer] == 1).sum()),
                "unreadable": int((contributions.status[of_observer] == 2).sum()),
                "not_judged": int((contributions.status[of_observer] == 3).sum()),
                "questions": [
                    {"name": str(question), "answers": int(n)}
                    for question, n in zip(
                        *np.unique(questions[of_observer], return_counts=True), strict=True
                    )
                ],
                "confusion": _confusion(inputs, contributions, number, truth_by_variable),
                "units": list(_units(inputs, contributions, number, truth_by_variable, marginals)),
                "numbers": list(_numbers(inputs, contributions, number, gold)),
                "agreement": _agreement(inputs, contributions, number),
                "halo": _halo(inputs, contributions, number, followed),
                "drift": _drift(inputs, contributions, of_observer, number),
            }
        )
    return {
        "truth": truth,
        "observers": facts,
        "ordered": bool(contributions.item_samples.ordered),
    }


@dataclass(frozen=True)
class _VariableAnswers:
    """An observer's n answers about a variable: (n,) reading, item, answer and weight of each."""

    reading: Ints
    item: Ints
    answer: Ints
    weight: Floats


def _answers_about(contributions: SampleContributions, name: str, observer: int) -> _VariableAnswers | None:
    column = contributions.responses.labels.get(name)
    if column is None:
        return None
    of_observer = (contributions.responses.reading_observer[column.reading] == observer) & (column.weight > 0)
    if not of_observer.any():
        return None
    reading = column.reading[of_observer]
    return _VariableAnswers(
        reading,
        contributions.responses.reading_item[reading],
        column.answer[of_observer],
        column.weight[of_observer],
    )


def _response_rates(
    answers: _VariableAnswers, truth: Floats, answer_count: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return observed P(answer | truth), (K, A), its items, (K,), and its intervals' limits, (K, A) each.

    truth: (answers, K) P(true state, and that the answer counts), NaN where it is unknown. An item counts
    once, however often it was asked about, since its answers depend on one another.
    """
    known = ~np.isnan(truth).any(1)
    item, answer, weight, p = answers.item[known], answers.answer[known], answers.weight[known], truth[known]
    weight = weight / np.bincount(item, weight)[item] if len(item) else weight
    counts = np.zeros((answer_count, truth.shape[1]))
    np.add.at(counts, answer, weight[:, None] * p)
    n = counts.sum(0)
    rates = counts.T / np.maximum(n, LEAST_COUNT)[:, None]
    return rates, n, *wilson(rates, n[:, None])


def _confusion(
    inputs: ReportInputs,
    contributions: SampleContributions,
    observer: int,
    truth_by_variable: Mapping[str, Floats],
) -> Facts | None:
    root = inputs.base.root
    instrument = _observer(inputs, observer).labels.get(root)
    answers = _answers_about(contributions, root, observer)
    if instrument is None or answers is None or root not in truth_by_variable:
        return None
    rates, n, low, high = _response_rates(
        answers, truth_by_variable[root][answers.item], len(instrument.answers)
    )
    declared = np.array(instrument.confusion)
    return {
        "states": list(inputs.base.variables[root].states),
        "answers": list(instrument.answers),
        "declared": json_numbers(declared, 3),
        "observed": json_numbers(rates, 3),
        "low": json_numbers(low, 3),
        "high": json_numbers(high, 3),
        "n": json_numbers(n, 1),
    }


def _observer(inputs: ReportInputs, number: int) -> Observer:
    return list(inputs.base.observers.values())[number]


def _units(
    inputs: ReportInputs,
    contributions: SampleContributions,
    observer: int,
    truth_by_variable: Mapping[str, Floats],
    marginals: Mapping[str, Floats],
) -> Iterator[Facts]:
    """Yield for each binary variable how often it is called active, where it is inactive and where active.

    The declared numbers are about answers that did not follow the label: each answer is weighted with the
    probability of that, jointly with the truth.
    """
    for name in inputs.table.binaries:
        instrument: LabelInstrument | None = _observer(inputs, observer).labels.get(name)
        answers = _answers_about(contributions, name, observer)
        if instrument is None or answers is None or name not in truth_by_variable:
            continue
        truth = np.where(
            np.isnan(truth_by_variable[name][answers.item]), np.nan, marginals[name][answers.reading]
        )
        rates, n, low, high = _response_rates(answers, truth, 2)
        yield {
            "name": name,
            "n": json_numbers(n, 1),
            "declared": json_numbers(np.array(instrument.confusion)[:, 1], 3),
            "observed": json_numbers(rates[:, 1], 3),
            "low": json_numbers(low[:, 1], 3),
            "high": json_numbers(high[:, 1], 3),
        }


def _numbers(
    inputs: ReportInputs, contributions: SampleContributions, observer: int, gold: Gold | None
) -> Iterator[Facts]:
    """Yield the mean and the standard deviation of the answers' errors about each interval variable."""
    for name, column in contributions.responses.numbers.items():
        of_observer = contributions.responses.reading_observer[column.reading] == observer
        item, value = (
            contributions.responses.reading_item[column.reading[of_observer]],
            column.value[of_observer],
        )
        truth = gold.values.get(name) if gold else inputs.table.intervals[name][:, 0]
        if truth is None:
            continue
        errors = value - truth[item]
        errors = errors[~np.isnan(errors)]
        if not len(errors):
            continue
        items = len(np.unique(item))
        instrument = _observer(inputs, observer).numbers[name]
        yield {
            "name": name,
            "n": items,
            "answers": len(errors),
            "mean": json_numbers(errors.mean(), 3),
            "half": json_numbers(Z * errors.std() / np.sqrt(items), 3),
            "sd": json_numbers(errors.std(), 3),
            "declared": {key: getattr(instrument, key) for key in ("gain", "offset", "noise", "perception")},
        }


def _agreement(inputs: ReportInputs, contributions: SampleContributions, observer: int) -> list[Facts]:
    """Return how often two answers about the root agree, within a reading and between readings of an item."""
    column = contributions.responses.labels.get(inputs.base.root)
    if column is None:
        return []
    responses = contributions.responses
    of_observer = (responses.reading_observer[column.reading] == observer) & ~column.spread
    reading, answer = column.reading[of_observer], column.answer[of_observer]
    kinds = int(answer.max(initial=0)) + 1
    counts = np.zeros((len(responses.reading_item), kinds))
    np.add.at(counts, (reading, answer), 1)
    of_item = np.zeros((len(responses.items), kinds))
    np.add.at(of_item, responses.reading_item, counts)
    same, pairs = _pairs(counts)
    all_same, all_pairs = _pairs(of_item)
    inside, total = np.zeros((2, len(responses.items)))
    np.add.at(inside, responses.reading_item, same)
    np.add.at(total, responses.reading_item, pairs)
    facts_by_pair = []
    for name, equal, of in (
        ("draws of one reading", same, pairs),
        ("different readings", all_same - inside, all_pairs - total),
    ):
        has_pairs = of > 0
        if has_pairs.any():
            share = equal[has_pairs] / of[has_pairs]
            low, high = wilson(np.array(share.mean()), np.array(has_pairs.sum()))
            facts = {
                "share": json_numbers(share.mean(), 3),
                "low": json_numbers(low, 3),
                "high": json_numbers(high, 3),
            }
            facts_by_pair.append({"name": name, "n": int(has_pairs.sum()), **facts})
    return facts_by_pair


def _pairs(counts: Floats) -> tuple[Floats, Floats]:
    """Return (R,) how many pairs of a row's answers are equal, and (R,) all its pairs; counts: (R, A)."""
    total = counts.sum(1)
    return (counts * (counts - 1)).sum(1) / 2, total * (total - 1) / 2


def _halo(
    inputs: ReportInputs, contributions: SampleContributions, observer: int, followed: Floats
) -> list[Facts]:
    """Return for each question with a declared halo how often answers followed their label."""
    facts = []
    questions = list(inputs.base.questions)
    for name, halo in _observer(inputs, observer).halo.items():
        selected = (contributions.responses.reading_observer == observer) & (
            contributions.responses.reading_question == questions.index(name)
        )
        if selected.any() and halo.probability > 0:
            n, share = np.array(selected.sum()), followed[selected].mean()
            low, high = wilson(np.array(share), n)
            numbers = {"observed": share, "low": low, "high": high, "declared": halo.probability}
            facts.append(
                {"question": name, "n": int(n), **{k: json_numbers(v, 3) for k, v in numbers.items()}}
            )
    return facts


def _drift(
    inputs: ReportInputs, contributions: SampleContributions, of_observer: Bools, observer: int
) -> Facts | None:
    """Return the mean final probability of the answered labels over PARTS of the answers, in order of time.

    Where times are unknown the order is that of the items. right: the mean posterior probability of the
    answered state of the root; refused: the share of answers that reported nothing.
    """
    item_samples = contributions.item_samples
    root = inputs.base.root
    samples = item_samples.samples.answers
    right = np.full(len(of_observer), np.nan)
    column = samples.labels.get(root)
    instrument = _observer(inputs, observer).labels.get(root)
    if column is not None and instrument is not None:
        states = inputs.base.variables[root].states
        state = np.array([states.index(a) if a in states else -1 for a in instrument.answers])
        # The column holds other observers' answers, too, which have answer words of their own.
        answer_rows = np.flatnonzero((samples.reading_observer[column.reading] == observer) & ~column.spread)
        answered_state = state[column.answer[answer_rows]]
        answer_rows, answered_state = answer_rows[answered_state >= 0], answered_state[answered_state >= 0]
        at = np.empty(len(of_observer), dtype=np.int64)
        at[item_samples.place] = np.arange(len(of_observer))
        rows = at[samples.reading_item[column.reading[answer_rows]]]
        right[rows] = inputs.table.root[item_samples.row[rows], answered_state]
    timed = not np.isnan(item_samples.when[of_observer]).all()
    order = np.flatnonzero(of_observer)
    if timed:
        order = order[np.argsort(item_samples.when[order], kind="stable")]
    if len(order) < 2 * PARTS:
        return None
    parts = []
    for part in np.array_split(order, PARTS):
        p = right[part][~np.isnan(right[part])]
        refused = (contributions.status[part] > 0).mean()
        parts.append(
            {
                "from": json_numbers(item_samples.when[part[0]], 0),
                "n": len(part),
                "right": json_numbers(p.mean() if len(p) else np.nan),
                "half": json_numbers(Z * p.std() / np.sqrt(len(p)) if len(p) else np.nan),
                "refused": json_numbers(refused),
            }
        )
    return {"timed": timed, "parts": parts}
