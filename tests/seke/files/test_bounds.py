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
from click.testing import CliRunner
from hostile import reports_of

import seke
from engine import AnswerError, Fault, Place, SekeError
from seke.cli.main import main
from seke.console.plain_text import fault_with_line
from seke.datasets.manifest import items_of
from seke.exporting.licences import read_licences
from seke.files.lines import read_lines
from seke.files.memory import memory_bound
from seke.files.parquet import ParquetTable
from seke.files.texts import read_text
from seke.tables.label_table import read_labels
from seke.tables.record_writer import Writer

LABELS = "import seke; from seke.tables.label_table import read_labels; read_labels(path, seke.knowledge())"
POSTERIORS = "from seke.tables.record_reader import posterior_records; list(posterior_records(path))"
PREDICTIONS_READ = "import seke; from seke.benchmarking.predictions import read_predictions as read; "
PREDICTIONS = f"{PREDICTIONS_READ}read(path, seke.knowledge())"
MANIFEST = "import seke; from seke.datasets.manifest import items_of; items_of([path], seke.knowledge())"
SAMPLE = '{"item": "a", "observer": "gpt-4o", "question": "joint", "draw": 0, "expression": "fear"}\n'
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


BOMBS = {
    "page": "path: {} bytes unpack to 70 MB, most of them of this column; allowed is 20 times",
    "cell": "item: met a text of 400,000 bytes; allowed are 65,536",
    "text": "row 1: 1,000 rows hold",
}
UNPACKED = [(reader, name) for reader in ("labels", "manifest") for name in ("lines", "spaces")]


def records_of_predictions(path):
    """Write predictions that as Python values are 16 KB each, more than the bound together."""
    remaining_fields = f'"action_units": {{"AU1": 0.5}}, "extra": [{",".join(["0.5"] * 500)}]}}\n'
    with path.open("w") as file:
        file.writelines(f'{{"item": "i{i}", {remaining_fields}' for i in range(13_000))


BOMB_CASES = [
    *((reader, f"{name}.parquet") for reader in READERS for name in BOMBS),
    *((reader, f"{name}.csv.gz") for reader, name in UNPACKED),
]


@pytest.fixture(scope="module")
def reports(bombs, tmp_path_factory):
    """What one process says of good parquet, of a footer that lies, of bombs, and of many good records.

    Each start of one takes a second and more; all that is read has the bounds of one process. The good comes
    first, as it is to be read by a process that never read any.
    """
    folder = tmp_path_factory.mktemp("others")
    good, records = good_parquet(folder)
    lying, many = folder / "x.parquet", folder / "many.jsonl"
    footer_that_lies(lying)
    records_of_predictions(many)
    cases = [(READERS[reader], good) for reader in ("labels", "manifest", "predictions")]
    cases += [(READERS[reader], records) for reader in ("posteriors", "predictions")]
    cases.append((POSTERIORS, lying))
    cases += [(READERS[reader], bombs / name) for reader, name in BOMB_CASES]
    cases.append((f"{PREDICTIONS_READ}print(len(read(path, seke.knowledge()).items))", many))
    said = reports_of(cases)
    return {"good": said[:5], "footer": said[5], "bombs": said[6:-1], "many": said[-1]}


def test_bombs_are_faults(reports):
    """Of parquet for each reader, of gzip for two; many good records are not kept, either."""
    assert reports["many"] == "13000"
    for (_, name), report in zip(BOMB_CASES, reports["bombs"], strict=True):
        stem, _, suffix = name.partition(".")
        if suffix == "parquet":
            assert f"{name}: " in report
            assert BOMBS[stem].partition("{} ")[2] in report
        else:
            assert report.startswith(f"{name}:")
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
    with pytest.raises(AnswerError, match="has more than 1,000,000 bytes, which is the most"):
        read_licences(tmp_path / "long.csv")
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
            "t": pa.array([True, None, False]),
        }
    )


def test_rows_of_parquet_are_those_of_pyarrow(tmp_path):
    pq.write_table(nested_table(), tmp_path / "x.parquet")
    table = ParquetTable(tmp_path / "x.parquet")
    assert list(table.rows()) == nested_table().to_pylist()
    assert list(table.rows(["item"])) == [{"item": "a"}, {"item": "b"}, {"item": None}]
    (columns,) = table.columns()
    assert list(columns) == ["item", "s.x", "s.y.z", "s.y.w", "l", "t"]
    assert (columns["s.y.w"], columns["l"]) == (["t", None, None], None)


MAP = pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64()))
UNREAD = {
    "map": MAP,
    "decimal": pa.array([1], pa.decimal256(76)),
    "fixed": pa.array([b"x" * 9], pa.binary(9)),
    "binary": pa.array([b"x"]),
    "nested": pa.array([[["a"]]]),
    "records": pa.array([[{"a": 1}]]),
    "inside": pa.array([{"a": [{"b": 1}]}]),
    "time": pa.array([1], pa.timestamp("us")),
}


