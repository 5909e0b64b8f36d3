"""seke annotate: the ledger, going on after every kind of end, and what it comes to."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import resource
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from small_study import ONE_QUESTION, SMALL_FACES, pictures

import seke
from engine import SekeError
from seke.annotation.job import Job
from seke.annotation.observers import observer_of
from seke.annotation.stopping_rules import label_of, rule_of
from seke.cli.annotate import _gold_lines
from seke.cli.main import main
from seke.files.networks import cache_folder
from seke.runs.ledger import VERSION, Ledger, ReadingRequests, status_of
from seke.sampling.loop import Request
from seke.vision.errors import FatalError, OutOfMoneyError, UnansweredError
from seke.vision.fake import RecordedModel, ScriptedModel
from seke.vision.messages import Call, Choice, Failure, Picture, Prompt, Reply, Settings

EXAMPLE = Path(__file__).parents[3] / "examples" / "annotate"
SERVER = Path(__file__).parent / "server.py"
# With another base after it, that is the one.
RECORDED = ["-k", str(SMALL_FACES), "--model", "gpt-4o", "--recorded", str(EXAMPLE / "answers.jsonl")]


def run(*args, status=0):
    result = CliRunner().invoke(main, ["annotate", *map(str, args)])
    assert result.exit_code == status, result.output
    return result


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# The ledger ----------------------------------------------------------------------------------------


def call(item="a", samples=1, first=0):
    request = Request(item, "gpt-4o", "joint", None, "face", first, samples)
    return Call(request, Prompt("Look.", {}, "p1"), Picture(b"x", "image/jpeg", 1, 1, "q1"))


def read(call, choice):
    status = {"status": "refused"} if choice.refusal else {"expression": choice.text}
    return {"item": call.request.item, "draw": choice.draw, **status}


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path, read)
    yield made
    made.close()


def test_a_ledger_of_the_first_version_is_read_and_goes_on(tmp_path):
    old = Ledger(tmp_path, read)
    asyncio.run(old.sent(call(), (0,), None))
    old.close()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as db:
        db.executescript("ALTER TABLE prompts DROP COLUMN system; UPDATE facts SET value = '1';")
    assert status_of(tmp_path)[2].requests == 1
    again = Ledger(tmp_path, read)
    assert again.prompt("p1") == Prompt("Look.", {}, "p1")
    told = Prompt("Look.", {}, "p2", "You see.")
    asyncio.run(again.sent(replace(call("b"), prompt=told), (0,), None))
    assert again.prompt("p2") == told
    assert again.facts("version") == {"version": VERSION}
    again.close()


def on_disk(folder, statement):
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as db:
        return db.execute(statement).fetchall()


def test_what_was_told_is_on_disk_when_the_ledger_says_so(ledger, tmp_path):
    async def go():
        number = await ledger.sent(call(samples=2), (0, 1), 0.5)
        assert on_disk(tmp_path, "SELECT number, state, draws FROM requests") == [(number, "sent", "[0, 1]")]
        choices = Choice(0, "fear", "stop"), Choice(1, "", "stop", "no")
        await ledger.answered(number, Reply(choices, "m", "f", "id", 100, 10, 5, 0.25, 1.5))
        assert on_disk(tmp_path, "SELECT draw, text, refusal, status FROM choices") == [
            (0, "fear", None, "ok"),
            (1, "", "no", "refused"),
        ]
        number = await ledger.sent(call("b"), (0,), 0.5)
        await ledger.failed(number, Failure(500, "no", paid=True, retried=False))

    asyncio.run(go())
    totals = ledger.totals()
    assert (totals.requests, totals.failed, totals.answers, totals.refused) == (2, 1, 2, 1)
    assert (totals.spent, totals.perhaps) == (0.25, 0.5)
    assert ledger.records(["a", "b"])["a"] == [
        {"item": "a", "draw": 0, "expression": "fear"},
        {"item": "a", "draw": 1, "status": "refused"},
    ]
    line = ("a", "gpt-4o", "joint", None, "face")
    assert ledger.lines(["a", "c"]) == {line: ReadingRequests(2, (), "p1", "q1")}
    assert ledger.prompt("p1").text == "Look."
    assert ledger.choices(call(), [0, 1, 2]) == (Choice(0, "fear", "stop"), Choice(1, "", "stop", "no"))


def test_what_was_on_its_way_is_unknown_afterwards_and_counted(tmp_path):
    first = Ledger(tmp_path, read)
    asyncio.run(first.sent(call(), (0,), 0.5))
    first.close()
    again = Ledger(tmp_path, read, max_cost=0.9)
    assert again.totals().unknown == 1
    assert again.totals().perhaps == 0.5
    with pytest.raises(OutOfMoneyError, match=r"0\.5000 USD are spent"):
        asyncio.run(again.sent(call(), (1,), 0.5))
    asyncio.run(again.sent(call(), (1,), 0.4))
    again.close()


def test_money_on_its_way_counts_and_comes_back(tmp_path):
    ledger = Ledger(tmp_path, read, max_cost=1.0)

    async def go():
        first = await ledger.sent(call("a"), (0,), 0.6)
        with pytest.raises(OutOfMoneyError):
            await ledger.sent(call("b"), (0,), 0.6)
        await ledger.answered(first, Reply((Choice(0, "x", "stop"),), "m", price=0.1))
        second = await ledger.sent(call("b"), (0,), 0.6)
        await ledger.failed(second, Failure(429, "busy", paid=False, retried=True))
        await ledger.sent(call("b"), (0,), 0.9)

    asyncio.run(go())
    ledger.close()


def test_a_patient_ledger_waits_for_money_that_comes_back(tmp_path):
    ledger = Ledger(tmp_path, read, max_cost=1.0)
    ledger.patient = True

    async def go():
        first = await ledger.sent(call("a"), (0,), 0.6)
        second, third = (asyncio.create_task(ledger.sent(call(name), (0,), 0.6)) for name in "bc")
        await asyncio.sleep(0.05)
        assert not second.done()
        await ledger.answered(first, Reply((Choice(0, "x", "stop"),), "m", price=0.3))
        await ledger.answered(await second, Reply((Choice(0, "x", "stop"),), "m", price=0.3))
        # Nothing is on its way any more that could make room.
        with pytest.raises(OutOfMoneyError, match=r"0\.6000 USD are spent"):
            await third

    asyncio.run(go())
    ledger.close()


def test_another_process_is_told_who_is_there(ledger, tmp_path):
    with pytest.raises(SekeError, match=rf"uses this run \(process {os.getpid()}\)"):
        Ledger(tmp_path, read)
    facts, settled, totals = status_of(tmp_path)
    assert (facts, settled, totals.requests) == ({"version": VERSION}, 0, 0)


def test_a_full_disk_stops_cleanly(ledger, tmp_path):
    pages = ledger._write_db.execute("PRAGMA page_count").fetchone()[0]
    ledger._write_db.execute(f"PRAGMA max_page_count = {pages + 1}")

    async def go():
        number = await ledger.sent(call(), (0,), None)
        await ledger.answered(number, Reply((Choice(0, "x" * 100_000, "stop"),), "m"))

    with pytest.raises(FatalError, match="the disk is full"):
        asyncio.run(go())
    assert on_disk(tmp_path, "SELECT count(*) FROM choices") == [(0,)]


def test_a_newer_ledger_is_left_alone(tmp_path):
    ledger = Ledger(tmp_path, read)
    ledger.note({"version": 99})
    ledger.close()
    with pytest.raises(SekeError, match="newer version"):
        Ledger(tmp_path, read)


# Runs without a server -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The folder of a run of the example, and what was printed."""
    folder = tmp_path_factory.mktemp("example") / "r"
    result = run(EXAMPLE, "--run", folder, *RECORDED)
    return folder, result.output


