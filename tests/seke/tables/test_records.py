"""Writing posterior records: every format says the same, and a target is whole or untouched."""

from __future__ import annotations

import csv
import gzip
import io
import json
import pickle
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import seke
from engine import SekeError
from seke.cli.main import main
from seke.datasets.manifest import items_of
from seke.files.rows import as_written, without_formula
from seke.tables.record_reader import posterior_records
from seke.tables.record_writer import Writer

if TYPE_CHECKING:
    from pathlib import Path


def record(item: str, **changes: Any) -> dict[str, Any]:
    return {
        "item": item,
        "expression": {"anger": 0.25, "neutral": 0.75},
        "valence": {"mean": -0.5, "sd": 0.125, "q05": -0.75, "q95": 0.0},
        "decision": {
            "item": "reject",
            "levels": {
                "expression": {"decision": "accept", "value": "neutral", "risk": 0.25, "basis": "declared"},
                "valence": {"decision": "accept", "value": -0.5, "risk": 0.125, "basis": "calibrated"},
                "AU1": {"decision": "reject", "value": None, "risk": 0.5, "basis": None},
            },
            "next": None,
            "reasons": ["conflict"],
        },
        "diagnostics": {"samples": 5, "violations": []},
        **changes,
    }


ASKING = {"question": "joint", "about": ["AU1"], "view": "face", "samples": 4, "gain": 0.5}
RECORDS = [
    record("a"),
    record('b, "ü"\n', diagnostics={"samples": 1, "violations": [{"rule": "r", "probability": 1.0}]}),
    record(
        "c",
        decision={
            **record("c")["decision"],
            "next": ASKING,
            "reasons": [],
            "levels": {
                "expression": {"decision": "reject", "value": None, "risk": 0.5, "basis": None},
                "valence": {"decision": "reject", "value": None, "risk": 0.5, "basis": None},
                "AU1": {"decision": "accept", "value": True, "risk": 0.0, "basis": "declared"},
            },
        },
    ),
]


def write(path: Path, records: list[dict[str, Any]] = RECORDS) -> Path:
    with Writer(path) as writer:
        writer.write(records[:1])
        writer.write(records[1:])
    return path


def test_json_lines_hold_the_records_as_they_are(tmp_path: Path) -> None:
    text = write(tmp_path / "o.jsonl").read_text()
    assert [json.loads(line) for line in text.splitlines()] == RECORDS
    packed = write(tmp_path / "o.jsonl.gz").read_bytes()
    assert gzip.decompress(packed).decode() == text


def test_gzip_files_of_equal_records_are_equal(tmp_path: Path) -> None:
    assert write(tmp_path / "1.csv.gz").read_bytes() == write(tmp_path / "2.csv.gz").read_bytes()


