"""`seke infer --engine ray`: on this machine, and on a cluster of two nodes."""

from __future__ import annotations

import gzip
import json
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from seke import knowledge, simulate
from seke.cli.main import main
from seke.files.shard_folder import MANIFEST, record_files
from seke.results.on_ray import SETTINGS, connected
from seke.tables.record_reader import posterior_record, posterior_records

FEW_FACES = Path(__file__).parents[2] / "few_faces.yaml"
# Bytes; Ray takes a third of the memory otherwise.
STORE = 200_000_000
NODE = {"num_cpus": 2, "object_store_memory": STORE, "include_dashboard": False}


@pytest.fixture(scope="module", autouse=True)
def ray():
    with pytest.MonkeyPatch.context() as patch:
        # Ray takes another address of this machine for 127.0.0.1 where it may be one of several.
        for name, value in {**SETTINGS, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}.items():
            patch.setenv(name, value)
        yield pytest.importorskip("ray")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    rows = [row for part in simulate(knowledge(FEW_FACES), 90, draws=2, seed=1) for row in part.samples]
    paths = [folder / "a.jsonl", folder / "b.jsonl.gz"]
    for path, part in zip(paths, (rows[0::2], rows[1::2]), strict=True):
        text = "".join(json.dumps(row) + "\n" for row in part).encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return paths


def run(*arguments, status=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result.stderr


def lines_in(folder):
    parts = [gzip.decompress(file.read_bytes()).splitlines() for file in record_files(folder)]
    return sorted(line for part in parts for line in part)


def test_records_are_those_of_the_plain_command(ray, files, tmp_path):
    plain, folder = tmp_path / "plain.jsonl", tmp_path / "records"
    command = ("infer", *files, "-k", FEW_FACES)
    in_shards = (*command, "-o", folder, "--engine", "ray", "--shards", "3", "--shard-format", "jsonl.gz")
    said = run(*command, "-o", plain)
    try:
        ray.init("local", _node_ip_address="127.0.0.1", log_to_driver=False, **NODE | {"num_cpus": 1})
        assert run(*in_shards).splitlines()[0] == said.splitlines()[0]
        assert lines_in(folder) == sorted(plain.read_bytes().splitlines())
        assert len(record_files(folder)) == 3
        # The same command makes what is lacking, and nothing else.
        first, *others = record_files(folder)
        before = first.read_bytes(), [file.stat().st_mtime_ns for file in others]
        first.unlink()
        assert run(*in_shards).splitlines()[0] == said.splitlines()[0]
        assert (first.read_bytes(), [file.stat().st_mtime_ns for file in others]) == before
        # What it was begun with is needed.
        assert "seed was 0, is 1" in run(*in_shards, "--seed", "1", status=2)
        few = "infer", files[0], "-k", FEW_FACES, *in_shards[-8:]
        assert "the samples are not those that it was begun with" in run(*few, status=2)
    finally:
        ray.shutdown()
    item = json.loads(plain.read_bytes().splitlines()[5])["item"]
    assert posterior_record(folder, item) == next(r for r in posterior_records(plain) if r["item"] == item)


def test_what_cannot_be_done_is_said_at_once(files, tmp_path, monkeypatch):
    folder = tmp_path / "records"
    given = ("infer", files[0], "-k", FEW_FACES, "-o", folder)
    for arguments, text in (
        (("--shards", "2"), "--shards: is for --engine ray"),
        (("--engine", "ray", "--processes", "2"), "--processes: has no meaning with --engine ray"),
        (("--engine", "ray", files[0]), f"{files[0]}: is named twice"),
        (("--engine", "ray", "-"), "-: is no file"),
        (("--engine", "ray", tmp_path / "none.jsonl"), f"{tmp_path / 'none.jsonl'}: no such file"),
        (("--engine", "ray", "--address", "head"), "--address: met head; allowed are HOST:PORT"),
    ):
        assert text in run(*given, *arguments, status=2)
    assert "name it with -o" in run(*given[:4], "--engine", "ray", status=2)
    began = time.monotonic()
    said = run(*given, "--engine", "ray", "--address", "127.0.0.1:9", status=2)
    assert said.splitlines()[-1] == "no Ray at 127.0.0.1:9: nothing answers there (Connection refused)"
    assert time.monotonic() - began < 10
    monkeypatch.setitem(sys.modules, "ray", None)
    said = run(*given, "--engine", "ray", status=2)
    assert "work on a cluster needs ray, which is not installed; pip install 'seke[ray]'" in said
    assert not folder.exists()


@pytest.mark.slow
def test_without_an_address_ray_starts_here(ray, files, tmp_path):
    """And a cluster that `auto` looks for and that is not there is said at once."""
    folder = tmp_path / "records"
    command = ("infer", files[0], "-k", FEW_FACES, "-o", folder, "--engine", "ray", "--shards", "2")
    said = run(*command, "--address", "auto", status=2)
    assert "no Ray at auto: Could not find any running Ray instance" in said
    run(*command)
    assert len(record_files(folder)) == 2
    assert not [child for child in psutil.Process().children(recursive=True) if "raylet" in child.name()]


@pytest.fixture(scope="module")
def two_nodes(ray):
    """Yield the address of a cluster of two nodes."""
    from ray.cluster_utils import Cluster

    node = {**NODE, "node_ip_address": "127.0.0.1"}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    cluster.add_node(**node)
    yield cluster.address
    cluster.shutdown()


def kill_one_at_work(killed):
    """End a process that makes a shard, once there is one."""
    while not killed:
        for process in psutil.Process().children(recursive=True):
            try:
                if "ray::_infer" in " ".join(process.cmdline()):
                    process.kill()
                    killed.append(process.pid)
                    return
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.1)


