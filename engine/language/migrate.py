"""Overlays that an earlier version wrote -> overlays as this version reads them, by edits of their text.

Tables, `repeat`, `strength`, habits and types stay as they are: they mean what they meant. What changes:

* an exponent that a fit chose becomes 1: it stood for errors that observers share, which `dependence` says;
* `policy.conflict` in bits becomes a probability;
* `certificates` go: they promise something of decisions that another engine made.

An overlay with a section `fits`, which earlier versions did not write, keeps its exponents and certificates.
A fit without a record in it does not say what it was made with.
"""

from __future__ import annotations

import codecs
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.errors import Fault, KnowledgeError, Place
from engine.language.fields import NUMBER
from engine.language.overlay import read_layers, yaml_files
from engine.language.yaml_edits import (
    EditError,
    apply_edits,
    chain_to,
    comment,
    compose,
    removal,
    replacement,
    with_lines_above,
)
from engine.language.yaml_nodes import Scalar, Table, cite, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from engine.language.yaml_edits import Edit
    from engine.language.yaml_nodes import Node

# How the ids of fits among `sources` begin.
FIT = "fit-"
# A probability of conflict above this would call most items in conflict: such a number is one of bits.
MOST_CONFLICT = 0.5
# Probability of answers as odd as those met, under which an item is in conflict; the default of policies.
CONFLICT = "0.01"
# How the comment begins that stands above certificates.
PROMISE = "# Of the items accepted with a value below, at most "


@dataclass(frozen=True)
class Rewrite:
    """One change of an overlay. old, new: as written; `new` is empty where the entry is taken out."""

    place: Place
    path: str
    old: str
    new: str
    reason: str


@dataclass(frozen=True)
class RemovedCertificates:
    """How certificates were made that were taken out, as they say it; empty where they do not.

    by_subject: whether their units were subjects. adaptive: whether items were asked as the policy asks.
    """

    alpha: str = ""
    delta: str = ""
    population: str = ""
    by_subject: bool = False
    adaptive: bool = False


@dataclass(frozen=True)
class Migration:
    """An overlay as it is written now.

    files: every file of it, old bytes and new ones. rewrites: what changed, in the order of the files.
    base: the folder or file that it extends, None where that is a known base or nothing. extends: as it names
    it. unrecorded: whether numbers of a fit are in it, and no record of that fit.
    """

    files: Mapping[Path, tuple[bytes, bytes]]
    rewrites: tuple[Rewrite, ...] = ()
    base: Path | None = None
    extends: str = ""
    certificates: RemovedCertificates | None = None
    unrecorded: bool = False


def read_migration(path: Path, bases: Mapping[str, Path], folder: Path | None = None) -> Migration:
    """Return what migration makes of an overlay, a file or a folder.

    bases: the folders that `extends` may name without a path. folder: where it will stand, if elsewhere: a
    base that it names by a path is then named from there.

    Raises:
        engine.KnowledgeError: YAML of it or of what it extends that cannot be read.
    """
    faults: list[Fault] = []
    if read_layers(path, bases, faults)[0] is None or faults:
        raise KnowledgeError(faults, str(path))
    tables = {file: _read(file, faults) for file in (yaml_files(path) if path.is_dir() else [path])}
    recorded = any("fits" in table for table in tables.values())
    here = path if path.is_dir() else path.parent
    files, rewrites, removed = {}, list[Rewrite](), None
    base, extends = None, ""
    for file, table in tables.items():
        plan = _Plan(file, table)
        named = table.get("extends")
        if isinstance(named, Scalar):
            base, extends = (None if named.text in bases else here / named.text), named.text
            if base is not None and folder is not None:
                plan.move(named, base, folder)
        plan.conflict()
        if not recorded:
            plan.exponents()
            removed = plan.certificates() or removed
        faults += plan.faults
        files[file] = plan.bytes, plan.result()
        rewrites += plan.rewrites
    if faults:
        raise KnowledgeError(faults, str(path))
    fitted = any(_names_fit(table.get("sources")) for table in tables.values())
    return Migration(files, tuple(rewrites), base, extends, removed, fitted and not recorded)


def _read(file: Path, faults: list[Fault]) -> Table:
    table = read_file(file, str(file), faults)
    if table is None:
        raise KnowledgeError(faults, str(file))
    cite(table, faults)
    return table


def _names_fit(node: Node | None) -> bool:
    return isinstance(node, Table) and any(name.startswith(FIT) for name in node.entries)


