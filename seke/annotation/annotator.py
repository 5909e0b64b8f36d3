"""The loop that asks a model: items -> answers -> decisions.

Items are asked at the same time, as many as the model takes; those whose answers have come are judged
together. What is decided about an item depends on its own answers alone, so that the ledger replayed decides
the same.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine import Answers, Knowledge, people_asked
from seke.annotation.doubts import doubtful_variables, states_in_question
from seke.annotation.live_item import LiveItem, renumber_draws
from seke.annotation.number_scales import NumberScales
from seke.annotation.shown_pictures import ShownPictures
from seke.annotation.stopping_rules import label_of
from seke.datasets.images import PictureError
from seke.datasets.manifest import label_sample
from seke.prompts import Context, Questions
from seke.prompts.unread_answers import UnreadAnswers
from seke.runs.ledger import ReadingRequests
from seke.runs.read_counts import ReadTally
from seke.samples import answers_from
from seke.sampling.forms import in_forms
from seke.sampling.loop import Request
from seke.sampling.recalled_answers import against_in_words, earlier_answer
from seke.vision.errors import FatalError, ObserverLostError, UnansweredError
from seke.vision.messages import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence

    from engine import Option
    from seke.annotation.observing import FreeObservers
    from seke.annotation.stopping_rules import Rule
    from seke.datasets.manifest import Item
    from seke.inference.session import Judged, Session
    from seke.runs.ledger import Ledger
    from seke.sampling.loop import ReadingKey
    from seke.vision.messages import Choice, Model, Prompt

    Record = dict[str, Any]

UNANSWERED = "unanswered"
# The reason of an item for which a further observer was due that could not be asked.
UNANSWERED_BY = "unanswered-by"
# Items that are judged, or whose records are written, at once: bounds the memory of a run.
ITEM_BATCH = 512
# Items of which the ledger is read at once.
LEDGER_BATCH = 500
# Seconds to wait for further answers, so that items are judged together.
JUDGE_DELAY = 0.1


@dataclass
class Annotator:
    """Asks a model about items until each is decided.

    known_by: the observer that stands for the set's own labels. labels: item -> these, where it has any.
    given: item -> further sample records that the run did not ask for, such as those of people. free:
    observers that cost nothing, who look at each item once, before anybody is asked.
    progress: is called with how many items were settled and answers came since the last call, and what was
    spent in all, in USD; reading: with how many answers were read in each way. pilot: the items that are
    asked as the session declares; by_measure: the session with which all others are asked, where prices were
    measured on these (see `measured_prices`). lost: further observer -> why it is not asked any more.
    waiting: item -> the look of people that it waits for; no model is asked about it before that has come.
    """

    session: Session
    model: Model
    rule: Rule | None = None
    known_by: str | None = None
    labels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    given: Mapping[str, Sequence[Record]] = field(default_factory=dict)
    concurrency: int = 16
    problems: Callable[[str], None] = print
    progress: Callable[[int, int, float], None] = lambda *_: None
    reading: Callable[[Mapping[str, int]], None] = lambda *_: None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    stopped_by: Exception | None = None
    pilot: frozenset[str] = frozenset()
    by_measure: Session | None = None
    lost: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, Option] = field(default_factory=dict)
    free: FreeObservers | None = None

    def __post_init__(self) -> None:
        self.base: Knowledge = self.session.knowledge
        self.questions = Questions(self.base)
        self.people = people_asked(self.base)
        self._live: dict[str, LiveItem] = {}
        self.pictures = ShownPictures(self.base)
        self._unread = UnreadAnswers()
        self._tally = ReadTally()
        self.scales = NumberScales.of_questions(self.base)

    def read(self, call: Call, choice: Choice) -> Record:
        """Return the sample record of an answer, with what its prompt stated, and the digests of both."""
        record = self.scales.apply(self.questions.read(call.request, choice, self._context(call.request)))
        asked_with = {"prompt": call.prompt.digest[:16], "picture": call.picture.digest[:16]}
        if call.request.about:
            asked_with["about"] = call.request.about
        # Who is given the samples alone has to know it, too.
        made_up = {"scripted": True} if choice.scripted else {}
        given = {"given": dict(call.prompt.given)} if call.prompt.given else {}
        return {**record, **given, "extra": {**record.get("extra", {}), **asked_with, **made_up}}

    def reread(self, record: Mapping[str, Any], choice: Choice) -> Record:
        """Return the sample record of an answer anew, as its scale is decided about now."""
        extra = record["extra"]
        key = (record["item"], record["observer"], record["question"], extra.get("about"), record["view"])
        request = Request(*key, record["draw"], 1)
        anew = self.scales.apply(self.questions.read(request, choice, self._context(request)))
        asked_with = {
            name: extra[name] for name in ("prompt", "picture", "about", "scripted") if name in extra
        }
        given = {"given": record["given"]} if "given" in record else {}
        return {**anew, **given, "extra": {**anew.get("extra", {}), **asked_with}}

    def drop_observer(self, observer: str, reason: str) -> None:
        """Ask this observer nothing more; items go on with the others."""
        if observer not in self.lost:
            self.lost[observer] = reason
            self.problems(f"{observer} is no longer asked; the run continues with the others: {reason}")

    async def run(self, items: Iterable[Item], ledger: Ledger) -> None:
        """Ask about items until each is settled, or until told to stop; what is on its way still comes in.

        Raises:
            FatalError: nothing can be asked any more; what came is kept.
        """
        waiting, ready = self._open_items(items, ledger), list[str]()
        tasks: dict[asyncio.Task[None], str] = {}
        # Items open at once, so that requests go on while other items are judged.
        window = max(3 * self.concurrency, 8)
        try:
            while True:
                room = 0 if self.stopping.is_set() else window - len(self._live)
                for live in itertools.islice(waiting, max(room, 0)):
                    name = live.item.name
                    self._live[name] = live
                    if work := self._first_work(live, ledger):
                        tasks[asyncio.create_task(work)] = name
                    else:
                        ready.append(name)
                if ready and not self.stopping.is_set():
                    now, ready = ready[:ITEM_BATCH], ready[ITEM_BATCH:]
                    for name, requests in (await self._judge_and_settle(now, ledger)).items():
                        tasks[asyncio.create_task(self._ask(name, requests, ledger))] = name
                elif tasks:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    # Judging one item costs as much as judging ten: those that come at about the same time
                    # are judged together.
                    await asyncio.wait(tasks, timeout=JUDGE_DELAY)
                    for task in [task for task in tasks if task.done()]:
                        task.result()
                        ready.append(tasks.pop(task))
                else:
                    break
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self.stopped_by is not None:
            raise self.stopped_by

    def by_session(self, names: Sequence[str]) -> Iterator[tuple[Session, list[str]]]:
        """Yield each session with the items that are judged with it."""
        measured = self.session if self.by_measure is None else self.by_measure
        piloted = [name for name in names if name in self.pilot]
        unpiloted = [name for name in names if name not in self.pilot]
        yield from (
            (session, batch) for session, batch in ((self.session, piloted), (measured, unpiloted)) if batch
        )

    def _open_items(self, items: Iterable[Item], ledger: Ledger) -> Iterator[LiveItem]:
        """Yield the items that are not settled, with their stored samples and requests."""
        remaining = iter(items)
        while batch := list(itertools.islice(remaining, LEDGER_BATCH)):
            names = [item.name for item in batch]
            settled, by_item, lines = ledger.reasons(names), ledger.records(names), ledger.lines(names)
            observed = ledger.observed(names) if self.free else set(names)
            requests_of: dict[str, dict[ReadingKey, ReadingRequests]] = {name: {} for name in names}
            for line, asked in lines.items():
                requests_of[line[0]][line] = asked
            self.progress(len(settled), 0, ledger.committed)
            for item in batch:
                if item.name not in settled:
                    records = [*self.known_records(item), *by_item.get(item.name, ())]
                    requests = requests_of[item.name]
                    yield LiveItem(item, records, requests, observed=item.name in observed)

    def known_records(self, item: Item) -> list[Record]:
        """Return the samples of an item that this run did not ask for: the set's labels and given answers."""
        given_records = list(self.given.get(item.name, ()))
        if not item.labels or self.known_by is None:
            return given_records
        return [label_sample(item, self.base, self.known_by), *given_records]

    def answers(self, samples: Mapping[str, list[Record]]) -> Answers:
        """Return the answers about items: item -> its sample records."""
        answers = Answers.unasked(list(samples))
        rows = [record for records in samples.values() for record in renumber_draws(records)]
        for part in answers_from(rows, self.base):
            answers = answers.joined(part)
        return answers

    async def _judge_and_settle(self, names: list[str], ledger: Ledger) -> dict[str, list[Request]]:
        """Judge items, settle those that are done, and return item -> requests of the others."""
        following: dict[str, Option | None] = {}
        for session, session_items in self.by_session(names):
            following |= dict.fromkeys(session_items, session.first)
            # The first question about an item without answers is known, and a rule needs no posterior.
            answered = [name for name in session_items if self._live[name].records and self.rule is None]
            for unavailable, part in self._group_by_unavailable(answered):
                answers, judged = await self._judge_live(session.without(unavailable), part)
                doubts = doubtful_variables(self.base, answers, judged.posterior)
                for row, name in enumerate(part):
                    following[name] = option = judged.decisions.next[row]
                    self._live[name].doubt = doubts[row]
                    self._live[name].states = states_in_question(self.base, judged.posterior, row, option)
                    self._live[name].against = against_in_words(self.base, option.check if option else "")
                ended = [name for name in part if following[name] is None and unavailable]
                await self._note_unavailable(session, ended, unavailable)
        requests: dict[str, list[Request]] = {}
        ends: dict[str, str] = {}
        for name in names:
            live = self._live[name]
            option = following[name]
            if live.reason is None and option is not None and option.observer in self.people:
                self.waiting[name] = option
                continue
            request = self._request(live, option) if live.reason is None else None
            if request is None:
                ends[name] = live.reason or ""
            else:
                requests[name] = in_forms(request, self.base.questions[request.question].forms, live.drawn)
        if ends:
            await ledger.settle(ends)
        gone = [*ends, *(name for name in names if name in self.waiting)]
        for name in gone:
            del self._live[name]
        if gone:
            self.progress(len(gone), 0, ledger.committed)
        return requests

    async def _judge_live(self, session: Session, names: Sequence[str]) -> tuple[Answers, Judged]:
        """Return the answers about items, and what follows from them."""
        answers = self.answers({name: self._live[name].records for name in names})
        return answers, await asyncio.to_thread(session.judge, answers)

    def _group_by_unavailable(self, names: Sequence[str]) -> list[tuple[frozenset[str], list[str]]]:
        """Return groups of items by the observers that cannot be asked about them."""
        groups: dict[frozenset[str], list[str]] = defaultdict(list)
        for name in names:
            groups[self._live[name].silent.union(self.lost)].append(name)
        return list(groups.items())

    async def _note_unavailable(
        self, session: Session, names: Sequence[str], unavailable: frozenset[str]
    ) -> None:
        """Note the unavailable observer as the reason of items that end only because of it.

        The next process asks about these again.
        """
        if not names:
            return
        _, judged = await self._judge_live(session, names)
        reason = f"{UNANSWERED_BY}: {', '.join(sorted(unavailable))}"
        for name, option in zip(names, judged.decisions.next, strict=True):
            if option is not None and self._live[name].reason is None:
                self._live[name].reason = reason

    def _request(self, live: LiveItem, option: Option | None) -> Request | None:
        """Return the next request about an item; None where it is done."""
        samples = option.samples if option is not None else 0
        if self.rule is not None:
            members = [name for name, inside in self.base.levels.items() if self.base.root in inside]
            asked_records = [
                record
                for record in renumber_draws(live.records)
                if record["observer"] == self.base.policy.ask
            ]
            samples = self.rule([label_of(record, self.base.root, members) for record in asked_records])
        if option is None or not samples:
            return None
        line = (live.item.name, option.observer, option.question, option.about, option.view)
        return Request(*line, live.drawn(line), samples)

    def _context(self, request: Request, item: Item | None = None) -> Context:
        """Return what the prompt of a request may say; item: whose picture goes with it, if any."""
        live = self._live.get(request.item)
        shown = "" if item is None else self.pictures.region(item, request.line)
        known = self.labels.get(request.item, {})
        by = self.known_by or ""
        if live is None:
            return Context(known, (), shown, by)
        if request.about is None or not self.base.questions[request.question].recall:
            return Context(known, live.doubt, shown, by, live.states if request.about else ())
        if request.line not in live.stated:
            answers = self.answers({request.item: live.records})
            earlier = earlier_answer(self.base, answers, request.observer, request.about)
            live.stated[request.line] = earlier
        return Context(known, live.doubt, shown, by, (), live.stated[request.line], live.against)

    def _first_work(self, live: LiveItem, ledger: Ledger) -> Coroutine[Any, Any, None] | None:
        """Return what is done about an item before it is judged first; None for nothing."""
        if not live.observed:
            return self._observe(live, ledger)
        missing = live.missing_requests()
        return self._ask(live.item.name, missing, ledger) if missing else None

    async def _observe(self, live: LiveItem, ledger: Ledger) -> None:
        """Let the observers that cost nothing look at an item, and keep what they answer."""
        assert self.free is not None
        try:
            records = await asyncio.to_thread(self.free.records, live.item)
            await ledger.keep_observed(live.item.name, records)
        except PictureError as error:
            live.reason = f"picture-{error.reason}"
            self.problems(str(error))
        except FatalError as error:
            self._stop(error)
        else:
            live.records += records

    def _stop(self, error: FatalError) -> None:
        """Ask nothing more in this run."""
        self.stopped_by = self.stopped_by or error
        self.stopping.set()

    async def _ask(self, name: str, requests: list[Request], ledger: Ledger) -> None:
        """Ask about an item and keep the answers; an error ends the item or the run."""
        live = self._live[name]
        drawn = {line: asked.draws for line, asked in live.lines.items()}
        if len(requests) > 1:
            with suppress(PictureError):
                await ledger.plan([await self._call(live, request, ledger) for request in requests])
        for request in requests:
            if self.stopping.is_set():
                return
            if request.observer in self.lost:
                continue
            repeated = request.first < drawn.get(request.line, 0)
            choices: tuple[Choice, ...] = ()
            try:
                call = await self._call(live, request, ledger)
                choices = await self.model.ask(call, ledger)
            except PictureError as error:
                live.reason = f"picture-{error.reason}"
                self.problems(str(error))
                return
            except ObserverLostError as error:
                self.drop_observer(request.observer, error.reason)
                # Some of several requests for a call may have been answered.
                live.records = [*self.known_records(live.item), *ledger.records([name]).get(name, ())]
                continue
            except UnansweredError as error:
                choices = error.choices
                if not choices:
                    self._pass_over(live, request, repeated=repeated)
                self.problems(f"{name}: {error.reason}")
            except FatalError as error:
                self._stop(error)
                return
            records = [self.read(call, choice) for choice in choices]
            live.records += records
            self._name_cut_answers(name, records, choices)
            await self._note_reading(records, choices, ledger)
            self._stop_if_unreadable(request, records, choices)
            self.progress(0, len(choices), ledger.committed)

    def _name_cut_answers(self, name: str, records: list[Record], choices: Sequence[Choice]) -> None:
        """Say of each answer that cannot be read since it ended for its length what that is spent on."""
        for record, choice in zip(records, choices, strict=True):
            if choice.ended and record.get("status") == "unreadable":
                self.problems(f"{name}: {choice.ended}")

    def _pass_over(self, live: LiveItem, request: Request, *, repeated: bool) -> None:
        """Let an item go on or end after a request without an answer.

        repeated: whether it was asked for before; an answer that failed to come once is not waited for again.
        """
        if request.observer != self.base.policy.ask:
            live.silent |= {request.observer}
        elif not repeated:
            live.reason = UNANSWERED

    async def _note_reading(
        self, records: Sequence[Record], choices: Sequence[Choice], ledger: Ledger
    ) -> None:
        """Count how answers were read, say what was not read whole, and look at their numbers' scale."""
        for example in self._tally.add(records, choices):
            self.problems(example)
        self.reading(self._tally.ways)
        self.scales.count(records)
        for asking in {(record["observer"], record["question"]) for record in records}:
            if self.scales.due(asking):
                self.problems(await self.scales.change(asking, ledger, self.reread))
                for live in self._live.values():
                    live.records = [self.scales.apply(record) for record in live.records]

    def _stop_if_unreadable(self, request: Request, records: list[Record], choices: Sequence[Choice]) -> None:
        """Stop early where none of an observer's answers to a question can be read, or they judge nothing."""
        statuses = [record.get("status", "ok") for record in records]
        last = choices[-1] if choices else None
        off_scale = bool(records) and "off_scale" in records[-1].get("extra", {})
        sight = self.base.questions[request.question].sight
        reason = self._unread.note(
            request.observer, request.question, statuses, last, sight, off_scale=off_scale
        )
        if reason and request.observer != self.base.policy.ask:
            self.drop_observer(request.observer, reason)
        elif reason:
            self._stop(FatalError(reason))

    async def _call(self, live: LiveItem, request: Request, ledger: Ledger) -> Call:
        """Return a request with its prompt and picture, which stay those of the reading's first request.

        Raises:
            PictureError: the picture cannot be shown, or is another one by now.
        """
        picture = await asyncio.to_thread(self.pictures.picture, live.item, request)
        for line, asked in live.lines.items():
            same = self.pictures.shown(live.item, line) == self.pictures.shown(live.item, request.line)
            if same and line[4] == request.view and asked.picture != picture.digest:
                raise PictureError("changed", f"{live.item.path}: is not the same picture as before")
        earlier = live.lines.get(request.line)
        prompt = live.prompts.get(request.line) or self._prompt(live, request, ledger)
        live.prompts[request.line] = prompt
        draws = max(earlier.draws if earlier else 0, request.first + request.samples)
        live.lines[request.line] = ReadingRequests(draws, (), prompt.digest, picture.digest)
        return Call(request, prompt, picture)

    def _prompt(self, live: LiveItem, request: Request, ledger: Ledger) -> Prompt:
        """Return the prompt of a reading, which stays that of its first request."""
        earlier = live.lines.get(request.line)
        stored = ledger.prompt(earlier.prompt) if earlier else None
        return stored or self.questions.prompt(request, self._context(request, live.item))
