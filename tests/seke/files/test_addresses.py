"""Samples in a store: read by `--engine ray`, and what is wrong with an address said in a line."""

from __future__ import annotations

import gzip
import importlib.util
import json
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine import SekeError
from seke import knowledge, simulate
from seke.cli.main import main
from seke.files.addresses import stamps_of
from seke.files.shard_folder import MANIFEST, record_files
from seke.tables.record_reader import posterior_records

FEW_FACES = Path(__file__).parents[2] / "few_faces.yaml"
# A server of its own process: it logs every request, and threads of it would outlive the test.
SERVER = """
import sys, logging
logging.getLogger("werkzeug").setLevel("ERROR")
from moto.server import main
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
"""


def said(*arguments, status=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result.stderr


def test_what_an_address_may_not_be(tmp_path):
    given = ("infer", "-k", FEW_FACES)
    address = "s3://bucket/samples.jsonl"
    assert said(*given, address, status=2) == (
        f"{address}: addresses are read with --engine ray; or fetch the file first\n"
    )
    keys = said(*given, "s3://name:secret@bucket/a", "--engine", "ray", "-o", tmp_path / "d", status=2)
    assert "has keys in it" in keys
    assert "secret@" not in keys
    # Half of all secrets have a slash, where parsers see a path.
    for address in ("s3://AKIA:se/cret@bucket/a", "s3://b/a?access_key=x&secret_key=se/cret"):
        keys = said("import", "packed", address, "-o", tmp_path / "d", status=2)
        assert "has keys in it" in keys
        assert "cret" not in keys.replace("AWS_SECRET_ACCESS_KEY", "")
    assert "cannot be read" in said("import", "packed", "s3://[x", "-o", tmp_path / "d", status=2)
    text = "results are written to this machine; name a path and copy it then"
    assert f"s3://bucket/out: {text}" in said(*given, "a.jsonl", "-o", "s3://bucket/out", status=2)


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


@contextmanager
def store():
    """Yield the address of an S3 server, empty, that ends with the block."""
    port = free_port()
    with subprocess.Popen([sys.executable, "-c", SERVER, str(port)], stderr=subprocess.DEVNULL) as server:
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("moto") is None, reason="needs an S3 server on this machine: moto[server]"
)
def test_samples_in_a_store(tmp_path, monkeypatch):
    pytest.importorskip("ray")
    import boto3  # it comes with moto

    rows = [row for part in simulate(knowledge(FEW_FACES), 60, draws=2, seed=1) for row in part.samples]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    local, plain, folder = tmp_path / "samples.jsonl", tmp_path / "plain.jsonl", tmp_path / "records"
    local.write_bytes(data)
    said("infer", "-k", FEW_FACES, local, "-o", plain)
    on_ray = ("infer", "-k", FEW_FACES, "--engine", "ray", "--shards", "2", "-o")
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(name, value)
    with store() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
        client = boto3.client("s3", endpoint_url=url, **keys)
        client.create_bucket(Bucket="bucket")
        for name, content in (("samples.jsonl.gz", gzip.compress(data)), ("bad.jsonl", b'{"item"\n')):
            client.put_object(Bucket="bucket", Key=f"in/{name}", Body=content)
        good = "s3://bucket/in/samples.jsonl.gz"
        said(*on_ray, folder, good)
        made = {record["item"]: record for record in posterior_records(folder)}
        assert made == {record["item"]: record for record in posterior_records(plain)}
        # All is there: neither Ray nor a file is touched.
        before = [file.stat().st_mtime_ns for file in (folder / MANIFEST, *record_files(folder))]
        assert "has all shards of these samples; nothing is to be done" in said(*on_ray, folder, good)
        assert [file.stat().st_mtime_ns for file in (folder / MANIFEST, *record_files(folder))] == before
        for name in ("faces/p1/a.jpg", "faces/p2/a.jpg"):
            client.put_object(Bucket="bucket", Key=name, Body=name.encode())
        said("import", "packed", "s3://bucket/faces", "-o", tmp_path / "pictures")
        lines = (tmp_path / "pictures" / "manifest.jsonl").read_text().splitlines()
        manifest = [json.loads(line) for line in lines]
        assert [row["item"] for row in manifest] == ["faces/p1/a", "faces/p2/a"]
        first = tmp_path / "pictures" / manifest[0]["path"]
        assert first.read_bytes() == b"faces/p1/a.jpg"
        # What is not there is said of all, before Ray starts.
        lacking = ("s3://bucket/in/none.jsonl", "s3://nothing/a.jsonl", "s3://bucket/in")
        none, no_bucket, a_folder = said(*on_ray, tmp_path / "x", *lacking, status=2).splitlines()[-3:]
        assert none == f"{lacking[0]}: no such file, or no such bucket"
        assert no_bucket == f"{lacking[1]}: no such file, or no such bucket"
        assert a_folder == f"{lacking[2]}: is a folder; name its files"
        text = said(*on_ray, tmp_path / "x", "s3://bucket/in/bad.jsonl", status=2)
        assert "s3://bucket/in/bad.jsonl:1:8: truncated JSON" in text
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        text = said(*on_ray, tmp_path / "x", good, status=2)
        assert f"{good}: access is refused: its keys (AWS_ACCESS_KEY_ID" in text
    text = said(*on_ray, tmp_path / "x", good, status=2)
    assert f"{good}: its store cannot be reached; AWS_ENDPOINT_URL names" in text
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        text = said(*on_ray, tmp_path / "x", good, status=2)
        assert f"{good}: its store did not answer within 20 seconds" in text
    assert not (tmp_path / "x").exists()


def test_files_are_looked_at_without_being_read(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"12345")
    here, address = str(tmp_path / "a.jsonl"), f"file://{tmp_path}/a.jsonl"
    stamps = stamps_of([here, address], all_here=True)
    assert stamps[here] == stamps[address]
    assert stamps[here].startswith("5 bytes, ")
    with pytest.raises(SekeError, match=r"none\.jsonl: no such file.*\n?.*: is a folder; name its files"):
        stamps_of([f"file://{tmp_path}/none.jsonl", f"file://{tmp_path}"], all_here=True)
    none = f"file://{tmp_path}/none.jsonl"
    assert stamps_of([none], all_here=False) == {none: None}
