"""Cells of a tool's table -> what they say: marks, probabilities, scores, numbers and names."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from engine import AnswerError
from seke.files.rows import describe_met, is_missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from seke.files.rows import RowSource
    from seke.formats.declaration import Cells

# How far probabilities may be off by rounding: three decimals of eight classes come to half of it.
ROUNDING = 0.01
# A share of nothing: what exp makes of a difference of logits beyond is 0 in double precision.
LARGEST_LOGIT = 700.0
ALLOWED = {
    "mark": "1 or 0",
    "probability": "a probability, from 0 to 1",
    "percent": "a percentage, from 0 to 100",
    "odds10": "a number: log10 odds",
    "logits": "a number: a logit",
    "number": "a number",
    "intensity": "a number: an intensity",
    "label": "a name",
}
# By how much percents of classes may miss 100 for rounding.
PERCENTS_OFF = 1.5
LIMITS = {"mark": (0.0, 1.0), "probability": (0.0, 1.0), "percent": (0.0, 100.0)}


def cell_value(
    cells: Cells, cell: Any, source: RowSource, missing: frozenset[str], *, any_number: bool = False
) -> float | str | None:
    """Return what a cell says, in the unit of its column; None where it says nothing.

    missing: cells of this format that say nothing, in small letters. any_number: whether a number beyond the
    limits of its unit is taken, as one of several that are checked together.

    Raises:
        engine.AnswerError: a cell that the column may not have.
    """
    text = cell.strip() if isinstance(cell, str) else cell
    if is_missing(text) or (isinstance(text, str) and text.lower() in missing):
        return None
    if isinstance(text, str) and text in cells.words:
        text = cells.words[text]
    elif cells.words_only:
        raise AnswerError(f"{describe_met(text)}; allowed are {', '.join(cells.words)}")
    if cells.unit == "label":
        return str(text)
    try:
        number = float(source.number_text(text))
    except (TypeError, ValueError):
        raise AnswerError(f"{describe_met(text)}; allowed is {ALLOWED[cells.unit]}") from None
    anything = (-math.inf, math.inf)
    low, high = anything if any_number else cells.limits or LIMITS.get(cells.unit, anything)
    if not math.isfinite(number) or not low - ROUNDING <= number <= high + ROUNDING:
        limits = f" from {low:g} to {high:g}" if cells.limits else ""
        raise AnswerError(f"met {number:g}; allowed is {ALLOWED[cells.unit]}{limits}")
    if cells.unit == "mark" and number not in (0, 1):
        raise AnswerError(f"met {number:g}; allowed is {ALLOWED['mark']}")
    return min(max(number, low), high)


def probability(cells: Cells, number: float) -> float:
    """Return the probability that a cell of marks, probabilities, odds or intensities states."""
    if cells.unit == "percent":
        return number / 100
    if cells.unit == "odds10":
        return _logistic(number * math.log(10))
    if cells.unit == "logits":
        return _logistic(number)
    if cells.unit == "intensity":
        return _logistic((number - cells.half) / cells.width)
    return number


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-min(max(x, -LARGEST_LOGIT), LARGEST_LOGIT)))


def combined(values: Iterable[float], how: str) -> float:
    """Return what several columns of one variable say together."""
    numbers = list(values)
    return max(numbers) if how == "max" else sum(numbers) / len(numbers)


def softmax(logits: Mapping[str, float]) -> dict[str, float]:
    """Return the probabilities that logits stand for."""
    most = max(logits.values())
    powers = {name: math.exp(max(logit - most, -LARGEST_LOGIT)) for name, logit in logits.items()}
    total = sum(powers.values())
    return {name: power / total for name, power in powers.items()}


def score_shares(scores: Mapping[str, float], remainder: str) -> dict[str, float]:
    """Return the shares of scores, each from 0 to 1, of which `remainder`, if any, has what is left of 1."""
    shares = dict(scores)
    if remainder:
        shares[remainder] = max(0.0, 1 - sum(scores.values()))
    total = sum(shares.values())
    return {name: score / total for name, score in shares.items()} if total > 0 else {}


def checked_distribution(p: Mapping[str, float]) -> dict[str, float]:
    """Return the probabilities of classes, divided by their sum.

    Raises:
        engine.AnswerError: they do not sum to 1, or one is negative.
    """
    total, least = sum(p.values()), min(p.values())
    if least < 0 or abs(total - 1) > ROUNDING * max(1, len(p) / 4):
        what = f"{least:g} is negative" if least < 0 else f"they sum to {total:g}"
        cure = "where they are logits, --softmax makes probabilities of them"
        if least >= 0 and abs(total - 100) < PERCENTS_OFF:
            cure = "these look like percents: divide them by 100"
        raise AnswerError(f"the classes {', '.join(p)} are no probabilities: {what}; {cure}")
    return {name: number / total for name, number in p.items()}
