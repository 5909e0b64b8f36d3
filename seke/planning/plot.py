"""A plan as a picture: calls per item against coverage and error."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from seke.graphics.style import STYLE, figure_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

    from seke.planning.plan import Plan

    Record = dict[str, Any]

INK, PALE = "#222222", "#8a8f98"
# Okabe and Ito's blue and vermilion: told apart by those who see no red or no green, and in grey.
LOOKS = {"policy": ("#0072B2", "o"), "fixed": ("#D55E00", "s")}
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
NAMES = {"policy": "policy, limits scaled", "fixed": "all items asked the same"}
WIDTH, HEIGHT = 2.9, 2.35
# Levels drawn.
MOST_LEVELS = 6
# Accepted values from which on an interval sets the axis.
TELLING = 30


def draw_plan(plan: Plan, form: str) -> bytes:
    """Draw coverage above error, for whole items and for each level; svg keeps its texts as texts.

    Of more than MOST_LEVELS levels the first are drawn.
    """
    import matplotlib as mpl

    from seke.graphics.inline_figure import InlineFigure

    levels = ["", *plan.rows[0]["levels"]][: MOST_LEVELS + 1]
    style = {**STYLE, "font.size": 8, "axes.titlesize": 9, "axes.titlelocation": "center"}
    style |= {"axes.edgecolor": PALE, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK}
    with mpl.rc_context(style):
        figure = InlineFigure(figsize=(WIDTH * len(levels) + 0.5, 2 * HEIGHT + 0.9), layout="constrained")
        axes = figure.subplots(2, len(levels), sharex=True, squeeze=False)
        for column, level in enumerate(levels):
            _draw_level(plan, level, axes[0][column], axes[1][column])
        axes[0][0].set_ylabel("accepted, share")
        axes[1][0].set_ylabel("wrong among the accepted, share")
        handles, labels = _keys(plan)
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        figure.suptitle(_title(plan), fontsize=8, color=INK)
    return figure_bytes(figure, form)


def _title(plan: Plan) -> str:
    about, misfit = plan.about, plan.about["misfit"]
    text = f"{about['knowledge']}: {about['items']} items made up, population {about['population']}"
    if about["truth_population"] != about["population"]:
        text += f" (their truth: {about['truth_population']})"
    wrong = [f"{name} {value:g}" for name, value in misfit.items() if value]
    as_declared = "observers as declared" if not wrong else "observers misfit: " + ", ".join(wrong)
    return f"{text}, {as_declared}; intervals 95 %"


def _draw_level(plan: Plan, level: str, above: Axes, below: Axes) -> None:
    above.set_title(textwrap.shorten(level.replace("_", " ") or "whole items", 30), color=INK, fontsize=9)
    for design, budget, dash in reversed(list(_curves(plan))):
        rows = [row for row in plan.rows if row["design"] == design and row.get("budget") == budget]
        _draw_curve(rows, level, (above, below), LOOKS[design], dash)
    for axes in (above, below):
        axes.grid(axis="y", color=PALE, alpha=0.25, lw=0.5)
        axes.set_xlim(left=0)
    above.set_ylim(0, 1.06)
    below.set_ylim(0, _top(plan, level))
    below.set_xlabel("calls an item, mean")


def _top(plan: Plan, level: str) -> float:
    """Return the upper end of the axis of errors: above all shares, and above intervals of many values."""
    figures = [row["levels"][level] if level else row for row in plan.rows]
    shown = [figure["wrong"]["share"] for figure in figures] + [figure.get("stated") for figure in figures]
    shown += [figure["wrong"]["high"] for figure in figures if figure["wrong"]["of"] >= TELLING]
    return min(1.08 * max((share for share in shown if share), default=0.1), 1.02)


def _curves(plan: Plan) -> Iterator[tuple[str, int | None, Any]]:
    """Yield design, budget and dashes of each line: the policy under each budget, and the fixed designs."""
    policies = [row["budget"] for row in plan.rows if row["design"] == "policy"]
    for number, budget in enumerate(dict.fromkeys(policies)):
        yield "policy", budget, DASHES[number % len(DASHES)]
    if any(row["design"] == "fixed" for row in plan.rows):
        yield "fixed", None, DASHES[0]


def _draw_curve(
    rows: list[Record], level: str, panels: tuple[Axes, Axes], look: tuple[str, str], dash: Any
) -> None:
    """Draw a line through the settings, with intervals, and hollow markers for the stated risk."""
    (above, below), (colour, marker) = panels, look
    calls = np.array([row["calls"]["mean"] for row in rows])
    figures = [row["levels"][level] if level else row for row in rows]
    plain: Any = {
        "color": colour,
        "marker": marker,
        "ms": 4,
        "lw": 1,
        "ls": dash,
        "elinewidth": 0.8,
        "capsize": 2,
    }
    for axes, name in ((above, "accepted"), (below, "wrong")):
        shares = [figure[name] for figure in figures]
        there = np.array([share["of"] > 0 for share in shares])
        middle, low, high = (
            np.array([np.nan if share[end] is None else share[end] for share in shares], dtype=float)
            for end in ("share", "low", "high")
        )
        if there.any():
            reach = np.stack([middle - low, high - middle])[:, there]
            axes.errorbar(calls[there], middle[there], yerr=np.maximum(reach, 0), **plain)
    ends = (0, len(rows) - 1)
    for number, (row, x, figure) in enumerate(zip(rows, calls, figures, strict=True)):
        # Calls are the same in every panel, so that one names all points and the others where lines end.
        if not level or number in ends:
            name = f"×{row['limits']:g}" if row["design"] == "policy" else f"{row['answers']}"
            spot = (x, figure["accepted"]["share"])
            above.annotate(name, spot, (4, 3), textcoords="offset points", fontsize=6.5, color=colour)
    if level:
        stated = np.array([np.nan if figure["stated"] is None else figure["stated"] for figure in figures])
        below.plot(calls, stated, ls="none", marker=marker, ms=6.5, mfc="none", mec=colour, mew=0.8)


def _keys(plan: Plan) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    handles, labels = [], []
    curves = list(_curves(plan))
    several = sum(design == "policy" for design, *_ in curves) > 1
    for design, budget, dash in curves:
        colour, marker = LOOKS[design]
        handles.append(Line2D([], [], color=colour, marker=marker, ms=4, lw=1, ls=dash))
        labels.append(NAMES[design] + (f", budget {budget}" if several and budget is not None else ""))
    handles.append(Line2D([], [], color=INK, marker="o", ms=6.5, mfc="none", mew=0.8, ls="none"))
    labels.append("risk stated")
    return handles, labels
