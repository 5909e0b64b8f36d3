"""What a run of few costs needs: a base of few variables that extends the shipped one, and pictures.

The base has all observers of the shipped one, the questions joint, expression, affect, action_units, verify
and check_expression, the expressions neutral, happiness, sadness, surprise and anger, the units AU1, AU4,
AU6, AU12 and AU25, and at most 8 answers an item. `ScriptedModel` of seke.vision.fake answers for any base.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from PIL import Image

import seke

# For `-k`, and for `knowledge` in Python.
SMALL_FACES = Path(__file__).parent / "small_faces.yaml"
# Of that, only joint: judging is cheaper still, and so is what gold would buy.
ONE_QUESTION = Path(__file__).parent / "one_question.yaml"


@functools.cache
def small_base():
    """Return the base as it is read."""
    return seke.knowledge(SMALL_FACES)


def pictures(folder, count):
    """Make a folder of pictures f0.png, f1.png, ..., of which no two are alike; return it."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        Image.fromarray(rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)).save(folder / f"f{i}.png")
    return folder
