"""How observers answered, against how the base says that they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import marginals_without_halo
from seke.reports.proportions import Z, rounded, truth_of, wilson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from engine import Gold, LabelInstrument, Observer
    from seke.reports.inputs import Source
    from seke.reports.sample_contributions import Told

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]
    Facts = dict[str, Any]

PARTS = 16
LEAST = 1e-9


def observers_of(source: Source, told: Told, gold: Gold | None) -> Facts:
    """Return the facts of the section about observers, of those that answered.

    Of the truth is known what gold says, or what the posteriors do, which the declared reliabilities shape.
    """
    known, truth = truth_of(source.table, gold)
    # With gold of the same variables: given the answers, truth and halo depend on one another.
    names = (source.base.root, *source.table.binaries)
    looked = marginals_without_halo(source.session.inference, told.whole, names, gold)
    followed = 1 - looked[source.base.root].sum(1)
    lines = source.asked.samples.line if source.asked else ()
    places = source.asked.place.tolist() if source.asked else []
    observers = np.array([lines[place][1] for place in places])
    questions = np.array([lines[place][2] for place in places])
    found = []
    for number, (name, observer) in enumerate(source.base.observers.items()):
        mine = observers == name
        if not mine.any():
            continue
        found.append(
            {
                "name": name,
                "label": observer.label,
                "answers": int(mine.sum()),
                "refused": int((told.status[mine] == 1).sum()),
                "unreadable": int((told.status[mine] == 2).sum()),
                "questions": [
                    {"name": str(one), "answers": int(n)}
                    for one, n in zip(*np.unique(questions[mine], return_counts=True), strict=True)
                ],
                "confusion": _confusion(source, told, number, known),
                "units": list(_units(source, told, number, known, looked)),
                "numbers": list(_numbers(source, told, number, gold)),
                "agreement": _agreement(source, told, number),
                "halo": _halo(source, told, number, followed),
                "drift": _drift(source, told, mine, number),
            }
        )
    return {"truth": truth, "observers": found, "ordered": bool(source.asked and source.asked.ordered)}


@dataclass(frozen=True)
class _Said:
    """An observer's answers about a variable: reading, item, answer and weight of each."""

    reading: Ints
    item: Ints
    answer: Ints
    weight: Floats


def _answers(told: Told, name: str, observer: int) -> _Said | None:
    column = told.whole.labels.get(name)
    if column is None:
        return None
    mine = (told.whole.reading_observer[column.reading] == observer) & (column.weight > 0)
    if not mine.any():
        return None
    reading = column.reading[mine]
    return _Said(reading, told.whole.reading_item[reading], column.answer[mine], column.weight[mine])


