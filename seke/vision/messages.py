"""What passes between the loop and a vision model, and how both keep account.

Call --ask--> Choice, Choice, ...
  each request on its way: Journal.sent, then Journal.answered or Journal.failed
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from seke.sampling.loop import Request


@dataclass(frozen=True)
class Picture:
    """A picture as it is sent: encoded, upright, small enough, without metadata.

    digest: SHA-256 of `data`, in hexadecimal digits. width, height: in pixels.
    """

    data: bytes = field(repr=False)
    media_type: str
    width: int
    height: int
    digest: str


@dataclass(frozen=True)
class Prompt:
    """What is said to the model beside the picture.

    schema: JSON Schema of one answer, as structured output takes it. digest: SHA-256 of text and schema, and
    of `given`, the values that the text states of the picture, by variable, where it states any.
    """

    text: str
    schema: Mapping[str, Any]
    digest: str
    given: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str, schema: Mapping[str, Any], given: Mapping[str, Any] | None = None) -> Prompt:
        """Return the prompt of a text and a schema, with its digest."""
        parts = [text, schema, dict(given)] if given else [text, schema]
        content = json.dumps(parts, ensure_ascii=False, sort_keys=True)
        digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
        return cls(text, schema, digest, dict(given or {}))


@dataclass(frozen=True)
class Settings:
    """How a model is asked, the same in a whole run.

    seed: of the server's sampling; each draw's own is derived from it. max_tokens: of one answer. detail: how
    finely the server looks at the picture (`low`, `high` or `auto`).
    """

    model: str
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 600
    detail: str = "auto"
    seed: int = 0


@dataclass(frozen=True)
class Call:
    """A request of the loop, ready to be sent: so many answers about one picture."""

    request: Request
    prompt: Prompt
    picture: Picture


@dataclass(frozen=True)
class Choice:
    """One answer as it came.

    draw: its number in the request's line, from 0. text: as received; empty where there is none. finish: why
    it ended, in the server's word (`stop`, `length`, `content_filter`, ...). refusal: the refusal, where the
    server marks it as one.
    """

    draw: int
    text: str
    finish: str
    refusal: str | None = None


@dataclass(frozen=True)
class Reply:
    """What one request on its way brought.

    model, fingerprint: as the server names itself. tokens: of the whole request; cached of those of the
    prompt. price: in USD; None where no price is known. seconds: from sending to the last byte.
    """

    choices: tuple[Choice, ...]
    model: str
    fingerprint: str | None = None
    identity: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    price: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Failure:
    """The reason why a request that was sent brought no answer.

    code: HTTP status, or 0 where there was none. paid: whether the server may charge for it all the same (a
    connection that broke after the request had left). retried: whether the same is asked again.
    """

    code: int
    message: str
    paid: bool
    retried: bool


class Journal(Protocol):
    """Keeps account of requests on their way. What it was told is on disk when it returns."""

    async def sent(self, call: Call, draws: tuple[int, ...], worst_price: float | None) -> int:
        """Note that these draws of a call are about to be asked for, and return the request's number.

        worst_price: the most it can cost, in USD.

        Raises:
            seke.vision.errors.OutOfMoneyError: that would pass what may be spent.
        """
        ...

    async def answered(self, number: int, reply: Reply) -> None:
        """Keep what a request brought."""
        ...

    async def failed(self, number: int, failure: Failure) -> None:
        """Keep why a request brought nothing."""
        ...


class Model(Protocol):
    """Whoever answers calls: an endpoint, a recording, a script."""

    async def ask(self, call: Call, journal: Journal) -> tuple[Choice, ...]:
        """Return the answers to a call, in the order of their draws, as many as were asked for.

        An answer that is a refusal or cannot be read is an answer, and is not drawn again.

        Raises:
            seke.vision.errors.UnansweredError: this call cannot be answered; others may be. The error bears
                the choices that came.
            seke.vision.errors.FatalError: nothing can be asked any more (key, quota, model, money).
        """
        ...