@pytest.fixture
def example_run(example, tmp_path):
    """The run of the example as a folder of the test's own."""
    return shutil.copytree(example[0], tmp_path / "a run")


def test_the_example_from_end_to_end(example):
    folder, output = example
    assert "6 items" in output
    records = rows(folder / "posteriors.jsonl")
    best = {r["item"]: max(r["expression"], key=r["expression"].get) for r in records}
    assert best["startled"] == "surprise"
    assert best["brows-down"] == "anger"
    assert all(r["decision"]["next"] is None for r in records)
    # What the ledger holds, inferred again, decides the same.
    again = list(seke.infer(folder / "samples.jsonl", SMALL_FACES))
    assert [r["expression"] for r in again] == [r["expression"] for r in records]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["finished"]
    assert summary["facts"]["observer"] == "gpt-4o"
    assert sum(summary["items"].values()) == 6


def test_a_run_goes_on_without_asking_again_and_replays_alike(tmp_path, example_run):
    before = (example_run / "posteriors.jsonl").read_bytes()
    first = status_of(example_run)[2]
    assert f"{example_run}: goes on; settled before: 6 of 6 items; answers that it has: " in run(
        EXAMPLE, "--run", example_run, *RECORDED
    ).stderr.replace("\n", " ")
    assert status_of(example_run)[2] == first
    assert (example_run / "posteriors.jsonl").read_bytes() == before
    answers = example_run / "answers.jsonl"
    run(EXAMPLE, "--run", tmp_path / "s", *RECORDED, "--recorded", answers)
    assert (tmp_path / "s" / "posteriors.jsonl").read_bytes() == before


def test_labels_of_the_set_are_evidence_and_the_rest_is_completed(tmp_path):
    run(EXAMPLE / "faces.csv", "--run", tmp_path / "r", *RECORDED)
    samples = rows(tmp_path / "r" / "samples.jsonl")
    known = [sample for sample in samples if sample["observer"] == "dataset-label"]
    assert {sample["item"] for sample in known} == {"at-rest", "smile", "downcast"}
    smile_samples = [
        sample for sample in samples if sample["item"] == "smile" and sample["observer"] == "gpt-4o"
    ]
    assert smile_samples
    assert not any("expression" in sample for sample in smile_samples if sample["question"] == "joint")
    record = next(r for r in rows(tmp_path / "r" / "posteriors.jsonl") if r["item"] == "smile")
    assert record["decision"]["levels"]["valence"]["decision"] == "accept"


def test_pictures_that_are_no_longer_named_are_missed(tmp_path, example_run):
    result = run(EXAMPLE / "smile.png", "--run", example_run, *RECORDED)
    assert "5 items that this run had are not named now, and left out of its files" in result.output
    assert len(rows(example_run / "posteriors.jsonl")) == 1
    # As many others are no longer those either.
    alone = ["--run", tmp_path / "s", *RECORDED, "--strategy", "fixed:1"]
    run(EXAMPLE / "smile.png", *alone)
    result = run(EXAMPLE / "at-rest.png", *alone)
    assert "1 item that this run had is not named now, and left out of its files" in result.output


