"""Files of people's answers into a run: read, checked, kept, learned from, and the run decided anew."""

from __future__ import annotations

import datetime
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seke.files.text_report import FieldReport
from seke.review.agreement import Agreement, agreements
from seke.review.answer_files import AnswerReader
from seke.review.answers import checked_answers, merged_answers, with_annotator
from seke.review.decide import redecide
from seke.review.review_run import ReviewRun
from seke.runs.run_folder import ANNOTATORS, POSTERIORS
from seke.tables.label_table import read_labels

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, repr=False)
class ImportedReview(FieldReport):
    """What an import came to.

    new, changed, same: answers. statuses: of the answers of these files. unknown_items: items of answers that
    the run does not have. people: of each annotator the answers, how often a value that was shown is
    repeated, and the skill beside the kind's. agreements: with what was shown, and blind with what would
    have been. items: decision -> items, before: without people.
    """

    folder: str
    new: int
    changed: int
    same: int
    statuses: dict[str, int]
    unknown_items: tuple[str, ...]
    people: dict[str, dict[str, float]]
    agreements: tuple[Agreement, ...]
    items: dict[str, int]
    before: dict[str, int]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    def as_facts(self) -> dict[str, Any]:
        """Return everything as a mapping."""
        return asdict(self)


def review_import(
    files: Sequence[str | Path],
    folder: str | Path,
    *,
    knowledge: str | Path | None = None,
    gold: str | Path | None = None,
    annotator: str = "",
    like: str | None = None,
    today: datetime.date | None = None,
) -> ImportedReview:
    """Bring people's answers into a run, learn how reliable each person is, and decide all items anew.

    Args:
        files: Label Studio's exports (JSON, JSON_MIN, CSV), answers of the page or server, filled-in tables.
        folder: the run that the tasks were exported from.
        knowledge: the base that the run was made with; the shipped one by default.
        gold: a label table, from which people's reliability is learned besides.
        annotator: who answered, in files that do not say.
        like: the observer whose numbers a person begins with; the broadest of people by default.
        today: the date of what is learned; today's by default.

    Raises:
        engine.SekeError: all that is wrong with the files; nothing is written then.
    """
    run = ReviewRun.open(folder, knowledge, like)
    tasks, stored = run.tasks(), run.answers()
    reader = AnswerReader(run.base, tasks, run.like)
    raw = with_annotator([answer for path in files for answer in reader.read(Path(path))], annotator)
    answers, unknown = checked_answers(raw, tasks, run.items, run.base)
    changes = merged_answers(stored, answers, unknown)
    table = None if gold is None else read_labels(gold, run.base)
    day = (today or datetime.datetime.now(datetime.UTC).date()).isoformat()
    # Whatever was learned before is learned again, unless nothing came and nothing is missing.
    outcome = None
    finished = (run.path / POSTERIORS).is_file() and (run.path / ANNOTATORS).is_file()
    if changes.answers and (changes.new or changes.changed or table is not None or not finished):
        outcome = redecide(run, changes.answers, table, today=day)
    counts = Counter(answer.annotator for answer in changes.answers)
    people: dict[str, dict[str, float]] = {name: {"answers": count} for name, count in counts.items()}
    for name, person in (outcome.people if outcome else {}).items():
        people[name] |= {"repeats": round(person.repeats, 3), "skill": round(person.skill, 2)}
    return ImportedReview(
        str(run.path),
        changes.new,
        changes.changed,
        changes.same,
        dict(changes.statuses),
        changes.unknown_items,
        people,
        tuple(agreements(run.base, changes.answers, tasks)),
        outcome.items if outcome else {},
        outcome.before if outcome else {},
        outcome.notes if outcome else (),
        tuple(reader.warnings),
    )
