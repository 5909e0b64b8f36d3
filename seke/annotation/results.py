"""The ledger of a run -> its results: samples, posterior records, item list, answers and summary."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import astuple, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec

from seke.annotation.annotator import ITEM_BATCH
from seke.annotation.live_item import renumber_draws
from seke.annotation.measured_prices import ESTIMATED
from seke.annotation.people import WAITING, awaited_observers, how_to_go_on
from seke.annotation.run_shard import SHARD
from seke.annotation.run_summary import RunSummary, spread_of
from seke.console.infer_summary import InferSummary, limits_in_words
from seke.files.atomic import write_file
from seke.runs.failures import failures_of
from seke.runs.item_list import ITEMS
from seke.runs.read_counts import read_counts
from seke.runs.run_folder import POSTERIORS, RAW, SAMPLES, SUMMARY
from seke.sampling.loop import force_close, wait_for_people
from seke.sampling.replay import mark_off_policy
from seke.tables.record_writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from engine import Answers, Decisions
    from seke.annotation.annotator import Annotator
    from seke.datasets.manifest import Item
    from seke.inference.session import Judged, Session
    from seke.runs.ledger import Ledger

    Record = dict[str, Any]


@dataclass
class _RunCounts:
    """What the files of a run hold. session: that decided in the end.

    questions, observers: answers, without the labels of the set. accepted: variable -> items. samples: of
    each item. waiting: people -> items.
    """

    session: Session
    decisions: InferSummary
    questions: Counter[str] = field(default_factory=Counter)
    observers: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    samples: list[int] = field(default_factory=list)
    waiting: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class RunResults:
    """The results of a run, files of its folder. facts: what the run was begun with.

    places: item of a shard -> where it stands in the list of all shards. lies: where the folder will lie, if
    it is another one by now.
    """

    folder: Path
    items: Sequence[Item]
    annotator: Annotator
    ledger: Ledger
    facts: Mapping[str, Any]
    places: Mapping[str, int] = field(default_factory=dict)
    lies: Path | None = None

    def write(self, seconds: float, stopped: str) -> RunSummary:
        """Write each file, whole or not at all, and return the summary.

        stopped: why the run ended early, or no text.
        """
        questions, observers = self._write_samples()
        session = self._closing_session(asked=bool(questions))
        counts = _RunCounts(session, InferSummary(session.knowledge), questions, observers)
        self._write_posteriors(counts)
        for part in self._answer_batches() if self.annotator.labels else ():
            counts.decisions.add_looks(session.inference, part)
        raw_answers = self.ledger.raw()
        raw_batches = iter(lambda: list(itertools.islice(raw_answers, ITEM_BATCH)), [])
        for name, batches in ((ITEMS, self._item_rows()), (RAW, raw_batches)):
            for _ in self._written(name, batches):
                pass
        noted = counts.waiting or self.ledger.facts(WAITING)
        self.ledger.note({WAITING: dict(counts.waiting)} if noted else {})
        summary = self._summary(counts, seconds, stopped)
        data = msgspec.json.format(msgspec.json.encode(summary.as_facts()), indent=2)
        write_file(data, self.folder / SUMMARY)
        return summary

    def _written(self, name: str, batches: Iterable[list[Record]]) -> Iterator[list[Record]]:
        """Write batches of records to a file of the folder, and yield each that is written."""
        with Writer(self.folder / name) as writer:
            for batch in batches:
                writer.write(batch)
                yield batch

    def _write_samples(self) -> tuple[Counter[str], Counter[str]]:
        """Write the samples; return the answers by question, and by who answered."""
        questions, observers = Counter[str](), Counter[str]()
        batches = (
            [record for records in by_item.values() for record in renumber_draws(records)]
            for by_item, _ in self._stored_records()
        )
        for rows in self._written(SAMPLES, batches):
            answers = [row for row in rows if row["observer"] != self.annotator.known_by]
            questions.update(row["question"] for row in answers)
            observers.update(row["observer"] for row in answers)
        return questions, observers

    def _closing_session(self, *, asked: bool) -> Session:
        """Give the annotator the session that decides in the end, and return it.

        It knows which items were asked otherwise than the policy asks, where any were asked, and has
        thresholds that keep the limits of the mean over all items.
        """
        annotator = self.annotator
        if asked:
            annotator.session = mark_off_policy(annotator.session, self.folder / SAMPLES)
        session = annotator.session.with_thresholds(self._answer_batches())
        if session is not annotator.session and annotator.by_measure is not None:
            policy = annotator.by_measure.knowledge.policy
            thresholds = session.knowledge.policy.thresholds
            annotator.by_measure = annotator.by_measure.with_policy(replace(policy, thresholds=thresholds))
        annotator.session = session
        return session

    def _write_posteriors(self, counts: _RunCounts) -> None:
        """Write the posterior records, and count what they hold."""
        for records in self._written(POSTERIORS, self._posteriors()):
            counts.decisions.add(records)
            counts.samples += [record["diagnostics"]["samples"] for record in records]
            counts.waiting.update(awaited_observers(records, self.annotator.waiting))
            for record in records:
                levels = record["decision"]["levels"]
                counts.accepted.update(name for name in levels if levels[name]["decision"] == "accept")

    def _posteriors(self) -> Iterator[list[Record]]:
        """Yield the posterior records of the items, batch by batch in their order."""
        annotator = self.annotator
        for by_item, reasons in self._stored_records():
            records: dict[str, Record] = {}
            for session, names in annotator.by_session(list(by_item)):
                answers = annotator.answers({name: by_item[name] for name in names})
                judged = session.judge(answers)
                decisions = self._closing_decisions(judged, names, reasons)
                diagnostics = session.with_checks(answers, judged)
                conclusions = judged.posterior, decisions, diagnostics, judged.scope
                records |= zip(names, session.layout.records(answers, *conclusions), strict=True)
            yield [records[name] for name in by_item]

    def _closing_decisions(
        self, judged: Judged, names: Sequence[str], reasons: Mapping[str, str]
    ) -> Decisions:
        """Close items that are settled though the policy would go on; of those for people say what for."""
        base, waiting, decisions = self.annotator.base, self.annotator.waiting, judged.decisions
        closed = {
            i: reasons[name]
            for i, (name, option) in enumerate(zip(names, decisions.next, strict=True))
            if name in reasons and (reasons[name] or option is not None)
        }
        decisions = force_close(base, decisions, closed)
        awaited = {
            i: waiting[name]
            for i, (name, option) in enumerate(zip(names, decisions.next, strict=True))
            if option and name in waiting
        }
        return wait_for_people(base, decisions, awaited)

    def _answer_batches(self) -> Iterator[Answers]:
        """Yield the answers about the items, batch by batch in their order."""
        for by_item, _ in self._stored_records():
            yield self.annotator.answers(by_item)

    def _item_rows(self) -> Iterator[list[Record]]:
        """Yield the rows of the item list, batch by batch: path, group, box and labels of each item.

        `picture`: the digest of the pixels that the usual view shows; null where none was sent.
        """
        for batch in self._batches():
            pictures = {
                line[0]: asked.picture
                for line, asked in self.ledger.lines([item.name for item in batch]).items()
                if line[4] == self.annotator.base.usual_view and not line[3]
            }
            yield [
                {
                    "item": item.name,
                    "path": str(item.path.resolve()),
                    "group": item.group,
                    "source": item.source,
                    "box": item.box and list(astuple(item.box)),
                    "labels": dict(item.labels),
                    "picture": pictures.get(item.name),
                    **({"place": self.places[item.name]} if self.places else {}),
                }
                for item in batch
            ]

    def _stored_records(self) -> Iterator[tuple[dict[str, list[Record]], dict[str, str]]]:
        """Yield batches of item -> sample records, and settled item -> reason."""
        known_records = self.annotator.known_records
        for batch in self._batches():
            names = [item.name for item in batch]
            by_item = self.ledger.records(names)
            yield (
                {item.name: [*known_records(item), *by_item.get(item.name, ())] for item in batch},
                self.ledger.reasons(names),
            )

    def _batches(self) -> Iterator[Sequence[Item]]:
        """Yield the items, ITEM_BATCH at a time."""
        for start in range(0, len(self.items), ITEM_BATCH):
            yield self.items[start : start + ITEM_BATCH]

    def _summary(self, counts: _RunCounts, seconds: float, stopped: str) -> RunSummary:
        session, decisions, waiting = counts.session, counts.decisions, counts.waiting
        base = session.knowledge
        names = [item.name for item in self.items]
        # Neither settled nor left to people.
        unsettled = len(names) - self.ledger.settled(names) - len(self.annotator.waiting)
        return RunSummary(
            items=dict(decisions.items),
            reasons=dict(decisions.reasons.most_common()),
            samples=decisions.samples,
            per_item=spread_of(counts.samples),
            asked=dict(counts.questions.most_common()),
            levels={
                level: round(sum(counts.accepted[name] for name in members) / len(members) / len(names), 6)
                for level, members in base.levels.items()
            },
            totals=self.ledger.totals(),
            reading=read_counts(self.folder),
            seconds=round(seconds, 1),
            finished=unsettled == 0 and not waiting,
            stopped=stopped,
            promises=tuple(decisions.promises(session.guarantee)) if session.guarantee else (),
            refused=session.refused + ((decisions.why_outside,) if decisions.outside else ()),
            notes=(
                *decisions.unseen(),
                *decisions.notes(),
                *limits_in_words(session, decisions.outside),
                *self._observer_notes(),
                *self.annotator.scales.notes(),
                *how_to_go_on(waiting, (self.lies or self.folder) / POSTERIORS),
            ),
            observers=dict(counts.observers.most_common()),
            waiting=dict(waiting),
            contradicted_labels=decisions.contradictions(),
            failures=tuple(failures_of(self.folder)),
            facts={
                **self.facts,
                **self.ledger.facts("prices", ESTIMATED, SHARD),
                "thresholds": dict(base.policy.thresholds),
            },
        )

    def _observer_notes(self) -> Iterator[str]:
        """Yield in words which of the further observers were not asked, and why."""
        facts = self.facts
        if facts["strategy"] != "policy" and facts["also"]:
            names = ", ".join(facts["also"])
            yield f"strategy {facts['strategy']} asks only {facts['observer']}; not asked: {names}"
        for observer, reason in self.annotator.lost.items():
            yield f"{observer} was dropped before the end ({reason}); the same command asks it again"