def test_labels_of_other_items_alone_are_refused(tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("item,expression\nsmile.png,happiness\n")
    result = run(EXAMPLE, "--run", tmp_path / "r", *RECORDED, "--labels", labels, status=2)
    assert "labels none of the items; it names 'smile.png', the pictures 'at-rest'" in result.output


def test_a_folder_of_other_things_is_no_place_for_a_run(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "overlay.yaml").write_text("extends: shipped\n")
    result = run(EXAMPLE, "--run", tmp_path / "base", *RECORDED, status=2)
    assert "base: is not empty (it has overlay.yaml); name a new or an empty folder" in result.output
    assert [entry.name for entry in (tmp_path / "base").iterdir()] == ["overlay.yaml"]
    # A run that was killed before its ledger was there begins anew.
    (tmp_path / "cut").mkdir()
    for name in ("lock", "ledger.reserve", ".DS_Store"):
        (tmp_path / "cut" / name).write_bytes(b"")
    run(EXAMPLE, "--run", tmp_path / "cut", *RECORDED, "--strategy", "fixed:1")


def test_a_run_that_was_begun_otherwise_is_refused_with_what_differs(tmp_path, example_run):
    (tmp_path / "o.yaml").write_text(
        f"extends: {SMALL_FACES}\npolicy: {{budget: 3, source: judgement, note: Few.}}\n"
    )
    result = run(EXAMPLE, "--run", example_run, *RECORDED, "-k", tmp_path / "o.yaml", status=2)
    assert "was started with other settings (budget: 8 then, 3 now; policy: " in result.output
    result = run(EXAMPLE, "--run", example_run, *RECORDED, "--temperature", "0", status=2)
    assert "temperature: 1.0 then, 0.0 now" in result.output
    assert "answers under other settings do not count; start another run with --run NEWDIR" in result.output


def spent(folder):
    """Return the items, what is asked and of whom, and the answers that were paid for."""
    keys = "item, observer, question, about, view, draws, prompt, picture"
    paid = on_disk(folder, f"SELECT {keys} FROM requests WHERE model NOT LIKE '%earlier run'")
    return on_disk(folder, f"SELECT {keys} FROM requests"), paid


def test_another_base_decides_anew_from_the_ledger_by_the_command_that_the_refusal_names(
    tmp_path, example_run
):
    folder = example_run
    before = status_of(folder)
    requests, _ = spent(folder)
    # Laxer limits, no level but one needed, and a duller observer: nothing further is worth asking.
    (tmp_path / "o.yaml").write_text(
        f"extends: {SMALL_FACES}\n"
        "policy: {limits: {expression: 0.9, affect: 0.9, action_units: 0.9}, source: judgement, note: Lax,\n"
        "         required: [expression], worth: {expression: 20, affect: 0, action_units: 0}}\n"
        "observers: {gpt-4o: {exponent: 0.9, source: judgement, note: Duller.}}\n"
    )
    result = run(EXAMPLE, "--run", folder, *RECORDED, "-k", tmp_path / "o.yaml", status=2)
    assert "observers: " in result.output
    assert "policy: " in result.output
    command = shlex.split(result.output.splitlines()[-1])
    assert command[:4] == ["seke", "annotate", "--branch", str(tmp_path / "a run-2")]
    run(*command[2:])
    assert status_of(folder) == before
    assert spent(folder)[0] == requests
    asked, paid = spent(tmp_path / "a run-2")
    assert paid == []
    assert set(asked) <= set(requests)
    status = status_of(tmp_path / "a run-2")
    assert (status[1], status[2].spent, status[2].perhaps) == (6, 0.0, 0.0)
    # What is decided is what the new base makes of those answers.
    decided = rows(tmp_path / "a run-2" / "posteriors.jsonl")
    assert {record["decision"]["item"] for record in decided} == {"accept"}
    samples = tmp_path / "a run-2" / "samples.jsonl"
    for record, inferred in zip(decided, seke.infer(samples, tmp_path / "o.yaml"), strict=True):
        assert record["expression"] == inferred["expression"]
    # The next one of that name is free.
    result = run(EXAMPLE, "--run", folder, *RECORDED, "-k", tmp_path / "o.yaml", status=2)
    assert "a run-3" in result.output


def test_an_interrupted_branch_goes_on_with_the_earlier_answers(tmp_path):
    folder = pictures(tmp_path / "faces", 3)
    made(folder, tmp_path / "r", strategy="fixed:2").run()
    made(folder, tmp_path / "b", strategy="fixed:3").run(branch_of=tmp_path / "r")
    # As if it had been ended when nothing of two items had come.
    with closing(sqlite3.connect(tmp_path / "b" / "ledger.sqlite")) as db, db:
        for table in ("settled", "choices", "requests"):
            db.execute(f"DELETE FROM {table} WHERE item IN ('f1', 'f2')")
    # Whoever goes on does not say again whose branch it is; both folders have moved.
    (tmp_path / "moved").mkdir()
    for name in "rb":
        (tmp_path / name).rename(tmp_path / "moved" / name)
    assert made(folder, tmp_path / "moved" / "b", strategy="fixed:3").run().finished
    bought = on_disk(
        tmp_path / "moved" / "b", "SELECT item, draws FROM requests WHERE model NOT LIKE '%earlier run'"
    )
    assert sorted(bought) == [(f"f{i}", "[2]") for i in range(3)]
    # A branch of the branch has the answers of both, also those that the branch lost.
    with closing(sqlite3.connect(tmp_path / "moved" / "b" / "ledger.sqlite")) as db, db:
        db.execute("DELETE FROM choices WHERE item = 'f1' AND draw = 0")
    made(folder, tmp_path / "c", strategy="fixed:3").run(branch_of=tmp_path / "moved" / "b")
    assert on_disk(tmp_path / "c", "SELECT DISTINCT model FROM requests") == [("scripted: earlier run",)]
    # Without the earlier run its answers would be paid for again.
    shutil.rmtree(tmp_path / "moved" / "r")
    assert made(folder, tmp_path / "moved" / "b", strategy="fixed:3").run().finished
    with closing(sqlite3.connect(tmp_path / "moved" / "b" / "ledger.sqlite")) as db, db:
        db.execute("DELETE FROM settled WHERE item = 'f2'")
    with pytest.raises(SekeError, match=r"which no longer exists.*paid for again"):
        made(folder, tmp_path / "moved" / "b", strategy="fixed:3").run()


def test_a_branch_uses_the_answers_that_still_count(tmp_path, example_run):
    (tmp_path / "o.yaml").write_text(
        f"extends: {SMALL_FACES}\n"
        "policy: {limits: {expression: 0.02}, source: judgement, note: Strict.}\n"
    )
    given = ["--branch", tmp_path / "b", *RECORDED, "-k", tmp_path / "o.yaml"]
    run(EXAMPLE, "--run", example_run, *given)
    models = on_disk(tmp_path / "b", "SELECT model, count(*) FROM requests GROUP BY model")
    assert dict(models)["scripted: earlier run"] >= 6
    assert "scripted: recorded" in dict(models)
    # The same command goes on, and buys nothing.
    before = status_of(tmp_path / "b")[2]
    run(EXAMPLE, "--run", example_run, *given)
    assert status_of(tmp_path / "b")[2] == before
    # Another run's branch is not there to be gone on with, nor is a folder with other things in it.
    other_run = shutil.copytree(example_run, tmp_path / "r2")
    result = run(EXAMPLE, "--run", other_run, *given, status=2)
    assert "is there already" in result.output
    # Nothing is begun where nothing counts.
    other = ["--branch", tmp_path / "c", *RECORDED, "--temperature", "0.5"]
    result = run(EXAMPLE, "--run", example_run, *other, status=2)
    assert "another model or other settings answered" in result.output
    assert not (tmp_path / "c").exists()


def test_pictures_that_cannot_be_shown_are_rejected_with_the_reason(tmp_path):
    folder = pictures(tmp_path / "faces", 2)
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "empty.jpg").write_bytes(b"")
    result = run(folder, "--run", tmp_path / "r", "-k", ONE_QUESTION, "--scripted")
    assert "broken.png: is no picture of a kind that is read (JPEG, " in result.output
    # A forecast takes the first that can be shown.
    dry = run(
        folder,
        "--run",
        tmp_path / "d",
        "-k",
        ONE_QUESTION,
        "--scripted",
        "--dry-run",
        "--strategy",
        "fixed:1",
    )
    assert "4 items" in dry.output
    reasons = {r["item"]: r["decision"]["reasons"] for r in rows(tmp_path / "r" / "posteriors.jsonl")}
    assert reasons["broken"][0] == "picture-unsupported"
    assert reasons["empty"][0] == "picture-empty"
    assert status_of(tmp_path / "r")[1] == 4