@pytest.mark.slow
def test_a_cluster_makes_the_same_records_though_a_process_is_lost(two_nodes, tmp_path):
    samples, plain, folder = tmp_path / "samples.jsonl", tmp_path / "plain.jsonl", tmp_path / "records"
    rows = (row for part in simulate(knowledge(FEW_FACES), 9_000, draws=1, seed=2) for row in part.samples)
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run("infer", samples, "-k", FEW_FACES, "-o", plain)
    killed = []
    killer = threading.Thread(target=kill_one_at_work, args=(killed,), daemon=True)
    killer.start()
    command = ("infer", samples, "-k", FEW_FACES, "-o", folder, "--engine", "ray", "--address", two_nodes)
    run(*command, "--shards", "12", "--shard-format", "jsonl.gz")
    assert len(killed) == 1
    assert lines_in(folder) == sorted(plain.read_bytes().splitlines())
    assert len({node["NodeID"] for node in nodes_of(two_nodes)}) == 2


def nodes_of(address):
    with connected(address) as ray:
        return ray.nodes()


@pytest.mark.slow
def test_a_bad_shard_does_not_lose_the_others(two_nodes, files, tmp_path):
    """Where each risk has its limit, so that an item is decided without the others."""
    base, folder = tmp_path / "each.yaml", tmp_path / "records"
    limits = "limits: {expression: {each: 0.1}, affect: {each: 0.3}, action_units: {each: 0.1}}"
    judged = "source: judgement, note: each risk is limited"
    base.write_text(f"extends: {FEW_FACES}\npolicy:\n  {limits}\n  {judged.replace(', ', chr(10) + '  ')}\n")
    twice = tmp_path / "twice.jsonl"
    twice.write_bytes(files[0].read_bytes().splitlines(keepends=True)[0])
    command = ("infer", "-k", base, "-o", folder, "--engine", "ray", "--shards", "4", "--address", two_nodes)
    said = run(*command, *files, twice, status=2)
    assert f"{twice}:1" in said
    assert f"3 of 4 shards are in {folder}; the same command goes on with the others" in said
    done = [shard["done"] for shard in json.loads((folder / MANIFEST).read_bytes())["shards"]]
    assert sum(done) == 3
    # The files of the samples may be put right where only the shard that is lacking has other samples.
    run(*command, *files)
    assert len(record_files(folder)) == 4
    plain = tmp_path / "plain.parquet"
    run("infer", "-k", base, *files, "-o", plain)
    by_item = {record["item"]: record for record in posterior_records(plain)}
    assert {record["item"]: record for record in posterior_records(folder)} == by_item
