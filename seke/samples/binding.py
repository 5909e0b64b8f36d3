"""Decoded records -> a sheet: names are looked up, numbers are checked against their range.

A chunk is worked column by column, so that a record costs no Python of its own.
"""

from __future__ import annotations

from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from seke.files.rows import describe_met
from seke.samples.columns import (
    CODE,
    HIDDEN,
    LABEL,
    LIST,
    NUMBER,
    PRESENT,
    RANKING,
    ROW,
    SAID,
    SPREAD,
    TOLD,
    Sheet,
    numbered,
    pack,
    structure,
)
from seke.samples.columns_builder import SheetBuilder, filled_rows, look_up, unknown_name
from seke.samples.schema import ALLOWED, not_finite_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine import Floats, Ints
    from seke.files.faults import Faults
    from seke.samples.schema import Chunk
    from seke.samples.vocabulary import Field, Vocabulary


LARGEST_SUM = 1.01  # of a distribution whose entries were rounded
PER_CENT = 100
# What to do about numbers outside: samples have the scale of the variable, whatever a question asks for.
OTHER_SCALE = " (convert numbers of another scale; `scale:` of a question is for answers that seke asks for)"


def bind(chunk: Chunk, vocabulary: Vocabulary, prefix: str, faults: Faults) -> Sheet:
    """Check the records of a chunk and put them into columns; `prefix` begins their places.

    A sheet of records at fault, which are noted, is not to be used.
    """
    builder = SheetBuilder(chunk.records, vocabulary)
    for index, field in enumerate(vocabulary.fields):
        values = list(map(attrgetter(f"field_{index}"), chunk.records))
        rows = filled_rows(values)
        if len(rows) < len(values):
            values = [values[row] for row in rows]
        if not values:
            continue
        if field.kind == "binary":
            _binary_level(builder, index, field, rows, values)
        else:
            (variable,) = field.members.values()
            _PASSES[field.kind](builder, field.name, variable, rows, values)
    _reports(builder)
    _givens(builder)
    entries = builder.entries()
    status = builder.statuses(entries)
    builder.note_faults(faults, prefix, chunk)
    items, item = numbered([record.item for record in chunk.records])
    views, view = numbered([record.view for record in chunk.records])
    columns = {
        "item": item,
        "view": view,
        "status": status,
        "observer": builder.observer,
        "question": builder.question,
        "draw": [record.draw for record in chunk.records],
        "line": chunk.lines,
        "file": chunk.file,
    }
    return Sheet(items, views, structure(ROW, len(chunk.records), columns), entries)


def _categorical(builder: SheetBuilder, path: str, variable: int, rows: Ints, values: list[Any]) -> None:
    builder.check(rows, variable, lambda _: path)
    kinds = set(map(type, values))
    for kind, work in ((str, _labels), (list, _rankings), (dict, _distributions)):
        if kinds == {kind}:
            work(builder, path, variable, rows, values)
        elif kind in kinds:
            picked = [at for at, value in enumerate(values) if type(value) is kind]
            work(builder, path, variable, rows[picked], [values[at] for at in picked])


def _labels(builder: SheetBuilder, path: str, variable: int, rows: Ints, values: list[str]) -> None:
    builder.add(rows, variable, LABEL, builder.answers(variable, rows, values, lambda _: path), 1.0)


def _flat(rows: Ints, values: list[Any]) -> tuple[Ints, Ints, Ints]:
    """Return for each entry of the collections its row, its collection and its place in it, (E,) each."""
    counts = np.array(list(map(len, values)), dtype=np.int64)
    owner = np.repeat(np.arange(len(values)), counts)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows[owner], owner, place


def _rankings(builder: SheetBuilder, path: str, variable: int, rows: Ints, values: list[list[str]]) -> None:
    lengths = np.array(list(map(len, values)))
    builder.note(lengths == 0, rows, lambda _: f"{path}: the ranking is empty; {_NULL}")
    names = list(chain.from_iterable(values))
    flat_rows, owner, place = _flat(rows, values)
    answers = builder.answers(variable, flat_rows, names, lambda at: f"{path}[{place[at]}]")
    builder.note_repeats(owner, names, builder.meanings(variable, names), rows, f"{path}: the ranking")
    places = np.full((len(rows), 3), -1, dtype=np.int64)
    early = place < 3
    places[owner[early], place[early]] = answers[early]
    builder.add(rows, variable, RANKING, pack(places))


