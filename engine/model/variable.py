"""A variable of a knowledge base: its values, and what they are called."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from engine.model.citation import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.errors import Place
    from engine.model.formula import Formula


@dataclass(frozen=True)
class Variable:
    """A variable of the base.

    `states` are the names of its values in order: those declared (categorical, derived),
    `("false", "true")` (binary), or the bins' numbers as text (interval).
    `edges` holds the bins' edges of an interval variable, (bins + 1,), increasing.
    `also`: state -> other names that answers may have for it; `other_names`: those of the variable.
    `formulas` holds one formula a state for a derived variable. `places`: where its states are declared.
    """

    name: str
    kind: Literal["categorical", "binary", "interval", "derived"]
    states: tuple[str, ...]
    label: str
    description: str = ""
    descriptions: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    also: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    other_names: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    formulas: tuple[Formula, ...] = ()
    place: Place = field(compare=False, default=NOWHERE)
    places: Mapping[str, Place] = field(compare=False, default_factory=dict)

    @property
    def values(self) -> tuple[str, ...]:
        """What is certified apart: its states, or of an interval one thing, being `within` its tolerance."""
        return ("within",) if self.kind == "interval" else self.states
