"""A schematic face drawn from the posteriors of its action units.

`face.yaml` holds the landmarks of a face at rest, the moves of each unit (the action of FACS), and the shapes
drawn on the landmarks. A unit moves its landmarks by its probability times the full move; an unknown unit
moves none. `face.js` draws the same from this table in a browser.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.graphics.shapes import COLOURS, Drawing, Shape, ellipse, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Point = tuple[float, float]
    Landmarks = Mapping[str, Point]

_PLACE = r"(-?)(\w+?)(?:\+(-?[\d.]+),(-?[\d.]+))?"
_NAMED = re.compile(r"\{" + _PLACE + r"\}")
_ALONE = re.compile(_PLACE)
# Opacity below which a shape is not drawn: it would not be visible.
SEEN = 0.005


@cache
def face_table() -> Mapping[str, Any]:
    """Return the table of `face.yaml`; the comments there describe its fields."""
    import yaml

    table: Mapping[str, Any] = yaml.safe_load(Path(__file__).with_name("face.yaml").read_text("utf-8"))
    return table


def face_data() -> Mapping[str, Any]:
    """Return the data of `face.js`, as JSON values: the table with the colours of its roles."""
    table = face_table()
    roles = {shape[key] for shape in table["shapes"] for key in ("fill", "stroke") if key in shape}
    return {**table, "colours": {role: COLOURS[role] for role in sorted(roles)}}


def face_script() -> str:
    """Return the text of `face.js`: `drawFace(data, probabilities)` makes the same SVG as `face` does."""
    return Path(__file__).with_name("face.js").read_text("utf-8")


def face(units: Mapping[str, float | None], title: str = "face drawn from action units") -> Drawing:
    """Draw a face. units: action unit -> P(active); None, and units that are left out, are at rest.

    Units that the table does not have are not drawn.

    Raises:
        engine.SekeError: a probability outside [0, 1].
    """
    table, p_active = face_table(), _known(units)
    places = landmarks(p_active)
    shapes = [shape for spec in table["shapes"] for shape in _shapes(spec, places, p_active)]
    width, height = table["size"]
    active = [f"{name} {p:.2f}" for name, p in p_active.items() if p >= 0.5]
    return Drawing(width, height, tuple(shapes), title, ", ".join(active) or "no action unit is likely")


def landmarks(units: Mapping[str, float | None]) -> Landmarks:
    """Return the place of each landmark of the right half: x from the middle line, y down, in pixels."""
    table, p_active = face_table(), _known(units)
    places = {name: tuple(map(float, place)) for name, place in table["landmarks"].items()}
    for unit, action in table["units"].items():
        _move(places, action["moves"], p_active.get(unit, 0.0))
    for combination in table["together"]:
        share = 1.0
        for unit in combination["of"]:
            share *= p_active.get(unit, 0.0)
        _move(places, combination["moves"], share)
    for upper, lower in table["apart"]:
        (ux, uy), (lx, ly) = places[upper], places[lower]
        if ly < uy:
            places[upper], places[lower] = (ux, (uy + ly) / 2), (lx, (uy + ly) / 2)
    for name, position in table["between"].items():
        (ax, ay), (bx, by) = places[position["of"]], places[position["to"]]
        at, (x, y) = position["at"], position["by"]
        places[name] = (ax + at * (bx - ax) + x, ay + at * (by - ay) + y)
    return places  # type: ignore[return-value]


def _known(units: Mapping[str, float | None]) -> dict[str, float]:
    known = {name: float(p) for name, p in units.items() if p is not None and name in face_table()["units"]}
    for name, p in known.items():
        if not 0 <= p <= 1:
            raise SekeError(f"{name}: met {p:g}; a probability is between 0 and 1")
    return known


def _move(places: dict[str, Any], moves: Mapping[str, Any], share: float) -> None:
    for name, (x, y) in moves.items():
        before = places[name]
        places[name] = (before[0] + share * x, before[1] + share * y)


def _shapes(spec: Mapping[str, Any], places: Landmarks, p_active: Mapping[str, float]) -> Iterator[Shape]:
    """Yield the shape of an entry of the table, on both sides where it has two; none if it is invisible."""
    seen = spec.get("seen", {"always": 1.0})
    opacity = min(sum(share * p_active.get(unit, unit == "always") for unit, share in seen.items()), 1.0)
    if opacity < SEEN:
        return
    look = {key: spec[key] for key in ("fill", "stroke", "width") if key in spec}
    for side in (-1, 1) if spec.get("sides") == "both" else (1,):
        path = _outline(spec, places, side)
        name = spec["name"] + ({-1: "-left", 1: "-right"}[side] if spec.get("sides") == "both" else "")
        yield Shape(path, opacity=opacity, name=name, **look)


def _outline(spec: Mapping[str, Any], places: Landmarks, side: int) -> str:
    if "ellipse" in spec:
        at, rx, ry = spec["ellipse"]
        match = _ALONE.fullmatch(at)
        return ellipse(*_place(match, places, side), rx, ry)
    return _NAMED.sub(lambda match: " ".join(map(number, _place(match, places, side))), spec["path"])


def _place(match: Any, places: Landmarks, side: int) -> Point:
    """Return the point on the sheet of a landmark named in a path, moved by its offset, x outwards."""
    across, name, x, y = match.groups()
    place, sign = places[name], -side if across else side
    offset = (float(x or 0), float(y or 0))
    return face_table()["middle"] + sign * (place[0] + offset[0]), place[1] + offset[1]
