"""What an observer's readings report about a variable, equal readings once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import asarray_like, is_tensor, namespace, taken_sums
from engine.observation.echo import Echo, echoed_labels, echoed_numbers
from engine.observation.kernels import LabelKernel, NumberKernel

if TYPE_CHECKING:
    from engine.backend.types import Array, Floats, Ints
    from engine.model.responses import Answers
    from engine.observation.switches import Expanded

# Keys of rows below this are looked up in a table; larger ones are sorted.
DENSE_KEYS = 1 << 16


@dataclass(frozen=True)
class ReportedAnswers:
    """What an observer's readings report about a variable; equal readings share a row of the table.

    reading: (r,) increasing. pattern: (r,) row of `table`. table: (patterns, M) log-likelihood of a type.
    """

    reading: Ints
    pattern: Ints
    table: Array


NOTHING = ReportedAnswers(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros((0, 0)))


def reported_answers(
    answers: Answers, observer: int, name: str, kernel: LabelKernel | NumberKernel, echo: Echo
) -> ReportedAnswers:
    """Return what an observer's readings report about a variable.

    echo: of that observer.
    """
    readings = len(answers.reading_item)
    by_observer = answers.reading_observer == observer
    if isinstance(kernel, NumberKernel):
        numbers = answers.numbers.get(name)
        if numbers is None:
            return NOTHING
        used = by_observer[numbers.reading]
        reading, value = numbers.reading[used], numbers.value[used]
        # Models emit few distinct numbers, so each is looked at once.
        stated = _stated_answers(answers, name, echo)
        if stated is not None and stated.echo[reading].any():
            logs = echoed_numbers(kernel, value, stated.value[reading], stated.echo[reading])
            return _sum_draws(reading, np.arange(len(value)), logs, readings)
        values, which = np.unique(value, return_inverse=True)
        return _sum_draws(reading, which, kernel.log_likelihood(values), readings)
    labels = answers.labels.get(name)
    if labels is None:
        return NOTHING
    used = by_observer[labels.reading]
    size = kernel.width
    weight = labels.weight[used] * np.where(labels.spread[used], kernel.weight, 1.0)
    answer = labels.answer[used]
    if kernel.by_question:
        block = kernel.blocks(answers.reading_question[labels.reading[used]])
        answer = answer + kernel.alpha.shape[1] * block
    cell = labels.reading[used] * size + answer
    counts = np.bincount(cell, weights=weight, minlength=readings * size).reshape(-1, size)
    answered = np.flatnonzero(np.bincount(labels.reading[used], minlength=readings))
    patterns, pattern = distinct_rows(counts[answered].astype(np.float64))
    table, stated = kernel.log_likelihood(patterns), _stated_answers(answers, name, echo)
    if stated is not None and (echoing := stated.echo[answered] > 0).any():
        rows = answered[echoing]
        # The column in which the question's answers are counted.
        repeated = stated.value[rows].astype(np.int64)
        repeated += kernel.alpha.shape[1] * kernel.blocks(answers.reading_question[rows])
        logs = echoed_labels(kernel, counts[rows].astype(np.float64), repeated, stated.echo[rows])
        pattern = pattern.copy()
        pattern[echoing] = len(table) + np.arange(len(rows))
        table = namespace(table).concatenate([table, logs])
    return ReportedAnswers(answered, pattern, table)


@dataclass(frozen=True)
class _StatedAnswers:
    """What the prompts of readings stated, (R,), and how often an answer merely repeats it, (R,)."""

    value: Floats
    echo: Floats


def _stated_answers(answers: Answers, name: str, echo: Echo) -> _StatedAnswers | None:
    """Return what was stated of a variable; None where nothing was. The echo is 0 where it was not."""
    if not answers.givens or not echo.probability.any():
        return None
    readings, stated = answers.stated_of(name)
    if name in echo.answer_of:
        answered = echo.answer_of[name][stated.astype(np.int64)].astype(np.float64)
        readings, stated = readings[answered >= 0], answered[answered >= 0]
    value, probability = np.zeros((2, len(answers.reading_item)))
    value[readings] = stated
    probability[readings] = echo.probability[answers.reading_question[readings]]
    return _StatedAnswers(value, probability)


def reported_by_bundle(
    pairs: Expanded, observer: int, positions: Ints, reported: ReportedAnswers
) -> tuple[Ints, Ints, Array]:
    """Return the bundles (n,) with answers about a variable, and log P(answers | type), equal once.

    positions: (readings,) of each reading its place in `reported`, -1 where it has none.

    Returns:
        The bundles, the row of the table (n,) of each, and the table, (rows, M).
    """
    member = pairs.member[:, pairs.bundle_observer[pairs.member[0]] == observer]
    member = member[:, positions[member[1]] >= 0]
    pattern = reported.pattern[positions[member[1]]]
    bundles, bundle = np.unique(member[0], return_inverse=True)
    if len(bundles) == len(bundle):
        return bundles, pattern, reported.table
    distinct, run, which = distinct_runs(pattern, bundle, len(bundles))
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    return bundles, which, taken_sums(reported.table, distinct, starts)


def _sum_draws(reading: Ints, which: Ints, table: Array, readings: int) -> ReportedAnswers:
    """Add up the log-likelihoods table[which] (draws, M) of each reading's draws."""
    draws = np.bincount(reading, minlength=readings)
    answered = np.flatnonzero(draws)
    if draws.max(initial=0) <= 1:
        pattern = np.zeros(readings, dtype=np.int64)
        pattern[reading] = which
        return ReportedAnswers(answered, pattern[answered], table)
    if is_tensor(table) and table.requires_grad and len(table) < len(answered):
        # As a product: its second derivatives do not copy a row for each draw.
        counts = np.zeros((readings, len(table)))
        np.add.at(counts, (reading, which), 1.0)
        return ReportedAnswers(
            answered, np.arange(len(answered)), asarray_like(counts[answered], table) @ table
        )
    order = np.argsort(reading, kind="stable")
    starts = np.cumsum(draws[answered]) - draws[answered]
    total = taken_sums(table, which[order], starts)
    return ReportedAnswers(answered, np.arange(len(answered)), total)


