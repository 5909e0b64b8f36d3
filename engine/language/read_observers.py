"""The section `observers`: how instruments answer."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.language.fields import decimal, not_there
from engine.language.read_copies import is_copy
from engine.language.read_dependence import family_of, kind_of
from engine.language.read_variables import of_kind, reach
from engine.language.yaml_nodes import Table
from engine.model.confusion import confused_scatter, own_answers, room_for
from engine.model.knowledge import Halo, LabelInstrument, NumberInstrument, Observer, ReadingType, Variable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from engine.language.fields import Fields
    from engine.language.yaml_nodes import Node
    from engine.model.knowledge import Dependence, Question

    Mixtures = Mapping[str, Mapping[str, float]]
    Rows = tuple[tuple[float, ...], ...]
    Floats = NDArray[np.float64]

SMALLEST_CELL = 1e-6
SMALLEST_SD = 1e-6
STRONGEST = 1e6
ROUNDING = 0.005


def observers(
    fields: Fields,
    node: Node | None,
    variables: Mapping[str, Variable],
    asked: Mapping[str, Question],
    likes: Mapping[str, Mixtures],
    dependence: Dependence | None,
) -> dict[str, Observer]:
    """Read the `observers` section but for copies; `likes[variable][state]`: mixtures of new states."""
    by_name = {}
    for name, inner in fields.named(node):
        if is_copy(inner):
            continue
        read = partial(_observer, fields, name, inner, variables, asked, likes, dependence)
        inputs = [inner, variables, asked, likes, dependence]
        by_name[name] = fields.once(f"observers.{name}", inputs, read)
    return by_name


def _observer(
    fields: Fields,
    name: str,
    node: Node,
    variables: Mapping[str, Variable],
    asked: Mapping[str, Question],
    likes: Mapping[str, Mixtures],
    dependence: Dependence | None,
) -> Observer:
    optional = (
        "label description askable origin kind follows family cost exponent carry halo stereotype n spread sd"
    )
    entries = fields.table(node, "", f"{optional} categorical binary interval")
    before = len(fields.faults)
    labels = _categorical(fields, entries.get("categorical"), variables, likes)
    given = entries.get("categorical")
    named = given.entries if isinstance(given, Table) else {}
    reported = [name for name in of_kind(variables, "categorical") if name in named]
    labels |= _binary(fields, entries.get("binary"), variables)
    numbers = _interval(fields, entries.get("interval"), variables)
    if not labels and not numbers and len(fields.faults) == before:
        message = "reports nothing: give it `categorical`, `binary` or `interval`, or remove it"
        fields.fault(node, message + not_there(entries))
    for key in ("cost", "exponent", "carry", "n", "spread"):
        if key in entries:
            fields.cited(entries.entries[key])
    fields.number(entries, "n", 0.1, STRONGEST)
    fields.number(entries, "spread", SMALLEST_SD, 10)
    _deviations(fields, entries, "carry exponent")
    kind, follows = kind_of(fields, entries, dependence)
    family, family_follows = family_of(fields, entries, dependence)
    return Observer(
        **fields.cited(node),
        name=name,
        label=fields.text(entries, "label", name),
        description=fields.text(entries, "description"),
        askable=fields.flag(entries, "askable"),
        origin=_origin(fields, entries),
        kind=kind.name,
        follows=follows,
        family=family,
        family_follows=family_follows,
        people=kind.people,
        cost=fields.number(entries, "cost", 0, 1e6, default=1.0),
        exponent=fields.number(entries, "exponent", 0, 10, default=1.0),
        carry=fields.number(entries, "carry", 0, 1),
        halo=_halo(fields, entries.get("halo"), asked, reported),
        stereotype=_stereotype(fields, entries.get("stereotype"), variables, reported),
        labels=labels,
        numbers=numbers,
    )


def _origin(fields: Fields, entries: Table) -> Literal["seen", "label"]:
    """Return what an observer's reports are: seen in the item, or a data set's label."""
    if "origin" not in entries:
        return "seen"
    node = entries.entries["origin"]
    origin = fields.one_of(node, ("seen", "label"), "origin")
    if origin == "label" and fields.flag(entries, "askable"):
        fields.fault(node, "is label, and the observer is askable; whoever is asked looks: `seen`")
    return "label" if origin == "label" else "seen"


def _halo(
    fields: Fields, node: Node | None, asked: Mapping[str, Question], reported: list[str]
) -> dict[str, Halo]:
    halos = {}
    for question, inner in fields.known(node, asked, "question"):
        entries = fields.table(inner, "given probability", "sd")
        _deviations(fields, entries, "probability")
        if "given" not in entries or "probability" not in entries:
            continue
        what = "categorical variable of this observer"
        given = fields.one_of(entries.entries["given"], reported, what)
        probability = fields.number(entries, "probability", 0, 0.99)
        cited = fields.cited(entries.entries["probability"])
        if probability > 0:
            halos[question] = Halo(**cited, given=given, probability=probability)
    return halos


def _deviations(fields: Fields, entries: Table, keys: str) -> None:
    """Read `sd`: the prior standard deviations of numbers beside it, used by fits only."""
    given = [key for key in keys.split() if key in entries]
    for _, cell in fields.known(entries.get("sd"), given, "number beside it"):
        fields.cited(cell)
        fields.number_at(cell, SMALLEST_SD, STRONGEST)


def _counts(fields: Fields, node: Node | None, rows: tuple[str, ...]) -> None:
    """Read `n`: how many answers each row of a table counts for in a fit, one number or one a row."""
    if isinstance(node, Table):
        for _, cell in fields.known(node, rows, "row of the table"):
            fields.cited(cell)
            fields.number_at(cell, 0.1, STRONGEST)
    elif node is not None:
        fields.cited(node)
        fields.number_at(node, 0.1, STRONGEST)


def _stereotype(
    fields: Fields, node: Node | None, variables: Mapping[str, Variable], reported: list[str]
) -> dict[str, dict[str, float]]:
    """Read P(true | label) under halo, where it is not what the network says of that state."""
    states = tuple(state for name in reported for state in variables[name].states)
    binary = tuple(of_kind(variables, "binary"))
    probabilities: dict[str, dict[str, float]] = {}
    for state, inner in fields.known(node, states, "state that it reports"):
        probabilities[state] = _beside_sd(fields, inner, binary, "binary variable", (0.001, 0.999))
    return probabilities


def _beside_sd(
    fields: Fields, node: Node, names: tuple[str, ...], what: str, within: tuple[float, float]
) -> dict[str, float]:
    """Read numbers by name, and their `sd`."""
    fields.cited(node)
    entries = fields.any_table(node)
    _deviations(fields, entries, " ".join(names))
    cells = replace(entries, entries={k: cell for k, cell in entries.entries.items() if k != "sd"})
    return {name: fields.number_at(cell, *within) for name, cell in fields.known(cells, names, what)}


def _categorical(
    fields: Fields,
    node: Node | None,
    variables: Mapping[str, Variable],
    likes: Mapping[str, Mixtures],
) -> dict[str, LabelInstrument]:
    instruments = {}
    known = of_kind(variables, "categorical")
    for name, inner in fields.known(node, known, "categorical variable"):
        keys = "confusion settled accuracy repeat strength types ranking distribution n sd"
        entries = fields.table(inner, "", keys)
        _deviations(fields, entries, "accuracy repeat strength")
        forms = [key for key in ("confusion", "settled", "accuracy") if key in entries]
        if len(forms) != 1:
            present = " and ".join(forms) or "none of them"
            fields.fault(inner, f"needs one of `confusion`, `settled` and `accuracy`, and has {present}")
            continue
        given = entries.entries[forms[0]]
        if "settled" in entries and "types" in entries:
            fields.key_fault(entries, "types", "does not go with `settled`, which has one kind of reading")
            continue
        before = len(fields.faults)
        if "accuracy" in entries:
            answers, table = known[name].states, _accurate(fields, entries, known[name])
        else:
            answers, table = _confusion(fields, given, known[name], likes.get(name, {}))
        sound = len(fields.faults) == before
        _counts(fields, entries.get("n"), known[name].states)
        ranking = fields.table(entries.get("ranking"), "bonus", "habit pull n sd")
        _deviations(fields, ranking, "bonus")
        _counts(fields, ranking.get("n"), answers)
        if "bonus" in ranking:
            fields.cited(ranking.entries["bonus"])
        matches = own_answers(answers, known[name])
        settled = table if "settled" in entries else ()
        types = _types(fields, entries, table if sound and not settled else (), matches)
        if settled and sound and len(fields.faults) == before:
            drawn = np.array(settled) @ confused_scatter(
                np.array(settled), matches, np.float64(types[0].repeat)
            )
            table = tuple(tuple(float(p) for p in row) for row in drawn)
        instruments[name] = LabelInstrument(
            **fields.cited(given),
            variable=name,
            answers=answers,
            confusion=table,
            types=types,
            settled=settled,
            bonus=fields.number(ranking, "bonus", -10, 10),
            habit=_habit(fields, ranking.get("habit"), answers),
            pull=_pull(fields, ranking.get("pull"), known[name].states, answers),
            weight=_weight(fields, entries),
        )
    return instruments


def _habit(fields: Fields, node: Node | None, answers: tuple[str, ...]) -> Rows:
    """Read P(place 2 | place 1) of rankings: one row an answer, over the other answers."""
    if node is None:
        return ()
    fields.cited(node)
    before = len(fields.faults)
    rows = {}
    for first, inner in fields.known(node, answers, "answer"):
        other_answers = tuple(answer for answer in answers if answer != first)
        rows[first] = {
            answer: fields.number_at(cell, SMALLEST_CELL, 1, "no answer is impossible")
            for answer, cell in fields.known(inner, other_answers, "answer at place 2")
        }
        _check_row(fields, fields.any_table(inner), rows[first], other_answers)
    missing = [answer for answer in answers if answer not in rows]
    if missing:
        fields.fault(node, f"has no row for {', '.join(missing)}")
    if len(fields.faults) > before:
        return ()
    return tuple(
        tuple(rows[first].get(answer, 0.0) / sum(rows[first].values()) for answer in answers)
        for first in answers
    )


def _pull(fields: Fields, node: Node | None, states: tuple[str, ...], answers: tuple[str, ...]) -> Rows:
    """Read how much each truth draws other answers to places 2 and 3 of rankings."""
    if node is None:
        return ()
    fields.cited(node)
    rows = {}
    for state, inner in fields.known(node, states, "state"):
        other_answers = tuple(answer for answer in answers if answer != state)
        rows[state] = _beside_sd(fields, inner, other_answers, "other answer", (-10, 10))
    return tuple(tuple(rows.get(state, {}).get(answer, 0.0) for answer in answers) for state in states)


def _weight(fields: Fields, entries: Table) -> float:
    inside = fields.table(entries.get("distribution"), "weight", "sd")
    _deviations(fields, inside, "weight")
    if "weight" in inside:
        fields.cited(inside.entries["weight"])
    return fields.number(inside, "weight", 0.001, 1000, default=1.0)


def _accurate(fields: Fields, entries: Table, variable: Variable) -> Rows:
    size = max(len(variable.states), 2)
    reason = "from guessing to almost never wrong"
    accuracy = fields.number(entries, "accuracy", 1 / size, 1 - SMALLEST_CELL * size, reason=reason)
    off = (1 - accuracy) / (size - 1)
    return tuple(tuple(accuracy if i == j else off for j in range(size)) for i in range(size))


def _confusion(
    fields: Fields, node: Node, variable: Variable, likes: Mixtures
) -> tuple[tuple[str, ...], Rows]:
    """Return answers and rows of a confusion table; its columns, the answers, need not be the states."""
    before = len(fields.faults)
    given: dict[str, Table] = {}
    rows: dict[str, dict[str, float]] = {}
    for state, inner in fields.known(node, variable.states, "state"):
        given[state] = fields.any_table(inner)
        rows[state] = {
            answer: fields.number_at(cell, SMALLEST_CELL, 1, "no answer is impossible")
            for answer, cell in fields.named(given[state], strict=True)
        }
    answers = tuple(dict.fromkeys(answer for row in rows.values() for answer in row))
    for state, row in rows.items():
        _check_row(fields, given[state], row, answers)
    if rows and len(answers) < 2:
        fields.fault(node, "must have at least two columns: what can be answered")
    for state in variable.states:
        like = likes.get(state, {})
        if state not in rows and like and set(like) <= set(rows):
            rows[state] = {a: sum(w * rows[s].get(a, 0) for s, w in like.items()) for a in answers}
    missing = [state for state in variable.states if state not in rows]
    if missing:
        remedy = "give it, or `like` under activations.cells or affect.moments to mix it from known states"
        fields.lacking(node, variable, missing, "has no row for", remedy)
    if len(fields.faults) > before:
        return answers, ()
    table = np.array([[rows[state][answer] for answer in answers] for state in variable.states])
    # Published tables are rounded; within the tolerance checked above a row is scaled to one.
    table /= table.sum(axis=1, keepdims=True)
    return answers, tuple(tuple(float(x) for x in row) for row in table)


def _check_row(fields: Fields, node: Table, row: Mapping[str, float], answers: tuple[str, ...]) -> None:
    missing = [answer for answer in answers if answer not in row]
    if missing:
        fields.fault(node, f"gives no probability for the answer {', '.join(missing)}")
    elif abs(sum(row.values()) - 1) > ROUNDING:
        fields.fault(node, f"sums to {decimal(sum(row.values()))}; must sum to 1")


def _types(fields: Fields, entries: Table, table: Rows, matches: Floats) -> tuple[ReadingType, ...]:
    """Read how draws scatter; together the types must be able to give the table (if it is sound)."""
    before = len(fields.faults)
    types_node = entries.get("types")
    if types_node is None:
        types = [_type(fields, entries, "reading", 1.0)]
    else:
        for key in ("repeat", "strength"):
            if key in entries:
                fields.key_fault(entries, key, "does not go with `types`, which have their own")
        types = []
        for name, inner in fields.named(types_node):
            inside = fields.table(inner, "share repeat strength", "misread sd")
            _deviations(fields, inside, "share misread repeat strength")
            share = fields.number(inside, "share", 0.001, 1, default=1.0)
            misread = fields.number(inside, "misread", 0.001, 1, default=share)
            kind = _type(fields, inside, name, share)
            types.append(replace(kind, misread=misread) if "misread" in inside else kind)
        totals = [sum(reading_type.shares[i] for reading_type in types) for i in (0, 1)]
        if abs(totals[0] - 1) > ROUNDING and len(fields.faults) == before:
            fields.fault(types_node, f"the shares sum to {decimal(totals[0])}; must sum to 1")
        if abs(totals[1] - 1) > ROUNDING and len(fields.faults) == before:
            message = "`misread`, or `share` where a type has none, sums to"
            fields.fault(types_node, f"{message} {decimal(totals[1])}; must sum to 1")
        # As rows of a table are, shares within the tolerance are scaled to one.
        if len(fields.faults) == before:
            types = [_scaled(reading_type, *totals) for reading_type in types]
    if table and len(fields.faults) == before:
        node = types_node or entries.get("repeat") or entries
        if any(reading_type.misread is not None for reading_type in types):
            _check_misread(fields, node, types, np.array(table), matches)
        else:
            _check_repeat(fields, node, types, table)
    return tuple(types)


def _scaled(reading_type: ReadingType, share: float, misread: float) -> ReadingType:
    scaled_misread = None if reading_type.misread is None else reading_type.misread / misread
    return replace(reading_type, share=reading_type.share / share, misread=scaled_misread)


def _check_repeat(fields: Fields, node: Node, types: list[ReadingType], table: Rows) -> None:
    repeat = sum(reading_type.share * reading_type.repeat for reading_type in types)
    least = 1 - float(np.min(np.array(table), axis=0).sum())
    if repeat < least - 1e-9:
        needed = np.ceil(least * 1000) / 1000
        message = (
            f"the repeat is {decimal(round(repeat, 6))}; this table needs at least {decimal(needed)} "
            "(1 - the sum of its columns' smallest cells): a habit cannot give an answer more often "
            "than the table does"
        )
        fields.fault(node, message)


def _check_misread(
    fields: Fields, node: Node, types: list[ReadingType], table: Floats, matches: Floats
) -> None:
    off, misread_off = (
        1 - sum(reading_type.shares[i] * reading_type.repeat for reading_type in types) for i in (0, 1)
    )
    room = room_for(table, matches, table.min(axis=0), np.float64(off), np.float64(misread_off)).min()
    if room < 1 - 1e-9:
        known = f"{decimal(round(1 - misread_off, 6))}, of the rest {decimal(round(1 - off, 6))}"
        message = (
            f"the repeat of what is misread is {known}; this table needs 1 minus repeat at most "
            f"{decimal(np.floor(room * 1000) / 1000)} times as large: a habit cannot give an answer more "
            "often than the table does"
        )
        fields.fault(node, message)


def _type(fields: Fields, entries: Table, name: str, share: float) -> ReadingType:
    for key in ("repeat", "strength"):
        if key in entries:
            fields.cited(entries.entries[key])
    missing = [f"`{key}`" for key in ("repeat", "strength") if key not in entries]
    if missing:
        fields.fault(entries, f"needs {' and '.join(missing)}")
    return ReadingType(
        **fields.cited(entries.get("repeat") or entries),
        name=name,
        share=share,
        repeat=fields.number(entries, "repeat", 0.01, 0.999, default=0.99),
        strength=fields.number(entries, "strength", 0.1, STRONGEST, default=1.0),
    )


def _binary(
    fields: Fields, node: Node | None, variables: Mapping[str, Variable]
) -> dict[str, LabelInstrument]:
    instruments = {}
    entries = fields.table(node, "cells", "repeat strength distribution sd")
    _deviations(fields, entries, "repeat strength")
    shared = {key: inner for key, inner in entries.entries.items() if key in ("repeat", "strength")}
    weight = _weight(fields, entries)
    known = of_kind(variables, "binary")
    for name, inner in fields.known(entries.get("cells"), known, "binary variable"):
        before = len(fields.faults)
        cell_entries = fields.table(inner, "sensitivity specificity", "repeat strength n sd")
        _deviations(fields, cell_entries, "sensitivity specificity repeat strength")
        sensitivity = fields.number(cell_entries, "sensitivity", 0.01, 0.9999, default=0.5)
        specificity = fields.number(cell_entries, "specificity", 0.01, 0.9999, default=0.5)
        fields.number(cell_entries, "n", 0.1, STRONGEST)
        if len(fields.faults) == before and sensitivity + specificity < 1:
            total = decimal(sensitivity + specificity)
            fields.fault(inner, f"sensitivity and specificity sum to {total}; under 1 is worse than guessing")
        scatter = _type(fields, replace(cell_entries, entries=shared | cell_entries.entries), "reading", 1.0)
        table = ((specificity, 1 - specificity), (1 - sensitivity, sensitivity))
        if len(fields.faults) == before:
            _check_repeat(fields, cell_entries.get("repeat") or inner, [scatter], table)
        instruments[name] = LabelInstrument(
            **fields.cited(cell_entries.get("sensitivity") or inner),
            variable=name,
            answers=("false", "true"),
            confusion=table,
            types=(scatter,),
            weight=weight,
        )
    return instruments


def _interval(
    fields: Fields, node: Node | None, variables: Mapping[str, Variable]
) -> dict[str, NumberInstrument]:
    instruments = {}
    known = of_kind(variables, "interval")
    for name, inner in fields.known(node, known, "interval variable"):
        entries = fields.table(inner, "perception noise grid", "gain offset slip sd")
        _deviations(fields, entries, "gain offset perception noise slip")
        low, high, step = reach(known[name])
        span = high - low
        reason = f"{name} spans {decimal(span)}"
        instruments[name] = NumberInstrument(
            **fields.cited(entries.get("perception") or inner),
            variable=name,
            gain=fields.number(entries, "gain", 0.1, 10, default=1.0),
            offset=fields.number(entries, "offset", -span, span, reason=reason),
            perception=fields.number(entries, "perception", 10 * step, span, reason=reason),
            noise=fields.number(entries, "noise", 10 * step, span, reason=reason),
            slip=fields.number(entries, "slip", 0, 0.9, default=0.01),
            grid=fields.number(entries, "grid", step, span, reason=reason),
        )
    return instruments
