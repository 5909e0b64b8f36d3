"""Every reader of tables reads every format alike, and reports all faults of a file with their places."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import seke
from engine import AnswerError
from seke.benchmarking.predictions import read_predictions
from seke.datasets.manifest import items_of
from seke.files.faults import Faults
from seke.observers.seen import Box
from seke.samples import answers_from, read_batches
from seke.tables.label_table import read_labels
from seke.tables.record_reader import posterior_records

BASE = seke.knowledge()
KEY = {"observer": "gpt-4o", "question": "joint"}
BOX = Box(1.5, 2, 3, 4)


def labels(path):
    table = read_labels(path, BASE)
    return table.items, {name: values.tolist() for name, values in table.gold.values.items()}


def manifest(path):
    return [(item.name, item.path.name, item.group, item.box, item.labels) for item in items_of([path], BASE)]


def predictions(path):
    predicted = read_predictions(path, BASE)
    return predicted.items, {name: column.value.tolist() for name, column in predicted.variables.items()}


def posteriors(path):
    return list(posterior_records(path))


def samples(path):
    (batch,) = read_batches([path], BASE)
    return batch.items, batch.numbers["valence"].value.tolist(), batch.labels["AU12"].reading.tolist()


def plain(name, number):
    return {"item": name, "valence": number, "expression": "fear", "AU1": 1}


def picture(name, number):
    path = None if number == 7 else f"{name}.png"
    return {"path": path, "item": name, "group": "g", "left": 1.5, "top": 2, "width": 3, "height": 4} | {
        "valence": None if number == 7 else number
    }


def predicted(name, number):
    return {"item": name, "valence": {"mean": number}, "action_units": {"AU1": 0.25}}


def inferred(name, number):
    if number == 7:
        return {"item": name, "valence": {"mean": 0.0}}
    return {"item": name, "valence": {"mean": number}, "decision": {"item": "accept", "reasons": ["x"]}}


def sample(name, number):
    return {"item": name, **KEY, "draw": 0, "valence": number, "action_units": ["AU12"]}


# reader, the row of an item with a number (7 is a fault), what the good rows are read as, words of a fault
READERS = {
    "labels": (
        labels,
        plain,
        (("a", "b"), {"expression": [4, 4], "valence": [0.5, -1], "AU1": [1, 1]}),
        "valence: met ",
    ),
    "manifest": (
        manifest,
        picture,
        [("a", "a.png", "g", BOX, {"valence": 0.5}), ("b", "b.png", "g", BOX, {"valence": -1})],
        "path: is missing",
    ),
    "predictions": (
        predictions,
        predicted,
        (("a", "b"), {"valence": [0.5, -1], "AU1": [0, 0]}),
        "valence.mean: met ",
    ),
    "posteriors": (
        posteriors,
        inferred,
        [inferred("a", 0.5), inferred("b", -1.0)],
        "is no posterior record (item, decision, ...); met ",
    ),
    "samples": (
        samples,
        sample,
        (("a", "b"), [0.5, -1], [0, 1]),
        "valence: 7 is out of range; allowed is -1 to 1",
    ),
}
ENDINGS = ("csv", "csv.gz", "jsonl", "jsonl.gz", "parquet")


def cells(row, prefix=""):
    """Return a row as cells of CSV: columns within columns are named with dots, lists are JSON."""
    flat = {}
    for key, value in row.items():
        if isinstance(value, dict):
            flat |= cells(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = json.dumps(value) if isinstance(value, list) else value
    return flat


def write(path, rows):
    if path.name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
        return
    text = io.StringIO()
    if ".csv" in path.name:
        flat = list(map(cells, rows))
        writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)
    else:
        text.writelines(f"{json.dumps(row)}\n" for row in rows)
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)


def report(read, path):
    with pytest.raises(AnswerError) as caught:
        read(path)
    return str(caught.value).replace(f"{path.parent}/", "").splitlines()


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", READERS)
def test_the_same_rows_in_any_format_are_the_same_values(tmp_path, name, ending):
    read, row, values, _ = READERS[name]
    write(tmp_path / f"t.{ending}", [row("a", 0.5), row("b", -1.0)])
    assert read(tmp_path / f"t.{ending}") == values


@pytest.mark.parametrize("name", [name for name in READERS if name != "manifest"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_dash_is_the_standard_input(tmp_path, monkeypatch, name, packed):
    """Not for a manifest, whose pictures lie in its folder."""
    read, row, values, _ = READERS[name]
    path = tmp_path / ("t.jsonl.gz" if packed else "t.jsonl")
    write(path, [row("a", 0.5), row("b", -1.0)])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    assert read("-") == values


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", READERS)
def test_all_faults_of_a_file_come_in_one_report(tmp_path, name, ending):
    read, row, _, words = READERS[name]
    # A table has the same columns in all rows, so that only records may lack a decision.
    uniform = name == "posteriors" and "jsonl" not in ending
    numbers = [7, 7] if uniform else [0.5, 7, -1.0, 7]
    path = tmp_path / f"t.{ending}"
    write(path, [row(f"i{at}", float(number)) for at, number in enumerate(numbers)])
    first = {"csv": "t.csv:2", "csv.gz": "t.csv.gz:2", "parquet": "t.parquet: row 1"}.get(
        ending, f"t.{ending}:1"
    )
    stem, number = first[:-1], int(first[-1])
    lines = report(read, path)
    bad = [at for at, value in enumerate(numbers) if value == 7]
    assert len(lines) == 2
    for at, line in zip(bad, lines, strict=True):
        assert line.startswith(f"{stem}{number + at}: {words}")
    good = [] if uniform else [row(f"g{at}", 0.5) for at in range(5)]
    write(path, good + [row(f"i{at}", 7.0) for at in range(1_025)])
    lines = report(read, path)
    assert len(lines) == 21
    assert lines[0].startswith(f"{stem}{number + len(good)}: {words}")
    assert lines[-1] == "... and 1,005 more"


@pytest.mark.parametrize("name", READERS)
def test_the_header_and_the_length_of_rows_are_checked(tmp_path, name):
    read, row, _, _ = READERS[name]
    path = tmp_path / "t.csv"
    write(path, [row("a", 0.5), row("b", -1.0)])
    header, first, second = path.read_text().splitlines()
    path.write_text(f"{header}\n{first},,x\n\n{second.partition(',')[0]}\n")
    columns = header.count(",") + 1
    expected = [f"t.csv:{line}: met {count} cells; the header names {columns} columns" for line, count in
                ((2, columns + 2), (4, 1))]  # fmt: skip
    assert report(read, path) == expected
    path.write_text(f"{header},item\n{first},x\n")
    assert report(read, path) == ["t.csv:1: item: the header names this column twice"]


def test_lines_that_are_no_records_are_reported_with_what_is_wrong_in_others(tmp_path):
    good, bad = json.dumps(plain("a", 0.5)), json.dumps(plain("b", 7))
    path = tmp_path / "t.jsonl"
    path.write_bytes(f'{bad}\n{good}\n[1]\n{{"item"\n{bad}\n'.encode() + b"\xff\n\0")
    lines = report(labels, path)
    assert len(lines) == 1
    assert lines[0].startswith("t.jsonl:7: met a NUL byte: a binary")
    path.write_bytes(path.read_bytes()[:-1])
    starts = [
        "t.jsonl:1: valence: met 7",
        "t.jsonl:3: a row is an object with named fields; met [1] (a list)",
        "t.jsonl:4:8: truncated JSON",
        "t.jsonl:5: valence: met 7",
        "t.jsonl:6:1: not UTF-8 text: met the byte 0xff",
    ]
    lines = report(labels, path)
    assert [line.startswith(start) for line, start in zip(lines, starts, strict=True)] == [True] * 5


def test_faults_of_several_sample_files_stand_in_their_order(tmp_path):
    bad = {**sample("a", 0.5), "observer": "nobody"}
    write(tmp_path / "1.jsonl", [sample("a", 0.5), bad])
    write(tmp_path / "2.parquet", [bad])
    with pytest.raises(AnswerError) as caught:
        list(read_batches([tmp_path / "1.jsonl", tmp_path / "2.parquet"], BASE))
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{tmp_path}/1.jsonl:2: observer: no such observer: 'nobody'")
    assert second.startswith(f"{tmp_path}/2.parquet: row 1: observer: no such observer: 'nobody'")


def test_parquet_of_samples_has_columns_of_numbers_with_gaps(tmp_path):
    """A draw of a column with a gap is a float, NaN and null are blanks, 0 and 1 are truth values."""
    columns = {
        "item": ["a", "b"],
        "observer": ["gpt-4o", "gpt-4o"],
        "question": ["joint", "joint"],
        "draw": [0.0, 1.0],
        "valence": [np.nan, 0.5],
        "AU1": [1, 0],
        "AU12": [0.25, None],
        "expression": [{"fear": 0.5, "anger": None}, {"fear": None, "anger": 1.0}],
    }
    pq.write_table(pa.table(columns), tmp_path / "s.parquet")
    a = {"action_units": {"AU1": True, "AU12": 0.25}, "expression": {"fear": 0.5}}
    b = {"action_units": {"AU1": False}, "expression": {"anger": 1.0}, "valence": 0.5}
    records = [{"item": "a", **KEY, "draw": 0, **a}, {"item": "b", **KEY, "draw": 1, **b}]
    (batch,), (other,) = read_batches([tmp_path / "s.parquet"], BASE), answers_from(records, BASE)
    assert batch.items == other.items
    for name in ("AU1", "AU12", "expression"):
        for key in ("reading", "answer", "weight"):
            np.testing.assert_array_equal(getattr(batch.labels[name], key), getattr(other.labels[name], key))
    np.testing.assert_array_equal(batch.numbers["valence"].value, other.numbers["valence"].value)


def test_faults_are_kept_by_place_and_only_the_first_are_put_into_words():
    faults, described = Faults(), []

    def describe(number):
        return lambda: described.append(number) or f"line {number}"

    assert not faults
    faults.raise_all()
    faults.note("the end is missing")
    for number in reversed(range(30)):
        faults.note(describe(number), (0, number))
    assert faults
    assert faults.lines() == [*(f"line {number}" for number in range(20)), "... and 11 more"]
    assert described == list(range(20))
