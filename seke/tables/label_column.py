"""A column of a label table: its cells -> numbers, the index of a state or the number itself."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine import AnswerError, Variable, did_you_mean
from seke.files.cell_hints import number_hint, truth_hint
from seke.files.rows import describe_met, is_missing
from seke.samples.columns_builder import unknown_name
from seke.samples.spelling import name_meant, other_words

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.A)
# Programs write a column of whole numbers with gaps as 0.0 and 1.0.
_TRUTH = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0}

# What coders write in their own tables.
_PRESENCE = {"present": 1.0, "absent": 0.0}


@dataclass(frozen=True)
class Coding:
    """How a table is read that people or programs coded in their own way.

    threshold: the least number in a cell of a binary variable that counts as true, None where such cells hold
    truth values. texts: further columns that are kept as texts. Columns of the base's codes are read, too:
    where one is true, the variables that it hides are unknown unless the table says that they are true.
    """

    threshold: float | None = None
    texts: tuple[str, ...] = ()


class LabelColumn:
    """The cells of a variable -> numbers: the index of a state, or the number itself."""

    def __init__(
        self, variable: Variable, outcomes: Mapping[str, float], coding: Coding | None = None
    ) -> None:
        self.variable, self.outcomes, self.coding = variable, outcomes, coding
        self.interval = variable.kind == "interval"
        states = {state: float(index) for index, state in enumerate(variable.states)}
        self._also = other_words(variable)
        self._known: dict[Any, float] = {} if self.interval else states
        if variable.kind == "binary":
            self._known = _TRUTH | (_PRESENCE if coding is not None else {})
        # Texts and truth values that were met already; of all but numbers there are few.
        self._met: dict[str | bool, float | None] = {}

    def number(self, cell: Any, path: str) -> float | None:
        """Return the number of a cell, None where it is blank; an AnswerError begins with `path`."""
        if isinstance(cell, str | bool) and not self.interval:
            if cell not in self._met:
                self._met[cell] = self._number(cell, path)
            return self._met[cell]
        return self._number(cell, path)

    def _number(self, cell: Any, path: str) -> float | None:
        if isinstance(cell, str) and cell in self.outcomes and cell not in self._known:
            return self.outcomes[cell]
        if is_missing(cell):
            return None
        if self.interval:
            return self._in_range(cell, path)
        word = cell
        if self.variable.kind == "binary":
            intensity = self._intensity(cell)
            if intensity is not None:
                return intensity
            word = cell.lower() if isinstance(cell, str) else _bit(cell)
        number = self._known.get(word) if isinstance(word, str) else None
        if number is None and isinstance(word, str) and self.variable.kind != "binary":
            number = self._number_meant(word)
        if number is None:
            raise self._unknown(cell, path)
        return number

    def _number_meant(self, text: str) -> float | None:
        """Return the number of a state that is written otherwise, and keep it; None where it is none."""
        state = name_meant(text, self.variable.states, self._also, {})
        if state is not None:
            self._known[text] = self._known[state]
        return None if state is None else self._known[state]

    def _intensity(self, cell: Any) -> float | None:
        """Return whether an intensity reaches the threshold, 0 or 1; None where there is none."""
        if self.coding is None or self.coding.threshold is None or isinstance(cell, bool):
            return None
        if isinstance(cell, str):
            cell = float(cell) if _NUMBER.fullmatch(cell) else None
        return None if cell is None else float(cell >= self.coding.threshold)

    def _unknown(self, cell: Any, path: str) -> AnswerError:
        if self.variable.kind == "binary":
            allowed = "0, 1, true and false"
            if self.coding is not None:
                allowed = (
                    "0, 1, true, false, present and absent; of intensities say the least one that counts "
                )
                allowed += "as present (--threshold)"
            hint = number_hint(cell) or truth_hint(cell)
            return AnswerError(f"{path}: {describe_met(cell)}; allowed are {allowed}{hint}")
        if isinstance(cell, str):
            return AnswerError(unknown_name(path, "state", cell, self._known))
        return AnswerError(f"{path}: {describe_met(cell)}{did_you_mean('', self._known)}")

    def _in_range(self, cell: Any, path: str) -> float:
        low, high = self.variable.edges[0], self.variable.edges[-1]
        number: float = math.nan
        if isinstance(cell, str):
            number = float(cell) if _NUMBER.fullmatch(cell) else math.nan
        elif isinstance(cell, int | float) and not isinstance(cell, bool):
            number = cell
        if not low <= number <= high:
            what = f"allowed is a number from {low:g} to {high:g}{number_hint(cell)}"
            raise AnswerError(f"{path}: {describe_met(cell)}; {what}")
        return float(number)


def _bit(cell: Any) -> str | None:
    """Return 0, 1 or a truth value as text."""
    return str(int(cell)) if isinstance(cell, int | float) and cell in (0, 1) else None
