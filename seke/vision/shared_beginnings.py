"""How much of its requests a server can keep that stores how requests begin (a prefix cache).

Counted in letters of the texts, pictures and forms apart: what stands before the first difference. Some
servers put the form before all texts, so that only requests with the same form begin alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seke.vision.messages import Prompt, Settings


@dataclass(frozen=True)
class SentPrompt:
    """A prompt, in how many requests it was sent, and about how many different pictures."""

    system: str
    text: str
    requests: int
    pictures: int


def letters_before_picture(prompt: Prompt, settings: Settings) -> int:
    """Return the letters with which a question about any other picture begins as well."""
    return len(prompt.system) + len(prompt.text) * (settings.picture == "last")


def common_letters(first: Prompt, second: Prompt, settings: Settings) -> int:
    """Return the letters with which two questions about the same picture begin alike.

    The picture counts as no letters; after a question that differs nothing is alike any more.
    """
    if settings.picture == "first" and first.system != second.system:
        return common_prefix(first.system, second.system)
    return common_prefix(first.system + first.text, second.system + second.text)


def common_prefix(first: str, second: str) -> int:
    """Return how many letters two texts begin with alike."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(first), len(second)))


def reusable_share(prompts: Iterable[SentPrompt], *, picture_first: bool) -> float:
    """Return the share of the letters of a run's requests that an earlier request began with.

    A question that is asked about a picture again is alike as a whole; 0 of a run without requests.
    """
    letters = reusable = 0
    systems = set[str]()
    for prompt in prompts:
        system, whole = len(prompt.system), len(prompt.system) + len(prompt.text)
        letters += prompt.requests * whole
        reusable += (prompt.requests - prompt.pictures) * whole
        known = prompt.system in systems
        if picture_first:
            reusable += (prompt.pictures - (not known)) * system
        else:
            reusable += (prompt.pictures - 1) * whole + known * system
        systems.add(prompt.system)
    return reusable / letters if letters else 0.0
