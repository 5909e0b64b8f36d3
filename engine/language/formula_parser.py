"""Formula text -> formula."""

from __future__ import annotations

import functools
import operator
import re
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import SekeError, did_you_mean
from engine.model.formula import Count, Formula, In, Not, conjunction, disjunction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lark import Lark, Token, Tree
    from lark.exceptions import UnexpectedInput

    from engine.model.variable import Variable

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
NAME: /(?!(?:and|or|not|in|count)(?![A-Za-z0-9_-]))[A-Za-z_][A-Za-z0-9_-]*/
%ignore /[ \t\r\n]+/
"""
# What people write who know other languages, as it is met, and how it is said here.
SLIPS = (
    (r"=(?![=<>])", "equality is =="),
    (r"=[<>]|<>|===", "comparisons are ==, !=, <, <=, > and >="),
    (r"AND\b|And\b|&", "and is a single &"),
    (r"OR\b|Or\b|\|", "or is a single |"),
    (r"NOT\b|Not\b|[~-]", "not is !"),
    (r"[\"'\u2018\u2019\u201c\u201d]", "names are written without quotes"),
    (r",", "write a decimal point in numbers, and & or | between conditions"),
    (r"\d", "a comparison begins with the variable, as in 'x > 0'"),
    (r"[<>]", "repeat the variable in each comparison, as in 'x > 0 & x < 1'"),
)
LONGEST = 2_000
DEEPEST = 50

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


@functools.cache
def _parser() -> Lark:
    from lark import Lark

    return Lark(GRAMMAR, parser="lalr")


@functools.lru_cache(maxsize=4096)
def _parsed(text: str) -> Tree[Token]:
    return _parser().parse(text)


def parse(text: str, variables: Mapping[str, Variable]) -> Formula:
    """Read a formula over these variables.

    Raises:
        FormulaError: bad syntax, an unknown name, or a threshold that is no bin edge.
    """
    from lark.exceptions import UnexpectedInput

    if len(text) > LONGEST:
        raise FormulaError(f"the formula has {len(text)} characters; at most {LONGEST} are read")
    try:
        tree = _parsed(text)
    except UnexpectedInput as error:
        raise _unexpected(text, error) from None
    _check_depth(tree)
    return _FormulaBuilder(variables).formula(tree)


def _unexpected(text: str, error: UnexpectedInput) -> FormulaError:
    how = "write for example 'a & !b', 'x > 0', 'c in [d, e]' or 'count(a, b) >= 1'"
    token = getattr(error, "token", None)
    position = error.pos_in_stream or 0
    if not text.strip():
        return FormulaError(f"the formula is empty; {how}")
    if token is not None and token.type == "$END":
        return FormulaError(f"the formula ends too early; {how}", len(text.rstrip()))
    unexpected = text[position : position + 20].split(maxsplit=1)[0]
    # A word such as NOT is taken for a name, and what follows it is met.
    before = text[:position].split()[-1:]
    words = [unexpected, *(word for word in before if word.upper() in ("AND", "OR", "NOT"))]
    slip = next((right for wrong, right in SLIPS for word in words if re.match(wrong, word)), how)
    return FormulaError(f"the formula cannot be read at {unexpected!r}; {slip}", position)


def _check_depth(tree: Tree[Token]) -> None:
    level, depth = [tree], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise FormulaError(f"the formula is nested more than {DEEPEST} deep")
        level = [part for node in level for part in node.children if not isinstance(part, str)]


class _FormulaBuilder:
    """Turns the parser's tree into a formula; tokens are texts with a place."""

    def __init__(self, variables: Mapping[str, Variable]) -> None:
        self.variables = variables

    def formula(self, tree: Tree[Token]) -> Formula:
        # A token is a str; what is not one is an inner formula.
        tokens = [part for part in tree.children if isinstance(part, str)]
        parts = tuple(self.formula(part) for part in tree.children if not isinstance(part, str))
        match tree.data:
            case "either":
                formula = disjunction(*parts)
            case "both":
                formula = conjunction(*parts)
            case "negation":
                formula = Not(parts[0])
            case "count":
                formula = _count(parts, *tokens)
            case "active":
                formula = self._active(*tokens)
            case "membership":
                formula = self._in(tokens[0], tokens[1:])
            case _:
                formula = self._comparison(*tokens)
        return formula

    def _variable(self, token: Token) -> Variable:
        if token not in self.variables:
            owner = next((variable for variable in self.variables.values() if token in variable.states), None)
            hint = did_you_mean(token, self.variables)
            if owner is not None and owner.kind not in ("interval", "binary"):
                hint = f"; it is a state: {owner.name} == {token}"
            message = f"no variable is called {str(token)!r}{hint}"
            raise FormulaError(message, _column(token))
        return self.variables[token]

    def _active(self, token: Token) -> Formula:
        variable = self._variable(token)
        if variable.kind != "binary":
            example = _example(variable)
            message = f"{token} is {variable.kind}, so it needs a comparison, such as '{example}'"
            raise FormulaError(message, _column(token))
        return In(variable.name, frozenset({1}))

    def _in(self, name: Token, states: list[Token]) -> Formula:
        variable = self._variable(name)
        if variable.kind == "interval":
            message = f"{name} is a number: compare it with a bin edge, such as '{_example(variable)}'"
            raise FormulaError(message, _column(name))
        for state in states:
            if state not in variable.states:
                message = f"{name} has no state {str(state)!r}{did_you_mean(state, variable.states)}"
                raise FormulaError(message, _column(state))
        indices = [variable.states.index(state) for state in dict.fromkeys(states)]
        if variable.kind == "derived":
            return disjunction(*(variable.formulas[i] for i in indices))
        return In(variable.name, frozenset(indices))

    def _comparison(self, name: Token, compare: Token, value: Token) -> Formula:
        variable = self._variable(name)
        if variable.kind == "interval" and value.type == "NUMBER":
            return _threshold(variable, str(compare), float(value), _column(value))
        if variable.kind != "interval" and compare not in ("==", "!="):
            message = f"{name} has states, so only == and != compare it, not {compare}"
            raise FormulaError(message, _column(compare))
        inside = self._in(name, [value])
        return inside if compare == "==" else Not(inside)


def _column(token: Token) -> int:
    return token.start_pos or 0


def _example(variable: Variable) -> str:
    if variable.kind == "interval":
        middle = variable.edges[len(variable.edges) // 2] if variable.edges else 0
        return f"{variable.name} > {middle:g}"
    return f"{variable.name} == {variable.states[0] if variable.states else '...'}"


def _count(parts: tuple[Formula, ...], compare: Token, number: Token) -> Formula:
    test = COMPARISONS[compare]
    allowed = frozenset(total for total in range(len(parts) + 1) if test(total, float(number)))
    return Count(parts, allowed)


def _threshold(variable: Variable, compare: str, value: float, column: int) -> Formula:
    edges = np.asarray(variable.edges)
    if not edges.size:  # Its range is faulty, which has been said.
        return In(variable.name, frozenset())
    nearest = float(edges[np.abs(edges - value).argmin()])
    if compare in ("==", "!=") or abs(nearest - value) > 1e-4 * (edges[1] - edges[0]):
        message = (
            f"{variable.name} is in bins, so it is compared by >, >=, < or <= with a bin edge; "
            f"the nearest edge to {value:g} is {nearest:.9g}"
        )
        raise FormulaError(message, column)
    centres = (edges[:-1] + edges[1:]) / 2
    test = COMPARISONS[compare]
    states = frozenset(i for i, centre in enumerate(centres) if test(float(centre), value))
    return In(variable.name, states)
