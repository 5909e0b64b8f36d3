"""Made-up truth and samples from a base and its observers, also from observers that differ on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import (
    Inference,
    Knowledge,
    Misfit,
    SekeError,
    SimulatedObserver,
    compiled,
    did_you_mean,
    draw_looks,
    prior_truth,
    values_of,
)
from seke.files.shipped import cache_folder
from seke.files.shipped import knowledge as read_knowledge
from seke.samples.vocabulary import vocabulary_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from engine import Floats, Observer, Question
    from seke.samples.vocabulary import Field

    Record = dict[str, Any]

# Items that are simulated at once.
BATCH = 2000
AS_DECLARED = Misfit()
# Decimal places of numbers in samples and labels.
DIGITS = 6


@dataclass(frozen=True)
class SimulatedBatch:
    """Some items: a row of the label table for each, and all samples about them, item after item."""

    truth: list[Record]
    samples: list[Record]


def simulate(
    knowledge: Knowledge | str | Path | None = None,
    items: int = 100,
    *,
    draws: int = 5,
    observers: Sequence[str] = (),
    questions: Sequence[str] = (),
    views: Sequence[str] = (),
    population: str | None = None,
    misfit: Misfit = AS_DECLARED,
    seed: int = 0,
) -> Iterator[SimulatedBatch]:
    """Yield made-up items, BATCH at a time, with their truth and what observers answer about them.

    Truth is drawn from the compiled network under the population, answers as the observation model has
    them. Infer with another population to see what a wrong prior does, and give a misfit to see what wrong
    observers do. A question about one variable is asked about one, drawn by item.

    Args:
        knowledge: a base, or the folder or file of one; the shipped base by default.
        items: how many.
        draws: answers of each reading.
        observers: by name; the one that the policy asks by default.
        questions: by name; all that are not about a single variable by default.
        views: a reading of every question in each of them; the usual view by default.
        population: the prior of the truth; the base's reference by default.
        misfit: how the observers differ from the declared ones.
        seed: of all chance.

    Raises:
        engine.SekeError: a name that the base does not have; an observer that answers none of the questions.
    """
    base = read_knowledge(knowledge)
    _check_known("population", [population] if population else [], base.populations)
    _check_known("observer", observers, base.observers)
    _check_known("question", questions, base.questions)
    if not observers and not base.policy.ask:
        raise SekeError(f"the policy of {base.name} asks nobody; name an observer")
    question_names = list(questions) or [
        name for name, question in base.questions.items() if not (question.about_one or question.tells)
    ]
    observer_names = list(dict.fromkeys(observers)) or [base.policy.ask]
    view_names = list(dict.fromkeys(views)) or [base.usual_view]
    simulator = _Simulator(base, observer_names, list(dict.fromkeys(question_names)), view_names, draws)
    inference = Inference(compiled(base, cache_folder()), base, population)
    rng = np.random.default_rng(seed)
    for start in range(0, items, BATCH):
        names = [f"item-{number:06d}" for number in range(start, min(start + BATCH, items))]
        when = np.arange(start, start + len(names)) / max(items - 1, 1)
        yield simulator.simulate(inference, names, misfit, when, rng)


def _check_known(what: str, names: Sequence[str], known: Any) -> None:
    for name in names:
        if name not in known:
            raise SekeError(f"no {what} is called {name!r}{did_you_mean(name, known)}")


class _Simulator:
    """Simulates the observers' answers and writes them as sample records."""

    def __init__(
        self, base: Knowledge, observers: list[str], questions: list[str], views: list[str], draws: int
    ) -> None:
        self.base, self.views, self.draws = base, views, draws
        self.asked = [
            (base.observers[observer], base.questions[question])
            for observer in observers
            for question in questions
            if set(base.questions[question].variables) & set(base.observers[observer].instruments)
        ]
        for name in observers:
            if name not in [observer.name for observer, _ in self.asked]:
                raise SekeError(f"{name} answers none of the questions {', '.join(questions)}")
        levels = [name for names in base.levels.values() for name in names]
        self.columns = list(dict.fromkeys([*levels, base.root, *base.intervals, *base.cells]))
        self.fields = vocabulary_of(base).fields
        self.field_of = {
            member: field for field in self.fields for member in field.members if member not in base.codes
        }

    def simulate(
        self,
        inference: Inference,
        names: list[str],
        misfit: Misfit,
        when: Floats,
        rng: np.random.Generator,
    ) -> SimulatedBatch:
        truth = prior_truth(inference, len(names), rng)
        table = dict(values_of(self.base, truth, rng))
        asked = dict.fromkeys(observer.name for observer, _ in self.asked)
        looks = draw_looks(inference.observations, truth, rng) if len(asked) > 1 else None
        simulated = {
            name: SimulatedObserver(inference.observations, name, truth, rng, misfit, when, looks)
            for name in asked
        }
        samples: list[list[Record]] = [[] for _ in names]
        for observer, question in self.asked:
            for view in self.views:
                drawn = simulated[observer.name].reading(question.name, self.draws, view)
                self._write(samples, names, observer, question, view, drawn, rng)
        rows = [
            {"item": item} | {name: _label_cell(table[name][i]) for name in self.columns}
            for i, item in enumerate(names)
        ]
        return SimulatedBatch(rows, [sample for item_samples in samples for sample in item_samples])

    def _write(
        self,
        samples: list[list[Record]],
        names: list[str],
        observer: Observer,
        question: Question,
        view: str,
        drawn: dict[str, NDArray[Any]],
        rng: np.random.Generator,
    ) -> None:
        """Append a record for every item and draw."""
        sample_values = {
            name: self._sample_values(observer, name, answers) for name, answers in drawn.items()
        }
        about = rng.integers(0, len(sample_values), len(names)) if question.about_one else None
        variables = list(sample_values)
        for i, item in enumerate(names):
            reported = variables if about is None else [variables[about[i]]]
            for draw in range(self.draws):
                record: Record = {
                    "item": item,
                    "observer": observer.name,
                    "question": question.name,
                    "draw": draw,
                }
                if view != self.base.usual_view:
                    record["view"] = view
                for name in reported:
                    self._set_value(record, self.field_of.get(name), name, sample_values[name][i][draw])
                samples[i].append(record)

    def _sample_values(self, observer: Observer, name: str, answers: NDArray[Any]) -> list[list[Any]]:
        """Return answers as they are written in samples, by item and draw."""
        if name in observer.numbers:
            return [[round(value, DIGITS) for value in row] for row in answers.tolist()]
        if self.base.variables[name].kind == "binary":
            return [[bool(answer) for answer in row] for row in answers.tolist()]
        words = observer.labels[name].answers
        return [[words[answer] for answer in row] for row in answers.tolist()]

    def _set_value(self, record: Record, field: Field | None, name: str, value: Any) -> None:
        if field is None:
            record.setdefault("reports", {})[name] = value
        elif field.kind == "binary":
            record.setdefault(field.name, {})[name] = value
        else:
            record[field.name] = value


def _label_cell(value: Any) -> Any:
    """Return a value of the label table: binary ones are 0 or 1."""
    if isinstance(value, bool):
        return int(value)
    return round(value, DIGITS) if isinstance(value, float) else value
