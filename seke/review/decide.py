"""People's answers -> what is learned of each person, and the run decided anew with them.

`RUN/review` is then a run, too: `seke report`, `seke explain` and `seke export` take it with its base,
`RUN/review/annotators.yaml`. The run itself stays as it was.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from engine import Answers, Gold
from seke.console.infer_summary import InferSummary, limits_in_words
from seke.files.atomic import replacing, write_file
from seke.files.shipped import knowledge as read_knowledge
from seke.review.annotators import base_name, overlay_of
from seke.review.answers import OK
from seke.review.learned import LearnedPerson, learn_people, with_learned
from seke.review.review_run import ANSWERS
from seke.runs.item_list import ITEMS
from seke.runs.ledger import NAME as LEDGER
from seke.runs.ledger import plain_errors
from seke.runs.run_folder import ANNOTATORS, POSTERIORS, RAW, SAMPLES, SUMMARY
from seke.sampling.loop import force_close
from seke.sampling.replay import mark_off_policy
from seke.tables.record_writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from engine import Knowledge
    from seke.inference.session import Session
    from seke.review.answers import ReviewAnswer
    from seke.review.review_run import ReviewRun
    from seke.tables.label_table import LabelTable

    Record = dict[str, Any]


@dataclass(frozen=True)
class ReviewOutcome:
    """A run decided anew. people: what was learned of each; items: decision -> items, before: without people.

    notes: what the accepted values rest on, in words.
    """

    people: dict[str, LearnedPerson]
    items: dict[str, int]
    before: dict[str, int]
    accepted: dict[str, int]
    notes: tuple[str, ...]


def learn(
    run: ReviewRun, answers: Sequence[ReviewAnswer], gold: LabelTable | None = None, *, anchoring: bool = True
) -> dict[str, LearnedPerson]:
    """Return what all answers tell of each person who answered, beside the numbers of the kind."""
    base = with_people(run.base, run.like, [answer.annotator for answer in answers])
    people = list(dict.fromkeys(answer.annotator for answer in answers if answer.status == OK))
    items = list(dict.fromkeys(answer.item for answer in answers))
    if not people:
        return {}
    if not anchoring:
        answers = [msgspec.structs.replace(answer, given={}) for answer in answers]
    # Where nothing says how often a person repeats what she was shown, such an answer cannot be read.
    unlearned = {name: LearnedPerson(name, ASSUMED if anchoring else 0.0) for name in people}
    readable = with_learned(base, unlearned)
    whole = Answers.stacked(list(run.parts(readable, answers, items)))
    known = Gold({}) if gold is None else gold.gold_of(whole.items)
    inference = run.session.inference.with_knowledge(base)
    return learn_people(inference, whole, known, people, anchoring=anchoring)


# Any share that is neither 0 nor 1: what is learned does not begin there.
ASSUMED = 0.5


def with_people(base: Knowledge, like: str, people: Sequence[str]) -> Knowledge:
    """Return the base with each person that it lacks as an observer with the numbers of `like`."""
    new = {
        name: replace(base.observers[like], name=name, label=name)
        for name in dict.fromkeys(people)
        if name not in base.observers
    }
    return replace(base, observers={**base.observers, **new})


def redecide(
    run: ReviewRun,
    answers: Sequence[ReviewAnswer],
    gold: LabelTable | None = None,
    *,
    today: str = "",
    anchoring: bool = True,
) -> ReviewOutcome:
    """Learn what people's answers tell, decide all items anew, and write the run's folder `review`."""
    people = learn(run, answers, gold, anchoring=anchoring)
    names: dict[str, LearnedPerson | None] = dict.fromkeys(answer.annotator for answer in answers)
    names |= people
    stored = b"".join(msgspec.json.encode(answer) + b"\n" for answer in answers)
    digest = hashlib.sha256(stored).hexdigest()[:8]
    used = f"{len(answers)} answers of {len(names)} persons, {today}; digest {digest}"
    if gold is not None:
        used += f"; gold of {gold.path}"
    extends = base_name(run.knowledge)
    text = overlay_of(run.base, extends, run.like, names, f"review-{digest}", used)
    run.path.mkdir(exist_ok=True)
    declared = _read_trial(text, run.path)
    decided = _Decisions(run, declared, answers if anchoring else _as_blind(answers))
    summary = decided.written()
    write_file(text.encode(), run.path / ANNOTATORS)
    write_file(stored, run.path / ANSWERS)
    before = json.loads((run.folder / SUMMARY).read_bytes()).get("items", {})
    items = {name: int(summary.items[name]) for name in ("accept", "requery", "reject")}
    refused = (f"the guarantee is refused: {reason}" for reason in decided.session.refused)
    notes = (*summary.notes(), *limits_in_words(decided.session, summary.outside), *refused)
    return ReviewOutcome(people, items, before, dict(decided.accepted), notes)


def _as_blind(answers: Sequence[ReviewAnswer]) -> list[ReviewAnswer]:
    return [msgspec.structs.replace(answer, given={}) for answer in answers]


def _read_trial(text: str, folder: Path) -> Knowledge:
    """Return the base that an overlay in this folder would be read as."""
    trial = folder / ".annotators.trial.yaml"
    try:
        trial.write_text(text, "utf-8")
        return read_knowledge(trial)
    finally:
        trial.unlink(missing_ok=True)


class _Decisions:
    """All items decided anew, as files of the run's folder `review`."""

    def __init__(self, run: ReviewRun, declared: Knowledge, answers: Sequence[ReviewAnswer]) -> None:
        """declared: the base with the annotators."""
        self.run, self.answers, self.declared = run, answers, declared
        policy = replace(run.base.policy, thresholds=declared.policy.thresholds)
        base = replace(declared, policy=policy, questions=run.base.questions)
        session = run.session.with_knowledge(base)
        if session.guarantee is not None:
            # As `seke infer` with this base: who is among its observers changes what items look like.
            changed = session.guarantee.refusals(declared.digests, session.inference.population)
            session = replace(session, guarantee=None, refused=changed) if changed else session
        if session.guarantee is not None and session.guarantee.design.adaptive:
            session = mark_off_policy(session, run.folder / SAMPLES)
        # The run is over: nothing more is asked of models, so that open items are accepted or rejected.
        session = session.with_thresholds(self._parts(base)).without(list(base.observers))
        self.session: Session = session
        self.accepted = Counter[str]()
        self._reasons = _reasons_of(run)

    def _parts(self, base: Knowledge) -> Iterator[Answers]:
        return self.run.parts(base, self.answers)

    def written(self) -> InferSummary:
        """Write all files, each whole or not at all, and return what they come to."""
        summary, path = InferSummary(self.session.knowledge), self.run.path
        with Writer(path / POSTERIORS) as writer:
            for records in self._records():
                summary.add(records)
                writer.write(records)
        with Writer(path / SAMPLES) as writer:
            for of_item in self.run.records_with(self.answers).values():
                writer.write(of_item)
        write_file((self.run.folder / ITEMS).read_bytes(), path / ITEMS)
        if (self.run.folder / RAW).is_file():
            write_file((self.run.folder / RAW).read_bytes(), path / RAW)
        self._write_ledger(path / LEDGER)
        facts = json.loads((self.run.folder / SUMMARY).read_bytes())
        facts |= {"items": dict(summary.items), "reasons": dict(summary.reasons.most_common())}
        facts |= {"samples": summary.samples, "notes": list(summary.notes())}
        promised, outside = self.session.guarantee, (summary.why_outside,) if summary.outside else ()
        facts["promises"] = list(summary.promises(promised)) if promised else []
        facts["refused"] = [*self.session.refused, *outside]
        facts["facts"] = {**facts.get("facts", {}), **self._facts()}
        write_file(msgspec.json.format(msgspec.json.encode(facts), indent=2), path / SUMMARY)
        return summary

    def _records(self) -> Iterator[list[Record]]:
        """Yield the posterior records of the items, batch by batch."""
        session, answered = self.session, {answer.item for answer in self.answers}
        for answers in self._parts(session.knowledge):
            judged = session.judge(answers)
            closed = {
                row: reason
                for row, name in enumerate(answers.items)
                if name not in answered and (reason := self._reasons.get(name))
            }
            decisions = force_close(session.knowledge, judged.decisions, closed)
            diagnostics = session.with_checks(answers, judged)
            for name, level in decisions.levels.items():
                self.accepted[name] += int(np.sum(level.accepted))
            yield session.layout.records(answers, judged.posterior, decisions, diagnostics, judged.scope)

    def _facts(self) -> Record:
        return {
            "knowledge": f"{self.declared.name} {self.declared.digest}",
            "digests": dict(self.declared.digests),
            "thresholds": {
                name: list(risks) for name, risks in self.session.knowledge.policy.thresholds.items()
            },
        }

    def _write_ledger(self, path: Path) -> None:
        """Copy the ledger, with the facts of the new decisions."""
        source = f"file:{self.run.folder / LEDGER}?mode=ro"
        with (
            plain_errors(self.run.folder),
            replacing(path) as temporary,
            closing(sqlite3.connect(source, uri=True)) as db,
            closing(sqlite3.connect(temporary)) as copy,
        ):
            db.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            for name, value in self._facts().items():
                copy.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))
            copy.commit()


def _reasons_of(run: ReviewRun) -> dict[str, str]:
    """Return item -> why the run ended it, where it says so."""
    with (
        plain_errors(run.folder),
        closing(sqlite3.connect(f"file:{run.folder / LEDGER}?mode=ro", uri=True)) as db,
    ):
        return {item: reason for item, reason in db.execute("SELECT item, reason FROM settled") if reason}
