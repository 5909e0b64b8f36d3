"""Pictures of a base against tables: declared ranges and observed intervals, cells, moments, predictions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from seke.graphics.shapes import Drawing, Shape, Text, box, ellipse, fitting, line
from seke.knowledge_tools.table_verdicts_text import interval, ratio, short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from seke.graphics.shapes import Mark

    Facts = Mapping[str, Any]
    Scale = Callable[[float], float]

# A verdict's colour; its word stands beside it or in the legend.
ROLES = {"backed": "accept", "allowed": "requery", "contradicted": "reject"}
# Pixels: a row, the names to the margin, the axis, and the words to the right.
ROW, NAMES, AXIS, WORDS = 22.0, 196.0, 330.0, 190.0
TOP = 30.0
# Odds ratios outside these ends are drawn at them.
RATIO_ENDS = (0.02, 200.0)
RATIO_TICKS = (0.05, 0.2, 1.0, 5.0, 20.0, 100.0)
SHARE_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
CELL, CELL_HEIGHT, HEAD = 78.0, 26.0, 24.0
# The plane of means, and the side of a diagram.
PLANE, DIAGRAM = 420.0, 260.0


def role_of(verdict: str) -> str:
    """Return the colour of a verdict."""
    return ROLES.get(verdict, "muted")


def interval_plot(tests: Sequence[Facts], title: str, *, odds: bool = False) -> Drawing:
    """Draw a row for each number: its declared range, declared and compiled value, and observed interval.

    odds: whether the numbers are odds ratios, on a logarithmic axis.
    """
    scale = _log_scale if odds else _share_scale
    ticks = RATIO_TICKS if odds else SHARE_TICKS
    bottom = TOP + ROW * len(tests)
    marks: list[Mark] = []
    for tick in ticks:
        x = scale(tick)
        marks.append(Shape(line((x, TOP - 6), (x, bottom)), stroke="grid", width=1))
        marks.append(Text(x, TOP - 12, f"{tick:g}", 11, "middle", "muted"))
    for row, test in enumerate(tests):
        marks += _interval_row(test, TOP + ROW * (row + 0.5), scale, ratio if odds else short)
    description = "; ".join(f"{test['name']} {test['verdict']}" for test in tests)
    return Drawing(NAMES + AXIS + WORDS, bottom + 8, tuple(marks), title, description)


def _share_scale(value: float) -> float:
    return NAMES + AXIS * min(max(value, 0.0), 1.0)


def _log_scale(value: float) -> float:
    low, high = (math.log(end) for end in RATIO_ENDS)
    inside = min(max(math.log(max(value, 1e-9)), low), high)
    return NAMES + AXIS * (inside - low) / (high - low)


def _interval_row(test: Facts, y: float, scale: Scale, form: Callable[[float | None], str]) -> Iterator[Mark]:
    role, (low, high) = role_of(test["verdict"]), test["range"]
    yield Text(NAMES - 10, y + 4, fitting(test["name"], NAMES - 14, 12), 12, "end")
    yield Shape(box(scale(low), y - 7, max(scale(high) - scale(low), 1.0), 14), fill="grid")
    x = scale(test["declared"])
    yield Shape(line((x, y - 8), (x, y + 8)), stroke="ink", width=2)
    if test["compiled"] is not None:
        x = scale(test["compiled"])
        path = f"{line((x, y - 5), (x + 4, y), (x, y + 5), (x - 4, y))} Z"
        yield Shape(path, fill="paper", stroke="muted", width=1.2)
    observed = test["observed"]
    right = NAMES + AXIS + 12
    if observed is None or observed["value"] is None or not observed["items"]:
        yield Text(right, y + 4, test["verdict"], 11.5, fill="muted")
        return
    ends = [scale(observed[key]) if observed[key] is not None else scale(0.0) for key in ("low", "high")]
    yield Shape(line((ends[0], y), (ends[1], y)), stroke=role, width=2.4)
    yield Shape(ellipse(scale(observed["value"]), y, 4, 4), fill=role)
    yield Text(right, y + 4, interval(observed, form), 11.5)
    yield Text(right + 96, y + 4, test["verdict"], 11.5, fill=role, bold=test["verdict"] in ROLES)


def cell_map(tests: Sequence[Facts]) -> Drawing:
    """Draw a box for each cell: observed over declared, in the colour of the verdict."""
    names = list(dict.fromkeys(test["name"].split(" | ")[0] for test in tests))
    states = list(dict.fromkeys(test["name"].split(" | ")[1] for test in tests))
    margin = 70.0
    marks: list[Mark] = [
        Text(margin + CELL * (i + 0.5), 15, fitting(state, CELL - 6, 11.5), 11.5, "middle", bold=True)
        for i, state in enumerate(states)
    ]
    for test in tests:
        name, state = test["name"].split(" | ")
        x, y = margin + CELL * states.index(state), HEAD + CELL_HEIGHT * names.index(name)
        if state == states[0]:
            marks.append(Text(margin - 8, y + 17, fitting(name, margin - 10, 12), 12, "end"))
        role, observed = role_of(test["verdict"]), test["observed"]
        known = observed is not None and observed["value"] is not None
        marks.append(Shape(box(x + 1, y + 1, CELL - 2, CELL_HEIGHT - 2), fill="band"))
        if known and test["verdict"] in ROLES:
            marks.append(Shape(box(x + 1, y + 1, 5, CELL_HEIGHT - 2), fill=role))
        shown = short(observed["value"]) if known else "–"
        marks.append(Text(x + 14, y + 17, shown, 12, fill=role, bold=test["verdict"] == "contradicted"))
        marks.append(Text(x + CELL - 8, y + 17, short(test["declared"]), 11, "end", "muted"))
    description = ", ".join(
        f"{test['name']} {test['verdict']}" for test in tests if test["verdict"] == "contradicted"
    )
    height = HEAD + CELL_HEIGHT * len(names) + 4
    return Drawing(margin + CELL * len(states), height, tuple(marks), "cells", description)


def mean_plane(tests: Sequence[Facts], names: Sequence[str], ends: Sequence[float]) -> Drawing:
    """Draw the declared means of two intervals as rings and the observed ones as dots, joined by a line.

    tests: of the means. names: of the intervals. ends: the range of both.
    """
    low, high = ends
    side, margin = PLANE - 60, 40.0

    def at(x: float, y: float) -> tuple[float, float]:
        return margin + side * (x - low) / (high - low), 10 + side * (high - y) / (high - low)

    marks: list[Mark] = [Shape(box(*at(low, high), side, side), fill="band")]
    for middle in (at((low + high) / 2, low), at(low, (low + high) / 2)):
        other = (middle[0], 10.0) if middle[0] > margin else (margin + side, middle[1])
        marks.append(Shape(line(middle, other), stroke="grid", width=1))
    marks.append(
        Text(margin + side / 2, 10 + side + 20, f"{names[0]}, {low:g} to {high:g}", 11, "middle", "muted")
    )
    marks.append(Text(20, 10 + side / 2, names[1], 11, "middle", "muted", turned=-90))
    by_state: dict[str, dict[str, Facts]] = {}
    for test in tests:
        name, state = test["name"].split(" | ")
        by_state.setdefault(state, {})[name] = test
    for state, pair in by_state.items():
        first, second = (pair[name] for name in names)
        declared = at(first["declared"], second["declared"])
        marks.append(Shape(ellipse(*declared, 5, 5), stroke="ink", width=1.5))
        end = declared
        if all(test["observed"] and test["observed"]["value"] is not None for test in (first, second)):
            end = at(first["observed"]["value"], second["observed"]["value"])
            far = (
                "contradicted"
                if "contradicted" in (first["verdict"], second["verdict"])
                else first["verdict"]
            )
            marks.append(Shape(line(declared, end), stroke=role_of(far), width=1.5))
            marks.append(Shape(ellipse(*end, 4, 4), fill=role_of(far)))
        marks.append(Text(declared[0] + 8, declared[1] + 4, fitting(state, 90, 11), 11))
    return Drawing(PLANE + 60, side + 40, tuple(marks), f"means of {' and '.join(names)}", "")


def loss_plot(systems: Mapping[str, Facts]) -> Drawing:
    """Draw the log loss of each system with its interval."""
    figures = {name: scores["log_loss"] for name, scores in systems.items()}
    top = max(figure["high"] or figure["value"] for figure in figures.values()) * 1.05
    marks: list[Mark] = []
    bottom = TOP + ROW * len(figures)
    for tick in range(math.floor(top) + 1):
        x = NAMES + AXIS * tick / top
        marks.append(Shape(line((x, TOP - 6), (x, bottom)), stroke="grid", width=1))
        marks.append(Text(x, TOP - 12, f"{tick}", 11, "middle", "muted"))
    for row, (name, figure) in enumerate(figures.items()):
        y = TOP + ROW * (row + 0.5)
        role = "posterior" if row < 2 and len(figures) > 1 else "prior"
        marks.append(Text(NAMES - 10, y + 4, fitting(name, NAMES - 14, 12), 12, "end"))
        ends = figure["low"] or figure["value"], figure["high"] or figure["value"]
        xs = [NAMES + AXIS * end / top for end in ends]
        marks.append(Shape(line((xs[0], y), (xs[1], y)), stroke=role, width=2.4))
        marks.append(Shape(ellipse(NAMES + AXIS * figure["value"] / top, y, 4, 4), fill=role))
        marks.append(Text(NAMES + AXIS + 12, y + 4, f"{figure['value']:.3f}", 11.5))
    return Drawing(NAMES + AXIS + WORDS, bottom + 8, tuple(marks), "log loss in nats an item", "")


def reliability_plot(bins: Sequence[Facts]) -> Drawing:
    """Draw how often the likeliest state is right against how probable the base calls it."""
    side, margin = DIAGRAM - 50, 40.0

    def at(x: float, y: float) -> tuple[float, float]:
        return margin + side * x, 10 + side * (1 - y)

    marks: list[Mark] = [
        Shape(box(margin, 10, side, side), fill="band"),
        Shape(line(at(0, 0), at(1, 1)), stroke="muted", width=1, dash="4 4"),
        Text(margin + side / 2, side + 30, "stated", 11, "middle", "muted"),
        Text(20, 10 + side / 2, "right", 11, "middle", "muted", turned=-90),
    ]
    total = sum(entry["items"] for entry in bins) or 1
    for entry in bins:
        radius = 3 + 9 * math.sqrt(entry["items"] / total)
        marks.append(Shape(ellipse(*at(entry["stated"], entry["right"]), radius, radius), fill="posterior"))
    return Drawing(DIAGRAM, side + 40, tuple(marks), "how often the likeliest state is right", "")


def confusion_map(states: Sequence[str], confusion: Sequence[Sequence[int]]) -> Drawing:
    """Draw what items are (rows) against what the base tells (columns), shares of each row as shades."""
    margin, width = 92.0, 66.0
    marks: list[Mark] = [
        Text(margin + width * (i + 0.5), 15, fitting(state, width - 4, 10.5), 10.5, "middle", "muted")
        for i, state in enumerate(states)
    ]
    rows = [(state, row) for state, row in zip(states, confusion, strict=True) if sum(row)]
    for index, (state, row) in enumerate(rows):
        y = HEAD + CELL_HEIGHT * index
        marks.append(Text(margin - 8, y + 17, fitting(state, margin - 10, 12), 12, "end"))
        for column, number in enumerate(row):
            x, share = margin + width * column, number / sum(row)
            marks.append(Shape(box(x + 1, y + 1, width - 2, CELL_HEIGHT - 2), fill="band"))
            if share > 0:
                shade = Shape(
                    box(x + 1, y + 1, width - 2, CELL_HEIGHT - 2), fill="posterior", opacity=0.6 * share
                )
                marks.append(shade)
            right = states[column] == state
            marks.append(Text(x + width / 2, y + 17, short(share), 11.5, "middle", bold=right))
    height = HEAD + CELL_HEIGHT * len(rows) + 4
    return Drawing(margin + width * len(states), height, tuple(marks), "confusion", "")


def worth_plot(worth: Sequence[Facts]) -> Drawing:
    """Draw how the base's log loss rises without each rule and coupling."""
    reach = max((max(abs(row["low"]), abs(row["high"])) for row in worth), default=1.0) or 1.0
    names = NAMES + 60

    def at(value: float) -> float:
        return names + AXIS * (0.5 + 0.5 * value / reach)

    bottom = TOP + ROW * len(worth)
    marks: list[Mark] = [
        Shape(line((at(0), TOP - 6), (at(0), bottom)), stroke="muted", width=1),
        Text(at(0), TOP - 12, "0", 11, "middle", "muted"),
        Text(at(reach), TOP - 12, f"worse without: +{reach:.2g}", 11, "end", "muted"),
        Text(at(-reach), TOP - 12, f"better without: -{reach:.2g}", 11, "start", "muted"),
    ]
    for index, row in enumerate(worth):
        y = TOP + ROW * (index + 0.5)
        role = "accept" if row["low"] > 0 else "reject" if row["high"] < 0 else "muted"
        marks.append(Text(names - 10, y + 4, fitting(row["path"], names - 14, 12), 12, "end"))
        marks.append(Shape(line((at(row["low"]), y), (at(row["high"]), y)), stroke=role, width=2))
        marks.append(Shape(ellipse(at(row["rise"]), y, 4, 4), fill=role))
    return Drawing(names + AXIS + 12, bottom + 8, tuple(marks), "log loss without each", "")
