"""What requests cost, by prices that the user gives; none ship with the program, since they change."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seke.vision.values import Call, Settings

MILLION = 1_000_000
LETTERS_A_TOKEN = 2
PICTURE_TOKENS = 3_000
SPARE = 1.2


@dataclass(frozen=True)
class Prices:
    """USD for a million tokens of prompts, of the part of prompts that the server had cached, and of answers.

    batch: what share of these a batch costs.
    """

    prompt: float
    answer: float
    cached: float | None = None
    batch: float = 0.5

    def of(self, prompt: int, cached: int, answer: int) -> float:
        """Return the price of tokens, USD; cached: those of the prompt that were."""
        less = self.prompt if self.cached is None else self.cached
        return ((prompt - cached) * self.prompt + cached * less + answer * self.answer) / MILLION

    def in_batch(self) -> Prices:
        """Return the prices of what is asked in a batch."""
        cached = None if self.cached is None else self.cached * self.batch
        return replace(
            self, prompt=self.prompt * self.batch, answer=self.answer * self.batch, cached=cached, batch=1.0
        )


class Estimate:
    """The most that a request can cost.

    Until replies tell how long prompts are, a token is taken to be two letters, and a picture 3,000 tokens,
    which is more than common models count; from then on the longest prompt that was met and a fifth more.
    """

    def __init__(self, prices: Prices | None, settings: Settings) -> None:
        self.prices, self.settings = prices, settings
        self.longest: dict[str, int] = {}

    def met(self, call: Call, prompt_tokens: int | None) -> None:
        """Note how many tokens a prompt had."""
        if prompt_tokens is not None:
            question = call.request.question
            self.longest[question] = max(self.longest.get(question, 0), prompt_tokens)

    def tokens(self, call: Call, answers: int) -> tuple[int, int]:
        """Return the most tokens of prompt and answers."""
        known = self.longest.get(call.request.question)
        letters = len(call.prompt.text) + len(str(call.prompt.schema))
        prompt = letters // LETTERS_A_TOKEN + PICTURE_TOKENS if known is None else math.ceil(known * SPARE)
        return prompt, answers * self.settings.max_tokens

    def worst(self, call: Call, answers: int) -> float | None:
        """Return the most that a request for so many answers can cost, USD; None where no price is known."""
        return None if self.prices is None else self.prices.of(*self._of(call, answers))

    def _of(self, call: Call, answers: int) -> tuple[int, int, int]:
        prompt, answer = self.tokens(call, answers)
        return prompt, 0, answer
