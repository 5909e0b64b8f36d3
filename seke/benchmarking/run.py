"""Asks a model the benchmark's questions, one answer each; `seke bench run` as a function.

No answer is sampled twice, checked or guided: the model's own answer is scored. Answers are on disk before
they count, so that a run in the same folder continues, as in `seke annotate`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine import Knowledge, SekeError
from seke.annotation.number_scales import NumberScales
from seke.annotation.several import address_notes, note_answered
from seke.benchmarking.direct_questions import OK, REFUSED, UNREADABLE, level_questions
from seke.datasets.images import PictureError, picture_of, view_of
from seke.datasets.manifest import items_of
from seke.files.atomic import write_file
from seke.files.shipped import knowledge as read_knowledge
from seke.prompts.unread_answers import UnreadAnswers
from seke.runs.batch_client import Batches, fit_together
from seke.runs.failures import failures_of, nothing_answered
from seke.runs.ledger import Ledger, plain_errors
from seke.sampling.loop import Request
from seke.tables.record_writer import Writer
from seke.vision.errors import FatalError, UnansweredError
from seke.vision.messages import Call, Settings
from seke.vision.signals import interrupts

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence

    from seke.benchmarking.direct_questions import DirectQuestion
    from seke.datasets.manifest import Item
    from seke.runs.ledger import Totals
    from seke.vision.messages import Choice, Model

    Record = dict[str, Any]

# Items, or answers, read from the ledger at once; bounds the memory.
ITEMS_PER_BATCH = 500
PREDICTIONS, SUMMARY, RAW = "predictions.csv", "summary.json", "answers.jsonl"
UNANSWERED = "unanswered"
# What a sample is known by.
KEY = ("item", "observer", "question", "view", "draw")
# Facts that must not change when a run continues.
SAME = ("benchmark", "model", "settings")


@dataclass(frozen=True)
class BenchmarkSummary:
    """The result of a run. answers: level -> outcome -> count; `unanswered`: no answer came.

    stopped: why the run ended early, no text where it did not. failures: the most frequent reasons
    why requests brought no whole answer (`failures.failures_of`). notes: what else is to be known.
    """

    items: int
    answers: Mapping[str, Mapping[str, int]]
    totals: Totals
    predictions: str
    finished: bool
    stopped: str = ""
    failures: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class Benchmark:
    """A run that is ready to start or to continue.

    exact_csv: whether texts of the predictions stay as they are, though a spreadsheet might execute them.
    progress: is called with how many questions were done and answers came since the last call, and what was
    spent in all, in USD.
    """

    folder: Path
    items: tuple[Item, ...]
    base: Knowledge
    model: Model
    settings: Settings
    max_cost: float | None = None
    concurrency: int = 16
    exact_csv: bool = False
    problems: Callable[[str], None] = print
    progress: Callable[[int, int, float], None] = lambda *_: None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.questions = level_questions(self.base)
        self.view = view_of(self.base, self.base.usual_view)
        self._unread = UnreadAnswers()
        ranges = {
            level: (key.low, key.high)
            for level, question in self.questions.items()
            for key in question.form.keys
            if key.kind == "number"
        }
        self._scales = NumberScales(self.base, ranges, declarable=False)

    def questions_for(self, item: Item) -> list[DirectQuestion]:
        """Return the questions about an item: those on its labels' levels, all where it has no labels."""
        labelled = [
            question
            for question in self.questions.values()
            if any(name in item.labels for name in question.members)
        ]
        return labelled if item.labels else list(self.questions.values())

    def call(self, item: Item, question: DirectQuestion) -> Call:
        """Return a question about an item, ready to be sent.

        Raises:
            PictureError: the picture cannot be shown.
        """
        request = Request(item.name, self.settings.model, question.level, None, self.view.name, 0, 1)
        return Call(request, question.prompt, picture_of(item.path, self.view, item.box))

    def run(self, *, forget_unanswered: bool = False) -> BenchmarkSummary:
        """Ask the questions without an answer, write the predictions, and return the summary.

        forget_unanswered: whether earlier requests without an answer count as not paid.

        Raises:
            engine.SekeError: the folder holds another run, or cannot be written.
        """
        with plain_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            return asyncio.run(self._go(forget_unanswered=forget_unanswered))

    async def _go(self, *, forget_unanswered: bool) -> BenchmarkSummary:
        async with AsyncExitStack() as stack:
            model: Any = self.model
            if hasattr(model, "__aenter__"):
                await stack.enter_async_context(model)
                await model.check()
            for note in address_notes(model):
                self.problems(note)
            with closing(self._open()) as ledger:
                if forget_unanswered:
                    self.problems(ledger.forget_unanswered())
                self._scales.resume(ledger)
                stopped = await self._ask_all(model, ledger)
                await self._scales.settle(ledger, self._reread, self.problems)
                return self._write_files(ledger, stopped)

    def _open(self) -> Ledger:
        """Open the ledger, a new one where there is none."""
        ledger = Ledger(self.folder, self._read, self.max_cost)
        facts = {
            "benchmark": {name: question.prompt.digest for name, question in self.questions.items()},
            "model": self.settings.model,
            "settings": self.settings.as_facts(),
            "items": len(self.items),
        }
        recorded_facts = ledger.facts()
        differs = [name for name in SAME if recorded_facts.get(name, facts[name]) != facts[name]]
        if ledger.totals().requests and (differs or "benchmark" not in recorded_facts):
            ledger.close()
            differences = ", ".join(differs) or "it is no benchmark"
            raise SekeError(f"{self.folder}: another run is there ({differences}); name another folder")
        ledger.note(facts)
        return ledger

    def _read(self, call: Call, choice: Choice) -> Record:
        request = call.request
        key = {"item": request.item, "observer": request.observer, "question": request.question}
        return self._reread({**key, "view": request.view, "draw": choice.draw}, choice)

    def _reread(self, record: Mapping[str, Any], choice: Choice) -> Record:
        """Return the sample record of an answer anew, as its scale is decided about now."""
        key = {name: record[name] for name in KEY}
        return self._scales.apply({**key, **self.questions[record["question"]].read(choice)})

    async def _ask_all(self, model: Model, ledger: Ledger) -> str:
        """Ask the open questions, `concurrency` at a time; return why it stopped early, or no text."""
        waiting, fatal = self._open_questions(ledger), list[str]()

        async def work() -> None:
            for item, question in waiting:
                if self.stopping.is_set():
                    return
                try:
                    await self._ask(item, question, ledger)
                except FatalError as error:
                    # Nothing more is sent; answers under way are still received.
                    fatal.append(str(error))
                    self.stopping.set()

        fit_together(model, ledger)
        note_answered(model, ledger)
        with interrupts(self.stopping, self.problems):
            try:
                if isinstance(model, Batches):
                    await model.resume(ledger)
                await _all(work() for _ in range(self.concurrency))
            except FatalError as error:
                return str(error)
            except asyncio.CancelledError:
                if not self.stopping.is_set():
                    raise
        if fatal or self.stopping.is_set():
            return fatal[0] if fatal else "interrupted"
        return nothing_answered(self.folder, ledger.totals().answers)

    def _open_questions(self, ledger: Ledger) -> Iterator[tuple[Item, DirectQuestion]]:
        """Yield the questions without an answer; those about items that failed before come last."""
        failed = ledger.failed_items()
        remaining_items = iter(sorted(self.items, key=lambda item: item.name in failed))
        while batch := list(islice(remaining_items, ITEMS_PER_BATCH)):
            records_by_item = ledger.records([item.name for item in batch])
            for item in batch:
                done = {record["question"] for record in records_by_item.get(item.name, ())}
                for question in self.questions_for(item):
                    if question.level in done:
                        self.progress(1, 0, ledger.committed)
                    else:
                        yield item, question

    async def _ask(self, item: Item, question: DirectQuestion, ledger: Ledger) -> None:
        """Ask one question; without an answer the problem is reported and the question stays open."""
        try:
            call = await asyncio.to_thread(self.call, item, question)
            choices = await self.model.ask(call, ledger)
        except (PictureError, UnansweredError) as error:
            reason = error.reason if isinstance(error, UnansweredError) else str(error)
            self.problems(f"{item.name}, {question.level}: {reason}")
            choices = ()
        records = [self._read(call, choice) for choice in choices]
        statuses = [record.get("status", OK) for record in records]
        for choice, status in zip(choices, statuses, strict=True):
            if choice.ended and status == UNREADABLE:
                self.problems(f"{item.name}, {question.level}: {choice.ended}")
        self.progress(1, len(choices), ledger.committed)
        asking = self.settings.model, question.level
        self._scales.count(records)
        if self._scales.due(asking):
            self.problems(await self._scales.change(asking, ledger, self._reread))
        off_scale = bool(records) and "off_scale" in records[-1].get("extra", {})
        last = choices[-1] if choices else None
        if reason := self._unread.note(*asking, statuses, last, off_scale=off_scale):
            raise FatalError(reason)

    def _write_files(self, ledger: Ledger, stopped: str) -> BenchmarkSummary:
        """Write predictions and answers, each file whole or not at all, and return the summary."""
        counts: dict[str, Counter[str]] = {
            level: Counter({OK: 0, REFUSED: 0, UNREADABLE: 0, UNANSWERED: 0}) for level in self.questions
        }
        with Writer(self.folder / PREDICTIONS, exact=self.exact_csv) as writer:
            remaining_items = iter(self.items)
            while batch := list(islice(remaining_items, ITEMS_PER_BATCH)):
                records_by_item = ledger.records([item.name for item in batch])
                writer.write([self._row(item, records_by_item.get(item.name, []), counts) for item in batch])
        with Writer(self.folder / RAW) as raw:
            answers = ledger.raw()
            while part := list(islice(answers, ITEMS_PER_BATCH)):
                raw.write(part)
        finished = not any(count[UNANSWERED] for count in counts.values())
        summary = BenchmarkSummary(
            len(self.items),
            {level: dict(count) for level, count in counts.items() if any(count.values())},
            ledger.totals(),
            str(self.folder / PREDICTIONS),
            finished,
            stopped,
            tuple(failures_of(self.folder)),
            self._notes(),
        )
        data = msgspec.json.format(msgspec.json.encode(asdict(summary)), indent=2)
        write_file(data, self.folder / SUMMARY)
        return summary

    def _notes(self) -> tuple[str, ...]:
        """Return in words which settings the server did not take, and whose numbers are on another scale."""
        notes = self._scales.notes()
        omitted = getattr(getattr(self.model, "dialect", None), "omitted", ())
        if "temperature" in omitted and self.settings.temperature != 1:
            temperature = f"{self.settings.temperature:g}"
            notes.append(f"the server takes no temperature of {temperature}: answers are at its own")
        return tuple(notes)

    def _row(self, item: Item, records: list[Record], counts: Mapping[str, Counter[str]]) -> Record:
        row: Record = {"item": item.name}
        record_by_question = {record["question"]: record for record in records}
        asked_levels = {asked_question.level for asked_question in self.questions_for(item)}
        for level, question in self.questions.items():
            values: Mapping[str, Any] = dict.fromkeys(question.members)
            if level in record_by_question:
                values = question.values(record_by_question[level])
                # An answer with an unreadable part counts as unreadable, one with a refusal as refused.
                outcome = next((fault for fault in (REFUSED, UNREADABLE) if fault in values.values()), OK)
                counts[level][outcome] += 1
            elif level in asked_levels:
                counts[level][UNANSWERED] += 1
            row |= {name: values[name] for name in question.members}
        return row


