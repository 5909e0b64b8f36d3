"""The section `variables`, and the formulas over them."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np

from engine.language.field_table import VARIABLE_KEYS
from engine.language.formula_parser import FormulaError, parse
from engine.language.yaml_nodes import Items, Scalar, Table
from engine.model.formula import Formula, conjunction
from engine.model.variable import Variable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.language.fields import Entries, Fields
    from engine.language.yaml_nodes import Node


Kind = Literal["categorical", "binary", "interval", "derived"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MOST_STATES = 500
# Of a base; the shipped one has some tens. Each is a node of the network, and faults look names up among all.
MOST_VARIABLES = 1_000
MOST_CELLS = 40_000
FARTHEST = 1e9
NARROWEST_BIN = 1e-6
FINEST = 10_000


def variables(fields: Fields, node: Node | None) -> dict[str, Variable]:
    """Read the `variables` section."""
    by_name: dict[str, Variable] = {}
    derived: list[tuple[Variable, Node | None]] = []
    if isinstance(node, Table) and len(node.entries) > MOST_VARIABLES:
        fields.fault(node, f"declares {len(node.entries)} variables; allowed are {MOST_VARIABLES}")
    for name, inner in itertools.islice(fields.named(node, strict=True), MOST_VARIABLES):
        entries = fields.table(inner, "VARIABLE")
        if "kind" not in entries:
            continue
        entries.value("kind")
        kind = _kind(entries)
        for key in ("states", "range", "bins", "also"):
            if key in entries and key not in VARIABLE_KEYS[kind]:
                *keys, last = (f"`{allowed}`" for allowed in VARIABLE_KEYS[kind])
                takes = f"{', '.join(keys)} and {last}" if keys else last
                fields.key_fault(entries.node, key, f"is not for {kind} variables, which take {takes}")
        variable = _variable(fields, name, kind, entries)
        if kind == "derived":
            derived.append((variable, entries.get("states")))
        by_name[name] = variable
    _check_other_names(fields, by_name, node)
    plain = {name: v for name, v in by_name.items() if v.kind != "derived"}
    for variable, states in derived:
        by_name[variable.name] = _derived(fields, variable, states, plain)
    return by_name


def of_kind(variables: Mapping[str, Variable], kind: Kind) -> dict[str, Variable]:
    """Return the variables of one kind."""
    return {name: variable for name, variable in variables.items() if variable.kind == kind}


def reach(variable: Variable) -> tuple[float, float, float]:
    """Return the ends of an interval variable and its finest step.

    Where its range is faulty, so that there are no edges, everything is within reach.
    """
    if not variable.edges:
        return -FARTHEST, FARTHEST, 0.0
    low, high = variable.edges[0], variable.edges[-1]
    return low, high, (high - low) / FINEST


def formula(fields: Fields, node: Node, variables: Mapping[str, Variable]) -> Formula:
    """Read a formula; a fault points at the column within its text."""
    text = fields.text_at(node)
    try:
        if text:
            return parse(text, variables)
    except FormulaError as error:
        shifted = node
        if isinstance(node, Scalar) and node.offset is not None:
            column = node.place.column + node.offset + error.column
            shifted = replace(node, place=replace(node.place, column=column))
        fields.fault(shifted, str(error))
    return conjunction()


def _kind(entries: Entries) -> Kind:
    """Return the kind; where it is unknown, the kind that the other keys fit."""
    node = entries.get("kind")
    if isinstance(node, Scalar) and node.text in VARIABLE_KEYS:
        return cast("Kind", node.text)
    if "range" in entries or "bins" in entries:
        return "interval"
    return "categorical" if "states" in entries else "binary"


def _variable(fields: Fields, name: str, kind: Kind, entries: Entries) -> Variable:
    states: tuple[str, ...] = ("false", "true")
    edges: tuple[float, ...] = ()
    descriptions, places = {}, {}
    if kind in ("categorical", "derived"):
        node = entries.get("states")
        named = list(fields.named(node, strict=True))
        places = dict(node.places) if isinstance(node, Table) else {}
        states = tuple(state for state, _ in named)
        if node is None:
            fields.fault(entries.node, "needs `states`, at least two")
        elif not 2 <= len(states) <= MOST_STATES and not isinstance(node, Items):
            fields.fault(node, f"has {len(states)} states; allowed are 2 to {MOST_STATES}")
            states = states[:MOST_STATES]
        if kind == "categorical":
            descriptions = {state: fields.text_at(inner) for state, inner in named}
    elif kind == "interval":
        edges = _edges(fields, entries)
        states = tuple(f"{(low + high) / 2:g}" for low, high in itertools.pairwise(edges))
    return Variable(
        name,
        kind,
        states,
        entries.value("label") or name,
        entries.value("description"),
        descriptions,
        entries.value("about"),
        also=_names_of_states(entries, states) if kind == "categorical" else {},
        other_names=_other_names(entries) if kind in ("binary", "interval") else (),
        edges=edges,
        place=entries.node.place,
        places=places,
    )


def _other_names(entries: Entries) -> tuple[str, ...]:
    """Return the other names of a variable."""
    node = entries.get("also")
    return () if node is None else tuple(entries.reader.read(node, entries.fields["also"].inner[0]))


def _check_other_names(fields: Fields, variables: Mapping[str, Variable], node: Node | None) -> None:
    """Note a fault where another name of a variable is a name or label of a second one, too."""
    meant = {name.casefold(): name for name in variables}
    for name, variable in variables.items():
        meant.setdefault(variable.label.strip().casefold(), name)
    for name, variable in variables.items():
        for text in variable.other_names:
            meaning = meant.setdefault(text.strip().casefold(), name)
            if meaning != name:
                fields.fault(_also_of(node, name), f"{text!r} means {meaning} and {name}")


def _also_of(node: Node | None, name: str) -> Node:
    """Return the node of a variable's other names."""
    variable = node.entries[name] if isinstance(node, Table) else None
    assert isinstance(variable, Table)  # It was read from there.
    return variable.entries["also"]


