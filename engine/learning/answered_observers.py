"""The observers that answered, and what their answers and gold identify of how they answer."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.language.parameter_paths import yaml_path
from engine.model.parameter_key import ParameterKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.backend.types import Bools, Floats
    from engine.inference.posterior import Inference
    from engine.learning.priors import FitPriors
    from engine.model.gold import Gold
    from engine.model.knowledge import Observer
    from engine.model.responses import Answers
    from engine.observation.evidence import ObservationModel


@dataclass(frozen=True)
class AnswerCounts:
    """Counts of an observer's answers about a variable, which decide what the data identify.

    readings: all of them. again: readings with two answers or more. items: those with two readings or more of
    this observer. ranked: answers with a second place. gold: items answered that have gold of the variable.
    agreed: items that another observer answered, too, or this one in three readings or more. values:
    the distinct numbers and their counts.
    """

    readings: int
    again: int
    items: int
    ranked: int
    gold: int
    agreed: int
    values: tuple[Floats, Floats]


def count_answers(answers: Answers, gold: Gold, observer: int, name: str) -> AnswerCounts:
    """Count what an observer answered about a variable."""
    by_observer = answers.reading_observer == observer
    column = answers.labels.get(name) or answers.numbers.get(name)
    readings = np.zeros(0, dtype=np.int64) if column is None else column.reading
    draws = np.bincount(readings, minlength=len(by_observer))
    count = len(answers.items)
    observer_readings = np.bincount(answers.reading_item[by_observer & (draws > 0)], minlength=count)
    other_readings = np.bincount(answers.reading_item[~by_observer & (draws > 0)], minlength=count)
    known = ~np.isnan(gold.values[name]) if name in gold.values else np.zeros(count, dtype=bool)
    ranked = 0
    if name in answers.rankings:
        places = answers.rankings[name]
        ranked = int((by_observer[places.reading] & (places.places[:, 1] >= 0)).sum())
    seen = answers.numbers[name].value[by_observer[readings]] if name in answers.numbers else np.zeros(0)
    values, counts = np.unique(seen, return_counts=True)
    return AnswerCounts(
        readings=int((by_observer & (draws > 0)).sum()),
        again=int((by_observer & (draws > 1)).sum()),
        items=int((observer_readings > 1).sum()),
        ranked=ranked,
        gold=int((known & (observer_readings > 0)).sum()),
        agreed=int(((observer_readings > 0) & ((other_readings > 0) | (observer_readings > 2))).sum()),
        values=(values, counts.astype(np.float64)),
    )


def informative(answers: Answers, gold: Gold) -> Bools:
    """Return which items identify how observers answer to which truth, (N,).

    These are items with gold, and items answered by several observers or in three readings or more. From
    other items a fit would take a lone observer's answers for the truth: a wrong prior and a wrong table
    explain one another. Without any gold all items count.
    """
    count = len(answers.items)
    if not gold.values or all(np.isnan(values).all() for values in gold.values.values()):
        return np.ones(count, dtype=bool)
    known = np.any([~np.isnan(values) for values in gold.values.values()], axis=0)
    pairs = np.unique(np.stack([answers.reading_item, answers.reading_observer], axis=1), axis=0)
    observers = np.bincount(pairs[:, 0], minlength=count)
    readings = np.bincount(answers.reading_item, minlength=count)
    return np.asarray(known | (observers > 1) | (readings > 2))


def _estimate_grid(
    values: Floats, counts: Floats, edges: tuple[float, ...], declared: float, priors: FitPriors
) -> float:
    """Return the coarsest grid from the first edge with nearly all answers on it; else the declared one."""
    if counts.sum() < priors.grid_numbers:
        return declared
    low, high = edges[0], edges[-1]
    span = high - low
    power = math.floor(math.log10(span))
    for step in (base * 10.0 ** (power - k) for k in range(1, 4) for base in (5, 2.5, 2, 1)):
        off = np.abs((values - low) / step - np.round((values - low) / step)) * step
        if counts[off < 1e-6 * span].sum() >= priors.grid_share * counts.sum() and step < span / 2:
            return round(step, 9)
    return round(10.0 ** (power - 3), 9)


class AnsweredObservers:
    """The observers that answered, by index, and how much they answered about which variable.

    observers: each with the grids on which it answers. answer_counts: of what each answered about. haloed:
    (observer, question) -> readings whose answers can have followed their label.
    """

    def __init__(self, inference: Inference, answers: Answers, gold: Gold, priors: FitPriors) -> None:
        self.inference, self.answers, self.gold = inference, answers, gold
        self.base = inference.knowledge
        self.observations: ObservationModel = inference.observations
        self.answer_counts: dict[tuple[int, str], AnswerCounts] = {}
        self.observers: dict[int, Observer] = {}
        self._groups: dict[int, dict[ParameterKey, list[int]]] = {}
        for index, observer in enumerate(self.observations.observers):
            counted = {name: count_answers(answers, gold, index, name) for name in observer.instruments}
            answered = {name: counts for name, counts in counted.items() if counts.readings}
            if answered:
                self.answer_counts |= {(index, name): counts for name, counts in answered.items()}
                self.observers[index] = self._on_their_grid(observer, answered, priors)
        self.haloed = self._count_haloed()

    def _on_their_grid(
        self, observer: Observer, answered: Mapping[str, AnswerCounts], priors: FitPriors
    ) -> Observer:
        """Return the observer with the grids on which it answers."""
        numbers = dict(observer.numbers)
        for name in set(numbers) & set(answered):
            edges, declared = self.base.variables[name].edges, numbers[name].grid
            grid = _estimate_grid(*answered[name].values, edges, declared, priors)
            numbers[name] = replace(numbers[name], grid=grid)
        return replace(observer, numbers=numbers)

    def _count_haloed(self) -> dict[tuple[int, str], int]:
        """Count the readings whose answers can have followed their label, by observer and question."""
        answers, questions = self.answers, list(self.base.questions)
        switched = self.observations.switched(answers)
        pairs = zip(answers.reading_observer[switched], answers.reading_question[switched], strict=True)
        return {
            (observer, questions[question]): count
            for (observer, question), count in Counter((int(o), int(q)) for o, q in pairs).items()
        }

    def key(self, index: int, name: str) -> ParameterKey:
        """Return the key of all numbers of an observer about a variable."""
        return ParameterKey(self.observers[index].name, "", self.base.variables[name].kind, name)

    def answered(self, index: int) -> dict[str, AnswerCounts]:
        """Return the variables that an observer answered about, with the counts of its answers."""
        return {name: counts for (o, name), counts in self.answer_counts.items() if o == index}

    def binary(self, index: int) -> list[str]:
        """Return the binary variables that an observer answered about."""
        return [n for o, n in self.answer_counts if o == index and self.base.variables[n].kind == "binary"]

    def questions_apart(self, index: int) -> list[str]:
        """Return the questions that an observer has rates of their own for."""
        labels = self.observers[index].labels.values()
        return list(dict.fromkeys(question for label in labels for question, _ in label.by_question))

    def binary_asked(self, index: int, question: str) -> list[str]:
        """Return the binary variables answered about that have rates of their own in a question."""
        labels = self.observers[index].labels
        return [name for name in self.binary(index) if question in dict(labels[name].by_question)]

    def gold_by_question(self, index: int, question: str, name: str) -> bool:
        """Say whether any item with gold of a variable was asked about it in a question."""
        answers, known = self.answers, self.gold.values.get(name)
        if known is None or name not in answers.labels:
            return False
        asked = (answers.reading_observer == index) & (
            answers.reading_question == list(self.base.questions).index(question)
        )
        reading = answers.labels[name].reading
        return bool((~np.isnan(known[answers.reading_item[reading[asked[reading]]]])).any())

    def groups(self, index: int) -> dict[ParameterKey, list[int]]:
        """Return which binary variables share one scatter of draws, by the key where it is declared."""
        if index not in self._groups:
            observer, names = self.observers[index], self.binary(index)
            groups: dict[ParameterKey, list[int]] = {}
            for i, name in enumerate(names):
                key, types = self.key(index, name), observer.labels[name].types
                own_scatter = {yaml_path(key.of("repeat")), yaml_path(key.of("strength"))}
                alike = len(types) == 1 and types == observer.labels[names[0]].types
                if alike and not own_scatter & set(self.base.numbers):
                    key = replace(key, variable="")
                groups.setdefault(key, []).append(i)
            self._groups[index] = groups
        return self._groups[index]

    def group(self, index: int, name: str) -> ParameterKey:
        """Return the key under which the scatter of draws about a binary variable is declared."""
        place = self.binary(index).index(name)
        return next(key for key, members in self.groups(index).items() if place in members)
