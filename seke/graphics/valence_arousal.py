"""Draws the plane of two numbers (valence and arousal): answers, the posterior, the expressions' regions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seke.graphics.shapes import Drawing, Shape, Text, ellipse, fitting, line, points

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine import Floats
    from seke.graphics.shapes import Mark

    Point = tuple[float, float]

# Side of the plane and margins in pixels.
SIDE, LEFT, TOP = 300.0, 44.0, 12.0
# Probability masses of the highest-density regions that are drawn.
MASSES = (0.9, 0.5)


@dataclass(frozen=True)
class DrawnMoments:
    """Means, standard deviations and correlation of both numbers; name: what they describe."""

    mean: Point
    sd: Point
    correlation: float = 0.0
    name: str = ""


@dataclass(frozen=True)
class JointBins:
    """A joint distribution: p (bins of x, bins of y), sum 1; edges of the bins of each."""

    p: Floats
    x: Floats
    y: Floats


def plane(
    posterior: JointBins | DrawnMoments | None,
    samples: Sequence[Point] = (),
    regions: Sequence[DrawnMoments] = (),
    *,
    names: tuple[str, str],
    limits: tuple[Point, Point] = ((-1.0, 1.0), (-1.0, 1.0)),
) -> Drawing:
    """Draw the plane of two numbers, which are called `names`.

    posterior: its highest-density regions of 90 and 50 % are drawn; moments are drawn as those of a Gaussian.
    samples: the answers; equal ones are one larger dot. regions: the expected moments of each expression,
    drawn as its name at the mean and a pale ellipse half a standard deviation wide.
    """
    scale = _SheetScale(limits)
    marks: list[Mark] = [*_frame(scale, names), *_regions(scale, regions)]
    description = ""
    if posterior is not None:
        for outline, opacity in zip(_outlines(posterior, scale), (0.22, 0.38), strict=True):
            marks += [
                Shape(path, fill="posterior", stroke="posterior", width=1.2, opacity=opacity)
                for path in outline
            ]
        x, y = _mean(posterior)
        marks += _cross(*scale.at((x, y)))
        description = f"posterior mean {names[0]} {x:.2f}, {names[1]} {y:.2f}"
    marks += _samples(scale, samples)
    marks += _names(scale, regions)
    marks += _key(posterior is not None, bool(samples))
    return Drawing(LEFT + SIDE + 14, TOP + SIDE + 62, tuple(marks), " and ".join(names), description)


class _SheetScale:
    """Maps values to points on the sheet; values beyond the limits are at the border."""

    def __init__(self, limits: tuple[Point, Point]) -> None:
        self.limits = limits

    def at(self, value: Point) -> Point:
        (x0, x1), (y0, y1) = self.limits
        x, y = (value[0] - x0) / (x1 - x0), (value[1] - y0) / (y1 - y0)
        return LEFT + SIDE * min(max(x, 0.0), 1.0), TOP + SIDE * (1 - min(max(y, 0.0), 1.0))

    def path(self, values: Floats) -> str:
        return f"{line(*(self.at((x, y)) for x, y in values.tolist()))} Z"


def _frame(scale: _SheetScale, names: tuple[str, str]) -> Iterator[Mark]:
    (x0, x1), (y0, y1) = scale.limits
    corner, far = scale.at((x0, y0)), scale.at((x1, y1))
    yield Shape(f"{line(corner, (far[0], corner[1]), far, (corner[0], far[1]))} Z", stroke="grid", width=1)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = x0 + share * (x1 - x0), y0 + share * (y1 - y0)
        width = 1.6 if share == 0.5 else 0.8
        yield Shape(line(scale.at((x, y0)), scale.at((x, y1))), stroke="grid", width=width)
        yield Shape(line(scale.at((x0, y)), scale.at((x1, y))), stroke="grid", width=width)
        yield Text(scale.at((x, y0))[0], TOP + SIDE + 15, f"{x:g}", 10.5, "middle", fill="muted")
        yield Text(LEFT - 6, scale.at((x0, y))[1] + 3.5, f"{y:g}", 10.5, "end", fill="muted")
    yield Text(LEFT + SIDE / 2, TOP + SIDE + 31, names[0], 12, "middle")
    yield Text(12, TOP + SIDE / 2, names[1], 12, "middle", turned=-90)


def _ellipse(moments: DrawnMoments, radius: float) -> Floats:
    """Return (48, 2) points of the ellipse at `radius` standard deviations."""
    turn = np.linspace(0, 2 * np.pi, 49)[:-1]
    r = min(max(moments.correlation, -1.0), 1.0)
    x = np.cos(turn)
    y = r * x + math.sqrt(1 - r * r) * np.sin(turn)
    return np.stack(
        [moments.mean[0] + radius * moments.sd[0] * x, moments.mean[1] + radius * moments.sd[1] * y], axis=1
    )


def _regions(scale: _SheetScale, regions: Sequence[DrawnMoments]) -> Iterator[Mark]:
    for region in regions:
        yield Shape(scale.path(_ellipse(region, 0.5)), fill="prior", opacity=0.16)


def _names(scale: _SheetScale, regions: Sequence[DrawnMoments]) -> Iterator[Mark]:
    """Yield the regions' names at their means, moved up or down where they would overlap."""
    taken: list[tuple[float, float, float]] = []
    for region in sorted(regions, key=lambda region: -region.mean[1]):
        x, y = scale.at(region.mean)
        name = fitting(region.name, 110, 11)
        half = 0.3 * 11 * len(name)
        x = min(max(x, LEFT + half + 2), LEFT + SIDE - half - 2)
        for shift in (0.0, 12.0, -12.0, 24.0, -24.0, 36.0):
            if all(abs(y + shift - v) >= 11 or abs(x - u) >= half + w for u, v, w in taken):
                y += shift
                break
        taken.append((x, y, half))
        yield Text(x, y + 4, name, 11, "middle")


