"""The prices of a run's questions, measured on its first items: tokens -> prices in the unit of the base.

The first items of a run are its pilot. They are asked by prices that are estimated before anything is sent,
from the lengths of each question's texts, picture and answers; what a server keeps of them is not known then,
so that nothing of a prompt counts as cached. Once each of these items is settled the
prices of the questions that were answered often enough are computed from the tokens of the pilot's requests
alone, and kept in the ledger. All other items are asked by these. So what is decided about an item depends
neither on when its answers came nor on whether the run was stopped in between.

Of a question with R requests and n answers, of P prompt tokens (C of them cached) and A answer tokens:

    cost = price(P, C) / R + price(A) / n        further = price(A) / n

where a request holds several answers. Where the server gives one answer a request, `cost` is that of the
first requests of each item, `further` that of those after it. The unit is the declared cost of the question
with the most answers, which stays as it is.

Where a run asks several models, the questions are measured by what the first one answers. What an answer of
another one costs beside that stays the observer's declared `cost`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine import Knowledge
    from seke.annotation.expected_tokens import RequestLength
    from seke.inference.session import Session
    from seke.runs.ledger import Ledger, RequestTokens
    from seke.vision.prices import Prices

# Items that are asked by the estimated prices. Most ask for one or two answers of the first question, so that
# it has its fewest answers with room to spare.
PILOT_ITEMS = 40
# Fewest answers of a question from which its price is taken: the mean of twenty answers' lengths is within a
# tenth or so, where one of them varies by half.
FEWEST_ANSWERS = 20
# Of a price, in the unit of the base.
DIGITS = 6
# The fact of a run that holds the prices by which it began.
ESTIMATED, MEASURED = "estimated_prices", "prices"
# The fact that names the items of the pilot; empty where nothing is measured.
PILOT = "pilot"


def pilot_of(ledger: Ledger, names: Sequence[str]) -> list[str]:
    """Return the items of a run's pilot, as its ledger has it, and keep them there; none of a small run."""
    kept: list[str] | None = ledger.facts(PILOT).get(PILOT)
    if kept is not None:
        return kept
    if len(names) <= PILOT_ITEMS:
        return []
    ledger.note({PILOT: list(names[:PILOT_ITEMS])})
    return list(names[:PILOT_ITEMS])


def stored_or_measured_prices(
    ledger: Ledger, base: Knowledge, pilot: Sequence[str], prices: Prices
) -> dict[str, Any]:
    """Return the prices of questions in a run's ledger; measure and store them where it has none.

    prices: of the tokens of the observer that the policy asks first, by whose requests they are measured.
    """
    if not ledger.facts(MEASURED):
        requests = ledger.tokens(pilot, base.policy.ask)
        ledger.note({MEASURED: measure_prices(base, requests, prices)})
    kept: dict[str, Any] = ledger.facts(MEASURED)[MEASURED]
    return kept


def estimate_prices(
    base: Knowledge, unit: str, lengths: Mapping[str, RequestLength], prices: Prices
) -> dict[str, Any]:
    """Return the prices of questions before any was asked, as facts: question -> cost and further.

    unit: the question whose declared cost stays. lengths: question -> tokens of a request for one answer.
    Nothing is estimated where nothing is paid.
    """
    paid = {name: prices.of(length.prompt, 0, length.answer) for name, length in lengths.items()}
    if not paid.get(unit) or not base.questions[unit].cost:
        return {}
    scale = base.questions[unit].cost / paid[unit]
    return {
        name: {
            "cost": round(paid[name] * scale, DIGITS),
            "further": round(prices.of(0, 0, length.answer) * scale, DIGITS),
        }
        for name, length in lengths.items()
    }


@dataclass(frozen=True)
class _Bill:
    """The mean price of a question's answers, in USD: of the first of a request, and of further ones.

    further is None where no request shows what a further answer costs.
    """

    answers: int
    first: float
    further: float | None


def measure_prices(base: Knowledge, requests: Iterable[RequestTokens], prices: Prices) -> dict[str, Any]:
    """Return the prices of questions as facts for the ledger: question -> cost, further and answers.

    Questions with fewer than FEWEST_ANSWERS answers are left out, and all where nothing is paid.
    """
    grouped: dict[str, list[RequestTokens]] = {}
    for request in requests:
        grouped.setdefault(request.question, []).append(request)
    bills = {name: _bill(grouped[name], prices) for name in base.questions if name in grouped}
    bills = {name: bill for name, bill in bills.items() if bill.answers >= FEWEST_ANSWERS and bill.first > 0}
    if not bills:
        return {}
    # Of equally many answers the question that the base names first.
    unit = max(bills, key=lambda name: bills[name].answers)
    scale = base.questions[unit].cost / bills[unit].first
    if not scale:
        return {}
    measured = {}
    for name, bill in bills.items():
        question = base.questions[name]
        cost = bill.first * scale
        declared = question.further_cost / question.cost if question.cost else 1.0
        further = cost * declared if bill.further is None else bill.further * scale
        measured[name] = {
            "cost": round(cost, DIGITS),
            "further": round(further, DIGITS),
            "answers": bill.answers,
        }
    return measured


def _bill(requests: Sequence[RequestTokens], prices: Prices) -> _Bill:
    answers = sum(request.answers for request in requests)
    answer_price = prices.of(0, 0, sum(request.answer_tokens for request in requests)) / max(answers, 1)
    if any(request.answers > 1 for request in requests):
        return _Bill(answers, _prompt_price(requests, prices) + answer_price, answer_price)
    first_requests = [request for request in requests if request.draw == 0] or requests
    # A request for the first of several answers that brought one: the server gives one at a time.
    alone = any(request.wanted > 1 for request in requests)
    later = [request for request in requests if request.draw > 0]
    further = _prompt_price(later, prices) + answer_price if alone and later else None
    return _Bill(answers, _prompt_price(first_requests, prices) + answer_price, further)


def _prompt_price(requests: Sequence[RequestTokens], prices: Prices) -> float:
    """Return the mean price of the requests' prompts, in USD."""
    prompt = sum(request.prompt_tokens for request in requests)
    cached = sum(request.cached_tokens for request in requests)
    return prices.of(prompt, cached, 0) / len(requests)


def with_prices(session: Session, prices: Mapping[str, Mapping[str, float]]) -> Session:
    """Return the session with these prices of questions, question -> cost and further."""
    if not prices:
        return session
    base = session.knowledge
    changed = {
        name: replace(question, cost=prices[name]["cost"], further=prices[name]["further"])
        for name, question in base.questions.items()
        if name in prices
    }
    return session.with_knowledge(replace(base, questions={**base.questions, **changed}))


def price_lines(prices: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return measured or estimated prices as lines of YAML, as an overlay's `questions` takes them."""
    return [
        f"{name}: {{cost: {price['cost']:g}, further: {price['further']:g}}}"
        + (f"  # {price['answers']:,} answers" if "answers" in price else "")
        for name, price in prices.items()
    ]
