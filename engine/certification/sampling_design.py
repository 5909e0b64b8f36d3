"""Answers -> the design of how items were answered, and the items that do not follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.decision.basis import draws_of, reading_keys
from engine.model.guarantee import Asked, Design

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.backend.types import Ints
    from engine.model.knowledge import Knowledge
    from engine.model.responses import Answers


def design_of(base: Knowledge, batches: Iterable[Answers], *, adaptive: bool = False) -> Design:
    """Return the design of the answers: observers, questions, views, and how often each item was asked.

    The least answers are those of items all of whose answers report something, where there are any.

    Raises:
        ValueError: no items.
    """
    rows: list[tuple[dict[tuple[str, str, str], int], int, bool]] = []
    for answers in batches:
        items: list[dict[tuple[str, str, str], int]] = [{} for _ in answers.items]
        draws = draws_of(base, answers).tolist()
        for item, key, count in zip(
            answers.reading_item.tolist(), reading_keys(base, answers), draws, strict=True
        ):
            items[item][key] = count
        whole = _unread(answers) == 0
        rows += zip(items, answers.samples.tolist(), whole.tolist(), strict=True)
    if not rows:
        raise ValueError("a design is of at least one item")
    known = dict.fromkeys(key for row, _, _ in rows for key in row)
    sound = [row for row in rows if row[2]] or rows
    readings = tuple(
        Asked(
            *key,
            0 if adaptive else min(row.get(key, 0) for row, _, _ in sound),
            max(row.get(key, 0) for row, _, _ in rows),
        )
        for key in known
    )
    totals = [total for _, total, _ in rows]
    return Design(adaptive, min(totals), max(totals), readings)


def mismatches(design: Design, base: Knowledge, answers: Answers) -> list[str]:
    """Return for each item how its answers differ from the design; an empty text where they do not."""
    messages = [""] * len(answers.items)
    known = {(r.observer, r.question, r.view): r for r in design.readings}
    matched: list[set[Asked]] = [set() for _ in messages]
    names = reading_keys(base, answers)
    for item, key, draws in zip(
        answers.reading_item.tolist(), names, draws_of(base, answers).tolist(), strict=True
    ):
        reading = known.get(key)
        if reading is None:
            messages[item] = messages[item] or f"{', '.join(key)} was not asked in the gold"
        elif draws > reading.most:
            messages[item] = (
                messages[item] or f"{_times(draws)} of {reading.name}, in the gold at most {reading.most}"
            )
        else:
            matched[item].add(reading)
    unread = _unread(answers)
    for item, total in enumerate(answers.samples.tolist()):
        messages[item] = messages[item] or _lack(design, matched[item], total, int(unread[item]))
    return messages


def _unread(answers: Answers) -> Ints:
    """Return how many answers about each item report nothing, (N,)."""
    return answers.refused + answers.unreadable + answers.not_judged


def _lack(design: Design, matched: set[Asked], total: int, unread: int) -> str:
    if total > design.most:
        return f"{_times(total)}, in the gold at most {design.most}"
    if design.adaptive:
        return ""
    if total < design.least:
        return f"{_times(total)}, in the gold at least {design.least}"
    lacking = [reading.name for reading in design.readings if reading.least and reading not in matched]
    return f"lacks {lacking[0]}" if lacking and not unread else ""


def _times(count: int) -> str:
    return f"{count} answer" + "s" * (count != 1)
