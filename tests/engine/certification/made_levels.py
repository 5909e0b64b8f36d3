"""What tests of certificates are made of: a design, variables, a base of them, and decisions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from brute_force import seen_level

from engine import Design, Policy, Variable
from engine.model.guarantee import PARTS, Asked
from engine.model.knowledge import Knowledge

MACHINE = Path(__file__).parents[1] / "bases" / "machine.yaml"
DESIGN = Design(adaptive=False, least=3, most=3, readings=(Asked("fitter", "walk", "face", 3, 3),))
COLOUR = Variable("colour", "categorical", ("red", "green"), "colour")
SIZE = Variable("size", "interval", ("0.5", "1.5"), "size", edges=(0, 1, 2))


def base_of(*variables, limits=None):
    names = {variable.name: variable for variable in variables}
    policy = Policy(tolerance={"size": 0.25}, limits=limits or {})
    empty = ({}, {"all": tuple(names)}, variables[0].name, "here", {}, {}, (), (), (), (), {}, {})
    return Knowledge("made", "", {}, names, *empty, policy, "", dict.fromkeys(PARTS, "0"))


def level(value, risk):
    return seen_level(np.zeros(len(risk)), value, risk)
