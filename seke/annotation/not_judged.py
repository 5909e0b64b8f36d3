"""When a run is to stop because nearly all of its first answers judge nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import Question

# Answers after which a run may stop, and how many of each 40 then judge nothing. A server that blurs faces
# blurs them all, but a model guesses now and then. Of pictures of which four in five cannot be judged, 38 of
# 40 or more come so with a probability of .008 (binomial), of half of them with one of 1e-9.
FEWEST, SHARE = 40, 38 / 40


def blurred_problem(question: Question, statuses: Mapping[str, int]) -> str:
    """Return why to stop after an observer's answers to a question; an empty text where nothing is wrong.

    statuses: status -> how many of its answers have it.
    """
    answers, not_judged = sum(statuses.values()), statuses.get("not_judged", 0)
    if answers < FEWEST or not_judged < SHARE * answers:
        return ""
    word = f"{question.sight.key}: {question.sight.nothing}" if question.sight else "nothing can be judged"
    return (
        f"{not_judged} of the first {answers} answers to question {question.name} say {word!r}: this server "
        "may blur faces (some do), or the pictures show none. Look at some of them; --show-prompts says how "
        "they are sent. The same command goes on; with --retry-refused it asks these again"
    )