def test_refused_answers_are_asked_again_on_request(tmp_path):
    folder = pictures(tmp_path / "faces", 3)

    def job(refusal):
        return made(folder, tmp_path / "r", ScriptedModel(refusal=refusal))

    first = job(1.0).run()
    assert first.totals.refused == first.totals.answers > 0
    assert first.reasons == {"refused": 3}
    again = job(0.0).run()
    assert again.totals == first.totals
    third = job(0.0).run(retry_refused=True)
    assert third.totals.answers > first.totals.answers
    assert third.totals.refused == first.totals.refused
    assert "refused" not in third.reasons
    # New draws, not the old ones over again.
    draws = on_disk(tmp_path / "r", "SELECT item, question, view, about, draw FROM choices")
    assert len(set(draws)) == len(draws)


def test_a_recording_that_ends_closes_the_item(tmp_path):
    model = RecordedModel([answer for answer in rows(EXAMPLE / "answers.jsonl") if answer["draw"] == 0][:1])
    summary = Job.of([EXAMPLE], tmp_path / "r", model, Settings("gpt-4o"), problems=lambda _: None).run()
    assert summary.reasons["unanswered"] == 6
    assert summary.finished


def test_a_strategy_is_a_baseline_under_the_same_decisions(tmp_path):
    folder = pictures(tmp_path / "faces", 5)
    for strategy, most in (("fixed:3", 3), ("agree:2/3", 3), ("adaptive-consistency", 20), ("esc", 20)):
        place = tmp_path / strategy.replace(":", "-").replace("/", "-")
        summary = made(folder, place, strategy=strategy, max_samples=20).run()
        assert summary.finished
        per_item = [r["diagnostics"]["samples"] for r in rows(place / "posteriors.jsonl")]
        assert max(per_item) <= most
        assert strategy != "fixed:3" or set(per_item) == {3}
        assert all(r["decision"]["next"] is None for r in rows(place / "posteriors.jsonl"))


def test_rules_by_hand():
    fixed, beta, windows = (rule_of(name, 12) for name in ("fixed:4", "adaptive-consistency", "esc"))
    assert fixed([]) == 4
    assert fixed(["a"] * 4) == 0
    # 1 - I_1/2(n + 1, 1) = 1 - 2^-(n + 1): four of one kind pass .95, three do not.
    assert beta(["a"] * 3) == 1
    assert beta(["a"] * 4) == 0
    assert beta(["a", "b"] * 6) == 0  # the budget
    assert windows([]) == 5
    assert windows(["a"] * 3) == 2
    assert windows(["a"] * 5) == 0
    assert windows(["a"] * 4 + ["b"]) == 5
    assert windows(["a", "b"] * 5) == 2
    with pytest.raises(SekeError, match=r"policy, fixed:N, agree:K/N, adaptive-consistency, esc \(such as"):
        rule_of("majority", 3)


