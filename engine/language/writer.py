"""A base with everything that it extends -> one YAML text with the same meaning.

Citations are written where a block changes them. Where an overlay changed only some values of a table, so
that they have several citations and the language has room for one, a joint one says which value has which.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import yaml

from engine.language.yaml_nodes import CITATION, Items, Scalar, Table
from engine.language.yaml_tree import PROSE, declared_of, shares_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.language.yaml_nodes import Node
    from engine.model.knowledge import Knowledge

    Cited = tuple[str, str]

WIDTH = 110
RESOLVER: Any = yaml.resolver.Resolver()
TEXT, MAP, LIST = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "map", "seq"))


def resolve(base: Knowledge) -> str:
    """Return the whole base as the text of one file; read again it is the same base, sources included."""
    return _NodeWriter().text(declared_of(base).tree)


class _NodeWriter:
    """Turns nodes of the language into nodes of YAML; `joint`: the citations made for tables of several."""

    def __init__(self) -> None:
        self.joint: dict[str, str] = {}
        self.taken: tuple[str, ...] = ()

    def text(self, tree: Table) -> str:
        sources = tree.get("sources")
        self.taken = tuple(sources.entries) if isinstance(sources, Table) else ()
        top = self._table(tree, None)
        if self.joint:
            entries = [
                (self._plain(name), self._map([(self._plain("cite"), self._quoted(cite))]))
                for name, cite in self.joint.items()
            ]
            self._sources(top).value += entries
        # The dumper in C takes a quarter of the time.
        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        return str(yaml.serialize(top, Dumper=dumper, width=WIDTH, allow_unicode=True))

    def _sources(self, top: yaml.MappingNode) -> yaml.MappingNode:
        for key, node in top.value:
            if key.value == "sources" and isinstance(node, yaml.MappingNode):
                return node
        node = self._map([])
        top.value.append((self._plain("sources"), node))
        return node

    def _node(self, node: Node, above: Cited | None) -> yaml.Node:
        if isinstance(node, Scalar):
            return self._plain(node.text) if node.plain else self._quoted(node.text)
        if isinstance(node, Items):
            short = all(isinstance(item, Scalar) for item in node.items)
            items = [self._node(item, above) for item in node.items]
            return yaml.SequenceNode(LIST, items, flow_style=short)
        return self._table(node, above)

    def _table(self, table: Table, above: Cited | None) -> yaml.MappingNode:
        citations = {
            key: cited for key, node in table.entries.items() for cited in _value_citation(key, node)
        }
        here = self._citation(table, citations, above)
        entries: list[tuple[yaml.Node, yaml.Node]] = []
        if here and here != above:
            entries = [
                (self._plain(key), self._quoted(text)) for key, text in zip(CITATION, here, strict=True)
            ]
            entries = [(key, node) for key, node in entries if node.value]
            if entries and entries[0][0].value == "source":
                entries[0] = (entries[0][0], self._plain(here[0]))
        numbers = shares_of(table) if table.shrunk else {}
        for key, node in table.entries.items():
            if key not in CITATION or isinstance(node, Table):
                written = self._plain(numbers[key]) if key in numbers else self._node(node, here)
                entries.append((self._key(key), written))
        return self._map(entries)

    def _citation(self, table: Table, citations: dict[str, Cited], above: Cited | None) -> Cited | None:
        """Return the citation to be in force in a table: its own values', else the commonest below."""
        kinds = dict.fromkeys(citations.values())
        if len(kinds) == 1:
            return next(iter(kinds))
        if not kinds and not table.path:
            return above
        if not kinds:
            below = Counter(_below(table))
            return above if above in below or not below else below.most_common(1)[0][0]
        text = "; ".join(
            f"{', '.join(key for key, citation in citations.items() if citation == cited)}: {cited[0]}"
            + (f" ({cited[1]})" if cited[1] else "")
            for cited in kinds
        )
        if {source for source, _ in kinds} == {"judgement"}:
            return "judgement", text
        number = 1
        while f"joint-{number}" in {*self.joint, *self.taken}:
            number += 1
        name = f"joint-{number}"
        self.joint[name] = text
        return name, ""

    def _map(self, entries: list[tuple[yaml.Node, yaml.Node]]) -> yaml.MappingNode:
        flat = bool(entries) and all(isinstance(node, yaml.ScalarNode) for _, node in entries)
        short = flat and sum(len(key.value) + len(node.value) + 4 for key, node in entries) < WIDTH - 20
        return yaml.MappingNode(MAP, entries, flow_style=short)

    def _key(self, key: str) -> yaml.ScalarNode:
        """Return a key, quoted where YAML would take it for something else."""
        return yaml.ScalarNode(TEXT, key)

    def _plain(self, text: str) -> yaml.ScalarNode:
        return yaml.ScalarNode(RESOLVER.resolve(yaml.ScalarNode, text, (True, False)), text)

    def _quoted(self, text: str) -> yaml.ScalarNode:
        if "\n" in text:
            return yaml.ScalarNode(TEXT, text, style="|")
        return yaml.ScalarNode(TEXT, text, style=None if _is_prose(text) else '"')


def _value_citation(key: str, node: Node) -> Iterator[Cited]:
    """Yield the citation of an entry of a table, unless it is a table, prose or a citation itself."""
    if not isinstance(node, Table) and key not in (*PROSE, *CITATION) and node.cited:
        yield node.cited.source, node.cited.note


def _below(node: Node) -> Iterator[Cited]:
    if isinstance(node, Table):
        for key, inner in node.entries.items():
            yield from _value_citation(key, inner)
            yield from _below(inner)


def _is_prose(text: str) -> bool:
    """Return whether YAML reads an unquoted text as a text."""
    return " " in text and RESOLVER.resolve(yaml.ScalarNode, text, (True, False)) == TEXT
