"""A schematic face drawn from the posteriors of its action units.

All that it shows is in `face.yaml`: where the landmarks of a face at rest are, where each unit carries them
(the action of FACS), which shapes stand on them. A unit moves its landmarks by its probability times their
full way; of a unit that is not known nothing is seen. `face.js` draws the same from this table in a browser.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.graphics.shapes import COLOURS, Picture, Shape, ellipse, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Point = tuple[float, float]
    Landmarks = Mapping[str, Point]

_PLACE = r"(-?)(\w+?)(?:\+(-?[\d.]+),(-?[\d.]+))?"
_NAMED = re.compile(r"\{" + _PLACE + r"\}")
_ALONE = re.compile(_PLACE)
SEEN = 0.005


@cache
def face_table() -> Mapping[str, Any]:
    """Return the table of `face.yaml`, whose comments say what is in it."""
    import yaml

    table: Mapping[str, Any] = yaml.safe_load(Path(__file__).with_name("face.yaml").read_text("utf-8"))
    return table


def face_data() -> Mapping[str, Any]:
    """Return what `face.js` draws from, JSON values: the table with the colours of its roles."""
    table = face_table()
    roles = {one[key] for one in table["shapes"] for key in ("fill", "stroke") if key in one}
    return {**table, "colours": {role: COLOURS[role] for role in sorted(roles)}}


def face_script() -> str:
    """Return the text of `face.js`: `drawFace(data, probabilities)` makes the same SVG as `face` does."""
    return Path(__file__).with_name("face.js").read_text("utf-8")


def face(units: Mapping[str, float | None], title: str = "face drawn from action units") -> Picture:
    """Draw a face. units: action unit -> P(active); None, and units that are left out, are at rest.

    Units that the table does not have are not drawn.

    Raises:
        engine.SekeError: a probability outside [0, 1].
    """
    table, known = face_table(), _known(units)
    places = landmarks(known)
    shapes = [shape for one in table["shapes"] for shape in _shapes(one, places, known)]
    width, height = table["size"]
    active = [f"{name} {p:.2f}" for name, p in known.items() if p >= 0.5]
    return Picture(width, height, tuple(shapes), title, ", ".join(active) or "no action unit is likely")


def landmarks(units: Mapping[str, float | None]) -> Landmarks:
    """Return where each landmark of the right half is: x from the middle line, y down, in pixels."""
    table, known = face_table(), _known(units)
    places = {name: tuple(map(float, place)) for name, place in table["landmarks"].items()}
    for unit, one in table["units"].items():
        _move(places, one["moves"], known.get(unit, 0.0))
    for one in table["together"]:
        share = 1.0
        for unit in one["of"]:
            share *= known.get(unit, 0.0)
        _move(places, one["moves"], share)
    for upper, lower in table["apart"]:
        (ux, uy), (lx, ly) = places[upper], places[lower]
        if ly < uy:
            places[upper], places[lower] = (ux, (uy + ly) / 2), (lx, (uy + ly) / 2)
    for name, one in table["between"].items():
        (ax, ay), (bx, by), at, (x, y) = places[one["of"]], places[one["to"]], one["at"], one["by"]
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


def _shapes(one: Mapping[str, Any], places: Landmarks, known: Mapping[str, float]) -> Iterator[Shape]:
    """Yield a shape, one for each side where it has two; nothing where it cannot be seen."""
    seen = one.get("seen", {"always": 1.0})
    opacity = min(sum(share * known.get(unit, unit == "always") for unit, share in seen.items()), 1.0)
    if opacity < SEEN:
        return
    look = {key: one[key] for key in ("fill", "stroke", "width") if key in one}
    for side in (-1, 1) if one.get("sides") == "both" else (1,):
        path = _outline(one, places, side)
        name = one["name"] + ({-1: "-left", 1: "-right"}[side] if one.get("sides") == "both" else "")
        yield Shape(path, opacity=opacity, name=name, **look)


def _outline(one: Mapping[str, Any], places: Landmarks, side: int) -> str:
    if "ellipse" in one:
        at, rx, ry = one["ellipse"]
        match = _ALONE.fullmatch(at)
        return ellipse(*_place(match, places, side), rx, ry)
    return _NAMED.sub(lambda match: " ".join(map(number, _place(match, places, side))), one["path"])


def _place(match: Any, places: Landmarks, side: int) -> Point:
    """Return the point that a name in a path stands for, on the sheet; off: moved so far, x outwards."""
    across, name, x, y = match.groups()
    place, sign = places[name], -side if across else side
    off = (float(x or 0), float(y or 0))
    return face_table()["middle"] + sign * (place[0] + off[0]), place[1] + off[1]
