"""A folder of YAML files -> one table: files merged, `extends` followed, `remove` applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import Fault, KnowledgeError, Place, did_you_mean
from engine.source import Items, Scalar, Table, cite, merge, read_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.source import Node

LONGEST_CHAIN = 8


def read_layers(path: Path, bases: Mapping[str, Path]) -> Table:
    """Read a base with everything it extends into one table.

    `bases` gives the folders that `extends` may name without a path.

    Raises:
        KnowledgeError: what cannot be read, given twice, or removed.
    """
    faults: list[Fault] = []
    table = _layer(path, bases, faults, ())
    if faults or table is None:
        raise KnowledgeError(faults)
    return table


def _layer(
    path: Path, bases: Mapping[str, Path], faults: list[Fault], chain: tuple[Path, ...]
) -> Table | None:
    here = path.resolve()
    if here in chain or len(chain) >= LONGEST_CHAIN:
        faults.append(Fault(Place(str(path), 1, 1), "extends", "the bases extend one another"))
        return None
    own = _read_files(path, faults)
    if own is None:
        return None
    extends, remove = own.entries.pop("extends", None), own.entries.pop("remove", None)
    if extends is None:
        if remove is not None:
            faults.append(Fault(remove.place, "remove", "needs `extends`: there is nothing to remove from"))
        return own
    base_path = _base_path(extends, path, bases, faults)
    base = _layer(base_path, bases, faults, (*chain, here)) if base_path else None
    if base is None:
        return None
    _remove(base, remove, faults)
    merge(base, own, None)
    return base


def _read_files(path: Path, faults: list[Fault]) -> Table | None:
    """Read and merge the files of one layer."""
    start = Place(str(path), 1, 1)
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix in (".yaml", ".yml") and p.is_file())
        if not files:
            faults.append(Fault(start, "", "holds no .yaml file"))
            return None
    elif path.exists():
        files = [path]
    else:
        faults.append(Fault(start, "", "no such file or folder"))
        return None
    merged = Table({}, {}, start)
    for file in files:
        table = read_file(file, str(file), faults)
        if table is not None:
            cite(table)
            merge(merged, table, faults)
    return merged


def _base_path(
    extends: Node, path: Path, bases: Mapping[str, Path], faults: list[Fault]
) -> Path | None:
    if not isinstance(extends, Scalar) or not extends.text:
        faults.append(Fault(extends.place, "extends", "must name one base or a path"))
        return None
    if extends.text in bases:
        return bases[extends.text]
    folder = path if path.is_dir() else path.parent
    target = folder / extends.text
    if not target.exists():
        known = ", ".join(sorted(bases)) or "none"
        message = f"{extends.text!r} is neither a path nor a known base (known: {known})"
        faults.append(Fault(extends.place, "extends", message))
        return None
    return target


def _remove(base: Table, remove: Node | None, faults: list[Fault]) -> None:
    if remove is None:
        return
    if not isinstance(remove, Items):
        faults.append(Fault(remove.place, "remove", "must be a list of dotted paths"))
        return
    for item in remove.items:
        if not isinstance(item, Scalar):
            faults.append(Fault(item.place, "remove", "must be a list of dotted paths"))
            continue
        missing = _remove_path(base, item.text.split("."))
        if missing is not None:
            message = f"the base has no {item.text!r}{missing}"
            faults.append(Fault(item.place, "remove", message))


def _remove_path(base: Table, parts: list[str]) -> str | None:
    """Delete one path with all that is keyed by it; return a hint where it is not there."""
    table, rest = base, parts
    while True:
        # A name may hold dots itself, so the longest key that fits is taken.
        for size in range(len(rest), 0, -1):
            key = ".".join(rest[:size])
            if key in table.entries:
                break
        else:
            return did_you_mean(rest[0], table.entries)
        rest = rest[size:]
        inner = table.entries[key]
        if not rest:
            del table.entries[key]
            break
        if not isinstance(inner, Table):
            return "; nothing is declared below it"
        table = inner
    if parts[0] == "variables" and len(parts) == 2:
        _forget_variable(base, parts[1])
    if parts[0] == "variables" and len(parts) == 4 and parts[2] == "states":
        _forget_state(base, parts[1], parts[3])
    return None


def _forget_variable(base: Table, name: str) -> None:
    """Drop the cells, instruments and mentions in lists of a variable that was removed."""
    _drop(base, name, {"levels", "activations", "codes", "observers", "questions", "policy"})


def _forget_state(base: Table, variable: str, state: str) -> None:
    """Drop the cells, moments and table rows of a state that was removed.

    The columns of confusion tables stay: an observer may still give that answer.
    """
    for path in (("activations", "cells"), ("affect", "moments")):
        for table in _find(base, path):
            table.entries.pop(state, None)
    for table in _find(base, ("observers", "*", "categorical", variable, "confusion")):
        table.entries.pop(state, None)
    for table in _find(base, ("priors", "populations", "*", "p")):
        table.shrunk |= table.entries.pop(state, None) is not None


def _find(table: Table, path: tuple[str, ...]) -> list[Table]:
    found = [table]
    for key in path:
        inner = [
            node
            for outer in found
            for name, node in outer.entries.items()
            if key in ("*", name)
        ]
        found = [node for node in inner if isinstance(node, Table)]
    return found


def _drop(node: Node, name: str, keys: set[str] | None = None) -> None:
    if isinstance(node, Items):
        node.items = [i for i in node.items if not (isinstance(i, Scalar) and i.text == name)]
    if isinstance(node, Table):
        for key in list(node.entries):
            if keys is not None and key not in keys:
                continue
            if keys is None and key == name:
                del node.entries[key]
            else:
                _drop(node.entries[key], name)
