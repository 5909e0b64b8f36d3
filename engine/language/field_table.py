"""The table of all keys of a knowledge base, each with its kind, range, default and meaning.

The readers, the JSON Schema and the page of the language take them from `TABLES`, which are written in
`fields.txt`. What no table can say (sums, formulas, names that depend on other entries) is in the readers.

A line in capitals begins a table. A row is a key (* where its table must have it), a kind and a doc, two or
more blanks apart; `+ SD` puts in the rows of another table. Kinds:

    text, text WHAT      a text; the name of something that the reader looks up
    name WHAT            the name of something that is declared; WHAT is its word in messages
    choice WHAT: a b     one of these words
    word, date, formula, flag
    number 0 1 (why)     within these limits, ? for one that other entries set; `whole` for whole numbers
    [kind] 2             a list of as many; 1+ for at least one
    {WHAT: kind}         a table keyed by names, marked ! where formulas may use them; `, SD`: these keys, too
    TABLE, kind | kind   a table; either

After a kind may follow `= 1`, what holds without it (`none`: nothing), `sourced` where it needs a source
itself, not only the first number of its table, and `fitted` where an `sd` may stand beside it.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

# What each kind of variable is declared by, beside its label and description.
VARIABLE_KEYS = {
    "categorical": ("states", "also"),
    "binary": ("also",),
    "interval": ("range", "bins", "also"),
    "derived": ("states",),
}
# Ranges that many rows share. Pseudo-counts reach from next to nothing to as good as fixed; knowledge is
# never certain; a limit is never none, and never all; nobody fits or tests a billion items.
KINDS = {
    "count": "number 0.1 1e6",
    "share": "number 0 1",
    "probability": "number 0.001 0.999",
    "belief": "number 0.001 0.999 (knowledge is never certain)",
    "prior": "number 1e-6 1 (a state that cannot occur is removed instead)",
    "cell": "number 1e-6 1 (no answer is impossible)",
    "limit": "number 0.0001 0.9999",
    "items": "whole 0 1e9",
}
# What holds where an entry is left out whose row does not say; an empty text for other kinds.
DEFAULTS = {"number": 0.0, "whole": 0, "flag": False}
ROW = re.compile(r"(\w+)(\*?) +(\S.*?)(?: {2,}(.*))?")
MARKS = re.compile(r"(.*?)(?: = (\S+))?( sourced)?( fitted)?")
NUMBER = re.compile(r"(number|whole) (\S+) (\S+)(?: \((.*)\))?")
ENTRY = re.compile(r"(.*?)(?:, ([A-Z]+))?")


class FieldSpec(NamedTuple):
    """One entry.

    kind: text, name, choice, word, date, formula, flag, number, whole, list, named, table or either.
    what: what a name is of; of a table its name. words: of a choice. low, high: infinite where other
    entries set them; reason: why they are so. inner: of a list its item, of a table keyed by names its entry,
    or what it may be either. size: how many items, 0 where that is free; at_least: whether there may be more.
    fields: of a table its entries, of one keyed by names those that are none of them.
    """

    kind: str
    doc: str = ""
    needed: bool = False
    default: Any = None
    sourced: bool = False
    fitted: bool = False
    what: str = ""
    strict: bool = False
    words: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    reason: str = ""
    inner: tuple[FieldSpec, ...] = ()
    size: int = 0
    at_least: bool = False
    fields: Mapping[str, FieldSpec] = {}


def _field(text: str, tables: Mapping[str, FieldSpec]) -> FieldSpec:
    """Return the field that a text of the kinds above describes."""
    if " | " in text and text[0] != "{":
        return FieldSpec("either", inner=tuple(_field(option, tables) for option in text.split(" | ", 1)))
    kind, default, sourced, fitted = _groups(MARKS, text)
    if kind in tables:
        return tables[kind]
    if kind[0] == "[":
        item, _, size = kind[1:].rpartition("]")
        at_least, inner = size.endswith("+"), (_field(item, tables),)
        field = FieldSpec("list", default=(), inner=inner, size=int(size.rstrip("+") or 0), at_least=at_least)
    elif kind[0] == "{":
        what, _, entry = kind[1:-1].partition(": ")
        entry, also = _groups(ENTRY, entry)
        inner, fields = (_field(entry, tables),), tables[also].fields if also else {}
        strict = what.endswith("!")
        field = FieldSpec(
            "named", default={}, what=what.rstrip("!"), strict=strict, inner=inner, fields=fields
        )
    else:
        field = _plain_field(kind, default)
    return field._replace(sourced=bool(sourced), fitted=bool(fitted))


def _plain_field(text: str, default: str) -> FieldSpec:
    kind, blank, what = text.partition(" ")
    text = KINDS.get(kind, kind) + blank + what
    if not NUMBER.fullmatch(text):
        what, _, words = what.partition(": ") if kind == "choice" else (what, "", "")
        return FieldSpec(
            kind, default=default or DEFAULTS.get(kind, ""), what=what, words=tuple(words.split())
        )
    kind, *limits, reason = _groups(NUMBER, text)
    low, high = (
        end if limit == "?" else _limit(limit, kind)
        for limit, end in zip(limits, (-math.inf, math.inf), strict=True)
    )
    number = None if default == "none" else float(default or 0)
    value = int(number) if number is not None and kind == "whole" else number
    return FieldSpec(kind, default=value, low=low, high=high, reason=reason)


def _limit(text: str, kind: str) -> float:
    """Return a limit, as an integer where it is written as one or limits whole numbers."""
    return int(float(text)) if kind == "whole" or text.lstrip("-").isdigit() else float(text)


def _groups(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    match = pattern.fullmatch(text)
    assert match is not None, text  # The texts are this module's.
    return match.groups("")


def _tables(rows: str) -> dict[str, FieldSpec]:
    tables: dict[str, FieldSpec] = {}
    for block in rows.strip().split("\n\n"):
        head, *lines = block.splitlines()
        name, _, doc = head.partition("  ")
        fields: dict[str, FieldSpec] = {}
        for line in lines:
            if line.startswith("+ "):
                fields |= tables[line[2:]].fields
                continue
            key, needed, kind, meaning = _groups(ROW, line)
            entry = _field(kind, tables)
            fields[key] = entry._replace(doc=meaning or entry.doc, needed=bool(needed))
        tables[name] = FieldSpec("table", doc, what=name, fields=fields)
    return tables


TABLES = _tables(Path(__file__).with_name("fields.txt").read_text("utf-8"))
