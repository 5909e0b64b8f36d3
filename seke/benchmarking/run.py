"""Asks a model the benchmark's questions, one answer each; `seke bench run` as a function.

No answer is sampled twice, checked or guided: the model's own answer is scored. Answers are on disk before
they count, so that a run in the same folder continues, as in `seke annotate`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine import Knowledge, SekeError
from seke.annotation.number_scales import NumberScales
from seke.benchmarking.direct_questions import OK, REFUSED, UNREADABLE, level_questions
from seke.benchmarking.open_requests import OpenRequest, RequestLoop, entered
from seke.datasets.images import picture_of, view_of
from seke.datasets.manifest import items_of
from seke.files.atomic import write_file
from seke.files.shipped import knowledge as read_knowledge
from seke.runs.failures import failures_of
from seke.runs.ledger import Ledger, plain_errors
from seke.sampling.loop import Request
from seke.tables.record_writer import Writer
from seke.vision.messages import Call, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

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


@dataclass(repr=False)
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

    def __repr__(self) -> str:
        return f"<Benchmark of {len(self.items):,} items in {self.folder}; run() asks or goes on>"

    def __post_init__(self) -> None:
        self.questions = level_questions(self.base)
        self.view = view_of(self.base, self.base.usual_view)
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
        async with entered(self.model, self.problems) as model:
            with closing(self._open()) as ledger:
                if forget_unanswered:
                    self.problems(ledger.forget_unanswered())
                self._scales.resume(ledger)
                how = self.stopping, self.problems, self.progress
                rescaling = self._scales, self._reread
                loop = RequestLoop(model, ledger, self.concurrency, *how, rescaling=rescaling)
                stopped = await loop.ask_all(self._open_requests(ledger))
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

    def _open_requests(self, ledger: Ledger) -> Iterator[OpenRequest]:
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
                        yield OpenRequest(
                            f"{item.name}, {question.level}",
                            self.settings.model,
                            question.level,
                            partial(self.call, item, question),
                            self._read,
                        )

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
