"""A run whose open questions go to people: its base, items, tasks and what was answered so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import Answers, SekeError
from seke.annotation.job import session_of
from seke.annotation.live_item import renumber_draws
from seke.files.shipped import knowledge as read_knowledge
from seke.review.answers import read_stored_answers, samples_of
from seke.review.tasks import read_tasks, reviewer_like
from seke.runs.item_list import decoded_lines, known_items
from seke.runs.run_folder import ANNOTATORS, SAMPLES
from seke.samples import answers_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from engine import Knowledge
    from seke.inference.session import Session
    from seke.review.answers import ReviewAnswer
    from seke.review.tasks import ReviewTask
    from seke.runs.item_list import KnownItem

    Record = dict[str, Any]

# The folder within a run's that holds everything about people, and its files.
FOLDER, TASKS, ANSWERS = "review", "tasks.jsonl", "answers.jsonl"
# Items that are judged at once: bounds the memory.
ITEM_BATCH = 512
# Answers of models that an item may have; people are asked whatever a run's budget for models was.
NO_BUDGET = 10**6


@dataclass(frozen=True)
class ReviewRun:
    """A finished run. knowledge: how its base was named. like: the observer that annotators begin as.

    session: that of the run, at the declared prices. records: item -> the samples of the run about it.
    """

    folder: Path
    knowledge: str | Path | None
    like: str
    session: Session
    items: Mapping[str, KnownItem]
    records: Mapping[str, list[Record]]

    @classmethod
    def open(
        cls, folder: str | Path, knowledge: str | Path | None = None, like: str | None = None, seed: int = 0
    ) -> ReviewRun:
        """Open a run.

        Raises:
            engine.SekeError: no finished run; one of another base; no observer of people.
        """
        folder = Path(folder)
        base = read_knowledge(knowledge)
        session = session_of(folder, base, seed=seed)
        questions = {**session.knowledge.questions, **base.questions}
        session = session.with_knowledge(replace(session.knowledge, questions=questions))
        items = known_items(folder)
        records: dict[str, list[Record]] = {name: [] for name in items}
        for record in decoded_lines(folder / SAMPLES, dict[str, Any]):
            if record.get("item") not in records:
                what = f"item {record.get('item')!r} is not among the items of the run"
                raise SekeError(f"{folder / SAMPLES}: {what}; the files are of different runs")
            records[record["item"]].append(record)
        return cls(folder, knowledge, reviewer_like(base, like), session, items, records)

    @property
    def base(self) -> Knowledge:
        """The base of the run."""
        return self.session.knowledge

    @property
    def path(self) -> Path:
        """The folder of all that people are asked and answer."""
        return self.folder / FOLDER

    def tasks(self) -> dict[str, ReviewTask]:
        """Return all tasks that were exported, by key."""
        return read_tasks(self.path / TASKS)

    def answers(self) -> tuple[ReviewAnswer, ...]:
        """Return all answers of people that were imported."""
        return read_stored_answers(self.path / ANSWERS)

    def records_with(self, people: Iterable[ReviewAnswer]) -> dict[str, list[Record]]:
        """Return item -> the samples of the run and these people, who may have answered in both."""
        records = {name: list(of_item) for name, of_item in self.records.items()}
        by_item: dict[str, list[Record]] = {}
        for record in samples_of(people, self.base.usual_view):
            by_item.setdefault(record["item"], []).append(record)
        return records | {
            name: renumber_draws([*records[name], *of_item]) for name, of_item in by_item.items()
        }

    def parts(
        self, base: Knowledge, people: Iterable[ReviewAnswer] = (), items: Iterable[str] | None = None
    ) -> Iterator[Answers]:
        """Yield all answers about the items, in batches and the run's order.

        base: with the annotators as observers. people: their answers. items: some of the run's.
        """
        records = self.records_with(people)
        remaining = iter(records if items is None else items)
        while names := list(islice(remaining, ITEM_BATCH)):
            answers = Answers.unasked(names)
            for part in answers_from([record for name in names for record in records[name]], base):
                answers = answers.joined(part)
            yield answers

    def current_base(self) -> Knowledge:
        """Return the base with the annotators so far: the run's own before the first import."""
        overlay = self.path / ANNOTATORS
        if not overlay.is_file():
            return self.base
        declared = read_knowledge(overlay)
        return replace(declared, policy=self.base.policy, questions=self.base.questions)


def asking_people(session: Session, like: str) -> Session:
    """Return a session that asks people alone, one look at a time, whatever the budget for models is."""
    base = session.knowledge
    models = {name: model for name, model in base.policy.models.items() if name != like}
    policy = replace(base.policy, others=(like,), batches=(1,), budget=NO_BUDGET, models=models)
    return session.under(policy).without([name for name in base.observers if name != like])
