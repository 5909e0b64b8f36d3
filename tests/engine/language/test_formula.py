"""Formulas: text -> tree -> truth, against plain evaluation of the tree the text was written from."""

from __future__ import annotations

import itertools
import operator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

from engine.language.formula_parser import FormulaError, parse
from engine.model.formula import Count, Formula, In, Not, conjunction, disjunction
from engine.model.variable import Variable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Names that begin like the words of the language, or hold them.
A, B, IN_USE, NOTE, COUNTER, X, Y = "a", "b-1", "in-use", "notable", "counter", "x", "y_2"
MODE, BAND = "or-mode", "band"
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


def interval(name: str, edges: tuple[float, ...]) -> Variable:
    return Variable(name, "interval", tuple(str(n) for n in range(len(edges) - 1)), name, edges=edges)


def declared() -> dict[str, Variable]:
    binary = {n: Variable(n, "binary", ("false", "true"), n) for n in (A, B, IN_USE, NOTE, COUNTER)}
    mode = Variable(MODE, "categorical", ("off-1", "not-on", "android"), MODE)
    numbers = {X: interval(X, (-1, -0.5, 0, 0.5, 1)), Y: interval(Y, (0, 2.25, 4.5))}
    plain = {**binary, MODE: mode, **numbers}
    band = Variable(BAND, "derived", ("low", "high"), BAND)
    states = tuple(parse(text, plain) for text in ("x < 0.5", "x >= 0.5"))
    return {**plain, BAND: replace(band, formulas=states)}


VARIABLES = declared()
BINARY = [n for n, v in VARIABLES.items() if v.kind == "binary"]
GRID = [n for n, v in VARIABLES.items() if v.kind != "derived"]
AXES = np.ix_(*(np.arange(len(VARIABLES[n].states)) for n in GRID))
VALUES = dict(zip(GRID, AXES, strict=True))
SHAPE = tuple(len(VARIABLES[n].states) for n in GRID)


@dataclass(frozen=True)
class Written:
    """A formula as text, how tightly it binds, and what it means of one assignment of states."""

    text: str
    means: Callable[[Mapping[str, int]], bool]
    tight: bool = True

    def inside(self) -> str:
        """Return the text as a part of a larger formula."""
        return self.text if self.tight else f"({self.text})"


@st.composite
def atoms(draw: st.DrawFn) -> Written:
    kind = draw(st.sampled_from(["active", "state", "member", "threshold", "band"]))
    space = draw(st.sampled_from(["", " ", "  ", "\n"]))
    if kind == "active":
        name = draw(st.sampled_from(BINARY))
        return Written(name, lambda at: at[name] == 1)
    if kind == "threshold":
        name = draw(st.sampled_from([X, Y]))
        edges = VARIABLES[name].edges
        compare = draw(st.sampled_from([">", ">=", "<", "<="]))
        edge = draw(st.sampled_from(edges))
        test = OPERATORS[compare]
        return Written(
            f"{name}{space}{compare}{space}{edge:g}",
            lambda at: test((edges[at[name]] + edges[at[name] + 1]) / 2, edge),
        )
    if kind == "band":
        state = draw(st.sampled_from(["low", "high"]))
        compare = draw(st.sampled_from(["==", "!="]))
        return Written(
            f"{BAND}{space}{compare}{space}{state}",
            lambda at: ((at[X] >= 3) == (state == "high")) == (compare == "=="),
        )
    name = draw(st.sampled_from([MODE, *BINARY]))
    states = VARIABLES[name].states
    if kind == "state":
        compare = draw(st.sampled_from(["==", "!="]))
        state = draw(st.sampled_from(states))
        test = OPERATORS[compare]
        return Written(
            f"{name}{space}{compare}{space}{state}", lambda at: test(at[name], states.index(state))
        )
    chosen = draw(st.lists(st.sampled_from(states), min_size=1, max_size=4))
    listed = f"{space},{space}".join(chosen)
    return Written(f"{name} in [{space}{listed}]", lambda at: states[at[name]] in chosen)


def compound(parts: st.SearchStrategy[Written]) -> st.SearchStrategy[Written]:
    def joined(several: list[Written], sign: str, how: Callable[[Any], bool]) -> Written:
        text = f" {sign} ".join(part.inside() for part in several)
        return Written(text, lambda at: how(part.means(at) for part in several), tight=len(several) == 1)

    def counted(several: list[Written], compare: str, number: int) -> Written:
        text = f"count({', '.join(part.text for part in several)}) {compare} {number}"
        test = OPERATORS[compare]
        return Written(text, lambda at: test(sum(part.means(at) for part in several), number))

    several = st.lists(parts, min_size=1, max_size=4)
    return st.one_of(
        st.builds(joined, several, st.sampled_from(["&", "and"]), st.just(all)),
        st.builds(joined, several, st.sampled_from(["|", "or"]), st.just(any)),
        st.builds(
            lambda part, sign: Written(f"{sign}{part.inside()}", lambda at: not part.means(at)),
            parts,
            st.sampled_from(["!", "! ", "not "]),
        ),
        st.builds(counted, several, st.sampled_from(list(OPERATORS)), st.integers(-1, 5)),
        st.builds(lambda part: Written(f"({part.text})", part.means), parts),
    )