def _table(said: _Said, truth: Floats, names: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Return P(answer | truth) as met, (K, A), the items behind each row, (K,), and its intervals' limits.

    truth: (answers, K) P(true state, and that the answer is one that counts), NaN where it is unknown. An
    item counts once, however often it was asked about: its answers lean on one another.
    """
    there = ~np.isnan(truth).any(1)
    item, answer, weight, p = said.item[there], said.answer[there], said.weight[there], truth[there]
    weight = weight / np.bincount(item, weight)[item] if len(item) else weight
    counts = np.zeros((names, truth.shape[1]))
    np.add.at(counts, answer, weight[:, None] * p)
    n = counts.sum(0)
    met = counts.T / np.maximum(n, LEAST)[:, None]
    return met, n, *wilson(met, n[:, None])


def _confusion(source: Source, told: Told, observer: int, known: Mapping[str, Floats]) -> Facts | None:
    root = source.base.root
    instrument = _observer(source, observer).labels.get(root)
    answers = _answers(told, root, observer)
    if instrument is None or answers is None or root not in known:
        return None
    met, n, low, high = _table(answers, known[root][answers.item], len(instrument.answers))
    declared = np.array(instrument.confusion)
    return {
        "states": list(source.base.variables[root].states),
        "answers": list(instrument.answers),
        "declared": rounded(declared, 3),
        "observed": rounded(met, 3),
        "low": rounded(low, 3),
        "high": rounded(high, 3),
        "n": rounded(n, 1),
    }


def _observer(source: Source, number: int) -> Observer:
    return list(source.base.observers.values())[number]


def _units(
    source: Source, told: Told, observer: int, known: Mapping[str, Floats], looked: Mapping[str, Floats]
) -> Iterator[Facts]:
    """Yield of each binary variable how often it is called active where it is, and where it is not.

    What the declared numbers speak of are answers that did not follow their label: each counts as far as that
    is believed of it, together with the truth.
    """
    for name in source.table.binaries:
        instrument: LabelInstrument | None = _observer(source, observer).labels.get(name)
        answers = _answers(told, name, observer)
        if instrument is None or answers is None or name not in known:
            continue
        truth = np.where(np.isnan(known[name][answers.item]), np.nan, looked[name][answers.reading])
        met, n, low, high = _table(answers, truth, 2)
        yield {
            "name": name,
            "n": rounded(n, 1),
            **{
                key: [rounded(one[state][1], 3) for state in (0, 1)]
                for key, one in (
                    ("declared", np.array(instrument.confusion)),
                    ("observed", met),
                    ("low", low),
                )
            },
            "high": [rounded(high[state][1], 3) for state in (0, 1)],
        }


def _numbers(source: Source, told: Told, observer: int, gold: Gold | None) -> Iterator[Facts]:
    """Yield of each interval variable how far answers are from the truth on average, and how they scatter."""
    for name, column in told.whole.numbers.items():
        mine = told.whole.reading_observer[column.reading] == observer
        item, value = told.whole.reading_item[column.reading[mine]], column.value[mine]
        truth = gold.values.get(name) if gold else source.table.intervals[name][:, 0]
        if truth is None:
            continue
        off = value - truth[item]
        off = off[~np.isnan(off)]
        if not len(off):
            continue
        items = len(np.unique(item))
        instrument = _observer(source, observer).numbers[name]
        yield {
            "name": name,
            "n": items,
            "answers": len(off),
            "mean": rounded(off.mean(), 3),
            "half": rounded(Z * off.std() / np.sqrt(items), 3),
            "sd": rounded(off.std(), 3),
            "declared": {key: getattr(instrument, key) for key in ("gain", "offset", "noise", "perception")},
        }


def _agreement(source: Source, told: Told, observer: int) -> list[Facts]:
    """Return how often two answers about the root are equal: of one reading, and of two of an item."""
    column = told.whole.labels.get(source.base.root)
    if column is None:
        return []
    whole = told.whole
    mine = (whole.reading_observer[column.reading] == observer) & ~column.spread
    reading, answer = column.reading[mine], column.answer[mine]
    kinds = int(answer.max(initial=0)) + 1
    counts = np.zeros((len(whole.reading_item), kinds))
    np.add.at(counts, (reading, answer), 1)
    of_item = np.zeros((len(whole.items), kinds))
    np.add.at(of_item, whole.reading_item, counts)
    same, pairs = _pairs(counts)
    all_same, all_pairs = _pairs(of_item)
    inside, total = np.zeros((2, len(whole.items)))
    np.add.at(inside, whole.reading_item, same)
    np.add.at(total, whole.reading_item, pairs)
    found = []
    for name, equal, of in (
        ("draws of one reading", same, pairs),
        ("different readings", all_same - inside, all_pairs - total),
    ):
        some = of > 0
        if some.any():
            share = equal[some] / of[some]
            low, high = wilson(np.array(share.mean()), np.array(some.sum()))
            facts = {"share": rounded(share.mean(), 3), "low": rounded(low, 3), "high": rounded(high, 3)}
            found.append({"name": name, "n": int(some.sum()), **facts})
    return found


def _pairs(counts: Floats) -> tuple[Floats, Floats]:
    """Return for each row how many pairs of its answers are equal, and how many pairs there are."""
    total = counts.sum(1)
    return (counts * (counts - 1)).sum(1) / 2, total * (total - 1) / 2


def _halo(source: Source, told: Told, observer: int, followed: Floats) -> list[Facts]:
    """Return for each question with a declared halo how often answers followed their label."""
    found = []
    questions = list(source.base.questions)
    for name, halo in _observer(source, observer).halo.items():
        mine = (told.whole.reading_observer == observer) & (
            told.whole.reading_question == questions.index(name)
        )
        if mine.any() and halo.probability > 0:
            n, share = np.array(mine.sum()), followed[mine].mean()
            low, high = wilson(np.array(share), n)
            told_of = {"observed": share, "low": low, "high": high, "declared": halo.probability}
            found.append({"question": name, "n": int(n), **{k: rounded(v, 3) for k, v in told_of.items()}})
    return found


def _drift(source: Source, told: Told, mine: Flags, observer: int) -> Facts | None:
    """Return, over parts of the answers in the order of time, how probable their labels are in the end.

    Where the times are not known the order is that of the items. right: the mean posterior probability of the
    answered state of the root; refused: the share of answers that were refused or could not be read.
    """
    asked = source.asked
    assert asked is not None
    root = source.base.root
    samples = asked.samples.answers
    right = np.full(len(mine), np.nan)
    column = samples.labels.get(root)
    instrument = _observer(source, observer).labels.get(root)
    if column is not None and instrument is not None:
        states = source.base.variables[root].states
        state = np.array([states.index(a) if a in states else -1 for a in instrument.answers])
        # Others of the column answer in words of their own.
        own = np.flatnonzero((samples.reading_observer[column.reading] == observer) & ~column.spread)
        told_of = state[column.answer[own]]
        own, told_of = own[told_of >= 0], told_of[told_of >= 0]
        at = np.empty(len(mine), dtype=np.int64)
        at[asked.place] = np.arange(len(mine))
        rows = at[samples.reading_item[column.reading[own]]]
        right[rows] = source.table.root[asked.row[rows], told_of]
    timed = not np.isnan(asked.when[mine]).all()
    order = np.flatnonzero(mine)
    if timed:
        order = order[np.argsort(asked.when[order], kind="stable")]
    if len(order) < 2 * PARTS:
        return None
    parts = []
    for part in np.array_split(order, PARTS):
        p = right[part][~np.isnan(right[part])]
        bad = (told.status[part] > 0).mean()
        parts.append(
            {
                "from": rounded(asked.when[part[0]], 0),
                "n": len(part),
                "right": rounded(p.mean() if len(p) else np.nan),
                "half": rounded(Z * p.std() / np.sqrt(len(p)) if len(p) else np.nan),
                "refused": rounded(bad),
            }
        )
    return {"timed": timed, "parts": parts}
