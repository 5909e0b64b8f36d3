"""How far answers err together, as a picture: a matrix of P(column wrong | row wrong)."""

from __future__ import annotations

import itertools
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import SekeError
from seke.graphics.style import STYLE, figure_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from engine import Floats

    Record = dict[str, Any]

INK, PALE, PAPER = "#222222", "#8a8f98", "#ffffff"
# One hue from light to dark: read in grey, and by those who see no red or no green.
COLOURS = "Blues"
# Above this share a cell is so dark that white text is read more easily on it.
DARK = 0.55
# Inches: the width of a cell with numbers and of one without, and room for texts around the matrix.
CELL, SMALL_CELL, MARGIN, BAR = 0.95, 0.32, 2.1, 0.9
# In widths of a cell: the strip of chance, and where texts stand from the centre, in what the strip leaves.
STRIP, TEXT_LEFT = 0.22, -0.11
TEXT_ROWS = (-0.17, 0.13, 0.31)
# Vermilion of Okabe and Ito: stands out from the blues, also for those who see no red or no green.
OUTLINE = "#D55E00"
NOTE = (
    "Strip and `chance`: P(column wrong). `base`: P(column wrong | row wrong) as the base\n"
    "predicts it; outlined where it lies outside the measured interval."
)
# With more rows than this the numbers would be too small to read, and colours stand alone.
MOST_WITH_NUMBERS = 16
# Characters of a name.
LONGEST_NAME = 22


def picture(about: Record, pairs: Sequence[Record], form: str) -> bytes:
    """Draw the matrix of observers, or of readings where there is one observer; svg keeps texts as texts.

    about, pairs: as an `Independence` has them.

    Raises:
        engine.SekeError: there are no two observers or readings to draw.
    """
    import matplotlib as mpl

    from seke.graphics.inline_figure import InlineFigure

    pairs, names = _pairs_to_draw(pairs)
    style = {**STYLE, "font.size": 8, "axes.edgecolor": PALE, "axes.labelcolor": INK}
    style |= {"xtick.color": INK, "ytick.color": INK}
    with mpl.rc_context(style):
        side = len(names) * (CELL if len(names) <= MOST_WITH_NUMBERS else SMALL_CELL)
        figure = InlineFigure(figsize=(side + MARGIN + BAR, side + MARGIN), layout="constrained")
        axes = figure.subplots()
        _draw_matrix(pairs, names, axes, figure)
        figure.suptitle(_title(about), fontsize=9, color=INK)
        figure.supxlabel(NOTE, fontsize=7, color=INK)
    return figure_bytes(figure, form)


def _pairs_to_draw(measured: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """Return the pairs that are drawn, and the names of rows and columns."""
    for kind in ("observers", "readings"):
        pairs = [pair for pair in measured if pair["kind"] == kind]
        if pairs:
            if kind == "readings":
                pairs = [{**pair, "a": _reading(pair, "a"), "b": _reading(pair, "b")} for pair in pairs]
            return pairs, list(dict.fromkeys(itertools.chain(*((p["a"], p["b"]) for p in pairs))))
    raise SekeError("there are no two observers or readings to draw; the table shows draws")


def _reading(pair: Record, end: str) -> str:
    return f"{pair['observer']}, {pair[end]}"


def _title(about: Record) -> str:
    items = f"{about['items']:,} items with gold"
    return f"{about['variable']}: P(column wrong | row wrong), {items}"


def _matrices(pairs: list[Record], names: list[str]) -> tuple[Floats, Floats, Floats, Floats]:
    """Return P(column wrong | row wrong), by chance, as the base has it, 1 where that is outside, (n, n)."""
    measured, chance, predicted, outside = (np.full((len(names),) * 2, np.nan) for _ in range(4))
    for pair in pairs:
        row, column = names.index(pair["a"]), names.index(pair["b"])
        for at, key, side in (
            ((row, column), "b_wrong_given_a_wrong", 1),
            ((column, row), "a_wrong_given_b_wrong", 0),
        ):
            share, declared = pair[key], pair["declared"][key]
            measured[at] = np.nan if share["value"] is None else share["value"]
            predicted[at] = np.nan if declared is None else declared
            chance[at] = 1 - pair["accuracy"][side]
            known = declared is not None and share["low"] is not None
            outside[at] = known and not share["low"] <= declared <= share["high"]
    return measured, chance, predicted, outside


def _draw_matrix(pairs: list[Record], names: list[str], axes: Axes, figure: Figure) -> None:
    from matplotlib.patches import Rectangle

    measured, chance, predicted, outside = _matrices(pairs, names)
    image = axes.imshow(measured, cmap=COLOURS, vmin=0, vmax=1)
    colour = image.get_cmap()
    for row, column in np.argwhere(~np.isnan(chance)).tolist():
        value, by_chance = measured[row, column], chance[row, column]
        corner = (column + 0.5 - STRIP, row - 0.5)
        axes.add_patch(Rectangle(corner, STRIP, 1, facecolor=colour(by_chance), edgecolor=PAPER, lw=0.8))
        if outside[row, column] == 1:
            edge: Any = {"facecolor": "none", "edgecolor": OUTLINE, "lw": 1.4, "zorder": 3}
            axes.add_patch(Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, **edge))
        if len(names) <= MOST_WITH_NUMBERS:
            texts = (
                _number(value),
                f"chance {_number(by_chance)}",
                f"base {_number(predicted[row, column])}",
            )
            for line, (text, down) in enumerate(zip(texts, TEXT_ROWS, strict=True)):
                look: Any = {"ha": "center", "va": "center", "color": PAPER if value > DARK else INK}
                axes.text(column + TEXT_LEFT, row + down, text, fontsize=6 if line else 10, **look)
    _label(axes, names)
    bar = figure.colorbar(image, ax=axes, shrink=0.7, aspect=25)
    bar.set_label("P(column wrong | row wrong)", color=INK)
    bar.outline.set_visible(False)


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _label(axes: Axes, names: list[str]) -> None:
    """Write the names beside the rows and above the columns, and part the cells."""
    labels = [textwrap.shorten(name, LONGEST_NAME, placeholder="...") for name in names]
    rotation = 30 if len(names) <= MOST_WITH_NUMBERS else 60
    axes.set_xticks(range(len(names)), labels, rotation=rotation, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), labels)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_ylabel("if this is wrong")
    axes.spines[:].set_visible(False)
    # Lines of the paper's colour part the cells.
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=PAPER, lw=2)
    axes.tick_params(which="minor", length=0)
