"""Draws the probabilities of a variable's states after each answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seke.graphics.shapes import Drawing, Shape, Text, ellipse, fitting, line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from seke.graphics.shapes import Mark

# Margins and frame in pixels.
LEFT, TOP, WIDE, HIGH, RIGHT = 34.0, 14.0, 380.0, 170.0, 110.0
MOST_LINES = 4
# Probability that a state must reach after some answer to have a line.
LEAST_LIKELY = 0.1
# Least distance of labels in pixels.
LABEL = 13.0
LOOKS = (("posterior", ""), ("evidence", ""), ("accept", "6 3"), ("prior", "2 3"))


def course(
    steps: Sequence[Mapping[str, float]], limit: float | None = None, title: str = "after each answer"
) -> Drawing:
    """Draw a line for each state that was likely after any answer, at most MOST_LINES of them.

    steps: state -> probability before any answer, after the first, and so on. limit: above this probability
    the likeliest state is accepted; a dashed line.
    """
    last = steps[-1]
    ever = {state: max(step[state] for step in (*steps[1:], last)) for state in last}
    likely_states = sorted((s for s in ever if ever[s] >= LEAST_LIKELY), key=lambda s: (-last[s], -ever[s]))[
        :MOST_LINES
    ]
    marks: list[Mark] = [*_frame(len(steps) - 1, limit)]
    for state, (role, dash) in reversed(list(zip(likely_states, LOOKS, strict=False))):
        through = [_at(index, step[state], len(steps) - 1) for index, step in enumerate(steps)]
        if len(through) > 1:
            marks.append(Shape(line(*through), stroke=role, width=2.2, dash=dash))
        if len(through) <= 40:
            marks += [Shape(ellipse(x, y, 2.8, 2.8), fill=role) for x, y in through]
    heights = _spread_labels([_at(0, last[state], 1)[1] for state in likely_states])
    for state, y, (role, _) in zip(likely_states, heights, LOOKS, strict=False):
        named = fitting(f"{last[state]:.2f} {state}", RIGHT - 8, 11.5)
        marks.append(Text(LEFT + WIDE + 8, y + 4, named, 11.5, fill=role, bold=state == likely_states[0]))
    final = ", ".join(f"{state} {last[state]:.2f}" for state in likely_states)
    return Drawing(LEFT + WIDE + RIGHT, TOP + HIGH + 40, tuple(marks), title, f"at the end: {final}")


def _at(index: int, p: float, most: int) -> tuple[float, float]:
    return LEFT + WIDE * (index / most if most else 1.0), TOP + HIGH * (1 - p)


def _spread_labels(heights: Sequence[float]) -> list[float]:
    """Return label heights near the lines' ends (increasing), not overlapping and not below the frame."""
    placed_heights: list[float] = []
    for y in heights:
        placed_heights.append(max(y, placed_heights[-1] + LABEL) if placed_heights else y)
    floor = TOP + HIGH + 4
    for index in range(len(placed_heights) - 1, -1, -1):
        placed_heights[index] = min(placed_heights[index], floor)
        floor = placed_heights[index] - LABEL
    return placed_heights


def _frame(most: int, limit: float | None) -> Iterator[Mark]:
    for p in (0.0, 0.5, 1.0):
        _, y = _at(0, p, 1)
        yield Shape(line((LEFT, y), (LEFT + WIDE, y)), stroke="grid", width=1)
        yield Text(LEFT - 6, y + 4, f"{p:g}", 10.5, "end", fill="muted")
    if limit is not None:
        _, y = _at(0, limit, 1)
        yield Shape(line((LEFT, y), (LEFT + WIDE, y)), stroke="accept", width=1, dash="5 4")
        yield Text(LEFT + 4, y - 4, "accepted above", 10, fill="accept")
    every = max(1, -(-most // 12))
    for index in range(0, most + 1, every):
        yield Text(_at(index, 0, most)[0], TOP + HIGH + 16, f"{index}", 10.5, "middle", fill="muted")
    yield Text(LEFT + WIDE / 2, TOP + HIGH + 33, "answers so far", 11.5, "middle", fill="muted")
