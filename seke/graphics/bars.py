"""Draws distributions over one variable's states: the prior, each reading's likelihood, the posterior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seke.graphics.shapes import Drawing, Shape, Text, box, fitting, line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from seke.graphics.shapes import Mark

# Height of a row, and margins, in pixels; then widths of a column and of the last one, and their gap.
ROW, TOP, LEFT = 24.0, 44.0, 96.0
COLUMN, LAST, GAP = 92.0, 150.0, 14.0
MOST_READINGS = 5


@dataclass(frozen=True)
class Column:
    """One distribution. title, below: two lines over it; p: state -> probability; role: its colour."""

    title: str
    below: str
    p: Mapping[str, float]
    role: str


def bars(
    posterior: Mapping[str, float],
    prior: Mapping[str, float] | None = None,
    readings: Sequence[tuple[str, str, Mapping[str, float]]] = (),
    *,
    title: str,
) -> Drawing:
    """Draw a row for each state, with a bar for each distribution: prior, readings, posterior.

    prior, posterior: state -> probability. readings: title, second line, and state -> likelihood, scaled to
    a sum of 1; the first MOST_READINGS are drawn, and the picture says how many more there are.
    """
    columns = [Column("prior", "", prior, "prior")] if prior else []
    columns += [Column(*reading, "evidence") for reading in readings[:MOST_READINGS]]
    left_out = len(readings) - MOST_READINGS
    columns.append(
        Column("posterior", f"{left_out} more readings" if left_out > 0 else "", posterior, "posterior")
    )
    width = LEFT + sum(COLUMN + GAP for _ in columns[:-1]) + LAST + 8
    marks: list[Mark] = []
    best = max(posterior, key=lambda state: posterior[state])
    for row, state in enumerate(posterior):
        y = TOP + ROW * row
        name = fitting(state, LEFT - 10, 12)
        marks.append(Text(LEFT - 10, y + 15.5, name, 12, "end", bold=state == best))
    x = LEFT
    for column in columns:
        room = LAST if column is columns[-1] else COLUMN
        marks += _column(column, list(posterior), x, room, best)
        x += room + GAP
    description = ", ".join(
        f"{state} {p:.2f}" for state, p in sorted(posterior.items(), key=lambda pair: -pair[1])
    )
    return Drawing(width, TOP + ROW * len(posterior) + 8, tuple(marks), title, f"posterior: {description}")


def _column(column: Column, states: Sequence[str], x: float, room: float, best: str) -> Iterator[Mark]:
    """Yield the bars of one distribution; the last column, which is wider, has numbers."""
    last = column.role == "posterior"
    full = room - 42 if last else room
    yield Text(x, 16, fitting(column.title, room, 12), 12, fill=column.role, bold=True)
    yield Text(x, 32, fitting(column.below, room, 10.5), 10.5, fill="muted")
    for row, state in enumerate(states):
        y, p = TOP + ROW * row, column.p.get(state, 0.0)
        yield Shape(box(x, y + 4, full, ROW - 9), fill="band")
        if p * full >= 0.2:
            yield Shape(box(x, y + 4, p * full, ROW - 9), fill=column.role)
        if last:
            yield Text(x + full + 6, y + 15.5, f"{p:.3f}", 11.5, bold=state == best)
    yield Shape(line((x, TOP), (x, TOP + ROW * len(states) - 2)), stroke="muted", width=1)
