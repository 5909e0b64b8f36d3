"""A model behind an OpenAI-compatible endpoint (chat completions): OpenAI, vLLM, Ollama, llama.cpp, ...

Every request on its way is journalled before it leaves and after it came back, so that the account is exact
whatever happens. What a server really can do is seen from its replies, never taken from a status of 200:
whether it gives several choices, structured output, and under which name it limits tokens.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from engine import did_you_mean
from seke.vision.errors import FatalError, UnansweredError
from seke.vision.faults import LONGEST_WAIT, plain, retry_after, seconds_of, told
from seke.vision.prices import Estimate
from seke.vision.replies import reply_of
from seke.vision.values import Choice, Failure, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from seke.vision.prices import Prices
    from seke.vision.values import Call, Journal, Settings

ATTEMPTS = 6
DEADLINE = 180.0
LARGEST_BODY = 8_000_000
MOST_PAID = 2
HOPELESS = 3
LOCAL = ("localhost", "127.0.0.1", "::1", "[::1]")
FORMATS = ("json_schema", "json_object", "")
LIMITS = ("max_tokens", "max_completion_tokens")
AGAIN = (408, 409, 429)


class _AgainError(Exception):
    """The same request may be sent again, after so many seconds where the server says so."""

    def __init__(self, message: str, wait: float | None = None, *, paid: bool = False) -> None:
        super().__init__(message)
        self.wait, self.paid = wait, paid


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
        from openai import AsyncOpenAI

        key = os.environ.get(key_from, "")
        local = base_url is not None and urlsplit(base_url).hostname in LOCAL
        if not key and not local:
            raise FatalError(f"there is no key: put it in the environment variable {key_from}")
        self._client = AsyncOpenAI(api_key=key or "none", base_url=base_url, max_retries=0, timeout=deadline)
        self.settings, self.prices, self.key_from = settings, prices, key_from
        self.estimate = Estimate(prices, settings)
        self.deadline, self.attempts = deadline, attempts
        self._free = asyncio.Semaphore(concurrency)
        self._limits = [_limiter(rpm), _limiter(tpm)]
        self._until = 0.0
        self._several: bool | None = None
        self._format, self._limit = 0, 0
        self._answered = self._refused = self._dry = 0

    @property
    def where(self) -> str:
        """The address that pictures are sent to."""
        return str(self._client.base_url)

    async def __aenter__(self) -> Endpoint:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def check(self) -> None:
        """See that the server is there, takes the key, and has the model, where it lists its models.

        Raises:
            FatalError: it does not.
        """
        import openai

        try:
            async with asyncio.timeout(min(self.deadline, 20)):
                listed = await self._client.models.list()
                names = [one.id for one in listed.data or []]
        except openai.APIStatusError as error:
            if error.status_code in (401, 403):
                raise FatalError(self._fatal(error)) from None
            return
        except (openai.APIConnectionError, TimeoutError) as error:
            raise FatalError(f"{self.where}: no server answers ({plain(error)})") from None
        except Exception:  # A list that cannot be read says nothing.
            return
        model = self.settings.model
        if names and model not in names:
            some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            hint = did_you_mean(model, names)
            raise FatalError(f"{self.where}: no model is called {model!r}{hint} (it has {some})")

    async def ask(self, call: Call, journal: Journal) -> tuple[Choice, ...]:
        """Return the answers to a call; see `values.Model`."""
        first, found = call.request.first, dict[int, Choice]()
        wanted = list(range(first, first + call.request.samples))
        while wanted and self._several is not False:
            draws = tuple(wanted)
            choices = await self._request(call, draws, journal)
            found |= {one.draw: one for one in choices}
            if len(draws) > 1:
                self._several = len(choices) > 1
            wanted = [draw for draw in wanted if draw not in found]
        rest = [self._request(call, (draw,), journal) for draw in wanted]
        reasons: list[BaseException] = []
        for got in await asyncio.gather(*rest, return_exceptions=True):
            if isinstance(got, BaseException):
                reasons.append(got)
            else:
                found |= {one.draw: one for one in got}
        choices = tuple(found[draw] for draw in sorted(found))
        for reason in sorted(reasons, key=lambda one: isinstance(one, UnansweredError)):
            raise UnansweredError(reason.reason, choices) if isinstance(reason, UnansweredError) else reason
        return choices

    async def _request(self, call: Call, draws: tuple[int, ...], journal: Journal) -> tuple[Choice, ...]:
        """Ask for some draws, again and again while that may help."""
        from tenacity import (
            AsyncRetrying,
            RetryCallState,
            retry_if_exception_type,
            stop_after_attempt,
            wait_random_exponential,
        )

        jittered = wait_random_exponential(multiplier=1, max=LONGEST_WAIT)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome is not None else None
            asked = error.wait if isinstance(error, _AgainError) else None
            return jittered(state) if asked is None else asked

        again = AsyncRetrying(
            stop=stop_after_attempt(self.attempts),
            wait=wait,
            retry=retry_if_exception_type(_AgainError),
            reraise=True,
        )
        paid = 0
        try:
            async for attempt in again:
                last = attempt.retry_state.attempt_number >= self.attempts or paid + 1 >= MOST_PAID
                with attempt:
                    try:
                        reply = await self._attempt(call, draws, journal, last=last)
                    except _AgainError as error:
                        # What may have been paid for and is lost is not bought again and again.
                        paid += error.paid
                        if paid >= MOST_PAID:
                            raise UnansweredError(str(error)) from None
                        raise
        except _AgainError as error:
            self._dry += 1
            if (self._dry >= HOPELESS and not self._answered) or self._dry >= 4 * HOPELESS:
                raise FatalError(f"{self.where}: the server does not answer any more ({error})") from None
            raise UnansweredError(str(error)) from None
        self._answered, self._dry = self._answered + 1, 0
        return reply.choices

    async def _attempt(self, call: Call, draws: tuple[int, ...], journal: Journal, *, last: bool) -> Reply:
        """Send one request and keep account of it."""
        async with AsyncExitStack() as stack:
            await self._admitted(call, draws)
            await stack.enter_async_context(self._free)
            number = await journal.sent(call, draws, self.estimate.worst(call, len(draws)))
            started = time.monotonic()
            try:
                async with asyncio.timeout(self.deadline):
                    body = await self._post(call, draws)
            except asyncio.CancelledError:
                lost = Failure(0, "stopped while it was on its way", paid=True, retried=False)
                await asyncio.shield(journal.failed(number, lost))
                raise
            except Exception as error:
                failure, raised = self._failed(error, last=last)
                await journal.failed(number, failure)
                raise raised from None
            reply = reply_of(body, draws, self.prices, time.monotonic() - started)
            if reply is None:
                failure = Failure(200, "the answer cannot be read", paid=True, retried=not last)
                await journal.failed(number, failure)
                raise _AgainError("the server's answer cannot be read", paid=True)
            self.estimate.met(call, reply.prompt_tokens)
            await journal.answered(number, reply)
            return reply

    async def _admitted(self, call: Call, draws: tuple[int, ...]) -> None:
        """Wait until the rates allow a request."""
        amounts = (1, sum(self.estimate.tokens(call, len(draws))))
        for limit, amount in zip(self._limits, amounts, strict=True):
            if limit is not None:
                await limit.acquire(min(amount, limit.max_rate))
        while (left := self._until - time.monotonic()) > 0:
            await asyncio.sleep(left)

    async def _post(self, call: Call, draws: tuple[int, ...]) -> bytes:
        """Send a request and return the body that came, at most LARGEST_BODY bytes of it."""
        completions = self._client.chat.completions.with_streaming_response
        async with completions.create(**self._said(call, draws)) as response:
            self._heed(response.headers)
            parts, size = [], 0
            async for part in response.iter_bytes():
                size += len(part)
                if size > LARGEST_BODY:
                    return b""
                parts.append(part)
        return b"".join(parts)

    def _said(self, call: Call, draws: tuple[int, ...]) -> dict[str, Any]:
        settings, picture = self.settings, call.picture
        data = base64.b64encode(picture.data).decode("ascii")
        url = {"url": f"data:{picture.media_type};base64,{data}", "detail": settings.detail}
        content = [{"type": "text", "text": call.prompt.text}, {"type": "image_url", "image_url": url}]
        said: dict[str, Any] = {
            "model": settings.model,
            "messages": [{"role": "user", "content": content}],
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "seed": seed_of(settings, call, draws[0]),
            LIMITS[self._limit]: settings.max_tokens,
        }
        if len(draws) > 1:
            said["n"] = len(draws)
        kind = FORMATS[self._format]
        if kind == "json_schema":
            schema = {"name": "answer", "strict": True, "schema": dict(call.prompt.schema)}
            said["response_format"] = {"type": kind, "json_schema": schema}
        elif kind:
            said["response_format"] = {"type": kind}
        return said

    def _heed(self, headers: Mapping[str, str]) -> None:
        """Pause everything where the server says that nothing is left until then."""
        for what in ("requests", "tokens"):
            if headers.get(f"x-ratelimit-remaining-{what}") == "0":
                wait = seconds_of(headers.get(f"x-ratelimit-reset-{what}", ""))
                self._pause(wait)

    def _pause(self, seconds: float | None) -> None:
        if seconds is not None:
            self._until = max(self._until, time.monotonic() + min(seconds, LONGEST_WAIT))

    def _failed(self, error: Exception, *, last: bool) -> tuple[Failure, Exception]:
        """Return what is to be kept of a failure, and what is to be raised."""
        import openai

        if isinstance(error, openai.APIStatusError):
            return self._refused_by(error, last=last)
        if isinstance(error, TimeoutError | openai.APITimeoutError):
            message = f"no answer within {self.deadline:g} s"
            return Failure(0, message, paid=True, retried=not last), _AgainError(message, paid=True)
        if isinstance(error, openai.APIConnectionError):
            reached = type(error.__cause__).__name__ not in ("ConnectError", "ConnectTimeout", "PoolTimeout")
            message = f"the connection broke ({plain(error.__cause__ or error)})"
            return Failure(0, message, paid=reached, retried=not last), _AgainError(message, paid=reached)
        message = f"the answer broke off ({plain(error)})"
        return Failure(0, message, paid=True, retried=not last), _AgainError(message, paid=True)

    def _refused_by(self, error: Any, *, last: bool) -> tuple[Failure, Exception]:
        code, message = error.status_code, told(error)
        spent = code == 429 and "insufficient_quota" in told(error, code=True)
        if code in (401, 403, 404) or spent:
            return Failure(code, message, paid=False, retried=False), FatalError(
                self._fatal(error, spent=spent)
            )
        if code in AGAIN or code >= 500:
            wait = retry_after(error.response.headers)
            if code == 429:
                self._pause(wait)
            kept = Failure(code, message, paid=False, retried=not last)
            return kept, _AgainError(f"the server says {code}: {message}", wait)
        if self._adapted(code, message):
            return Failure(code, message, paid=False, retried=not last), _AgainError(message, 0.0)
        self._refused += 1
        if self._refused >= HOPELESS and not self._answered:
            fatal = FatalError(f"{self.where}: refuses every request ({code}: {message})")
            return Failure(code, message, paid=False, retried=False), fatal
        return Failure(code, message, paid=False, retried=False), UnansweredError(f"{code}: {message}")

    def _adapted(self, code: int, message: str) -> bool:
        """Ask for less, or by another name, where a server does not know what was asked for."""
        if code not in (400, 422):
            return False
        text = message.lower()
        if LIMITS[1] in text and self._limit == 0:
            self._limit = 1
            return True
        formal = any(word in text for word in ("response_format", "json_schema", "schema"))
        if formal and self._format + 1 < len(FORMATS):
            self._format += 1
            return True
        if "'n'" in text or '"n"' in text:
            changed, self._several = self._several is not False, False
            return changed
        return False

    def _fatal(self, error: Any, *, spent: bool = False) -> str:
        code, why = error.status_code, told(error)
        if spent:
            return f"{self.where}: the account has no credit left ({why})"
        if code == 401:
            return f"{self.where}: the key in {self.key_from} is not accepted ({why})"
        if code == 403:
            return f"{self.where}: the key in {self.key_from} may not do this ({why})"
        return f"{self.where}: no model is called {self.settings.model!r}, or no such address ({why})"


def seed_of(settings: Settings, call: Call, draw: int) -> int:
    """Return the seed of a draw: another for every draw of every line, the same in every run."""
    words = "\n".join(map(str, (settings.seed, *call.request.line, draw)))
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:4], "big") >> 1


def _limiter(a_minute: float | None) -> Any:
    if a_minute is None:
        return None
    from aiolimiter import AsyncLimiter

    return AsyncLimiter(a_minute, 60)
