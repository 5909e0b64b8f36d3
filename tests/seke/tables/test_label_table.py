"""Label tables: every format says the same, and every fault is told with its place."""

from __future__ import annotations

import csv
import gzip
import json
import math
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

import seke
from engine import AnswerError
from seke.cli.main import main
from seke.tables.label_table import labels_from, read_labels
from seke.tables.record_writer import Writer

BASE = seke.knowledge()
PLANTS = seke.knowledge(Path(__file__).parents[3] / "examples" / "plants" / "knowledge")
ROWS = [
    {
        "item": "a",
        "expression": "fear",
        "valence": -0.5,
        "arousal": None,
        "AU1": 1,
        "AU12": 0,
        "subject": "s1",
    },
    {
        "item": "b",
        "expression": None,
        "valence": 1,
        "arousal": 0.25,
        "AU1": None,
        "AU12": None,
        "subject": "s1",
    },
    {
        "item": "ü, c",
        "expression": "neutral",
        "valence": None,
        "arousal": -1,
        "AU1": 0,
        "AU12": 1,
        "subject": None,
    },
]


def read(tmp_path, name, text, groups=""):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_labels(path, BASE, groups)


def faults(tmp_path, name, text, groups="", base=BASE):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(AnswerError) as caught:
        read_labels(path, base, groups)
    return str(caught.value).replace(f"{tmp_path}/", "").split("\n")


def same(table, other):
    assert (table.items, table.groups) == (other.items, other.groups)
    assert list(table.gold.values) == list(other.gold.values)
    for name, values in table.gold.values.items():
        np.testing.assert_array_equal(values, other.gold.values[name])


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"])
def test_every_format_says_the_same(tmp_path, ending):
    path = tmp_path / f"gold.{ending}"
    if ending == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    else:
        with Writer(path) as writer:
            writer.write(ROWS)
    table = read_labels(path, BASE, "subject")
    assert table.items == ("a", "b", "ü, c")
    assert table.groups == ("s1", "s1", None)
    states = BASE.variables["expression"].states
    wanted = {
        "expression": [states.index("fear"), math.nan, states.index("neutral")],
        "valence": [-0.5, 1.0, math.nan],
        "arousal": [math.nan, 0.25, -1.0],
        "AU1": [1, math.nan, 0],
        "AU12": [0, math.nan, 1],
    }
    assert set(table.gold.values) == set(wanted)
    for name, values in wanted.items():
        np.testing.assert_array_equal(table.gold.values[name], values)
        assert not table.gold.values[name].flags.writeable
    same(table, labels_from(ROWS, BASE, "subject"))


def test_what_simulate_writes_is_a_label_table(tmp_path):
    made = CliRunner().invoke(
        main,
        [
            "simulate",
            "--items",
            "20",
            "--draws",
            "1",
            "-o",
            f"{tmp_path}/s.jsonl",
            "--truth",
            f"{tmp_path}/t.csv.gz",
        ],
    )
    assert made.exit_code == 0
    table = read_labels(tmp_path / "t.csv.gz", BASE)
    assert len(table.items) == 20
    assert not any(np.isnan(values).any() for values in table.gold.values.values())
    with gzip.open(tmp_path / "t.csv.gz", "rt", newline="") as file:
        for at, row in enumerate(csv.DictReader(file)):
            state = int(table.gold.values["expression"][at])
            assert BASE.variables["expression"].states[state] == row["expression"]
            assert table.gold.values["valence"][at] == float(row["valence"])


def test_tables_of_data_frames_are_read(tmp_path):
    """Gaps make floats of whole numbers, NaN of blanks and numbers of subjects."""
    plain = read(tmp_path, "a.csv", "item,AU1,AU2,subject\nx,1.0,,7\ny,0.0,TRUE,8\n", "subject")
    rows = [
        {"item": "x", "AU1": 1.0, "AU2": math.nan, "subject": 7.0},
        {"item": "y", "AU1": False, "AU2": np.int64(1), "subject": 8},
    ]
    same(plain, labels_from(rows, BASE, "subject"))
    columns = {"item": ["x", "y"], "AU1": [1.0, 0.0], "AU2": [None, True], "subject": [7, 8]}
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    same(plain, read_labels(path, BASE, "subject"))


def test_rows_of_an_item_are_put_together(tmp_path):
    text = "item,expression,AU1,subject\na,fear,,s\nb,anger,0,\na,,1,\na,fear,,s\nb,,,t\n"
    table = read(tmp_path, "g.csv", text, "subject")
    same(table, read(tmp_path, "h.csv", "item,expression,AU1,subject\na,fear,1,s\nb,anger,0,t\n", "subject"))


