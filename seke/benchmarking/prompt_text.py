"""A comparison of prompts as text of 80 columns: a table for each question."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from seke.console.plain_text import count
from seke.console.rich_table import table_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Facts = Mapping[str, Any]

WIDTH = 80
# Letters of a variant's name.
LONGEST_NAME = 16
SIGN = "*"
# Measures that a question may have of several variables.
ABOUT = ("right", "distance", "too high by", "log loss")


def text(facts: Facts) -> str:
    """Return the comparison for people."""
    return "\n".join(line for part in _parts(facts) for line in part) + "\n"


def _parts(facts: Facts) -> Iterator[Sequence[str]]:
    first, *others = facts["variants"]
    groups = "" if facts["units"] == facts["items"] else f" of {count(facts['units'], 'group')}"
    head = f"{count(facts['items'], 'item')}{groups}, answers of {first} against {', '.join(others)}"
    yield textwrap.wrap(head, WIDTH)
    yield textwrap.wrap(
        f"intervals: {facts['level']:.0%}, resampled items or whole groups; {SIGN} the difference is not 0",
        WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
    )
    for question in dict.fromkeys(measure["question"] for measure in facts["measures"]):
        of_question = [measure for measure in facts["measures"] if measure["question"] == question]
        rows = [row for measure in of_question if not _never(measure) for row in _rows(measure)]
        if rows:
            yield ("", f"question {question}")
            yield table_lines(("", "", "interval", f"minus {first}", "interval"), rows, "  ", WIDTH)
    if all(_never(measure) for measure in facts["measures"] if measure["measure"] == "refused"):
        yield ("", "no answer was refused")
    yield from _yes_by_question(facts["yes_by_question"])
    if "requests" in facts:
        yield from _requests(facts["requests"])
    yield from _digests(facts["variants"])
    trimmed = [name for name, variant in facts["variants"].items() if variant["answers"] < variant["given"]]
    if trimmed:
        yield (
            "",
            *textwrap.wrap(f"of {', '.join(trimmed)} only as many answers count as all variants have", WIDTH),
        )
    if not facts["gold"]:
        yield ("", "without gold nothing says which variant is right more often")


def _never(measure: Facts) -> bool:
    """Say whether it is about refusals, of which there are none."""
    values = [estimate["value"] for estimate in measure["variants"].values()]
    return measure["measure"] == "refused" and not any(values)


def _rows(measure: Facts) -> Iterator[tuple[str, ...]]:
    """Yield a measure's name, and below it a row for each variant."""
    bases = {estimate["basis"] for estimate in measure["variants"].values()}
    against = f", {'/'.join(sorted(bases))}" if measure["measure"] == "first option" else ""
    about = f", {measure['about'].replace('_', ' ')}" if measure["measure"] in ABOUT else ""
    yield (measure["measure"] + about + against,)
    for name, estimate in measure["variants"].items():
        difference = estimate.get("difference")
        yield (
            f"  {name[:LONGEST_NAME]}",
            _number(estimate["value"]),
            _interval(estimate),
            *(("", "") if difference is None else (_difference(difference), _interval(difference, "+"))),
        )


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.3f}"


def _interval(estimate: Facts, sign: str = "") -> str:
    low, high = estimate["low"], estimate["high"]
    return "" if low is None else f"{low:{sign}.2f} to {high:{sign}.2f}"


def _difference(difference: Facts) -> str:
    low, high = difference["low"], difference["high"]
    sure = low is not None and (low > 0 or high < 0)
    return _number(difference["value"], "+") + SIGN * sure


def _yes_by_question(differences: Sequence[Facts]) -> Iterator[Sequence[str]]:
    """Yield where questions about the same units surely differ in how often they get yes."""
    rows = [
        (
            f"{difference['variant'][:LONGEST_NAME]}: {difference['question']}",
            f"minus {difference['against']}",
            difference["measure"],
            _difference(difference),
            _interval(difference, "+"),
        )
        for difference in differences
        if _difference(difference).endswith(SIGN)
    ]
    if rows:
        yield ("", "questions that get yes more or less often (rates of their own: `by_question`)")
        yield table_lines((), rows, "  ", WIDTH)


def _digests(variants: Mapping[str, Facts]) -> Iterator[Sequence[str]]:
    """Yield the digest of each question in each variant."""
    questions = dict.fromkeys(name for facts in variants.values() for name in facts["questions"])
    rows = [
        (
            f"{question}, {name[:LONGEST_NAME]}",
            facts["questions"].get(question, "-"),
            facts["sent"].get(question, "-"),
            "calibrated" if question in facts["calibrated"] else "",
        )
        for question in questions
        for name, facts in variants.items()
    ]
    yield ("", "digests: a fit counts for the question that it was made with, and no other")
    yield table_lines(("", "question", "prompts as sent", ""), rows, "  ", WIDTH)


def _requests(requests: Mapping[str, Facts]) -> Iterator[Sequence[str]]:
    rows = [
        (
            name[:LONGEST_NAME],
            f"{facts['requests']:,}",
            "-" if facts["prompt_tokens"] is None else f"{facts['prompt_tokens']:,.0f}",
            "-" if facts["answer_tokens"] is None else f"{facts['answer_tokens']:,.0f}",
            f"{facts['letters']:,.0f}",
            f"{facts['shared_prefix']:.0%}",
            "-" if facts["cached"] is None else f"{facts['cached']:.0%}",
        )
        for name, facts in requests.items()
    ]
    yield ("", "what was sent, a request")
    head = ("", "requests", "tokens", "of answers", "letters", "same prefix", "cached")
    yield table_lines(head, rows, "  ", WIDTH)
