"""Files of words -> one tree of texts, lists and mappings, with places; later files lie upon others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine import Fault, KnowledgeError, Place
from seke.files.yaml_nodes import compose_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    Tree = dict[str, "WordNode"]


@dataclass(frozen=True)
class WordNode:
    """A text, a list or a mapping, and where it stands; shipped: in a file of this package."""

    value: Any
    place: Place
    path: str
    shipped: bool


def kind_of(value: Any) -> str:
    """Return what a node's value is, in words."""
    return "a text" if isinstance(value, str) else "a list" if isinstance(value, list) else "a mapping"


def read_tree(path: Path, faults: list[Fault], top: Sequence[str], *, shipped: bool) -> Tree:
    """Read one file; what is wrong with it is added to `faults`. top: keys that may stand there."""
    start = Place(str(path), 1, 1)
    try:
        node = compose_yaml(path)
    except KnowledgeError as error:
        faults += error.faults
        return {}
    if node is None:
        return {}
    root = _node(node, str(path), "", faults, shipped=shipped)
    if isinstance(root.value, dict):
        return root.value
    message = f"is {kind_of(root.value)}; a mapping with {', '.join(top[:3])}, ... belongs here"
    faults.append(Fault(start, "", message))
    return {}


def merge_tree(tree: Tree, upper: Tree) -> None:
    """Merge the tree `upper` into `tree`, in place: mappings merge, anything else replaces."""
    for name, node in upper.items():
        below = tree.get(name)
        if below is not None and isinstance(below.value, dict) and isinstance(node.value, dict):
            merged = dict(below.value)
            merge_tree(merged, node.value)
            tree[name] = WordNode(merged, node.place, node.path, node.shipped)
        else:
            tree[name] = node


def _node(node: Any, file: str, path: str, faults: list[Fault], *, shipped: bool) -> WordNode:
    place = Place(file, node.start_mark.line + 1, node.start_mark.column + 1)
    if node.id == "scalar":
        return WordNode(node.value, place, path, shipped)
    if node.id == "sequence":
        parts = [
            _node(child, file, f"{path}[{i}]", faults, shipped=shipped) for i, child in enumerate(node.value)
        ]
        return WordNode(parts, place, path, shipped)
    tree: Tree = {}
    for key, value in node.value:
        name = str(key.value) if key.id == "scalar" else "?"
        below = f"{path}.{name}" if path else name
        at = Place(file, key.start_mark.line + 1, key.start_mark.column + 1)
        if name in tree:
            faults.append(Fault(at, below, "is there twice"))
        tree[name] = _node(value, file, below, faults, shipped=shipped)
    return WordNode(tree, place, path, shipped)