def positions_of(chosen: Ints, size: int) -> Ints:
    """Return the position of each index 0 to size - 1 in `chosen`, (size,), -1 where it is not chosen."""
    positions = np.full(size, -1)
    positions[chosen] = np.arange(len(chosen))
    return positions


def distinct_rows(counts: Floats) -> tuple[Floats, Ints]:
    """Return the distinct rows of counts (n, size), and for each row the index of its distinct row, (n,)."""
    whole = counts.astype(np.int64)
    radix = whole.max(initial=0) + 1
    if np.any(whole != counts) or float(radix) ** counts.shape[1] > 2**62:
        rows, which = np.unique(counts, axis=0, return_inverse=True)
        return rows, which.reshape(-1)
    key = whole @ radix ** np.arange(counts.shape[1])
    if key.max(initial=0) < DENSE_KEYS:
        present = np.bincount(key) > 0
        first = np.zeros(len(present), dtype=np.int64)
        first[key] = np.arange(len(key))
        return counts[first[present]], (np.cumsum(present) - 1)[key]
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    return counts[first], which


def distinct_runs(pattern: Ints, row: Ints, rows: int) -> tuple[Ints, Ints, Ints]:
    """Return the patterns and rows of distinct rows' readings, and for each row its distinct one, (rows,).

    pattern, row: (P,) of each reading; rows are alike that have the same patterns in the same order.
    """
    order = np.argsort(row, kind="stable")
    counts = np.bincount(row, minlength=rows)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    runs = np.zeros((rows, counts.max()))
    runs[row[order], place] = pattern[order] + 1
    distinct, which = distinct_rows(runs)
    distinct_row, column = np.nonzero(distinct)
    return distinct[distinct_row, column].astype(np.int64) - 1, distinct_row, which
