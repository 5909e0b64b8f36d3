"""Rule formulas: text -> tree over state sets.

A tree has four kinds of node. Every comparison has become `In`: a variable and the set of
its states for which the comparison holds, so that nothing below the reader knows about
thresholds or derived variables.
"""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from engine.errors import SekeError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lark import Lark, Token, Tree
    from numpy.typing import NDArray

    from engine.knowledge import Variable

    Values = Mapping[str, NDArray[np.int64]]

GRAMMAR = r"""
?start: either
?either: both (("|" | "or") both)*
?both: one (("&" | "and") one)*
?one: ("!" | "not") one -> negation
    | "(" either ")"
    | "count" "(" either ("," either)* ")" COMPARE NUMBER -> count
    | NAME COMPARE (NUMBER | NAME) -> comparison
    | NAME "in" "[" NAME ("," NAME)* "]" -> membership
    | NAME -> active
COMPARE: ">=" | "<=" | "==" | "!=" | ">" | "<"
NUMBER: /-?\d+(\.\d+)?/
NAME: /(?!(?:and|or|not|in|count)\b)[A-Za-z_][A-Za-z0-9_-]*/
%ignore /[ \t\r\n]+/
"""

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


class FormulaError(SekeError):
    """A formula that cannot be read; `column` counts from 0 within its text."""

    def __init__(self, message: str, column: int = 0) -> None:
        super().__init__(message)
        self.column = column


class Formula(Protocol):
    """A proposition about the variables."""

    def variables(self) -> frozenset[str]:
        """Return the names of the variables spoken of."""

    def holds(self, values: Values) -> NDArray[np.bool_]:
        """Say where it is true; `values` gives each variable's state indices, broadcastable."""


@dataclass(frozen=True)
class In:
    """The variable is in one of these states (indices)."""

    variable: str
    states: frozenset[int]

    def variables(self) -> frozenset[str]:
        """Return the one variable."""
        return frozenset({self.variable})

    def holds(self, values: Values) -> NDArray[np.bool_]:
        """Say where the variable's state is one of `states`."""
        return np.isin(values[self.variable], sorted(self.states))


@dataclass(frozen=True)
class Not:
    """The negation of a formula."""

    part: Formula

    def variables(self) -> frozenset[str]:
        """Return the part's variables."""
        return self.part.variables()

    def holds(self, values: Values) -> NDArray[np.bool_]:
        """Say where the part is false."""
        return ~self.part.holds(values)


@dataclass(frozen=True)
class Count:
    """How many of the parts hold is one of `allowed` (a set of counts).

    `and` is the count that equals the number of parts, `or` is a count of at least one.
    """

    parts: tuple[Formula, ...]
    allowed: frozenset[int]

    def variables(self) -> frozenset[str]:
        """Return the variables of all parts."""
        return frozenset().union(*(part.variables() for part in self.parts))

    def holds(self, values: Values) -> NDArray[np.bool_]:
        """Say where the number of true parts is allowed."""
        total = functools.reduce(
            operator.add, (part.holds(values).astype(np.int64) for part in self.parts)
        )
        return np.isin(total, sorted(self.allowed))


def conjunction(*parts: Formula) -> Formula:
    """Return the formula that all parts hold."""
    return parts[0] if len(parts) == 1 else Count(parts, frozenset({len(parts)}))


def disjunction(*parts: Formula) -> Formula:
    """Return the formula that at least one part holds."""
    return parts[0] if len(parts) == 1 else Count(parts, frozenset(range(1, len(parts) + 1)))


@functools.cache
def _parser() -> Lark:
    from lark import Lark

    return Lark(GRAMMAR, parser="lalr", propagate_positions=True)


def parse(text: str, variables: Mapping[str, Variable]) -> Formula:
    """Read a formula over these variables.

    Raises:
        FormulaError: bad syntax, an unknown name, or a threshold that is no bin edge.
    """
    from lark.exceptions import UnexpectedInput

    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        column = min(max((error.column or 1) - 1, 0), len(text))
        met = f"{text[column:].split()[0]!r}" if text[column:].strip() else "the end"
        message = f"the formula {text!r} cannot be read at {met}; write for example 'A & !B' or 'x > 0'"
        raise FormulaError(message, column) from None
    except RecursionError:
        raise FormulaError("the formula is nested too deeply") from None
    return _build(tree, variables)