@dataclass
class _Plan:
    """The edits of one file."""

    file: Path
    table: Table
    edits: list[Edit] = field(default_factory=list)
    rewrites: list[Rewrite] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bytes = self.file.read_bytes()
        # Line ends stay as they are; a byte-order mark is no part of the text.
        self.text = self.bytes.decode("utf-8-sig")
        self.root = compose(self.text)

    def result(self) -> bytes:
        """Return the file with all edits made."""
        mark = codecs.BOM_UTF8 if self.bytes.startswith(codecs.BOM_UTF8) else b""
        return mark + apply_edits(self.text, self.edits).encode()

    def exponents(self) -> None:
        """Set exponents that a fit chose to 1, and forget how sure it was of them."""
        for name, entries in _tables(self.table.get("observers")):
            node, deviations = entries.get("exponent"), entries.get("sd")
            if not isinstance(node, Scalar) or not _is_fitted(node) or _number(node) in (None, 1.0):
                continue
            off = deviations.get("exponent") if isinstance(deviations, Table) else None
            sd = f" ± {off.text}" if isinstance(off, Scalar) else ""
            reason = "a fit chose it as if observers erred independently"
            words = f"exponent: {node.text}{sd} until it was migrated; {reason}"
            keys = ("observers", name, "exponent")
            self._replace(keys, node, "1", reason, words)
            if isinstance(off, Scalar):
                self._remove(("observers", name, "sd", "exponent"), off, "1 was not fitted")

    def conflict(self) -> None:
        """Put a probability in the place of bits of conflict."""
        policy = self.table.get("policy")
        node = policy.get("conflict") if isinstance(policy, Table) else None
        bits = _number(node) if isinstance(node, Scalar) else None
        if isinstance(node, Scalar) and bits is not None and bits > MOST_CONFLICT:
            reason = "it was in bits and is a probability now"
            words = f"conflict: {node.text} bits until it was migrated; it is a probability now"
            self._replace(("policy", "conflict"), node, CONFLICT, reason, words)

    def certificates(self) -> RemovedCertificates | None:
        """Take certificates out; return how they were made."""
        node = self.table.get("certificates")
        if node is None:
            return None
        reason = "they were made of another version's decisions"
        self._remove(("certificates",), node, reason, place=self.table.places["certificates"])
        design = node.get("design") if isinstance(node, Table) else None
        return RemovedCertificates(
            alpha=_text(node, "alpha"),
            delta=_text(node, "delta"),
            population=_text(node, "population"),
            by_subject=_text(node, "unit") == "subject",
            adaptive=_text(design, "adaptive") == "true",
        )

    def move(self, named: Scalar, base: Path, folder: Path) -> None:
        """Name the base by its path from another folder."""
        path = os.path.relpath(base.resolve(), folder.resolve())
        if path != os.path.normpath(named.text) and not os.path.isabs(named.text):
            text = json.dumps(path, ensure_ascii=False)
            self._replace(("extends",), named, text, "seen from where it is written now")

    def _replace(self, keys: tuple[str, ...], node: Scalar, new: str, reason: str, words: str = "") -> None:
        chain = chain_to(self.root, keys)
        self.edits += [comment(self.text, chain, words)] if words else []
        self.edits.append(replacement(chain, new))
        self.rewrites.append(Rewrite(node.place, node.path, node.text, new, reason))

    def _remove(self, keys: tuple[str, ...], node: Node, reason: str, place: Place | None = None) -> None:
        try:
            edit = removal(self.text, chain_to(self.root, keys))
        except EditError as error:
            self.faults.append(Fault(place or node.place, node.path, str(error)))
            return
        self.edits.append(with_lines_above(self.text, edit, PROMISE) if keys == ("certificates",) else edit)
        old = node.text if isinstance(node, Scalar) else ""
        self.rewrites.append(Rewrite(place or node.place, node.path, old, "", reason))


def _tables(node: Node | None) -> Iterator[tuple[str, Table]]:
    for name, inner in node.entries.items() if isinstance(node, Table) else ():
        if isinstance(inner, Table):
            yield name, inner


def _is_fitted(node: Node) -> bool:
    return node.cited is not None and node.cited.source.startswith(FIT)


def _number(node: Scalar) -> float | None:
    """Return the number that a value is; None where it is none, which the reader will say."""
    return float(node.text) if node.plain and NUMBER.fullmatch(node.text) else None


def _text(node: Node | None, key: str) -> str:
    value = node.get(key) if isinstance(node, Table) else None
    return value.text if isinstance(value, Scalar) else ""
