"""`seke.infer` from frames to frames: the same as from files to files, and errors that say what to mend."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sys
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import seke
from engine import AnswerError, SekeError
from seke.tables.record_reader import posterior_records

EXAMPLES = Path(__file__).parents[3] / "examples"
FACES = EXAMPLES / "faces" / "samples.jsonl"
BASE = seke.knowledge()
PLANTS, SPRINKLER = EXAMPLES / "plants", EXAMPLES / "sprinkler"
ROWS = [json.loads(line) for line in FACES.read_text("utf-8").splitlines() if line.strip()]
# Rows whose cells have one type a column, as frames of polars and Arrow need it.
SIMPLE = [
    {
        key: row.get(key)
        for key in ("item", "observer", "question", "draw", "expression", "valence", "arousal")
    }
    | {"AU12": row["action_units"].get("AU12") if isinstance(row.get("action_units"), dict) else None}
    for row in ROWS
    if isinstance(row.get("expression"), str)
][:12]


@pytest.fixture(scope="module")
def records():
    """The records of the shipped examples, as from a file."""
    return list(seke.infer(FACES, BASE))


@pytest.fixture(scope="module")
def result():
    """The same from a frame of pandas, in which some columns hold values of several kinds."""
    inferred = seke.infer(pd.DataFrame(ROWS), BASE)
    inferred.to_arrow()
    return inferred


def frame(**columns):
    return pd.DataFrame(SIMPLE).assign(**columns)


def test_a_frame_says_what_its_rows_say_as_a_file(records, result):
    assert list(result) == records
    assert next(result) == records[0]  # begins anew
    assert next(result) == records[1]
    assert len(result) == len(records)
    assert result["one-answer"] == next(r for r in records if r["item"] == "one-answer")
    assert result[0] == records[0]
    assert result[-1] == records[-1]
    for name, error, problem in (
        ("one-anwser", KeyError, "did you mean one-answer"),
        (len(records), IndexError, f"there are {len(records)} items"),
        (0.5, TypeError, "an item's name, or its place"),
    ):
        with pytest.raises(error, match=problem):
            result[name]
    simple = list(
        seke.infer(
            [{k: v for k, v in row.items() if v is not None and k != "AU12"} for row in SIMPLE[:4]], BASE
        )
    )
    table = pl.DataFrame(SIMPLE[:4]).drop("AU12")
    stream = pa.RecordBatchReader.from_batches(table.to_arrow().schema, table.to_arrow().to_batches())
    indexed = table.to_pandas().set_index("item")
    for source in (table, table.to_arrow(), stream, indexed, [table[:2], table.to_pandas()[2:]]):
        assert list(seke.infer(source, BASE)) == simple
    numbers = table.to_pandas().assign(item=7, draw=range(4))
    assert next(seke.infer(numbers, BASE))["item"] == "7"


def test_the_table_has_one_flat_row_an_item(records, result, tmp_path):
    table = result.to_pandas()
    assert list(table["item"]) == [record["item"] for record in records]
    assert list(table.columns[:11]) == [
        *("item", "expression", "expression_probability", "valence", "valence_pm", "arousal", "arousal_pm"),
        *("action_units", "decision", "basis", "why"),
    ]
    for row, record in zip(table.to_dict("records"), records, strict=True):
        assert row["decision"] == record["decision"]["item"]
        for state, p in record["expression"].items():
            assert row[f"expression.{state}"] == p
        for unit, p in record["action_units"].items():
            assert row[f"action_units.{unit}"] == p
        if pd.isna(row["expression"]):  # of the prior alone nothing is said
            diagnostics = record["diagnostics"]
            unread = sum(diagnostics[name] for name in ("refused", "unreadable", "not_judged"))
            assert diagnostics["samples"] == unread
            assert pd.isna(row["valence"])
            continue
        assert row["expression_probability"] == record["expression"][row["expression"]]
        assert row["valence"] == record["valence"]["mean"]
        half = (record["arousal"]["q95"] - record["arousal"]["q05"]) / 2
        assert row["arousal_pm"] == pytest.approx(half, abs=1e-6)
        levels = record["decision"]["levels"]
        likely = [unit for unit, p in record["action_units"].items() if p >= 0.5]
        marked = [unit + "?" * (levels[unit]["decision"] != "accept") for unit in likely]
        assert row["action_units"].split() == marked
    assert result.to_polars().equals(pl.DataFrame(result))
    assert (
        "scale from -1 to 1" in result.to_arrow().schema.field("valence_pm").metadata[b"description"].decode()
    )
    # Written by pandas it is a file of records, which every command reads.
    table.to_csv(tmp_path / "r.csv", index=False)
    table.to_parquet(tmp_path / "r.parquet")
    table.to_json(tmp_path / "r.jsonl", orient="records", lines=True)
    for name in ("r.csv", "r.parquet", "r.jsonl"):
        assert list(posterior_records(tmp_path / name)) == records
    gold = table[["item", "expression"]].dropna().assign(valence=float("nan"))
    reports = [
        seke.score(s, gold, BASE, bootstrap=0)
        for s in (table, result, tmp_path / "r.jsonl", tmp_path / "r.csv")
    ]
    scores = [report.facts["predictions"][0]["variables"] for report in reports]
    assert scores[0]["expression"]["scores"]["accuracy"]["value"] == 1
    assert scores[1:] == scores[:1] * 3


def test_other_bases_have_the_same_kind_of_table():
    inferred = seke.infer(PLANTS / "samples.jsonl", PLANTS / "knowledge")
    table, base = inferred.to_pandas(), inferred.knowledge
    for row, record in zip(table.to_dict("records"), inferred, strict=True):
        p = record["posteriors"][base.root]
        if not pd.isna(row[base.root]):
            assert row[f"{base.root}_probability"] == p[row[base.root]]
        assert row[f"posteriors.{base.root}.{next(iter(p))}"] == next(iter(p.values()))


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (
            frame().rename(columns={"expression": "expresion"}),
            r"^frame: expresion: .*did you mean expression\?$",
        ),
        (frame().rename(columns={"item": "Item"}), r"^frame: Item: .*did you mean item\?$"),
        (frame().drop(columns="item"), r"^frame: item: no such column; needed are item, observer, [\w, ]+$"),
        (frame().set_index("item").rename_axis(None), r'item: no such column.*frame\.rename_axis\("item"\)'),
        (frame()[:0], r"^frame: no samples: it has no rows$"),
        (pd.DataFrame(), r"^frame: item: no such column"),
        (
            pd.concat([frame(), frame()[:1]]),
            r"^frame row 13: draw: .* already at frame row 1\nrows of a frame",
        ),
        (
            frame(valence=["high", *[0.1] * 11]),
            r"^frame row 1: valence: met 'high' \(a text\); allowed is a num",
        ),
        (frame(AU12=[None, 0.3, "maybe", *[1] * 9]), r"^frame row 3: .*AU12: met 'maybe'"),
        (
            frame(expression=["hapy", *["fear"] * 11]),
            r"row 1: expression: .*'hapy'.*happiness.*\nrows .* from 1",
        ),
        ([frame(), frame(item="x", draw=-1)[:1]], r"^frame 2 row 1: draw: met -1"),
        (pd.concat([frame(), frame()[["draw"]]], axis=1), r"^frame: draw: 2 columns have this name$"),
        (pl.DataFrame(SIMPLE).lazy(), r"met a LazyFrame; .*\.collect\(\)"),
        (pl.Series([1, 2]), r"^frame: cannot be read: "),
        ({"item": ["a"]}, r"met a dict; allowed are a file, a frame"),
    ],
)
def test_what_is_wrong_with_a_frame_is_said_with_its_place(source, problem):
    with pytest.raises(AnswerError, match=problem):
        seke.infer(source, BASE).to_arrow()


def test_columns_are_checked_before_anything_is_inferred():
    with pytest.raises(AnswerError, match="did you mean"):
        seke.infer(frame().rename(columns={"item": "Item"}), BASE)


def test_what_cannot_be_inferred_from_is_a_fault_of_the_call(tmp_path):
    for samples, problem in (
        ("nofile", "^nofile: no such file$"),
        ([FACES, tmp_path], "is a directory; name the files in it"),
        (3, "met an int; allowed are a file"),
        (None, "met a NoneType; allowed are a file"),
    ):
        with pytest.raises(AnswerError, match=problem):
            seke.infer(samples, BASE)
    for options, problem in (
        ({"knowledge": "spontanous"}, "did you mean spontaneous"),
        ({"knowledge": BASE, "population": "uniforn"}, "'uniforn'; did you mean uniform?"),
    ):
        with pytest.raises(SekeError, match=problem):
            seke.infer(FACES, **options)


def test_many_items_are_shown_before_they_are_inferred_and_few_are_kept(tmp_path):
    one = frame().drop(columns="AU12")
    many = pd.concat([one[:1].assign(item=f"face-{number}") for number in range(501)])
    many = pd.concat([many, one[1:2].assign(item="face-3", draw=1)])  # the answers of an item stand apart
    many.to_csv(tmp_path / "s.csv", index=False)
    many.to_json(tmp_path / "s.jsonl", orient="records", lines=True)
    shown = []
    for samples in (many, tmp_path / "s.csv", tmp_path / "s.jsonl", many.to_dict("records")):
        inferred = seke.infer(samples, BASE)
        shown.append(inferred._repr_html_())
        assert "to infer" in repr(inferred)  # nothing else was
        assert shown[-1].count("<tr>") == 11
        assert "what is decided depends on all items" in shown[-1]
    assert "<td>face-9</td>" in shown[0]
    assert "501 items, not inferred yet" in shown[0]
    assert shown[3] == shown[0]
    assert shown[1:3] == [shown[0].replace("501 items", "At least 500 items")] * 2
    with pytest.raises(TypeError, match=r"known once they are inferred: call to_pandas\(\)"):
        len(seke.infer(tmp_path / "s.csv", BASE))
    assert len(seke.infer(many, BASE)) == 501
    first = list(seke.infer(many[many["item"].isin([f"face-{number}" for number in range(10)])], BASE))
    for record in first:
        name = max(record["expression"], key=record["expression"].get)
        assert f"<td>{record['item']}</td><td>{name} {record['expression'][name]:.2f}</td>" in shown[0]
    alone = seke.infer(many[:501], BASE, in_order=True)._repr_html_()
    assert "with what is decided about them" in alone
    assert "<th>why</th>" in alone
    one.to_csv(tmp_path / "few.csv", index=False)
    few = seke.infer(tmp_path / "few.csv", BASE)
    as_inferred = list(few)
    assert "<th>why</th>" in few._repr_html_()
    (tmp_path / "few.csv").unlink()  # what is kept is not read and inferred again
    assert list(few) == as_inferred


def interrupt_stage(stage, done, total):
    raise KeyboardInterrupt


def test_an_interrupt_says_what_is_kept_and_the_next_call_goes_on(monkeypatch):
    rows = [json.loads(line) for line in (PLANTS / "samples.jsonl").read_text("utf-8").splitlines() if line]
    many = pd.DataFrame([{**rows[0], "item": f"plant-{number}"} for number in range(2500)])
    counted = []

    def interrupt(done, total):
        counted.append((done, total))
        if done == 2048 and counted.count((2048, 2500)) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    inferred = seke.infer(many, PLANTS / "knowledge", progress=interrupt)
    with pytest.raises(
        KeyboardInterrupt, match=r"^interrupted: 2,048 of 2,500 items were inferred and are kept"
    ):
        inferred.to_arrow()
    assert "to infer" in repr(inferred)
    assert inferred.to_arrow()["item"].to_pylist() == list(many["item"])
    assert counted == [(0, 2500), (2048, 2500), (2048, 2500), (2500, 2500)]
    assert inferred.notes()[0].startswith("2,500 samples of 2,500 items: ")
    with pytest.raises(
        KeyboardInterrupt, match=r"^interrupted in the stage 'reading'; nothing was written, and"
    ):
        seke.calibrate(frame(), BASE, gold=frame()[["item", "expression"]][:1], progress=interrupt_stage)
    stream = io.TextIOWrapper(io.BytesIO((PLANTS / "samples.jsonl").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stream)
    once = seke.infer("-", PLANTS / "knowledge")
    assert len(list(once)) > 1
    with pytest.raises(SekeError, match="came from a stream, which is read once"):
        list(once)


def test_a_notebook_shows_results_in_escaped_html_without_scripts(result):
    evil = "<script>alert('x')</script>"
    sprinkler = [json.loads((SPRINKLER / "samples.jsonl").read_text("utf-8").splitlines()[0])]
    shown = [
        seke.infer(pd.DataFrame(ROWS[:1]).assign(item=evil), BASE),
        seke.explain(pd.DataFrame(sprinkler).assign(item=evil), evil, SPRINKLER / "knowledge"),
        result,
        BASE,
        seke.show("fear", BASE),
        seke.diff("shipped", EXAMPLES / "overlay" / "one-cell.yaml"),
    ]
    for value in shown:
        html = value._repr_html_()
        assert not re.search(r"<script|https?:|<link|<img|url\(", html)
        assert not re.search(r"[^-]color:(?!inherit)", html)  # light and dark pages have their own
        assert "\n" not in repr(value)
        assert len(repr(value)) < 220
    for value in shown[:2]:
        assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in value._repr_html_()
    # As on a terminal.
    assert "<td>● accept*</td>" in result._repr_html_()
    assert "<td>AU6? AU12 AU25?</td>" in result._repr_html_()
    assert "? likely, but not accepted" in result._repr_html_()
    assert "4 of 5 accepted items rest on numbers that were not calibrated" in result._repr_html_()
    assert repr(result).startswith("<146 samples of 33 items: 5 accept, 22 requery, 6 reject")


def test_a_lacking_package_is_met_by_the_command_that_installs_it(result, monkeypatch):
    for name, method in (("polars", result.to_polars), ("pandas", result.to_pandas)):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(SekeError, match=rf"need {name}, .* pip install 'seke\[notebook\]'"):
            method()
        monkeypatch.undo()
    for name in ("tqdm.auto", "tqdm"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SekeError, match="need tqdm"):
        seke.infer(ROWS[:1], BASE, progress=True).to_arrow()


def test_a_text_bar_is_shown_where_it_is_asked_for(capsys):
    seke.infer(frame()[:1], BASE, progress=True).to_arrow()
    # Further states of it come by a clock, and a quick table may have none.
    assert re.search(r"inferring: +0%.* 0/1 ", capsys.readouterr().err)
