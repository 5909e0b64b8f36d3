"""The section `observers`: how instruments answer."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from engine.language.field_table import TABLES
from engine.language.fields import Entries, decimal, not_there
from engine.language.read_binary import binary_instruments, distribution
from engine.language.read_dependence import family_of, kind_of
from engine.language.read_reading_types import reading_types
from engine.language.read_tables import ROUNDING
from engine.language.read_variables import of_kind, reach
from engine.language.yaml_nodes import Table
from engine.model.confusion import confused_scatter, own_answers
from engine.model.knowledge import Halo, LabelInstrument, NumberInstrument, Observer, ObserverCopy

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from engine.backend.types import Floats
    from engine.language.field_table import FieldSpec
    from engine.language.fields import Fields
    from engine.language.yaml_nodes import Node
    from engine.model.knowledge import Dependence
    from engine.model.policy import Question
    from engine.model.variable import Variable

    Mixtures = Mapping[str, Mapping[str, float]]
    Rows = tuple[tuple[float, ...], ...]

LABELS, RANKING = TABLES["LABELS"].fields, TABLES["RANKING"].fields
# What an answer under halo follows, where that is not its label but what its prompt states.
GIVEN = "told"
# The highest probability of a halo of an answer's own label.
MOST_HALO = 0.99
# A cell of a table of answers, in which no answer is impossible.
CELL = LABELS["confusion"].inner[0].inner[0]


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
        if _is_copy(inner):
            continue
        read = partial(_observer, fields, name, inner, variables, asked, likes, dependence)
        inputs = [inner, variables, asked, likes, dependence]
        by_name[name] = fields.once(f"observers.{name}", inputs, read)
    return by_name


def copies(fields: Fields, node: Node | None, observers: Collection[str]) -> dict[str, ObserverCopy]:
    """Return the copies that the section declares, by name; observers: those that are none."""
    fields.names["observer with tables of its own"] = observers
    by_name = {}
    for name, inner in fields.named(node):
        if _is_copy(inner):
            entries = fields.table(inner, "COPY")
            by_name[name] = ObserverCopy(
                place=inner.place,
                name=name,
                label=entries.value("label") or name,
                description=entries.value("description"),
                original=entries.value("copy_of"),
            )
    return by_name


def _is_copy(node: Node) -> bool:
    return isinstance(node, Table) and "copy_of" in node


def _observer(
    fields: Fields,
    name: str,
    node: Node,
    variables: Mapping[str, Variable],
    asked: Mapping[str, Question],
    likes: Mapping[str, Mixtures],
    dependence: Dependence | None,
) -> Observer:
    entries = fields.table(node, "OBSERVER")
    before = len(fields.faults)
    given = entries.get("categorical")
    labels = _categorical(fields, given, variables, likes)
    named = given.entries if isinstance(given, Table) else {}
    reported = [name for name in of_kind(variables, "categorical") if name in named]
    labels |= binary_instruments(fields, entries.get("binary"), variables, asked)
    numbers = _interval(fields, entries.get("interval"), variables)
    if not labels and not numbers and len(fields.faults) == before:
        message = "reports nothing: give it `categorical`, `binary` or `interval`, or remove it"
        fields.fault(node, message + not_there(entries.node))
    entries.values("n spread")  # Of fits only, but noted as numbers.
    kind, follows = kind_of(fields, entries, dependence)
    family, family_follows = family_of(fields, entries, dependence)
    if entries.value("origin") == "label" and entries.value("askable"):
        entries.fault("origin", "is label, but the observer is askable; one that is asked has origin `seen`")
    halo, halo_of_given = _halos(fields, entries.get("halo"), asked, reported)
    return Observer(
        **fields.cited(node),
        name=name,
        kind=kind.name,
        follows=follows,
        family=family,
        family_follows=family_follows,
        people=kind.people,
        **entries.values("description askable origin cost exponent carry follows_only"),
        label=entries.value("label") or name,
        halo=halo,
        halo_of_given=halo_of_given,
        echo=_echo(fields, entries.get("echo"), asked, people=kind.people),
        stereotype=_stereotype(fields, entries.get("stereotype"), variables, reported),
        labels=labels,
        numbers=numbers,
    )


def _halos(
    fields: Fields, node: Node | None, asked: Mapping[str, Question], reported: list[str]
) -> tuple[dict[str, Halo], dict[str, Halo]]:
    """Read how often answers follow their own label, and how often what was stated."""
    halos: dict[str, Halo] = {}
    halos_of_given: dict[str, Halo] = {}
    for question, inner in fields.known(node, asked, "question"):
        entries = fields.table(inner, "HALO")
        if "given" not in entries or "probability" not in entries:
            continue
        allowed = (*reported, GIVEN)
        given = fields.one_of(
            entries["given"], allowed, f"categorical variable of this observer, or `{GIVEN}`"
        )
        reason = "an answer that always follows its own label tells of nothing else"
        most = 1 if given == GIVEN else MOST_HALO
        probability = entries.within("probability", 0, most, "" if given == GIVEN else reason)
        if probability > 0:
            halo = Halo(**entries.cited("probability"), given=given, probability=probability)
            (halos_of_given if given == GIVEN else halos)[question] = halo
    return halos, halos_of_given


def _echo(
    fields: Fields, node: Node | None, asked: Mapping[str, Question], *, people: bool
) -> dict[str, float]:
    """Read how often an answer merely repeats what its prompt stated, by question.

    People may be shown what is believed beside any question.
    """
    echo, share = {}, TABLES["OBSERVER"].fields["echo"].inner[0]
    for question, inner in fields.known(node, asked, "question"):
        fields.cited(inner)
        if not asked[question].recall and not people:
            allowed = "questions with `recall`, and all of an observer of people"
            fields.fault(inner, f"{question} states no earlier answer; allowed are {allowed}")
        echo[question] = float(fields.read(inner, share))
    return echo


def _check_counts(entries: Entries, rows: tuple[str, ...]) -> None:
    """Check `n`: how many answers each row of a table counts for in a fit, one number or one a row."""
    node, fields, field = entries.get("n"), entries.reader, LABELS["n"].inner[0]
    cells = (
        [inner for _, inner in fields.known(node, rows, "row of the table")]
        if isinstance(node, Table)
        else [node]
    )
    for cell in cells:
        if cell is not None:
            fields.cited(cell)
            fields.read(cell, field)


def _stereotype(
    fields: Fields, node: Node | None, variables: Mapping[str, Variable], reported: list[str]
) -> dict[str, dict[str, float]]:
    """Read P(true | label) under halo, where it is not what the network says of that state."""
    states = tuple(state for name in reported for state in variables[name].states)
    binary = tuple(of_kind(variables, "binary"))
    probabilities: dict[str, dict[str, float]] = {}
    for state, inner in fields.known(node, states, "state that it reports"):
        field = TABLES["OBSERVER"].fields["stereotype"].inner[0].inner[0]
        probabilities[state] = _beside_sd(fields, inner, binary, "binary variable", field)
    return probabilities


def _beside_sd(
    fields: Fields, node: Node, names: tuple[str, ...], what: str, field: FieldSpec
) -> dict[str, float]:
    """Read numbers by name, and their `sd`."""
    fields.cited(node)
    table = fields.any_table(node)
    fields.deviations(table, names)
    cells = replace(table, entries={k: cell for k, cell in table.entries.items() if k != "sd"})
    return {name: fields.read(cell, field) for name, cell in fields.known(cells, names, what)}


def _categorical(
    fields: Fields,
    node: Node | None,
    variables: Mapping[str, Variable],
    likes: Mapping[str, Mixtures],
) -> dict[str, LabelInstrument]:
    instruments = {}
    known = of_kind(variables, "categorical")
    for name, inner in fields.known(node, known, "categorical variable"):
        entries = fields.table(inner, "LABELS")
        forms = [key for key in ("confusion", "settled", "accuracy") if key in entries]
        if len(forms) != 1:
            present = " and ".join(forms) or "none of them"
            fields.fault(inner, f"needs one of `confusion`, `settled` and `accuracy`, and has {present}")
        elif "settled" in entries and "types" in entries:
            message = "does not go with `settled`, which has one kind of reading"
            fields.key_fault(entries.node, "types", message)
        else:
            mixtures = likes.get(name, {})
            read = partial(_label_instrument, entries, forms[0], known[name], mixtures)
            instruments[name] = fields.once(inner.path, [inner, known[name], mixtures], read)
    return instruments


def _label_instrument(entries: Entries, form: str, variable: Variable, likes: Mixtures) -> LabelInstrument:
    """Read how a categorical variable is reported; form: which of the three tables is declared."""
    fields = entries.reader
    before = len(fields.faults)
    if form == "accuracy":
        answers, table = variable.states, _accurate(entries, variable)
    else:
        answers, table = _confusion(fields, entries[form], variable, likes)
    sound = len(fields.faults) == before
    _check_counts(entries, variable.states)
    ranking = fields.table(entries.get("ranking"), "RANKING")
    _check_counts(ranking, answers)
    matches = own_answers(answers, variable)
    settled = table if form == "settled" else ()
    types = reading_types(entries, table if sound and not settled else (), matches)
    if settled and sound and len(fields.faults) == before:
        scatter = confused_scatter(np.array(settled), matches, np.float64(types[0].repeat))
        table = _rows(np.array(settled) @ scatter)
    return LabelInstrument(
        **entries.cited(form),
        variable=variable.name,
        answers=answers,
        confusion=table,
        types=types,
        settled=settled,
        bonus=ranking.value("bonus"),
        habit=_habit(fields, ranking.get("habit"), answers),
        pull=_pull(fields, ranking.get("pull"), variable.states, answers),
        **distribution(entries),
    )


def _rows(table: Floats) -> Rows:
    return tuple(tuple(float(p) for p in row) for row in table)


def _habit(fields: Fields, node: Node | None, answers: tuple[str, ...]) -> Rows:
    """Read P(place 2 | place 1) of rankings: one row an answer, over the other answers."""
    if node is None:
        return ()
    fields.cited(node)
    before = len(fields.faults)
    rows = {}
    for first, inner in fields.known(node, answers, "answer"):
        before_row = len(fields.faults)
        other_answers = tuple(answer for answer in answers if answer != first)
        rows[first] = {
            answer: fields.read(cell, CELL)
            for answer, cell in fields.known(inner, other_answers, "answer at place 2")
        }
        if len(fields.faults) == before_row:
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
        field = RANKING["pull"].inner[0].inner[0]
        rows[state] = _beside_sd(fields, inner, other_answers, "other answer", field)
    return tuple(tuple(rows.get(state, {}).get(answer, 0.0) for answer in answers) for state in states)


def _accurate(entries: Entries, variable: Variable) -> Rows:
    size = max(len(variable.states), 2)
    reason = "from guessing to almost never wrong"
    accuracy = entries.within("accuracy", 1 / size, 1 - CELL.low * size, reason)
    off = (1 - accuracy) / (size - 1)
    return tuple(tuple(accuracy if i == j else off for j in range(size)) for i in range(size))


def _confusion(
    fields: Fields, node: Node, variable: Variable, likes: Mixtures
) -> tuple[tuple[str, ...], Rows]:
    """Return answers and rows of a confusion table; its columns, the answers, need not be the states."""
    before = len(fields.faults)
    sound: dict[str, Table] = {}
    rows: dict[str, dict[str, float]] = {}
    for state, inner in fields.known(node, variable.states, "state"):
        before_row, row_table = len(fields.faults), fields.any_table(inner)
        rows[state] = {
            answer: fields.read(cell, CELL) for answer, cell in fields.named(row_table, strict=True)
        }
        if len(fields.faults) == before_row:
            sound[state] = row_table
    answers = tuple(dict.fromkeys(answer for row in rows.values() for answer in row))
    # What a row with an entry at fault lacks or sums to says nothing.
    for state, row_table in sound.items():
        _check_row(fields, row_table, rows[state], answers)
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
    return answers, _rows(table)


def _check_row(fields: Fields, node: Table, row: Mapping[str, float], answers: tuple[str, ...]) -> None:
    missing = [answer for answer in answers if answer not in row]
    if missing:
        fields.fault(node, f"gives no probability for the answer {', '.join(missing)}")
    elif abs(sum(row.values()) - 1) > ROUNDING:
        fields.fault(node, f"sums to {decimal(sum(row.values()))}; must sum to 1")


def _interval(
    fields: Fields, node: Node | None, variables: Mapping[str, Variable]
) -> dict[str, NumberInstrument]:
    instruments = {}
    known = of_kind(variables, "interval")
    for name, inner in fields.known(node, known, "interval variable"):
        entries = fields.table(inner, "GAUGE")
        low, high, step = reach(known[name])
        span = high - low
        reason = f"{name} spans {decimal(span)}"
        least = {"offset": -span, "perception": 10 * step, "noise": 10 * step}
        instruments[name] = NumberInstrument(
            **entries.cited("perception"),
            variable=name,
            gain=entries.value("gain"),
            **{key: entries.within(key, limit, span, reason) for key, limit in least.items()},
            **entries.values("slip blank stray"),
            nothing=_nothing(entries, low, high, name),
            grid=entries.within("grid", step, span, reason),
        )
    return instruments


def _nothing(entries: Entries, low: float, high: float, name: str) -> float:
    """Return the number that an observer says where it sees nothing."""
    if entries.get("nothing") is None:
        return low
    reason = f"{name} lies between {decimal(low)} and {decimal(high)}"
    return float(entries.within("nothing", low, high, reason))
