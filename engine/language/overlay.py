"""A folder of YAML files -> one table: files merged, `extends` followed, `remove` applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.backend.last_used import LastUsed
from engine.errors import Fault, Place
from engine.language.removal import remove_paths
from engine.language.yaml_nodes import (
    LONGEST_FILE,
    Budget,
    Scalar,
    Table,
    cite,
    copy_table,
    file_bytes,
    merge,
    read_bytes,
    read_file,
    read_text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from engine.language.yaml_nodes import Node

    # A layer's path, its files, and what they hold.
    LayerKey = tuple[str, tuple[str, ...], tuple[bytes, ...]]

LONGEST_CHAIN = 8  # bases that extend one another
MOST_FILES = 500  # YAML files of one folder; one for each section and observer are some tens
# The folder of a base with what is expected of it, which is read apart.
TESTS = "tests"
# Folders beside the files of a base that are no part of it: what extends it, and what is expected of it.
BESIDE = ("overlays", TESTS)


# What was read is kept while its files hold the same: commands and notebooks read a base again and again.
MOST_KEPT, MOST_KEPT_BYTES = 8, 4_000_000
_KNOWN_BASES: LastUsed[LayerKey, tuple[Table, int]] = LastUsed(MOST_KEPT)


def read_layers(
    path: Path, bases: Mapping[str, Path], faults: list[Fault]
) -> tuple[Table | None, tuple[LayerKey, ...]]:
    """Read a base with everything it extends into one table; faults are added to `faults`.

    `bases` gives the folders that `extends` may name without a path.

    Returns:
        The table, or None where a file or a base could not be read; and what it was read from, equal where
        the same files hold the same, empty where that is not known.
    """
    budget = Budget()
    layers: list[LayerKey] = []
    table = _layer(path, bases, faults, (path.resolve(),), budget, layers)
    known = all(contents for _, _, contents in layers)
    return table, tuple(layers) if known else ()


def _layer(
    path: Path,
    bases: Mapping[str, Path],
    faults: list[Fault],
    chain: tuple[Path, ...],
    budget: Budget,
    layers: list[LayerKey],
) -> Table | None:
    layer = _read_files(path, faults, budget, layers)
    if layer is None:
        return None
    extends, remove = layer.get("extends"), layer.get("remove")
    layer.drop("extends")
    layer.drop("remove")
    if extends is None:
        if remove is not None:
            message = "needs `extends`: there is nothing to remove from"
            faults.append(Fault(remove.place, remove.path, message))
        return layer
    base_path = _base_path(extends, path, bases, faults, chain)
    if base_path is None:
        return None
    base = _layer(base_path, bases, faults, (*chain, base_path.resolve()), budget, layers)
    if base is None:
        return None
    base.files += layer.files
    _apply_overlay(base, layer, remove, faults)
    return base


def apply_overlay_text(base: Table, text: str, faults: list[Fault]) -> Table:
    """Return a copy of a base with the text of an overlay applied; `extends` in it means this base."""
    overlay = read_text(text, "<overlay>", faults)
    whole = copy_table(base)
    if overlay is not None:
        cite(overlay, faults)
        remove = overlay.get("remove")
        overlay.drop("extends")
        overlay.drop("remove")
        _apply_overlay(whole, overlay, remove, faults)
    return whole


def _apply_overlay(base: Table, overlay: Table, remove: Node | None, faults: list[Fault]) -> None:
    remove_paths(base, remove, faults)
    if "certificates" in overlay:
        # Certificates are made together and hold together; none of the base's may stay among them.
        base.drop("certificates")
    _drop_limits(base, overlay)
    _drop_words(base, overlay)
    merge(base, overlay, faults, upon=True)


def _drop_words(base: Table, overlay: Table) -> None:
    """Drop the words of `sight` that an overlay declares anew: they have an order."""
    questions = overlay.get("questions")
    for name in questions.entries if isinstance(questions, Table) else ():
        node: Node | None = overlay
        below: Node | None = base
        for key in ("questions", name, "sight"):
            node = node.get(key) if isinstance(node, Table) else None
            below = below.get(key) if isinstance(below, Table) else None
        if isinstance(node, Table) and isinstance(below, Table) and "words" in node:
            below.drop("words")


def _drop_limits(base: Table, overlay: Table) -> None:
    """Drop the limits of a base that an overlay replaces as a whole, such as `each` by `mean`."""
    tables = [layer.get("policy") for layer in (base, overlay)]
    limits = [table.get("limits") if isinstance(table, Table) else None for table in tables]
    if isinstance(limits[0], Table) and isinstance(limits[1], Table):
        for name in set(limits[1].entries) & set(limits[0].entries):
            if isinstance(limits[0].entries[name], Table) and isinstance(limits[1].entries[name], Table):
                limits[0].drop(name)


def _read_files(path: Path, faults: list[Fault], budget: Budget, layers: list[LayerKey]) -> Table | None:
    """Read and merge the files of one layer; hidden files and folders are passed over."""
    start = Place(str(path), 1, 1)
    if path.is_dir():
        files = yaml_files(path)
        if not files:
            faults.append(Fault(start, "", "the folder holds no .yaml file"))
            return None
        if len(files) > MOST_FILES:
            message = f"the folder holds {len(files)} YAML files; at most {MOST_FILES} are read"
            faults.append(Fault(start, "", message))
            return None
    elif path.is_file():
        files = [path]
    else:
        message = "is a pipe or a device; allowed is a file or a folder"
        faults.append(Fault(start, "", message if _exists(path) else "there is no such file or folder"))
        return None
    contents = _contents(files)
    key = str(path), tuple(map(str, files)), contents
    layers.append(key)
    known = _KNOWN_BASES.get(key) if contents else None
    if known is not None:
        kept, nodes = known
        budget.nodes -= nodes
        return copy_table(kept)
    before, faults_before = budget.nodes, len(faults)
    merged = Table(start, "", files=(str(path), *map(str, files)))
    data = contents or (None,) * len(files)
    tables = [_read_file(file, held, faults, budget) for file, held in zip(files, data, strict=True)]
    for table in tables:
        if table is None:
            return None
        cite(table, faults)
        merge(merged, table, faults)
    # What extends another base is changed as it is laid upon that.
    if contents and len(faults) == faults_before and "extends" not in merged:
        _KNOWN_BASES.put(key, (copy_table(merged), before - budget.nodes))
    return merged


def _read_file(file: Path, data: bytes | None, faults: list[Fault], budget: Budget) -> Table | None:
    if data is None:
        return read_file(file, str(file), faults, budget)
    return read_bytes(data, str(file), faults, budget)


def _contents(files: Sequence[Path]) -> tuple[bytes, ...]:
    """Return what the files hold; nothing where one cannot be read, or where together they are large."""
    contents: list[bytes] = []
    for file in files:
        try:
            contents.append(file_bytes(file))
        except OSError:
            return ()
        if len(contents[-1]) > LONGEST_FILE or sum(map(len, contents)) > MOST_KEPT_BYTES:
            return ()
    return tuple(contents)


def yaml_files(folder: Path) -> list[Path]:
    """Return the YAML files of a base's folder and those below it, without hidden ones and those `BESIDE`."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix in (".yaml", ".yml")
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and file.relative_to(folder).parts[0] not in BESIDE
    )


def _base_path(
    extends: Node,
    path: Path,
    bases: Mapping[str, Path],
    faults: list[Fault],
    chain: tuple[Path, ...],
) -> Path | None:
    """Return the base that `extends` names, unless it is not there or would go on for ever."""
    if not isinstance(extends, Scalar) or not extends.text:
        faults.append(Fault(extends.place, extends.path, "must name one base or a path"))
        return None
    folder = path if path.is_dir() else path.parent
    target = bases.get(extends.text, folder / extends.text)
    message = ""
    if not _exists(target):
        known = ", ".join(sorted(bases)) or "none"
        message = f"{extends.text[:80]!r} is neither a path from here nor a known base (known: {known})"
    elif target.is_dir() and not yaml_files(target):
        message = f"{extends.text!r} is a folder that holds no .yaml file"
    elif target.resolve() in chain:
        message = f"{extends.text!r} extends this base in turn"
    elif len(chain) >= LONGEST_CHAIN:
        message = f"is the end of a chain of more than {LONGEST_CHAIN} bases"
    if message:
        faults.append(Fault(extends.place, extends.path, message))
        return None
    return target


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # A name that no file system can hold.
        return False