async def _all(jobs: Iterable[Coroutine[Any, Any, None]]) -> None:
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def benchmark(
    images: str | Path | Sequence[str | Path],
    folder: str | Path,
    model: Model,
    *,
    settings: Settings | None = None,
    knowledge: Knowledge | str | Path | None = None,
    **given: Any,
) -> Benchmark:
    """Return a run that asks a model about pictures; nothing is asked and nothing written yet.

    Args:
        images: pictures, folders, patterns and manifests; labels say which questions a picture is asked.
        folder: of the run; a run in the same folder continues.
        model: whoever answers (`seke.vision.messages.Model`), such as an `Endpoint`.
        settings: how the model is asked; one greedy answer by default. An `Endpoint` with
            `free=("temperature",)` leaves the temperature to a server that takes no other than its own.
        knowledge: the base whose variables are asked for; the shipped base by default.
        given: max_cost, concurrency, exact_csv, problems and progress, as `Benchmark` has them.

    Raises:
        engine.KnowledgeError, engine.SekeError: bad input.
    """
    base = read_knowledge(knowledge)
    image_list = [images] if isinstance(images, str | Path) else images
    model_settings = settings or Settings(type(model).__name__, temperature=0.0)
    return Benchmark(Path(folder), items_of(image_list, base), base, model, model_settings, **given)
