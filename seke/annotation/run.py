"""Items -> answers of a model -> decisions; the one loop in which a model is asked.

Items are asked at the same time, as many as the model takes; those whose answers have come are judged
together. What is decided about an item depends on its own answers alone, so that the ledger replayed decides
the same.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine import Answers, Knowledge
from seke.annotation.strategies import label_of
from seke.loop import Request, closed
from seke.manifest import label_sample
from seke.pictures import PictureError, picture_of, view_of
from seke.questions import Context, Questions
from seke.samples import answers_from
from seke.vision.errors import FatalError, UnansweredError
from seke.vision.values import Call, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from engine import Decisions, Option
    from seke.annotation.strategies import Rule
    from seke.inference import Judged, Session
    from seke.ledger import Ledger
    from seke.loop import Line
    from seke.manifest import Item
    from seke.vision.values import Choice, Journal, Model, Picture, Prompt

    Record = dict[str, Any]

UNANSWERED = "unanswered"
TOGETHER = 512
AT_ONCE = 500
PICTURES = 256
DOUBT = 0.25
MOST_DOUBTS = 5


@dataclass
class _Live:
    """An item that is being asked about. reason: why it is to be closed, None while it is not."""

    item: Item
    records: list[Record]
    lines: dict[Line, tuple[int, str]]
    doubt: tuple[str, ...] = ()
    reason: str | None = None


@dataclass
class Annotator:
    """What a run is done with.

    known_by: the observer whose samples the set's own labels are. labels: item -> these, where it has any.
    """

    session: Session
    model: Model
    rule: Rule | None = None
    known_by: str | None = None
    labels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    concurrency: int = 16
    problems: Callable[[str], None] = print
    progress: Callable[[int, int], None] = lambda *_: None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    stopped_by: Exception | None = None

    def __post_init__(self) -> None:
        self.base: Knowledge = self.session.network.knowledge
        self.questions = Questions(self.base)
        self._live: dict[str, _Live] = {}
        self._said: dict[str, Prompt] = {}
        self._pictures: OrderedDict[tuple[str, str, str], Picture] = OrderedDict()

    def read(self, call: Call, choice: Choice) -> Record:
        """Return the sample record of an answer, with what it was an answer to; for the ledger."""
        record = self.questions.read(call.request, choice, self._context(call.request))
        told = {"prompt": call.prompt.digest[:16], "picture": call.picture.digest[:16]}
        if call.request.about:
            told["about"] = call.request.about
        return {**record, "extra": {**record.get("extra", {}), **told}}

    async def run(self, items: Iterable[Item], ledger: Ledger) -> None:
        """Ask about items until each is settled, or until told to stop; what is on its way still comes in.

        Raises:
            FatalError: nothing can be asked any more; what came is kept.
        """
        waiting, ready = self._open(items, ledger), list[str]()
        tasks: dict[asyncio.Task[None], str] = {}
        window = max(2 * self.concurrency, 8)
        try:
            while True:
                room = 0 if self.stopping.is_set() else window - len(self._live)
                for one in itertools.islice(waiting, max(room, 0)):
                    self._live[one.item.name] = one
                    ready.append(one.item.name)
                if ready and not self.stopping.is_set():
                    now, ready = ready[:TOGETHER], ready[TOGETHER:]
                    for name, request in (await self._judged(now, ledger)).items():
                        tasks[asyncio.create_task(self._ask(name, request, ledger))] = name
                elif tasks:
                    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
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

    def records(self, items: Sequence[Item], ledger: Ledger) -> Iterator[tuple[list[Record], list[Record]]]:
        """Yield the sample records of items, and their posterior records, batch by batch in their order."""
        for start in range(0, len(items), TOGETHER):
            some = items[start : start + TOGETHER]
            names = [item.name for item in some]
            told, reasons = ledger.records(names), ledger.reasons(names)
            samples = {item.name: [*self._known(item), *told.get(item.name, ())] for item in some}
            answers = self._answers(samples)
            judged = self.session.judge(answers)
            decisions = closed(self.base, judged.decisions, self._ends(names, reasons, judged))
            yield (
                [one for rows in samples.values() for one in rows],
                self._posteriors(answers, judged, decisions),
            )

    def _ends(self, names: Sequence[str], reasons: dict[str, str], judged: Judged) -> dict[int, str]:
        """Return which items are closed though the policy would go on, and why."""
        return {
            i: reasons[name]
            for i, name in enumerate(names)
            if name in reasons and (reasons[name] or judged.decisions.next[i] is not None)
        }

    def _posteriors(self, answers: Answers, judged: Judged, decisions: Decisions) -> list[Record]:
        layout = self.session.layout
        return layout.records(answers, judged.posterior, decisions, judged.diagnostics, judged.covered)

    def _open(self, items: Iterable[Item], ledger: Ledger) -> Iterator[_Live]:
        """Yield items that are not settled, with what there is of them already."""
        rest = iter(items)
        while some := list(itertools.islice(rest, AT_ONCE)):
            names = [item.name for item in some]
            settled, told, lines = ledger.reasons(names), ledger.records(names), ledger.lines(names)
            of: dict[str, dict[Line, tuple[int, str]]] = {name: {} for name in names}
            for line, value in lines.items():
                of[line[0]][line] = value
            self.progress(len(settled), 0)
            for item in some:
                if item.name not in settled:
                    records = [*self._known(item), *told.get(item.name, ())]
                    yield _Live(item, records, of[item.name])

    def _known(self, item: Item) -> list[Record]:
        if not item.labels or self.known_by is None:
            return []
        return [label_sample(item, self.base, self.known_by)]

    def _answers(self, samples: dict[str, list[Record]]) -> Answers:
        answers = Answers.unasked(list(samples))
        rows = [one for records in samples.values() for one in records]
        for part in answers_from(rows, self.base):
            answers = answers.joined(part)
        return answers

    async def _judged(self, names: list[str], ledger: Ledger) -> dict[str, Request]:
        """Judge items; settle those that are done, and return what to ask about the others."""
        samples = {name: self._live[name].records for name in names}
        judged = await asyncio.to_thread(lambda: self.session.judge(self._answers(samples)))
        asked: dict[str, Request] = {}
        ends: dict[str, str] = {}
        for i, name in enumerate(names):
            live = self._live[name]
            live.doubt = self._doubt(judged, i)
            request = self._request(live, judged.decisions.next[i]) if live.reason is None else None
            if request is None:
                ends[name] = live.reason or ""
            else:
                asked[name] = request
        if ends:
            await ledger.settle(ends)
            for name in ends:
                del self._live[name]
            self.progress(len(ends), 0)
        return asked

    def _request(self, live: _Live, option: Option | None) -> Request | None:
        """Return what to ask about an item; None where it is done."""
        samples = option.samples if option is not None else 0
        if self.rule is not None:
            option = self.session.first
            members = [name for name, inside in self.base.levels.items() if self.base.root in inside]
            mine = [one for one in live.records if one["observer"] != self.known_by]
            samples = self.rule([label_of(one, self.base.root, members) for one in mine])
        if option is None or not samples:
            return None
        line = (live.item.name, option.observer, option.question, option.about, option.view)
        drawn = (n for other, (n, _) in live.lines.items() if (*other[:3], other[4]) == (*line[:3], line[4]))
        return Request(*line, max(drawn, default=0), samples)

    def _doubt(self, judged: Judged, i: int) -> tuple[str, ...]:
        """Return the binary variables that the answers leave most in doubt."""
        marginals = judged.posterior.marginals
        found = {name: float(abs(marginals[name][i, 1] - 0.5)) for name in self.base.cells}
        unsure = [name for name, off in found.items() if off < 0.5 - DOUBT]
        return tuple(sorted(unsure, key=lambda name: found[name])[:MOST_DOUBTS])

    def _context(self, request: Request) -> Context:
        live = self._live.get(request.item)
        return Context(self.labels.get(request.item, {}), live.doubt if live is not None else ())

    async def _ask(self, name: str, request: Request, ledger: Ledger) -> None:
        """Ask about an item and keep what came; what goes wrong ends the item, or the run."""
        live = self._live[name]
        choices: tuple[Choice, ...] = ()
        call = None
        try:
            picture = await asyncio.to_thread(self._picture, live.item, request)
            call = Call(request, self._prompt(live, request, ledger), picture)
            live.lines[request.line] = request.first + request.samples, call.prompt.digest
            choices = await self.model.ask(call, ledger)
        except PictureError as error:
            live.reason = f"picture-{error.reason}"
            self.problems(str(error))
        except UnansweredError as error:
            choices = error.choices
            live.reason = UNANSWERED
            self.problems(f"{name}: {error.reason}")
        except FatalError as error:
            self.stopped_by = self.stopped_by or error
            self.stopping.set()
        if call is not None:
            live.records += [self.read(call, choice) for choice in choices]
            self.progress(0, len(choices))

    def _prompt(self, live: _Live, request: Request, ledger: Ledger) -> Prompt:
        """Return the prompt of a line, which stays what it was when it was first asked."""
        digest = live.lines[request.line][1] if request.line in live.lines else ""
        if digest and digest not in self._said:
            self._said[digest] = ledger.prompt(digest)
        prompt = self._said[digest] if digest else self.questions.prompt(request, self._context(request))
        self._said[prompt.digest] = prompt
        return prompt

    def _picture(self, item: Item, request: Request) -> Picture:
        region = ""
        if request.about and self.base.questions[request.question].enlarge:
            region = self.base.variables[request.about].about.get("region", "")
        key = (item.name, request.view, region)
        known = self._pictures.get(key)
        if known is not None:
            return known
        made = picture_of(item.path, view_of(self.base, request.view), item.box, region)
        self._pictures[key] = made
        while len(self._pictures) > PICTURES:
            self._pictures.popitem(last=False)
        return made


class Reusing:
    """A model that first gives what another run got for the very same prompts and pictures, at no price."""

    def __init__(self, model: Model, earlier: Ledger) -> None:
        self.model, self.earlier = model, earlier

    async def ask(self, call: Call, journal: Journal) -> tuple[Choice, ...]:
        """Return the answers to a call; see `values.Model`."""
        request = call.request
        known = self.earlier.choices(call, range(request.first, request.first + request.samples))
        known = tuple(one for k, one in enumerate(known) if one.draw == request.first + k)
        if known:
            number = await journal.sent(call, tuple(one.draw for one in known), 0.0)
            await journal.answered(number, Reply(known, "earlier run", price=0.0))
        rest = request.samples - len(known)
        if not rest:
            return known
        further = replace(request, first=request.first + len(known), samples=rest)
        try:
            return (*known, *await self.model.ask(replace(call, request=further), journal))
        except UnansweredError as error:
            raise UnansweredError(error.reason, (*known, *error.choices)) from None
