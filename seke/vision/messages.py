"""What passes between the loop and a vision model, and how both keep account.

Call --ask--> Choice, Choice, ...
  each request on its way: Journal.sent, then Journal.answered or Journal.failed
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Protocol

from seke.vision.server_errors import is_filtered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from seke.sampling.loop import Request


# How servers say that an answer ended for its length.
CUT = ("length", "max_tokens", "max_output_tokens")


def ended_in_words(answer_tokens: int | None, reasoning_tokens: int | None) -> str:
    """Return in words that an answer ended for its length; tokens: of its request."""
    share = f" ({reasoning_tokens:,} of {answer_tokens:,} spent on reasoning)" if reasoning_tokens else ""
    return f"ended at --max-tokens{share}"


@dataclass(frozen=True)
class Picture:
    """A picture as it is sent: encoded, upright, small enough, without metadata.

    digest: SHA-256 of `data` and `detail`, in hexadecimal digits. width, height: in pixels. detail: how
    finely a server looks at it; empty: as the settings say.
    """

    data: bytes = field(repr=False)
    media_type: str
    width: int
    height: int
    digest: str
    detail: str = ""


# In the place of a picture where a question is about none.
NO_PICTURE = Picture(b"", "", 0, 0, "")


@dataclass(frozen=True)
class Prompt:
    """What is said to the model beside the picture.

    schema: JSON Schema of one answer, as structured output takes it. system: what is told first, the same in
    all questions; a server can keep it. given: the values that the text states of the picture, by variable.
    digest: SHA-256 of all of these.
    """

    text: str
    schema: Mapping[str, Any]
    digest: str
    system: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, text: str, schema: Mapping[str, Any], system: str = "", given: Mapping[str, Any] | None = None
    ) -> Prompt:
        """Return the prompt of these texts, a schema and what they state, with its digest."""
        parts = [*([system] if system else []), text, schema, *([dict(given)] if given else [])]
        content = json.dumps(parts, ensure_ascii=False, sort_keys=True)
        digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
        return cls(text, schema, digest, system, dict(given or {}))

    @property
    def letters(self) -> int:
        """The letters of all that a request says, its form included."""
        return len(self.system) + len(self.text) + len(str(self.schema))

    @property
    def bytes(self) -> int:
        """The bytes of all that a request says in UTF-8; a token has one at least."""
        return len(f"{self.system}{self.text}{self.schema}".encode("utf-8", "replace"))


@dataclass(frozen=True)
class Settings:
    """How a model is asked, the same in a whole run.

    seed: of the server's sampling; each draw's own is derived from it. max_tokens: of one answer. detail: how
    finely the server looks at the picture (`low`, `high` or `auto`). picture: whether it stands before the
    question (`first`) or after it (`last`). system: whether what is told in all questions is a message of the
    system; else it begins the user's. extra: further fields of a request, as the server takes them.
    """

    model: str
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 600
    detail: str = "auto"
    seed: int = 0
    picture: str = "first"
    system: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def as_facts(self) -> dict[str, Any]:
        """Return everything as one mapping; `extra` where there are any."""
        facts = asdict(self)
        if not facts["extra"]:
            del facts["extra"]
        return facts


@dataclass(frozen=True)
class Call:
    """A request of the loop, ready to be sent: so many answers about one picture, or about `NO_PICTURE`."""

    request: Request
    prompt: Prompt
    picture: Picture


@dataclass(frozen=True)
class Choice:
    """One answer as it came.

    draw: its number in the request's line, from 0. text: as received; empty where there is none. finish: why
    it ended, in the server's word (`stop`, `length`, `content_filter`, ...). refusal: the refusal, where the
    server marks it as one. ended: in words, that it ended for its length. scripted: whether it is made up.
    """

    draw: int
    text: str
    finish: str
    refusal: str | None = None
    ended: str = ""
    scripted: bool = False

    @property
    def refused(self) -> bool:
        """Whether the model, or a filter of its server, refused to answer."""
        return self.refusal is not None or is_filtered(self.finish)

    @property
    def cut(self) -> bool:
        """Whether it ended for its length."""
        return self.finish.lower() in CUT


def consecutive_runs(draws: Iterable[int]) -> list[tuple[int, int]]:
    """Return increasing numbers as (first, length) of consecutive runs."""
    runs: list[tuple[int, int]] = []
    for draw in draws:
        if runs and sum(runs[-1]) == draw:
            runs[-1] = runs[-1][0], runs[-1][1] + 1
        else:
            runs.append((draw, 1))
    return runs


# The model of requests whose answers are made up. What is kept of a run, and of a recording of it, has it.
SCRIPTED = "scripted"


def answering_model(choices: Iterable[Choice], model: str) -> str:
    """Return the model of a request with these answers, which says so where any of them is made up."""
    return f"{SCRIPTED}: {model}" if any(choice.scripted for choice in choices) else model


def is_scripted(model: str) -> bool:
    """Return whether a model of a request says that its answers are made up."""
    return model == SCRIPTED or model.startswith(f"{SCRIPTED}: ")


@dataclass(frozen=True)
class Reply:
    """What one request on its way brought.

    model, fingerprint: as the server names itself. tokens: of the whole request; cached of those of the
    prompt, reasoning of those of the answers. price: in USD; None where no price is known. seconds: from
    sending to the last byte. note: in words why it holds no answer, where it holds none. unbounded: in words
    that it took more tokens than were asked for, where it did.
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
    reasoning_tokens: int | None = None
    note: str = ""
    unbounded: str = ""


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
