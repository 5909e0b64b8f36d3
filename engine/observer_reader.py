"""The sections about asking and deciding: `questions`, `observers`, `policy`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.fields import Fields
from engine.knowledge import (
    Halo,
    LabelInstrument,
    NumberInstrument,
    Observer,
    Policy,
    Question,
    ReadingType,
    Variable,
)
from engine.source import Scalar, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.source import Node

    Likes = Mapping[str, Mapping[str, Mapping[str, float]]]

SMALLEST_CELL = 1e-6
STRONGEST = 1e6


def questions(
    fields: Fields,
    node: Node | None,
    variables: Mapping[str, Variable],
    levels: Mapping[str, tuple[str, ...]],
) -> dict[str, Question]:
    """Read the `questions` section."""
    found = {}
    plain = [v.name for v in variables.values() if v.kind != "derived"]
    for name, inner, path in fields.named(node, "questions"):
        entries = fields.table(inner, path, "reports cost", "label about prompt")
        reported: list[str] = []
        for item in fields.listed(entries.get("reports"), f"{path}.reports"):
            known = (*levels, *plain)
            what = fields.one_of(item, f"{path}.reports", known, "level or variable")
            reported += levels.get(what, (what,))
        about = fields.text(entries, "about", path)
        if about and about != "one":
            fields.fault(entries["about"].place, f"{path}.about", "may only be `one`")
        found[name] = Question(
            **fields.cited(entries.get("cost", inner), path),
            name=name,
            label=fields.text(entries, "label", path, name),
            variables=tuple(dict.fromkeys(reported)),
            cost=fields.number(entries, "cost", path, 0, 1e6),
            about_one=bool(about),
            prompt=fields.text(entries, "prompt", path),
        )
    return found


def observers(
    fields: Fields,
    node: Node | None,
    variables: Mapping[str, Variable],
    asked: Mapping[str, Question],
    likes: Likes,
) -> dict[str, Observer]:
    """Read the `observers` section; `likes[variable][state]` are the mixtures of new states."""
    found = {}
    for name, inner, path in fields.named(node, "observers"):
        optional = "label description askable exponent carry halo categorical binary interval"
        entries = fields.table(inner, path, "", optional)
        labels = _categorical(fields, entries.get("categorical"), f"{path}.categorical", variables, likes)
        labels |= _binary(fields, entries.get("binary"), f"{path}.binary", variables)
        numbers = _interval(fields, entries.get("interval"), f"{path}.interval", variables)
        if not labels and not numbers:
            fields.fault(inner.place, path, "reports nothing: give it categorical, binary or interval")
        found[name] = Observer(
            **fields.cited(inner, path),
            name=name,
            label=fields.text(entries, "label", path, name),
            description=fields.text(entries, "description", path),
            askable=fields.flag(entries, "askable", path),
            exponent=fields.number(entries, "exponent", path, 0, 10, 1.0),
            carry=fields.number(entries, "carry", path, 0, 1, 0.0),
            halo=_halo(fields, entries.get("halo"), f"{path}.halo", asked, labels, variables),
            labels=labels,
            numbers=numbers,
        )
    return found


def _halo(
    fields: Fields,
    node: Node | None,
    path: str,
    asked: Mapping[str, Question],
    labels: Mapping[str, LabelInstrument],
    variables: Mapping[str, Variable],
) -> dict[str, Halo]:
    halos = {}
    categorical = [name for name in labels if variables[name].kind == "categorical"]
    for question, inner, where in fields.known(node, path, asked, "question"):
        entries = fields.table(inner, where, "given probability")
        if "given" not in entries:
            continue
        what = "categorical variable of this observer"
        given = fields.one_of(entries["given"], f"{where}.given", categorical, what)
        probability = fields.number(entries, "probability", where, 0, 0.99)
        cited = fields.cited(entries.get("probability", inner), where)
        if probability > 0:
            halos[question] = Halo(**cited, given=given, probability=probability)
    return halos


def _of_kind(variables: Mapping[str, Variable], kind: str) -> list[str]:
    return [v.name for v in variables.values() if v.kind == kind]


def _categorical(
    fields: Fields, node: Node | None, path: str, variables: Mapping[str, Variable], likes: Likes
) -> dict[str, LabelInstrument]:
    found = {}
    names = _of_kind(variables, "categorical")
    for name, inner, where in fields.known(node, path, names, "categorical variable"):
        optional = "confusion accuracy repeat strength types ranking distribution"
        entries = fields.table(inner, where, "", optional)
        if ("confusion" in entries) == ("accuracy" in entries):
            fields.fault(inner.place, where, "needs either `confusion` or `accuracy`")
            continue
        variable = variables[name]
        if "accuracy" in entries:
            answers, table = variable.states, _accurate(fields, entries, where, variable)
        else:
            inside = f"{where}.confusion"
            answers, table = _confusion(
                fields, entries["confusion"], inside, variable, likes.get(name, {})
            )
        ranking = fields.table(entries.get("ranking"), f"{where}.ranking", "bonus")
        found[name] = LabelInstrument(
            **fields.cited(entries.get("confusion", entries.get("accuracy", inner)), where),
            variable=name,
            answers=answers,
            confusion=table,
            types=_types(fields, entries, inner, where, table),
            bonus=fields.number(ranking, "bonus", f"{where}.ranking", -10, 10),
            weight=_weight(fields, entries, where),
        )
        for key in ("confusion", "accuracy", "ranking"):
            if key in entries:
                fields.cited(entries[key], f"{where}.{key}")
    return found


def _weight(fields: Fields, entries: Mapping[str, Node], path: str) -> float:
    inside = fields.table(entries.get("distribution"), f"{path}.distribution", "weight")
    return fields.number(inside, "weight", f"{path}.distribution", 0.001, 1000, 1.0)


def _accurate(
    fields: Fields, entries: Mapping[str, Node], path: str, variable: Variable
) -> tuple[tuple[float, ...], ...]:
    size = len(variable.states)
    accuracy = fields.number(entries, "accuracy", path, 1 / max(size, 1), 1 - SMALLEST_CELL * size)
    off = (1 - accuracy) / max(size - 1, 1)
    return tuple(
        tuple(accuracy if i == j else off for j in range(size)) for i in range(size)
    )


def _confusion(
    fields: Fields,
    node: Node,
    path: str,
    variable: Variable,
    likes: Mapping[str, Mapping[str, float]],
) -> tuple[tuple[str, ...], tuple[tuple[float, ...], ...]]:
    """Read a one-answer table; the answers are its columns, which need not be the states."""
    rows: dict[str, dict[str, float]] = {}
    answers: dict[str, None] = {}
    for state, inner, where in fields.known(node, path, variable.states, "state"):
        cells = fields.named(inner, where, strict=True)
        rows[state] = {a: fields.number_at(c, inside, 0, 1) for a, c, inside in cells}
        answers |= dict.fromkeys(rows[state])
    for state, row in rows.items():
        place = node.entries[state].place if isinstance(node, Table) else node.place
        _check_row(fields, place, f"{path}.{state}", row, answers)
    for state in variable.states:
        like = likes.get(state, {})
        if state not in rows and like and set(like) <= set(rows):
            rows[state] = {a: sum(w * rows[s].get(a, 0) for s, w in like.items()) for a in answers}
        elif state not in rows:
            fields.fault(node.place, path, f"has no row for {state}")
            rows[state] = {}
    names = tuple(answers)
    table = np.array([[rows[s].get(a, 1.0) for a in names] for s in variable.states])
    # Published tables are rounded; within the tolerance checked above a row is scaled to one.
    table = table / np.maximum(table.sum(axis=1, keepdims=True), SMALLEST_CELL)
    return names, tuple(tuple(float(x) for x in row) for row in table)


def _check_row(
    fields: Fields, place: object, path: str, row: Mapping[str, float], answers: Iterable[str]
) -> None:
    missing = [answer for answer in answers if answer not in row]
    if missing:
        message = f"gives no probability for the answer {', '.join(missing)}"
        fields.fault(place, path, message)  # type: ignore[arg-type]
        return
    total = sum(row.values())
    if abs(total - 1) > 0.005:
        fields.fault(place, path, f"sums to {total:g}; must sum to 1")  # type: ignore[arg-type]
    if min(row.values()) < SMALLEST_CELL:
        message = f"holds a probability under {SMALLEST_CELL:g}: no answer is impossible"
        fields.fault(place, path, message)  # type: ignore[arg-type]


def _types(
    fields: Fields,
    entries: Mapping[str, Node],
    node: Node,
    path: str,
    table: tuple[tuple[float, ...], ...],
) -> tuple[ReadingType, ...]:
    """Read how draws scatter; together the types must be able to give the table."""
    if "types" not in entries:
        types = [_type(fields, entries, node, path, "reading", 1.0)]
    elif "repeat" in entries or "strength" in entries:
        fields.fault(node.place, path, "gives both `types` and `repeat` or `strength`")
        return ()
    else:
        types = []
        for name, inner, where in fields.named(entries["types"], f"{path}.types"):
            inside = fields.table(inner, where, "share repeat strength")
            share = fields.number(inside, "share", where, 0.001, 1)
            types.append(_type(fields, inside, inner, where, name, share))
        total = sum(t.share for t in types)
        if abs(total - 1) > 0.005:
            fields.fault(node.place, f"{path}.types", f"shares sum to {total:g}; must sum to 1")
    repeat = sum(t.share * t.repeat for t in types)
    least = 1 - float(np.min(np.array(table), axis=0).sum())
    if repeat < least - 1e-9:
        message = (
            f"repeat is {repeat:g}; this table needs at least {least:.3f} "
            "(1 - the sum of its columns' smallest cells): a habit cannot give an answer more "
            "often than the table does"
        )
        fields.fault(node.place, path, message)
    return tuple(types)


def _type(
    fields: Fields, entries: Mapping[str, Node], node: Node, path: str, name: str, share: float
) -> ReadingType:
    for key in ("repeat", "strength"):
        if key not in entries:
            fields.fault(node.place, path, f"needs `{key}`")
    return ReadingType(
        **fields.cited(entries.get("repeat", node), path),
        name=name,
        share=share,
        repeat=fields.number(entries, "repeat", path, 0.01, 0.999, 0.99),
        strength=fields.number(entries, "strength", path, 0.1, STRONGEST, 1.0),
    )


def _binary(
    fields: Fields, node: Node | None, path: str, variables: Mapping[str, Variable]
) -> dict[str, LabelInstrument]:
    found = {}
    entries = fields.table(node, path, "cells", "repeat strength distribution")
    names = _of_kind(variables, "binary")
    shared = {key: entries[key] for key in ("repeat", "strength") if key in entries}
    weight = _weight(fields, entries, path)
    for name, inner, where in fields.known(entries.get("cells"), f"{path}.cells", names, "variable"):
        own = fields.table(inner, where, "sensitivity specificity", "repeat strength n")
        sensitivity = fields.number(own, "sensitivity", where, 0.01, 0.9999, 0.5)
        specificity = fields.number(own, "specificity", where, 0.01, 0.9999, 0.5)
        if sensitivity + specificity < 1:
            message = "sensitivity and specificity sum to less than 1: worse than guessing"
            fields.fault(inner.place, where, message)
        table = ((specificity, 1 - specificity), (1 - sensitivity, sensitivity))
        found[name] = LabelInstrument(
            **fields.cited(own.get("sensitivity", inner), where),
            variable=name,
            answers=("false", "true"),
            confusion=table,
            types=_types(fields, {**shared, **_scatter(own)}, inner, where, table),
            weight=weight,
        )
    return found


def _scatter(entries: Mapping[str, Node]) -> dict[str, Node]:
    return {key: entries[key] for key in ("repeat", "strength") if key in entries}


def _interval(
    fields: Fields, node: Node | None, path: str, variables: Mapping[str, Variable]
) -> dict[str, NumberInstrument]:
    found = {}
    names = _of_kind(variables, "interval")
    for name, inner, where in fields.known(node, path, names, "interval variable"):
        entries = fields.table(inner, where, "perception noise grid", "gain offset slip")
        edges = variables[name].edges
        span = edges[-1] - edges[0]
        found[name] = NumberInstrument(
            **fields.cited(entries.get("perception", inner), where),
            variable=name,
            gain=fields.number(entries, "gain", where, 0.1, 10, 1.0),
            offset=fields.number(entries, "offset", where, -span, span),
            perception=fields.number(entries, "perception", where, span / 1000, span),
            noise=fields.number(entries, "noise", where, span / 1000, span),
            slip=fields.number(entries, "slip", where, 0, 0.9, 0.01),
            grid=fields.number(entries, "grid", where, span / 10000, span),
        )
    return found


def policy(
    fields: Fields,
    node: Node | None,
    variables: Mapping[str, Variable],
    levels: Mapping[str, tuple[str, ...]],
    instruments: Mapping[str, Observer],
) -> Policy:
    """Read the `policy` section; numbers of a level are spread over its variables."""
    required = "required limits tolerance worth budget batches conflict ask"
    entries = fields.table(node, "policy", required, "cuts")
    if node is None:
        return Policy()
    decided = [name for names in levels.values() for name in names]
    interval = [name for name in decided if variables[name].kind == "interval"]
    binary = [name for name in decided if variables[name].kind == "binary"]
    items = fields.listed(entries.get("required"), "policy.required")
    batches = [
        int(fields.number_at(item, "policy.batches", 1, 1000))
        for item in fields.listed(entries.get("batches"), "policy.batches")
    ]
    askable = [name for name, observer in instruments.items() if observer.askable]
    spread = _Spread(fields, entries, levels)
    ask = entries.get("ask")
    return Policy(
        **fields.cited(node, "policy"),
        required=tuple(fields.one_of(i, "policy.required", levels, "level") for i in items),
        limits=spread.over("limits", decided, decided, 0.0001, 0.9999),
        cuts=spread.over("cuts", binary, [], 0.01, 0.99),
        tolerance=spread.over("tolerance", interval, interval, 1e-6, 1e6),
        worth=spread.over("worth", decided, decided, 0, 1e9),
        budget=fields.whole(entries, "budget", "policy", 0, 1_000_000),
        batches=tuple(sorted(set(batches))),
        conflict=fields.number(entries, "conflict", "policy", 0, 1000),
        ask=fields.one_of(ask, "policy.ask", askable, "askable observer") if ask else "",
    )


class _Spread:
    """Reads a table of numbers keyed by level or variable; a variable's own number wins."""

    def __init__(
        self,
        fields: Fields,
        entries: Mapping[str, Node],
        levels: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.fields = fields
        self.entries = entries
        self.levels = levels

    def over(
        self, key: str, allowed: list[str], needed: list[str], low: float, high: float
    ) -> dict[str, float]:
        node = self.entries.get(key)
        numbers: dict[str, float] = {}
        known = (*self.levels, *allowed)
        found = list(self.fields.known(node, f"policy.{key}", known, "level or variable"))
        for wide in (True, False):
            for name, inner, path in found:
                if (name in self.levels and name not in allowed) == wide or (
                    wide and name in self.levels
                ):
                    value = self.fields.number_at(inner, path, low, high)
                    for variable in self.levels[name] if wide else (name,):
                        if variable in allowed:
                            numbers[variable] = value
        missing = [name for name in needed if name not in numbers]
        if node is not None and missing:
            message = f"says nothing about {', '.join(missing[:5])}"
            self.fields.fault(node.place, f"policy.{key}", message)
        return numbers


__all__ = ["Scalar", "observers", "policy", "questions"]
