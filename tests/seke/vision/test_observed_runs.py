"""Runs in which networks on this machine look at each picture before the model is asked."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from small_study import SMALL_FACES, small_base
from test_annotate import rows, run

import seke
from engine import SekeError
from seke.annotation.job import Job
from seke.annotation.observing import FreeObservers
from seke.observers.networks import network_of
from seke.runs.ledger import NAME, Ledger
from seke.vision.fake import ScriptedModel
from seke.vision.messages import Settings

DRAWN = Path(__file__).parents[3] / "examples" / "annotate"
SCRIPTED = ["-k", SMALL_FACES, "--scripted"]
WITH = [*SCRIPTED, "--with", "face-landmarker,fer"]
FREE = {"face-landmarker": 1, "fer": 16}


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    for name in ("smile", "downcast", "at-rest"):
        shutil.copy(DRAWN / f"{name}.png", folder)
    return folder


@pytest.fixture(scope="module")
def looked(faces, tmp_path_factory):
    """A finished run at whose pictures networks looked, and one that is none; and what was printed."""
    (broken := tmp_path_factory.mktemp("more") / "broken.png").write_bytes(b"no picture")
    folder = tmp_path_factory.mktemp("looked")
    return folder, run(faces, broken, "--run", folder, *WITH)


def counts(samples, item):
    by = [sample["observer"] for sample in samples if sample["item"] == item]
    return {observer: by.count(observer) for observer in FREE}


def observed_at(folder):
    with closing(sqlite3.connect(folder / NAME)) as db:
        return dict(db.execute("SELECT item, count(*) FROM observed GROUP BY item").fetchall())


def test_networks_look_once_and_what_they_see_is_evidence(looked):
    folder, result = looked
    samples = rows(folder / "samples.jsonl")
    for item in ("smile", "downcast", "at-rest"):
        assert counts(samples, item) == FREE
    assert observed_at(folder) == dict.fromkeys(("smile", "downcast", "at-rest"), 17)
    records = {record["item"]: record for record in rows(folder / "posteriors.jsonl")}
    assert records["broken"]["decision"]["reasons"][0] == "picture-unsupported"
    assert records["smile"]["diagnostics"]["samples"] > 17
    assert "broken.png: is no picture" in result.stderr
    # What a run says is what its samples say.
    inferred = {record["item"]: record for record in seke.infer([folder / "samples.jsonl"], SMALL_FACES)}
    assert inferred["smile"]["expression"] == records["smile"]["expression"]
    # Nothing of it was paid, or is among the answers that came.
    answers = rows(folder / "answers.jsonl")
    assert {answer["observer"] for answer in answers} == {"generic-vlm"}


def test_the_first_question_is_chosen_by_what_was_seen(tmp_path, faces):
    """Without a look the broadest question comes first; with one, the one worth most for its price."""
    given = {"settings": Settings("scripted"), "knowledge": SMALL_FACES}
    first_questions = {}
    for name, observers in (("plain", ()), ("seen", ("face-landmarker", "fer"))):
        seke.annotate(faces, tmp_path / name, ScriptedModel(), **given, observed_by=observers)
        with closing(sqlite3.connect(tmp_path / name / NAME)) as db:
            found = db.execute("SELECT item, question FROM requests ORDER BY number DESC").fetchall()
        first_questions[name] = dict(found)
    assert set(first_questions["plain"].values()) == {"joint"}
    assert "joint" not in first_questions["seen"].values()


def test_they_take_nothing_of_the_budget(tmp_path, faces):
    given = {"observed_by": ("fer",), "observer": "generic-vlm", "knowledge": SMALL_FACES}
    summary = seke.annotate(faces, tmp_path / "r", ScriptedModel(), max_samples=1, **given)
    assert summary.totals.answers == 3
    assert summary.observers == {"fer": 48, "generic-vlm": 3}


def test_a_run_that_goes_on_looks_at_no_picture_twice(tmp_path, faces):
    """What was seen is on disk: items go on though their pictures changed to none with a face."""
    base = small_base()
    with closing(FreeObservers.open(base, ["face-landmarker"])) as free:
        job = Job.of(
            [faces], tmp_path / "r", ScriptedModel(), Settings("scripted"), knowledge=base, free=free
        )
        with closing(job.open()) as ledger:
            for item in job.items:
                asyncio.run(ledger.keep_observed(item.name, free.records(item)))
            kept = ledger.records([item.name for item in job.items])
            assert ledger.observed(["smile", "other"]) == {"smile"}
        job.run()
    assert observed_at(tmp_path / "r") == dict.fromkeys(kept, 1)
    samples = rows(tmp_path / "r" / "samples.jsonl")
    seen = {s["item"]: s["action_units"] for s in samples if s["observer"] == "face-landmarker"}
    assert seen == {item: records[0]["action_units"] for item, records in kept.items()}


def test_a_run_goes_on_only_with_the_observers_that_it_was_begun_with(tmp_path, faces, looked):
    shutil.copytree(looked[0], tmp_path / "r")
    again = run(faces, "--run", tmp_path / "r", *WITH)
    assert "3 items" in again.stdout
    refused = run(faces, "--run", tmp_path / "r", *SCRIPTED, status=2)
    assert "observed_by: ['face-landmarker', 'fer'] then, [] now" in refused.stderr
    assert "--branch" in refused.stderr


def test_what_was_seen_before_any_request_is_of_the_observers_it_was_begun_with(tmp_path, faces):
    """Killed while networks looked: other networks would find the pictures looked at, and never look."""
    base = small_base()
    with closing(FreeObservers.open(base, ["face-landmarker"])) as free:
        job = Job.of(
            [faces], tmp_path / "r", ScriptedModel(), Settings("scripted"), knowledge=base, free=free
        )
        with closing(job.open()) as ledger:
            asyncio.run(ledger.keep_observed("smile", free.records(job.items[0])))
    refused = run(faces, "--run", tmp_path / "r", *SCRIPTED, "--with", "fer", status=2)
    assert "observed_by: ['face-landmarker'] then, ['fer'] now" in refused.stderr


def test_a_ledger_of_an_earlier_program_has_seen_nothing(tmp_path, faces):
    run(faces, "--run", tmp_path / "r", *SCRIPTED)
    with closing(sqlite3.connect(tmp_path / "r" / NAME)) as db:
        db.execute("DROP TABLE observed")
        db.execute("DELETE FROM facts WHERE name = 'observed_by'")
        db.commit()
    run(faces, "--run", tmp_path / "r", *SCRIPTED)
    with closing(Ledger(tmp_path / "r", lambda *_: {})) as ledger:
        assert ledger.observed(["smile"]) == set()


def test_a_forecast_says_that_it_leaves_out_what_they_see(tmp_path, faces):
    result = run(faces, "--run", tmp_path / "r", *WITH, "--strategy", "fixed:1", "--dry-run")
    assert "without what face-landmarker and fer see before, which may save answers" in result.stdout


def test_answers_of_the_same_observer_from_outside_are_refused(tmp_path, faces):
    sample = {"item": "smile", "observer": "fer", "question": "expression", "draw": 0, "expression": "fear"}
    with pytest.raises(SekeError, match="of this run answers as fer"):
        seke.annotate(faces, tmp_path / "r", ScriptedModel(), observed_by=("fer",), answers=[sample])


def test_a_run_does_not_go_on_with_another_network(tmp_path, faces):
    others = "--run", tmp_path / "r", *SCRIPTED, "--with", "fer", "--strategy", "fixed:1"
    run(faces, *others)
    other = shutil.copy(network_of("fer"), tmp_path / "other.tflite")
    result = run(faces, *others, "--network", other, status=2)
    assert re.search(r"networks fer: \S+ [0-9a-f]+ then, other\.tflite [0-9a-f]+ now", result.stderr)
    # A run that was begun before that was noted goes on.
    with closing(sqlite3.connect(tmp_path / "r" / NAME)) as db:
        db.execute("DELETE FROM facts WHERE name = 'networks'")
        db.commit()
    run(faces, *others, "--network", other)


def test_a_network_that_is_not_there_is_told_before_anything_is_asked(tmp_path, faces):
    result = run(faces, "--run", tmp_path / "r", *WITH, "--network", tmp_path / "gone.tflite", status=2)
    assert "gone.tflite: no such file" in result.stderr
    assert not (tmp_path / "r").exists()
