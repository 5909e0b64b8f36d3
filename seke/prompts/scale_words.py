"""What prompts tell of interval variables -> the same on the scale of a question."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine import Knowledge, Variable

# The number with which an anchor of a scale begins, such as "-0.5 calm".
ANCHOR = re.compile(r"[+-]?\d+(?:\.\d+)?(?=\s)")
# Decimals of a number that is told.
DECIMALS = 4


def on_scale(words: dict[str, Any], base: Knowledge, scale: tuple[float, float] | None) -> dict[str, Any]:
    """Return words of a template with the numbers of interval variables on a scale; without one the words.

    Changed are entries that have the name of an interval variable: their `value`, and the numbers with which
    texts under `about` begin.
    """
    return words if scale is None else dict(_mapped(words, base, scale))


def _mapped(words: Any, base: Knowledge, scale: tuple[float, float]) -> Any:
    if isinstance(words, list):
        return [_mapped(value, base, scale) for value in words]
    if not isinstance(words, dict):
        return words
    variable = base.variables.get(words.get("name", ""))
    if variable is None or variable.kind != "interval":
        return {name: _mapped(value, base, scale) for name, value in words.items()}
    mapped = dict(words)
    if isinstance(words.get("value"), int | float):
        mapped["value"] = _number(words["value"], variable, scale)
    if isinstance(words.get("about"), dict):
        mapped["about"] = {
            name: ANCHOR.sub(
                lambda number: f"{_number(float(number[0]), variable, scale):g}", str(text), count=1
            )
            if ANCHOR.match(str(text))
            else text
            for name, text in words["about"].items()
        }
    return mapped


def _number(value: float, variable: Variable, scale: tuple[float, float]) -> float:
    """Return a value of a variable on a scale whose ends are those of its range."""
    low, high = variable.edges[0], variable.edges[-1]
    return round(scale[0] + (value - low) * (scale[1] - scale[0]) / (high - low), DECIMALS)