def test_csv_flattens_with_dots(tmp_path: Path) -> None:
    text = write(tmp_path / "o.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["item"] for row in rows] == [each["item"] for each in RECORDS]
    assert rows[0] == {
        "item": "a",
        "expression.anger": "0.25",
        "expression.neutral": "0.75",
        "valence.mean": "-0.5",
        "valence.sd": "0.125",
        "valence.q05": "-0.75",
        "valence.q95": "0.0",
        "decision.item": "reject",
        "decision.levels.expression.decision": "accept",
        "decision.levels.expression.value": "neutral",
        "decision.levels.expression.risk": "0.25",
        "decision.levels.expression.basis": "declared",
        "decision.levels.valence.decision": "accept",
        "decision.levels.valence.value": "-0.5",
        "decision.levels.valence.risk": "0.125",
        "decision.levels.valence.basis": "calibrated",
        "decision.levels.AU1.decision": "reject",
        "decision.levels.AU1.value": "",
        "decision.levels.AU1.risk": "0.5",
        "decision.levels.AU1.basis": "",
        "decision.next": "",
        "decision.reasons": '["conflict"]',
        "diagnostics.samples": "5",
        "diagnostics.violations": "[]",
    }
    assert json.loads(rows[1]["diagnostics.violations"]) == [{"rule": "r", "probability": 1.0}]
    assert json.loads(rows[2]["decision.next"]) == ASKING
    assert rows[2]["decision.levels.AU1.value"] == "true"
    assert gzip.decompress(write(tmp_path / "o.csv.gz").read_bytes()).decode() == text


def test_csv_refuses_a_record_of_other_columns(tmp_path: Path) -> None:
    with (
        pytest.raises(SekeError, match=r"item 'b': other columns than before: quadrant\.q1"),
        Writer(tmp_path / "o.csv") as writer,
    ):
        writer.write([record("a"), record("b", quadrant={"q1": 1.0})])
    assert list(tmp_path.iterdir()) == []


def test_parquet_has_one_schema_whatever_was_decided(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    straight = parquet.read_table(write(tmp_path / "1.parquet"))
    backward = parquet.read_table(write(tmp_path / "2.parquet", RECORDS[::-1]))
    assert straight.schema == backward.schema
    rows = straight.to_pylist()
    assert [row["expression"] for row in rows] == [each["expression"] for each in RECORDS]
    assert [row["diagnostics"]["samples"] for row in rows] == [5, 1, 5]
    assert [row["decision"]["reasons"] for row in rows] == [["conflict"], ["conflict"], []]
    levels = [row["decision"]["levels"] for row in rows]
    assert [level["expression"]["value"] for level in levels] == ["neutral", "neutral", None]
    assert [level["valence"]["value"] for level in levels] == ["-0.5", "-0.5", None]
    assert [level["AU1"]["value"] for level in levels] == [None, None, "true"]
    assert rows[0]["decision"]["next"] is None
    assert json.loads(rows[2]["decision"]["next"]) == ASKING
    assert json.loads(rows[1]["diagnostics"]["violations"])[0]["rule"] == "r"


def test_what_values_rest_on_is_a_text_though_the_first_is_open(tmp_path: Path) -> None:
    """Null where a value is not accepted, so that the first record need not say what kind of column it is."""
    parquet = pytest.importorskip("pyarrow.parquet")
    kept = {"decision": "accept", "value": "fear", "risk": 0.01, "basis": "declared"}
    levels = [{"e": {**kept, "decision": "reject", "basis": None}}, {"e": kept}]
    records = [record(str(number), decision={"levels": level}) for number, level in enumerate(levels)]
    rows = parquet.read_table(write(tmp_path / "o.parquet", records)).to_pylist()
    assert [row["decision"]["levels"]["e"]["basis"] for row in rows] == [None, "declared"]


def test_no_records_make_an_empty_file(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert write(tmp_path / "o.jsonl", []).read_text() == ""
    assert write(tmp_path / "o.csv", []).read_text() == ""
    assert parquet.read_table(write(tmp_path / "o.parquet", [])).num_rows == 0


@pytest.mark.parametrize("name", ["o.jsonl", "o.csv", "o.csv.gz", "o.parquet"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_target_is_untouched_where_the_work_fails(
    tmp_path: Path, name: str, error: type[BaseException]
) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    target = tmp_path / name
    target.write_text("before")

    def failing_work() -> None:
        with Writer(target) as writer:
            writer.write(RECORDS)
            raise error

    with pytest.raises(error):
        failing_work()
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_a_target_appears_when_all_is_written(tmp_path: Path) -> None:
    target = tmp_path / "o.jsonl"
    with Writer(target) as writer:
        writer.write(RECORDS)
        assert not target.exists()
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("o.json", ": unknown ending; allowed are .jsonl, .jsonl.gz, .csv, .csv.gz, .parquet"),
        (
            "o.parquet.gz",
            ": unknown ending; allowed are .jsonl, .jsonl.gz, .csv, .csv.gz, .parquet",
        ),
        ("none/o.jsonl", ": no such directory: {folder}/none"),
        ("file.txt/o.jsonl", ": {folder}/file.txt is not a directory"),
        ("dir.csv", ": is a directory; name a file"),
    ],
)
def test_a_target_that_cannot_be_written_is_told_before_any_work(
    tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "file.txt").write_text("")
    (tmp_path / "dir.csv").mkdir()
    with pytest.raises(SekeError) as caught:
        Writer(tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name}" + message.replace("{folder}", str(tmp_path))


def test_a_target_directory_that_goes_away_is_an_error_in_words(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    writer = Writer(folder / "o.jsonl")
    folder.rmdir()
    with pytest.raises(SekeError) as caught, writer:
        raise AssertionError
    assert str(caught.value) == f"{folder / 'o.jsonl'}: cannot be written: No such file or directory"


def test_a_missing_pyarrow_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SekeError) as caught:
        Writer(tmp_path / "o.parquet")
    assert str(caught.value) == (
        f"{tmp_path / 'o.parquet'}: writing parquet needs pyarrow, which is not installed"
        " (pyarrow); install it with: pip install pyarrow"
    )


@pytest.mark.parametrize("kind", [io.StringIO, io.BytesIO])
def test_without_a_path_json_lines_go_to_a_stream(kind: type[Any]) -> None:
    stream = kind()
    with Writer(None, stream=stream) as writer:
        writer.write(RECORDS)
    text = stream.getvalue()
    lines = (text.decode() if isinstance(text, bytes) else text).splitlines()
    assert [json.loads(line) for line in lines] == RECORDS


def test_the_default_stream_is_the_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with Writer(None) as writer:
        writer.write(RECORDS[:1])
    assert json.loads(capsys.readouterr().out) == RECORDS[0]


def test_a_broken_pipe_is_left_to_the_caller() -> None:
    class Broken(io.StringIO):
        def write(self, _text: str, /) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError), Writer(None, stream=Broken()) as writer:
        writer.write(RECORDS)


# Spreadsheets --------------------------------------------------------------------------------------

FORMULAS = ("=1+1", "+x", "-x", "@SUM(A1)", "\tx", "\rx", "'=x", "''=x", "'x", "x=1", "5", "", "'")


@given(st.text(max_size=6) | st.sampled_from(FORMULAS))
def test_a_text_is_no_formula_and_read_as_it_was(text):
    safe = without_formula(text)
    assert safe[:1] not in ("=", "+", "-", "@", "\t", "\r")
    assert as_written(safe) == text


@pytest.mark.parametrize("exact", [False, True])
def test_names_that_a_spreadsheet_would_execute_are_kept_from_that(tmp_path, exact):
    names = ["=cmd|' /C calc'!A0", "-1+1", "@x", "plain"]
    samples = tmp_path / "s.jsonl"
    key = {"observer": "gpt-4o", "question": "expression", "draw": 0, "expression": "fear"}
    samples.write_text("".join(json.dumps({"item": name, **key}) + "\n" for name in names))
    arguments = ["infer", str(samples), "-o", str(tmp_path / "p.csv"), *(["--exact-csv"] if exact else [])]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    before = "" if exact else "'"
    assert [row["item"] for row in rows] == [*(before + name for name in names[:3]), "plain"]
    # Numbers are numbers, also where a minus stands before them.
    assert all(float(row["valence.mean"]) < 0 for row in rows)
    assert [record["item"] for record in posterior_records(tmp_path / "p.csv")] == names


@pytest.mark.parametrize("exact", [False, True])
def test_every_command_that_writes_names_into_csv_keeps_them_from_that(tmp_path, exact):
    """A data set in a folder `=set` is listed, asked about and simulated."""
    picture = tmp_path / "=set" / "train" / "5" / "train_1_aligned.jpg"
    picture.parent.mkdir(parents=True)
    Image.new("RGB", (20, 20)).save(picture)
    manifest, run, truth = tmp_path / "m.csv", tmp_path / "run", tmp_path / "t.csv"
    commands = (
        ("import", "rafdb", tmp_path / "=set", "-o", manifest),
        ("bench", "run", "--images", manifest, "--run", run, "--scripted"),
        ("simulate", "--items", "2", "--draws", "1", "-o", tmp_path / "s.jsonl", "--truth", truth),
    )
    for command in commands:
        given = [*map(str, command), *(["--exact-csv"] if exact else [])]
        result = CliRunner().invoke(main, given)
        assert result.exit_code == 0, result.output
    with manifest.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["path"] == ("" if exact else "'") + "=set/train/5/train_1_aligned.jpg"
    (item,) = items_of([str(manifest)], seke.knowledge())
    assert item.path == picture


@pytest.mark.parametrize("ending", [".jsonl", ".csv.gz", ".parquet"])
def test_batches_that_other_processes_encode_make_the_same_file(tmp_path, ending):
    plain, sent = tmp_path / f"plain{ending}", tmp_path / f"sent{ending}"
    batches = [RECORDS[:1], RECORDS[1:], []]
    with Writer(plain) as one, Writer(sent) as other:
        encoder = pickle.dumps(other.encoder)
        for batch in batches:
            one.write(batch)
            other.write_encoded(pickle.loads(pickle.dumps(pickle.loads(encoder)(batch))))
    assert sent.read_bytes() == plain.read_bytes()
    if ending != ".jsonl":
        # Another process knows nothing of the records before its own.
        different = pickle.loads(encoder)([{**RECORDS[0], "more": 1.0}])
        with Writer(sent) as other:
            other.write(RECORDS)
            with pytest.raises(SekeError, match=r"other columns|another shape"):
                other.write_encoded(different)
