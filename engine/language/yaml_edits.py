"""Edits of YAML text at the places of its nodes; all other bytes stay as they are.

A path in a document is a chain of mappings, from the top one down, each with the position of an entry in it.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from engine.language.yaml_nodes import LOADER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Chain = list[tuple[yaml.MappingNode, int]]

# What ends a line in YAML 1.1, which PyYAML reads.
BREAKS = "\n\r\x85\u2028\u2029"
LINE_END = re.compile(f"\r\n|[{BREAKS}]")
# Columns of a comment that is written, as of the overlays that a fit writes.
WIDTH = 120


class EditError(ValueError):
    """An entry that stands where it cannot be taken out."""


@dataclass(frozen=True)
class Edit:
    """Characters from `start` up to `end` of a text become `text`."""

    start: int
    end: int
    text: str = ""


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """Return a text with edits made; they do not overlap, and those at one place keep their order."""
    parts, position = [], 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        parts += [text[position : edit.start], edit.text]
        position = edit.end
    return "".join([*parts, text[position:]])


def compose(text: str) -> yaml.Node | None:
    """Return the top node of a text that was read without faults; None where it says nothing."""
    node: yaml.Node | None = yaml.compose(text, Loader=LOADER)
    return node


def chain_to(root: yaml.Node | None, keys: Sequence[str]) -> Chain:
    """Return the chain down to a path of keys.

    Raises:
        KeyError: there is no such path.
    """
    chain: Chain = []
    for key in keys:
        names = [name.value for name, _ in root.value] if isinstance(root, yaml.MappingNode) else []
        if not isinstance(root, yaml.MappingNode) or key not in names:
            raise KeyError(".".join(keys))
        chain.append((root, names.index(key)))
        root = root.value[names.index(key)][1]
    return chain


def replacement(chain: Chain, text: str) -> Edit:
    """Return the edit that puts a text in the place of a plain or quoted value."""
    mapping, index = chain[-1]
    value = mapping.value[index][1]
    return Edit(value.start_mark.index, value.end_mark.index, text)


def removal(text: str, chain: Chain) -> Edit:
    """Return the edit that takes an entry out, and what holds it where that would be left empty.

    Raises:
        EditError: the entry begins in the middle of a line of other YAML.
    """
    mapping, index = chain[-1]
    if len(mapping.value) == 1 and len(chain) > 1:
        return removal(text, chain[:-1])
    key, value = mapping.value[index]
    start, end = key.start_mark.index, _content_end(text, value)
    if mapping.flow_style:
        if index + 1 < len(mapping.value):
            return Edit(start, mapping.value[index + 1][0].start_mark.index)
        return Edit(_content_end(text, mapping.value[index - 1][1]) if index else start, end)
    line = _line_start(text, start)
    if text[line:start].strip() not in ("", "?"):
        raise EditError("shares a line with other YAML; put it on a line of its own")
    return Edit(line, _after_line(text, end))


def comment(text: str, chain: Chain, words: str) -> Edit:
    """Return the edit that writes a comment on lines of its own, above the entry or what holds it."""
    ending = LINE_END.search(text)
    line_end = ending[0] if ending else "\n"
    for mapping, index in reversed(chain):
        start = mapping.value[index][0].start_mark.index
        line = _line_start(text, start)
        # Between the lines of a flow mapping a comment could fall into a text of several lines.
        if not mapping.flow_style and not text[line:start].strip():
            return Edit(line, line, _commented(words, text[line:start], line_end))
    before = "" if not text or text[-1] in BREAKS else line_end
    return Edit(len(text), len(text), before + _commented(words, "", line_end))


def with_lines_above(text: str, edit: Edit, first: str) -> Edit:
    """Return a removal of lines together with the comment right above it, where one line begins like this."""
    line, start = edit.start, edit.start
    while line:
        line = _line_start(text, line - 1 - (text[line - 2 : line] == "\r\n"))
        if not text.startswith("#", line):
            break
        if text.startswith(first, line):
            start = line
            break
    return Edit(start, edit.end, edit.text)


def _commented(words: str, indent: str, line_end: str) -> str:
    lines = textwrap.wrap(words, max(WIDTH - len(indent), WIDTH // 2), break_on_hyphens=False)
    return "".join(f"{indent}# {line}{line_end}" for line in lines)


def _content_end(text: str, node: yaml.Node) -> int:
    """Return where the last character of a node ends; block nodes reach up to what comes next."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    start, end = node.start_mark.index, node.end_mark.index
    return start + len(text[start:end].rstrip())


def _line_start(text: str, index: int) -> int:
    return max(text.rfind(sign, 0, index) for sign in BREAKS) + 1


def _after_line(text: str, index: int) -> int:
    ending = LINE_END.search(text, index)
    return ending.end() if ending else len(text)
