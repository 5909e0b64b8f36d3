"""The open requests of a run, asked of a model until all are done or no further one is worth sending.

A run ends early where the model's server fails again and again (`vision.failure_run`), where none of its
answers to a question can be read or judge anything (`prompts.unread_answers`), where money or a key is short,
and on Ctrl-C. Answers under way are still received; the same run goes on where it stopped.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seke.annotation.several import address_notes, note_answered
from seke.datasets.images import PictureError
from seke.prompts.unread_answers import UnreadAnswers
from seke.runs.batch_client import Batches, fit_together
from seke.runs.failures import nothing_answered
from seke.runs.run_coroutine import run_together
from seke.vision.errors import FatalError, UnansweredError
from seke.vision.signals import interrupts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from engine import Sight
    from seke.annotation.number_scales import Asking, NumberScales, Reread
    from seke.runs.ledger import Ledger
    from seke.vision.messages import Call, Choice, Model

    Record = dict[str, Any]


@dataclass(frozen=True)
class OpenRequest:
    """A request without all of its answers.

    name: in words, for problems. observer, question: what is asked. call: returns the request with its
    picture. read: returns the record of an answer, with its status where that is not ok. sight: what answers
    say first of how well they see.
    """

    name: str
    observer: str
    question: str
    call: Callable[[], Call]
    read: Callable[[Call, Choice], Record]
    sight: Sight | None = None


@asynccontextmanager
async def entered(model: Any, problems: Callable[[str], None]) -> AsyncIterator[Any]:
    """Open the connection of a model that has one, and see that it can be asked.

    Raises:
        FatalError: it cannot.
    """
    if not hasattr(model, "__aenter__"):
        yield model
        return
    async with model:
        await model.check()
        for note in address_notes(model):
            problems(note)
        yield model


@dataclass
class RequestLoop:
    """A model that is asked requests, `concurrency` at a time, whose answers a ledger keeps.

    progress: is called with how many requests were done and answers came, and what was spent in all, in USD.
    rescaling: what is known of the scales of numbers, and what makes a record anew; None where that is not
    looked at.
    """

    model: Model
    ledger: Ledger
    concurrency: int
    stopping: asyncio.Event
    problems: Callable[[str], None]
    progress: Callable[[int, int, float], None]
    rescaling: tuple[NumberScales, Reread] | None = None
    unread: UnreadAnswers = field(default_factory=UnreadAnswers)

    async def ask_all(self, waiting: Iterator[OpenRequest]) -> str:
        """Ask the open requests; return why that stopped early, or no text.

        Raises:
            engine.SekeError: batches are on their way, and the model does not ask in batches.
        """
        reasons: list[str] = []

        async def work() -> None:
            for request in waiting:
                if self.stopping.is_set():
                    return
                try:
                    await self._ask(request)
                except FatalError as error:
                    # Nothing more is sent; answers under way are still received.
                    reasons.append(str(error))
                    self.stopping.set()

        fit_together(self.model, self.ledger)
        note_answered(self.model, self.ledger)
        with interrupts(self.stopping, self.problems):
            try:
                if isinstance(self.model, Batches):
                    await self.model.resume(self.ledger)
                await run_together(work() for _ in range(self.concurrency))
            except FatalError as error:
                return str(error)
            except asyncio.CancelledError:
                if not self.stopping.is_set():
                    raise
        if reasons or self.stopping.is_set():
            return reasons[0] if reasons else "interrupted"
        return nothing_answered(self.ledger.folder, self.ledger.totals().answers)

    async def _ask(self, request: OpenRequest) -> None:
        """Ask one request; without an answer the problem is reported and it stays open.

        Raises:
            FatalError: no further request is worth sending.
        """
        choices: tuple[Choice, ...] = ()
        records: list[Record] = []
        try:
            call = await asyncio.to_thread(request.call)
            choices = await self.model.ask(call, self.ledger)
        except PictureError as error:
            self.problems(f"{request.name}: {error}")
        except UnansweredError as error:
            self.problems(f"{request.name}: {error.reason}")
            choices = error.choices
        if choices:
            records = [request.read(call, choice) for choice in choices]
        statuses = [str(record.get("status", "ok")) for record in records]
        for choice, status in zip(choices, statuses, strict=True):
            if choice.ended and status == "unreadable":
                self.problems(f"{request.name}: {choice.ended}")
        self.progress(1, len(choices), self.ledger.committed)
        if self.rescaling is not None:
            await self._rescale((request.observer, request.question), records, *self.rescaling)
        last = choices[-1] if choices else None
        off_scale = bool(records) and "off_scale" in records[-1].get("extra", {})
        asked = request.observer, request.question, statuses, last, request.sight
        if reason := self.unread.note(*asked, off_scale=off_scale):
            raise FatalError(reason)

    async def _rescale(
        self, asking: Asking, records: list[Record], scales: NumberScales, reread: Reread
    ) -> None:
        """Count numbers outside their scale; where that decides otherwise about them, make records anew."""
        scales.count(records)
        if scales.due(asking):
            self.problems(await scales.change(asking, self.ledger, reread))