def _distributions(
    builder: SheetBuilder, path: str, variable: int, rows: Ints, values: list[dict[str, float]]
) -> None:
    flat_rows, owner, _ = _flat(rows, values)
    names = list(chain.from_iterable(values))
    p = np.array(list(chain.from_iterable(map(dict.values, values))), dtype=np.float64)
    p = _shares(builder, path, (variable, rows), owner, p)
    answers = builder.answers(variable, flat_rows, names, lambda at: f"{path}.{names[at]}")
    builder.note_repeats(owner, names, builder.meanings(variable, names), rows, f"{path}:")
    _check_range(builder, flat_rows, p, (0.0, 1.0), lambda at: f"{path}.{names[at]}")
    total = np.bincount(owner, weights=p, minlength=len(rows))
    allowed = f"allowed is more than 0 and at most {LARGEST_SUM}"
    builder.note(
        ~((total > 0) & (total <= LARGEST_SUM)),
        rows,
        lambda at: f"{path}: the probabilities sum to {total[at]:.6g}; {allowed}",
    )
    positive = p > 0
    builder.add(flat_rows[positive], variable, SPREAD, answers[positive], p[positive])


def _shares(builder: SheetBuilder, path: str, reported: tuple[int, Ints], owner: Ints, p: Floats) -> Floats:
    """Return the probabilities of distributions (E,), which may be declared as percentages, from 0 to 1.

    reported: the variable, and the row of each distribution. owner: that of each probability (E,).
    """
    variable, rows = reported
    totals = builder.vocabulary.totals[builder.observer[rows], variable]
    if (len(p) and p.max() > 1) or (totals > 1).any():
        sums = np.bincount(owner, weights=p, minlength=len(rows))
        percentages = (totals == 1) & (abs(sums / PER_CENT - 1) < LARGEST_SUM - 1)
        declared = (totals > 1) & (sums > 0) & (sums <= LARGEST_SUM)

        def cure_of(at: int) -> str:
            observer = builder.records[rows[at]].observer
            cure = f"if they are, declare it: {{sum: 100}} under `distribution` of observer {observer!r}"
            return f"{path}: the probabilities sum to {sums[at]:.6g}, as percentages do; {cure}"

        builder.note(percentages, rows, cure_of)
        builder.note(
            declared,
            rows,
            lambda at: f"{path}: the numbers sum to {sums[at]:.6g}; declared is a sum of {totals[at]:g}",
        )
    return np.asarray(p / totals[owner])


def _check_range(
    builder: SheetBuilder,
    rows: Ints,
    numbers: Floats,
    limits: tuple[float, float],
    path: Callable[[int], str],
    cure: str = "",
) -> None:
    low, high = limits
    builder.note(~np.isfinite(numbers), rows, lambda at: not_finite_fault(path(at), float(numbers[at])))
    builder.note(
        ~((numbers >= low) & (numbers <= high)),
        rows,
        lambda at: f"{path(at)}: {numbers[at]:.10g} is out of range; allowed is {low:g} to {high:g}{cure}",
    )


def _intervals(builder: SheetBuilder, path: str, variable: int, rows: Ints, values: list[float]) -> None:
    builder.check(rows, variable, lambda _: path)
    numbers = np.array(values, dtype=np.float64)
    limits = float(builder.vocabulary.low[variable]), float(builder.vocabulary.high[variable])
    _check_range(builder, rows, numbers, limits, lambda _: path, OTHER_SCALE)
    builder.add(rows, variable, NUMBER, 0, numbers)


def _binary_level(builder: SheetBuilder, index: int, field: Field, rows: Ints, values: list[Any]) -> None:
    kinds = set(map(type, values))
    if kinds == {list}:
        _closed_world(builder, index, field, rows, values)
        return
    lists = [at for at, value in enumerate(values) if type(value) is list]
    if lists:
        _closed_world(builder, index, field, rows[lists], [values[at] for at in lists])
    maps = [at for at, value in enumerate(values) if type(value) is dict]
    _mappings(builder, field, rows[maps], [values[at] for at in maps])


def _closed_world(
    builder: SheetBuilder, index: int, field: Field, rows: Ints, values: list[list[str]]
) -> None:
    vocabulary, path = builder.vocabulary, field.name
    names = list(chain.from_iterable(values))
    members = look_up(names, field.spellings)
    flat_rows = np.repeat(rows, list(map(len, values)))
    builder.note(members < 0, flat_rows, lambda at: unknown_name(path, "variable", names[at], field.members))
    variable = (members >= 0) & (members < len(vocabulary.names))
    present, present_rows = members[variable], flat_rows[variable]
    builder.check(present_rows, present, lambda at: f"{path}.{vocabulary.names[present[at]]}")
    about_one = vocabulary.about_one[builder.question[rows]]
    builder.note(about_one, rows, lambda at: _list_about_one(path, builder.records[rows[at]].question))
    field_members = vocabulary.member_mask(field)
    covered = (vocabulary.asked & field_members).astype(np.int64) @ vocabulary.equipped.T
    nothing = covered[builder.question[rows], builder.observer[rows]] == 0
    builder.note(nothing, rows, lambda at: _empty_world(path, builder.records[rows[at]]))
    builder.add(rows, -1, LIST, index)
    builder.add(present_rows, present, PRESENT)
    code = members >= len(vocabulary.names)
    builder.add(flat_rows[code], -1, CODE, members[code] - len(vocabulary.names))


