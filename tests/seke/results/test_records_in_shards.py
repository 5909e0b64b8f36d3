"""Records made in shards are those of the plain command, whatever the files of the samples are like."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pyarrow
import pytest
from pyarrow import parquet

from engine import Guarantee, SekeError, design_of
from seke import infer, knowledge, simulate
from seke.files.shard_folder import MANIFEST, ShardFolder, record_files
from seke.files.shards import shard_of
from seke.inference.session import Session
from seke.results.shard_work import ShardWork, infer_shard, look_at_shard, read_file
from seke.samples import read_batches
from seke.sampling.replay import mark_off_policy
from seke.tables.label_table import read_labels
from seke.tables.record_reader import posterior_records

FEW_FACES = Path(__file__).parents[2] / "few_faces.yaml"
SHARDS = 3


@pytest.fixture(scope="module")
def session():
    return Session.open(knowledge(FEW_FACES))


def write_samples(folder, base, items=90):
    """Write samples to a file of each format, the answers about an item in two of them; return the files."""
    rows = [row for part in simulate(base, items, draws=2, seed=1) for row in part.samples]
    lists = [
        {**row, "action_units": sorted(name for name, sight in row["action_units"].items() if sight)}
        for row in rows
        if row.get("action_units") and None not in row["action_units"].values()
    ]
    assert len(lists) > items
    lines, cells, columns = lists[0::2], lists[1::4], lists[3::4]
    files = [folder / "a.jsonl.gz", folder / "b.csv", folder / "c.parquet"]
    files[0].write_bytes(gzip.compress(b"".join(msgspec.json.encode(row) + b"\n" for row in lines)))
    with files[1].open("w", newline="") as file:
        table = csv.DictWriter(file, cells[0])
        table.writeheader()
        table.writerows({**row, "action_units": json.dumps(row["action_units"])} for row in cells)
    parquet.write_table(pyarrow.Table.from_pylist(columns), files[2])
    return files


@pytest.fixture(scope="module")
def files(session, tmp_path_factory):
    return write_samples(tmp_path_factory.mktemp("samples"), session.knowledge)


def packed_shards(work):
    """Return for each shard its packed samples of each file."""
    results = [read_file(work, index) for index in range(len(work.names))]
    assert [result.fault for result, _ in results] == [""] * len(results)
    return list(zip(*(packed for _, packed in results), strict=True))


def records_in_shards(work):
    """Return the records, as text, and the counts of each shard."""
    shards = packed_shards(work)
    looks = [look_at_shard(work, packed, with_risks=True) for packed in shards]
    risks = {name: [risk for look in looks for risk in look.risks[name]] for name in looks[0].risks}
    work = replace(work, session=work.session.within_limits(risks))
    results = [infer_shard(work, packed) for packed in shards]
    assert [result.samples for result in results] == [look.samples for look in looks]
    parts = [gzip.decompress(result.records).splitlines() for result in results]
    for number, part in enumerate(parts):
        assert {shard_of(json.loads(line)["item"], SHARDS) for line in part} == {number}
    return [line for part in parts for line in part], [result.counts for result in results]


def test_records_are_those_of_the_plain_command(session, files):
    plain = [msgspec.json.encode(record) for record in infer(files, session.knowledge)]
    # One file by its address in a file system.
    names = (str(files[0]), files[1].as_uri(), str(files[2]))
    lines, counts = records_in_shards(ShardWork(session, names, SHARDS, "jsonl.gz"))
    assert sorted(lines) == sorted(plain)
    assert sum(sum(part["items"].values()) for part in counts) == len(plain)
    # Limits of the mean were found, so that every shard had to know of all.
    assert session.has_mean_limits


def test_labels_are_left_out_and_counted(session, files, tmp_path):
    labels = tmp_path / "labels.jsonl"
    label = {"observer": "dataset-label", "question": "expression", "draw": 0, "expression": "fear"}
    items = [f"item-{number:06d}" for number in (0, 1, 2)]
    labels.write_text("".join(json.dumps({"item": item, **label}) + "\n" for item in items))
    gold = tmp_path / "gold.csv"
    gold.write_text("item,expression\nitem-000000,fear\nitem-000001,anger\n")
    table = read_labels(gold, session.knowledge)
    plain = infer([files[0], labels], session.knowledge, blind_to=table)
    work = ShardWork(session, (str(files[0]), str(labels)), SHARDS, "jsonl.gz", table)
    lines, counts = records_in_shards(work)
    assert sorted(lines) == sorted(map(msgspec.json.encode, plain))
    assert sum(part["left_out"]["counts"].get("expression", 0) for part in counts) == 2


def test_items_that_were_sampled_off_policy_are_known_in_their_shard(session, files):
    base = session.knowledge
    design = design_of(base, list(read_batches(files[:1], base)), adaptive=True)
    population = session.inference.population
    promise = Guarantee((), 0.1, 0.1, "item", population, base.digests, design, 90, "2026-11-30", ())
    promised = replace(session, guarantee=promise)
    marked = mark_off_policy(promised, files[:1])
    assert len(marked.off_policy) > 0
    marked = marked.with_thresholds(read_batches(files[:1], base))
    plain = [record for answers in read_batches(files[:1], base) for record in marked.records(answers)]
    work = ShardWork(promised, (str(files[0]),), SHARDS, "jsonl.gz")
    lines, _ = records_in_shards(work)
    assert sorted(lines) == sorted(map(msgspec.json.encode, plain))


def test_faults_name_their_place(session, files, tmp_path):
    bad, twice = tmp_path / "bad.jsonl", tmp_path / "twice.jsonl"
    first = gzip.decompress(files[0].read_bytes()).splitlines()[0]
    bad.write_bytes(first + b"\n" + first.replace(b'"joint"', b'"jiont"') + b"\n")
    twice.write_bytes(first + b"\n")
    names = (str(files[0]), str(bad), bad.as_uri(), (tmp_path / "none.csv").as_uri(), str(twice))
    work = ShardWork(session, names, SHARDS, "jsonl.gz")
    faults = [read_file(work, index)[0].fault for index in range(len(names))]
    assert faults[1].startswith(f"{bad}:2: question: no such question: 'jiont'")
    assert faults[2].startswith(f"{bad.as_uri()}:2: question")
    assert faults[3] == f"{names[3]}: no such file, or no such bucket"
    assert faults[0] == faults[4] == ""
    # What no file shows by itself is a fault of the shard, and of no other.
    pair = replace(work, names=(names[0], names[4]))
    faults = [infer_shard(pair, packed).fault for packed in packed_shards(pair)]
    number = shard_of(json.loads(first)["item"], SHARDS)
    assert f"{twice}:1" in faults[number]
    assert [bool(fault) for fault in faults] == [shard == number for shard in range(SHARDS)]
    other = replace(work, version="9.9")
    assert "the command is of seke 9.9" in read_file(other, 0)[0].fault


def test_a_folder_goes_on_with_what_it_was_begun_with(tmp_path):
    path = tmp_path / "records"
    folder = ShardFolder.opened(path, {"knowledge": "abc"}, ["a.jsonl"], 2, "jsonl.gz")
    assert folder.missing() == [0, 1]
    record = b'{"item": "a", "decision": {"item": "accept"}}\n'
    folder.note_samples(0, "digest of a")
    folder.write(0, gzip.compress(record), {"items": {"accept": 1}})
    with pytest.raises(SekeError, match=r"1 of 2 shards are not made; the command that began them goes on"):
        list(posterior_records(path))
    again = ShardFolder.opened(path, {"knowledge": "abc"}, ["a.jsonl"], None, None)
    assert again.missing() == [1]
    assert again.manifest.shards[0].counts == {"items": {"accept": 1}}
    with pytest.raises(SekeError, match=r"not those that it was begun with \(those of shard 1 of 2 differ\)"):
        again.note_samples(0, "another digest")
    for made_with, shards, form, changed in (
        ({"knowledge": "abd"}, 2, None, "knowledge was abc, is abd"),
        ({"knowledge": "abc"}, 3, None, "shards was 2, is 3"),
        ({"knowledge": "abc"}, None, "parquet", r"format was jsonl\.gz, is parquet"),
    ):
        with pytest.raises(SekeError, match=f"made with something else: {changed}"):
            ShardFolder.opened(path, made_with, ["a.jsonl"], shards, form)
    again.write(1, None, {})
    assert [file.name for file in record_files(path)] == ["shard-00001-of-00002.jsonl.gz"]
    assert [record["item"] for record in posterior_records(path)] == ["a"]
    # A file that was cut, or is gone, is made again.
    record_files(path)[0].write_bytes(b"short")
    assert ShardFolder.opened(path, {"knowledge": "abc"}, ["a.jsonl"], None, None).missing() == [0]
    (path / again.manifest.shards[0].file).unlink()
    assert ShardFolder.opened(path, {"knowledge": "abc"}, ["a.jsonl"], None, None).missing() == [0]
    (path / MANIFEST).write_text("{}")
    with pytest.raises(SekeError, match="is no manifest of shards"):
        ShardFolder.opened(path, {"knowledge": "abc"}, [], None, None)
    with pytest.raises(SekeError, match="is not empty"):
        ShardFolder.opened(tmp_path, {"knowledge": "abc"}, [], None, None)
