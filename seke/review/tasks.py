"""What people are asked about a run's items: the question of each, and what the run believes so far."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from engine import SekeError, did_you_mean
from seke.files.faults import Faults
from seke.files.rows import RowFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from engine import Answers, Floats, Knowledge, Option, Posterior, Variable
    from seke.inference.session import Session

# Hexadecimal digits of a task's key: of a million tasks two share one with probability 2e-3.
KEY_DIGITS = 12


class ReviewTask(msgspec.Struct, frozen=True, kw_only=True):
    """One question about one item.

    asks: the variables that an answer reports. prediction: variable -> the value that the run holds for
    likeliest; scores: its probability. shown: whether people see the prediction. minutes: how long an answer
    is expected to take; gain: the expected fall of the loss by it, in the unit of the policy's worth.
    knowledge: name and digest of the base.
    """

    key: str
    item: str
    question: str
    about: str | None
    asks: tuple[str, ...]
    prediction: dict[str, Any]
    scores: dict[str, float]
    shown: bool
    minutes: float
    gain: float
    knowledge: str

    @property
    def given(self) -> dict[str, Any]:
        """What an answer states that it was shown: variable -> value, nothing of a blind task."""
        return dict(self.prediction) if self.shown else {}


@dataclass(frozen=True)
class TaskPlan:
    """Which tasks are wanted.

    budget: minutes in all, None without a limit. minutes: of an answer to a question of cost 1; other
    questions take as much longer as they cost more. blind: the share of tasks without the prediction. seed:
    of which these are. part: which of how many parts of the list, dealt out in turn, so that several people
    share it.
    """

    budget: float | None = None
    minutes: float = 1.0
    blind: float = 0.3
    seed: int = 0
    part: tuple[int, int] = (1, 1)


def reviewer_like(base: Knowledge, name: str | None) -> str:
    """Return the observer whose numbers annotators begin with: the named one, else the broadest of people.

    Raises:
        engine.SekeError: no such observer, or it is not of people.
    """
    people = [observer for observer in base.observers.values() if observer.people]
    if name is None:
        if not people:
            raise SekeError(
                f"{base.name} has no observer of people: give one a `kind` with `people: true` (dependence)"
            )
        return max(people, key=lambda observer: len(observer.instruments)).name
    if name not in base.observers:
        raise SekeError(f"no observer is called {name!r}{did_you_mean(name, base.observers)}")
    if not base.observers[name].people:
        allowed = ", ".join(observer.name for observer in people) or "none"
        raise SekeError(f"observer {name!r} is not of people; those that are: {allowed}")
    return name


def best_looks(session: Session, answers: Answers) -> list[Option | None]:
    """Return for each item (N,) the look of a person that gains most for its price; None where none gains.

    session: one that asks people alone (`asking_people`).
    """
    posterior = session.inference.posterior(answers)
    by_item = session.look_ahead.options_by_item(answers, posterior)
    return [next(iter(options), None) for options in by_item]


def minutes_of(base: Knowledge, option: Option, minutes: float) -> float:
    """Return how long a person takes for a look; minutes: for a question of cost 1."""
    return base.questions[option.question].cost * option.samples * minutes


def chosen_tasks(
    session: Session, parts: Iterable[Answers], plan: TaskPlan, knowledge: str
) -> list[ReviewTask]:
    """Return a task for each item of a part that an answer would help, those that gain most per minute first.

    session: see `best_looks`. parts: the answers about all items, in batches. knowledge: name and digest of
    the run's base.
    """
    base, tasks = session.knowledge, list[ReviewTask]()
    for answers in parts:
        posterior = session.inference.posterior(answers)
        for row, option in enumerate(best_looks(session, answers)):
            if option is not None:
                tasks.append(_task(base, answers.items[row], posterior, row, option, plan, knowledge))
    number, parts_in_all = plan.part
    return sorted(tasks, key=lambda task: -task.gain / task.minutes)[number - 1 :: parts_in_all]


def _task(
    base: Knowledge,
    item: str,
    posterior: Posterior,
    row: int,
    option: Option,
    plan: TaskPlan,
    knowledge: str,
) -> ReviewTask:
    person, question = base.observers[option.observer], base.questions[option.question]
    asks = tuple(name for name in question.variables if name in person.instruments)
    asks = (option.about,) if option.about else asks
    prediction, scores = {}, {}
    for name in asks:
        grid = person.numbers[name].grid if name in person.numbers else 0.0
        prediction[name], scores[name] = _believed(base.variables[name], posterior.marginals[name][row], grid)
    shown = random.Random(f"{plan.seed} {item}").random() >= plan.blind
    stated = sorted(prediction.items()) if shown else []
    content = msgspec.json.encode([knowledge, item, option.question, option.about, stated])
    return ReviewTask(
        key=hashlib.sha256(content).hexdigest()[:KEY_DIGITS],
        item=item,
        question=option.question,
        about=option.about,
        asks=asks,
        prediction=prediction,
        scores=scores,
        shown=shown,
        minutes=minutes_of(base, option, plan.minutes),
        gain=option.gain,
        knowledge=knowledge,
    )


def _believed(variable: Variable, p: Floats, grid: float) -> tuple[Any, float]:
    """Return the likeliest value of a variable and its probability; of a number the mean, on the grid.

    p: (states,). The score of a number is the probability of the interval around it.
    """
    if variable.kind == "interval":
        edges = np.array(variable.edges)
        mean = float(p @ (edges[:-1] + edges[1:]) / 2)
        mean = min(max(round(mean / grid) * grid, variable.edges[0]), variable.edges[-1])
        place = min(int(np.searchsorted(edges, mean, "right")) - 1, len(p) - 1)
        return round(mean, 6), round(float(p[place]), 6)
    state = int(p.argmax())
    value = bool(state) if variable.kind == "binary" else variable.states[state]
    return value, round(float(p[state]), 6)


def read_tasks(path: Path) -> dict[str, ReviewTask]:
    """Return the tasks of a file by key; none where there is no file.

    Raises:
        engine.SekeError: lines that cannot be read.
    """
    if not path.is_file():
        return {}
    file, tasks = RowFile(path, Faults(), may_be_empty=True), {}
    for number, row in file.rows():
        try:
            task = msgspec.convert(row, ReviewTask)
        except msgspec.ValidationError as error:
            file.note(number, f"cannot be read ({error})")
        else:
            tasks[task.key] = task
    file.faults.raise_all(SekeError)
    return tasks
