"""Draws the facts of a score: reliability, risk against coverage, confusion, numbers against gold.

Colours are those of Okabe and Ito, distinct with any colour vision; lines differ in style, too.
"""

from __future__ import annotations

import math
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import SekeError, did_you_mean
from seke.files.atomic import PICTURE, write_file
from seke.graphics.style import STYLE, figure_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Facts = Mapping[str, Any]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")
STYLES = ("-", "--", "-.", ":", (0, (5, 1)))
BAND = "#BBBBBB"
# Items among which an error rate is drawn at least.
LEAST_KEPT = 10
LABEL, PRESENT = "probability of the label", "probability that it is present"


def draw(facts: Facts, folder: Path, ending: str = "png") -> list[Path]:
    """Write all pictures into a folder, which is made where it is missing; return their paths.

    Raises:
        engine.SekeError: an unknown ending, or a place that cannot be written.
    """
    import matplotlib as mpl

    if ending not in PICTURE:
        raise SekeError(f"pictures cannot be written as {ending!r}; allowed are {', '.join(PICTURE)}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SekeError(f"{folder}: cannot be made: {error.strerror}") from None
    paths = []
    with mpl.rc_context(STYLE):
        for name, figure in _figures(facts):
            path = folder / f"{name}.{ending}"
            _write(path, figure_bytes(figure, ending))
            paths.append(path)
    return paths


def _write(path: Path, data: bytes) -> None:
    try:
        write_file(data, path)
    except OSError as error:
        raise SekeError(f"{path}: cannot be written: {error.strerror}") from None


def risk_coverage(facts: Facts) -> Figure:
    """Draw the error rate among the items kept against the share kept, least stated risk first.

    Raises:
        engine.SekeError: of no variable is there a stated risk.
    """
    cards = facts["predictions"]
    curves = {
        name: [(Path(card["path"]).name, card["variables"].get(name, {})) for card in cards]
        for name, variable in cards[0]["variables"].items()
        if variable["kind"] != "binary"
        and any("risk_coverage" in card["variables"].get(name, {}) for card in cards)
    }
    if not curves:
        raise SekeError(f"{cards[0]['path']}: no variable has probabilities and gold")
    return _draw_styled(_risk_coverage, curves)


def reliability(facts: Facts, of: str = "") -> Figure:
    """Draw how often a state is true against its stated probability.

    of: a variable, or `binary` for all binary variables.
    By default the first categorical variable, else the binary ones.

    Raises:
        engine.SekeError: there is no such variable, or it has neither probabilities nor gold.
    """
    (card,) = facts["predictions"][:1]
    with_reliability = {
        name: variable for name, variable in card["variables"].items() if "reliability" in variable
    }
    binary = {name: variable for name, variable in with_reliability.items() if variable["kind"] == "binary"}
    label = next(
        (name for name, variable in with_reliability.items() if variable["kind"] == "categorical"), ""
    )
    of = of or label or "binary"
    if of == "binary" and binary:
        return _draw_styled(_reliability, binary, "", PRESENT)
    if of not in with_reliability:
        raise SekeError(
            f"{card['path']}: no reliability of {of!r}{did_you_mean(of, [*with_reliability, 'binary'])}"
        )
    return _draw_styled(_reliability, {of: with_reliability[of]}, "", PRESENT if of in binary else LABEL)


def _draw_styled(draw: Callable[..., Figure], *arguments: Any) -> Figure:
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        return draw(*arguments)


def _figures(facts: Facts) -> Iterator[tuple[str, Figure]]:
    cards = facts["predictions"]
    for index, card in enumerate(cards):
        suffix = f"-{index + 1}" if len(cards) > 1 else ""
        source = Path(card["path"]).name if len(cards) > 1 else ""
        for name, figure in _card_figures(card, source):
            yield f"{name}{suffix}", figure
    with suppress(SekeError):
        yield "risk-coverage", risk_coverage(facts)


def _card_figures(card: Facts, source: str) -> Iterator[tuple[str, Figure]]:
    variables = card["variables"]
    for name, variable in variables.items():
        if variable["kind"] != "categorical" or not variable["items"]:
            continue
        yield f"confusion-{name}", _confusion(name, variable, source)
        if "reliability" in variable:
            yield f"reliability-{name}", _reliability({name: variable}, source, LABEL)
    binary = {n: v for n, v in variables.items() if v["kind"] == "binary" and "reliability" in v}
    if binary:
        yield "reliability-binary", _reliability(binary, source, PRESENT)
    numbers = {n: v for n, v in variables.items() if v["kind"] == "interval" and v["items"]}
    if numbers:
        yield "numbers", _panels(numbers, source, _number, 3.2)


def _panels(
    variables: Facts, source: str, draw_panel: Callable[[Axes, str, Facts], None], size: float
) -> Figure:
    """Return a figure with a panel for each variable; draw_panel(axes, name, variable) fills it."""
    from seke.graphics.inline_figure import InlineFigure

    across = min(len(variables), 5 if size < 3 else 3)
    down = math.ceil(len(variables) / across)
    figure = InlineFigure(figsize=(max(size * across, 3.6), 0.95 * size * down + 0.3), layout="constrained")
    if source:
        figure.suptitle(source, x=0.01, ha="left", fontsize=10, fontweight="bold")
    for index, (name, variable) in enumerate(variables.items()):
        draw_panel(figure.add_subplot(down, across, index + 1), name, variable)
    return figure


def _reliability(variables: Facts, source: str, stated: str) -> Figure:
    single = len(variables) == 1
    figure = _panels(variables, source, partial(_diagram, wide=single), 4.2 if single else 2.1)
    grey = "" if single else " (grey: 90 % of calibrated predictions)"
    figure.supxlabel(f"stated {stated}{grey}", fontsize=9)
    figure.supylabel("share that is so", fontsize=9)
    if single:
        figure.axes[0].legend(loc="upper left")
    return figure


def _diagram(axes: Axes, name: str, variable: Facts, *, wide: bool) -> None:
    diagram = variable["reliability"]
    axes.fill_between(
        diagram["stated"],
        diagram["null_low"],
        diagram["null_high"],
        color=BAND,
        alpha=0.6,
        linewidth=0,
        label="90 % of calibrated predictions",
    )
    axes.plot([0, 1], [0, 1], color="#666666", linewidth=0.8, linestyle=":")
    axes.plot(
        diagram["stated"],
        diagram["share"],
        "o-",
        clip_on=False,
        color=COLOURS[0],
        markersize=4,
        linewidth=1,
        label="predictions",
    )
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    low, high = diagram["null_ece"]
    ece = variable["scores"]["ece"]["value"]
    if wide:
        axes.set_title(f"{name}: ECE {ece:.3f} (calibrated: {low:.3f} to {high:.3f})")
    else:
        axes.set_title(f"{name}: ECE {ece:.3f}", fontsize=8)


def _risk_coverage(curves: Mapping[str, list[tuple[str, Facts]]]) -> Figure:
    from seke.graphics.inline_figure import InlineFigure

    figure = InlineFigure(figsize=(max(3.4 * len(curves), 4.2), 3.4), layout="constrained")
    for index, (name, sets) in enumerate(curves.items()):
        axes = figure.add_subplot(1, len(curves), index + 1)
        for at, (source, variable) in enumerate(sets):
            if "risk_coverage" in variable:
                _curve(axes, at, source, variable)
        tolerance = next((v["tolerance"] for _, v in sets if v.get("kind") == "interval"), None)
        error_name = "wrong" if tolerance is None else f"further than {tolerance:g} from gold"
        axes.set(
            xlim=(0, 1), xlabel="coverage: share kept, least stated risk first", ylabel=f"share {error_name}"
        )
        axes.set_ylim(bottom=0, top=max(axes.get_ylim()[1], 0.1))
        axes.set_title(name)
        axes.legend(loc="best", fontsize=8)
    return figure


def _curve(axes: Axes, at: int, source: str, variable: Facts) -> None:
    curve, scores = variable["risk_coverage"], variable["scores"]
    colour, style = COLOURS[at % len(COLOURS)], STYLES[at % len(STYLES)]
    label = f"{source}, AURC {scores['aurc']['value']:.3f}"
    # The error rate among fewer than LEAST_KEPT items is too noisy to show.
    drawn = [
        (coverage, error)
        for coverage, error in zip(curve["coverage"], curve["error"], strict=True)
        if coverage >= min(LEAST_KEPT / variable["items"], 0.05) or coverage == 1
    ]
    axes.plot(*zip(*drawn, strict=True), color=colour, linestyle=style, linewidth=1.4, label=label)
    kept = scores.get("coverage", {}).get("value")
    wrong = scores.get("accepted_error", {}).get("value")
    if kept is not None and wrong is not None:
        axes.plot(
            [kept],
            [wrong],
            "o",
            clip_on=False,
            color=colour,
            markersize=6,
            label=f"accepted: {kept:.0%}, wrong {wrong:.1%}",
        )


def _confusion(name: str, variable: Facts, source: str) -> Figure:
    from seke.graphics.inline_figure import InlineFigure

    states, table = variable["states"], np.array(variable["confusion"], dtype=float)
    gold = table.sum(1, keepdims=True)
    share = np.divide(table, gold, out=np.zeros_like(table), where=gold > 0)
    side = max(0.62 * len(states), 2.4)
    figure = InlineFigure(figsize=(side + 2.7, side + 1.2), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(share):
        if table[row, column]:
            dark = "white" if value > 0.5 else "black"
            axes.text(column, row, f"{value:.0%}", ha="center", va="center", color=dark, fontsize=8)
    axes.set_xticks(range(len(states)), states, rotation=45, ha="right")
    axes.set_yticks(
        range(len(states)), [f"{s} ({int(n):,})" for s, n in zip(states, gold[:, 0], strict=True)]
    )
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set(xlabel="predicted", ylabel="gold (items)")
    accuracy = variable["scores"]["accuracy"]["value"]
    axes.set_title(f"{source + ': ' if source else ''}{name}, accuracy {accuracy:.1%}")
    figure.colorbar(image, ax=axes, shrink=0.7, label="share of the gold class", format="{x:.0%}")
    return figure


def _number(axes: Axes, name: str, variable: Facts) -> None:
    points, (low, high) = np.array(variable["points"]), variable["range"]
    tolerance = variable["tolerance"]
    line = np.array([low, high])
    if tolerance:
        label = f"within {tolerance:g}"
        axes.fill_between(
            line, line - tolerance, line + tolerance, color=BAND, alpha=0.35, linewidth=0, label=label
        )
    axes.plot(line, line, color="#666666", linewidth=0.8, linestyle=":")
    size = 14 if len(points) < 200 else 6
    axes.scatter(points[:, 0], points[:, 1], s=size, color=COLOURS[0], alpha=0.5, linewidth=0)
    ticks = np.linspace(low, high, 5)
    axes.set(xlim=(low, high), ylim=(low, high), xticks=ticks, yticks=ticks, aspect="equal")
    note = (
        f" ({len(points):,} of {variable['items']:,} items shown)" if len(points) < variable["items"] else ""
    )
    axes.set(xlabel=f"gold{note}", ylabel="predicted")
    ccc = variable["scores"]["ccc"]["value"]
    axes.set_title(f"{name}: CCC {'-' if ccc is None else format(ccc, '.3f')}", fontsize=9)
    if tolerance:
        axes.legend(loc="upper left", fontsize=8)
