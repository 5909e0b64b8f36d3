"""Pictures of made-up faces: drawn from their action units, with what a student must not mind."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from seke.graphics.bitmap import bitmap
from seke.graphics.face import face

if TYPE_CHECKING:
    from collections.abc import Sequence

    Record = dict[str, Any]

SIZE = 48
# How strongly an active unit shows; how far a head turns (degrees), moves, grows and stretches; noise; light.
STRENGTH, TURN, SHIFT, GROWTH, STRETCH = (0.5, 1.0), 12.0, 3.0, (0.9, 1.1), (0.85, 1.15)
NOISE, LIGHT = 0.08, (0.6, 1.1)


def picture(row: Record, units: Sequence[str], person: int, rng: np.random.Generator) -> np.ndarray:
    """Return a grey picture (48, 48) in [0, 1]. person: whose head's width and light are the same in all pictures."""
    of_person = random.Random(person)
    strengths = {unit: float(rng.uniform(*STRENGTH)) if row[unit] else 0.0 for unit in units}
    drawing = face(strengths)
    drawn = bitmap(drawing, SIZE / drawing.height).convert("L")
    stretch = of_person.uniform(*STRETCH)
    size = round(drawn.width * stretch * rng.uniform(*GROWTH)), round(drawn.height * rng.uniform(*GROWTH))
    turned = drawn.resize(size).rotate(rng.uniform(-TURN, TURN), Image.Resampling.BILINEAR, fillcolor=255)
    canvas = Image.new("L", (SIZE, SIZE), 255)
    place = [(SIZE - length) // 2 + round(rng.uniform(-SHIFT, SHIFT)) for length in size]
    canvas.paste(turned, (place[0], place[1]))
    grey = np.asarray(canvas, dtype=np.float32) / 255 * of_person.uniform(*LIGHT)
    return np.clip(grey + rng.normal(0, NOISE, grey.shape), 0, 1).astype(np.float32)
