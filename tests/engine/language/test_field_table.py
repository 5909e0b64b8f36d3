"""The table of fields, and that the page of the language says what it says."""

from __future__ import annotations

import math
from typing import get_args

import pytest
from field_tables import BEGIN, END, LANGUAGE, page_tables

from engine.language.field_table import TABLES, VARIABLE_KEYS
from engine.language.fields import Entries, Fields
from engine.language.read_variables import Kind
from engine.language.yaml_nodes import read_text
from engine.model.guarantee import PARTS


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
    text = LANGUAGE.read_text("utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0] == page_tables(), (
        "run `python docs/_ext/field_tables.py`"
    )