def test_gold_and_groups_of_other_items(tmp_path):
    table = read(tmp_path, "g.csv", "item,valence,subject\na,0.5,s\nb,-1,\n", "subject")
    np.testing.assert_array_equal(
        table.gold_of(["b", "c", "a", "a"]).values["valence"], [-1, math.nan, 0.5, 0.5]
    )
    assert table.groups_of(["b", "c", "a"]) == (None, None, "s")
    assert table.rows_of(["b", "c", "a"]).tolist() == [1, -1, 0]


def test_another_base_has_other_columns(tmp_path):
    path = tmp_path / "g.jsonl"
    path.write_text('{"item": "a", "disease": "drought", "humidity": 55, "wilting": true}\n')
    table = read_labels(path, PLANTS)
    assert {name: values.tolist() for name, values in table.gold.values.items()} == {
        "disease": [3.0],
        "wilting": [1.0],
        "humidity": [55.0],
    }


FAULTY = {
    "unknown column": (
        "g.csv",
        "item,expresion\na,fear\n",
        ["g.csv:1: expresion: no such column: 'expresion'; did you mean expression?"],
    ),
    "unknown key": (
        "g.jsonl",
        '{"item": "a", "AU1": 1}\n{"item": "b", "smile": 1}\n{"item": "c", "smile": 1}\n',
        ["g.jsonl:2: smile: no such column: 'smile'; allowed are "],
    ),
    "derived": ("g.csv", "item,quadrant\na,+\n", ["g.csv:1: quadrant: is derived from other variables"]),
    "level": (
        "g.csv",
        "item,action_units\na,AU1\n",
        ["g.csv:1: action_units: is a level; its variables are columns: AU1, AU2, AU4, AU5, ..."],
    ),
    "cells": (
        "g.csv",
        "item,expression,valence,AU1\na,hapiness,1.5,yes\n\nb,fear,-2,0.5\nc,,x,\n,fear,,\n",
        [
            "g.csv:2: expression: no such state: 'hapiness'; did you mean happiness?",
            "g.csv:2: valence: met '1.5' (a text); allowed is a number from -1 to 1",
            "g.csv:2: AU1: met 'yes' (a text); allowed are 0, 1, true and false",
            "g.csv:4: valence: met '-2' (a text); allowed is a number from -1 to 1",
            "g.csv:4: AU1: met '0.5' (a text); allowed are 0, 1, true and false",
            "g.csv:5: valence: met 'x' (a text); allowed is a number from -1 to 1",
            "g.csv:6: item: missing; allowed is a text that is not empty",
        ],
    ),
    "kinds": (
        "g.jsonl",
        '{"item": 7.5, "AU1": 1}\n{"item": "b", "expression": 3, "AU1": [1], "valence": true}\n[1]\n',
        [
            "g.jsonl:1: item: met 7.5 (a number); allowed is a text that is not empty",
            "g.jsonl:2: expression: met 3 (a number); allowed are anger, ",
            "g.jsonl:2: AU1: met [1] (a list); allowed are 0, 1, true and false",
            "g.jsonl:2: valence: met True (a truth value); allowed is a number from -1 to 1",
            "g.jsonl:3: a row is an object with named fields; met [1] (a list)",
        ],
    ),
    "contradiction": (
        "g.csv",
        "item,expression,valence,AU1\na,fear,0.5,1\nb,,,\na,,0.25,\na,anger,,1\n",
        [
            "g.csv:4: valence: item 'a' is 0.25 here and 0.5 at g.csv:2",
            "g.csv:5: expression: item 'a' is anger here and fear at g.csv:2",
        ],
    ),
    "no item": (
        "g.csv",
        "name,expression\na,fear\n",
        [
            "g.csv:1: name: no such column: 'name'; did you mean item?",
            "g.csv:1: item: no such column; there are name, expression",
        ],
    ),
    "a person": (
        "g.csv",
        "item,AU1,person\na,1,p\n",
        ["g.csv:1: person: no such column: 'person'; allowed are arousal, expression, item, "],
    ),
    "samples": (
        "g.jsonl",
        '{"item": "a", "observer": "cnn", "question": "joint", "draw": 0, "AU1": 1}\n' * 3,
        ["g.jsonl:1: these are samples (observer, question, ...) and not labels; gold has item and "],
    ),
    "a table of samples": (
        "g.csv",
        "item,observer,question,draw,expression\na,cnn,joint,0,fear\n",
        ["g.csv:1: these are samples (observer, question, ...) and not labels; gold has item and "],
    ),
    "a list": ("g.json", '[{"item": "a", "AU1": 1}]', ["g.json:1: is one list of JSON; needed is "]),
    "twice": ("g.csv", "item,AU1,AU1\na,1,0\n", ["g.csv:1: AU1: the header names this column twice"]),
    "cells are missing": (
        "g.csv",
        "item,AU1\na\nb,2\n",
        [
            "g.csv:2: met 1 cells; the header names 2 columns",
            "g.csv:3: AU1: met '2' (a text); allowed are 0, 1, true and false",
        ],
    ),
    "empty": ("g.csv", "", ["g.csv:1: the file is empty"]),
    "blank": ("g.jsonl", "\n \n", ["g.jsonl:1: no labels: there is no row"]),
    "header only": ("g.csv", "item,AU1\n", ["g.csv:1: no labels: there is no row"]),
    "nothing known": ("g.csv", "item\na\n", ["g.csv:1: no column is a variable; they are AU1, "]),
    "not UTF-8": (
        "g.csv",
        b"item,AU1\na,1\n\xff,2\n",
        ["g.csv:3: not UTF-8 text: met the byte 0xff; save the file as UTF-8"],
    ),
    "not JSON": (
        "g.jsonl",
        '{"item": "a", "AU1": 3}\n{"item": \n{"item": "a", "AU1": 4}\n',
        [
            "g.jsonl:1: AU1: met 3 (a number)",
            "g.jsonl:2:9: truncated JSON",
            "g.jsonl:3: AU1: met 4 (a number)",
        ],
    ),
    "a key twice": (
        "g.jsonl",
        '{"item": "a", "AU1": 1}\n{"item": "b", "AU1": 1, "AU1": 0}\n',
        ["g.jsonl:2:25: AU1: is given twice"],
    ),
    "gzip": ("g.csv.gz", "item\n", ["g.csv.gz:1: is named .gz but holds no gzip data"]),
    "parquet": ("g.parquet", "item,AU1\n", ["g.parquet: not a parquet file that can be read: "]),
}


