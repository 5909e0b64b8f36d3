"""The marks of a picture, and its two writers: SVG text, and a figure of matplotlib (png, pdf, notebooks).

Lengths are CSS pixels, y points down, the origin is the upper left corner. Colours are roles (`ink`, `prior`,
`skin`, ...): every mark has the role's plain colour as an attribute and its name as a class (`f-ink` fills,
`s-ink` strokes), so that a picture stands alone and a page may still give it other colours in the dark.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from seke.console.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from matplotlib.figure import Figure

COLOURS: Mapping[str, str] = {
    "ink": "#1f2328",
    "muted": "#59636e",
    "grid": "#d5dae0",
    "band": "#f3f5f8",
    "paper": "#ffffff",
    # Okabe and Ito's blue, vermilion and green, told apart with any colour vision, and in grey.
    "posterior": "#0072b2",
    "evidence": "#d55e00",
    "prior": "#8c959f",
    "accept": "#007a59",
    "requery": "#9a6700",
    "reject": "#b4341f",
    "skin": "#f3d3b3",
    "ear": "#e9c19c",
    "shade": "#dba57c",
    "crease": "#8a5a3c",
    "line": "#5b3a29",
    "hair": "#5a4233",
    "brow": "#4a3427",
    "white": "#fffdf8",
    "iris": "#6d8a78",
    "pupil": "#1c1a19",
    "lip": "#c97668",
    "mouth": "#5c1f24",
    "tongue": "#c25a5f",
    "teeth": "#fffaf0",
}
# The same roles on a dark page; the face keeps its own.
DARK: Mapping[str, str] = {
    "ink": "#e6edf3",
    "muted": "#9da7b3",
    "grid": "#3a424c",
    "band": "#1c222a",
    "paper": "#0f141a",
    "posterior": "#58b1ea",
    "evidence": "#f0883e",
    "prior": "#7d8590",
    "accept": "#3fb98a",
    "requery": "#d9a441",
    "reject": "#f47862",
}
MOST_TEXT = 200
# The mean width of a letter, in parts of the size of the type.
LETTER = 0.56
_INCH = 96
_NUMBER = re.compile(r"-?\d*\.?\d+(?:e-?\d+)?")
_STEPS = re.compile(r"([MLCQZ])([^MLCQZ]*)")


@dataclass(frozen=True)
class Shape:
    """A path of absolute M, L, C, Q and Z. fill, stroke: roles, or none; width: of the stroke."""

    path: str
    fill: str = ""
    stroke: str = ""
    width: float = 0.0
    opacity: float = 1.0
    dash: str = ""
    name: str = ""


@dataclass(frozen=True)
class Text:
    """A line of text whose baseline begins, is centred or ends at a point. anchor: start, middle, end."""

    x: float
    y: float
    text: str
    size: float = 12.0
    anchor: str = "start"
    fill: str = "ink"
    bold: bool = False
    turned: float = 0.0


@dataclass(frozen=True)
class Group:
    """Marks that are scaled, then moved by (x, y)."""

    marks: tuple[Mark, ...]
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0


Mark = Shape | Text | Group


@dataclass(frozen=True)
class Drawing:
    """Marks on a sheet. title, description: what it is and shows, for those who cannot see it."""

    width: float
    height: float
    marks: tuple[Mark, ...]
    title: str = ""
    description: str = ""

    def as_group(self, x: float, y: float, scale: float = 1.0) -> Group:
        """Return the picture as a part of another one."""
        return Group(self.marks, x, y, scale)

    def with_margin(self, margin: float = 10.0) -> Drawing:
        """Return the picture on paper with a margin, as a file by itself shows it."""
        width, height = self.width + 2 * margin, self.height + 2 * margin
        paper = Shape(box(0, 0, width, height), fill="paper")
        return Drawing(width, height, (paper, self.as_group(margin, margin)), self.title, self.description)

    def svg(self) -> str:
        """Return the picture as an SVG element: well-formed XML, without styles, scripts, ids or links."""
        about = f'role="img" aria-label="{_escaped(self.title)}"' if self.title else 'aria-hidden="true"'
        box = f"0 0 {number(self.width)} {number(self.height)}"
        size = f'width="{number(self.width)}" height="{number(self.height)}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" {size} {about}>'
        description = f"<desc>{_escaped(self.description, 4000)}</desc>" if self.description else ""
        return "".join((head, description, *_marks_svg(self.marks), "</svg>"))

    def figure(self) -> Figure:
        """Return the picture as a figure of matplotlib."""
        from seke.graphics.inline_figure import InlineFigure

        figure = InlineFigure(figsize=(self.width / _INCH, self.height / _INCH))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, self.width), ylim=(self.height, 0))
        axes.axis("off")
        for order, (mark, x, y, scale) in enumerate(_flat(self.marks)):
            if isinstance(mark, Text):
                _draw_text(axes, mark, x, y, scale, order)
            elif isinstance(mark, Shape):
                _draw_shape(axes, mark, x, y, scale, order)
        return figure


def number(value: float) -> str:
    """Return a length as text, rounded to a hundredth, halves up, as `face.js` does it, too."""
    return f"{(value * 100 + 0.5) // 1 / 100 + 0.0:.6g}"


def points(numbers: Iterable[tuple[float, float]]) -> str:
    """Return points as the coordinates of a path."""
    return " ".join(f"{number(x)} {number(y)}" for x, y in numbers)


def line(*through: tuple[float, float]) -> str:
    """Return the path of a broken line."""
    return f"M {points(through[:1])} L {points(through[1:])}"


def box(x: float, y: float, width: float, height: float) -> str:
    """Return the path of a rectangle."""
    return f"{line((x, y), (x + width, y), (x + width, y + height), (x, y + height))} Z"


def ellipse(x: float, y: float, rx: float, ry: float) -> str:
    """Return the path of an ellipse, of four Bézier curves."""
    kx, ky = 0.5523 * rx, 0.5523 * ry
    return (
        f"M {points([(x - rx, y)])} C {points([(x - rx, y - ky), (x - kx, y - ry), (x, y - ry)])} "
        f"C {points([(x + kx, y - ry), (x + rx, y - ky), (x + rx, y)])} "
        f"C {points([(x + rx, y + ky), (x + kx, y + ry), (x, y + ry)])} "
        f"C {points([(x - kx, y + ry), (x - rx, y + ky), (x - rx, y)])} Z"
    )


def fitting(text: str, width: float, size: float) -> str:
    """Return a text cut to a width in pixels, with an ellipsis where it is cut; size: of the type."""
    most = max(int(width / (LETTER * size)), 1)
    text = clean(text, most + 1)
    return text if len(text) <= most else text[: most - 1] + "…"


def clean(text: object, most: int = MOST_TEXT) -> str:
    """Return an untrusted text made safe to show: no control or direction characters, `most` characters."""
    cut = str(text)
    cut = cut if len(cut) <= most else cut[: most - 1] + "…"
    return printable(" ".join(cut.split())) if cut.strip() else ""


def _escaped(text: str, most: int = MOST_TEXT) -> str:
    return escape(clean(text, most))


def _marks_svg(marks: Sequence[Mark]) -> Iterator[str]:
    for mark in marks:
        if isinstance(mark, Shape):
            yield shape_svg(mark)
        elif isinstance(mark, Text):
            yield _text_svg(mark)
        else:
            moved = f"translate({number(mark.x)} {number(mark.y)}) scale({mark.scale:.6g})"
            yield f'<g transform="{moved}">'
            yield from _marks_svg(mark.marks)
            yield "</g>"


def shape_svg(mark: Shape) -> str:
    """Return a shape as an SVG element."""
    classes = [f"f-{mark.fill}"] * bool(mark.fill) + [f"s-{mark.stroke}"] * bool(mark.stroke)
    attributes = f' class="{" ".join(classes)}" fill="{COLOURS[mark.fill] if mark.fill else "none"}"'
    if mark.stroke:
        attributes += f' stroke="{COLOURS[mark.stroke]}" stroke-width="{number(mark.width)}"'
        attributes += ' stroke-linecap="round" stroke-linejoin="round"'
    if mark.dash:
        attributes += f' stroke-dasharray="{mark.dash}"'
    if mark.opacity < 1:
        attributes += f' opacity="{number(mark.opacity)}"'
    name = f' data-name="{mark.name}"' if mark.name else ""
    return f'<path{name}{attributes} d="{mark.path}"/>'


def _text_svg(mark: Text) -> str:
    attributes = (
        f'x="{number(mark.x)}" y="{number(mark.y)}" class="f-{mark.fill}" fill="{COLOURS[mark.fill]}"'
    )
    attributes += f' font-family="system-ui, sans-serif" font-size="{number(mark.size)}"'
    if mark.anchor != "start":
        attributes += f' text-anchor="{mark.anchor}"'
    if mark.bold:
        attributes += ' font-weight="600"'
    if mark.turned:
        attributes += f' transform="rotate({number(mark.turned)} {number(mark.x)} {number(mark.y)})"'
    return f"<text {attributes}>{_escaped(mark.text)}</text>"


def _flat(
    marks: Sequence[Mark], x: float = 0.0, y: float = 0.0, scale: float = 1.0
) -> Iterator[tuple[Shape | Text, float, float, float]]:
    for mark in marks:
        if isinstance(mark, Group):
            yield from _flat(mark.marks, x + scale * mark.x, y + scale * mark.y, scale * mark.scale)
        else:
            yield mark, x, y, scale


def _draw_text(axes: Any, mark: Text, x: float, y: float, scale: float, order: int) -> None:
    axes.text(
        x + scale * mark.x,
        y + scale * mark.y,
        clean(mark.text),
        fontsize=0.75 * scale * mark.size * 0.94,
        color=COLOURS[mark.fill],
        ha={"start": "left", "middle": "center", "end": "right"}[mark.anchor],
        va="baseline",
        weight="bold" if mark.bold else "normal",
        rotation=-mark.turned,
        rotation_mode="anchor",
        parse_math=False,
        zorder=order,
    )


def _draw_shape(axes: Any, mark: Shape, x: float, y: float, scale: float, order: int) -> None:
    from matplotlib.patches import PathPatch

    vertices, codes = _steps(mark.path)
    moved = [(x + scale * px, y + scale * py) for px, py in vertices]
    width = 0.75 * scale * mark.width
    dashes = [float(length) / max(mark.width, 0.1) for length in mark.dash.split()]
    patch = PathPatch(
        _path(moved, codes),
        facecolor=COLOURS[mark.fill] if mark.fill else "none",
        edgecolor=COLOURS[mark.stroke] if mark.stroke else "none",
        linewidth=width if mark.stroke else 0,
        linestyle=(0, dashes) if dashes else "-",
        alpha=mark.opacity,
        capstyle="round",
        joinstyle="round",
        zorder=order,
    )
    axes.add_patch(patch)


def _path(vertices: list[tuple[float, float]], codes: list[int]) -> Any:
    from matplotlib.path import Path

    return Path(vertices, codes)


def _steps(path: str) -> tuple[list[tuple[float, float]], list[int]]:
    """Return the n points of a path and matplotlib's n codes of them."""
    kinds = {"M": 1, "L": 2, "Q": 3, "C": 4}
    vertices: list[tuple[float, float]] = []
    codes: list[int] = []
    for letter, coordinates in _STEPS.findall(path):
        if letter == "Z":
            vertices.append(vertices[-1])
            codes.append(79)
            continue
        numbers = [float(coordinate) for coordinate in _NUMBER.findall(coordinates)]
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
        vertices += pairs
        codes += [kinds[letter]] * len(pairs)
    return vertices, codes
