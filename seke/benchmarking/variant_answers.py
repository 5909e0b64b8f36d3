"""The answers to one variant of the questions, a row each; all variants are held to the same number."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seke.samples import answers_from

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine import Answers, Floats, Ints, Knowledge

    Record = dict[str, Any]
    # Item, question, view, and the variable that it is about.
    AskedKey = tuple[str, str, str, str]

# Where a record says which options its prompt listed first and last, under `extra`.
ORDER = "order"


@dataclass(frozen=True)
class VariantAnswers:
    """R answers to one variant.

    item: (R,) index of the item. question, about, status: (R,) of each answer; `about` is empty where it is
    about everything that the question asks for. values: variable -> (R,) the index of its state (those that
    are no state follow), 0 or 1, or a number; NaN where the answer says nothing of it. ends: (2, R) the
    states of the root that the prompt listed first and last, -1 where that is not known.
    """

    base: Knowledge
    item: Ints
    question: Sequence[str]
    about: Sequence[str]
    status: Sequence[str]
    values: Mapping[str, Floats]
    ends: Ints

    @classmethod
    def of(cls, records: Sequence[Record], base: Knowledge, items: Sequence[str]) -> VariantAnswers:
        """Return the sample records about these items as rows."""
        place = {name: number for number, name in enumerate(items)}
        kept = [record for record in records if record["item"] in place]
        return cls(
            base,
            np.array([place[record["item"]] for record in kept], dtype=np.int64),
            [record["question"] for record in kept],
            [about_of(record) for record in kept],
            [record.get("status", "ok") for record in kept],
            _values_of(kept, base),
            np.array([_ends_of(record, base) for record in kept], dtype=np.int64).reshape(-1, 2).T,
        )


def about_of(record: Mapping[str, Any]) -> str:
    """Return the variable that an answer is about, where its record says so; else no text."""
    return str((record.get("extra") or {}).get("about", ""))


def asked_key(record: Mapping[str, Any]) -> AskedKey:
    """Return what repeated answers have in common, but for who answered."""
    return record["item"], record["question"], record.get("view", ""), about_of(record)


def equal_budgets(answers: Mapping[str, Sequence[Record]]) -> dict[str, list[Record]]:
    """Return the first answers of each variant, as many to each question about each item as all have."""
    counts = [Counter(map(asked_key, records)) for records in answers.values()]
    least = {key: min(count[key] for count in counts) for key in counts[0]}
    kept: dict[str, list[Record]] = {}
    for name, records in answers.items():
        taken: Counter[AskedKey] = Counter()
        kept[name] = []
        for record in sorted(records, key=lambda record: int(record.get("draw", 0))):
            key = asked_key(record)
            taken[key] += 1
            if taken[key] <= least.get(key, 0):
                kept[name].append(record)
    return kept


def options_of(schema: Mapping[str, Any]) -> list[str]:
    """Return the names that a key of an answer's form may have, in their order; none where it lists none."""
    inner = schema.get("items")
    listed = schema.get("enum") or (inner.get("enum") if isinstance(inner, dict) else None) or []
    return [name for name in listed if isinstance(name, str)]


def _ends_of(record: Record, base: Knowledge) -> tuple[int, int]:
    """Return the states of the root that were listed first and last."""
    states = base.variables[base.root].states
    instrument = base.observers[record["observer"]].labels.get(base.root)
    if instrument is None:
        return -1, -1
    listed = (record.get("extra") or {}).get(ORDER) or (instrument.answers[0], instrument.answers[-1])
    first, last = (states.index(name) if name in states else -1 for name in listed)
    return first, last


def _values_of(records: Sequence[Record], base: Knowledge) -> dict[str, Floats]:
    """Return variable -> what each record says of it, (R,); of a distribution the likeliest value."""
    values: dict[str, Floats] = {}
    # As an item of its own, each answer keeps what it says together.
    rows = [
        {**{key: value for key, value in record.items() if key != "extra"}, "item": str(number), "draw": 0}
        for number, record in enumerate(records)
    ]
    for part in answers_from(rows, base):
        record_of = np.array([int(item) for item in part.items])[part.reading_item]
        for name, labels in part.labels.items():
            column = values.setdefault(name, np.full(len(records), np.nan))
            likeliest_last = np.argsort(labels.weight, kind="stable")
            states = _states_answered(part, base, name)
            column[record_of[labels.reading[likeliest_last]]] = states[likeliest_last]
        for name, numbers in part.numbers.items():
            column = values.setdefault(name, np.full(len(records), np.nan))
            column[record_of[numbers.reading]] = numbers.value
    return values


def _states_answered(part: Answers, base: Knowledge, name: str) -> Ints:
    """Return the state that each label of a variable names, (S,); a word that is none comes after them."""
    labels, observers = part.labels[name], list(base.observers.values())
    variable = base.variables[name]
    if variable.kind == "binary":
        return labels.answer
    answered = np.full(len(labels.answer), len(variable.states))
    by_row = part.reading_observer[labels.reading]
    for observer in np.unique(by_row).tolist():
        answers = observers[observer].labels[name].answers
        states = [variable.states.index(a) if a in variable.states else len(variable.states) for a in answers]
        answered = np.where(by_row == observer, np.array([*states, 0])[labels.answer], answered)
    return answered
