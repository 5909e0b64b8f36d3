"""A key that a line of JSON gives twice: readers of JSON take the last without a word."""

from __future__ import annotations

import re

# A key, looked for quickly; and the parts of a line that say in which object a key stands.
KEY = re.compile(rb'"([^"\\]*)"\s*:')
PARTS = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*(:?)|[{}]')


def may_repeat_keys(line: bytes) -> bool:
    """Whether a key stands twice in a line, perhaps in two of its objects."""
    keys = KEY.findall(line)
    return len(set(keys)) < len(keys)


def repeated_key(line: bytes) -> tuple[int, str] | None:
    """Return the column, from 1, and the name of a key that one object of a line has twice, if any."""
    if not may_repeat_keys(line):
        return None
    objects: list[set[bytes]] = []
    for part in PARTS.finditer(line):
        if part[0] == b"{":
            objects.append(set())
        elif part[0] == b"}":
            objects = objects[:-1]
        elif part[2] and objects:
            if part[1] in objects[-1]:
                column = len(line[: part.start()].decode("utf-8", "replace")) + 1
                return column, part[1].decode("utf-8", "replace")
            objects[-1].add(part[1])
    return None
