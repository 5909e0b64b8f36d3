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
# A head is as many pictures high; the picture's middle is this share of the head's height from its top.
HEAD, MIDDLE = 1.5, 0.58
# How strongly an active unit shows; how far a head turns (degrees), moves (pixels), grows, is stretched.
STRENGTH, TURN, SHIFT, GROWTH, STRETCH = (0.6, 1.0), 8.0, 2.0, (0.95, 1.05), (0.9, 1.1)
# The sd of a picture's noise; the light of a person's pictures.
NOISE, LIGHT = 0.06, (0.7, 1.1)


def picture(row: Record, units: Sequence[str], person: int, rng: np.random.Generator) -> np.ndarray:
    """Return a grey picture (48, 48) in [0, 1].

    person: whose head's width and light are the same in all pictures.
    """
    of_person = random.Random(person)
    strengths = {unit: float(rng.uniform(*STRENGTH)) if row[unit] else 0.0 for unit in units}
    drawing = face(strengths)
    drawn = bitmap(drawing, HEAD * SIZE / drawing.height).convert("L")
    stretch = of_person.uniform(*STRETCH)
    size = round(drawn.width * stretch * rng.uniform(*GROWTH)), round(drawn.height * rng.uniform(*GROWTH))
    turned = drawn.resize(size).rotate(rng.uniform(-TURN, TURN), Image.Resampling.BILINEAR, fillcolor=255)
    centre = np.array([size[0] / 2, size[1] * MIDDLE]) + rng.uniform(-SHIFT, SHIFT, 2)
    x, y = (round(place - SIZE / 2) for place in centre)
    cut = turned.crop((x, y, x + SIZE, y + SIZE))
    grey = np.asarray(cut, dtype=np.float32) / 255 * of_person.uniform(*LIGHT)
    return np.clip(grey + rng.normal(0, NOISE, grey.shape), 0, 1).astype(np.float32)
