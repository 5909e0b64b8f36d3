"""A model behind an OpenAI-compatible endpoint (chat completions): OpenAI, vLLM, Ollama, llama.cpp, ...

Every request on its way is journalled before it leaves and after it came back, so that the account is exact
whatever happens. What a server really can do is seen from its replies, never taken from a status of 200:
whether it gives several choices, structured output, and under which name it limits tokens.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from engine import did_you_mean
from seke.vision.capabilities import FORMATS, Dialect
from seke.vision.completions import is_json, reply_of
from seke.vision.errors import FatalError, UnansweredError
from seke.vision.http_bodies import ACCEPTED, BodyBounds, BodyError, quoted_beginning
from seke.vision.messages import Choice, Failure, Reply
from seke.vision.prices import Estimate
from seke.vision.rate_limit import Pace
from seke.vision.server_errors import LONGEST_MESSAGE, LONGEST_WAIT, Refusal, plain, refusal_of

if TYPE_CHECKING:
    from types import TracebackType

    from tenacity import AsyncRetrying, RetryCallState

    from seke.vision.messages import Call, Journal, Settings
    from seke.vision.prices import Prices

ATTEMPTS = 6
# Seconds from sending a request to the last byte of its answer: a slow model on a slow machine needs minutes.
DEADLINE = 180.0
MOST_PAID = 2
# Letters of a model's name that are shown.
LONGEST_NAME = 100
HOPELESS = 3
LOCAL = ("localhost", "127.0.0.1", "::1", "[::1]")


class AgainError(Exception):
    """The same request may be sent again, after so many seconds where the server says so."""

    def __init__(self, message: str, wait: float | None = None, *, paid: bool = False) -> None:
        super().__init__(message)
        self.wait, self.paid = wait, paid


class AloneError(Exception):
    """The server gives one choice at a time: the draws may be asked for one by one."""


class Endpoint:
    """Asks a model; an async context manager. Safe to be used by many tasks at once."""

    def __init__(
        self,
        settings: Settings,
        *,
        base_url: str | None = None,
        key_from: str = "OPENAI_API_KEY",
        prices: Prices | None = None,
        concurrency: int = 16,
        rpm: float | None = None,
        tpm: float | None = None,
        deadline: float = DEADLINE,
        attempts: int = ATTEMPTS,
    ) -> None:
        """key_from: the environment variable that holds the key; none is needed for this machine.

        rpm, tpm: requests and tokens a minute. deadline: seconds from sending to the last byte.

        Raises:
            FatalError: no key.
        """
        import openai

        # A key that was read from a file often ends with a line break.
        self._key = os.environ.get(key_from, "").strip()
        local = base_url is not None and urlsplit(base_url).hostname in LOCAL
        if not self._key and not local:
            raise FatalError(f"there is no key: put it in the environment variable {key_from}")
        if not (self._key.isascii() and self._key.isprintable()):
            raise FatalError(f"what is in the environment variable {key_from} is no key")
        # Pictures go where the user said and nowhere else, whatever a server would have.
        connections = type(openai.DEFAULT_CONNECTION_LIMITS)(max_keepalive_connections=max(concurrency, 20))
        http = openai.DefaultAsyncHttpxClient(
            follow_redirects=False,
            limits=connections,
            timeout=deadline,
            headers={"accept-encoding": ACCEPTED},
            event_hooks={"response": [BodyBounds().bound_body]},
        )
        self.client = openai.AsyncOpenAI(
            api_key=self._key or "none", base_url=base_url, max_retries=0, timeout=deadline, http_client=http
        )
        self.settings, self.prices, self.key_from = settings, prices, key_from
        self.estimate = Estimate(prices, settings)
        self.deadline, self.attempts = deadline, attempts
        self._free = asyncio.Semaphore(concurrency)
        self._pace = Pace(rpm, tpm)
        self._end: FatalError | None = None
        self._formed, self._unformed = False, 0
        self.dialect = Dialect()
        self._answered = self._refused = self._dry = 0

    @property
    def where(self) -> str:
        """The address that pictures are sent to."""
        return str(self.client.base_url.copy_with(username=None, password=None))

    async def __aenter__(self) -> Endpoint:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.close()

    async def check(self) -> None:
        """See that the server is there, takes the key, and has the model, where it lists its models.

        Raises:
            FatalError: it does not.
        """
        import openai

        try:
            async with asyncio.timeout(min(self.deadline, 20)):
                listed = await self.client.models.list()
                names = [one.id for one in listed.data or [] if isinstance(one.id, str)]
        except openai.APIStatusError as error:
            refusal = self.refusal(error)
            if refusal.fatal and refusal.code != 404:
                raise self.fatal(refusal) from None
            return
        except (openai.APIConnectionError, TimeoutError) as error:
            if isinstance(error.__cause__, BodyError):
                return
            raise FatalError(f"{self.where}: no server answers ({plain(error)})") from None
        except Exception:  # A list that cannot be read says nothing.
            return
        model = self.settings.model
        # Ollama lists what it calls `llava` as `llava:latest`.
        if names and model not in names and f"{model}:latest" not in names:
            short = [name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..." for name in names]
            some = ", ".join(short[:5]) + (", ..." if len(names) > 5 else "")
            hint = did_you_mean(model, short)
            raise FatalError(f"{self.where}: no model is called {model!r}{hint} (it has {some})")

    async def ask(self, call: Call, journal: Journal) -> tuple[Choice, ...]:
        """Return the answers to a call; see `messages.Model`."""
        first, found = call.request.first, dict[int, Choice]()
        wanted = range(first, first + call.request.samples)
        reasons: list[BaseException] = []
        while (missing := tuple(draw for draw in wanted if draw not in found)) and not reasons:
            # Together until it is seen that the server gives one choice at a time.
            parts = [missing] if self.dialect.several else [(draw,) for draw in missing]
            asked = (self._request(call, draws, journal) for draws in parts)
            for draws, got in zip(parts, await asyncio.gather(*asked, return_exceptions=True), strict=True):
                if isinstance(got, AloneError):
                    continue
                if isinstance(got, BaseException):
                    reasons.append(got)
                    continue
                found |= {one.draw: one for one in got}
                if len(got) == 1 < len(draws):
                    self.dialect = replace(self.dialect, several=False)
        choices = tuple(found[draw] for draw in sorted(found))
        for reason in sorted(reasons, key=lambda one: isinstance(one, UnansweredError)):
            raise UnansweredError(reason.reason, choices) if isinstance(reason, UnansweredError) else reason
        return choices

    async def _request(self, call: Call, draws: tuple[int, ...], journal: Journal) -> tuple[Choice, ...]:
        """Ask for some draws, again and again while that may help."""
        paid = 0
        try:
            async for attempt in self.again():
                last = attempt.retry_state.attempt_number >= self.attempts or paid + 1 >= MOST_PAID
                with attempt:
                    try:
                        reply = await self._attempt(call, draws, journal, last=last)
                    except AgainError as error:
                        # What may have been paid for and was lost is not bought again and again.
                        paid += error.paid
                        if paid >= MOST_PAID:
                            raise UnansweredError(str(error)) from None
                        raise
        except AgainError as error:
            self._dry += 1
            if (self._dry >= HOPELESS and not self._answered) or self._dry >= 4 * HOPELESS:
                raise FatalError(f"{self.where}: the server does not answer any more ({error})") from None
            raise UnansweredError(str(error)) from None
        self._answered, self._dry = self._answered + 1, 0
        return reply.choices

    def again(self) -> AsyncRetrying:
        """Return attempts, the next one as late as the server says, else after a growing random time."""
        import tenacity

        jittered = tenacity.wait_random_exponential(multiplier=1, max=LONGEST_WAIT)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome is not None else None
            asked = error.wait if isinstance(error, AgainError) else None
            return jittered(state) if asked is None else asked

        return tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self.attempts),
            wait=wait,
            retry=tenacity.retry_if_exception_type(AgainError),
            reraise=True,
        )

    async def _attempt(self, call: Call, draws: tuple[int, ...], journal: Journal, *, last: bool) -> Reply:
        """Send one request and keep account of it."""
        async with self._free:
            await self._pace.admit(sum(self.estimate.tokens(call, len(draws))))
            if self._end is not None:
                raise self._end
            asked = self.dialect
            if len(draws) > 1 and not asked.several:
                raise AloneError
            number = await journal.sent(call, draws, self.estimate.worst(call, len(draws)))
            started = time.monotonic()
            try:
                async with asyncio.timeout(self.deadline):
                    body = await self._post(call, draws, asked)
            except asyncio.CancelledError:
                lost = Failure(0, "stopped while it was on its way", paid=True, retried=False)
                await asyncio.shield(journal.failed(number, lost))
                raise
            except Exception as error:
                failure, raised = self.failed(error, asked, len(draws), last=last)
                await journal.failed(number, failure)
                raise raised from None
            reply = reply_of(body, draws, self.prices, time.monotonic() - started)
            return await self.kept(reply, body, call, asked, number, journal, last=last)

    async def kept(
        self,
        reply: Reply | None,
        body: bytes,
        call: Call,
        asked: Dialect,
        number: int,
        journal: Journal,
        *,
        last: bool,
    ) -> Reply:
        """Keep account of what came, and return it; of what cannot be read (None), how it began."""
        if reply is None:
            message = self.without_key(f"the answer cannot be read{quoted_beginning(body)}")
            await journal.failed(number, Failure(200, message, paid=True, retried=not last))
            raise AgainError(message, paid=True)
        self.estimate.met(call, reply.prompt_tokens)
        await journal.answered(number, reply)
        self._look_at(reply, asked)
        return reply

    async def _post(self, call: Call, draws: tuple[int, ...], asked: Dialect) -> bytes:
        """Send a request and return the body that came.

        Raises:
            BodyError: it is no answer.
        """
        completions = self.client.chat.completions.with_streaming_response
        said = self.body(call, draws, asked)
        # An extra body is sent as it is; to look through it for what to rename takes the client longer than
        # all the rest.
        async with completions.create(model=said["model"], messages=[], extra_body=said) as response:
            self._pace.heed(response.headers)
            body: bytes = await response.read()
            return body

    def _look_at(self, reply: Reply, asked: Dialect) -> None:
        """Ask in a simpler form where a server takes the one that is asked for and does not keep to it."""
        whole = [one for one in reply.choices if one.finish == "stop" and one.text and one.refusal is None]
        if self._formed or asked.form != self.dialect.form or not whole:
            return
        self._formed = any(is_json(one.text) for one in whole)
        self._unformed += not self._formed
        if self._unformed >= HOPELESS and asked.form + 1 < len(FORMATS):
            self.dialect, self._unformed = replace(self.dialect, form=asked.form + 1), 0

    def body(self, call: Call, draws: tuple[int, ...], asked: Dialect) -> dict[str, Any]:
        """Return what is said to the server to get these draws."""
        return asked.body(call, len(draws), self.settings, seed_of(self.settings, call, draws[0]))

    def failed(
        self, error: Exception, asked: Dialect | None, samples: int, *, last: bool
    ) -> tuple[Failure, Exception]:
        """Return what is to be kept of a failure, and what is to be raised.

        asked: how so many samples were asked for; None where something else was.
        """
        import openai

        if isinstance(error, openai.APIStatusError):
            return self.refused_by(self.refusal(error), asked, samples, last=last)
        fault = error if isinstance(error, BodyError) else error.__cause__
        if isinstance(fault, BodyError):
            message = self.without_key(str(fault))
            return Failure(200, message, paid=True, retried=not last), AgainError(message, paid=True)
        if isinstance(error, TimeoutError | openai.APITimeoutError):
            message = f"no answer within {self.deadline:g} s"
            return Failure(0, message, paid=True, retried=not last), AgainError(message, paid=True)
        if isinstance(error, openai.APIConnectionError):
            reached = type(error.__cause__).__name__ not in ("ConnectError", "ConnectTimeout", "PoolTimeout")
            message = f"the connection broke ({plain(error.__cause__ or error)})"
            return Failure(0, message, paid=reached, retried=not last), AgainError(message, paid=reached)
        message = f"the answer broke off ({plain(error)})"
        return Failure(0, message, paid=True, retried=not last), AgainError(message, paid=True)

    def refusal(self, error: Any) -> Refusal:
        """Return what the server says in an error; a key that it repeats is left out."""
        found = refusal_of(error.status_code, error.body, error.message, error.response.headers)
        if 300 <= found.code < 400:
            there = error.response.headers.get("location", "another address")
            found = replace(found, message=f"it has moved to {there[:LONGEST_MESSAGE]}")
        return replace(found, message=self.without_key(found.message))

    def without_key(self, message: str) -> str:
        """Return what a server said, without the key where it repeats that."""
        return message.replace(self._key, "(the key)") if self._key else message

    def refused_by(
        self, refusal: Refusal, asked: Dialect | None, samples: int, *, last: bool
    ) -> tuple[Failure, Exception]:
        """Return what is to be kept of a refusal, and what is to be raised."""
        code, message = refusal.code, refusal.message
        if refusal.fatal:
            self._end = self.fatal(refusal)
            return Failure(code, message, paid=False, retried=False), self._end
        if refusal.passing:
            if code == 429:
                self._pace.pause(refusal.wait)
            kept = Failure(code, message, paid=False, retried=not last)
            return kept, AgainError(f"the server says {code}: {message}", refusal.wait)
        other = asked.instead(message, samples, self.settings) if asked and code in (400, 422) else None
        if asked is not None and other is not None:
            # Others on their way were sent as this one was, and learn the same.
            self.dialect = self.dialect.joined(other)
            alone = samples > 1 and not other.several
            raised = AloneError(message) if alone else AgainError(message, 0.0)
            return Failure(code, message, paid=False, retried=alone or not last), raised
        self._refused += 1
        if self._refused >= HOPELESS and not self._answered:
            self._end = FatalError(f"{self.where}: refuses every request ({code}: {message})")
            return Failure(code, message, paid=False, retried=False), self._end
        told = f"{code}: {message}" if code else message
        return Failure(code, message, paid=False, retried=False), UnansweredError(told)

    def fatal(self, refusal: Refusal) -> FatalError:
        """Return in plain words what is wrong where nothing can be asked."""
        code, why = refusal.code, refusal.message
        if refusal.spent:
            told = "the account has no credit left"
        elif code == 401:
            told = f"the key in {self.key_from} is not accepted"
        elif code == 403:
            told = f"the key in {self.key_from} may not do this"
        elif code == 404:
            told = f"no model is called {self.settings.model!r}, or no such address"
        else:
            told = "give the address where the server is now as --base-url"
        return FatalError(f"{self.where}: {told} ({why})")


def seed_of(settings: Settings, call: Call, draw: int) -> int:
    """Return the seed of a draw: another for every draw of every line, the same in every run."""
    words = "\n".join(map(str, (settings.seed, *call.request.line, draw)))
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:4], "big") >> 1
