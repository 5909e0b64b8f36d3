"""The cost of requests by prices that the user gives; the program ships none, since they change.

    source: the server's page of prices, 2026-11-26      # of all that follows, or of a model alone
    models:
      some-model: {prompt: 2.0, cached: 1.0, answer: 8.0, batch: 0.5}
      llava: {prompt: 0, answer: 0, source: runs on a machine of ours}

`prompt`, `cached` and `answer` are USD for a million tokens, `batch` is the share of these in a batch.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine import SekeError, did_you_mean
from seke.files.yaml_nodes import compose_yaml
from seke.vision.messages import NO_PICTURE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from seke.vision.messages import Call, Picture, Reply, Settings

MILLION = 1_000_000
# Bounds of an estimate before the first reply: see `Estimate`.
LETTERS_A_TOKEN = 2
PICTURE_TOKENS = 3_000
# Times the longest prompt, or answer, so far.
MARGIN = 1.2
# Pixels of the side of a tile by which servers count a picture (OpenAI's guide "Images and vision").
TILE = 512
REQUIRED, OPTIONAL = ("prompt", "answer"), ("cached", "batch")


@dataclass(frozen=True)
class Prices:
    """USD for a million tokens of prompts, of the part of prompts that the server had cached, and of answers.

    batch: what share of these a batch costs.
    """

    prompt: float
    answer: float
    cached: float | None = None
    batch: float = 0.5

    def of(self, prompt: float, cached: float, answer: float) -> float:
        """Return the price of tokens, USD; cached: those of the prompt that were."""
        cached_price = self.prompt if self.cached is None else self.cached
        return ((prompt - cached) * self.prompt + cached * cached_price + answer * self.answer) / MILLION

    def in_batch(self) -> Prices:
        """Return the prices of requests that are sent in a batch."""
        cached = None if self.cached is None else self.cached * self.batch
        return replace(
            self, prompt=self.prompt * self.batch, answer=self.answer * self.batch, cached=cached, batch=1.0
        )


def read_prices(path: Path, model: str) -> Prices:
    """Read the prices of a model from a file in the form above.

    Raises:
        engine.SekeError: what is wrong, with file and line; the model is not among them.
    """
    root = compose_yaml(path)
    top = _fields(path, root, ("source", "models"))
    if "models" not in top:
        raise SekeError(f"{path}:1: models: is missing")
    models = _fields(path, top["models"])
    if model not in models:
        hint = did_you_mean(model, models) or f" (it has {', '.join(models)})"
        raise SekeError(f"{path}: no prices of {model!r}{hint}")
    fields = _fields(path, models[model], (*REQUIRED, *OPTIONAL, "source"))
    place = f"{path}:{models[model].start_mark.line + 1}: models.{model}"
    for name in REQUIRED:
        if name not in fields:
            raise SekeError(f"{place}: {name} is missing")
    source = fields.pop("source", top.get("source"))
    if source is None or not str(source.value).strip():
        raise SekeError(f"{place}: no source; state where these prices are from, and their date")
    return Prices(**{name: _number(path, name, node) for name, node in fields.items()})


def _fields(path: Path, node: Any, allowed: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the value node of each key of a YAML mapping."""
    line = node.start_mark.line + 1 if node is not None else 1
    if node is None or node.id != "mapping":
        raise SekeError(f"{path}:{line}: a mapping belongs here")
    fields: dict[str, Any] = {}
    for key, value in node.value:
        name, place = str(key.value), f"{path}:{key.start_mark.line + 1}"
        if name in fields:
            raise SekeError(f"{place}: {name} is there twice")
        if allowed is not None and name not in allowed:
            raise SekeError(f"{place}: no such key: {name}; allowed are {', '.join(allowed)}")
        fields[name] = value
    return fields


def _number(path: Path, name: str, node: Any) -> float:
    try:
        value = float(node.value) if node.id == "scalar" else math.nan
    except ValueError:
        value = math.nan
    largest = 1.0 if name == "batch" else math.inf
    if not (0 <= value <= largest and math.isfinite(value)):
        allowed = "a share from 0 to 1" if name == "batch" else "USD for a million tokens, at least 0"
        shown = node.value if node.id == "scalar" else f"a {node.id}"
        raise SekeError(f"{path}:{node.start_mark.line + 1}: {name}: {shown}; allowed is {allowed}")
    return value


class Estimate:
    """The most that a request can cost.

    Until a reply tells how long prompts are, a token is taken to be two letters, and a picture 3,000 tokens,
    which is more than most models count. From then on a prompt has at most a fifth more than the longest so
    far to its question; of a larger picture than was met, so much more as it has more pixels or tiles; of a
    question without a reply, the longest of all and a token for each byte of its text. An answer has at most
    as many tokens as are asked for; whether a server keeps to that, `note` tells. Where there is no picture,
    a prompt has at most a fifth more tokens than bytes.
    """

    def __init__(self, prices: Prices | None, settings: Settings) -> None:
        self.prices, self.settings = prices, settings
        self.longest: dict[str, int] = {}
        self.largest = (1, 1)
        self.answer = settings.max_tokens
        self._probe: asyncio.Event | None = None
        self._answered = False

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Let the first request go alone where prices are known: its answer says what the others can cost."""
        while self._probe is not None:
            await self._probe.wait()
        if self.prices is None or self._answered:
            yield
            return
        self._probe = asyncio.Event()
        try:
            yield
        finally:
            self._probe.set()
            self._probe = None

    def note(self, call: Call, reply: Reply) -> str:
        """Note how many tokens a prompt and its answers had; return in words if these passed their bound."""
        self._answered = True
        if reply.prompt_tokens is not None:
            question = call.request.question
            self.longest[question] = max(self.longest.get(question, 0), reply.prompt_tokens)
            pixels, tiles = _extent(call.picture)
            self.largest = max(self.largest[0], pixels), max(self.largest[1], tiles)
        answer = math.ceil((reply.completion_tokens or 0) / max(len(reply.choices), 1))
        most = self.settings.max_tokens
        if answer <= most:
            return ""
        self.answer = max(self.answer, math.ceil(answer * MARGIN))
        return f"an answer took {answer:,} tokens where at most {most:,} were asked for (--max-tokens)"

    def tokens(self, call: Call, answers: int) -> tuple[int, int]:
        """Return the most tokens of prompt and answers."""
        if call.picture == NO_PICTURE:
            # Texts of one question have any length.
            return math.ceil(call.prompt.bytes * MARGIN), answers * self.answer
        if not self.longest:
            prompt = call.prompt.letters // LETTERS_A_TOKEN + PICTURE_TOKENS
            return prompt, answers * self.answer
        pixels, tiles = _extent(call.picture)
        larger = max(1.0, pixels / self.largest[0], tiles / self.largest[1])
        longest = self.longest.get(call.request.question)
        if longest is None:
            longest = max(self.longest.values()) + call.prompt.bytes
        return math.ceil(longest * larger * MARGIN), answers * self.answer

    def worst(self, call: Call, answers: int) -> float | None:
        """Return the most that a request for so many answers can cost, USD; None where no price is known."""
        if self.prices is None:
            return None
        prompt, answer = self.tokens(call, answers)
        return self.prices.of(prompt, 0, answer)


def _extent(picture: Picture) -> tuple[int, int]:
    """Return a picture's pixels and tiles, at least one."""
    width, height = max(picture.width, 1), max(picture.height, 1)
    return width * height, math.ceil(width / TILE) * math.ceil(height / TILE)
