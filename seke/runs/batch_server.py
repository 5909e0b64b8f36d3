"""Requests to a server of OpenAI's Batch API about files and batches, and the contents of result files."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from seke.runs.batch_objects import Batch, batch_of, batches_of, file_of
from seke.vision.client import Endpoint
from seke.vision.errors import FatalError, RetryableError, UnansweredError
from seke.vision.http_bodies import ANSWER_LIMIT, BodyError
from seke.vision.server_errors import plain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

MARK = "seke"
# Seconds between two looks at a batch.
POLL_SECONDS = 30.0
# Batches among which one is looked for, and how many come in one answer (the most that OpenAI sends).
MOST_LISTED, PAGE = 1000, 100
# Looks at a batch in a row that fail, or refusals of batches as too large, before the run ends.
MOST_TRIES = 40
# Files are large: how many times as long as a request they may take.
FILE_TIMEOUT_FACTOR = 10
OVER = ("completed", "failed", "expired", "cancelled")


class BatchServer(Endpoint):
    """A server that takes batches. poll: seconds between two looks at a batch."""

    poll = POLL_SECONDS

    async def upload(self, name: str, data: bytes) -> str:
        """Return the identity of a file of requests, a line each, that is kept at the server."""
        response = await self.client.files.with_raw_response.create(
            file=(f"{name}.jsonl", data), purpose="batch"
        )
        return file_of(response.content)

    async def create_batch(self, name: str, file: str) -> str:
        """Begin a batch of the requests in a file, and return its identity."""
        response = await self.client.batches.with_raw_response.create(
            input_file_id=file,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={MARK: name},
        )
        return batch_of(response.content, MARK).identity

    async def find_batch(self, name: str) -> str | None:
        """Return the identity of the batch of this name; None where it is not among the latest."""
        import openai

        options: dict[str, Any] = {}
        with suppress(openai.NotFoundError):
            for _ in range(MOST_LISTED // PAGE):
                page = await self.client.batches.with_raw_response.list(limit=PAGE, **options)
                batches, has_more = batches_of(page.content, MARK)
                for batch in batches:
                    if batch.name == name:
                        return batch.identity
                if not has_more or not batches:
                    break
                options = {"after": batches[-1].identity}
        return None

    async def wait_until_over(self, identity: str) -> Batch | None:
        """Return the batch once it is over; None where the server does not know it."""
        import openai

        in_vain = 0
        while True:
            try:
                batch: Batch = await self.retry(partial(self._retrieve, identity))
                in_vain = 0
                if batch.status in OVER:
                    return batch
            except openai.NotFoundError:
                return None
            except (RetryableError, UnansweredError) as error:
                in_vain += 1
                if in_vain >= MOST_TRIES:
                    raise FatalError(
                        f"{self.where}: batch {identity} is not reported ({error}); start again later"
                    ) from None
            await asyncio.sleep(self.poll)

    async def _retrieve(self, identity: str) -> Batch:
        response = await self.client.batches.with_raw_response.retrieve(identity)
        return batch_of(response.content, MARK)

    async def remove_file(self, file: str) -> None:
        """Delete a file at the server, so that it keeps the pictures no longer than needed."""
        import openai

        try:
            await self.client.files.delete(file)
        except openai.OpenAIError:
            return

    async def retry_or_end(self, act: Callable[[], Awaitable[Any]]) -> Any:
        """Retry a step that must succeed, since results that exist must not be bought again.

        Raises:
            FatalError: it did not help.
        """
        try:
            return await self.retry(act, FILE_TIMEOUT_FACTOR)
        except (RetryableError, UnansweredError) as error:
            raise FatalError(f"{self.where}: a batch cannot be read ({error}); start again later") from None

    async def retry(self, act: Callable[[], Awaitable[Any]], longer: float = 1) -> Any:
        """Do something at the server; retry while that may help.

        Raises:
            openai.NotFoundError, RetryableError, UnansweredError, FatalError: the server knows no such thing;
                it did not help; it says no; it says no to everything.
        """
        import openai

        async for attempt in self.retries():
            with attempt:
                try:
                    async with asyncio.timeout(self.deadline * longer):
                        return await act()
                except openai.NotFoundError:
                    raise
                except (openai.OpenAIError, OSError, BodyError) as error:
                    result = self.error_result(error)
                    raise self.handle_failure(result, None, 1, last=True)[1] from None
        raise AssertionError


async def body_lines(response: Any, limit: int) -> AsyncIterator[bytes]:
    """Yield the lines of a body of at most `limit` bytes, each cut at the longest answer.

    Raises:
        BodyError: the body is longer, or no results.
        ConnectionError: it broke off.
    """
    parts, held, size, pieces = list[bytes](), 0, 0, response.iter_bytes()
    while True:
        try:
            piece = await anext(pieces, None)
        except BodyError:
            raise
        except Exception as error:  # Whatever the client's own library raises.
            raise ConnectionError(plain(error)) from None
        if piece is None:
            break
        size += len(piece)
        if size > limit:
            raise BodyError(f"it is longer than {limit:,} bytes", parts[0] if parts else piece)
        for number, text in enumerate(piece.split(b"\n")):
            if number:
                # A line ends; of what is too long the beginning is enough.
                yield b"".join(parts)
                parts, held = [], 0
            part = text[: ANSWER_LIMIT + 1 - held]
            parts.append(part)
            held += len(part)
    yield b"".join(parts)