@pytest.mark.parametrize("name", FAULTY)
def test_faults_come_all_at_once(tmp_path, name):
    file, text, wanted = FAULTY[name]
    messages = faults(tmp_path, file, text)
    assert len(messages) == len(wanted), messages
    for line, start in zip(messages, wanted, strict=True):
        assert line.startswith(start)


def test_faults_of_parquet(tmp_path):
    def read_table(**columns):
        path = tmp_path / "g.parquet"
        pyarrow.parquet.write_table(pyarrow.table(columns), path)
        return faults(tmp_path, "g.parquet", path.read_bytes())

    assert read_table(item=[True, False], AU1=[[1], [0]]) == [
        "g.parquet: item: is a column of bool; allowed is text and whole numbers",
        "g.parquet: AU1: is a column of list<element: int64>; allowed is text, numbers and truth values",
    ]
    assert read_table(item=["a", "b"], valence=[0.5, 7]) == [
        "g.parquet: row 2: valence: met 7.0 (a number); allowed is a number from -1 to 1"
    ]


def test_faults_have_an_end(tmp_path):
    messages = faults(tmp_path, "g.csv", "item,AU1\n" + "a,2\n" * 1050)
    assert len(messages) == 21
    assert messages[-1] == "... and 1,030 more"


def test_columns_of_groups(tmp_path):
    assert faults(tmp_path, "g.csv", "item,AU1,subjects\na,1,s\n", "subject") == [
        "g.csv:1: subjects: no such column: 'subjects'; did you mean subject?",
        "g.csv:1: subject: no such column; there are item, AU1, subjects",
    ]
    assert faults(tmp_path, "g.jsonl", '{"item": "a", "AU1": 1}\n', "subject") == [
        "g.jsonl:1: subject: no such column"
    ]
    assert faults(tmp_path, "g.csv", "item,AU1,s\na,1,x\na,1,y\n", "s") == [
        "g.csv:3: s: item 'a' is y here and x at g.csv:2"
    ]
    for name in ("item", "AU1"):
        assert faults(tmp_path, "g.csv", "item,AU1\na,1\n", name)[0].startswith(
            f"{name}: cannot be the column of groups"
        )


def test_files_that_cannot_be_read(tmp_path):
    for ending in ("csv", "jsonl", "parquet"):
        with pytest.raises(AnswerError, match=r"none\.\w+: [Nn]o such file"):
            read_labels(tmp_path / f"none.{ending}", BASE)


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"item": st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)},
            optional={
                "expression": st.sampled_from([None, *BASE.variables["expression"].states]),
                "valence": st.none() | st.floats(-1, 1),
                "AU1": st.sampled_from([None, 0, 1, True, False]),
            },
        ),
        min_size=1,
        unique_by=lambda row: row["item"],
    )
)
def test_what_is_written_is_read(rows):
    rows[0].setdefault("AU1", 1)
    table = labels_from((json.loads(json.dumps(row)) for row in rows), BASE)
    assert table.items == tuple(row["item"] for row in rows)
    for name, values in table.gold.values.items():
        variable = BASE.variables[name]
        for row, value in zip(rows, values.tolist(), strict=True):
            cell = row.get(name)
            if cell is None:
                assert math.isnan(value)
            else:
                assert value == (variable.states.index(cell) if variable.kind == "categorical" else cell)
