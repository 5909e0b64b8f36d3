"""A drawing -> pixels, by Pillow alone: for files that need no text, where matplotlib is not installed."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from seke.graphics.shapes import COLOURS, Drawing, Shape, flat_marks, path_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    Point = tuple[float, float]

# Pixels drawn for each one of the result, in each direction: their mean makes smooth edges.
FINER = 3
# Straight pieces in place of one curve; at 300 pixels no corner shows.
PIECES = 12


def bitmap(drawing: Drawing, scale: float = 1.0) -> Image:
    """Return the shapes of a drawing as an RGB picture on paper; its texts are x_min out.

    scale: pixels of a unit of length.
    """
    from PIL import Image

    width, height = round(drawing.width * scale), round(drawing.height * scale)
    picture = Image.new("RGB", (width * FINER, height * FINER), COLOURS["paper"])
    for mark, x, y, mark_scale in flat_marks(drawing.marks):
        if isinstance(mark, Shape):
            _draw(picture, mark, x * scale * FINER, y * scale * FINER, mark_scale * scale * FINER)
    return picture.resize((width, height), Image.Resampling.BOX)


def _draw(picture: Image, shape: Shape, x: float, y: float, scale: float) -> None:
    """Draw a shape: its area, and then its line with round ends and corners."""
    from PIL import Image, ImageDraw

    lines, width = list(_lines(shape.path)), scale * shape.width
    xs = [x + scale * px for line in lines for px, _ in line]
    ys = [y + scale * py for line in lines for _, py in line]
    # Only the part that the shape can reach is looked at.
    x_min, y_min = math.floor(min(xs) - width), math.floor(min(ys) - width)
    size = math.ceil(max(xs) + width) - x_min + 1, math.ceil(max(ys) + width) - y_min + 1
    moved = [[(x + scale * px - x_min, y + scale * py - y_min) for px, py in line] for line in lines]
    for role, is_area in ((shape.fill, True), (shape.stroke, False)):
        if not role:
            continue
        mask = Image.new("L", size)
        draw, opacity = ImageDraw.Draw(mask), round(255 * shape.opacity)
        for line in moved:
            if is_area:
                draw.polygon(line, fill=opacity)
            else:
                _draw_line(draw, line, width, opacity)
        picture.paste(COLOURS[role], (x_min, y_min), mask)


def _draw_line(draw: ImageDraw, line: list[Point], width: float, opacity: int) -> None:
    draw.line(line, fill=opacity, width=max(round(width), 1), joint="curve")
    for px, py in (line[0], line[-1]):
        draw.circle((px, py), width / 2, fill=opacity)


def _lines(path: str) -> Iterator[list[Point]]:
    """Yield the parts of a path as points that straight pieces connect."""
    line: list[Point] = []
    for letter, step in path_steps(path):
        if letter == "M":
            if line:
                yield line
            line = step
        elif letter == "Z":
            line.append(line[0])
        elif letter == "L":
            line += step
        else:
            curve = [line[-1], *step]
            line += [_bezier(curve, piece / PIECES) for piece in range(1, PIECES + 1)]
    if line:
        yield line


def _bezier(points: list[Point], t: float) -> Point:
    """Return the point of a Bézier curve, by de Casteljau's algorithm."""
    while len(points) > 1:
        points = [
            (ax + t * (bx - ax), ay + t * (by - ay)) for (ax, ay), (bx, by) in itertools.pairwise(points)
        ]
    return points[0]
