"""Runs that tell a label first: what was told is in the samples, from the ledger, and counts as told."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from small_study import SMALL_FACES

import seke
from seke.annotation.job import Job
from seke.runs.ledger import NAME
from seke.vision.fake import ScriptedModel
from seke.vision.messages import Settings

ROOT = Path(__file__).parents[3]
FACES, COMPLETE = (
    ROOT / "examples" / "annotate" / "faces.csv",
    ROOT / "examples" / "completion" / "complete.yaml",
)
LABELS = {"at-rest": "neutral", "smile": "happiness", "downcast": "sadness"}


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The example's base upon the small one."""
    path = tmp_path_factory.mktemp("base") / "complete.yaml"
    text = COMPLETE.read_text(encoding="utf-8")
    assert "extends: shipped\n" in text
    path.write_text(text.replace("extends: shipped\n", f"extends: {SMALL_FACES}\n"), encoding="utf-8")
    return path


def job(folder, base):
    return Job.of([FACES], folder, ScriptedModel(), Settings("gpt-4o"), knowledge=base)


@pytest.fixture(scope="module")
def first(base, tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("run")
    job(folder, base).run()
    return folder


def test_what_was_told_is_written_with_each_answer(first, base):
    samples = rows(first / "samples.jsonl")
    completed = [sample for sample in samples if sample["question"] == "complete"]
    assert {sample["item"] for sample in completed} == {sample["item"] for sample in samples}
    for sample in completed:
        label = LABELS.get(sample["item"])
        assert sample.get("given") == ({"expression": label} if label else None)
        assert ("expression" in sample) is (label is None)
    assert not any("given" in sample for sample in samples if sample["question"] != "complete")
    # The label was told, not seen: somebody looks at the face without it, or the label stays unseen.
    for record in seke.infer(str(first / "samples.jsonl"), knowledge=base):
        seen = {s["question"] for s in samples if s["item"] == record["item"]} & {"joint", "expression"}
        if record["item"] in LABELS and not seen:
            assert record["decision"]["levels"]["expression"]["origin"] == "label"


def test_what_was_told_stays_on_record_when_the_ledger_is_read_again(first, base, tmp_path):
    before = rows(first / "samples.jsonl")
    again = job(shutil.copytree(first, tmp_path / "r"), base)
    again.run()
    assert rows(tmp_path / "r" / "samples.jsonl") == before
    # And when the answers are reused by a branch, whose records are read anew from them.
    branch = job(tmp_path / "b", base)
    branch.run(branch_of=tmp_path / "r")
    told = [sample for sample in rows(tmp_path / "b" / "samples.jsonl") if sample.get("given")]
    assert told == [sample for sample in before if sample.get("given")]
    ledger = again.open()
    try:
        digests = {sample["extra"]["prompt"] for sample in told}
        with closing(sqlite3.connect(tmp_path / "r" / NAME)) as db:
            stored = [ledger.prompt(digest) for (digest,) in db.execute("SELECT prompt FROM stated")]
    finally:
        ledger.close()
    assert {prompt.digest[:16] for prompt in stored} == digests
    assert {prompt.given["expression"] for prompt in stored} == set(LABELS.values())
