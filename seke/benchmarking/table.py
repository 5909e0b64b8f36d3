"""The facts of a score as one table a task: set by set, what predictions score and what was published.

A task is a categorical variable, a number, or a level of binary variables. What a
cell holds is a number with its interval, or why there is none.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Facts = Mapping[str, Any]

EVERY = "all"
OF_CLASSES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1"}
OF_NUMBERS = {"ccc": "CCC", "rmse": "RMSE", "pearson": "Pearson r", "sign_agreement": "sign agreement"}
OF_UNITS = {"mean_f1": "mean F1"}


@dataclass(frozen=True)
class Cell:
    """A score, None where it is not defined, and its interval where it has one; why: the reason."""

    value: float | None
    low: float | None = None
    high: float | None = None
    why: str = ""


@dataclass(frozen=True)
class Row:
    """What one system scores on one set.

    items: how many have gold and an answer, None of a published figure. void: how many of these answers are
    none (refused or unreadable), which count as wrong. cited: the source of a published figure.
    """

    source: str
    system: str
    cells: tuple[Cell, ...]
    items: int | None = None
    void: int = 0
    note: str = ""
    cited: str = ""


@dataclass(frozen=True)
class Table:
    """All rows of a task; each has a cell for each column."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def tables(facts: Facts) -> list[Table]:
    """Return the tables of all tasks, without those that no prediction has anything of."""
    kinds = {name: one["kind"] for card in facts["predictions"] for name, one in card["variables"].items()}
    wanted = {"categorical": OF_CLASSES, "interval": OF_NUMBERS}
    made = [_of_variable(facts, name, wanted[kind]) for name, kind in kinds.items() if kind in wanted]
    levels = dict.fromkeys(level for card in facts["predictions"] for level in card["levels"])
    binary = {name for name, kind in kinds.items() if kind == "binary"}
    for level in levels:
        means = next(card["levels"][level] for card in facts["predictions"] if level in card["levels"])
        found = means.get("mean_f1")
        if found is not None:
            members = [
                name for name in kinds if name in binary and name in {*found["over"], *found["left_out"]}
            ]
            made += [_of_level(facts, level), _of_units(facts, level, members)]
    return [one for one in made if one.rows]


def systems_of(facts: Facts) -> list[str]:
    """Return how the sets of predictions are told apart: by their file's name, where that is enough."""
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


def _cell(scores: Facts, name: str) -> Cell:
    one = scores.get(name, {"value": None, "low": None, "high": None})
    return Cell(one["value"], one["low"], one["high"], one.get("reason", ""))


def _void(variables: Iterable[Facts]) -> int:
    """Return the most answers that are none of any of these variables: one answer may tell of many."""
    return max((sum(one["void"].values()) for one in variables), default=0)


def _row(source: str, system: str, cells: Iterable[Cell], variables: list[Facts], note: str = "") -> Row:
    items = max(one["items"] for one in variables)
    return Row(source, system, tuple(cells), items, _void(variables), note)


def _quoted(label: str, figure: Facts, wanted: Iterable[str]) -> Row | None:
    cells = [Cell(figure["scores"].get(name)) for name in wanted]
    if all(cell.value is None for cell in cells):
        return None
    return Row(label, figure["system"], tuple(cells), None, 0, figure["note"], figure["source"])


def _ordered(own: list[Row], quoted: Iterable[Row | None]) -> tuple[Row, ...]:
    """Return rows set by set, published figures after the predictions of each."""
    known = [row for row in quoted if row is not None]
    sets = dict.fromkeys(row.source for row in own)
    return tuple(row for one in sets for row in (*own, *known) if row.source == one)


def _of_variable(facts: Facts, name: str, scores: Mapping[str, str]) -> Table:
    rows = []
    for source, system, part in _parts(facts):
        one = part["variables"].get(name)
        if one is not None and one["items"]:
            rows.append(_row(source, system, (_cell(one["scores"], score) for score in scores), [one]))
    wanted = [f"{name}.{score}" for score in scores]
    quoted = (_quoted(label, figure, wanted) for label, figure in _published(facts))
    return Table(name, tuple(scores.values()), _ordered(rows, quoted))


def _of_level(facts: Facts, level: str) -> Table:
    rows: list[Row] = []
    quoted: list[Row | None] = []
    for source, system, part in _parts(facts):
        named = {group: means for group, means in part.get("groups", {}).items() if "mean_f1" in means}
        for group, means in (named or {"": part["levels"].get(level, {})}).items():
            found = means.get("mean_f1")
            members = [*found["over"], *found["left_out"]] if found else []
            variables = [part["variables"][name] for name in members]
            if not any(one["items"] for one in variables):
                continue
            note = f"{len(found['over'])} of {len(members)}" if found else ""
            note += f" ({group})" if group else ""
            rows.append(_row(source, system, [_cell(means, "mean_f1")], variables, note))
    for label, figure in _published(facts):
        one = _quoted(label, figure, ["mean_f1"])
        group = f"{figure['group']}: " if figure["group"] else ""
        quoted.append(None if one is None else Row(**{**vars(one), "note": f"{group}{one.note}"}))
    return Table(level.replace("_", " "), tuple(OF_UNITS.values()), _ordered(rows, quoted))


def _of_units(facts: Facts, level: str, members: list[str]) -> Table:
    rows = []
    for source, system, part in _parts(facts):
        known = {name: one for name, one in part["variables"].items() if name in members and one["items"]}
        if known:
            cells = (
                _cell(known[name]["scores"], "f1") if name in known else Cell(None, why="no gold")
                for name in members
            )
            rows.append(_row(source, system, cells, list(known.values())))
    return Table(f"{level.replace('_', ' ')} one by one, F1", tuple(members), tuple(_ordered(rows, ())))
