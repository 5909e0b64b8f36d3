"""What is shown of each item when it is opened: short lists, as JSON has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seke.graphics.shapes import clean
from seke.reports.encoding import thousandths
from seke.reports.sample_contributions import STATUSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from seke.reports.inputs import Asked, Source
    from seke.reports.records_table import Table
    from seke.reports.sample_contributions import Told

    Floats = NDArray[np.float64]
    Detail = dict[str, Any]

# Texts of anybody's may be endless.
LONGEST = 400


def details_of(source: Source, told: Told | None, gold: list[dict[str, Any]] | None) -> list[Detail]:
    """Return of each item what was decided and why; with samples its readings and steps."""
    table = source.table
    found = [_decided(table, row) for row in range(len(table.items))]
    if gold is not None:
        for detail, own in zip(found, gold, strict=True):
            if own:
                detail["gold"] = own
    if told is not None and source.asked is not None:
        _add_readings(found, told)
        _add_steps(found, source.asked, told, table)
    return found


def _decided(table: Table, row: int) -> Detail:
    detail: Detail = {"reasons": [clean(reason, LONGEST) for reason in table.reasons[row]]}
    if table.conflict[row] < 1:
        detail["conflict"] = float(table.conflict[row])
    for key, names in (("lacking", table.lacking[row]), ("overruled", table.overruled[row])):
        if names:
            detail[key] = [clean(name) for name in names]
    if table.next[row]:
        detail["next"] = {key: _short(value) for key, value in dict(table.next[row] or {}).items()}
    if table.violations[row]:
        detail["violations"] = [[clean(name), round(p, 4)] for name, p in table.violations[row]]
    promise = table.guarantee[row]
    if promise is not None:
        detail["guarantee"] = {key: _short(value) for key, value in promise.items()}
    return detail


def _short(value: Any) -> Any:
    return clean(value, LONGEST) if isinstance(value, str) else value


def _add_readings(found: list[Detail], told: Told) -> None:
    """Add [observer, question, view, thousandths of P(answers | root)], the first two as their numbers."""
    whole = told.whole
    columns = (
        whole.reading_item,
        whole.reading_observer,
        whole.reading_question,
        whole.reading_view,
    )
    likelihoods = thousandths(told.alone)
    for (item, observer, question, view), p in zip(
        zip(*(one.tolist() for one in columns), strict=True), likelihoods, strict=True
    ):
        found[item].setdefault("readings", []).append([observer, question, clean(whole.views[view]), p])


def _add_steps(found: list[Detail], asked: Asked, told: Told, table: Table) -> None:
    """Add [observer, question, view, about, status, said, absent, thousandths after it, when]."""
    observers, questions = list(table.base.observers), list(table.base.questions)
    lines = asked.samples.line
    shown = np.all(np.isfinite(told.after), axis=1).tolist()
    after = thousandths(np.nan_to_num(told.after))
    views: dict[str, str] = {}
    for s, (place, row) in enumerate(zip(asked.place.tolist(), asked.row.tolist(), strict=True)):
        _, observer, question, about, view = lines[place]
        if view not in views:
            views[view] = clean(view)
        step = [
            observers.index(observer),
            questions.index(question),
            views[view],
            about or "",
            STATUSES[told.status[s]],
            list(told.said[s]),
            int(told.absent[s]),
            after[s] if shown[s] else None,
            None if np.isnan(asked.when[s]) else round(float(asked.when[s])),
        ]
        found[row].setdefault("steps", []).append(step)


def gold_words(table: Table, gold: Any) -> list[dict[str, Any]]:
    """Return of each item what gold says, variable -> a state's name, true or false, or a number."""
    found: list[dict[str, Any]] = [{} for _ in table.items]
    for name, values in gold.values.items():
        variable = table.base.variables[name]
        for row in np.flatnonzero(~np.isnan(values)).tolist():
            value = float(values[row])
            if variable.kind == "binary":
                found[row][name] = value > 0
            elif variable.kind == "interval":
                found[row][name] = round(value, 4)
            else:
                found[row][name] = variable.states[int(value)]
    return found