FORMULAS = st.recursive(atoms(), compound, max_leaves=12).filter(lambda written: len(written.text) <= 2000)


def everywhere(formula: Formula) -> np.ndarray:
    return np.broadcast_to(formula.holds(VALUES), SHAPE)


@settings(max_examples=examples(50), deadline=None, derandomize=True, database=None)
@given(FORMULAS)
def test_holds_where_the_text_says_and_speaks_of_what_it_names(written: Written) -> None:
    formula = parse(written.text, VARIABLES)
    holds = everywhere(formula)
    for states in itertools.product(*(range(size) for size in SHAPE)):
        assert holds[states] == written.means(dict(zip(GRID, states, strict=True)))
    spoken = formula.variables()
    assert all(name in written.text for name in spoken - {X})
    assert X not in spoken or X in written.text or BAND in written.text
    only = {name: values for name, values in VALUES.items() if name in spoken}
    assert formula.holds(only) is not None


@settings(max_examples=examples(30), deadline=None, derandomize=True, database=None)
@given(FORMULAS, FORMULAS)
def test_laws_of_logic(first_written: Written, second_written: Written) -> None:
    first, second = parse(first_written.text, VARIABLES), parse(second_written.text, VARIABLES)
    a, b = everywhere(first), everywhere(second)
    assert np.array_equal(everywhere(Not(first)), ~a)
    assert np.array_equal(everywhere(conjunction(first, second)), a & b)
    assert np.array_equal(everywhere(disjunction(first, second)), a | b)
    assert np.array_equal(everywhere(parse(f"!({first_written.text})", VARIABLES)), ~a)
    # De Morgan, and a count of exactly one as "either, and not both".
    assert np.array_equal(
        everywhere(parse(f"!(({first_written.text}) & ({second_written.text}))", VARIABLES)),
        everywhere(parse(f"!({first_written.text}) | !({second_written.text})", VARIABLES)),
    )
    assert np.array_equal(
        everywhere(parse(f"count({first_written.text}, {second_written.text}) == 1", VARIABLES)), a ^ b
    )


@settings(max_examples=examples(20), deadline=None, derandomize=True, database=None)
@given(st.lists(FORMULAS, min_size=1, max_size=4), st.integers(0, 6))
def test_count(parts: list[Written], number: int) -> None:
    total = sum(everywhere(parse(part.text, VARIABLES)).astype(int) for part in parts)
    inside = ", ".join(part.text for part in parts)
    for sign, test in OPERATORS.items():
        formula = parse(f"count({inside}) {sign} {number}", VARIABLES)
        assert np.array_equal(everywhere(formula), test(total, number))


PIECES = [*VARIABLES, "low", "not-on", "true", "0.5", "-1", "7", "count", "in", "and", "or", "not"]
PIECES += [*"()[],!&|<>=.'\"$", "==", "!=", ">=", " ", "\n", "\u00e9"]


@settings(max_examples=examples(150), deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(PIECES), max_size=15).map("".join) | st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    column = 0
    try:
        everywhere(parse(text, VARIABLES))
    except FormulaError as error:
        column = error.column
    assert 0 <= column <= len(text)


@pytest.mark.parametrize("text", ["!" * 200 + "a", "(" * 400 + "a" + ")" * 400, "(!" * 200 + "a" + ")" * 200])
def test_depth_is_bounded_by_what_is_nested(text: str) -> None:
    # Brackets alone nest nothing.
    if "!" not in text:
        assert parse(text, VARIABLES) == In(A, frozenset({1}))
    else:
        with pytest.raises(FormulaError, match=r"^the formula is nested more than 50 deep$"):
            parse(text, VARIABLES)


def test_length_is_bounded() -> None:
    with pytest.raises(FormulaError, match=r"^the formula has 2001 characters; at most 2000 are read$"):
        parse("a" + " " * 2000, VARIABLES)


def test_precedence() -> None:
    a, b, c = (In(n, frozenset({1})) for n in (A, B, NOTE))
    assert parse("a | b-1 & notable", VARIABLES) == disjunction(a, conjunction(b, c))
    assert parse("!a & b-1", VARIABLES) == conjunction(Not(a), b)
    assert parse("not a or b-1 and notable", VARIABLES) == disjunction(Not(a), conjunction(b, c))
    assert parse("a & b-1 & notable", VARIABLES) == Count((a, b, c), frozenset({3}))


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("a & bond", 4, "no variable is called 'bond'; did you mean band?"),
        ("a & x > 0.4", 8, "the nearest edge to 0.4 is 0.5"),
        ("x == 0.5", 5, "x is in bins, so it is compared by >, >=, < or <="),
        ("a\n& or-mode == no-on", 15, "or-mode has no state 'no-on'; did you mean not-on?"),
        ("or-mode > android", 8, "or-mode has states, so only == and != compare it, not >"),
        ("band", 0, "band is derived, so it needs a comparison, such as 'band == low'"),
        ("x in [low]", 0, "x is a number: compare it with a bin edge, such as 'x > 0'"),
        ("a &", 3, "the formula ends too early"),
        ("a b-1", 2, "the formula cannot be read at 'b-1'"),
        ("count(a) >= x", 12, "the formula cannot be read at 'x'"),
    ],
)
def test_faults_have_their_column(text: str, column: int, message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(text, VARIABLES)
    assert message in str(caught.value)
    assert caught.value.column == column
