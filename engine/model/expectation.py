"""What an author of a base expects to follow where some values are known: a test of the base by example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.model.citation import Cited

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Bound:
    """That a figure compares with a number: P(state) of the root or P(true), or the mean of an interval.

    state: of the root, by index; None where the figure is about another variable. compare: >, >=, < or <=.
    """

    text: str
    variable: str
    state: int | None
    compare: str
    value: float


@dataclass(frozen=True)
class Order:
    """That a state of the root is likelier than another; not_first: than some other, whichever it is.

    states: indices, (likelier, less likely); where `not_first`, the one that must not be the likeliest.
    """

    text: str
    states: tuple[int, ...]
    not_first: bool = False


@dataclass(frozen=True)
class Expectation(Cited):
    """Demands on what follows from known values.

    given: variable -> whether each of its states is possible, (states,). unfit: why the base at hand, which
    lacks what an inherited expectation names, cannot be tested by it; an empty text otherwise.
    """

    name: str = ""
    given_text: str = ""
    given: Mapping[str, tuple[bool, ...]] | None = None
    demands: tuple[Bound | Order, ...] = ()
    statement: str = ""
    unfit: str = ""
