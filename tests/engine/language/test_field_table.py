"""The table of fields, and that the page of the language says what it says.

`python tests/engine/language/test_field_table.py` writes the page's tables anew.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import pytest

from engine.language.field_table import TABLES, VARIABLE_KEYS
from engine.language.fields import Entries, Fields, decimal
from engine.language.read_variables import Kind
from engine.language.yaml_nodes import read_text
from engine.model.guarantee import PARTS

PAGE = Path(__file__).parents[3] / "knowledge" / "README.md"
BEGIN, END = "<!-- fields: begin -->\n", "<!-- fields: end -->\n"


def kind_in_words(field):
    """What an entry holds, with its range."""
    inner = [kind_in_words(entry) for entry in field.inner]
    match field.kind:
        case "number" | "whole":
            if math.isinf(field.high - field.low):
                return "number"
            whole = "whole number, " if field.kind == "whole" else ""
            return f"{whole}{decimal(field.low)} to {decimal(field.high)}"
        case "choice":
            return " or ".join(f"`{word}`" for word in field.words)
        case "text" | "name":
            return f"name of: {field.what}" if field.what else "text"
        case "list":
            size = f" of {'at least ' * field.at_least}{field.size}" if field.size else ""
            return f"list{size}: {inner[0]}"
        case "named":
            name = field.what or "name"
            return f"by {name}" if inner[0] == "table" else f"by {name}: {inner[0]}"
        case "either":
            return ", or ".join(inner)
        case "flag":
            return "`true` or `false`"
        case kind:
            return kind


def rows(field, path=""):
    """Path, field of every entry below a field; names are written as *."""
    for key, entry in field.fields.items():
        yield f"{path}{key}", entry
        yield from rows(entry, f"{path}{key}.")
    for entry in field.inner:
        yield from rows(entry, f"{path}*." if field.kind == "named" else path)


def in_words(value):
    """A default as the language writes it."""
    return decimal(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def page_row(path, field):
    """One row of a table of the page."""
    without = "needed" if field.needed else in_words(field.default) or ""
    cells = (f"`{path}`", kind_in_words(field), str(without), field.doc.replace("|", "\\|"))
    return f"| {' | '.join(cells)} |"


def page_tables():
    """The tables of the page: one of the sections, and one of each section with keys of its own."""
    head = ["", "| key | holds | without it | meaning |", "|---|---|---|---|"]
    base = TABLES["BASE"].fields
    lines = [*head, *(page_row(key, field) for key, field in base.items())]
    for section, field in base.items():
        prefix = f"{section}.*." if field.kind == "named" else f"{section}."
        entries = list(rows(field.inner[0] if field.kind == "named" else field, prefix))
        if entries:
            lines += ["", f"`{section}`", *head, *(page_row(path, entry) for path, entry in entries)]
    return "\n".join(lines) + "\n\n"


def test_kinds_and_parts_are_those_of_the_model():
    kinds = TABLES["VARIABLE"].fields["kind"].words
    assert kinds == get_args(Kind) == tuple(VARIABLE_KEYS)
    assert tuple(TABLES["DIGESTS"].fields) == PARTS


def test_a_row_is_read_as_it_is_written():
    """One row of each kind, by hand."""
    policy, labels = TABLES["POLICY"].fields, TABLES["LABELS"].fields
    worst = policy["worst"]
    assert (worst.kind, worst.low, worst.high, worst.default) == ("number", 0.0001, 0.9999, 0.5)
    assert worst.sourced
    assert not worst.needed
    assert worst.doc.startswith("No single risk")
    budget = policy["budget"]
    assert (budget.kind, budget.high, budget.needed, type(budget.default)) == ("whole", 1e6, True, int)
    batches = policy["batches"]
    assert (batches.kind, batches.size, batches.at_least, batches.inner[0].high) == ("list", 1, True, 1000)
    limits = policy["limits"]
    assert (limits.kind, limits.what, limits.inner[0].kind) == ("named", "level or variable", "either")
    assert [option.what for option in limits.inner[0].inner] == ["", "LIMIT"]
    row = labels["confusion"].inner[0]
    assert (row.strict, row.inner[0].low, row.inner[0].reason) == (True, 1e-6, "no answer is impossible")
    assert {"weight", "sum", "sd"} == labels["distribution"].fields.keys()
    pull = TABLES["RANKING"].fields["pull"].inner[0]
    assert (pull.inner[0].low, pull.fields.keys()) == (-10, {"sd"})
    assert TABLES["TYPE"].fields["misread"].default is None
    assert TABLES["GAUGE"].fields["offset"].low == -math.inf
    assert policy["labels"].words == ("look", "final")


@pytest.mark.parametrize(
    ("table", "key", "low", "high"),
    [
        ("OBSERVER", "exponent", "0", "10"),
        ("POLICY", "budget", "0", "1000000"),
        ("POLICY", "worst", "0.0001", "0.9999"),
        ("STRENGTH", "n", "0.1", "1000000.0"),
        ("CERTIFICATE", "n", "0", "1000000000"),
    ],
)
def test_limits_are_integers_where_they_are_written_so_or_limit_whole_numbers(table, key, low, high):
    field = TABLES[table].fields[key]
    assert (repr(field.low), repr(field.high)) == (low, high)


@pytest.mark.parametrize("text", ["0.5", "1.5", "x", "[1]", '"0.6"'])
def test_readers_take_kind_and_range_from_the_row(text):
    """A number is read where the row allows it, and is a fault with the row's limits where it does not."""
    faults = []
    table = read_text(f"worst: {text}\n", "x.yaml", faults)
    fields = Fields(faults)
    value = Entries(fields, table, TABLES["POLICY"].fields).value("worst")
    assert [fault.message.partition("0.0001 to 0.9999")[1] for fault in faults] == (
        [] if text == "0.5" else ["0.0001 to 0.9999"]
    )
    assert text != "0.5" or value == 0.5
    assert Entries(fields, table, TABLES["POLICY"].fields).value("evidence") == 2


def test_the_page_says_what_the_table_says():
    text = PAGE.read_text("utf-8")
    command = "run `python tests/engine/language/test_field_table.py`"
    assert text.partition(BEGIN)[2].partition(END)[0] == page_tables(), command


if __name__ == "__main__":
    before, begin, rest_of_page = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(before + begin + page_tables() + END + rest_of_page.partition(END)[2], "utf-8")
