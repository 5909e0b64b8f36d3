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
from seke.files.imports import quick_imports
from seke.vision.address import ServerAddress
from seke.vision.capabilities import FORMATS, Dialect
from seke.vision.completions import is_json, refused_reply, reply_of
from seke.vision.errors import (
    FatalError,
    RetryableError,
    SilentServerError,
    SingleChoiceError,
    UnansweredError,
)
from seke.vision.event_streams import decoded_body
from seke.vision.failure_run import FailureRun
from seke.vision.http_bodies import ACCEPTED, BodyBounds, BodyError, quoted_beginning
from seke.vision.lost_answer import LostAnswer, unread
from seke.vision.messages import Choice, Failure, Reply
from seke.vision.prices import Estimate
from seke.vision.rate_limit import Pace
from seke.vision.server_errors import LONGEST_MESSAGE, LONGEST_WAIT, Refusal, plain, refusal_of

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import TracebackType

    from tenacity import AsyncRetrying, RetryCallState

    from seke.vision.messages import Call, Journal, Settings
    from seke.vision.prices import Prices

# Attempts of a request, with growing waits between them.
ATTEMPTS = 6
# Seconds from sending a request to the last byte of its answer: a slow model on a slow machine needs minutes.
DEADLINE = 180.0
# Attempts of a request that was answered by no answer, or may have been paid for without bringing one.
MOST_IN_VAIN = 2
# Letters of a model's name that are shown.
LONGEST_NAME = 100
# Replies without structure after which it is asked for in a simpler form.
MOST_UNSTRUCTURED = 3
# Status of refusals that may be for the form of a request.
OF_A_FORM = (0, 400, 415, 422)
LOCAL = ("localhost", "127.0.0.1", "::1", "[::1]")


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
        free: Collection[str] = (),
    ) -> None:
        """key_from: the environment variable that holds the key; none is needed for this machine.

        base_url: parameters in it go with each request. rpm, tpm: requests and tokens a minute. deadline:
        seconds from sending to the last byte. free: settings that a server need not take.

        Raises:
            FatalError: no key.
        """
        with quick_imports():
            import openai
        # A key that was read from a file often ends with a line break.
        self._key = os.environ.get(key_from, "").strip()
        address = ServerAddress.of(base_url)
        local = address.base_url is not None and urlsplit(address.base_url).hostname in LOCAL
        if not self._key and not local:
            raise FatalError(f"there is no key: put it in the environment variable {key_from}")
        if not (self._key.isascii() and self._key.isprintable()):
            raise FatalError(f"the environment variable {key_from} does not hold a valid key")
        # Pictures go where the user said and nowhere else, whatever a server would have.
        connections = type(openai.DEFAULT_CONNECTION_LIMITS)(max_keepalive_connections=max(concurrency, 20))
        http = openai.DefaultAsyncHttpxClient(
            follow_redirects=False,
            limits=connections,
            timeout=deadline,
            headers={"accept-encoding": ACCEPTED},
            event_hooks={"response": [BodyBounds().bound_body]},
            verify=address.verification,
        )
        self.client = openai.AsyncOpenAI(
            api_key=self._key or "none",
            base_url=address.base_url,
            default_query=address.query,
            default_headers=address.headers(self._key),
            max_retries=0,
            timeout=deadline,
            http_client=http,
        )
        self.note, self.free = address.note, free
        self.settings, self.prices, self.key_from = settings, prices, key_from
        self.estimate = Estimate(prices, settings)
        self.deadline, self.attempts = deadline, attempts
        self._free, self._pace = asyncio.Semaphore(concurrency), Pace(rpm, tpm)
        self._end: FatalError | None = None
        self._structured_ok, self._unstructured = False, 0
        self.dialect = Dialect()
        self.failures = FailureRun(concurrency)

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

    def revive(self) -> None:
        """Send requests again after what ended them; nothing is known of failures in a row."""
        self._end = None
        self.failures = FailureRun(self.failures.at_once, self.failures.answered)

    async def check(self) -> None:
        """Check that the server answers, accepts the key, and has the model if it lists its models.

        Raises:
            FatalError: it does not.
        """
        import openai

        try:
            async with asyncio.timeout(min(self.deadline, 20)):
                model_list = await self.client.models.list()
                names = [
                    listed_model.id
                    for listed_model in model_list.data or []
                    if isinstance(listed_model.id, str)
                ]
        except openai.APIStatusError as error:
            refusal = self.refusal(error)
            if refusal.fatal and refusal.code != 404:
                raise self.fatal_error(refusal) from None
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
            shown = ", ".join(short[:5]) + (", ..." if len(names) > 5 else "")
            hint = did_you_mean(model, short)
            raise FatalError(f"{self.where}: no model is called {model!r}{hint} (it has {shown})")

    async def ask(self, call: Call, journal: Journal) -> tuple[Choice, ...]:
        """Return the answers to a call; see `messages.Model`."""
        start, by_draw = call.request.first, dict[int, Choice]()
        all_draws = range(start, start + call.request.samples)
        reasons: list[BaseException] = []
        while (missing := tuple(draw for draw in all_draws if draw not in by_draw)) and not reasons:
            # Together until it is seen that the server gives one choice at a time.
            parts = [missing] if self.dialect.several else [(draw,) for draw in missing]
            requests = (self._request(call, draws, journal) for draws in parts)
            for draws, outcome in zip(
                parts, await asyncio.gather(*requests, return_exceptions=True), strict=True
            ):
                if isinstance(outcome, SingleChoiceError):
                    continue
                if isinstance(outcome, BaseException):
                    reasons.append(outcome)
                    continue
                by_draw |= {choice.draw: choice for choice in outcome}
                if len(outcome) == 1 < len(draws):
                    self.dialect = replace(self.dialect, several=False)
        choices = tuple(by_draw[draw] for draw in sorted(by_draw))
        for reason in sorted(reasons, key=lambda error: isinstance(error, UnansweredError)):
            raise type(reason)(reason.reason, choices) if isinstance(reason, UnansweredError) else reason
        return choices

    async def _request(self, call: Call, draws: tuple[int, ...], journal: Journal) -> tuple[Choice, ...]:
        """Ask for some draws; retry while that may help."""
        in_vain = 0
        try:
            async for attempt in self.retries():
                last = attempt.retry_state.attempt_number >= self.attempts or in_vain + 1 >= MOST_IN_VAIN
                with attempt:
                    try:
                        reply = await self._attempt(call, draws, journal, last=last)
                    except RetryableError as error:
                        # What may have been paid for and was lost is not bought again and again.
                        in_vain += error.in_vain
                        if in_vain >= MOST_IN_VAIN:
                            raise UnansweredError(str(error)) from None
                        raise
        except (RetryableError, UnansweredError) as error:
            raise self._unanswered(call, error) from None
        return reply.choices

    def _unanswered(self, call: Call, error: RetryableError | UnansweredError) -> Exception:
        """Note a request that failed in the end; return the error to raise, of its call or of the run."""
        reason, again = str(error), isinstance(error, RetryableError)
        if self._end is not None:
            return self._end
        if not self.failures.note_failure(call.request.item, reason):
            # What may have been paid for is not bought from another server.
            free = isinstance(error, RetryableError) and not error.in_vain
            return SilentServerError(reason) if free else UnansweredError(reason)
        problem = (
            "the server no longer answers" if again or self.failures.answered else "refuses every request"
        )
        count = f"{len(self.failures.items)} items in a row failed for this reason"
        self._end = FatalError(f"{self.where}: {problem} ({reason}); {count}")
        return self._end

    def retries(self) -> AsyncRetrying:
        """Return the attempts; the next waits as long as the server says, else a growing random time."""
        import tenacity

        jittered = tenacity.wait_random_exponential(multiplier=1, max=LONGEST_WAIT)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome is not None else None
            server_wait = error.wait if isinstance(error, RetryableError) else None
            return jittered(state) if server_wait is None else server_wait

        return tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self.attempts),
            wait=wait,
            retry=tenacity.retry_if_exception_type(RetryableError),
            reraise=True,
        )

    async def _attempt(self, call: Call, draws: tuple[int, ...], journal: Journal, *, last: bool) -> Reply:
        """Send one request and keep account of it."""
        async with self._free, self.estimate.turn():
            await self._pace.admit(sum(self.estimate.tokens(call, len(draws))))
            if self._end is not None:
                raise self._end
            dialect = self.dialect
            if len(draws) > 1 and not dialect.several:
                raise SingleChoiceError
            number = await journal.sent(call, draws, self.estimate.worst(call, len(draws)))
            started = time.monotonic()
            result: Reply | Refusal | LostAnswer
            try:
                async with asyncio.timeout(self.deadline):
                    body = await self._post(call, draws, dialect)
            except asyncio.CancelledError:
                lost = Failure(0, "stopped while the request was open", paid=True, retried=False)
                await asyncio.shield(journal.failed(number, lost))
                raise
            except Exception as error:
                result = self.error_result(error)
            else:
                result = reply_of(body, draws, self.prices, time.monotonic() - started) or unread(body)
            return await self.record(result, call, draws, dialect, number, journal, last=last)

    async def record(
        self,
        result: Reply | Refusal | LostAnswer,
        call: Call,
        draws: tuple[int, ...],
        dialect: Dialect,
        number: int,
        journal: Journal,
        *,
        last: bool,
    ) -> Reply:
        """Record in the journal what a request brought; return the reply, or raise its failure.

        A picture that the server refuses is an answer: each draw of it is refused.
        """
        if isinstance(result, Refusal):
            result = replace(result, words=self.without_key(result.words))
        if isinstance(result, Reply):
            result = replace(result, note=self.without_key(result.note)) if result.note else result
            self.failures.note_answer()
            result = replace(result, unbounded=self.estimate.note(call, result))
            self._note_structure(result, dialect)
        elif isinstance(result, Refusal) and result.of_picture and (last or not result.passing):
            # A server's own error may pass, whatever it says of the picture.
            result = refused_reply(result, draws)
        else:
            failure, raised = self.handle_failure(result, dialect, len(draws), last=last)
            await journal.failed(number, failure)
            raise raised
        await journal.answered(number, result)
        return result

    async def _post(self, call: Call, draws: tuple[int, ...], dialect: Dialect) -> bytes:
        """Send a request and return the body that came.

        Raises:
            BodyError: it is no answer.
        """
        completions = self.client.chat.completions.with_streaming_response
        payload = self.body(call, draws, dialect)
        # An extra body is sent as it is; to look through it for what to rename takes the client longer than
        # all the rest.
        async with completions.create(model=payload["model"], messages=[], extra_body=payload) as response:
            self._pace.heed(response.headers)
            body: bytes = await response.read()
            return body

    def _note_structure(self, reply: Reply, dialect: Dialect) -> None:
        """Ask in a simpler form where a server accepts structured output and does not produce it."""
        complete = [
            choice
            for choice in reply.choices
            if choice.finish == "stop" and choice.text and choice.refusal is None
        ]
        if self._structured_ok or dialect.form != self.dialect.form or not complete:
            return
        self._structured_ok = any(is_json(choice.text) for choice in complete)
        self._unstructured += not self._structured_ok
        if self._unstructured >= MOST_UNSTRUCTURED and dialect.form + 1 < len(FORMATS):
            self.dialect, self._unstructured = self.dialect.simpler(), 0

    def body(self, call: Call, draws: tuple[int, ...], dialect: Dialect) -> dict[str, Any]:
        """Return the request body that asks for these draws."""
        return dialect.body(call, len(draws), self.settings, seed_of(self.settings, call, draws[0]))

    def error_result(self, error: Exception) -> Refusal | LostAnswer:
        """Return what an error of the client means: a refusal, or a lost answer."""
        import openai

        if isinstance(error, openai.APIStatusError):
            return self.refusal(error)
        fault = error if isinstance(error, BodyError) else error.__cause__
        if isinstance(fault, BodyError):
            return LostAnswer(200, str(fault), paid=True)
        if isinstance(error, TimeoutError | openai.APITimeoutError):
            return LostAnswer(0, f"no answer within {self.deadline:g} s", paid=True)
        if isinstance(error, openai.APIConnectionError):
            reached = type(error.__cause__).__name__ not in ("ConnectError", "ConnectTimeout", "PoolTimeout")
            message = f"the connection broke ({plain(error.__cause__ or error)})"
            return LostAnswer(0, message, paid=reached, in_vain=reached)
        return LostAnswer(0, f"the answer broke off ({plain(error)})", paid=True)

    def handle_failure(
        self, result: Refusal | LostAnswer, dialect: Dialect | None, samples: int, *, last: bool
    ) -> tuple[Failure, Exception]:
        """Return the failure to record and the exception to raise.

        dialect: of the request for so many samples; None of any other request.
        """
        if isinstance(result, Refusal):
            return self._handle_refusal(result, dialect, samples, last=last)
        message = self.without_key(result.message)
        failure = Failure(result.code, message, paid=result.paid, retried=not last)
        return failure, RetryableError(message, in_vain=result.in_vain)

    def refusal(self, error: Any) -> Refusal:
        """Return the server's refusal out of an API error, without the key."""
        content, code, headers = error.response.content, error.status_code, error.response.headers
        try:
            body: Any = decoded_body(content)
        except ValueError:
            body = content.decode("utf-8", "replace")
        beginning = f"no reason given{quoted_beginning(content)}" if content else error.message
        refusal = refusal_of(code, body, beginning, headers)
        if 300 <= refusal.code < 400:
            address = headers.get("location", "another address")
            refusal = replace(refusal, words=f"it has moved to {address[:LONGEST_MESSAGE]}")
        return replace(refusal, words=self.without_key(refusal.words))

    def without_key(self, message: str) -> str:
        """Return a server's text with the API key removed."""
        return message.replace(self._key, "(the key)") if self._key else message

    def _handle_refusal(
        self, refusal: Refusal, dialect: Dialect | None, samples: int, *, last: bool
    ) -> tuple[Failure, Exception]:
        """Return the failure to record for a refusal and the exception to raise."""
        code, message = refusal.code, refusal.message
        if refusal.fatal:
            self._end = self.fatal_error(refusal)
            return Failure(code, message, paid=refusal.paid, retried=False), self._end
        if refusal.passing:
            if code == 429:
                self._pace.pause(refusal.wait)
            failure = Failure(code, message, paid=refusal.paid, retried=not last)
            return failure, RetryableError(
                f"the server says {refusal.reason}", refusal.wait, in_vain=refusal.paid
            )
        next_dialect = (
            dialect.adapt(refusal.words, samples, self.settings, self.free)
            if dialect and code in OF_A_FORM
            else None
        )
        if dialect is not None and next_dialect is not None:
            # Others on their way were sent as this one was, and learn the same.
            self.dialect = self.dialect.combine(next_dialect)
            alone = samples > 1 and not next_dialect.several
            raised = SingleChoiceError(message) if alone else RetryableError(message, 0.0)
            return Failure(code, message, paid=refusal.paid, retried=alone or not last), raised
        return Failure(code, message, paid=refusal.paid, retried=False), UnansweredError(refusal.reason)

    def fatal_error(self, refusal: Refusal) -> FatalError:
        """Return the error to raise where no request can succeed any more."""
        code, message = refusal.code, refusal.message
        if refusal.spent:
            reason = "the account has no credit left"
        elif code == 401:
            reason = f"the key in {self.key_from} is not accepted"
        elif code == 403:
            reason = f"the key in {self.key_from} may not do this"
        elif code == 404:
            reason = f"no model is called {self.settings.model!r}, or no such address"
        else:
            reason = "the server has moved; give its new address as --base-url"
        return FatalError(f"{self.where}: {reason} ({message})")


def seed_of(settings: Settings, call: Call, draw: int) -> int:
    """Return the seed of a draw: different for each draw of each reading, the same in every run."""
    words = "\n".join(map(str, (settings.seed, *call.request.line, draw)))
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:4], "big") >> 1