def highest_density(p: Floats, mass: float) -> float:
    """Return the least bin probability in the smallest set of bins that holds this mass; p: (X, Y)."""
    order = np.sort(p, axis=None)[::-1]
    return float(order[min(int(np.searchsorted(np.cumsum(order), mass - 1e-9)), order.size - 1)])


def _outlines(posterior: JointBins | DrawnMoments, scale: _SheetScale) -> Iterator[list[str]]:
    """Yield for each mass the paths of the posterior's highest-density region."""
    for mass in MASSES:
        if isinstance(posterior, DrawnMoments):
            yield [scale.path(_ellipse(posterior, math.sqrt(-2 * math.log(1 - mass))))]
        else:
            contours = _contours(posterior, highest_density(posterior.p, mass))
            # One path, so that holes are holes.
            yield [" ".join(scale.path(contour) for contour in contours)] if contours else []


def _contours(grid: JointBins, least: float) -> list[Floats]:
    """Return closed lines, (n, 2) points each, around the bins with at least this probability."""
    from contourpy import contour_generator

    x, y = (np.concatenate([e[:1], (e[:-1] + e[1:]) / 2, e[-1:]]) for e in (grid.x, grid.y))
    # A rim as high as the bins at the border, and beyond it nothing, so that every line closes.
    p = np.pad(np.pad(grid.p, 1, mode="edge"), 1)
    x, y = (np.concatenate([e[:1] - 1e-6, e, e[-1:] + 1e-6]) for e in (x, y))
    # A level below the bins' own, so that a bin is inside its region.
    level = least * (1 - 1e-6) - 1e-15
    contours: Any = contour_generator(x, y, p.T).lines(level)
    return [np.asarray(contour) for contour in contours]


def _mean(posterior: JointBins | DrawnMoments) -> Point:
    if isinstance(posterior, DrawnMoments):
        return posterior.mean
    x, y = ((e[:-1] + e[1:]) / 2 for e in (posterior.x, posterior.y))
    return float(posterior.p.sum(1) @ x), float(posterior.p.sum(0) @ y)


def _cross(x: float, y: float) -> Iterator[Mark]:
    for stroke, width in (("paper", 4.5), ("posterior", 2.2)):
        path = f"{line((x - 6, y), (x + 6, y))} {line((x, y - 6), (x, y + 6))}"
        yield Shape(path, stroke=stroke, width=width)


def _samples(scale: _SheetScale, samples: Sequence[Point]) -> Iterator[Mark]:
    counts: dict[Point, int] = {}
    for point in samples:
        counts[point] = counts.get(point, 0) + 1
    for (x, y), count in counts.items():
        radius = 3.2 * math.sqrt(min(count, 16))
        yield Shape(
            ellipse(*scale.at((x, y)), radius, radius), fill="evidence", stroke="paper", width=1, opacity=0.85
        )


def _key(posterior: bool, samples: bool) -> Iterator[Mark]:
    x, y = LEFT, TOP + SIDE + 50
    if posterior:
        yield Shape(
            f"M {points([(x, y - 9)])} L {points([(x + 14, y - 9), (x + 14, y), (x, y)])} Z",
            fill="posterior",
            opacity=0.5,
        )
        yield Text(x + 20, y, "posterior, 50 and 90 %", 10.5, fill="muted")
        x += 152
    if samples:
        yield Shape(ellipse(x + 5, y - 4, 3.2, 3.2), fill="evidence")
        yield Text(x + 13, y, "answers", 10.5, fill="muted")
        x += 66
    yield Shape(ellipse(x + 7, y - 4, 8, 5), fill="prior", opacity=0.3)
    yield Text(x + 19, y, "expected", 10.5, fill="muted")
