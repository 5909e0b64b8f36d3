"""Renders the facts of a score as plain text: tables of values with their intervals."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from seke.benchmarking.table import tables
from seke.console.gold_evidence_text import KEEP, gold_evidence_text
from seke.console.plain_text import count
from seke.console.rich_table import UNLIMITED, table_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Facts = Mapping[str, Any]

_LABELS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "log_loss": "log loss, nats",
    "brier": "Brier score",
    "ece": "ECE",
    "ccc": "CCC",
    "pearson": "Pearson r",
    "rmse": "RMSE",
    "mae": "MAE",
    "sign_agreement": "sign agreement",
    "inside": "inside q05-q95",
    "aurc": "AURC",
    "coverage": "accepted",
    "accepted_error": "wrong of accepted",
    "accepted_risk": "stated risk of accepted",
}
_MEANS = {"mean_f1": "mean F1", "mean_balanced_accuracy": "mean balanced accuracy", "mean_ccc": "mean CCC"}
_SHARES = {"coverage", "accepted_error", "accepted_risk", "inside", "prevalence", "sign_agreement"}
NOTHING = "-"
# Columns of a table that fit a terminal; wider tables are left to the JSON.
MOST_COLUMNS = 10
_width = ContextVar("width", default=UNLIMITED)
# Scores of a variable that have one reason for having no value, from which it is told once.
MOST_ALIKE = 3


def text(facts: Facts, width: int = UNLIMITED) -> str:
    """Return a report as text. width: columns of the terminal; titles of wider tables wrap."""
    token = _width.set(width)
    try:
        return _text(facts)
    finally:
        _width.reset(token)


def _text(facts: Facts) -> str:
    lines: list[str] = []
    for card in facts["predictions"]:
        lines += [*_card(card, facts), ""]
    for comparison in facts["comparisons"]:
        lines += [*_comparison(comparison, facts), ""]
    if any(card["sources"] for card in facts["predictions"]):
        lines += _sources(facts)
    return "\n".join(lines).rstrip()


def _table_lines(
    head: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "  ", folded: Sequence[int] = ()
) -> list[str]:
    return table_lines(head, rows, indent, _width.get(), folded)


def left_out_text(card: Facts) -> str:
    """Return which values are not scored because their gold entered as evidence; no text where none are."""
    left_out = {
        name: variable["gold_evidence"]
        for name, variable in card["variables"].items()
        if variable["gold_evidence"]
    }
    if not left_out:
        return ""
    old = "" if card["labels_known"] else " These records are old and do not name all such values."
    return (
        f"{card['path']}: {gold_evidence_text(left_out)}. These values are not scored; infer again with "
        f"--blind-to GOLD to score them, or score them as they are ({KEEP}).{old}"
    )


def _card(card: Facts, facts: Facts) -> Iterator[str]:
    yield f"{card['path']} against {facts['gold']['path']}: {count(card['items'], 'item')} in both"
    yield f"  {_intervals(card, facts)}"
    if card["made_up"]:
        yield f"  {card['made_up']}"
    categorical = _variables_of_kind(card, "categorical")
    for name, variable in categorical.items():
        yield ""
        yield f"{name}, {count(variable['items'], 'item')}{_unpredicted(variable)}"
        yield from _scores(variable)
        yield from _absent(variable)
        yield from _classes(variable)
    numbers = _variables_of_kind(card, "interval")
    for name, variable in numbers.items():
        yield ""
        wrong = f"; wrong: further than {variable['tolerance']:g} from gold"
        yield f"{name}, {count(variable['items'], 'item')}{_unpredicted(variable)}{wrong}"
        yield from _scores(variable)
    binary = _variables_of_kind(card, "binary")
    if binary:
        yield ""
        yield from _binaries(binary)
    for level, means in card["levels"].items():
        yield ""
        yield from _means(level, means)
    yield ""
    yield from _refusals(card["refusals"])


def _sources(facts: Facts) -> Iterator[str]:
    """Yield a table for each task, set by set, with published figures; single units are in the JSON only."""
    for table in tables(facts):
        if len(table.columns) > MOST_COLUMNS:
            continue
        yield f"{table.title}, by source set"
        rows = [
            [
                row.source,
                f"[{row.cited}] {row.system}" if row.cited else row.system,
                "" if row.items is None else f"{row.items:,}",
                *(NOTHING if cell.value is None else f"{cell.value:.3f}" for cell in row.cells),
                f"{row.void:,} no answer; {row.note}".rstrip("; ") if row.void else row.note,
            ]
            for row in table.rows
        ]
        yield from _table_lines(["", "", "items", *table.columns, ""], rows)
        yield ""
    cited = {row.cited for table in tables(facts) for row in table.rows if row.cited}
    if cited:
        yield "published figures are of other items and protocols:"
        yield from (f"  [{name}] {cite}" for name, cite in facts["cited"].items() if name in cited)


def _variables_of_kind(card: Facts, kind: str) -> dict[str, Any]:
    return {name: variable for name, variable in card["variables"].items() if variable["kind"] == kind}


def _intervals(compared: Facts, facts: Facts) -> str:
    options = facts["options"]
    if not options["bootstrap"]:
        return "no intervals (--bootstrap 0)"
    if compared["units"] < 2:
        return "no intervals: there is only one group to resample"
    units = f"{count(compared['units'], 'group')} by {options['groups']}" if options["groups"] else "items"
    if options["groups"] and compared["ungrouped"]:
        units += f", of which {compared['ungrouped']:,} are single items without one"
    return f"intervals: {100 * options['level']:g}%, {options['bootstrap']:,} bootstrap resamples of {units}"


def _unpredicted(variable: Facts) -> str:
    missing, void = variable["unpredicted"], variable["void"]
    note = f", {missing:,} more of gold without a prediction" if missing else ""
    if variable["gold_evidence"]:
        note += f", {variable['gold_evidence']:,} more left out, whose gold entered as evidence"
    no_answers = " and ".join(f"{count:,} {name}" for name, count in void.items() if count)
    instead = "the middle of the range" if variable["kind"] == "interval" else "wrong"
    return f"{note}; {no_answers} answers count as {instead}" if no_answers else note


def _number(name: str, value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.1%}" if name in _SHARES else f"{value:.3f}"


def _interval(name: str, score: Facts) -> str:
    if score["low"] is None:
        return ""
    return f"{_number(name, score['low'])} to {_number(name, score['high'])}"


def _scores(variable: Facts) -> list[str]:
    """Return a line for each score; those without a value for one and the same reason share one."""
    rows = []
    by_reason: dict[str, list[str]] = {}
    for name, label in _LABELS.items():
        score = variable["scores"].get(name)
        if score is not None and score.get("reason"):
            by_reason.setdefault(score["reason"], []).append(label)
    for name, label in _LABELS.items():
        score = variable["scores"].get(name)
        reason = "" if score is None else score.get("reason") or ""
        if score is not None and len(by_reason.get(reason, ())) < MOST_ALIKE:
            note = reason or _note(name, variable)
            rows.append([label, _number(name, score["value"]), _interval(name, score), note])
    shared = {reason: labels for reason, labels in by_reason.items() if len(labels) >= MOST_ALIKE}
    without = [
        f"  {len(labels)} scores without a value, {reason}: {'; '.join(labels)}"
        for reason, labels in shared.items()
    ]
    return [*_table_lines([], rows, folded=[3]), *without]


def _note(name: str, variable: Facts) -> str:
    if name == "ece" and "reliability" in variable:
        low, high = variable["reliability"]["null_ece"]
        return (
            f"calibrated predictions: {low:.3f} to {high:.3f} ({len(variable['reliability']['count'])} bins)"
        )
    if name == "inside":
        return f"nominal {100 * variable['nominal']:g}%"
    if name in variable.get("class_means", {}):
        return f"means of gold's classes: {_number(name, variable['class_means'][name])}"
    return ""


def _absent(variable: Facts) -> Iterator[str]:
    """Yield a line that names the classes without gold."""
    absent, present = variable["absent"], len(variable["states"]) - len(variable["absent"])
    if absent and present:
        over = count(present, "class", "classes")
        yield f"  no gold of {', '.join(absent)}: balanced accuracy and macro F1 are over {over}"


def _classes(variable: Facts) -> list[str]:
    if not variable["items"]:
        return []
    void = any(row["void"] for row in variable["classes"])
    header = ["class", "gold", "predicted", *(["no answer"] if void else []), "precision", "recall", "F1"]
    rows = [
        [
            row["state"],
            *(f"{row[key]:,}" for key in ("gold", "predicted", *(["void"] if void else []))),
            *(_number(key, row[key]) for key in ("precision", "recall", "f1")),
        ]
        for row in variable["classes"]
    ]
    return ["", *_table_lines(header, rows)]


def _binaries(binary: dict[str, Any]) -> Iterator[str]:
    """Yield two tables of binary variables: scores of the labels, and of probabilities and decisions."""
    header = ["", "items", "in gold", "F1", "interval", "precision", "recall", "balanced accuracy"]
    rows = []
    for name, variable in binary.items():
        cells = [_cell(variable, score) for score in ("prevalence", "f1")]
        cells.append(_interval("f1", variable["scores"]["f1"]))
        cells += [_cell(variable, score) for score in ("precision", "recall", "balanced_accuracy")]
        rows.append([name, f"{variable['items']:,}", *cells])
    yield from _table_lines(header, rows, indent="")
    stated = [(name, variable) for name, variable in binary.items() if "reliability" in variable]
    if not stated:
        return
    yield ""
    header = ["", "log loss", "Brier", "ECE", "calibrated", "accepted", "wrong of these", "stated risk"]
    rows = []
    for name, variable in stated:
        low, high = variable["reliability"]["null_ece"]
        cells = [_cell(variable, score) for score in ("log_loss", "brier", "ece")]
        cells.append(f"{low:.3f} to {high:.3f}")
        cells += [_cell(variable, score) for score in ("coverage", "accepted_error", "accepted_risk")]
        rows.append([name, *cells])
    yield from _table_lines(header, rows, indent="")


def _cell(variable: Facts, score: str) -> str:
    return _number(score, variable["scores"].get(score, {"value": None})["value"])


def _means(level: str, means: Facts) -> Iterator[str]:
    for name, label in _MEANS.items():
        if name not in means:
            continue
        mean = means[name]
        interval = f", {_interval(name, mean)}" if mean["low"] is not None else ""
        over = f"over {len(mean['over'])} of {len(mean['over']) + len(mean['left_out'])}"
        yield f"{level.replace('_', ' ')}: {label} {_number(name, mean['value'])}{interval}, {over}"
        by_reason: dict[str, list[str]] = {}
        for variable, reason in mean["left_out"].items():
            by_reason.setdefault(reason, []).append(variable)
        for reason, names in by_reason.items():
            yield f"  left out, {reason}: {' '.join(names)}"


def _refusals(refusals: Facts) -> list[str]:
    classes = refusals["classes"]
    header = [f"gold {refusals['variable']}".strip(), "items", "no prediction"]
    keys = ["without_prediction"]
    for key, label in (("refused_items", "with refusals"), ("accept", "accept"), ("requery", "requery"),
                       ("reject", "reject")):  # fmt: skip
        if key in classes[-1]:
            header.append(label)
            keys.append(key)
    with_answers = "refused_answers" in classes[-1]
    if with_answers:
        header.insert(4, "refused answers")
    rows = []
    for outcome in classes:
        if not outcome["gold"]:
            continue
        cells = [_share(outcome[key], outcome["gold"]) for key in keys]
        if with_answers:
            cells.insert(2, _share(outcome["refused_answers"], outcome["answers"]))
        rows.append([outcome["class"], f"{outcome['gold']:,}", *cells])
    return _table_lines(header, rows, indent="")


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({part / whole:.0%})" if whole else NOTHING


def _comparison(comparison: Facts, facts: Facts) -> Iterator[str]:
    items = count(comparison["items"], "item")
    yield f"one: {comparison['one']}, other: {comparison['other']}; {items} in both"
    yield f"  {_intervals(comparison, facts)}, the same for both"
    for name, variable in comparison["variables"].items():
        if variable["kind"] == "binary":
            continue
        yield ""
        yield f"{name}, {count(variable['items'], 'item')}"
        yield from _differences(variable["differences"])
        if "mcnemar" in variable:
            test = variable["mcnemar"]
            first, second = test["only_one_right"], test["only_other_right"]
            apart = " (items taken as independent)" if facts["options"]["groups"] else ""
            p = f"exact McNemar p {test['p']:.3g}{apart}"
            yield f"  right only in one {first:,}, only in other {second:,}; {p}"
    binary = {n: v for n, v in comparison["variables"].items() if v["kind"] == "binary"}
    if binary:
        yield ""
        yield from _binary_differences(binary)
    for level, means in comparison["levels"].items():
        for name, mean in means.items():
            yield ""
            yield f"{level.replace('_', ' ')}, over {len(mean['over'])}"
            yield from _differences({name: mean})


def _differences(differences: Facts) -> list[str]:
    labels = {**_LABELS, **_MEANS}
    rows = []
    for name in sorted(differences, key=list(labels).index):
        difference = differences[name]
        interval = ""
        if difference["low"] is not None:
            interval = f"{_signed(name, difference['low'])} to {_signed(name, difference['high'])}"
        rows.append([
            labels.get(name, name), _number(name, difference["one"]), _number(name, difference["other"]),
            _signed(name, difference["value"]), interval])  # fmt: skip
    return _table_lines(["", "one", "other", "difference", "interval"], rows)


def _signed(name: str, value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{100 * value:+.1f} pp" if name in _SHARES else f"{value:+.3f}"


def _binary_differences(binary: dict[str, Any]) -> list[str]:
    rows = []
    for name, variable in binary.items():
        f1 = variable["differences"]["f1"]
        interval = "" if f1["low"] is None else f"{f1['low']:+.3f} to {f1['high']:+.3f}"
        numbers = [_number("f1", f1["one"]), _number("f1", f1["other"]), _signed("f1", f1["value"])]
        rows.append([name, f"{variable['items']:,}", *numbers, interval, f"{variable['mcnemar']['p']:.3g}"])
    return _table_lines(
        ["F1 of", "items", "one", "other", "difference", "interval", "McNemar p"], rows, indent=""
    )
