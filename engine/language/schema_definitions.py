"""A JSON Schema in which what comes again is written once, under `$defs`."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

Json = dict[str, Any]

# Keywords whose value is one schema, a list of schemas, and a mapping of names to schemas.
ONE = ("additionalProperties", "items", "not", "if", "then", "propertyNames")
LISTED = ("anyOf", "allOf")
NAMED = ("properties",)
# Letters from which a schema that comes again is worth a definition: a reference takes some thirty.
LEAST_LETTERS = 80


def with_definitions(schema: Json) -> Json:
    """Return a schema that gives the same verdicts, with each longer part that comes again under `$defs`."""
    return _Definitions(schema).whole()


class _Definitions:
    """Parts of one schema, known by what they say. Parts that are one object are looked at once."""

    def __init__(self, schema: Json) -> None:
        self.schema = schema
        self._number_of: dict[int, int] = {}
        self._known: dict[str, int] = {}
        self._parts: list[Json] = []
        self._uses: Counter[int] = Counter()
        self._root = self._number(schema)
        self._made: dict[int, Json] = {}
        self._definitions: Json = {}

    def whole(self) -> Json:
        """Return the whole schema."""
        written = self._written(self._parts[self._root])
        return {**written, "$defs": self._definitions} if self._definitions else written

    def _number(self, schema: Any) -> int:
        """Return the number of a part; equal parts have one number."""
        if id(schema) in self._number_of:
            return self._number_of[id(schema)]
        part = _each_inner(schema, self._number)
        text = json.dumps(part, sort_keys=True)
        if text not in self._known:
            self._known[text] = len(self._parts)
            self._parts.append(part)
            _each_inner(part, lambda number: self._uses.update([number]))
        self._number_of[id(schema)] = self._known[text]
        return self._known[text]

    def _written(self, part: Json) -> Json:
        return dict(_each_inner(part, self._reference))

    def _reference(self, number: int) -> Json:
        """Return a part, or a reference to its definition where it is used several times."""
        if number not in self._made:
            written = _each_inner(self._parts[number], self._reference)
            long = isinstance(written, dict) and len(json.dumps(written)) >= LEAST_LETTERS
            if self._uses[number] > 1 and long:
                name = f"part-{len(self._definitions) + 1}"
                self._definitions[name] = written
                written = {"$ref": f"#/$defs/{name}"}
            self._made[number] = written
        return self._made[number]


def _each_inner(schema: Any, change: Any) -> Any:
    """Return a schema with each schema directly within it changed; true and false are schemas, too."""
    if not isinstance(schema, dict):
        return schema
    changed: Json = {}
    for key, value in schema.items():
        if key in ONE:
            changed[key] = change(value)
        elif key in LISTED:
            changed[key] = [change(inner) for inner in value]
        elif key in NAMED:
            changed[key] = {name: change(inner) for name, inner in value.items()}
        else:
            changed[key] = value
    return changed
