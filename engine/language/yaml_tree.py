"""A knowledge base leaf by leaf: to look up values, to compare two bases, and to read one with changes.

A leaf is a single value of the YAML or a list of such, with the citation in force there and, where an overlay
gave it anew, what it replaced.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import Fault, KnowledgeError
from engine.language.fields import NUMBER
from engine.language.overlay import apply_overlay_text
from engine.language.read_fits import with_thresholds
from engine.language.yaml_nodes import CITATION, Items, Scalar, Table
from engine.model.citation import NOWHERE, Cited

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from engine.errors import Place
    from engine.language.yaml_nodes import Node
    from engine.model.formula import Formula
    from engine.model.knowledge import Knowledge

PROSE = ("label", "description", "statement", "counts", "cite", "url", "used", "confirmed", "prompt")
FORMULAS = ("if", "then")
UNSAID = ("sources", "certificates", *CITATION)
# Of a kind of observers: decides nothing as long as no observer of the kind may be asked.
PEOPLE = "people"
# What a question costs does not change how it is answered.
PRICES = ("cost", "further", "label")
MOST_STATES = 1_000_000
EQUAL = 1e-10


@dataclass(frozen=True)
class Leaf(Cited):
    """A value as written: `text`; `under`: what it replaced in the base that it was laid upon."""

    path: str = ""
    text: str = ""
    under: Leaf | None = None

    @property
    def key(self) -> str:
        """Return the last key of the path."""
        return self.path.rpartition(".")[2]


@dataclass(frozen=True)
class Change:
    """A difference between two bases at a path.

    kind: `number`, `formula`, `list`, `name` (any other value), `prose`, `added`, `removed` (with all below
    the path), or `source` (the same value from another source). old, new: the leaf; of a whole added or
    removed part none, and `leaves` are all that are in it.
    """

    path: str
    kind: str
    old: Leaf | None = None
    new: Leaf | None = None
    leaves: tuple[Leaf, ...] = ()
    place: Place = field(compare=False, default=NOWHERE)


class YamlTree:
    """The YAML behind a base, all layers laid together."""

    def __init__(self, tree: Table, read: Callable[[Table], Knowledge]) -> None:
        """`read` makes a base of a changed tree and raises KnowledgeError where it is faulty."""
        self.tree = tree
        self._read = read

    @property
    def files(self) -> tuple[str, ...]:
        """The folders and files that the base and all it extends were read from."""
        return self.tree.files

    @cached_property
    def leaves(self) -> Mapping[str, Leaf]:
        """Every leaf by its path, in the order of the YAML; `source` and `note` are on the leaves."""
        return {leaf.path: leaf for leaf in _leaves(self.tree)}

    @cached_property
    def places(self) -> Mapping[str, Place]:
        """Where each path stands: a key's place where it has one."""
        return dict(_places(self.tree))

    def below(self, *paths: str) -> tuple[Leaf, ...]:
        """Return the leaves at or below any of these paths."""
        return tuple(leaf for leaf in self.leaves.values() if any(_inside(leaf.path, path) for path in paths))

    def with_numbers(self, values: Mapping[str, float], *, digests: bool = True) -> Knowledge:
        """Read the base with other numbers at these paths.

        digests: whether it has digests where it has no fits, which are held against them.

        Raises:
            KnowledgeError: a number that is not allowed there.
        """
        texts = {path: f"{value:.12f}".rstrip("0").rstrip(".") for path, value in values.items()}
        changed = _with_texts(self.tree, texts)
        assert isinstance(changed, Table)
        base = self._read(changed)
        return with_digests(base, changed) if digests or base.fits else base

    def with_parts(self, other: YamlTree, paths: Collection[str]) -> Knowledge:
        """Read the base with the parts at these paths taken from another, or dropped where it lacks them.

        Raises:
            KnowledgeError: parts that do not fit together.
        """
        changed = _graft(self.tree, other.tree, frozenset(paths), "")
        return self._read_changed(changed)

    def with_overlay(self, text: str) -> Knowledge:
        """Read the base with an overlay laid upon it, the text of one that extends it.

        Raises:
            KnowledgeError: an overlay that is faulty.
        """
        faults: list[Fault] = []
        changed = apply_overlay_text(self.tree, text, faults)
        if faults:
            raise KnowledgeError(faults)
        return self._read_changed(changed)

    def _read_changed(self, changed: Node | None) -> Knowledge:
        assert isinstance(changed, Table)
        return with_digests(self._read(changed), changed)


