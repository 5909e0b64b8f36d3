"""Tasks for people, written for Label Studio, as a table or as a page."""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine import SekeError
from seke.files.atomic import check_target, write_file
from seke.files.text_report import FieldReport
from seke.graphics.thumbnails import face_of, thumbnail
from seke.review.label_studio import LabelStudioForm
from seke.review.page import page_text
from seke.review.review_run import TASKS, ReviewRun, asking_people
from seke.review.table import table_text
from seke.review.tasks import ReviewTask, TaskPlan, chosen_tasks

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMATS = ("labelstudio", "csv", "page")
ENDINGS = {"labelstudio": ("json",), "csv": ("csv",), "page": ("html", "htm")}
# Longest side of the pictures that people see, in pixels, and bytes of one, about.
SIDE = 640


@dataclass(frozen=True, repr=False)
class ReviewExport(FieldReport):
    """What was exported. files: written ones. blind: tasks without the prediction. left_out: item -> why."""

    files: tuple[str, ...]
    tasks: int
    blind: int
    minutes: float
    gain: float
    questions: dict[str, int]
    left_out: dict[str, str]

    def as_facts(self) -> dict[str, Any]:
        """Return everything as a mapping."""
        return asdict(self)


def review_export(
    folder: str | Path,
    output: str | Path,
    to: str,
    *,
    knowledge: str | Path | None = None,
    budget: float | None = None,
    minutes: float = 1.0,
    blind: float = 0.3,
    like: str | None = None,
    seed: int = 0,
    part: tuple[int, int] = (1, 1),
) -> ReviewExport:
    """Write the questions that people should answer about a run, those that gain most per minute first.

    Args:
        folder: a finished run of `seke annotate`.
        output: the file; with Label Studio's tasks the labelling config is written beside it (`.xml`).
        to: labelstudio, csv or page.
        knowledge: the base that the run was made with; the shipped one by default.
        budget: minutes of people; all items by default.
        minutes: how long an answer to a question of cost 1 takes; others as much longer as they cost more.
        blind: the share of tasks without the prediction, so that anchoring can be measured.
        like: the observer whose numbers a person has before anything is learned; the broadest of people.
        seed: of which tasks are blind.
        part: the first, second ... of so many parts of the list, dealt out in turn; no item is in two.

    Raises:
        engine.SekeError: no finished run, no such part, nothing to ask, or a table that is there already.
    """
    output = Path(output)
    if to not in FORMATS:
        raise SekeError(f"no format is called {to!r}; there are {', '.join(FORMATS)}")
    check_target(output, ENDINGS[to])
    if to == "csv" and output.exists():
        raise SekeError(f"{output}: is there already and may hold answers; name another file, or remove it")
    number, parts = part
    if not 1 <= number <= parts:
        raise SekeError(f"--part {number}/{parts}: there are parts 1 to {parts}")
    run = ReviewRun.open(folder, knowledge, like)
    tasks, pictures, left_out = tasks_of(run, TaskPlan(budget, minutes, blind, seed, part))
    files = {output: _content(run, tasks, pictures, to, output.stem)}
    if to == "labelstudio":
        files[output.with_suffix(".xml")] = LabelStudioForm(run.base, run.like).config()
    for path, text in files.items():
        write_file(text.encode(), path)
    keep_tasks(run, tasks)
    questions: dict[str, int] = {}
    for task in tasks:
        questions[task.question] = questions.get(task.question, 0) + 1
    return ReviewExport(
        tuple(map(str, files)),
        len(tasks),
        sum(not task.shown for task in tasks),
        round(sum(task.minutes for task in tasks), 1),
        round(sum(task.gain for task in tasks), 3),
        questions,
        left_out,
    )


def tasks_of(run: ReviewRun, plan: TaskPlan) -> tuple[list[ReviewTask], dict[str, str], dict[str, str]]:
    """Return the tasks, item -> its picture as a data URI, and item -> why it is left out.

    Raises:
        engine.SekeError: there is nothing to ask.
    """
    base = run.current_base()
    session = asking_people(run.session.with_knowledge(base), run.like)
    # Tasks are of the run's own base: annotators that were learned since change nothing of what is asked.
    knowledge = f"{run.base.name} {run.base.digest}"
    wanted = chosen_tasks(session, run.parts(base, run.answers()), plan, knowledge)
    tasks, pictures, left_out, used = list[ReviewTask](), dict[str, str](), dict[str, str](), 0.0
    for task in wanted:
        if plan.budget is not None and used + task.minutes > plan.budget + 1e-9:
            break
        picture = thumbnail(face_of(run.items[task.item]), run.base, SIDE)
        if picture is None:
            left_out[task.item] = f"{run.items[task.item].path}: no picture that can be shown"
            continue
        pictures[task.item] = "data:image/jpeg;base64," + base64.b64encode(picture).decode("ascii")
        tasks, used = [*tasks, task], used + task.minutes
    if not tasks:
        raise SekeError(_nothing_to_ask(run, wanted, plan, left_out))
    return tasks, pictures, left_out


def _nothing_to_ask(
    run: ReviewRun, wanted: Sequence[ReviewTask], plan: TaskPlan, left_out: dict[str, str]
) -> str:
    if left_out:
        return f"{run.folder}: no picture can be shown; the first is {next(iter(left_out.values()))}"
    if wanted:
        shortest = min(task.minutes for task in wanted)
        return f"{run.folder}: no task fits into {plan.budget:g} minutes; the shortest takes {shortest:g}"
    return f"{run.folder}: has nothing to ask people about: no answer would change what is decided"


def keep_tasks(run: ReviewRun, tasks: Sequence[ReviewTask]) -> None:
    """Add tasks to those that the run's folder keeps, by which answers are recognised.

    One that was answered stays as it was: its prediction is what was believed without that answer.
    """
    answered = {answer.task for answer in run.answers()}
    kept = run.tasks()
    kept |= {task.key: task for task in tasks if not (task.key in kept and task.key in answered)}
    run.path.mkdir(exist_ok=True)
    lines = b"".join(msgspec.json.encode(task) + b"\n" for task in kept.values())
    write_file(lines, run.path / TASKS)


def _content(
    run: ReviewRun, tasks: Sequence[ReviewTask], pictures: dict[str, str], to: str, name: str
) -> str:
    if to == "csv":
        return table_text(run.base, tasks, {item: known.path for item, known in run.items.items()})
    if to == "page":
        return page_text(run.base, tasks, pictures, title=f"{run.folder.name}: {name}")
    form = LabelStudioForm(run.base, run.like)
    listed = [form.task(task, pictures[task.item]) for task in tasks]
    return msgspec.json.format(msgspec.json.encode(listed), indent=1).decode() + "\n"
