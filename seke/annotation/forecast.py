"""What a run would ask for and cost, before anything is sent: the policy followed on made-up items."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine import prior_truth
from seke.loop import Loop, Request, follow
from seke.pictures import picture_of, view_of
from seke.questions import Questions
from seke.sources import SimulatedSource
from seke.vision.prices import Estimate
from seke.vision.values import Call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seke.annotation.job import Job
    from seke.vision.prices import Prices
    from seke.vision.values import Settings

MADE_UP = 200
ANSWER_LETTERS = 4


@dataclass(frozen=True)
class Forecast:
    """For all items: answers by question, tokens of prompts and answers, and their price in USD.

    price is None where no prices are known. The tokens are the most that they may be; see `prices.Estimate`.
    """

    items: int
    answers: Mapping[str, float]
    prompt_tokens: float
    answer_tokens: float
    price: float | None


def forecast(job: Job, settings: Settings, prices: Prices | None, seed: int = 0) -> Forecast:
    """Return what the job's items would take, were they like made-up ones of its base."""
    session, base = job.annotator.session, job.annotator.base
    first = job.items[0]
    names = [f"made-up-{i}" for i in range(MADE_UP)]
    per_item: Counter[tuple[str, str | None]] = Counter()
    rule, option = job.annotator.rule, session.first
    if rule is None:
        truth = prior_truth(session.inference, MADE_UP, np.random.default_rng(seed))
        standing = follow(Loop(session), names, SimulatedSource(session.inference, names, truth, seed))
        for (_, _, question, about, _), count in standing.given.items():
            per_item[question, about] += count
    elif option is not None:
        # Without answers a rule's wants are not known; at most it takes the budget.
        per_item[option.question, option.about] = rule([]) * MADE_UP
    estimate, questions = Estimate(prices, settings), Questions(base)
    scale = len(job.items) / MADE_UP
    view = view_of(base, option.view if option is not None else "face")
    picture = picture_of(first.path, view, first.box)
    prompt = answer = 0.0
    answers: Counter[str] = Counter()
    for (question, about), count in per_item.items():
        request = Request(first.name, base.policy.ask, question, about, view.name, 0, 1)
        tokens = estimate.tokens(Call(request, questions.prompt(request), picture), 1)
        prompt += tokens[0] * count * scale
        answer += tokens[1] * count * scale
        answers[question] += count
    price = None if prices is None else prices.of(round(prompt), 0, round(answer))
    return Forecast(
        len(job.items), {name: count * scale for name, count in answers.items()}, prompt, answer, price
    )
