"""People that a policy may ask: an item waits for their answer, while a model answers at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.model.knowledge import Knowledge


def is_person(knowledge: Knowledge, observer: str) -> bool:
    """Return whether an observer consists of people and no model answers in its place."""
    return knowledge.observers[observer].people and observer not in knowledge.policy.models


def people_asked(knowledge: Knowledge) -> tuple[str, ...]:
    """Return the observers that the policy may ask which are people (`is_person`), in its order."""
    policy = knowledge.policy
    names = dict.fromkeys(name for name in (policy.ask, *policy.others) if name)
    return tuple(name for name in names if is_person(knowledge, name))


def price_of(knowledge: Knowledge, observer: str, question: str, answers: int) -> float:
    """Return the price of one request for so many answers; of people each answer is a look of its own."""
    asked, cost = knowledge.questions[question], knowledge.observers[observer].cost
    if is_person(knowledge, observer):
        return asked.price(1) * answers * cost
    return asked.price(answers) * cost
