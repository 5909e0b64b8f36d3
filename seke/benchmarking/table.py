"""Arranges the facts of a score in one table a task: scores of predictions and published figures, by set.

A task is a categorical variable, a number, or a level of binary variables. A cell holds a number with its
interval, or the reason why there is none.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seke.console.plain_text import first_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Facts = Mapping[str, Any]

EVERY = "all"
OF_CLASSES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1"}
OF_NUMBERS = {"ccc": "CCC", "rmse": "RMSE", "pearson": "Pearson r", "sign_agreement": "sign agreement"}
OF_UNITS = {"mean_f1": "mean F1", "f1": "F1"}
# Classes without gold that a row names at most.
MOST_ABSENT = 2
# The baseline of numbers (`class_means`).
CLASS_MEANS = "means of gold's classes"


@dataclass(frozen=True)
class ScoreCell:
    """A score, None where it is not defined, and its interval where it has one; reason: of None."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class ScoreRow:
    """The scores of one system on one set.

    items: items with gold and an answer, None for a published figure. void: how many of these answers are
    refused or unreadable, which counts as wrong. cited: the source of a published figure.
    """

    source: str
    system: str
    cells: tuple[ScoreCell, ...]
    items: int | None = None
    void: int = 0
    note: str = ""
    cited: str = ""


@dataclass(frozen=True)
class ScoreTable:
    """All rows of a task; each has a cell for each column."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[ScoreRow, ...]


@dataclass(frozen=True)
class DifferenceRow:
    """The difference of a score between two systems on the same items of a set, second - first.

    p: of McNemar's exact test, where there is one.
    """

    source: str
    score: str
    items: int
    first: float | None
    second: float | None
    difference: ScoreCell
    p: float | None = None


@dataclass(frozen=True)
class DifferenceTable:
    """All differences between two systems."""

    first: str
    second: str
    rows: tuple[DifferenceRow, ...]


def tables(facts: Facts) -> list[ScoreTable]:
    """Return the tables of all tasks that have at least one row; of a protocol, with its scores alone."""
    kinds = {
        name: variable["kind"]
        for card in facts["predictions"]
        for name, variable in card["variables"].items()
    }
    scores_by_kind = {
        kind: {name: label for name, label in scores.items() if _is_wanted(facts, name)}
        for kind, scores in (("categorical", OF_CLASSES), ("interval", OF_NUMBERS))
    }
    score_tables = [
        _of_variable(facts, name, scores_by_kind[kind])
        for name, kind in kinds.items()
        if kind in scores_by_kind
    ]
    levels = dict.fromkeys(level for card in facts["predictions"] for level in card["levels"])
    binary = {name for name, kind in kinds.items() if kind == "binary"}
    for level in levels:
        means = next(card["levels"][level] for card in facts["predictions"] if level in card["levels"])
        mean_f1 = means.get("mean_f1")
        if mean_f1 is not None:
            members = [
                name for name in kinds if name in binary and name in {*mean_f1["over"], *mean_f1["left_out"]}
            ]
            score_tables += [_of_level(facts, level), _of_units(facts, level, members)]
    return [table for table in score_tables if table.rows]


def difference_tables(facts: Facts) -> list[DifferenceTable]:
    """Return the differences between the first system and each other, on all items and set by set."""
    names = dict(zip((card["path"] for card in facts["predictions"]), systems_of(facts), strict=True))
    pairs: dict[tuple[str, str], list[DifferenceRow]] = {}
    for comparison in facts["comparisons"]:
        rows = pairs.setdefault((names[comparison["one"]], names[comparison["other"]]), [])
        rows += _differences(facts, comparison)
    return [DifferenceTable(first, second, tuple(rows)) for (first, second), rows in pairs.items() if rows]


def _differences(facts: Facts, comparison: Facts) -> Iterator[DifferenceRow]:
    source = comparison.get("source", EVERY)
    for name, variable in comparison["variables"].items():
        labels = {"categorical": OF_CLASSES, "interval": OF_NUMBERS}.get(variable["kind"], {})
        for score, label in labels.items():
            if score in variable["differences"] and _is_wanted(facts, score):
                p = variable["mcnemar"]["p"] if score == "accuracy" else None
                difference = variable["differences"][score]
                yield _difference(source, f"{name}: {label}", variable["items"], difference, p)
    for level, means in comparison["levels"].items():
        if "mean_f1" in means and _is_wanted(facts, "mean_f1"):
            items = max(comparison["variables"][name]["items"] for name in means["mean_f1"]["over"])
            label = f"{level.replace('_', ' ')}: {OF_UNITS['mean_f1']}"
            yield _difference(source, label, items, means["mean_f1"])


def _difference(source: str, label: str, items: int, facts: Facts, p: float | None = None) -> DifferenceRow:
    difference = ScoreCell(facts["value"], facts["low"], facts["high"])
    return DifferenceRow(source, label, items, facts["one"], facts["other"], difference, p)


def _is_wanted(facts: Facts, score: str) -> bool:
    """Whether the protocol of the facts names a score; without a protocol all are wanted."""
    return "protocol" not in facts or score in facts["protocol"]["metrics"]


def systems_of(facts: Facts) -> list[str]:
    """Return a distinct name of each set of predictions: its file's name, or its path where names recur."""
    paths = [str(card["path"]) for card in facts["predictions"]]
    short = [path.replace("\\", "/").rpartition("/")[2] for path in paths]
    counts = Counter(short)
    return [path if counts[name] > 1 else name for path, name in zip(paths, short, strict=True)]


