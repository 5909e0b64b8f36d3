"""The tokens that requests are expected to have before any was sent: of their texts, picture and answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from seke.datasets.images import PictureError, picture_of
from seke.prompts import Questions
from seke.vision.fake import ScriptedModel
from seke.vision.messages import Call
from seke.vision.prices import Estimate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine import Knowledge, View
    from seke.datasets.manifest import Item
    from seke.sampling.loop import Request
    from seke.vision.messages import Picture, Settings

    # Requests of one kind have prompts and answers of about the same length.
    Kind = tuple[str, str, str | None]

MOST_TRIED = 100  # pictures of which one has to be one that can be shown, so that its size is known
# Letters a token, a judgement: English prose has about four; marks and short names make it three in JSON.
PROMPT_LETTERS, ANSWER_LETTERS = 4, 3
# Pixels a token of a picture: patches of 28 x 28 (Qwen2-VL, arXiv 2409.12191).
PIXELS = 28 * 28
# Made-up answers of which the mean length is taken.
LENGTHS = 20


@dataclass(frozen=True)
class RequestLength:
    """The tokens of a request for one answer.

    prompt, answer: expected. most_prompt, most_answer: at most, see `prices.Estimate`.
    """

    prompt: float
    answer: float
    most_prompt: int
    most_answer: int


def kind_of(request: Request) -> Kind:
    """Return the kind of a request: observer, question and about."""
    return request.observer, request.question, request.about


def expected_tokens(
    base: Knowledge, items: Sequence[Item], view: View, requests: Iterable[Request], settings: Settings
) -> dict[Kind, RequestLength]:
    """Return the tokens of requests by their kind, with the first picture that can be shown.

    Raises:
        PictureError: none of the first MOST_TRIED pictures can be shown; that of the first.
    """
    estimate, questions, model = Estimate(None, settings), Questions(base), ScriptedModel()
    first_item, picture = _first_picture(items, view)
    lengths: dict[Kind, RequestLength] = {}
    for request in requests:
        key = kind_of(request)
        if key in lengths:
            continue
        call = Call(
            replace(request, item=first_item.name, view=view.name), questions.prompt(request), picture
        )
        prompt = call.prompt.letters / PROMPT_LETTERS + picture.width * picture.height / PIXELS
        texts = [model.answer(call, draw).text for draw in range(LENGTHS)]
        answer = sum(map(len, texts)) / LENGTHS / ANSWER_LETTERS
        lengths[key] = RequestLength(prompt, min(answer, settings.max_tokens), *estimate.tokens(call, 1))
    return lengths


def _first_picture(items: Sequence[Item], view: View) -> tuple[Item, Picture]:
    """Return the first item whose picture can be shown, and that picture.

    Raises:
        PictureError: none of the first MOST_TRIED can be; that of the first.
    """
    faults = list[PictureError]()
    for item in items[:MOST_TRIED]:
        try:
            return item, picture_of(item.path, view, item.box)
        except PictureError as fault:
            faults.append(fault)
    raise faults[0]
