"""Results for people, as texts or fields: whole where printed, a line as a value, HTML in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from engine import notebook_html

# Characters of the line that names a result.
LONGEST_LINE = 100
# Characters of a field that this line tells; entries of a mapping or list in a table.
LONGEST_PART, MOST_NAMED = 40, 8


class TextReport:
    """What results with a text share: `str` gives the text, as the command prints it."""

    def __repr__(self) -> str:
        lines = [line.strip() for line in str(self).splitlines() if line.strip()]
        first = lines[0] if lines else "empty"
        return f"<{type(self).__name__}: {_cut(first)}>"

    def _repr_html_(self) -> str:
        return notebook_html(type(self).__name__, text=str(self))


class FieldReport:
    """What results share that are counts and names in fields: a line as a value, a table in a notebook."""

    def __repr__(self) -> str:
        parts = [f"{name} {text}" for name, text in self._texts() if len(text) <= LONGEST_PART]
        return f"<{type(self).__name__}: {_cut(', '.join(parts))}>"

    def _repr_html_(self) -> str:
        return notebook_html(type(self).__name__, head=("", ""), rows=self._texts())

    def _texts(self) -> list[tuple[str, str]]:
        """Return the fields that hold anything, with their values in words."""
        values = [(item.name, getattr(self, item.name)) for item in fields(self)]  # type: ignore[arg-type]
        return [(name.replace("_", " "), _in_words(value)) for name, value in values if value not in _NOTHING]


_NOTHING: tuple[object, ...] = (None, "", (), [], {})


def _in_words(value: Any) -> str:
    """Return a value as people write it; of a mapping or a list the first MOST_NAMED entries."""
    if isinstance(value, Mapping):
        return _first([f"{key} {_in_words(entry)}" for key, entry in value.items()])
    if isinstance(value, list | tuple):
        return _first([_in_words(entry) for entry in value])
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _first(texts: list[str]) -> str:
    more = f", and {len(texts) - MOST_NAMED:,} more" if len(texts) > MOST_NAMED else ""
    return ", ".join(texts[:MOST_NAMED]) + more


def _cut(line: str) -> str:
    return f"{line[: LONGEST_LINE - 4]} ..." if len(line) > LONGEST_LINE else line
