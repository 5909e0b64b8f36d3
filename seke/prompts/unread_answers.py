"""Answers that cannot be read or judge nothing, counted by observer and question: when to ask no further."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine import Sight
    from seke.vision.messages import Choice

# Answers of an observer to a question, all of them unreadable, after which it is not asked any more.
UNREADABLE_LIMIT = 40
# Answers after which a run may stop, and how many of each 40 then judge nothing. A server that blurs faces
# blurs them all, but a model guesses now and then. Of pictures of which four in five cannot be judged, 38 of
# 40 or more come so with a probability of .008 (binomial), of half of them with one of 1e-9.
FEWEST, SHARE = 40, 38 / 40
# Letters of such an answer that are shown.
SHOWN = 80


class UnreadAnswers:
    """Counts how the answers of each observer to each question were read."""

    def __init__(self) -> None:
        self._statuses: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)

    def note(
        self,
        observer: str,
        question: str,
        statuses: Iterable[str],
        last: Choice | None,
        sight: Sight | None = None,
        *,
        off_scale: bool = False,
    ) -> str:
        """Note answers; return in words why no further ones are worth asking for, or no text.

        last: the last of these answers, if there are any. sight: what they say first. off_scale: whether the
        last has numbers on another scale than the question's.
        """
        counts = self._statuses[observer, question]
        counts.update(statuses)
        if blurred := blurred_problem(question, counts, sight):
            return blurred
        if last is None or set(counts) != {"unreadable"} or counts["unreadable"] < UNREADABLE_LIMIT:
            return ""
        ended = last.ended.removeprefix("ended ") or "at --max-tokens"
        detail = f"they end {ended}" if last.cut else f"such as {last.text[:SHOWN]!r}"
        if off_scale:
            detail = f"numbers on another scale than it asks for, {detail}"
        problem = f"none of the first {counts['unreadable']} answers to question {question} can be read"
        return f"{problem} ({detail}); --show-prompts prints the questions"


def blurred_problem(question: str, statuses: Mapping[str, int], sight: Sight | None) -> str:
    """Return why to stop after an observer's answers to a question; an empty text where nothing is wrong.

    statuses: status -> how many of its answers have it.
    """
    answers, not_judged = sum(statuses.values()), statuses.get("not_judged", 0)
    if answers < FEWEST or not_judged < SHARE * answers:
        return ""
    word = f"{sight.key}: {sight.nothing}" if sight else "nothing can be judged"
    return (
        f"{not_judged} of the first {answers} answers to question {question} say {word!r}: this server "
        "may blur faces (some do), or the pictures show none. Look at some of them; --show-prompts says how "
        "they are sent. The same command goes on"
    )
