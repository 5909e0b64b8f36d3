"""What each sample contributes to its item: its answer in words, and the posterior after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Answers
from seke.inference.record import bin_centres

if TYPE_CHECKING:
    from engine import Floats, Inference, Ints, Knowledge, Posterior
    from seke.reports.inputs import ItemSamples
    from seke.reports.records_table import RecordTable
    from seke.samples import SingleSamples


# With more posteriors of partial answers than this, only those after 1, 2, 4, 8, ... answers are inferred.
MOST_STEPS = 200_000
STATUSES = ("", "refused", "unreadable", "not judged")


@dataclass(frozen=True)
class SampleContributions:
    """What S samples in R readings contribute to the posteriors of N items.

    item_samples: the samples.
    responses: all answers about the table's items; posterior: given all of them. prior: (K,) of the root.
    likelihoods: (R, K) P(answers | root), scaled to sum 1. posterior_after: (S, K + intervals) the root's
    posterior and the intervals' means after each sample, NaN where it was left out. words: (S,) what each
    sample says; absent: (S,) how many binary variables it calls absent. status: (S,) indices of STATUSES.
    """

    item_samples: ItemSamples
    responses: Answers
    posterior: Posterior
    prior: Floats
    likelihoods: Floats
    posterior_after: Floats
    words: tuple[tuple[str, ...], ...]
    absent: Ints
    status: Ints


def contributions_of(
    inference: Inference, table: RecordTable, item_samples: ItemSamples
) -> SampleContributions:
    """Return the contributions of all samples; posteriors are inferred in batches."""
    base = table.base
    samples, place = item_samples.samples, item_samples.place
    table_row = np.empty(len(place), dtype=np.int64)
    table_row[place] = item_samples.row
    responses = samples.answers.gathered(table.items, table_row)
    prior = inference.posterior(Answers.nothing()).marginals[base.root][0]
    every = np.ones(len(responses.reading_item), dtype=bool)
    likelihoods = inference.posterior(responses.each_reading(every)).marginals[base.root] / prior
    words, absent = _sample_words(base, samples)
    counts = samples.answers.refused, samples.answers.unreadable, samples.answers.not_judged
    status = np.select([count > 0 for count in counts], [1, 2, 3], 0)
    return SampleContributions(
        item_samples,
        responses,
        inference.posterior(responses),
        prior,
        likelihoods / likelihoods.sum(1, keepdims=True),
        _posteriors_after(inference, table, item_samples),
        tuple(tuple(words[p]) for p in place.tolist()),
        absent[place],
        status[place],
    )


def ranks(row: Ints) -> tuple[Ints, Ints]:
    """Return (S,) each sample's number within its item, from 0, and (S,) its item's count; row is sorted."""
    first = np.searchsorted(row, row)
    return np.arange(len(row)) - first, np.searchsorted(row, row, side="right") - first


def _posteriors_after(inference: Inference, table: RecordTable, item_samples: ItemSamples) -> Floats:
    """Return (S, K + intervals) the root's posterior and the intervals' means after each sample.

    After an item's last sample they are those of its record.
    """
    base, row = table.base, item_samples.row
    middles = [bin_centres(base.variables[name]) for name in base.intervals]
    number, count = ranks(row)
    posteriors = np.full((len(row), table.root.shape[1] + len(middles)), np.nan)
    last = number == count - 1
    posteriors[last] = np.concatenate(
        [table.root, *(table.intervals[n][:, :1] for n in base.intervals)], axis=1
    )[row[last]]
    thin = int((~last).sum()) > MOST_STEPS
    at = np.empty(len(row), dtype=np.int64)
    at[item_samples.place] = np.arange(len(row))
    for step in range(int(count.max(initial=0)) - 1):
        if thin and (step + 1) & step:
            continue
        chosen = number == step
        not_last = chosen & ~last
        items = row[not_last]
        if not len(items):
            continue
        within = np.full(len(table.items), -1)
        within[items] = np.arange(len(items))
        keep = ((number <= step) & (within[row] >= 0))[at]
        part = item_samples.samples.answers.only(keep)
        so_far = part.gathered(tuple(map(str, range(len(items)))), within[row[at][keep]])
        posterior = inference.posterior(so_far)
        means = [(posterior.marginals[n] @ m)[:, None] for n, m in zip(base.intervals, middles, strict=True)]
        posteriors[not_last] = np.concatenate([posterior.marginals[base.root], *means], axis=1)
    return posteriors


def _sample_words(base: Knowledge, samples: SingleSamples) -> tuple[list[list[str]], Ints]:
    """Return each sample's answer in words, and (S,) how many binary variables it calls absent.

    The words are names of states, numbers, and the binary variables that are called present.
    """
    answers = samples.answers
    words: list[list[str]] = [[] for _ in answers.items]
    absent = np.zeros(len(words), dtype=np.int64)
    observers = list(base.observers.values())
    alone = np.array([line[3] is not None for line in samples.line], dtype=bool)

    def of(column: Any) -> tuple[Ints, Ints]:
        return answers.reading_item[column.reading], answers.reading_observer[column.reading]

    for name, labels in sorted(answers.labels.items(), key=lambda named_labels: named_labels[0] != base.root):
        item, observer_index = of(labels)
        binary = base.variables[name].kind == "binary"
        # Of a list, what is absent is counted; what was asked by itself is told either way.
        quiet = (labels.answer == 0) & ~labels.spread & ~alone[item] & binary
        absent += np.bincount(item[quiet], minlength=len(words))
        columns = (item, observer_index, labels.answer, labels.weight, labels.spread)
        for i, observer, answer, weight, spread in zip(*(c[~quiet].tolist() for c in columns), strict=True):
            word = observers[observer].labels[name].answers[answer]
            word = word if not binary else name if answer else f"{name} absent"
            words[i].append(f"{word} {weight:.2f}" if spread else word)
        if name in answers.rankings:
            ranking = answers.rankings[name]
            for i, observer, places in zip(
                *(c.tolist() for c in (*of(ranking), ranking.places)), strict=True
            ):
                answer_words = observers[observer].labels[name].answers
                words[i] += [f"then {answer_words[place]}" for place in places[1:] if place >= 0]
    for name, numbers in answers.numbers.items():
        for i, value in zip(of(numbers)[0].tolist(), numbers.value.tolist(), strict=True):
            words[i].append(f"{name} {value + 0.0:+.2g}")
    return words, absent