def test_until_so_many_agree_by_hand():
    rule = rule_of("agree:4/5", 20)
    assert rule([]) == 4
    assert rule(["a"] * 4) == 0
    assert rule(["a", "a", "b", "a"]) == 1
    assert rule(["a", "b", "a", "b"]) == 1  # two are lacking, and there is room for one
    assert rule(["a", "b", "a", "b", "a"]) == 0
    # An answer without a label counts as an answer and for no label.
    assert rule([None, "a", None]) == 2
    assert rule([None] * 5) == 0
    # One of one is the first answer, and two of two are two, whatever they say.
    assert [rule_of("agree:1/1", 1)(labels) for labels in ([], ["a"])] == [1, 0]
    assert [rule_of("agree:2/2", 1)(labels) for labels in ([], ["a"], ["a", "b"])] == [2, 1, 0]


@given(st.integers(1, 6), st.integers(0, 6), st.lists(st.sampled_from(["a", "b", None]), min_size=12))
def test_no_answer_is_asked_for_that_agreement_does_not_need(wanted, more, answers):
    """Asked in batches the rule has what it has one answer at a time, and ends by agreement or at N."""
    most = wanted + more
    rule, came = rule_of(f"agree:{wanted}/{most}", 1), []
    while count := rule(came):
        came = answers[: len(came) + count]
    alone = next(n for n in range(most + 1) if n == most or max(map(answers[:n].count, "ab")) >= wanted)
    assert len(came) == alone


@pytest.mark.parametrize("counts", ["", "4", "5/4", "0/3", "a/b", "4/5/6", "-1/2", "4/", "²/3"])
def test_agreement_needs_two_numbers(counts):
    with pytest.raises(SekeError, match="such as agree:4/5"):
        rule_of(f"agree:{counts}", 20)


def test_labels_of_samples():
    assert label_of({"expression": ["fear", "anger"]}, "expression", ["expression"]) == "fear"
    assert label_of({"expression": {"fear": 0.2, "anger": 0.5}}, "expression", ["expression"]) == "anger"
    assert label_of({"reports": {"disease": "rust"}}, "disease", ["diagnosis"]) == "rust"
    assert label_of({"status": "refused"}, "expression", ["expression"]) is None


