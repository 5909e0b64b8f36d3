"""What a built-in observer is shown, what it finds there, and the protocol that it follows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    # Variable -> its value, as in `reports` of a sample: a probability, None (not visible), a distribution.
    Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Box:
    """Where a face is, in pixels of the upright picture; x and y are its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Its pixels."""
        return self.width * self.height

    def overlap(self, other: Box) -> float:
        """Return how many pixels it shares with another one."""
        width = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        height = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return max(width, 0.0) * max(height, 0.0)


@dataclass(frozen=True)
class ShownPart:
    """The part of a picture that observers are shown.

    pixels: (H, W, 3) red, green and blue from 0 to 255, upright. x, y: its upper left corner in the picture,
    in the picture's pixels; scale: how many of these one of its own is. near: where the face is said
    to be, in its own pixels, where that is known.
    """

    pixels: NDArray[np.uint8]
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    near: Box | None = None

    def in_picture(self, part: Box) -> list[float]:
        """Return left, top, width and height of a part in the picture, in its pixels."""
        corner = (self.x + self.scale * part.x, self.y + self.scale * part.y)
        sides = (self.scale * part.width, self.scale * part.height)
        return [round(number, 1) for number in (*corner, *sides)]


@dataclass(frozen=True)
class Face:
    """A face that was found.

    box: around its points. pose: degrees; yaw above 0 is turned to the right of the picture, pitch above 0
    upwards, roll above 0 against the clock. scores: blendshape -> how far it has come, from 0 to 1.
    """

    box: Box
    pose: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)


class PictureObserver(Protocol):
    """A program that answers one question about a face."""

    @property
    def name(self) -> str:
        """The observer of the base that it is."""

    @property
    def question(self) -> str:
        """The question of the base that it answers."""

    @property
    def network(self) -> str:
        """Its network's file, by name and the beginning of its digest."""

    def reports(self, shown: ShownPart, face: Face) -> Sequence[Report]:
        """Return its answers about a face, which are draws of one reading."""

    def facts(self, face: Face) -> Mapping[str, Any]:
        """Return what is noted under `extra` of the first of its answers."""


def in_order(faces: Sequence[Face], near: Box | None) -> tuple[Face, ...]:
    """Return faces with the one that is meant first: the largest, or the one that shares most with `near`."""
    return tuple(sorted(faces, key=lambda face: (-(face.box.overlap(near) if near else 0.0), -face.box.area)))
