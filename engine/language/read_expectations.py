"""Expectations: the YAML files in the folder `tests` beside a base -> `Expectation`."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from engine.errors import KnowledgeError, did_you_mean
from engine.language.fields import NUMBER, Fields
from engine.language.overlay import TESTS, yaml_files
from engine.language.read_variables import formula
from engine.language.yaml_nodes import cite, read_file
from engine.model.expectation import Bound, Expectation, Order
from engine.model.formula import Count, In, Not

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from engine.errors import Fault
    from engine.language.fields import Entries
    from engine.language.yaml_nodes import Node, Table
    from engine.model.formula import Formula
    from engine.model.knowledge import Knowledge
    from engine.model.variable import Variable

COMPARISON = re.compile(rf"(>=|<=|>|<)\s*({NUMBER.pattern})")


def read_expectations(folder: Path, base: Knowledge, *, inherited: bool = False) -> tuple[Expectation, ...]:
    """Read the expectations in the folder `tests` of the folder of a base; none where it has no such folder.

    inherited: whether the folder is that of a base which the one at hand changes. An expectation about what
    it removed is then not a fault, but says that it does not apply.

    Raises:
        KnowledgeError: all faults, each with file, line, column and path.
    """
    faults: list[Fault] = []
    expectations: dict[str, Expectation] = {}
    for file in yaml_files(folder / TESTS) if (folder / TESTS).is_dir() else ():
        tree = read_file(file, str(file), faults)
        if tree is None:
            continue
        cite(tree, faults)
        fields = _fields(base, faults)
        fields.citations(tree, base.sources)
        for name, node, table in _nodes(fields, tree):
            if name in expectations:
                fields.key_fault(table, name, f"is given twice; first at {expectations[name].place}")
                continue
            unread: list[Fault] = []
            expectation = _expectation(_fields(base, unread), name, node, base)
            if unread and inherited:
                expectation = replace(expectation, unfit=unread[0].message)
            elif unread:
                faults += unread
            expectations[name] = replace(expectation, place=table.places[name])
    if faults:
        raise KnowledgeError(faults, str(folder))
    return tuple(expectations.values())


def _fields(base: Knowledge, faults: list[Fault]) -> Fields:
    fields = Fields(faults)
    fields.names = {"state": base.variables[base.root].states}
    return fields


def _nodes(fields: Fields, tree: Table) -> Iterator[tuple[str, Node, Table]]:
    """Yield the name and node of each expectation, and the table that they are in."""
    section = fields.table(tree, "EXPECTATIONS").get("expectations")
    table = fields.any_table(section)
    yield from ((name, node, table) for name, node in fields.named(section))


def _expectation(fields: Fields, name: str, node: Node, base: Knowledge) -> Expectation:
    entries = fields.table(node, "EXPECTATION")
    demands: list[Bound | Order] = [*_bounds(fields, entries, base), *_orders(entries, base)]
    given, text = {}, ""
    if "given" in entries:
        text = fields.text_at(entries["given"])
        given = _allowed(fields, entries["given"], base)
    if entries.value("alone"):
        given = _others_false(given, base) | given
    if not demands and not fields.faults:
        fields.fault(node, "demands nothing; give it `expect`, `before` or `not`")
    if base.root in given and not fields.faults:
        entries.fault("given", f"names {base.root}, which is what is to follow; rules speak of it")
    cited, statement = fields.cited(node), entries.value("statement")
    return Expectation(
        **cited, name=name, given_text=text, given=given, demands=tuple(demands), statement=statement
    )


def _allowed(fields: Fields, node: Node, base: Knowledge) -> dict[str, tuple[bool, ...]]:
    """Return which states of each variable a conjunction allows; anything else is a fault."""
    allowed: dict[str, tuple[bool, ...]] = {}
    condition = formula(fields, node, base.variables)
    for part in _conjuncts(condition):
        inner = part.part if isinstance(part, Not) else part
        if not isinstance(inner, In):
            message = (
                "must be conditions on single variables, joined by &; split it into several expectations"
            )
            fields.fault(node, message)
            return {}
        states = range(len(base.variables[inner.variable].states))
        earlier = allowed.get(inner.variable, (True,) * len(states))
        holds = [(state in inner.states) == (inner is part) for state in states]
        allowed[inner.variable] = tuple(a and b for a, b in zip(earlier, holds, strict=True))
    for name, states_allowed in allowed.items():
        if not any(states_allowed):
            fields.fault(node, f"allows no value of {name}")
    return allowed


def _conjuncts(condition: Formula) -> Iterator[Formula]:
    """Yield the parts of a conjunction, and of those within it."""
    if isinstance(condition, Count) and condition.allowed == {len(condition.parts)}:
        for part in condition.parts:
            yield from _conjuncts(part)
    else:
        yield condition


def _others_false(given: Mapping[str, tuple[bool, ...]], base: Knowledge) -> dict[str, tuple[bool, ...]]:
    """Return that all binary variables are false that are in a level of one of those given."""
    levels = [names for names in base.levels.values() if set(names) & given.keys()]
    return {name: (True, False) for names in levels for name in names if name in base.cells}


def _bounds(fields: Fields, entries: Entries, base: Knowledge) -> Iterator[Bound]:
    """Yield what `expect` demands."""
    states = base.variables[base.root].states
    table = fields.any_table(entries.get("expect"))
    for key, node in fields.named(table):
        variable = base.variables.get(key)
        if key not in states and (variable is None or variable.kind not in ("binary", "interval")):
            allowed = (*states, *base.cells, *base.intervals)
            message = f"is neither a state of {base.root} nor a binary or interval variable"
            fields.key_fault(table, key, f"{message}{did_you_mean(key, allowed)}")
            continue
        comparison = COMPARISON.fullmatch(fields.text_at(node).strip())
        low, high = _limits(None if key in states else variable)
        if comparison is None or not low < float(comparison[2]) < high:
            message = f"must be a comparison with a number between {low:g} and {high:g}, such as "
            fields.fault(node, message + f'"> {(low + 3 * high) / 4:g}"')
            continue
        state = states.index(key) if key in states else None
        text = f"{key} {comparison[1]} {float(comparison[2]):g}"
        yield Bound(text, base.root if state is not None else key, state, comparison[1], float(comparison[2]))


def _limits(variable: Variable | None) -> tuple[float, float]:
    """Return the limits of a mean, or of a probability."""
    edges = variable.edges if variable is not None else ()
    return (edges[0], edges[-1]) if edges else (0.0, 1.0)


def _orders(entries: Entries, base: Knowledge) -> Iterator[Order]:
    """Yield what `before` and `not` demand."""
    states = base.variables[base.root].states
    ordered = entries.value("before")
    if "before" in entries and len(ordered) < 2:
        entries.fault("before", "must name at least two states")
    for likelier, less in pairwise(ordered):
        yield Order(f"{likelier} before {less}", (states.index(likelier), states.index(less)))
    for state in entries.value("not"):
        yield Order(f"not {state}", (states.index(state),), not_first=True)
