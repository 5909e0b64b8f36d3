"""What a further hour of people would bring: the tasks that fill it, and what answers would change."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Preposterior, all_required
from seke.files.text_report import FieldReport
from seke.review.answers import OK
from seke.review.review_run import ReviewRun, asking_people
from seke.review.tasks import best_looks, minutes_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine import Answers, Knowledge, Option
    from seke.inference.session import Session
    from seke.review.answers import ReviewAnswer

# Answers from which the time that people take is measured, not assumed.
MEASURED_FROM = 10
# Tasks whose answers are drawn at most, evenly among those that fill the time; all others are taken as such.
MOST_DRAWN = 60
# Drawn answers to each task: the expected number of accepted items is then within .02 a task or so.
PATHS = 40


@dataclass(frozen=True)
class Look:
    """A look of a person: how long it takes, what is asked, and the answers about its item so far."""

    minutes: float
    option: Option
    item: Answers


@dataclass(frozen=True, repr=False)
class Outlook(FieldReport):
    """What people have done, and what further minutes of them would bring.

    minutes: asked for; used: of the tasks that fill them. minutes_each: of an answer to a question of cost 1;
    measured: whether from answers. accepted, after: items whose required values are accepted, now and
    expected then. risk, risk_after: mean risk of the required values of the items that would be asked
    about.
    """

    answers: dict[str, int]
    statuses: dict[str, int]
    exported: int
    unanswered: int
    minutes: float
    used: float
    minutes_each: float
    measured: bool
    tasks: int
    questions: dict[str, int]
    items: int
    accepted: int
    after: float
    risk: float | None
    risk_after: float | None

    def as_facts(self) -> dict[str, Any]:
        """Return everything as a mapping."""
        return asdict(self)


def measured_minutes(base: Knowledge, answers: Sequence[ReviewAnswer]) -> float | None:
    """Return the median minutes of an answer to a question of cost 1; None while too few are timed."""
    timed = [
        answer.seconds / 60 / base.questions[answer.question].cost
        for answer in answers
        if answer.seconds and answer.status == OK and base.questions[answer.question].cost > 0
    ]
    return statistics.median(timed) if len(timed) >= MEASURED_FROM else None


def review_outlook(
    folder: str | Path,
    minutes: float = 60.0,
    *,
    knowledge: str | Path | None = None,
    like: str | None = None,
    minutes_each: float | None = None,
) -> Outlook:
    """Return what people have answered about a run, and what further minutes of them would bring.

    Args:
        folder: a finished run of `seke annotate`.
        minutes: the further minutes of one person.
        knowledge: the base that the run was made with; the shipped one by default.
        like: the observer that a further person is; the broadest of people by default.
        minutes_each: of an answer to a question of cost 1; as measured by default, 1 where too few are timed.

    Raises:
        engine.SekeError: no finished run, or one of another base.
    """
    run = ReviewRun.open(folder, knowledge, like)
    base, answers, tasks = run.current_base(), run.answers(), run.tasks()
    measured = measured_minutes(base, answers) if minutes_each is None else None
    each = minutes_each or measured or 1.0
    session = run.session.with_knowledge(base)
    people = asking_people(session, run.like)
    accepted, looks = _open_looks(run, base, session, people, each)
    used, chosen = 0.0, list[Look]()
    for look in looks:
        if used + look.minutes > minutes + 1e-9:
            break
        used += look.minutes
        chosen.append(look)
    stride = max(-(-len(chosen) // MOST_DRAWN), 1)
    # From the middle of a stride on: the first task of each gains the most.
    drawn = chosen[stride // 2 :: stride]
    changes = [_change(session, people, look) for look in drawn]
    won = float(np.mean([change[0] for change in changes])) * len(chosen) if changes else 0.0
    done = {answer.task for answer in answers}
    return Outlook(
        answers=dict(Counter(answer.annotator for answer in answers)),
        statuses=dict(Counter(answer.status for answer in answers)),
        exported=len(tasks),
        unanswered=sum(key not in done for key in tasks),
        minutes=minutes,
        used=round(used, 1),
        minutes_each=round(each, 2),
        measured=measured is not None,
        tasks=len(chosen),
        questions=dict(Counter(look.option.question for look in chosen).most_common()),
        items=len(run.items),
        accepted=accepted,
        after=round(accepted + won, 2),
        risk=_mean([change[1] for change in changes]),
        risk_after=_mean([change[2] for change in changes]),
    )


def _open_looks(
    run: ReviewRun, base: Knowledge, session: Session, people: Session, each: float
) -> tuple[int, list[Look]]:
    """Return how many items are accepted, and the best look at each that gains, by gain per minute.

    each: minutes of an answer to a question of cost 1.
    """
    accepted, looks = 0, list[Look]()
    for part in run.parts(base, run.answers()):
        levels = session.levels(part)
        accepted += int(all_required(base, {name: level.accepted for name, level in levels.items()}).sum())
        for row, option in enumerate(best_looks(people, part)):
            if option is not None:
                looks.append(Look(minutes_of(base, option, each), option, part.part(row, row + 1)))
    return accepted, sorted(looks, key=lambda look: -look.option.gain / look.minutes)


def _change(session: Session, people: Session, look: Look) -> tuple[float, float, float]:
    """Return by how much an answer makes the item accepted, and the mean risk of what is required.

    The risk is that of now and that after the answer.
    """
    base = session.knowledge
    futures = Preposterior(people.inference, session.seed, PATHS).futures(look.item, 0, look.option)
    names = [name for level in base.policy.required for name in base.levels[level]]
    (before, risk), (after, risk_after) = (
        (
            float(all_required(base, {name: level.accepted for name, level in levels.items()}).mean()),
            float(np.mean([levels[name].risk.mean() for name in names])),
        )
        for levels in (session.levels(look.item), session.levels(futures))
    )
    return after - before, risk, risk_after


def _mean(values: Sequence[float]) -> float | None:
    return round(float(np.mean(values)), 4) if values else None
