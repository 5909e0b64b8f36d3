"""What `remove` takes out of a base: a dotted path, and all that is keyed by what stood there.

A variable or state takes its cells, rows, columns and mentions in lists along. Formulas and pairs
that mention it stay and become faults: whoever removes it decides about them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import Fault, did_you_mean
from engine.language.parameter_paths import CELLS, MOMENTS
from engine.language.yaml_nodes import Items, Node, Scalar, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

# Lists of names, and tables keyed by names, of variables or levels.
LISTS = ("questions.*.reports", "questions.*.tells", "policy.required", "codes.*.hides")
TABLES = (
    ".".join((*CELLS, "*")),
    "observers.*.categorical",
    "observers.*.stereotype.*",
    "observers.*.binary.cells",
    "observers.*.interval",
    "policy.limits",
    "policy.cuts",
    "policy.tolerance",
    "policy.worth",
)


def remove_paths(base: Table, remove: Node | None, faults: list[Fault]) -> None:
    """Take every path of the list `remove` out of `base`, in place."""
    if remove is None:
        return
    if not isinstance(remove, Items):
        message = "must be a list of dotted paths, such as [rules.a, rules.b]"
        faults.append(Fault(remove.place, remove.path, message))
        return
    for item in remove.items:
        if not isinstance(item, Scalar):
            faults.append(Fault(item.place, item.path, "must be a dotted path, such as rules.a"))
            continue
        name = item.text.rpartition(".")[2]
        missing = _remove(base, item.text)
        if missing is None:
            base.removed |= {item.text: item.place, name: item.place}
        elif item.text in base.removed:
            faults.append(Fault(item.place, item.path, f"was removed already, at {base.removed[item.text]}"))
        else:
            message = f"the base has no {item.text[:80]!r}{missing}"
            faults.append(Fault(item.place, item.path, message))


def _remove(base: Table, path: str) -> str | None:
    """Delete one path and everything keyed by it; return a hint where the path does not exist."""
    table, parts, keys = base, path.split("."), []
    while True:
        # A name may hold dots itself, so the longest key that fits is taken.
        key = next(
            (".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in table), None
        )
        if key is None:
            return did_you_mean(parts[0], table.entries)
        keys.append(key)
        parts = parts[key.count(".") + 1 :]
        inner = table.entries[key]
        if not parts:
            table.drop(key)
            break
        if not isinstance(inner, Table):
            return f"; nothing is declared below {'.'.join(keys)}"
        table = inner
    match keys:
        case ["variables", name]:
            _forget_variable(base, name)
        case ["variables", name, "states", state]:
            _forget_state(base, name, state)
        case ["questions", name]:
            _forget_keys(base, ("observers.*.halo",), name)
    return None


def _forget_variable(base: Table, name: str) -> None:
    """Drop a variable's cells, instruments, moments and mentions in lists."""
    _forget_moments(base, name)
    emptied = []
    levels = base.get("levels")
    for level, node in levels.entries.items() if isinstance(levels, Table) else ():
        if isinstance(node, Items) and _drop_item(node, name) and not node.items:
            emptied.append(level)
    for level in emptied:
        assert isinstance(levels, Table)
        levels.drop(level)
        _forget_name(base, level)
    if not (isinstance(levels, Table) and name in levels):
        _forget_name(base, name)


def _forget_name(base: Table, name: str) -> None:
    """Drop a variable or level from lists and tables; a question that reported only it goes too."""
    for path in LISTS:
        for node in _find(base, path):
            if isinstance(node, Items):
                _drop_item(node, name)
    _forget_keys(base, TABLES, name)
    questions = base.get("questions")
    if isinstance(questions, Table):
        for question, node in list(questions.entries.items()):
            reports = node.get("reports") if isinstance(node, Table) else None
            if isinstance(reports, Items) and not reports.items:
                questions.drop(question)
                _forget_keys(base, ("observers.*.halo",), question)


def _forget_moments(base: Table, name: str) -> None:
    """Drop an interval variable's column from the moments, and with it the correlation."""
    section = base.get(MOMENTS[0])
    variables = section.get("variables") if isinstance(section, Table) else None
    if not isinstance(variables, Items):
        return
    names = [item.text if isinstance(item, Scalar) else "" for item in variables.items]
    if name not in names:
        return
    column = names.index(name)
    _drop_item(variables, name)
    for moments in _find(base, ".".join((*MOMENTS, "*"))):
        if not isinstance(moments, Table):
            continue
        moments.drop("correlation")
        for key in ("mean", "sd"):
            numbers = moments.get(key)
            if isinstance(numbers, Items):
                del numbers.items[column : column + 1]
    if not variables.items:
        base.drop(MOMENTS[0])


def _forget_state(base: Table, variable: str, state: str) -> None:
    """Drop the cells, moments and table rows of a state.

    The columns of confusion tables stay: an observer may still give that answer.
    """
    _forget_keys(base, (f"variables.{variable}.also",), state)
    rows = tuple(f"observers.*.categorical.{variable}.{key}" for key in ("confusion", "n"))
    tables = (".".join(CELLS), ".".join(MOMENTS), "observers.*.stereotype", "priors.populations.*.add")
    _forget_keys(base, (*rows, *tables), state)
    for table in _find(base, "priors.populations.*.p"):
        if isinstance(table, Table):
            table.shrunk |= table.drop(state)


def _forget_keys(base: Table, paths: tuple[str, ...], key: str) -> None:
    for path in paths:
        for table in _find(base, path):
            if isinstance(table, Table):
                table.drop(key)


def _drop_item(node: Items, name: str) -> bool:
    """Drop a name from a list; return whether it was there."""
    kept = [item for item in node.items if not (isinstance(item, Scalar) and item.text == name)]
    removed = len(kept) < len(node.items)
    node.items = kept
    return removed


def _find(table: Table, path: str) -> Iterator[Node]:
    """Yield the nodes at a dotted path, where * stands for any key."""
    nodes: list[Node] = [table]
    for key in path.split("."):
        nodes = [
            inner
            for node in nodes
            if isinstance(node, Table)
            for name, inner in node.entries.items()
            if key in ("*", name)
        ]
    yield from nodes