def declared_of(base: Knowledge) -> YamlTree:
    """Return the YAML behind a base that was read.

    Raises:
        ValueError: a base made otherwise.
    """
    if not isinstance(base.yaml, YamlTree):
        raise ValueError(f"the base {base.name} was not read from YAML")
    return base.yaml


def with_digests(base: Knowledge, tree: Table) -> Knowledge:
    """Return a base with its digests, and with the thresholds of fits that hold for these digests."""
    tree = _without_idle_people(tree)
    base = replace(
        base,
        digest=digest_of(tree),
        digests=digests_of(tree),
        observer_digests={name: digest_of_node(node, ()) for name, node in _named(tree, "observers")},
        question_digests={name: _question_digest(tree, node) for name, node in _named(tree, "questions")},
    )
    return with_thresholds(base)


def _named(tree: Table, section: str) -> Iterator[tuple[str, Node]]:
    table = tree.get(section)
    if isinstance(table, Table):
        yield from ((name, node) for name, node in table.entries.items() if name not in CITATION)


def digest_of_node(node: Node, without: Collection[str]) -> str:
    """Return a digest of a node without citations and the keys in `without`; cached, as `_json`."""
    if isinstance(node, Table):
        left_out = tuple(without)
        if left_out not in node.digest_texts:
            keys = [key for key in node.entries if key not in (*CITATION, *without)]
            node.digest_texts[left_out] = _digest(node, keys)
        return node.digest_texts[left_out]
    return hashlib.sha256(_json(node).encode()).hexdigest()[:16]


def _question_digest(tree: Table, question: Node) -> str:
    """Return a digest of a question, its prices left out, and of what is told before it."""
    digest, briefing = digest_of_node(question, PRICES), tree.get("briefing")
    if briefing is None:
        return digest
    return hashlib.sha256(f"{digest} {digest_of_node(briefing, ())}".encode()).hexdigest()[:16]


def digest_of(tree: Table) -> str:
    """Return a digest of the content of a base.

    Places, citations and the order of files do not count, nor what was certified with it, nor which kinds
    are people where nobody of the kind may be asked.
    """
    tree = _without_idle_people(tree)
    return _digest(tree, [key for key in tree.entries if key not in UNSAID])


def digests_of(tree: Table) -> dict[str, str]:
    """Return a digest of each part of a base that a guarantee rests on (`guarantee.PARTS`)."""
    tree = _without_idle_people(tree)
    apart = {"prompts": ("questions", "briefing"), "observers": ("observers",), "policy": ("policy",)}
    elsewhere = {*itertools.chain(*apart.values()), *UNSAID, "name", "description"}
    knowledge_keys = [key for key in tree.entries if key not in elsewhere]
    return {"knowledge": _digest(tree, knowledge_keys)} | {
        part: _digest(tree, keys) for part, keys in apart.items()
    }


def _without_idle_people(tree: Table) -> Table:
    """Return a base without the mark `people` on kinds that no askable observer has."""
    dependence = tree.get("dependence")
    kinds = dependence.get("kinds") if isinstance(dependence, Table) else None
    if not isinstance(dependence, Table) or not isinstance(kinds, Table):
        return tree
    observers = [node for _, node in _named(tree, "observers") if isinstance(node, Table)]
    usual = dependence.get("default")
    askable = [node for node in observers if _scalar(node.get("askable")) == "true"]
    asked = {_scalar(node.get("kind") or usual) for node in askable}
    marked = [
        name for name, node in kinds.entries.items() if isinstance(node, Table) and PEOPLE in node.entries
    ]
    idle = {name: _drop_key(kinds.entries[name], PEOPLE) for name in marked if name not in asked}
    if not idle:
        return tree
    kinds = replace(kinds, entries={**kinds.entries, **idle})
    dependence = replace(dependence, entries={**dependence.entries, "kinds": kinds})
    return replace(tree, entries={**tree.entries, "dependence": dependence})


def _drop_key(node: Node, key: str) -> Node:
    assert isinstance(node, Table)
    return replace(node, entries={name: inner for name, inner in node.entries.items() if name != key})


