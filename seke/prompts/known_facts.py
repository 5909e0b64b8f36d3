"""What a prompt states of an item, in words: each value, and how often such a value is right."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from engine import LabelInstrument

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from engine import Floats, Knowledge

# Shares in words: the first of these wholes of which a number of parts is at most so far from the share.
WHOLES, NEAR = (5, 10, 20, 50), 0.02


def known_facts(base: Knowledge, given: Mapping[str, Any], known_by: str) -> list[dict[str, Any]]:
    """Return name, label, value and accuracy of what is stated, in words.

    known_by: the observer that stands for it; of none it is not said how often it is right.
    """
    return [
        {
            "name": name,
            "label": base.variables[name].label or name,
            "value": ("present" if value else "absent") if isinstance(value, bool) else value,
            "accuracy": accuracy_words(base, known_by, name),
        }
        for name, value in given.items()
    ]


def accuracy_words(base: Knowledge, observer: str, name: str) -> str:
    """Return in words how often what an observer says of a variable is right, by its table.

    Of a label it is the share under the reference population, of a number how far it is off.
    """
    instruments = base.observers[observer].instruments if observer in base.observers else {}
    if name not in instruments:
        return "it is not known how often this is right"
    instrument = instruments[name]
    if not isinstance(instrument, LabelInstrument):
        sd = math.hypot(instrument.perception, instrument.noise)
        return f"within about {sd:.1g} of the truth in two of three"
    table, variable = np.array(instrument.confusion), base.variables[name]
    prior = _prior(base, name)
    columns = range(2) if variable.kind == "binary" else map(_column(instrument), variable.states)
    right = sum(
        p * table[row, column]
        for row, (p, column) in enumerate(zip(prior, columns, strict=True))
        if column is not None
    )
    return f"right in about {_share_words(float(right))}"


def _column(instrument: LabelInstrument) -> Any:
    """Return a function from a state to the column of its answer, None where it is never answered."""
    places = {answer: place for place, answer in enumerate(instrument.answers)}
    return places.get


def _prior(base: Knowledge, name: str) -> Floats:
    """Return P(state) of a categorical or binary variable under the reference population, (states,)."""
    population = np.array(base.populations[base.reference].p)
    if name == base.root:
        return population
    if name in base.cells:
        rate = float(population @ np.array([cell.p for cell in base.cells[name]]))
        return np.array([1 - rate, rate])
    states = len(base.variables[name].states)
    return np.full(states, 1 / states)


def _share_words(share: float) -> str:
    """Return a share as a number of parts of a whole, such as 19 of 20."""
    for whole in WHOLES:
        parts = round(share * whole)
        if 0 < parts < whole and abs(parts / whole - share) <= NEAR:
            return f"{parts} of {whole}"
    return f"{min(round(share * 100), 99)} of 100"