def test_who_a_model_is():
    base = seke.knowledge()
    assert observer_of(base, "gpt-4o") == "gpt-4o"
    assert observer_of(base, "openai/gpt-4o-2024-08-06") == "gpt-4o"
    assert observer_of(base, "qwen2.5-vl-7b") == "generic-vlm"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--run", "r"], "name pictures, folders or a manifest"),
        ([EXAMPLE, "--run", "r"], "name the model with --model"),
        ([EXAMPLE, "--run", "r", "--model", "m", "--max-cost", "1"], "--price-in and --price-out"),
        ([EXAMPLE, "--run", "r", "--scripted", "--strategy", "vote"], "no strategy is called 'vote'"),
        ([EXAMPLE, "--run", "r", "--scripted", "--observer", "human"], "cannot be asked"),
        (
            [EXAMPLE, "--run", "r", "--scripted", "--observer", "gpt4o"],
            "or let its answers be those of 'generic-vlm'",
        ),
        ([EXAMPLE / "nothing", "--run", "r", "--scripted"], "no such file or folder"),
        (["--run", "r", "--status"], "r: there is no such folder"),
        ([EXAMPLE, "--run", "r", "--model", "m"], "there is no key"),
    ],
)
def test_bad_input_is_met_before_anything_is_sent(tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert message in run(*args, status=2).output
    assert not list(tmp_path.iterdir())


def test_pictures_go_nowhere_unless_it_is_allowed(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    given = [EXAMPLE, "--run", tmp_path / "r", "--model", "m", "--base-url", "http://models.invalid/v1"]
    result = run(*given, status=2)
    assert (
        "6 pictures will be sent to http://models.invalid/v1/ (unencrypted), with the key in" in result.output
    )
    assert "read their terms first" in result.output
    assert "--yes" in result.output
    assert not (tmp_path / "r").exists()


def test_prompts_and_forecasts_send_nothing(tmp_path):
    shown = run(EXAMPLE, "--run", tmp_path / "r", "--model", "gpt-4o", "--show-prompts").output
    assert "--- verify to gpt-4o, here about AU1" in shown
    assert shown.count("--- told first, in all questions that follow\nYou describe what faces") == 1
    assert (
        "--- letters with which requests begin alike, the picture before the question\njoint to gpt-4o: "
        in shown
    )
    given = ["--run", tmp_path / "r", "-k", ONE_QUESTION, "--model", "gpt-4o", "--max-samples", "2", "--json"]
    forecast = json.loads(run(EXAMPLE, *given, "--dry-run", "--price-in", "2", "--price-out", "8").stdout)
    assert forecast["items"] == 6
    assert forecast["answers"]["joint"] >= 6
    assert forecast["labelled"] == 0
    paid = (forecast["prompt_tokens"] * 2 + forecast["answer_tokens"] * 8) / 1e6
    assert forecast["price"] == pytest.approx(paid, rel=0.1)
    assert forecast["price_low"] < forecast["price"] < forecast["price_high"]
    most = (forecast["most_prompt_tokens"] * 2 + forecast["most_answer_tokens"] * 8) / 1e6
    assert forecast["price_most"] == pytest.approx(most)
    assert forecast["price_high"] < most
    gold = forecast["gold"]
    assert (gold["variable"], set(gold["accepted"])) == ("expression", {"0", "30", "100"})
    for accepted in gold["accepted"].values():
        assert accepted["of"] == gold["items"]
        assert accepted["low"] <= accepted["share"] <= accepted["high"]
    # It takes seconds, and is kept.
    assert gold in [json.loads(path.read_bytes()) for path in cache_folder().glob("gold-*.json")]
    assert not (tmp_path / "r").exists()


def test_a_forecast_says_where_its_prices_come_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seke.toml").write_text('model = "m"\nprice-in = 2.5\nprice-out = 10.0\n', encoding="utf-8")
    dry = [EXAMPLE, "--run", "r", "-k", ONE_QUESTION, "--dry-run", "--strategy", "fixed:1"]
    line = next(line for line in run(*dry).stdout.splitlines() if "prices of tokens" in line)
    assert line.strip().startswith("prices of tokens: 2.5 and 10 USD a million, in and out (from ")
    assert line.endswith("seke.toml); of questions: as the base declares")
    typed = json.loads(run(*dry, "--price-in", "1", "--price-out", "2", "--json").stdout)["prices_from"]
    assert typed["tokens"] == "1 and 2 USD a million, in and out (as typed)"


def test_what_gold_would_buy_in_words():
    assert list(_gold_lines(None)) == []
    assert list(_gold_lines({"why": "no root"})) == ["what gold labels would buy is not known: no root"]
    shares = {"0": (0.1, 0.04, 0.2), "30": (0.25, 0.15, 0.38)}
    keys = ("share", "low", "high")
    accepted = {count: dict(zip(keys, numbers, strict=True)) for count, numbers in shares.items()}
    first, second = _gold_lines({"variable": "tone", "observer": "ear", "items": 60, "accepted": accepted})
    assert first.startswith("share of tone accepted after calibration on gold labels, ")
    assert first.endswith("answered by ear: none 10% (4% to 20%), 30 labels 25% (15% to 38%)")
    assert "60 made-up items, asked as the policy asks, with 95 % intervals" in second


# What is decided about an item is its own affair ------------------------------------------------------


def made(folder, place, model=None, settings=None, **given):
    given = {"knowledge": SMALL_FACES, **given}
    return Job.of([folder], place, model or ScriptedModel(), settings or Settings("gpt-4o"), **given)


def by_item(place):
    return {record["item"]: record for record in rows(place / "posteriors.jsonl")}


def test_whoever_else_is_asked_changes_nothing(tmp_path):
    folder = pictures(tmp_path / "faces", 8)
    made(folder, tmp_path / "all").run()
    together = by_item(tmp_path / "all")
    for i, width in ((3, 1), (6, 64)):
        made(folder / f"f{i}.png", tmp_path / f"only{i}", concurrency=width).run()
        assert by_item(tmp_path / f"only{i}") == {f"f{i}": together[f"f{i}"]}


class Forgetful:
    """Answers as another model does, but not these draws of a request that comes for the first time."""

    def __init__(self, model, *lost):
        self.model, self.lost, self.met = model, lost, set()

    async def ask(self, call, journal):
        request = call.request
        draws = [request.first + k for k in range(request.samples)]
        number = await journal.sent(call, tuple(draws), 0.0)
        first = request.line not in self.met
        self.met.add(request.line)
        choices = tuple(self.model.answer(call, draw) for draw in draws if not (first and draw in self.lost))
        if choices:
            await journal.answered(number, Reply(choices, "m", price=0.0))
        else:
            await journal.failed(number, Failure(500, "busy", paid=False, retried=False))
        if len(choices) < len(draws):
            raise UnansweredError("busy", choices)
        return choices


def test_an_item_goes_on_with_the_answers_that_came(tmp_path):
    folder = pictures(tmp_path / "faces", 4)
    lost = Forgetful(ScriptedModel(), 1)
    first = made(folder, tmp_path / "r", lost, strategy="fixed:3", problems=lambda _: None).run()
    # One of three is missing; the rule asks for a further one.
    assert first.per_item["mean"] == 3
    assert first.reasons.get("unanswered") is None
    draws = on_disk(tmp_path / "r", "SELECT DISTINCT draw FROM choices ORDER BY draw")
    assert draws == [(0,), (2,), (3,)]


def test_an_item_without_any_answer_is_closed_and_asked_by_the_next_process(tmp_path):
    folder = pictures(tmp_path / "faces", 2)
    first = made(folder, tmp_path / "r", Forgetful(ScriptedModel(), 0), problems=lambda _: None).run()
    assert first.finished
    assert first.reasons == {"unanswered": 2}
    again = made(folder, tmp_path / "r").run()
    assert "unanswered" not in again.reasons
    made(folder, tmp_path / "s").run()
    assert by_item(tmp_path / "r") == by_item(tmp_path / "s")


def test_a_picture_that_is_another_one_by_now_is_not_asked_about(tmp_path):
    folder = pictures(tmp_path / "faces", 3)
    lost = Forgetful(ScriptedModel(), 1)
    made(folder, tmp_path / "r", lost, strategy="fixed:2", max_samples=2, problems=lambda _: None).run()
    (folder / "f1.png").write_bytes((folder / "f2.png").read_bytes())
    problems = []
    with closing(sqlite3.connect(tmp_path / "r" / "ledger.sqlite")) as db, db:
        db.execute("DELETE FROM settled")
        db.execute("DELETE FROM choices WHERE draw > 0")
    job = made(folder, tmp_path / "r", strategy="fixed:2", max_samples=2, problems=problems.append)
    assert job.run().finished
    assert [problem for problem in problems if "f1.png: is not the same picture as before" in problem]
    assert not [problem for problem in problems if "f0.png" in problem]


def test_a_branch_buys_only_what_is_missing(tmp_path):
    folder = pictures(tmp_path / "faces", 3)
    lost = Forgetful(ScriptedModel(), 1)
    made(folder, tmp_path / "r", lost, strategy="fixed:3", problems=lambda _: None).run()
    made(folder, tmp_path / "b", strategy="fixed:4").run(branch_of=tmp_path / "r")
    bought = on_disk(tmp_path / "b", "SELECT item, draws FROM requests WHERE model NOT LIKE '%earlier run'")
    assert sorted(bought) == [(f"f{i}", "[1]") for i in range(3)]
    # Under another observer the same answers of the same model count as well.
    made(folder, tmp_path / "c", strategy="fixed:3", observer="generic-vlm").run(branch_of=tmp_path / "b")
    assert on_disk(tmp_path / "c", "SELECT DISTINCT model FROM requests") == [("scripted: earlier run",)]


def test_from_a_notebook(tmp_path):
    folder = pictures(tmp_path / "faces", 2)

    async def cell():
        return seke.annotate(folder, tmp_path / "r", ScriptedModel(), strategy="fixed:1")

    summary = asyncio.run(cell())
    assert summary.finished
    assert summary.asked == {"joint": 2}
    with pytest.raises(FatalError, match="there is no key"):
        seke.annotate(folder, tmp_path / "s", "gpt-4o", base_url="https://models.invalid/v1")


def test_an_interrupt_in_a_notebook_ends_the_run_and_the_same_call_goes_on(tmp_path):
    folder, messages, sent = pictures(tmp_path / "faces", 24), [], []

    def interrupt(_settled, answers, _spent):
        # Once: the message may come after further answers, and a second interrupt would end the tests.
        if answers and not sent:
            sent.append(signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    async def cell(**options):
        options |= {"strategy": "fixed:1", "concurrency": 1, "problems": messages.append}
        return seke.annotate(folder, tmp_path / "r", ScriptedModel(), **options)

    with closing(asyncio.new_event_loop()) as loop:  # as in a kernel, whose interrupts are Python's own
        summary = loop.run_until_complete(cell(progress=interrupt))
        assert not summary.finished
        assert "stopped: interrupted; what came is kept in the folder, and the same call goes on" in str(
            summary
        )
        assert messages[0].startswith("stopping after the open requests are answered")
        asked = summary.asked["joint"]
        assert 0 < asked < 24
        summary = loop.run_until_complete(cell())
    assert summary.finished
    assert summary.asked == {"joint": 24}
    assert repr(summary).startswith("<RunSummary: 24 items: ")


# Against a server in a process of its own ------------------------------------------------------------


@contextmanager
def served(tmp_path, seconds=0.05):
    with (tmp_path / "seen.jsonl").open("w") as seen, closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        command = [sys.executable, SERVER, str(port), str(seconds), tmp_path / "hold"]
        process = subprocess.Popen(command, stdout=seen)
        try:
            for _ in range(600):
                with closing(socket.socket()) as there:
                    if there.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/v1", tmp_path / "seen.jsonl"
        finally:
            process.terminate()
            process.wait()


@pytest.fixture
def server(tmp_path):
    with served(tmp_path) as url_and_seen:
        yield url_and_seen


def asked(run_folder, url, *more):
    """The options of a run that asks the server."""
    return [
        "--run",
        str(run_folder),
        "--model",
        "made-up",
        "--base-url",
        url,
        "--concurrency",
        "8",
        "--json",
        "-k",
        str(ONE_QUESTION),
        *more,
    ]


def started(folder, run_folder, url, *more, **options):
    """Begin a run in a process of its own: one that is killed or interrupted; `run` starts sooner."""
    command = [sys.executable, "-c", "from seke.cli.main import main; main()", "annotate", str(folder)]
    command += asked(run_folder, url, *more)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def checked(run_folder, seen, kills, concurrency):
    """Every request that the server saw is in the ledger; none that was answered was asked for again."""
    states = dict(on_disk(run_folder, "SELECT state, count(*) FROM requests GROUP BY state"))
    arrived = len(seen.read_text().splitlines())
    assert arrived <= sum(states.values())
    assert states.get("unknown", 0) <= kills * concurrency
    assert states.get("failed", 0) == 0
    # Whatever the server was asked for beyond what is kept was on its way at a kill.
    assert arrived - states["answered"] <= states.get("unknown", 0)
    keys = "item, observer, question, about, view"
    draws = on_disk(
        run_folder, f"SELECT {keys}, draw, count(*) n FROM choices GROUP BY {keys}, draw HAVING n > 1"
    )
    assert draws == []


def kill_often(tmp_path, server, answered, items, rng, *more):
    """Kill a run often, and let it end; nothing is lost or bought twice, and all is as without kills.

    answered: how many requests are answered before each kill. It comes while the server holds further ones, a
    tenth of the later ones while the run starts.
    """
    url, seen = server
    folder = pictures(tmp_path / "faces", items)
    for done, count in enumerate(answered):
        held = len(seen.read_text().splitlines()) + count
        (tmp_path / "next").write_text(str(held))
        (tmp_path / "next").replace(tmp_path / "hold")
        process = started(folder, tmp_path / "r", url, *more)
        if done and rng.random() < 0.1:
            time.sleep(rng.uniform(0.0, 0.6))
        else:
            while len(seen.read_text().splitlines()) <= held:
                assert process.poll() is None, process.communicate()
                time.sleep(0.02)
            time.sleep(rng.uniform(0.0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (tmp_path / "hold").unlink()
    assert json.loads(run(folder, *asked(tmp_path / "r", url), *more).stdout)["finished"]
    # Each model has eight requests on their way at a time.
    checked(tmp_path / "r", seen, len(answered), 8 * (1 + more.count("--also")))
    assert on_disk(tmp_path / "r", "SELECT count(*) FROM requests WHERE state = 'unknown'") > [(0,)]
    run(folder, *asked(tmp_path / "s", url), *more)
    replayed = ["--model", "made-up", "-k", ONE_QUESTION, "--recorded", tmp_path / "r" / "answers.jsonl"]
    alike = {"s": ("posteriors.jsonl", "samples.jsonl", "answers.jsonl")}
    # A recording has no prices, and they have a say in what is asked.
    if "--price-in" not in more:
        run(folder, "--run", tmp_path / "t", *replayed, *more)
        alike["t"] = ("posteriors.jsonl",)
    for other, names in alike.items():
        for name in names:
            assert (tmp_path / "r" / name).read_bytes() == (tmp_path / other / name).read_bytes()


def test_a_model_that_the_server_lacks_is_met_before_a_run_is_begun(tmp_path, server):
    given = ["--run", tmp_path / "r", "--base-url", server[0]]
    result = run(EXAMPLE, *given, "--model", "madeup", status=2)
    assert "no model is called 'madeup'; did you mean made-up?" in result.output
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
def test_killed_before_and_after_prices_are_measured_a_run_ends_as_without_kills(tmp_path, server):
    priced = ["--price-in", "2", "--price-out", "8"]
    kill_often(tmp_path, server, (8, 40, 8), 44, random.Random(3), *priced)
    (kept,) = on_disk(tmp_path / "r", "SELECT value FROM facts WHERE name = 'prices'")
    # The server gives one answer a request, each as long: a further one costs as much as the first.
    measured = [price for price in json.loads(kept[0]).values() if price["cost"] == price["further"] > 0]
    assert measured
    assert kept == on_disk(tmp_path / "s", "SELECT value FROM facts WHERE name = 'prices'")[0]


@pytest.mark.slow
def test_two_hundred_kills(tmp_path, server, capsys):
    rng = random.Random(2)
    kill_often(tmp_path, server, [rng.randint(0, 8) for _ in range(200)], 1000, rng)
    states = dict(on_disk(tmp_path / "r", "SELECT state, count(*) FROM requests GROUP BY state"))
    with capsys.disabled():
        print(f"\n200 kills: requests {states}")


def test_ctrl_c_lets_what_is_on_its_way_come_in(tmp_path, server):
    url, seen = server
    (tmp_path / "hold").write_text("10")
    process = started(pictures(tmp_path / "faces", 40), tmp_path / "r", url)
    while len(seen.read_text().splitlines()) <= 10:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    # It says so at once, while what is on its way is not answered.
    assert any("stopping after the open requests" in line for line in process.stderr)
    (tmp_path / "hold").unlink()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert "the same command continues" in err
    assert json.loads(out)["stopped"] == "interrupted"
    checked(tmp_path / "r", seen, 0, 8)
    assert len(rows(tmp_path / "r" / "posteriors.jsonl")) == 40


def test_without_room_on_the_disk_a_run_ends_in_a_line_and_goes_on_later(tmp_path, server):
    folder = pictures(tmp_path / "faces", 12)

    def narrow():
        resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, 250_000))

    process = started(folder, tmp_path / "r", server[0], preexec_fn=narrow)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (1, 2)
    assert "Traceback" not in err
    assert "ledger.sqlite: cannot be used (disk I/O error)" in err
    run(folder, *asked(tmp_path / "r", server[0]))
    checked(tmp_path / "r", server[1], 1, 8)


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    with served(tmp_path, 30.0) as (url, seen):
        process = started(pictures(tmp_path / "faces", 20), tmp_path / "r", url)
        while len(seen.read_text().splitlines()) < 8:
            time.sleep(0.05)
        time.sleep(0.3)
        before = time.monotonic()
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert time.monotonic() - before < 15
    assert process.returncode == 1, err
    assert "Traceback" not in err
    summary = json.loads(out)
    assert summary["stopped"] == "interrupted"
    # What was given up may have been paid for.
    assert summary["totals"]["failed"] == summary["totals"]["requests"] == 8
    assert summary["items"] == {"requery": 20}


def test_a_model_whose_answers_cannot_be_read_is_not_asked_on_and_on(tmp_path):
    folder = pictures(tmp_path / "faces", 60)
    prose = {"text": "The face looks happy.", "finish": "stop"}

    class Chatty:
        async def ask(self, call, journal):
            request = call.request
            draws = range(request.first, request.first + request.samples)
            choices = tuple(Choice(draw, prose["text"], prose["finish"]) for draw in draws)
            number = await journal.sent(call, tuple(draws), None)
            await journal.answered(number, Reply(choices, "chatty"))
            return choices

    chatty = Chatty(), Settings("chatty")
    job = made(folder, tmp_path / "r", *chatty, concurrency=4, knowledge=ONE_QUESTION)
    summary = job.run()
    assert not summary.finished
    assert "answers to question joint can be read (such as 'The face looks happy.')" in summary.stopped
    assert 40 <= summary.totals.unreadable == summary.totals.answers < 60
    prose["finish"] = "length"
    job = made(folder, tmp_path / "r2", *chatty, concurrency=4, knowledge=ONE_QUESTION)
    assert "(they end at --max-tokens)" in job.run().stopped


def test_what_may_be_spent_is_never_passed(tmp_path, server):
    folder = pictures(tmp_path / "faces", 9)
    priced = ["--price-in", "2", "--price-out", "8"]
    spent = 0.0
    for limit in (0.02, 0.04):
        options = asked(tmp_path / "r", server[0], *priced, "--max-cost", str(limit))
        summary = json.loads(run(folder, *options, status=1).stdout)
        assert f"could exceed --max-cost {limit:g}" in summary["stopped"]
        totals = summary["totals"]
        assert spent < totals["spent"] + totals["perhaps"] <= limit
        spent = totals["spent"]
        assert spent == pytest.approx(totals["answers"] * (1000 * 2 + 50 * 8) / 1e6)
        # The limit is come near to: what is left would not pay for the next request at its worst.
        worst = float(re.search(r"it can cost ([\d.]+)", summary["stopped"])[1])
        assert limit - totals["spent"] - totals["perhaps"] < worst + 1e-4
    assert json.loads(run(folder, *asked(tmp_path / "r", server[0], *priced)).stdout)["finished"]
    checked(tmp_path / "r", server[1], 0, 8)
