"""Asking by the Batch API of OpenAI, in rounds: cheaper than request by request, an answer within a day.

    calls --gathered--> lines of a file --uploaded--> batch --polled--> results, joined by number

A batch is remembered before it exists, and found again by its name: none is lost, and none begun twice.
Whoever starts again reads the results of those that were on their way.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from engine import SekeError
from seke.runs.batch_objects import number_of, result_of
from seke.runs.batch_server import (
    FILE_TIMEOUT_FACTOR,
    MARK,
    MOST_TRIES,
    POLL_SECONDS,
    BatchServer,
    body_lines,
)
from seke.vision.capabilities import Dialect
from seke.vision.completions import noted, reply_from
from seke.vision.errors import (
    AccountError,
    FatalError,
    RetryableError,
    SingleChoiceError,
    UnansweredError,
)
from seke.vision.http_bodies import ANSWER_LIMIT, BodyError
from seke.vision.lost_answer import unread
from seke.vision.messages import Failure, Journal
from seke.vision.server_errors import LONGEST_MESSAGE, Refusal, refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from seke.runs.batch_objects import Batch
    from seke.runs.ledger import Ledger
    from seke.vision.lost_answer import LostAnswer
    from seke.vision.messages import Call, Reply, Settings
    from seke.vision.prices import Prices

    Draws = tuple[int, ...]

# Of one input file, by OpenAI's API reference, "Create batch" (input_file_id).
MOST_LINES = 50_000
MOST_BYTES = 200_000_000
# Seconds without a further request after which a round begins.
QUIET_SECONDS = 5.0
# Results that are kept at once.
RESULT_BATCH = 256
# Bytes of one result, on the average of a file: eight answers of 8 kB, twenty times what questions ask for.
RESULT_SIZE = 64 << 10
CROWDED = "token_limit_exceeded"


class Memory(Journal, Protocol):
    """A journal that remembers batches, also when the process has ended."""

    async def begun(self, name: str, numbers: Sequence[int], identity: str | None) -> None:
        """Note a batch of requests: before it exists (identity None), and again when the server named it."""
        ...

    async def over(self, name: str) -> None:
        """Note that a batch is over and all of its results are kept."""
        ...

    def batches(self) -> Mapping[str, tuple[str | None, Mapping[int, tuple[Call, Draws]]]]:
        """Return the batches that are not over: name -> identity, and number -> what was asked.

        The pictures of the calls need not be there.
        """
        ...


@dataclass(eq=False)
class _Line:
    """Draws of a call that wait for a batch or are in one. body: JSON, until it is sent."""

    call: Call
    draws: Draws
    last: bool
    dialect: Dialect
    body: bytes
    future: asyncio.Future[Reply] | None = field(default=None)

    def leave(self) -> None:
        """Cancel the future: no answer will come."""
        if self.future is not None:
            self.future.cancel()

    def answer(self, outcome: Reply | BaseException) -> None:
        """Tell who waits."""
        if self.future is None or self.future.done():
            return
        if isinstance(outcome, BaseException):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class Batches(BatchServer):
    """Asks a model in batches; what is asked at about the same time goes together.

    To be asked by as many tasks as a round shall have lines.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        prices: Prices | None = None,
        quiet: float = QUIET_SECONDS,
        poll: float = POLL_SECONDS,
        most_lines: int = MOST_LINES,
        most_bytes: int = MOST_BYTES,
        tell: Callable[[str], None] = lambda _: None,
        **options: Any,
    ) -> None:
        """prices: of single requests; a batch has its share of them. quiet: a round begins when nothing more
        was asked for so many seconds, or a file is full. poll: seconds between two looks at a batch. tell: is
        told of batches. options: those of `Endpoint`.
        """
        super().__init__(settings, prices=None if prices is None else prices.in_batch(), **options)
        self.quiet, self.poll, self.tell = quiet, poll, tell
        self.most_lines, self.most_bytes = most_lines, most_bytes
        self._memory: Memory | None = None
        self._waiting: list[_Line] = []
        self._size, self._crowded = 0, 0
        self._timer: asyncio.TimerHandle | None = None
        self._rounds: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task in self._rounds:
            task.cancel()
        for line in self._waiting:
            line.leave()
        await asyncio.gather(*self._rounds, return_exceptions=True)
        await super().__aexit__(kind, error, trace)

    async def resume(self, memory: Memory) -> None:
        """Read the results of batches that an earlier process began, once they are over.

        Raises:
            FatalError: nothing can be read any more.
        """
        self._memory = memory
        await asyncio.gather(
            *(self._resume_batch(memory, name, *batch) for name, batch in memory.batches().items())
        )

    async def _resume_batch(
        self, memory: Memory, name: str, identity: str | None, asked: Mapping[int, tuple[Call, Draws]]
    ) -> None:
        sent = {
            number: _Line(call, draws, last=True, dialect=Dialect(), body=b"")
            for number, (call, draws) in asked.items()
        }
        if identity is None:
            identity = await self.retry_or_end(lambda: self.find_batch(name))
        if identity is None:
            await self._fail_lines(
                memory, sent, Failure(0, "its batch was never started", paid=False, retried=False)
            )
            await memory.over(name)
        else:
            await self._conclude(memory, name, identity, sent)

    # Gathering ---------------------------------------------------------------------------------------

    async def _attempt(self, call: Call, draws: Draws, journal: Journal, *, last: bool) -> Reply:
        """Wait for the draws to come with a batch."""
        if self._end is not None:
            raise self._end
        if len(draws) > 1 and not self.dialect.several:
            raise SingleChoiceError
        self._memory = journal  # type: ignore[assignment]
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        line = _Line(call, draws, last, self.dialect, self._body(call, draws), future)
        self._enqueue(line)
        try:
            return await future
        finally:
            if line in self._waiting:
                self._waiting.remove(line)

    def _body(self, call: Call, draws: Draws) -> bytes:
        return json.dumps(self.body(call, draws, self.dialect), ensure_ascii=False).encode("utf-8", "replace")

    def _enqueue(self, line: _Line) -> None:
        if self._waiting and self._size + len(line.body) > self.most_bytes:
            self._begin_round()
        self._waiting.append(line)
        self._size += len(line.body) + 100
        if self._timer is not None:
            self._timer.cancel()
        if len(self._waiting) >= self.most_lines:
            self._begin_round()
        else:
            self._timer = asyncio.get_running_loop().call_later(self.quiet, self._begin_round)

    def _begin_round(self) -> None:
        """Begin a round with the lines that wait."""
        lines, self._waiting, self._size = self._waiting, [], 0
        if lines and self._memory is not None:
            task = asyncio.create_task(self._run_round(self._memory, lines))
            self._rounds.add(task)
            task.add_done_callback(self._rounds.discard)

    async def _run_round(self, memory: Memory, lines: list[_Line]) -> None:
        """Send a batch and wait for its results."""
        try:
            # Where the server takes little at once, one waits for the other.
            async with self._turn if self._crowded else nullcontext():
                sent = await self._note_sent(memory, lines)
                if sent:
                    name = f"{MARK}-{secrets.token_hex(8)}"
                    await memory.begun(name, tuple(sent), None)
                    identity = await self._create_batch(memory, name, sent)
                    await memory.begun(name, tuple(sent), identity)
                    self.tell(f"batch {identity} of {len(sent):,} requests is on its way")
                    await self._conclude(memory, name, identity, sent)
        except asyncio.CancelledError:
            for line in lines:
                line.leave()
            raise
        except Exception as error:
            for line in lines:
                line.answer(error)

    async def _note_sent(self, memory: Memory, lines: list[_Line]) -> dict[int, _Line]:
        """Note each line before it is sent; return number -> line of those that can be paid for."""

        async def note(line: _Line) -> tuple[int, _Line] | None:
            try:
                worst = self.estimate.worst(line.call, len(line.draws))
                return await memory.sent(line.call, line.draws, worst), line
            except FatalError as error:
                line.answer(error)
                return None

        return dict(noted for noted in await asyncio.gather(*map(note, lines)) if noted is not None)

    async def _create_batch(self, memory: Memory, name: str, sent: dict[int, _Line]) -> str:
        """Upload the lines, begin a batch of them and return its identity."""
        import openai

        data = b"".join(
            b'{"custom_id": "%d", "method": "POST", "url": "/v1/chat/completions", "body": %s}\n'
            % (number, line.body)
            for number, line in sent.items()
        )
        for line in sent.values():
            line.body = b""
        attempts = 0

        async def create() -> str:
            # A batch may exist though the answer to its creation was lost.
            nonlocal attempts
            existing = await self.find_batch(name) if attempts else None
            attempts += 1
            return existing or await self.create_batch(name, uploaded)

        try:
            uploaded = await self.retry(lambda: self.upload(name, data), FILE_TIMEOUT_FACTOR)
            return str(await self.retry(create))
        except openai.NotFoundError:
            await self._fail_lines(memory, sent, Failure(404, "no batches", paid=False, retried=False))
            await memory.over(name)
            raise FatalError(f"{self.where}: this server has no batches; ask without --batch") from None
        except (FatalError, UnansweredError, RetryableError) as error:
            problem = f"the batch could not be started: {error}"
            if attempts > 1 or (attempts and isinstance(error, RetryableError)):
                # It may exist all the same: whoever starts again looks for it.
                raise FatalError(f"{self.where}: {problem}; start again later") from None
            await self._fail_lines(memory, sent, Failure(0, problem, paid=False, retried=False))
            await memory.over(name)
            raise error if isinstance(error, FatalError) else FatalError(f"{self.where}: {problem}") from None

    # Results -----------------------------------------------------------------------------------------

    async def _conclude(self, memory: Memory, name: str, identity: str, sent: dict[int, _Line]) -> None:
        """Wait until a batch is over and keep all of its results."""
        import openai

        batch = await self.wait_until_over(identity)
        unread, error = dict(sent), None
        for file in batch.files if batch is not None else ():
            # A file that is gone has no results.
            with suppress(openai.NotFoundError):
                await self.retry_or_end(partial(self._read, memory, file, unread))
        if batch is not None and batch.status == "failed":
            error = await self._handle_refused_batch(memory, batch, unread)
        else:
            self._crowded = min(self._crowded, 1)
            await self._fail_missing(memory, "gone" if batch is None else batch.status, unread)
        await memory.over(name)
        self.tell(f"batch {identity} is {'gone' if batch is None else batch.status}")
        if error is not None:
            raise error
        if batch is not None and batch.input_file:
            await self.remove_file(batch.input_file)

    async def _read(self, memory: Memory, file: str, unread: dict[int, _Line]) -> None:
        """Keep the results in a file and remove their lines from `unread`."""
        limit = ANSWER_LIMIT + len(unread) * RESULT_SIZE
        results: dict[int, bytes] = {}
        size = 0

        async def keep() -> None:
            result_lines = [
                (number, unread.pop(number), text) for number, text in results.items() if number in unread
            ]
            results.clear()
            await asyncio.gather(*(self._keep_result(memory, *result) for result in result_lines))

        try:
            async with self.client.files.with_streaming_response.content(file) as response:
                async for text in body_lines(response, limit):
                    number = number_of(text)
                    if number in unread:
                        results[number] = text
                        size += len(text)
                    if len(results) >= RESULT_BATCH or size > ANSWER_LIMIT:
                        await keep()
                        size = 0
        except BodyError as error:
            # To read it once more would not help: what it has no result of is accounted for as such.
            self.tell(f"{self.where}: file {file} of results cannot be read further: {error}")
        finally:
            await keep()

    async def _keep_result(self, memory: Memory, number: int, line: _Line, text: bytes) -> None:
        """Keep one result and answer its line."""
        parsed = result_of(text)
        result: Reply | Refusal | LostAnswer = (
            refusal_of(parsed.code, parsed.body)
            if parsed.refused
            else noted(reply_from(parsed.body, line.draws, self.prices), text) or unread(text)
        )
        try:
            line.answer(
                await self.record(result, line.call, line.draws, line.dialect, number, memory, last=line.last)
            )
        except AccountError:
            raise
        except (RetryableError, SingleChoiceError, UnansweredError, FatalError) as error:
            line.answer(error)

    async def _fail_missing(self, memory: Memory, status: str, lines: dict[int, _Line]) -> None:
        """Note as failed the lines that a batch has no result of."""
        # Of a batch that was completed, or is gone, what it has cost is not known.
        paid = status in ("completed", "gone")
        problem = f"its batch is {status} and has no result of it"
        for number, line in lines.items():
            await memory.failed(number, Failure(0, problem, paid=paid, retried=not line.last))
            line.answer(RetryableError(problem, 0.0, in_vain=paid))

    async def _handle_refused_batch(
        self, memory: Memory, batch: Batch, lines: dict[int, _Line]
    ) -> FatalError | None:
        """Note a batch that was refused; one that was too large is sent again in parts."""
        crowded = any(code == CROWDED for code, _ in batch.errors)
        messages = dict.fromkeys(message for _, message in batch.errors)
        reason = self.without_key("; ".join(messages)[:LONGEST_MESSAGE]) or "no reason given"
        retried = crowded and self._crowded < MOST_TRIES
        await self._fail_lines(
            memory, lines, Failure(0, f"the batch was refused: {reason}", paid=False, retried=retried)
        )
        if not retried:
            problem = "takes no more batches for now" if crowded else "refuses the batch"
            return FatalError(f"{self.where}: {problem} ({reason})")
        self._crowded += 1
        self.most_lines = max(1, min(self.most_lines, len(lines)) // 2)
        await asyncio.sleep(self.poll)
        for line in lines.values():
            if line.future is not None and not line.future.done():
                line.dialect = self.dialect
                line.body = self._body(line.call, line.draws)
                self._enqueue(line)
        return None

    async def _fail_lines(self, memory: Memory, sent: Mapping[int, _Line], failure: Failure) -> None:
        await asyncio.gather(*(memory.failed(number, failure) for number in sent))


def fit_together(model: object, ledger: Ledger) -> None:
    """Set a ledger up for a model that asks in batches, or for one that does not.

    Raises:
        engine.SekeError: batches are on their way, and the model does not ask in batches.
    """
    batches = isinstance(model, Batches)
    if ledger.batches() and not batches:
        raise SekeError(f"{ledger.folder}: batches are still open; continue with --batch")
    # A batch leaves when all its lines are told; they cannot wait for one another.
    ledger.patient = not batches
