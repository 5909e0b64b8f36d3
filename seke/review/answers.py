"""What people answered: read from any file, checked against the tasks, kept in a run's folder."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from engine import SekeError, did_you_mean
from seke.annotation.live_item import renumber_draws
from seke.files.faults import Faults
from seke.files.rows import RowFile, describe_met

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from engine import Knowledge
    from seke.review.tasks import ReviewTask

    Record = dict[str, Any]

# What a person may do with a task: answer it, pass it over, or say that it cannot be judged.
OK, REFUSED, NOT_JUDGED = "ok", "refused", "not_judged"
# Begins the observer's name of an annotator whom the base does not declare.
ANNOTATOR = "annotator-"


class ReviewAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One person's answer to one task.

    values: variable -> state, true or false, a number, or null for a variable whose place cannot be seen.
    given: what the person was shown. seconds: how long it took, where that is known.
    """

    task: str
    item: str
    question: str
    annotator: str
    status: str = OK
    about: str | None = None
    values: dict[str, Any] = {}
    given: dict[str, Any] = {}
    seconds: float | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What makes two answers the same one: who answered which task."""
        return self.annotator, self.task


@dataclass(frozen=True)
class RawAnswer:
    """An answer as a file has it. place: where, for messages. task: its key, "" where the file has none."""

    place: str
    task: str
    item: str
    annotator: str
    status: str
    values: Mapping[str, Any]
    shown: bool | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class AnswerChanges:
    """What files bring to the answers that are there: all answers then, and how many are of which sort.

    unknown_items: items of answers that the run does not have. statuses: of the answers of these files.
    """

    answers: tuple[ReviewAnswer, ...]
    new: int
    changed: int
    same: int
    statuses: Mapping[str, int]
    unknown_items: tuple[str, ...]


def observer_name(base: Knowledge, annotator: str) -> str:
    """Return the observer that a person is: the declared one of that name, else a name for a new one.

    Names of observers are of ASCII letters; what stands for others keeps two people apart.
    """
    if annotator in base.observers and base.observers[annotator].people:
        return annotator
    letters = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in annotator.lower())
    parts = [part for part in letters.split("-") if part]
    if not annotator.isascii():
        parts.append(hashlib.sha256(annotator.encode("utf-8", "surrogatepass")).hexdigest()[:6])
    return ANNOTATOR + ("-".join(parts) or "unnamed")


def checked_answers(
    raw: Sequence[RawAnswer],
    tasks: Mapping[str, ReviewTask],
    items: Iterable[str],
    base: Knowledge,
) -> tuple[list[ReviewAnswer], tuple[str, ...]]:
    """Return the answers that belong to tasks, and the items of answers that the run does not have.

    Raises:
        engine.SekeError: all faults: answers to no task of this run, unknown states, numbers out of range;
            a base that changed since the tasks were made.
    """
    known, faults = set(items), Faults()
    unknown = tuple(dict.fromkeys(answer.item for answer in raw if answer.item not in known))
    belonging = [answer for answer in raw if answer.item in known]
    if raw and not belonging:
        raise SekeError(
            f"{raw[0].place}: is of another run: none of its {len(raw):,} answers is about an item of "
            f"this one (the first is about {raw[0].item[:80]!r})"
        )
    answers = []
    for answer in belonging:
        task = tasks.get(answer.task)
        if task is None:
            reason = f"task {answer.task[:80]!r} was not exported from this run"
            faults.note(f"{answer.place}: item {answer.item[:80]}: {reason}")
            continue
        if task.item != answer.item:
            reason = f"task {task.key} is about item {task.item[:80]}"
            faults.note(f"{answer.place}: item {answer.item[:80]}: {reason}")
            continue
        now = f"{base.name} {base.digest}"
        if task.knowledge != now:
            raise SekeError(
                f"{answer.place}: the tasks were exported with knowledge {task.knowledge}, this is {now}: "
                "what was asked may mean something else now; name that base with -k, or export again"
            )
        values = {}
        for name, value in answer.values.items():
            kept, reason = value_of(base, task, name, value)
            if reason:
                faults.note(f"{answer.place}: item {answer.item[:80]}: {reason}")
            values[name] = kept
        answers.append(_review_answer(base, task, answer, values))
    faults.raise_all(SekeError)
    return answers, unknown


def _review_answer(
    base: Knowledge, task: ReviewTask, answer: RawAnswer, values: Mapping[str, Any]
) -> ReviewAnswer:
    shown = task.shown if answer.shown is None else answer.shown
    # An answer that says nothing of what was asked is none.
    status = REFUSED if answer.status == OK and not values else answer.status
    return ReviewAnswer(
        task=task.key,
        item=task.item,
        question=task.question,
        annotator=observer_name(base, answer.annotator),
        status=status,
        about=task.about,
        values=dict(values) if status == OK else {},
        given=dict(task.prediction) if shown else {},
        seconds=answer.seconds,
    )


def value_of(base: Knowledge, task: ReviewTask, name: str, value: Any) -> tuple[Any, str]:
    """Return the value of a variable as samples have it, and what is wrong with it ("" for nothing)."""
    if name not in task.asks:
        return None, f"{name}: is not asked; the task asks about {', '.join(task.asks)}"
    variable = base.variables[name]
    if variable.kind == "binary":
        fits = value is None or isinstance(value, bool)
        return value, "" if fits else f"{name}: {describe_met(value)}; allowed is true, false or null"
    if variable.kind == "interval":
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        low, high = variable.edges[0], variable.edges[-1]
        if number is None or not low <= number <= high:
            return None, f"{name}: {describe_met(value)}; allowed is a number from {low:g} to {high:g}"
        return float(number), ""
    if value in variable.states:
        return value, ""
    hint = did_you_mean(str(value), variable.states)
    return None, f"{name}: {describe_met(value)}{hint}; allowed are {', '.join(variable.states)}"


def merged_answers(
    before: Sequence[ReviewAnswer], given: Sequence[ReviewAnswer], unknown: tuple[str, ...]
) -> AnswerChanges:
    """Return what answers bring to those before; the last answer of a person to a task counts."""
    answers = {answer.key: answer for answer in before}
    counts = Counter[str]()
    latest = {answer.key: answer for answer in given}
    for key, answer in latest.items():
        earlier = answers.get(key)
        # How long it took is no other answer.
        same = earlier is not None and without_seconds(earlier) == without_seconds(answer)
        counts["same" if same else "changed" if earlier else "new"] += 1
        if not same:
            answers[key] = answer
    statuses = Counter(answer.status for answer in latest.values())
    return AnswerChanges(
        tuple(answers.values()), counts["new"], counts["changed"], counts["same"], statuses, unknown
    )


def without_seconds(answer: ReviewAnswer) -> ReviewAnswer:
    """Return an answer without the time that it took."""
    return msgspec.structs.replace(answer, seconds=None)


def samples_of(answers: Iterable[ReviewAnswer], usual_view: str) -> list[Record]:
    """Return the sample records of people's answers, each with its draw."""
    records: list[Record] = []
    for answer in answers:
        record: Record = {
            "item": answer.item,
            "observer": answer.annotator,
            "question": answer.question,
            "draw": 0,
            "view": usual_view,
            "status": answer.status,
        }
        if answer.values:
            record["reports"] = dict(answer.values)
        if answer.given and answer.status == OK:
            record["given"] = dict(answer.given)
        about = {"about": answer.about} if answer.about else {}
        records.append({**record, "extra": {"task": answer.task, **about}})
    by_item: dict[str, list[Record]] = {}
    for record in records:
        by_item.setdefault(record["item"], []).append(record)
    return [record for of_item in by_item.values() for record in renumber_draws(of_item)]


def read_stored_answers(path: Path) -> tuple[ReviewAnswer, ...]:
    """Return the answers that a run's folder keeps; none where there is no file.

    Raises:
        engine.SekeError: lines that cannot be read.
    """
    if not path.is_file():
        return ()
    file, answers = RowFile(path, Faults(), may_be_empty=True), []
    for number, row in file.rows():
        try:
            answers.append(msgspec.convert(row, ReviewAnswer))
        except msgspec.ValidationError as error:
            file.note(number, f"cannot be read ({error})")
    file.faults.raise_all(SekeError)
    return tuple(answers)


def with_annotator(raw: Iterable[RawAnswer], annotator: str) -> list[RawAnswer]:
    """Return answers, those without a name as of this annotator.

    Raises:
        engine.SekeError: an answer without a name where none is given.
    """
    named = []
    for answer in raw:
        if not answer.annotator and not annotator:
            raise SekeError(f"{answer.place}: does not say who answered; name the person with --annotator")
        named.append(answer if answer.annotator else replace(answer, annotator=annotator))
    return named
