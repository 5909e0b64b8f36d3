"""Made-up answers about faces whose truth is known: what a model could say to each question, draw by draw."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from engine import view_in_form
from seke.prompts import Questions
from seke.sampling.loop import Request
from seke.vision.messages import Call, Picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine import Knowledge
    from seke.vision.fake import ScriptedModel

    Record = dict[str, Any]

# Draws of each question, and of those about one variable: more than the shipped policy ever asks for.
DRAWS, ABOUT_ONE = 8, 6


def truths_of(base: Knowledge, meant: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return item -> variable -> value. meant: item -> its `truth`, and the `units` that are present."""
    return {
        item: {**facts["truth"], **{cell: cell in facts["units"] for cell in base.cells}}
        for item, facts in meant.items()
    }


def made_up_answers(base: Knowledge, model: ScriptedModel, observer: str) -> Iterator[Record]:
    """Yield answers to every question about each item of the model's truths, as `RecordedModel` reads them.

    observer: who answers. Nobody looks at a picture.
    """
    questions, unseen = Questions(base), Picture(b"", "image/png", 0, 0, "")
    for item in model.truths:
        for question in base.questions.values():
            abouts = question.variables if question.about_one else (None,)
            for about, form in itertools.product(abouts, range(question.forms)):
                view, draws = view_in_form(base.usual_view, form), ABOUT_ONE if about else DRAWS
                request = Request(item, observer, question.name, about, view, 0, draws)
                call = Call(request, questions.prompt(request), unseen)
                reading = {"item": item, "observer": observer, "question": question.name}
                reading |= {"about": about} if about else {}
                reading |= {"view": view} if form else {}
                for draw in range(draws):
                    text = model.answer(call, draw).text
                    yield {**reading, "draw": draw, "text": text, "scripted": True}
