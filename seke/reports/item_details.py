"""The details of each item that the page shows when the item is opened, as JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seke.graphics.shapes import clean
from seke.reports.encoding import thousandths
from seke.reports.sample_contributions import STATUSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seke.reports.inputs import ReportInputs
    from seke.reports.records_table import RecordTable
    from seke.reports.sample_contributions import SampleContributions

    Detail = dict[str, Any]

# Characters of a foreign text that are shown at most.
LONGEST = 400


def item_details(
    inputs: ReportInputs, contributions: SampleContributions | None, gold: list[dict[str, Any]] | None
) -> list[Detail]:
    """Return each item's decision and its reasons; with contributions also its readings and steps."""
    table = inputs.table
    details = [_decision_detail(table, row) for row in range(len(table.items))]
    if gold is not None:
        for detail, labels in zip(details, gold, strict=True):
            if labels:
                detail["gold"] = labels
    if contributions is not None:
        _add_readings(details, contributions)
        _add_steps(details, contributions, table)
    return details


def _decision_detail(table: RecordTable, row: int) -> Detail:
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
    if table.contradictions[row]:
        detail["contradictions"] = [
            [clean(c["contradiction"]), [clean(name) for name in c["about"]]]
            for c in table.contradictions[row]
        ]
    if table.checks[row]:
        detail["checks"] = [
            [clean(check["about"]), *(_side(check[side]) for side in ("without", "with"))]
            for check in table.checks[row]
        ]
    promise = table.guarantee[row]
    if promise is not None:
        detail["guarantee"] = {key: _short(value) for key, value in promise.items()}
    return detail


def _side(side: Mapping[str, Any]) -> list[Any]:
    """Return a value, its risk and the contradictions that name its variable, without a check or with it."""
    return [_short(side["value"]), round(side["risk"], 4), [clean(text) for text in side["contradictions"]]]


def _short(value: Any) -> Any:
    return clean(value, LONGEST) if isinstance(value, str) else value


def _add_readings(details: list[Detail], contributions: SampleContributions) -> None:
    """Add each reading as [observer, question, view, thousandths of P(answers | root)].

    Observers and questions are given by their indices in the base.
    """
    responses = contributions.responses
    columns = (
        responses.reading_item,
        responses.reading_observer,
        responses.reading_question,
        responses.reading_view,
    )
    likelihoods = thousandths(contributions.likelihoods)
    for (item, observer, question, view), p in zip(
        zip(*(column.tolist() for column in columns), strict=True), likelihoods, strict=True
    ):
        details[item].setdefault("readings", []).append([observer, question, clean(responses.views[view]), p])


def _add_steps(details: list[Detail], contributions: SampleContributions, table: RecordTable) -> None:
    """Add each sample: [observer, question, view, about, status, words, absent, thousandths after, when]."""
    item_samples = contributions.item_samples
    observers, questions = list(table.base.observers), list(table.base.questions)
    lines = item_samples.samples.line
    shown = np.all(np.isfinite(contributions.posterior_after), axis=1).tolist()
    after = thousandths(np.nan_to_num(contributions.posterior_after))
    views: dict[str, str] = {}
    for s, (place, row) in enumerate(
        zip(item_samples.place.tolist(), item_samples.row.tolist(), strict=True)
    ):
        _, observer, question, about, view = lines[place]
        if view not in views:
            views[view] = clean(view)
        step = [
            observers.index(observer),
            questions.index(question),
            views[view],
            about or "",
            STATUSES[contributions.status[s]],
            list(contributions.words[s]),
            int(contributions.absent[s]),
            after[s] if shown[s] else None,
            None if np.isnan(item_samples.when[s]) else round(float(item_samples.when[s])),
        ]
        details[row].setdefault("steps", []).append(step)


def gold_details(table: RecordTable, gold: Any) -> list[dict[str, Any]]:
    """Return gold of each item: variable -> a state's name, true or false, or a number."""
    words: list[dict[str, Any]] = [{} for _ in table.items]
    for name, values in gold.values.items():
        variable = table.base.variables[name]
        for row in np.flatnonzero(~np.isnan(values)).tolist():
            value = float(values[row])
            if variable.kind == "binary":
                words[row][name] = value > 0
            elif variable.kind == "interval":
                words[row][name] = round(value, 4)
            else:
                words[row][name] = variable.states[int(value)]
    return words
