"""The lines of a drawn network: bent so that they cross no node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine import Floats

    Point = tuple[float, float]
    Extent = tuple[float, float, float, float]

# Bends of a line that are tried in turn until it crosses no node, beside its usual one.
BENDS = tuple(
    sign * bend for bend in (0.0, 0.06, 0.12, 0.18, 0.25, 0.33, 0.42, 0.55, 0.7) for sign in (1, -1)
)
# Points of a line that are looked at, and how far from a node it stays, in units of the drawing.
POINTS, CLEARANCE = 60, 0.03


def curves(ends: tuple[Point, Point], bends: Sequence[float]) -> Floats:
    """Return P points of each of B lines with these bends, (B, P, 2), as `arc3` of matplotlib draws them."""
    (x1, y1), (x2, y2) = ends
    t = np.linspace(0, 1, POINTS)[:, None]
    sideways = np.array([y2 - y1, x1 - x2])
    middle = np.array([(x1 + x2) / 2, (y1 + y2) / 2]) + np.array(bends)[:, None, None] * sideways
    return np.asarray((1 - t) ** 2 * (x1, y1) + 2 * t * (1 - t) * middle + t**2 * (x2, y2))


def clear_bend(ends: tuple[Point, Point], obstacles: Sequence[Extent], usual: float) -> tuple[float, int]:
    """Return the bend of a line that crosses the fewest obstacles, the usual one if it can be, and how many.

    obstacles: (left, lower, right, upper) of each.
    """
    bends = (usual, *BENDS)
    low_x, low_y, high_x, high_y = np.array(obstacles).reshape(-1, 4).T
    x, y = (axis[..., None] for axis in np.moveaxis(curves(ends, bends), -1, 0))
    inside = (x > low_x - CLEARANCE) & (x < high_x + CLEARANCE)
    inside &= (y > low_y - CLEARANCE) & (y < high_y + CLEARANCE)
    crossed = inside.any(axis=1).sum(axis=1)
    best = int(crossed.argmin())
    return bends[best], int(crossed[best])