def _build(tree: Tree[Token], variables: Mapping[str, Variable]) -> Formula:
    parts = tree.children
    match tree.data:
        case "either":
            return disjunction(*(_build(part, variables) for part in parts))  # type: ignore[arg-type]
        case "both":
            return conjunction(*(_build(part, variables) for part in parts))  # type: ignore[arg-type]
        case "negation":
            return Not(_build(parts[0], variables))  # type: ignore[arg-type]
        case "count":
            return _count(parts, variables)
        case "active":
            return _active(parts[0], variables)  # type: ignore[arg-type]
        case "membership":
            return _in(parts[0], parts[1:], variables)  # type: ignore[arg-type]
        case _:
            return _comparison(*parts, variables)  # type: ignore[arg-type, misc]


def _count(parts: list[Tree[Token] | Token], variables: Mapping[str, Variable]) -> Formula:
    *formulas, compare, number = parts
    allowed = frozenset(
        total
        for total in range(len(formulas) + 1)
        if COMPARISONS[str(compare)](total, float(str(number)))
    )
    return Count(tuple(_build(part, variables) for part in formulas), allowed)  # type: ignore[arg-type]


def _variable(token: Token, variables: Mapping[str, Variable]) -> Variable:
    if token not in variables:
        message = f"no variable is called {str(token)!r}{did_you_mean(token, variables)}"
        raise FormulaError(message, (token.column or 1) - 1)
    return variables[token]


def _active(token: Token, variables: Mapping[str, Variable]) -> Formula:
    variable = _variable(token, variables)
    if variable.kind != "binary":
        message = f"{token} is {variable.kind}, so it needs a comparison, such as '{token} == ...'"
        raise FormulaError(message, (token.column or 1) - 1)
    return In(variable.name, frozenset({1}))


def _in(name: Token, states: list[Token], variables: Mapping[str, Variable]) -> Formula:
    variable = _variable(name, variables)
    if variable.kind == "interval":
        message = f"{name} is a number: compare it with a bin edge, such as '{name} > 0'"
        raise FormulaError(message, (name.column or 1) - 1)
    for state in states:
        if state not in variable.states:
            hint = did_you_mean(state, variable.states)
            message = f"{name} has no state {str(state)!r}{hint}"
            raise FormulaError(message, (state.column or 1) - 1)
    indices = [variable.states.index(state) for state in states]
    if variable.kind == "derived":
        return disjunction(*(variable.formulas[i] for i in indices))
    return In(variable.name, frozenset(indices))


def _comparison(
    name: Token, compare: Token, value: Token, variables: Mapping[str, Variable]
) -> Formula:
    variable = _variable(name, variables)
    if value.type == "NAME" or variable.kind != "interval":
        if compare not in ("==", "!="):
            message = f"{name} has states, so only == and != compare it, not {compare}"
            raise FormulaError(message, (compare.column or 1) - 1)
        inside = _in(name, [value], variables)
        return inside if compare == "==" else Not(inside)
    return _threshold(variable, str(compare), float(value), (value.column or 1) - 1)


def _threshold(variable: Variable, compare: str, value: float, column: int) -> Formula:
    edges = np.asarray(variable.edges)
    nearest = float(edges[np.abs(edges - value).argmin()])
    if compare in ("==", "!=") or abs(nearest - value) > 1e-9:
        message = (
            f"{variable.name} is in bins, so it is compared by >, >=, < or <= with a bin edge; "
            f"the nearest edge to {value:g} is {nearest:g}"
        )
        raise FormulaError(message, column)
    centres = (edges[:-1] + edges[1:]) / 2
    test = COMPARISONS[compare]
    states = frozenset(i for i, centre in enumerate(centres) if test(float(centre), value))
    return In(variable.name, states)
