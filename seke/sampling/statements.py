"""What prompts of made-up answers state of their items: labels, and what an observer answered before."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import repeat_stated

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from engine import Floats, Inference, Ints, Knowledge, Observer, Question, Variable

# Decimal places of numbers in samples and labels.
DIGITS = 6


def states_something(observer: Observer, question: Question) -> bool:
    """Say whether prompts of a question to an observer may state something of the item."""
    return question.recall or (question.name in observer.halo_of_given and observer.origin != "label")


def stated_number(variable: Variable, value: Any) -> float:
    """Return a stated value as `engine.Given` has it: a state's index, 0 or 1, a number; NaN for nothing."""
    if variable.kind == "categorical":
        return float(variable.states.index(value)) if value in variable.states else np.nan
    return np.nan if value is None else float(value)


def stated_value(variable: Variable, number: float) -> str | bool | float:
    """Return a stated number as samples have it: a state, true or false, or a number."""
    if variable.kind == "categorical":
        return variable.states[int(number)]
    return bool(number) if variable.kind == "binary" else round(number, DIGITS)


def asked_for(names: Collection[str], known: Collection[str]) -> list[str]:
    """Return the variables that a question asks for of an item: not what is known, unless that is all."""
    return [name for name in names if name not in known] or [*names]


class Statements:
    """What made-up answers about N items said, so that later prompts may state it."""

    def __init__(self, base: Knowledge, inference: Inference, items: int) -> None:
        self.base, self.observations, self.items = base, inference.observations, items
        self._labels: dict[str, Floats] = {}
        self._answers: dict[tuple[str, str], list[Floats]] = defaultdict(list)

    def note(
        self, observer: Observer, question: Question, drawn: Mapping[str, NDArray[Any]], about: Ints | None
    ) -> None:
        """Note the answers to a question, (N, draws) each; about: (N,) which variable each item's are about.

        The first label of a data set is what later prompts tell.
        """
        for place, (name, answers) in enumerate(drawn.items()):
            asked = np.ones(self.items, dtype=bool) if about is None else about == place
            numbers = np.where(asked[:, None], self._as_stated(observer, name, answers), np.nan)
            if observer.origin == "label":
                self._labels.setdefault(name, numbers[:, 0])
            elif not question.recall:
                self._answers[observer.name, name].append(numbers)

    def known(self, observer: Observer, question: Question) -> dict[str, Floats]:
        """Return what the prompts of a question tell, variable -> (N,)."""
        if not states_something(observer, question):
            return {}
        return {name: self._labels[name] for name in question.tells if name in self._labels}

    def earlier(
        self, observer: Observer, drawn: Mapping[str, NDArray[Any]], about: Ints
    ) -> dict[str, Floats]:
        """Return what an observer answered before about the variable that each item is asked about, (N,)."""
        stated = {}
        for place, name in enumerate(drawn):
            columns = self._answers[observer.name, name]
            if columns:
                answered = np.where(about == place, self._usual(observer, name, columns), np.nan)
                stated[name] = answered
        return stated

    def repeated(
        self,
        observer: Observer,
        question: Question,
        drawn: Mapping[str, NDArray[Any]],
        stated: Mapping[str, Floats],
        rng: np.random.Generator,
    ) -> dict[str, NDArray[Any]]:
        """Return answers to a question that recalls, (N, draws) each; some merely repeat what was stated."""
        asked = self.observations, list(self.base.observers).index(observer.name), question.name
        return {
            name: repeat_stated(*asked, name, answers, stated[name], rng.random(answers.shape))
            if name in stated
            else answers
            for name, answers in drawn.items()
        }

    def _as_stated(self, observer: Observer, name: str, answers: NDArray[Any]) -> Floats:
        """Return answers, (N, draws), as they are stated; NaN for one that is no state."""
        if name in observer.numbers or self.base.variables[name].kind == "binary":
            return np.asarray(answers, dtype=np.float64)
        words, variable = observer.labels[name].answers, self.base.variables[name]
        return np.asarray(np.array([stated_number(variable, word) for word in words])[answers])

    def _usual(self, observer: Observer, name: str, columns: list[Floats]) -> Floats:
        """Return the answer that was given most often, (N,); of numbers the mean, on the observer's grid."""
        values = np.concatenate(columns, axis=1)
        given = ~np.isnan(values)
        count = given.sum(1)
        if name in observer.numbers:
            grid = observer.numbers[name].grid
            mean = np.where(given, values, 0.0).sum(1) / np.maximum(count, 1)
            return np.where(count > 0, np.round(mean / grid) * grid, np.nan)
        states = len(self.base.variables[name].states)
        counts = np.stack([(values == state).sum(1) for state in range(states)], axis=1)
        return np.where(count > 0, counts.argmax(1), np.nan)
