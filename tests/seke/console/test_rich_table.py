"""Text tables: nothing that is written into a cell is lost, and numbers stand to the right."""

from __future__ import annotations

import io
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from seke.console.rich_table import table_lines, text_table

WORDS = st.text("abcxyz019[]/:.", min_size=1, max_size=200)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4))
def test_no_width_cuts_the_lines_of_a_table(rows):
    assert [tuple(line.split()) for line in table_lines((), rows)] == rows


@given(st.lists(WORDS, min_size=1, max_size=30))
def test_a_column_that_wraps_keeps_every_letter(words):
    lines = table_lines(("n", "words"), [("1", " ".join(words))], width=40, folded=["words"])
    assert max(map(len, lines)) <= 40
    first, *following = lines[1:]
    assert "".join([first.removeprefix("  1"), *following]).replace(" ", "") == "".join(words)


@given(st.lists(st.lists(st.text("ab1. ", max_size=30), min_size=9, max_size=9), min_size=1, max_size=3))
def test_a_narrow_terminal_shows_every_column(rows):
    head = ["", "wrong of these", "stated risk", *(f"column {number} of 6" for number in range(6))]
    rows = [["item", *row[1:]] for row in rows]
    lines = table_lines(head, rows, width=40)
    assert max(map(len, lines)) <= 40
    words = Counter(word for cells in (head, *rows) for cell in cells[1:] for word in cell.split())
    assert Counter(word for line in lines for word in line.split() if word != "item") == words
    assert table_lines(head, rows, width=1000) == table_lines(head, rows)


def test_numbers_stand_to_the_right():
    rows = [("fear", "0.5", "-", ""), ("joy", "12.25", "1,000 ±2", "never met")]
    assert table_lines(("", "p", "gold", "lacks"), rows) == [
        "            p      gold  lacks",
        "  fear    0.5         -",
        "  joy   12.25  1,000 ±2  never met",
    ]
    assert table_lines(("class", "n"), [], indent="") == ["class  n"]
    assert table_lines((), []) == []


def test_wide_letters_take_two_columns():
    assert table_lines((), [("恐怖", "x"), ("fear", "y")]) == ["  恐怖  x", "  fear  y"]


def test_a_terminal_may_forbid_colours(monkeypatch):
    table = text_table(("item", "p"), [("[red]a", "0.5")])
    for name, bold in (("NO_COLOR", True), ("TERM", False)):
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv(name, "dumb")
        console = Console(file=io.StringIO(), force_terminal=True, width=80)
        console.print(table)
        text = console.file.getvalue()
        assert "[red]a" in text
        assert "\x1b[3" not in text
        assert ("\x1b[1m" in text) == bold
