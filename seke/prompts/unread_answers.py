"""Answers that cannot be read, counted by observer and question: when it is not worth asking on."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seke.vision.messages import Choice

# Answers of an observer to a question, all of them unreadable, after which it is not asked any more.
UNREADABLE_LIMIT = 40
# Letters of such an answer that are shown.
SHOWN = 80


class UnreadAnswers:
    """Counts how the answers of each observer to each question were read."""

    def __init__(self) -> None:
        self._statuses: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)

    def note(self, observer: str, question: str, statuses: Iterable[str], last: Choice | None) -> str:
        """Note answers; return in words why no further ones are worth asking for, or no text.

        last: the last of these answers, if there are any.
        """
        counts = self._statuses[observer, question]
        counts.update(statuses)
        if last is None or set(counts) != {"unreadable"} or counts["unreadable"] < UNREADABLE_LIMIT:
            return ""
        ended = last.ended.removeprefix("ended ") or "at --max-tokens"
        detail = f"they end {ended}" if last.cut else f"such as {last.text[:SHOWN]!r}"
        problem = f"none of the first {counts['unreadable']} answers to question {question} can be read"
        return f"{problem} ({detail}); --show-prompts prints the questions"