def _digest(tree: Table, keys: Iterable[str]) -> str:
    text = _mapping({key: _json(tree.entries[key]) for key in keys if key in tree})
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def changes(old: Knowledge, new: Knowledge) -> tuple[Change, ...]:
    """Return the differences in meaning between two bases; other spellings of the same value are none."""
    return tuple(_changes(old, new, declared_of(old).tree, declared_of(new).tree))


def _changes(old: Knowledge, new: Knowledge, old_table: Table, new_table: Table) -> Iterator[Change]:
    for key in dict.fromkeys((*old_table.entries, *new_table.entries)):
        if key in CITATION:
            continue
        a, b = old_table.get(key), new_table.get(key)
        if a is None or b is None:
            table, kind = (old_table, "removed") if b is None else (new_table, "added")
            node = table.entries[key]
            yield Change(node.path, kind, leaves=tuple(_leaves(node)), place=table.places[key])
        elif isinstance(a, Table) and isinstance(b, Table):
            yield from _changes(old, new, _with_proportions(a), _with_proportions(b))
        else:
            yield from _change(old, new, a, b)


def _with_proportions(table: Table) -> Table:
    """Return a distribution that lost a state, with the remaining shares rescaled to sum to 1."""
    if not table.shrunk:
        return table
    texts = {table.entries[key].path: share for key, share in shares_of(table).items()}
    changed = _with_texts(table, texts)
    assert isinstance(changed, Table)
    return changed


def _change(old: Knowledge, new: Knowledge, a: Node, b: Node) -> Iterator[Change]:
    """Compare two nodes that are not both tables."""
    parts = tuple(_leaves(a)), tuple(_leaves(b))
    if len(parts[0]) != 1 or len(parts[1]) != 1:
        if _json(a) != _json(b):
            yield Change(a.path, "removed", leaves=parts[0], place=a.place)
            yield Change(b.path, "added", leaves=parts[1], place=b.place)
        return
    before, after = parts[0][0], parts[1][0]
    if _same(old, new, before, after):
        cited = (before.source, before.note) != (after.source, after.note)
        if cited and a.path in old.numbers:
            yield Change(a.path, "source", before, after, place=after.place)
        return
    yield Change(a.path, _kind(old, b), before, after, place=after.place)


def _kind(old: Knowledge, node: Node) -> str:
    key = node.path.rpartition(".")[2]
    if node.path in old.numbers or (isinstance(node, Scalar) and NUMBER.fullmatch(node.text)):
        return "number"
    if isinstance(node, Items):
        return "list"
    if key in PROSE or not isinstance(node, Scalar):
        return "prose"
    return "formula" if key in FORMULAS else "name"


def _same(old: Knowledge, new: Knowledge, a: Leaf, b: Leaf) -> bool:
    """Return whether two leaves mean the same: equal numbers, or formulas true of the same states."""
    if NUMBER.fullmatch(a.text) and NUMBER.fullmatch(b.text):
        return abs(float(a.text) - float(b.text)) <= EQUAL * abs(float(a.text))
    if a.path in old.numbers and b.path in new.numbers:
        return old.numbers[a.path].value == new.numbers[b.path].value
    if a.key in FORMULAS and a.path.startswith("rules."):
        pair = [_formula(base, leaf) for base, leaf in ((old, a), (new, b))]
        if pair[0] is not None and pair[1] is not None and _equivalent(old, new, pair[0], pair[1]):
            return True
    return _normal(a.text) == _normal(b.text)


def _formula(base: Knowledge, leaf: Leaf) -> Formula | None:
    name = leaf.path.removeprefix("rules.").rpartition(".")[0]
    rule = next((rule for rule in base.rules if rule.name == name), None)
    if rule is None:
        return None
    return rule.condition if leaf.key == "if" else rule.then


def _equivalent(old: Knowledge, new: Knowledge, first: Formula, second: Formula) -> bool:
    """Return whether two formulas hold for the same states; compared as written beyond MOST_STATES."""
    names = sorted(first.variables() | second.variables())
    if any(_states(old, name) != _states(new, name) for name in names):
        return False
    sizes = [len(old.variables[name].states) for name in names]
    if math.prod(sizes) > MOST_STATES:
        return first == second
    values = dict(zip(names, np.ix_(*(np.arange(size) for size in sizes)), strict=True))
    held, then = (np.broadcast_to(formula.holds(values), sizes) for formula in (first, second))
    return bool(np.array_equal(held, then))


