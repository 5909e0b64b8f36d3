"""Reports of many faults for people: of faults of one kind the first ones, and the lines of the others."""

from __future__ import annotations

import re
from itertools import pairwise

# Faults of one kind that are told in full, and others of it that are worth a line of their own.
SHOWN, LEAST_MORE = 3, 2
# A fault of a row: what names its table, its number and perhaps a column, and what is wrong.
FAULT = re.compile(r"(.*?(?::|: row |record ))(\d+)((?::\d+)?): (.*)", re.S)
# What differs between faults of one kind: values in quotes, and numbers.
VALUE = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d+(?:[.,:]\d+)*")


def shorten_report(report: str) -> str:
    """Return a report with a fault in each line, of each kind the first SHOWN and the lines of all others."""
    entries = re.split(r"\n(?!\s)", report)
    kinds: dict[object, list[int]] = {}
    for number, entry in enumerate(entries):
        if fault := FAULT.fullmatch(entry):
            kinds.setdefault((fault[1], VALUE.sub("#", fault[4])), []).append(number)
    others: dict[int, list[int]] = {}
    for same in kinds.values():
        if len(same) >= SHOWN + LEAST_MORE:
            others[same[SHOWN - 1]] = same[SHOWN:]
    left_out = {number for same in others.values() for number in same}
    lines = []
    for number, entry in enumerate(entries):
        if number not in left_out:
            lines.append(entry)
        if number in others:
            lines.append(_others_text([entries[other] for other in others[number]]))
    return "\n".join(lines)


def _others_text(entries: list[str]) -> str:
    """Return how many further faults there are of a kind, and where."""
    faults = [fault for entry in entries if (fault := FAULT.fullmatch(entry))]
    places = sorted({int(fault[2]) for fault in faults})
    table = faults[0][1]
    noun = "records" if table.endswith("record ") else "rows" if table.endswith("row ") else "lines"
    return f"  and {len(entries)} more like it, {noun} {_ranges(places)}"


def _ranges(numbers: list[int]) -> str:
    """Return numbers in ascending order as text, such as 5, 7 to 9."""
    starts = [numbers[0], *(after for before, after in pairwise(numbers) if after != before + 1)]
    ends = [*(before for before, after in pairwise(numbers) if after != before + 1), numbers[-1]]
    return ", ".join(
        f"{start}" if start == end else f"{start} to {end}" for start, end in zip(starts, ends, strict=True)
    )
