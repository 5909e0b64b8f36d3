"""An export with texts in other words: marked, counted, kept through every end, and paid for once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from made_run import example_records, made_run, picture
from server import Reply, Server

from seke.cli.main import main
from seke.release.forget import forget
from seke.runs.forgotten import items_in_ledger
from seke.runs.ledger import status_of


def reworded(_, asked):
    """Other words for three tasks, of which some are wrong."""
    text = asked["messages"][-1]["content"]
    if text.startswith("The face does not show"):
        return Reply([json.dumps({"text": text.replace("does not show", "shows")})])
    if "No. The face" in text:
        return Reply([json.dumps({"text": "No."})], refusal="I do not do that.")
    text = text.replace("The face shows", "What this face shows is").replace("Is that so?", "Is this so?")
    return Reply([json.dumps({"text": text})])


@contextmanager
def serving(script):
    """Serve in another thread, so that signals reach the command in this one."""
    loop, server = asyncio.new_event_loop(), Server(script)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def run(tmp_path):
    records = list(example_records()[:30])
    items = [{"path": str(picture(tmp_path / f"{i}.png", i)), "group": f"p{i}"} for i in range(len(records))]
    return made_run(tmp_path / "run", records, items)


def export(run, name, *words, status=0):
    given = [run, "-o", run.parent / name, "--uncalibrated", *words]
    result = CliRunner().invoke(main, ["export", *map(str, given)])
    assert result.exit_code == status, result.output
    return result


def rows_of(folder):
    return [json.loads(line) for line in (folder / "messages" / "train.jsonl").read_text().splitlines()]


def test_an_export_is_reworded_marked_and_paid_once(run):
    tasks = ["--task", "expression", "--task", "check"]
    plain = export(run, "plain", *tasks) and rows_of(run.parent / "plain")
    with serving(reworded) as server:
        asking = ["--rewrite", "made-up", "--base-url", server.url]
        first = export(run, "first", *tasks, *asking, "--max-cost", 9, "--price-in", 1, "--price-out", 1)
        paid = len(server.seen)
        again = export(run, "second", *tasks, *asking)
        assert len(server.seen) == paid > 10
    # Texts alone are sent.
    assert all(isinstance(message["content"], str) for seen in server.seen for message in seen["messages"])
    files = [(run.parent / name / "messages" / "train.jsonl").read_bytes() for name in ("first", "second")]
    assert files[0] == files[1]
    marked = [row for row in rows_of(run.parent / "first") if row["reworded_by"]]
    assert {row["reworded_by"] for row in marked} == {"made-up"}
    answers = {row["messages"][1]["content"] for row in marked}
    assert any(answer.startswith("What this face shows is") for answer in answers)
    # What came back wrong or not at all stays word for word.
    kept = [row for row in rows_of(run.parent / "first") if not row["reworded_by"]]
    assert [row for row in plain if row in kept] == kept
    facts = json.loads((run.parent / "first" / "export.json").read_text())["rewording"]
    assert facts["reworded"] >= len(marked)
    assert facts["texts"] == facts["reworded"] + sum(facts["kept"].values()) == paid
    assert facts["answered_by"] == ["made-up-1"]
    assert {"refused", "word for word the same"} <= facts["kept"].keys()
    assert f"reworded by made-up: {facts['reworded']} of {facts['texts']} texts" in first.output
    assert "USD" in again.output
    assert (
        "a language model only put them into other words" in (run.parent / "first" / "README.md").read_text()
    )
    # Forgotten are these texts, too.
    item = marked[0]["item"]
    assert item in items_in_ledger(run / "rewordings")
    forget(item, run, exports=run.parent / "first")
    assert item not in items_in_ledger(run / "rewordings")
    assert item not in (run.parent / "first" / "messages" / "train.jsonl").read_text()


def test_stopped_halfway_it_goes_on_without_paying_twice(run):
    def stopping(number, asked):
        if number == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return reworded(number, asked)

    with serving(stopping) as server:
        asking = ["--task", "check", "--rewrite", "made-up", "--base-url", server.url, "--concurrency", 2]
        result = export(run, "data", *asking, status=2)
        assert "interrupted; nothing was written" in result.output
        assert not (run.parent / "data").exists()
        stopped = len(server.seen)
        assert stopped == status_of(run / "rewordings")[2].answers < 10
        dear = [*asking, "--max-cost", "0.003", "--price-in", "1", "--price-out", "1"]
        result = export(run, "data", *dear, status=2)
        assert "could exceed --max-cost" in result.output
        assert "the same command goes on" in result.output
        assert not (run.parent / "data").exists()
        export(run, "data", *asking)
        assert (
            len(server.seen)
            == json.loads((run.parent / "data/export.json").read_text())["rewording"]["texts"]
        )


def test_what_cannot_be_reworded_is_said(run, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert "there is no key" in export(run, "data", "--rewrite", "gpt-4o-mini", status=2).output
    near = ["--rewrite", "m", "--base-url", "http://127.0.0.1:9/v1"]
    assert "no texts to reword" in export(run, "data", *near, "--format", "parquet", status=2).output
    assert "needs the prices" in export(run, "data", *near, "--max-cost", 1, status=2).output
    output = export(run, "data", "--max-cost", 1, status=2).output
    assert "--max-cost: is about the model of --rewrite" in output
    assert "no server answers" in export(run, "data", *near, status=2).output
    assert not (run.parent / "data").exists()