def _states(base: Knowledge, name: str) -> Any:
    variable = base.variables.get(name)
    return variable and (variable.kind, variable.states, variable.edges)


def _normal(text: str) -> str | list[float]:
    """Return a text with white space as single blanks, or its numbers where it is a list of numbers."""
    parts = text.strip("[]").split(",")
    if all(NUMBER.fullmatch(part.strip()) for part in parts):
        return [float(part) for part in parts]
    return " ".join(text.split())


def _leaves(node: Node) -> Iterator[Leaf]:
    if isinstance(node, Table):
        for key, inner in node.entries.items():
            if key not in CITATION or isinstance(inner, Table):
                yield from _leaves(inner)
    elif isinstance(node, Scalar) or all(isinstance(item, Scalar) for item in node.items):
        yield _leaf(node)
    else:
        for item in node.items:
            yield from _leaves(item)


def _leaf(node: Scalar | Items) -> Leaf:
    cited = {"source": node.cited.source, "note": node.cited.note} if node.cited else {"source": ""}
    under = _leaf(node.under) if isinstance(node.under, Scalar | Items) else None
    return Leaf(node.place, **cited, path=node.path, text=_text(node), under=under)


def _scalar(node: Node | None) -> str:
    return node.text if isinstance(node, Scalar) else ""


def _text(node: Node) -> str:
    if isinstance(node, Scalar):
        return node.text
    return f"[{', '.join(_text(item) for item in node.items)}]" if isinstance(node, Items) else "{...}"


def _places(node: Node) -> Iterator[tuple[str, Place]]:
    if isinstance(node, Table):
        for key, inner in node.entries.items():
            yield inner.path, node.places[key]
            yield from _places(inner)


def _json(node: Node) -> str:
    """Return a node without citations as JSON with sorted keys; cached, since bases share tables."""
    if isinstance(node, Scalar):
        return json.dumps(node.text)
    if isinstance(node, Items):
        return f"[{', '.join(map(_json, node.items))}]"
    if not node.json_text:
        texts = {key: _json(entry) for key, entry in node.entries.items() if key not in CITATION}
        shares = shares_of(node) if node.shrunk else {}
        node.json_text = _mapping(texts | {key: json.dumps(share) for key, share in shares.items()})
    return node.json_text


def _mapping(texts: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{json.dumps(key)}: {texts[key]}" for key in sorted(texts)) + "}"


def shares_of(table: Table) -> dict[str, str]:
    """Return the probabilities of a distribution that lost a state, rescaled to sum to 1, as texts."""
    values = {
        key: float(n.text)
        for key, n in table.entries.items()
        if isinstance(n, Scalar) and key not in CITATION
    }
    total = sum(values.values())
    return {key: f"{value / total:.12f}" for key, value in values.items()}


def _inside(path: str, above: str) -> bool:
    return path == above or path.startswith((f"{above}.", f"{above}["))


def _with_texts(node: Node, texts: Mapping[str, str]) -> Node:
    """Return the node with other texts in the scalars of these paths."""
    if not any(path.startswith(node.path) for path in texts):
        return node
    if isinstance(node, Scalar):
        return replace(node, text=texts.get(node.path, node.text))
    if isinstance(node, Items):
        return replace(node, items=[_with_texts(item, texts) for item in node.items])
    return replace(node, entries={key: _with_texts(entry, texts) for key, entry in node.entries.items()})


def _graft(base: Node | None, graft: Node | None, paths: frozenset[str], path: str) -> Node | None:
    """Return `base` with the parts at these paths taken from `graft`."""
    if path in paths:
        return graft
    above = any(_inside(chosen, path) for chosen in paths) if path else True
    if not above or not isinstance(base, Table) or not isinstance(graft, Table):
        return base
    entries: dict[str, Node] = {}
    places: dict[str, Place] = {}
    for key in dict.fromkeys((*base.entries, *graft.entries)):
        inside = f"{path}.{key}" if path else key
        node = _graft(base.get(key), graft.get(key), paths, inside)
        if node is not None:
            entries[key] = node
            places[key] = (base if key in base else graft).places[key]
    return replace(base, entries=entries, places=places, shrunk=base.shrunk or graft.shrunk)