def _list_about_one(path: str, question: str) -> str:
    reason = f"question {question!r} is about one variable, so a list cannot say what is absent"
    return f"{path}: {reason}; allowed is a mapping such as {{name: true}}"


def _empty_world(path: str, record: Any) -> str:
    who = f"question {record.question!r} asks observer {record.observer!r}"
    return f"{path}: {who} for none of this level that it has an instrument for"


def _mappings(builder: SheetBuilder, field: Field, rows: Ints, values: list[dict[str, Any]]) -> None:
    if not values:
        return
    values = _without_codes(builder, field, rows, _with_plain_names(builder, field, rows, values))
    names = list(chain.from_iterable(values))
    variables = look_up(names, field.members)
    flat_rows, _, _ = _flat(rows, values)
    builder.note(
        variables < 0,
        flat_rows,
        lambda at: unknown_name(field.name, "variable", names[at], field.members),
    )
    flat = list(chain.from_iterable(map(dict.values, values)))
    sights = np.maximum(variables, 0)
    _sights(builder, flat_rows, sights, flat, lambda at: f"{field.name}.{names[at]}")


def _with_plain_names(
    builder: SheetBuilder, field: Field, rows: Ints, values: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the mappings with the base's names in place of those that are written otherwise."""
    if all(value.keys() <= field.members.keys() for value in values):
        return values
    names = list(chain.from_iterable(values))
    _, owner, _ = _flat(rows, values)
    builder.note_repeats(owner, names, look_up(names, field.spellings), rows, f"{field.name}:")
    return [{field.member_named(name) or name: sight for name, sight in value.items()} for value in values]


def _without_codes(
    builder: SheetBuilder, field: Field, rows: Ints, values: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the mappings without codes; variables that a code hides become null (not visible)."""
    vocabulary = builder.vocabulary
    codes = {code: index for index, code in enumerate(vocabulary.codes)}
    field_members = vocabulary.member_mask(field)
    cleaned = []
    for row, value in zip(rows, values, strict=True):
        if codes.keys().isdisjoint(value):
            cleaned.append(value)
            continue
        mapping = {name: sight for name, sight in value.items() if name not in codes}
        for name in value.keys() & codes.keys():
            _check_sight(builder, int(row), f"{field.name}.{name}", value[name])
            builder.add([row], -1, SAID)
            if value[name] not in (True, 1.0):
                continue
            asked = vocabulary.asked[builder.question[row]] & vocabulary.equipped[builder.observer[row]]
            for hidden in np.flatnonzero(vocabulary.hides[codes[name]] & field_members & asked):
                if mapping.get(vocabulary.names[hidden]) is not True:
                    mapping[vocabulary.names[hidden]] = None
        cleaned.append(mapping)
    return cleaned


def _check_sight(builder: SheetBuilder, row: int, path: str, value: float | None) -> None:
    numbers = np.array([0.0 if value is None else value])
    _check_range(builder, np.array([row]), numbers, (0.0, 1.0), lambda _: path)


def _sights(
    builder: SheetBuilder, rows: Ints, variables: Ints, values: list[Any], path: Callable[[int], str]
) -> None:
    """Add binary variables that are reported as true, false, null (not visible) or a probability.

    A null of what the observer never reports says nothing.
    """
    hidden = np.array([value is None for value in values], dtype=bool)
    says = np.flatnonzero(~hidden | builder.vocabulary.equipped[builder.observer[rows], variables])
    rows, variables, hidden = rows[says], variables[says], hidden[says]
    values = [values[at] for at in says.tolist()]

    def place(at: int) -> str:
        return path(int(says[at]))

    builder.check(rows, variables, place)
    plain = np.array([type(value) is bool for value in values], dtype=bool)
    p = np.array([0.0 if value is None else value for value in values], dtype=np.float64)
    p = np.where(plain, p, p / builder.vocabulary.totals[builder.observer[rows], variables])
    _check_range(builder, rows, p, (0.0, 1.0), place)
    builder.add(rows[hidden], variables[hidden], HIDDEN)
    builder.add(rows[plain], variables[plain], LABEL, p[plain], 1.0)
    present = ~hidden & ~plain & (p > 0)
    builder.add(rows[present], variables[present], SPREAD, 1, p[present])
    absent = ~hidden & ~plain & (p < 1)
    builder.add(rows[absent], variables[absent], SPREAD, 0, 1 - p[absent])


def _reports(builder: SheetBuilder) -> None:
    """Add the values under `reports`, gathered by variable, as those of the levels."""
    gathered: dict[str, tuple[list[int], list[Any]]] = {}
    column = [record.reports for record in builder.records]
    for row in filled_rows(column).tolist():
        for name, value in column[row].items():
            rows_and_values = gathered.setdefault(name, ([], []))
            rows_and_values[0].append(row)
            rows_and_values[1].append(value)
    for name, (row_list, values) in gathered.items():
        rows, path = np.array(row_list, dtype=np.int64), f"reports.{name}"
        index = builder.vocabulary.indices.get(name)
        if index is None:
            reason = unknown_name("reports", "variable", name, builder.vocabulary.indices)
            builder.note_all(rows, reason)
            continue
        _refuse_twice(builder, path, index, rows)
        _report(builder, path, index, rows, values)


def _givens(builder: SheetBuilder) -> None:
    """Add what prompts stated; an answer that may follow it says how often its observer does."""
    vocabulary = builder.vocabulary
    column = [record.given for record in builder.records]
    rows = [row for row in filled_rows(column).tolist() if column[row]]
    told_rows = np.array(rows, dtype=np.int64)
    may_follow = vocabulary.may_follow[builder.observer[told_rows], builder.question[told_rows]]
    builder.note(~may_follow, told_rows, lambda at: _blind_fault(builder.records[rows[at]]))
    for row in rows:
        for name, value in column[row].items():
            path, index = f"given.{name}", vocabulary.indices.get(name)
            if index is None:
                builder.note_all(np.array([row]), unknown_name("given", "variable", name, vocabulary.indices))
                continue
            number = _stated_number(vocabulary, index, value)
            if number is None:
                allowed = ", ".join(vocabulary.stated[index].names) or "true or false"
                if vocabulary.kinds[index] == "interval":
                    allowed = f"{vocabulary.low[index]:g} to {vocabulary.high[index]:g}"
                reason = f"{path}: {describe_met(value)}; allowed is {allowed}"
                builder.note_all(np.array([row]), reason)
                continue
            builder.add([row], index, TOLD, 0, number)


def _stated_number(vocabulary: Vocabulary, variable: int, value: Any) -> float | None:
    """Return a stated value as a number, None where the variable has no such value."""
    kind = vocabulary.kinds[variable]
    if kind == "categorical":
        state = vocabulary.stated[variable][value] if isinstance(value, str) else -1
        return None if state < 0 else float(state)
    if kind == "binary":
        return float(value) if isinstance(value, bool) else None
    inside = type(value) in (int, float) and vocabulary.low[variable] <= value <= vocabulary.high[variable]
    return float(value) if inside else None


def _blind_fault(record: Any) -> str:
    """Return why an answer that was told something cannot be taken for a look."""
    halo = f"halo: {{{record.question}: {{given: told, probability: ...}}}}"
    return (
        f"given: nothing says how often observer {record.observer!r} follows what question "
        f"{record.question!r} told it, so the answer would count as a look; declare it as `{halo}`"
    )


def _report(builder: SheetBuilder, path: str, variable: int, rows: Ints, values: list[Any]) -> None:
    kind = builder.vocabulary.kinds[variable]
    fits = [_FITS[kind](value) for value in values]
    builder.note(
        ~np.array(fits),
        rows,
        lambda at: f"{path}: {describe_met(values[at])}; allowed is {ALLOWED[_REPORTED[kind]]}",
    )
    # null is "not visible" for a binary variable and "missing" for the others.
    kept = [at for at, fit in enumerate(fits) if fit and (kind == "binary" or values[at] is not None)]
    kept_rows, kept_values = rows[kept], [values[at] for at in kept]
    if not kept:
        return
    if kind == "binary":
        _sights(builder, kept_rows, np.full(len(kept), variable), kept_values, lambda _: path)
    else:
        _PASSES[kind](builder, path, variable, kept_rows, kept_values)


def _refuse_twice(builder: SheetBuilder, path: str, variable: int, rows: Ints) -> None:
    for index, field in enumerate(builder.vocabulary.fields):
        if variable in field.members.values():
            column = [getattr(builder.records[row], f"field_{index}") for row in rows]
            twice = rows[[value is not None for value in column]]
            builder.note_all(twice, f"{path}: {field.name} is given too; allowed is one of them")


_NULL = "use null for a missing answer"
_PASSES = {"categorical": _categorical, "interval": _intervals}
_REPORTED = {"categorical": "categorical", "interval": "interval", "binary": "sight"}
_FITS: Mapping[str, Callable[[Any], bool]] = {
    "categorical": lambda value: value is None or isinstance(value, str | list | dict),
    "interval": lambda value: value is None or type(value) is float,
    "binary": lambda value: value is None or isinstance(value, bool | float),
}
