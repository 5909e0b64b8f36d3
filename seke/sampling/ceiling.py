"""The ceiling: the share of values that would be accepted with endless answers of the policy's observers.

Answers of one observer say ever less: what it has settled on about an item stays what it is. So tables that
were declared, and not measured, put a ceiling on what a policy can accept, whatever is paid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seke.sampling.loop import Request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine import Answers
    from seke.inference.session import Session
    from seke.sampling.loop import AnswerSource

# Answers of each question that stand for endless ones: more of them moved no share by a hundredth.
ENDLESS = 64


def ceiling(
    session: Session, names: Sequence[str], source: AnswerSource, known: Answers
) -> Mapping[str, float]:
    """Return level -> the share of its values that would be accepted of these items.

    Every question that tells nothing is asked ENDLESS times, those about one variable about each that the
    observer reports, of each observer that the policy may ask, in the usual view. known: answers that there
    are without asking.
    """
    base = session.knowledge
    answers = known
    for observer in dict.fromkeys((base.policy.ask, *base.policy.others)):
        instruments = base.observers[observer].instruments
        for question in (question for question in base.questions.values() if not question.tells):
            reported = [name for name in question.variables if name in instruments]
            for about in reported if question.about_one else [None] * bool(reported):
                line = (observer, question.name, about, base.usual_view)
                answers = answers.joined(source.ask([Request(name, *line, 0, ENDLESS) for name in names]))
    levels = session.levels(answers)
    return {
        level: sum(float(levels[name].accepted.mean()) for name in members) / len(members)
        for level, members in base.levels.items()
    }
