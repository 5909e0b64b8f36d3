"""What an observer answered before about one variable, for questions that state it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from engine import Answers, Knowledge

# How a prompt says what contradicts an answer, by the kind of a contradiction; a rule says it itself.
AGAINST = {
    "reading": "what was answered about the same face at another time",
    "label": "what others say of the same face",
    "answers": "what was answered about the rest of the same face",
}


def earlier_answer(base: Knowledge, answers: Answers, observer: str, about: str) -> str | bool | float | None:
    """Return the answer that an observer gave most often about a variable; None where it gave none.

    answers: about one item. Of numbers it is the mean, on the observer's grid; of as many the first counts.
    Answers to questions that state an earlier one are left out.
    """
    recalls = np.array([question.recall for question in base.questions.values()], dtype=bool)
    asked = answers.reading_observer == list(base.observers).index(observer)
    asked &= ~recalls[answers.reading_question]
    instruments = base.observers[observer]
    if about in answers.numbers:
        values = answers.numbers[about].value[asked[answers.numbers[about].reading]]
        grid = instruments.numbers[about].grid if values.size else 1.0
        return round(round(float(values.mean()) / grid) * grid, 9) if values.size else None
    if about not in answers.labels:
        return None
    labels = answers.labels[about]
    chosen = labels.answer[asked[labels.reading] & ~labels.spread]
    if not chosen.size:
        return None
    answer = int(np.bincount(chosen).argmax())
    return (
        bool(answer) if base.variables[about].kind == "binary" else instruments.labels[about].answers[answer]
    )


def against_in_words(base: Knowledge, contradiction: str) -> str:
    """Return how a prompt says what contradicts an answer; contradiction: as `Option.check` has it."""
    kind, _, name = contradiction.partition(" ")
    statements = {rule.name: rule.statement for rule in base.rules}
    if kind == "rule" and statements.get(name):
        return f"what mostly holds: {statements[name].rstrip('.')}"
    return AGAINST.get(kind, "")
