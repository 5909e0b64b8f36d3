"""Draws binary variables (action units) with their probabilities and decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seke.console.decision_words import LEGEND
from seke.graphics.shapes import Drawing, Shape, Text, box, decision_sign, fitting, line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from seke.graphics.shapes import Mark

# Height of a row, top margin and width of the picture in pixels; then x of names and bars, length of a bar.
ROW, TOP, WIDTH = 20.0, 26.0, 416.0
NAME, BAR, FULL = 52.0, 208.0, 104.0
# In the unit of the picture: the line below the rows that says what the mark stands for, and its letters.
LEGEND_HEIGHT, LEGEND_SIZE = 18.0, 10.0
WORDS = {
    "accept": ("absent", "present"),
    "inferred": ("inferred", "inferred"),
    "reject": ("open", "open"),
    "requery": ("ask", "ask"),
}


@dataclass(frozen=True)
class Unit:
    """A row. label: its name in words; p: P(active); decision: a key of WORDS, no text if unknown.

    mark: a sign after the decision's word, for accepted units that rest on uncalibrated numbers.
    """

    name: str
    label: str
    p: float
    decision: str = ""
    mark: str = ""


def units(rows: Sequence[Unit], title: str = "action units") -> Drawing:
    """Draw a row for each unit: code, name, P(active) as a bar, and the decision as a word and a sign.

    An accepted unit's word is its value (present or absent). The sign of a decision is that of
    `decision_sign`.
    """
    marks: list[Mark] = [
        Text(BAR, 14, "0", 10.5, fill="muted"),
        Text(BAR + FULL, 14, "1", 10.5, "end", fill="muted"),
    ]
    for index, row in enumerate(rows):
        marks += _row(row, TOP + ROW * index)
    bottom = TOP + ROW * len(rows)
    marks.append(Shape(line((BAR + FULL / 2, TOP - 4), (BAR + FULL / 2, bottom)), stroke="paper", width=1))
    if any(row.mark for row in rows):
        bottom += LEGEND_HEIGHT
        marks.append(Text(4, bottom, LEGEND, LEGEND_SIZE, fill="muted"))
    likely = ", ".join(f"{row.name} {row.p:.2f}" for row in rows if row.p >= 0.5)
    return Drawing(WIDTH, bottom + 6, tuple(marks), title, f"likely: {likely or 'none'}")


def _row(row: Unit, y: float) -> Iterator[Mark]:
    active = row.p >= 0.5
    yield Text(4, y + 13, fitting(row.name, NAME - 8, 12), 12, bold=active)
    label = row.label if row.label != row.name else ""
    yield Text(NAME, y + 13, fitting(label, BAR - NAME - 8, 11.5), 11.5, fill="ink" if active else "muted")
    yield Shape(box(BAR, y + 3, FULL, ROW - 8), fill="band")
    if row.p * FULL >= 0.2:
        yield Shape(box(BAR, y + 3, row.p * FULL, ROW - 8), fill="posterior" if active else "prior")
    yield Text(BAR + FULL + 6, y + 13, f"{row.p:.2f}", 11, bold=active)
    if row.decision:
        x = BAR + FULL + 42
        yield decision_sign(row.decision, x, y + 9, 3.6)
        yield Text(x + 8, y + 13, WORDS[row.decision][active] + row.mark, 10.5, fill="muted")