def _parts(facts: Facts) -> Iterator[tuple[str, str, Facts]]:
    """Yield (set, system, scores): all items first, then set by set, in each all predictions."""
    systems = systems_of(facts)
    for system, card in zip(systems, facts["predictions"], strict=True):
        yield EVERY, system, card
    for at in range(len(facts["predictions"][0]["sources"])):
        for system, card in zip(systems, facts["predictions"], strict=True):
            yield card["sources"][at]["label"] or "not told", system, card["sources"][at]


def _published(facts: Facts) -> Iterator[tuple[str, Facts]]:
    for part in facts["predictions"][0]["sources"]:
        yield from ((part["label"], figure) for figure in part["published"])


def _cell(scores: Facts, name: str) -> ScoreCell:
    score = scores.get(name, {"value": None, "low": None, "high": None})
    return ScoreCell(score["value"], score["low"], score["high"], score.get("reason", ""))


def _void(variables: Iterable[Facts]) -> int:
    """Return the highest count of void answers of a variable; one answer may be about many variables."""
    return max((sum(variable["void"].values()) for variable in variables), default=0)


def _row(
    source: str, system: str, cells: Iterable[ScoreCell], variables: list[Facts], note: str = ""
) -> ScoreRow:
    items = max(variable["items"] for variable in variables)
    return ScoreRow(source, system, tuple(cells), items, _void(variables), note)


def _published_row(label: str, figure: Facts, score_names: Iterable[str]) -> ScoreRow | None:
    cells = [ScoreCell(figure["scores"].get(name)) for name in score_names]
    if all(cell.value is None for cell in cells):
        return None
    return ScoreRow(label, figure["system"], tuple(cells), None, 0, figure["note"], figure["source"])


def _sort_by_set(scored: list[ScoreRow], published_rows: Iterable[ScoreRow | None]) -> tuple[ScoreRow, ...]:
    """Return the rows sorted by set, in each set published figures after the predictions."""
    published = [row for row in published_rows if row is not None]
    sets = dict.fromkeys(row.source for row in scored)
    return tuple(row for set_name in sets for row in (*scored, *published) if row.source == set_name)


def _of_variable(facts: Facts, name: str, scores: Mapping[str, str]) -> ScoreTable:
    rows = []
    for source, system, part in _parts(facts):
        variable = part["variables"].get(name)
        if variable is not None and variable["items"]:
            cells = (_cell(variable["scores"], score) for score in scores)
            absent = variable.get("absent", ())
            note = f"no gold of {first_names(absent, MOST_ABSENT)}" if absent else ""
            rows.append(_row(source, system, cells, [variable], note))
    rows += _class_mean_rows(facts, name, scores)
    score_names = [f"{name}.{score}" for score in scores]
    published = (_published_row(label, figure, score_names) for label, figure in _published(facts))
    return ScoreTable(name, tuple(scores.values()), _sort_by_set(rows, published))


def _class_mean_rows(facts: Facts, name: str, scores: Iterable[str]) -> Iterator[ScoreRow]:
    """Yield the baseline of a number on each set, on the items of the first predictions."""
    first = systems_of(facts)[0]
    for source, system, part in _parts(facts):
        variable = part["variables"].get(name, {})
        means = variable.get("class_means")
        if system == first and means:
            cells = tuple(ScoreCell(means.get(score)) for score in scores)
            yield ScoreRow(source, CLASS_MEANS, cells, variable["items"])


def _of_level(facts: Facts, level: str) -> ScoreTable:
    rows: list[ScoreRow] = []
    published: list[ScoreRow | None] = []
    for source, system, part in _parts(facts):
        named = {group: means for group, means in part.get("groups", {}).items() if "mean_f1" in means}
        for group, means in (named or {"": part["levels"].get(level, {})}).items():
            mean_f1 = means.get("mean_f1")
            members = [*mean_f1["over"], *mean_f1["left_out"]] if mean_f1 else []
            variables = [part["variables"][name] for name in members]
            if not any(variable["items"] for variable in variables):
                continue
            note = f"{len(mean_f1['over'])} of {len(members)}" if mean_f1 else ""
            note += f" ({group})" if group else ""
            rows.append(_row(source, system, [_cell(means, "mean_f1")], variables, note))
    for label, figure in _published(facts):
        row = _published_row(label, figure, ["mean_f1"])
        group = f"{figure['group']}: " if figure["group"] else ""
        published.append(None if row is None else ScoreRow(**{**vars(row), "note": f"{group}{row.note}"}))
    return ScoreTable(level.replace("_", " "), (OF_UNITS["mean_f1"],), _sort_by_set(rows, published))


def _of_units(facts: Facts, level: str, members: list[str]) -> ScoreTable:
    rows = []
    for source, system, part in _parts(facts):
        with_items = {
            name: variable
            for name, variable in part["variables"].items()
            if name in members and variable["items"]
        }
        if with_items:
            cells = (
                _cell(with_items[name]["scores"], "f1")
                if name in with_items
                else ScoreCell(None, reason="no gold")
                for name in members
            )
            rows.append(_row(source, system, cells, list(with_items.values())))
    return ScoreTable(
        f"{level.replace('_', ' ')} one by one, F1", tuple(members), tuple(_sort_by_set(rows, ()))
    )