def _names_of_states(entries: Entries, states: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return state -> its other names, each of which means one state."""
    node = entries.get("also")
    named = {} if node is None else entries.reader.read(node, entries.fields["also"].inner[1])
    also = {state: tuple(names) for state, names in named.items()}
    meant: dict[str, str] = {state.casefold(): state for state in states}
    for state, names in also.items():
        if state not in states:
            entries.fault("also", f"{state!r} is none of its states; allowed are {', '.join(states)}")
        for name in names:
            if meant.setdefault(name.strip().casefold(), state) != state:
                entries.fault("also", f"{name!r} means {meant[name.strip().casefold()]} and {state}")
    return also


def _edges(fields: Fields, entries: Entries) -> tuple[float, ...]:
    bins = entries.value("bins")
    ends = [fields.number_at(end, -FARTHEST, FARTHEST) for end in fields.items_of(entries.get("range"))]
    if "range" not in entries or "bins" not in entries:
        fields.fault(entries.node, "needs `range: [low, high]` and `bins`")
    elif len(ends) != 2 or (ends[1] - ends[0]) / bins < NARROWEST_BIN:
        message = "must be [low, high], with low under high and no bin narrower than 0.000001"
        entries.fault("range", message)
    else:
        return tuple(float(x) for x in np.round(np.linspace(ends[0], ends[1], bins + 1), 12))
    return ()


def _derived(
    fields: Fields, variable: Variable, node: Node | None, plain: Mapping[str, Variable]
) -> Variable:
    before = len(fields.faults)
    formulas = tuple(formula(fields, inner, plain) for _, inner in fields.named(node))
    done = replace(variable, formulas=formulas)
    if node is None or not formulas or len(fields.faults) > before:
        return done
    names = sorted(frozenset().union(*(f.variables() for f in formulas)))
    not_intervals = [name for name in names if plain[name].kind != "interval"]
    if not_intervals:
        fields.fault(node, f"must be about interval variables only, not {', '.join(not_intervals)}")
    elif math.prod(len(plain[name].states) for name in names) > MOST_CELLS:
        fields.fault(node, f"combines too many bins; allowed are {MOST_CELLS} combinations")
    else:
        _check_partition(fields, node, done, {name: plain[name] for name in names})
    return done


def _check_partition(fields: Fields, node: Node, variable: Variable, spoken: Mapping[str, Variable]) -> None:
    """Note a fault at the first bin where not exactly one state holds."""
    axes = np.ix_(*(np.arange(len(v.states)) for v in spoken.values()))
    values = dict(zip(spoken, axes, strict=True))
    shape = tuple(len(v.states) for v in spoken.values())
    holds = np.stack([np.broadcast_to(f.holds(values), shape) for f in variable.formulas])
    wrong = np.argwhere(holds.sum(axis=0) != 1)
    if len(wrong) == 0:
        return
    cell = tuple(wrong[0])
    where = ", ".join(
        f"{name} = {v.states[index]}" for (name, v), index in zip(spoken.items(), cell, strict=True)
    )
    true = [state for state, held in zip(variable.states, holds[(slice(None), *cell)], strict=True) if held]
    holding = f"both {true[0]} and {true[1]} hold" if true else "none holds"
    fields.fault(node, f"its states must exclude one another and cover every case: at {where} {holding}")
