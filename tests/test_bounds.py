"""What a user hands over ends in a fault before it takes the machine's memory or time."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile import report_of

import seke
from engine import AnswerError, SekeError
from seke.exporting.licences import read_licences
from seke.files.memory import memory_bound
from seke.files.parquet import ParquetTable
from seke.files.texts import read_text
from seke.labels import read_labels
from seke.manifest import items_of
from seke.samples.files import read_lines

LABELS = "import seke; from seke.labels import read_labels; read_labels(path, seke.knowledge())"
POSTERIORS = "from seke.posterior_files import posterior_records; list(posterior_records(path))"
PREDICTIONS = "import seke; from seke.bench.predictions import read_predictions as read; "
PREDICTIONS += "read(path, seke.knowledge())"
MANIFEST = "import seke; from seke.manifest import items_of; items_of([path], seke.knowledge())"
READERS = {"labels": LABELS, "posteriors": POSTERIORS, "predictions": PREDICTIONS, "manifest": MANIFEST}


@pytest.fixture(scope="module")
def bombs(tmp_path_factory):
    """Files of less than a megabyte; parquet is made so as not to hold what it unpacks to."""
    folder = tmp_path_factory.mktemp("bombs")
    for name, line in (("lines", b"\n"), ("spaces", b" " * 10_000 + b"\n")):
        with gzip.open(folder / f"{name}.csv.gz", "wb") as file:
            for _ in range(100):
                file.write(line * (1_000_000 // len(line)))
    zeros = np.zeros(200_000, dtype=np.int32)
    for name, size in (("cell", 400_000), ("text", 60_000)):
        repeated = pa.DictionaryArray.from_arrays(zeros, [os.urandom(size // 2).hex()])
        names = pa.DictionaryArray.from_arrays(zeros, ["a"])
        inner = pa.StructArray.from_arrays([repeated], ["item"])
        columns = {"item": repeated, "path": repeated, "decision": inner if name == "text" else names}
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    page = pa.table({"item": ["a"], "path": ["x" * (70 << 20)], "decision": ["b"]})
    pq.write_table(page, folder / "page.parquet", compression="zstd", use_dictionary=False)
    return folder


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("page", "path: {} bytes unpack to 70 MB, most of them of this column; allowed is 20 times"),
        ("cell", "item: met a text of 400,000 bytes; allowed are 65,536"),
        ("text", "row 1: 1,000 rows hold"),
    ],
)
def test_a_parquet_bomb_is_a_fault(bombs, reader, name, fault):
    report = report_of(READERS[reader], bombs / f"{name}.parquet")
    assert f"{name}.parquet: " in report
    assert fault.partition("{} ")[2] in report


@pytest.mark.parametrize("name", ["lines", "spaces"])
@pytest.mark.parametrize("reader", ["labels", "manifest"])
def test_gzip_that_unpacks_too_far_is_a_fault(bombs, reader, name):
    report = report_of(READERS[reader], bombs / f"{name}.csv.gz")
    assert report.startswith(f"{name}.csv.gz:")
    assert report.endswith(
        "unpack to more than 64 MB: a file of repeated bytes; allowed is 400 times the size"
    )


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (gzip.compress(gzip.compress(b"{}\n")), ":1: met gzip data within gzip data; allowed is text"),
        (gzip.compress(b'{"path": "a.png"}\n')[:-9], ":1: the gzip data is cut off here; get the file again"),
        (b"{}", ":1: is named .gz but holds no gzip data"),
        (gzip.compress(b"{}\n\0"), ":2: met a NUL byte: a binary or damaged file; allowed is text"),
        (gzip.compress(b'\n{"path": "\xe9"}'), ":2:11: not UTF-8 text: met the byte 0xe9"),
        (gzip.compress(b"[" * (5 << 20)), ":1: the line is longer than 4 MB"),
        (gzip.compress(b"[" * 100_000), ":1: nested too deeply"),
    ],
    ids=["nested", "cut", "none", "NUL", "UTF-8", "long", "deep"],
)
def test_a_manifest_is_read_as_other_tables_are(tmp_path, data, fault):
    (tmp_path / "m.jsonl.gz").write_bytes(data)
    with pytest.raises(AnswerError) as caught:
        items_of([tmp_path / "m.jsonl.gz"], seke.knowledge())
    assert f"m.jsonl.gz{fault}" in str(caught.value)


def test_gzip_of_several_members_is_read(tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"a\n") + gzip.compress(b"") + gzip.compress(b"b"))
    lines = [line for _, run in read_lines(tmp_path / "x.gz") for line in run]
    assert lines == [b"a", b"b"]


def test_a_row_of_too_many_cells_is_a_fault(tmp_path):
    (tmp_path / "x.csv").write_text("item" + ",a" * 10_000 + "\n")
    with pytest.raises(AnswerError, match=r"x\.csv:1: met 10,001 cells; allowed are 10,000 in a row"):
        read_labels(tmp_path / "x.csv", seke.knowledge())


def test_a_text_is_read_no_further_than_its_bound(tmp_path):
    (tmp_path / "long.csv").write_bytes(b"x" * 1_000_001)
    for path in (tmp_path / "long.csv", Path("/dev/zero")):
        with pytest.raises(AnswerError, match="has more than 1,000,000 bytes, which is the most"):
            read_licences(path)
    (tmp_path / "latin.csv").write_bytes(b"\xef\xbb\xbfa\nb\xe9")
    with pytest.raises(AnswerError, match=r"latin\.csv:2:2: not UTF-8 text: met the byte 0xe9; save it"):
        read_text(tmp_path / "latin.csv")
    (tmp_path / "good.csv").write_bytes(b"\xef\xbb\xbfa")
    assert read_text(tmp_path / "good.csv") == "a"


def nested_table():
    return pa.table(
        {
            "item": ["a", "b", None],
            "s": pa.array([{"x": "q", "y": {"z": 1.5, "w": "t"}}, None, {"x": "q", "y": None}]),
            "l": [["a", "b"], [], None],
            "b": [b"x", b"y", None],
            "m": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        }
    )


def test_rows_of_parquet_are_those_of_pyarrow(tmp_path):
    pq.write_table(nested_table(), tmp_path / "x.parquet")
    table = ParquetTable(tmp_path / "x.parquet")
    assert list(table.rows()) == nested_table().to_pylist()
    assert list(table.rows(["item"])) == [{"item": "a"}, {"item": "b"}, {"item": None}]
    columns = table.columns()
    assert list(columns) == ["item", "s.x", "s.y.z", "s.y.w", "l", "b", "m"]
    assert columns["s.y.w"] == ["t", None, None]


def test_damaged_parquet_is_a_fault_and_no_traceback(tmp_path):
    sink = io.BytesIO()
    pq.write_table(nested_table(), sink)
    good, path = bytearray(sink.getvalue()), tmp_path / "x.parquet"
    draw = np.random.default_rng(0)
    for _ in range(300):
        data = good.copy()
        for position in draw.integers(0, len(good), 3):
            data[position] = draw.integers(256)
        path.write_bytes(data)
        try:
            list(ParquetTable(path).rows())
        except SekeError as error:
            assert str(error).startswith(f"{path}: ")
    for data in (b"", b"PAR1", good[:-1], b"PAR1" + b"\xff\xff\xff\x7fPAR1"):
        path.write_bytes(data)
        with pytest.raises(AnswerError, match=r"x\.parquet: "):
            list(ParquetTable(path).rows())


def test_memory_is_bounded_for_a_step_and_free_after_it():
    with pytest.raises(MemoryError), memory_bound(64 << 20):
        bytearray(1 << 30)
    assert len(zlib.compress(bytearray(200 << 20), 1)) < 200 << 20
