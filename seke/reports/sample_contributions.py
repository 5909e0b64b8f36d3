"""What the samples add to each item: what was said, and what was believed after each answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Answers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine import Inference, Knowledge, Posterior
    from seke.reports.inputs import Asked
    from seke.reports.records_table import Table
    from seke.samples import SingleSamples

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

# Beyond so many posteriors of parts of the answers, those after 1, 2, 4, 8, ... answers must do.
MOST_STEPS = 200_000
STATUSES = ("", "refused", "unreadable")


@dataclass(frozen=True)
class Told:
    """Of N items with S samples in R readings.

    whole: all answers, of the table's items; posterior: all that is believed of them. prior: (K,) of the
    root. alone: (R, K) P(answers | root) with sum 1. after: (S, K + intervals) the root's posterior and the
    intervals' means after each sample, NaN where it was left out. said: of each sample what it says, in
    words; absent: how many binary variables it says are absent. status: (S,) indices of STATUSES.
    """

    whole: Answers
    posterior: Posterior
    prior: Floats
    alone: Floats
    after: Floats
    said: tuple[tuple[str, ...], ...]
    absent: Ints
    status: Ints


def told_of(inference: Inference, table: Table, asked: Asked) -> Told:
    """Infer all that is told of the samples, in batches."""
    base = table.base
    samples, place = asked.samples, asked.place
    of = np.empty(len(place), dtype=np.int64)
    of[place] = asked.row
    whole = samples.answers.gathered(table.items, of)
    prior = inference.posterior(Answers.nothing()).marginals[base.root][0]
    every = np.ones(len(whole.reading_item), dtype=bool)
    alone = inference.posterior(whole.each_reading(every)).marginals[base.root] / prior
    said, absent = _said(base, samples)
    status = np.where(samples.answers.refused > 0, 1, np.where(samples.answers.unreadable > 0, 2, 0))
    return Told(
        whole,
        inference.posterior(whole),
        prior,
        alone / alone.sum(1, keepdims=True),
        _after(inference, table, asked),
        tuple(tuple(said[p]) for p in place.tolist()),
        absent[place],
        status[place],
    )


def ranks(row: Ints) -> tuple[Ints, Ints]:
    """Return for each sample, sorted by item, its number within the item, from 0, and how many there are."""
    first = np.searchsorted(row, row)
    return np.arange(len(row)) - first, np.searchsorted(row, row, side="right") - first


def _after(inference: Inference, table: Table, asked: Asked) -> Floats:
    """Return the posterior after each sample: after the last one it is the item's."""
    base, row = table.base, asked.row
    middles = [_middles(base, name) for name in base.affect]
    number, count = ranks(row)
    found = np.full((len(row), table.root.shape[1] + len(middles)), np.nan)
    last = number == count - 1
    found[last] = np.concatenate([table.root, *(table.intervals[n][:, :1] for n in base.affect)], axis=1)[
        row[last]
    ]
    thin = int((~last).sum()) > MOST_STEPS
    at = np.empty(len(row), dtype=np.int64)
    at[asked.place] = np.arange(len(row))
    for step in range(int(count.max(initial=0)) - 1):
        if thin and (step + 1) & step:
            continue
        chosen = number == step
        going = chosen & ~last
        items = row[going]
        if not len(items):
            continue
        within = np.full(len(table.items), -1)
        within[items] = np.arange(len(items))
        keep = ((number <= step) & (within[row] >= 0))[at]
        part = asked.samples.answers.only(keep)
        so_far = part.gathered(tuple(map(str, range(len(items)))), within[row[at][keep]])
        posterior = inference.posterior(so_far)
        means = [(posterior.marginals[n] @ m)[:, None] for n, m in zip(base.affect, middles, strict=True)]
        found[going] = np.concatenate([posterior.marginals[base.root], *means], axis=1)
    return found


def _middles(base: Knowledge, name: str) -> Floats:
    edges = np.array(base.variables[name].edges)
    return np.asarray((edges[:-1] + edges[1:]) / 2)


def _said(base: Knowledge, samples: SingleSamples) -> tuple[list[list[str]], Ints]:
    """Return what each sample says: names, numbers, and of binary variables those that are present."""
    answers = samples.answers
    found: list[list[str]] = [[] for _ in answers.items]
    absent = np.zeros(len(found), dtype=np.int64)
    observers = list(base.observers.values())
    alone = np.array([line[3] is not None for line in samples.line], dtype=bool)

    def of(column: Any) -> tuple[Ints, Ints]:
        return answers.reading_item[column.reading], answers.reading_observer[column.reading]

    for name, labels in sorted(answers.labels.items(), key=lambda one: one[0] != base.root):
        item, who = of(labels)
        binary = base.variables[name].kind == "binary"
        # Of a list, what is absent is counted; what was asked by itself is told either way.
        quiet = (labels.answer == 0) & ~labels.spread & ~alone[item] & binary
        absent += np.bincount(item[quiet], minlength=len(found))
        columns = (item, who, labels.answer, labels.weight, labels.spread)
        for i, observer, answer, weight, spread in zip(*(c[~quiet].tolist() for c in columns), strict=True):
            word = observers[observer].labels[name].answers[answer]
            word = word if not binary else name if answer else f"{name} absent"
            found[i].append(f"{word} {weight:.2f}" if spread else word)
        if name in answers.rankings:
            ranking = answers.rankings[name]
            for i, observer, places in zip(
                *(c.tolist() for c in (*of(ranking), ranking.places)), strict=True
            ):
                words = observers[observer].labels[name].answers
                found[i] += [f"then {words[place]}" for place in places[1:] if place >= 0]
    for name, numbers in answers.numbers.items():
        for i, value in zip(of(numbers)[0].tolist(), numbers.value.tolist(), strict=True):
            found[i].append(f"{name} {value + 0.0:+.2g}")
    return found, absent
