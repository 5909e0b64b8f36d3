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
    did_you_mean,
    draw_looks,
    prior_truth,
    values_of,
)
from seke.files.networks import network_of
from seke.files.shipped import knowledge as read_knowledge
from seke.samples.columns_builder import cure_of_unknown_observer
from seke.samples.vocabulary import vocabulary_of
from seke.sampling.statements import DIGITS, Statements, asked_for, stated_value, states_something

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from engine import Floats, Ints, Observer, Question
    from seke.samples.vocabulary import Field

    Record = dict[str, Any]

# Items that are simulated at once.
BATCH = 2000
AS_DECLARED = Misfit()


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
    """Return an iterator of made-up items, BATCH at a time, with their truth and what observers answer.

    Truth is drawn from the compiled network under the population, answers as the observation model has
    them. Infer with another population to see what a wrong prior does, and give a misfit to see what wrong
    observers do. A question about one variable is asked about one, drawn by item. One that tells something
    tells what made-up labels say, where an observer with `origin: label` is among those that are named; one
    that recalls, what the observer answered before.

    Args:
        knowledge: a base, or the folder or file of one; the shipped base by default.
        items: how many.
        draws: answers of each reading.
        observers: by name; the one that the policy asks by default.
        questions: by name; all that are not about a single variable by default.
        views: a reading of every question in each of them; the usual view by default.
        population: the prior of the truth; the base's usual one by default.
        misfit: how the observers differ from the declared ones.
        seed: of all chance.

    Raises:
        engine.SekeError: a name that the base does not have; an observer that answers none of the questions;
            fewer items or draws than one.
    """
    for what, number in (("items", items), ("draws", draws)):
        if number < 1:
            raise SekeError(f"{what}: met {number}; allowed are numbers from 1")
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
    inference = Inference(network_of(base), base, population)
    rng = np.random.default_rng(seed)

    def batches() -> Iterator[SimulatedBatch]:
        for start in range(0, items, BATCH):
            names = [f"item-{number:06d}" for number in range(start, min(start + BATCH, items))]
            when = np.arange(start, start + len(names)) / max(items - 1, 1)
            yield simulator.simulate(inference, names, misfit, when, rng)

    return batches()


def _check_known(what: str, names: Sequence[str], known: Any) -> None:
    for name in names:
        if name not in known:
            observer = what == "observer"
            cure = f"; {cure_of_unknown_observer(known)}" if observer else did_you_mean(name, known)
            raise SekeError(f"no {what} is called {name!r}{cure}")


class _Simulator:
    """Simulates the observers' answers and writes them as sample records."""

    def __init__(
        self, base: Knowledge, observers: list[str], questions: list[str], views: list[str], draws: int
    ) -> None:
        self.base, self.views, self.draws = base, views, draws
        asked = [
            (base.observers[observer], base.questions[question])
            for observer in observers
            for question in questions
            if set(base.questions[question].variables) & set(base.observers[observer].instruments)
            # Labels are what is told.
            and not (base.questions[question].tells and base.observers[observer].origin == "label")
        ]
        # What states something comes after all that it may state.
        self.asked = sorted(asked, key=lambda pair: states_something(*pair))
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
        statements = Statements(self.base, inference, len(names))
        for observer, question in self.asked:
            for view in self.views:
                known = statements.known(observer, question)
                drawn = simulated[observer.name].reading(question.name, self.draws, view, known)
                about = rng.integers(0, len(drawn), len(names)) if question.about_one else None
                if question.recall and about is not None:
                    known = statements.earlier(observer, drawn, about)
                    drawn = statements.repeated(observer, question, drawn, known, rng)
                statements.note(observer, question, drawn, about)
                self._write(samples, names, observer, question, view, drawn, about, known)
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
        about: Ints | None,
        known: Mapping[str, Floats],
    ) -> None:
        """Append a record for every item and draw; known: what prompts stated, variable -> (N,)."""
        sample_values = {
            name: self._sample_values(observer, name, answers) for name, answers in drawn.items()
        }
        variables = list(sample_values)
        for i, item in enumerate(names):
            given: Record = {
                name: stated_value(self.base.variables[name], float(values[i]))
                for name, values in known.items()
                if not np.isnan(values[i])
            }
            # What a prompt recalls is asked for again, what it tells is not.
            reported = asked_for(variables, given) if about is None else [variables[about[i]]]
            for draw in range(self.draws):
                record: Record = {
                    "item": item,
                    "observer": observer.name,
                    "question": question.name,
                    "draw": draw,
                }
                if view != self.base.usual_view:
                    record["view"] = view
                if given:
                    record["given"] = given
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