@pytest.mark.parametrize("name", UNREAD)
def test_a_column_of_a_type_that_is_not_read_is_refused_by_name(tmp_path, name):
    pq.write_table(pa.table({"item": ["a"], name: UNREAD[name]}), tmp_path / "x.parquet")
    table = ParquetTable(tmp_path / "x.parquet")
    with pytest.raises(
        AnswerError, match=rf"x\.parquet: {name}: is a column of .*; allowed are text, numbers"
    ):
        list(table.rows())
    assert list(table.rows(["item"])) == [{"item": "a"}]
    (columns,) = table.columns()
    assert columns.pop("item") == ["a"]
    assert list(columns.values()) == [None]


def test_what_is_not_read_does_not_come_with_a_name_above_it(tmp_path):
    pq.write_table(pa.table({"item": ["a"], "x": [1], "x.y": MAP}), tmp_path / "x.parquet")
    table = ParquetTable(tmp_path / "x.parquet")
    assert list(table.columns()) == [{"item": ["a"], "x": None, "x.y": None}]
    with pytest.raises(AnswerError, match=r"x\.y: is a column of map"):
        list(table.rows(["x"]))


def varint(number):
    """Return a number as a footer has it, in zigzag."""
    number, data = number * 2, b""
    while number > 127:
        data, number = data + bytes([number & 127 | 128]), number >> 7
    return data + bytes([number])


def footer_that_lies(path):
    """Write a list of 30 million members, of which the footer says that it is one."""
    count = 30_000_000
    cells = pa.array(np.zeros(count, dtype=np.int8)).dictionary_encode()
    lists = pa.ListArray.from_arrays([0, count], cells)
    reasons = pa.StructArray.from_arrays([lists], ["reasons"])
    table = pa.table({"item": ["a"], "decision": reasons})
    pq.write_table(table, path, data_page_size=1 << 30, write_statistics=False)
    data = path.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    assert varint(count) in data[footer:]
    lie = data[footer:].replace(
        varint(count), b"\x82\x80\x80\x00"
    )  # one, as long as the number that was there
    path.write_bytes(data[:footer] + lie)


def test_a_footer_that_lies_of_its_pages_is_met_by_their_headers(reports):
    says = "decision.reasons.list.element: its lists have 30,000,001 members in a group of rows"
    assert says in reports["footer"]


def test_text_made_of_the_text_before_it_is_refused(tmp_path):
    table = pa.table({"item": ["x" * 60_000] * 100})
    encoding = {"item": "DELTA_BYTE_ARRAY"}
    pq.write_table(table, tmp_path / "x.parquet", use_dictionary=False, column_encoding=encoding)
    with pytest.raises(AnswerError, match="item: is packed as DELTA_BYTE_ARRAY; allowed is any other"):
        list(ParquetTable(tmp_path / "x.parquet").rows())


def good_parquet(folder):
    """Write a manifest that is a label table as well, and records; return their paths."""
    Path(folder / "a.png").write_bytes(b"never opened")
    rows = {"item": ["a"], "path": ["a.png"], "expression": ["fear"], "AU1": [1], "valence": [-0.5]}
    pq.write_table(pa.table(rows), folder / "m.parquet")
    samples = [{"item": "a", "observer": "gpt-4o", "question": "joint", "draw": 0, "expression": "fear"}]
    with Writer(folder / "p.parquet") as writer:
        writer.write(list(seke.infer(samples, seke.knowledge())))
    return folder / "m.parquet", folder / "p.parquet"


def test_good_parquet_is_read_by_a_process_that_never_read_any(reports):
    assert reports["good"] == [""] * 5


@pytest.mark.parametrize(
    "arguments",
    [
        "infer {}",
        "infer samples.jsonl -k {}",
        "calibrate samples.jsonl --gold {} -o c.yaml",
        "annotate {} --run r --scripted",
        "annotate {}.csv --run r --scripted",
        "bench score {}.parquet {}.parquet",
        "knowledge new k --from-csv {}",
    ],
)
def test_a_pipe_without_a_writer_is_a_fault_at_once(tmp_path, monkeypatch, arguments):
    for name in ("pipe", "pipe.csv", "pipe.parquet"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "samples.jsonl").write_text(SAMPLE)
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(main, arguments.format("pipe", "pipe").split())
    assert (ended.exit_code, "is a pipe or a device; allowed is a file" in ended.output) == (2, True), (
        ended.output
    )


def test_a_device_is_a_fault_and_a_stream_of_the_process_is_read(tmp_path):
    with pytest.raises(AnswerError, match=r"^/dev/zero: is a pipe or a device; allowed is a file$"):
        read_text(Path("/dev/zero"))
    end, start = os.pipe()
    os.write(start, b"a\nb")
    os.close(start)
    lines = [line for _, run in read_lines(f"/dev/fd/{end}") for line in run]
    os.close(end)
    assert lines == [b"a", b"b"]


def test_the_line_of_a_fault_is_read_no_further_than_a_bound(tmp_path):
    path = tmp_path / "long.yaml"
    with path.open("wb") as file:
        file.write(b"first\r\nx")
        file.truncate(1 << 32)
    shown = [
        fault_with_line(Fault(Place(str(name), line, 1), "", "is wrong"))
        for name, line in ((path, 1), (path, 2))
    ]
    assert shown[0].endswith(":1:1: is wrong\n    first\n    ^")
    assert shown[1].endswith(":2:1: is wrong")
    assert fault_with_line(Fault(Place("/dev/zero", 1, 1), "", "is wrong")) == "/dev/zero:1:1: is wrong"


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
