"""Manifests and tables of bytes that nobody meant: faults with their places, in every command."""

from __future__ import annotations

import gzip
import io
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from seke.cli.main import main

FEW_FACES = Path(__file__).parents[2] / "few_faces.yaml"
HEAD = b"path,item,expression\n"


def packed(table):
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


PARQUET = packed(pa.table({"path": ["a.png"], "item": ["a"]}))
MANIFESTS = {
    "huge field.csv": HEAD + b"a.png," + b"x" * 5_000_000 + b",fear\n",
    "long field.csv": HEAD + b"a.png," + b"x" * 200_000 + b",fear\n",
    "huge line.jsonl": b'{"path": "a.png", "item": "' + b"x" * 5_000_000 + b'"}\n',
    "not UTF-8.csv": HEAD + b"a.png,\xff\xfe,fear\n",
    "not UTF-8.jsonl": b'{"path": "\xe4.png"}\n',
    "NUL.csv": HEAD + b"a\0.png,a,fear\n",
    "NUL.jsonl": b'{"path": "a\\u0000.png"}\n',
    "NUL of an item.jsonl": b'{"path": "a.png", "item": "a\\u0000"}\n',
    "half a surrogate pair.jsonl": b'{"path": "a.png", "item": "\\ud83d"}\n',
    "half a pair in a path.jsonl": b'{"path": "\\udcff.png"}\n',
    "half a pair in a key.jsonl": b'{"path": "a.png", "\\ud83d": 1}\n',
    "a key twice.jsonl": b'{"path": "a.png", "path": "b.png"}\n',
    "junk.parquet": random.Random(1).randbytes(4_000),
    "junk with marks.parquet": b"PAR1" + random.Random(2).randbytes(4_000) + b"\x90\x0f\0\0PAR1",
    "cut.parquet": PARQUET[: len(PARQUET) // 2],
    "NUL.parquet": packed(pa.table({"path": ["a\0.png"]})),
    "cut.csv.gz": gzip.compress(HEAD + b"a.png,a,fear\n" * 999)[:-30],
    "cut head.csv.gz": gzip.compress(HEAD)[:6],
    "cut.jsonl.gz": gzip.compress(b'{"path": "a.png"}\n')[:-4],
    "junk.jsonl.gz": b"\x1f\x8b" + random.Random(3).randbytes(500),
    "unended quote.csv": HEAD + b'"a.png,a,fear\n' * 3,
    "deep.jsonl": b"[" * 100_000 + b"\n",
    "number without end.jsonl": b'{"path": "a.png", "left": 1' + b"0" * 10_000 + b"}\n",
    "nothing.csv": b"",
    "blank.csv": b"\n \n",
    "utf-16 cut.csv": (HEAD + b"a.png,a,fear\n").decode().encode("utf-16")[:-1],
    "utf-16 without a mark.csv": (HEAD + b"a.png,a,fear\n").decode().encode("utf-16-le"),
    "path that is long.csv": HEAD + b"/".join([b"x" * 200] * 30) + b".png,a,fear\n",
    "part that is long.csv": HEAD + b"x" * 300 + b".png,a,fear\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    Image.new("RGB", (32, 32)).save(folder / "a.png")
    return folder


def message_of(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert isinstance(result.exception, SystemExit), result.exception
    assert "Aborted" not in result.output
    assert result.exit_code == 2, result.output
    return result.stderr


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_is_refused_with_a_place(folder, name):
    path = folder / name
    path.write_bytes(MANIFESTS[name])
    given = ("-k", FEW_FACES, "--run", folder / "run", "--scripted", "--strategy", "fixed:1", "--dry-run")
    message = message_of("annotate", path, *given)
    assert f"{path}:" in message or "part that" in name
    assert len(message) < 6_000


@pytest.mark.parametrize("name", [name for name in MANIFESTS if "long" not in name and "NUL" not in name])
def test_a_table_of_samples_or_labels_is_refused_with_a_place(folder, name):
    path = folder / name
    path.write_bytes(MANIFESTS[name])
    for command in (("infer", path), ("knowledge", "test", path)):
        message = message_of(*command)
        assert f"{path}:" in message
        assert len(message) < 6_000
