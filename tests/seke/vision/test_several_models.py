"""seke annotate --also: several models in one run, each as an observer of the base."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sqlite3
from collections import Counter
from contextlib import closing

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from server import Reply, Server, error, made_up
from small_study import ONE_QUESTION, SMALL_FACES, pictures
from test_annotate import kill_often, on_disk, rows, run, served

import seke
from engine import SekeError
from seke.annotation import cost_forecast
from seke.annotation.job import Job, session_of
from seke.annotation.several import FurtherModel, SeveralModels, further_models
from seke.calibration.fit_record import models_of_runs
from seke.cli.main import main
from seke.files.shipped import shipped_folder
from seke.vision.fake import ScriptedModel
from seke.vision.messages import Settings
from seke.vision.prices import Prices

OTHER = "generic-vlm"


def answering(_, asked):
    return Reply([made_up(asked)], alone=True)


def unused_address():
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


@pytest.fixture
def folder(tmp_path):
    return pictures(tmp_path / "faces", 3)


@pytest.fixture
def two(tmp_path):
    return pictures(tmp_path / "faces", 2)


def command(folder, run_folder, url, also, *more, base=ONE_QUESTION):
    """Run the command against a server in this process; returns its result."""
    options = [
        "--run",
        run_folder,
        "--model",
        "gpt-4o",
        "--base-url",
        url,
        "--also",
        f"{OTHER}={also}",
        "-k",
        base,
        *more,
    ]
    words = ["annotate", *map(str, (folder, *options))]
    return asyncio.to_thread(lambda: CliRunner().invoke(main, words))


def between(first, second, do):
    """Return what a coroutine makes of two servers with these scripts, and the servers."""

    async def go():
        async with Server(first, ["gpt-4o"]) as first_server, Server(second, ["llava"]) as second_server:
            return await do(first_server, second_server), first_server, second_server

    return asyncio.run(go())


def observers_of(run_folder):
    return Counter(row["observer"] for row in rows(run_folder / "samples.jsonl"))


def test_each_model_is_asked_at_its_own_server_as_its_observer(tmp_path, two, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-first")
    result, first_server, second_server = between(
        answering,
        answering,
        lambda first_server, second_server: command(
            two, tmp_path / "r", first_server.url, f"llava@{second_server.url}", "--json"
        ),
    )
    assert result.exit_code == 0, result.output
    assert {asked["model"] for asked in first_server.seen} == {"gpt-4o"}
    assert {asked["model"] for asked in second_server.seen} == {"llava"}
    counts = observers_of(tmp_path / "r")
    assert counts == {"gpt-4o": len(first_server.seen), OTHER: len(second_server.seen)}
    assert min(counts.values()) > 0
    # The key of the first model's server goes to no other one.
    assert first_server.keys == {"bearer sk-first"}
    assert second_server.keys == {"bearer none"}
    facts = json.loads((tmp_path / "r" / "summary.json").read_text())["facts"]
    assert facts["also"] == {OTHER: "llava"}
    assert facts["addresses"] == {"gpt-4o": f"{first_server.url}/", OTHER: f"{second_server.url}/"}
    assert json.loads(result.stdout)["observers"] == dict(counts)
    policy = session_of(tmp_path / "r", seke.knowledge(ONE_QUESTION)).knowledge.policy
    assert (policy.ask, policy.others) == ("gpt-4o", (OTHER,))
    assert policy.models == {"gpt-4o": "gpt-4o", OTHER: "llava"}
    assert models_of_runs([str(tmp_path / "r" / "samples.jsonl")]) == policy.models
    status = run("--run", tmp_path / "r", "--status").output
    assert f"besides llava as {OTHER}" in status
    assert f"{OTHER}: {counts[OTHER]} answers in {counts[OTHER]} requests; no prices known" in status


def test_a_key_of_its_own_is_taken_from_its_own_variable(tmp_path, two, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-first")
    monkeypatch.setenv("SEKE_KEY_GENERIC_VLM", "sk-second")
    result, first_server, second_server = between(
        answering,
        answering,
        lambda first_server, second_server: command(
            two, tmp_path / "r", first_server.url, f"llava@{second_server.url}"
        ),
    )
    assert result.exit_code == 0, result.output
    assert (first_server.keys, second_server.keys) == ({"bearer sk-first"}, {"bearer sk-second"})


def test_a_far_server_without_a_key_of_its_own_is_refused(tmp_path, folder, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-first")
    given = [folder, "--run", tmp_path / "r", "--model", "gpt-4o"]
    far = f"{OTHER}=llava@https://models.invalid/v1"
    assert "environment variable SEKE_KEY_GENERIC_VLM" in run(*given, "--also", far, status=2).output
    monkeypatch.setenv("SEKE_KEY_GENERIC_VLM", "sk-second")
    output = run(*given, "--also", far, status=2).output
    assert (
        "with the key in OPENAI_API_KEY and to https://models.invalid/v1/, with the key in SEKE_KEY" in output
    )
    assert not (tmp_path / "r").exists()


def test_from_python_with_models_and_names(tmp_path, two):
    models = {"model": ScriptedModel(), "also": {OTHER: ScriptedModel(1)}}
    summary = seke.annotate(two, tmp_path / "r", **models, observer="gpt-4o", knowledge=ONE_QUESTION)
    assert summary.finished
    assert summary.observers == observers_of(tmp_path / "r")
    assert summary.observers[OTHER] > 0

    async def go():
        async with Server(answering, ["gpt-4o", "llava"]) as server:
            further = {OTHER: f"llava@{server.url}"}
            given = {"base_url": server.url, "also": further, "knowledge": ONE_QUESTION}
            return await asyncio.to_thread(
                lambda: seke.annotate(two, tmp_path / "s", "gpt-4o", **given)
            ), server.seen

    summary, seen = asyncio.run(go())
    asked = Counter(body["model"] for body in seen)
    assert summary.observers == {"gpt-4o": asked["gpt-4o"], OTHER: asked["llava"]}


# What goes wrong ---------------------------------------------------------------------------------


def test_one_that_is_dead_from_the_start_is_left_out_and_asked_by_the_next_process(tmp_path, two):
    async def go():
        async with Server(answering, ["gpt-4o"]) as first_server:
            dead = await command(two, tmp_path / "r", first_server.url, f"llava@{unused_address()}")
            before = len(first_server.seen)
            async with Server(answering, ["llava"]) as second_server:
                alive = await command(two, tmp_path / "r", first_server.url, f"llava@{second_server.url}")
            async with Server(answering, ["llava"]) as whole_server:
                whole = await command(two, tmp_path / "s", first_server.url, f"llava@{whole_server.url}")
            return dead, before, alive, second_server.seen, whole

    dead, before, alive, asked, whole = asyncio.run(go())
    assert dead.exit_code == 0, dead.output
    assert f"{OTHER} is no longer asked; the run continues with the others: " in dead.stderr
    assert "no server answers" in dead.stderr
    assert f"{OTHER} was dropped before the end" in dead.stderr
    assert "unanswered-by" in dead.stdout
    assert before > 0
    assert alive.exit_code == whole.exit_code == 0
    assert "not asked" not in alive.stderr
    assert observers_of(tmp_path / "r")[OTHER] == len(asked) > 0
    assert "unanswered-by" not in (tmp_path / "r" / "posteriors.jsonl").read_text()


def test_one_that_loses_its_key_in_between_is_left_out_and_what_it_said_stays(tmp_path, folder):
    def until_three(number, asked):
        return answering(number, asked) if number < 3 else error(401, "no such key")

    def ask(first_server, second_server):
        other, more = f"llava@{second_server.url}", ("--concurrency", "1")
        return command(folder, tmp_path / "r", first_server.url, other, *more, base=SMALL_FACES)

    result, _, second_server = between(answering, until_three, ask)
    assert result.exit_code == 0, result.output
    assert result.stderr.count(f"{OTHER} is no longer asked") == 1
    assert "the key in SEKE_KEY_GENERIC_VLM is not accepted" in result.stderr
    assert observers_of(tmp_path / "r")[OTHER] == 3
    assert len(second_server.seen) == 4
    assert on_disk(tmp_path / "r", "SELECT count(*) FROM settled") == [(3,)]
    facts = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert any(note.startswith(f"{OTHER} was dropped before the end") for note in facts["notes"])


def test_an_item_about_which_one_says_nothing_goes_on_with_the_others(tmp_path, folder):
    def every_second(number, asked):
        return error(400, "this picture is not for me") if number % 2 else answering(number, asked)

    result, _, _ = between(
        answering,
        every_second,
        lambda first_server, second_server: command(
            folder, tmp_path / "r", first_server.url, f"llava@{second_server.url}", "--concurrency", "1"
        ),
    )
    assert result.exit_code == 0, result.output
    assert "is no longer asked" not in result.stderr
    failed = on_disk(tmp_path / "r", "SELECT DISTINCT item FROM requests WHERE state = 'failed'")
    assert failed
    # Nobody is asked twice who said nothing, and no such item is closed as unanswered.
    # Several draws of one question may be on their way at once.
    key = "item, observer, question, about"
    failed_lines = f"SELECT {key} FROM requests WHERE state = 'failed'"
    lines = f"{failed_lines} EXCEPT SELECT {key} FROM requests WHERE state = 'answered'"
    per_item = f"SELECT item, observer FROM ({lines}) GROUP BY 1, 2 HAVING count(*) > 1"
    assert on_disk(tmp_path / "r", per_item) == []
    assert on_disk(tmp_path / "r", "SELECT count(*) FROM settled WHERE reason = 'unanswered'") == [(0,)]
    later = "SELECT count(*) FROM requests r JOIN requests f ON r.item = f.item AND r.number > f.number "
    assert on_disk(tmp_path / "r", f"{later} WHERE f.state = 'failed' AND r.observer = 'gpt-4o'") > [(0,)]


def test_the_first_one_ends_the_run(tmp_path, folder):
    result, _, _ = between(
        lambda number, asked: answering(number, asked) if number < 3 else error(401, "no such key"),
        answering,
        lambda first_server, second_server: command(
            folder, tmp_path / "r", first_server.url, f"llava@{second_server.url}", "--concurrency", "1"
        ),
    )
    assert result.exit_code == 1
    assert "stopped before the end: " in result.stderr
    assert "the key in OPENAI_API_KEY is not accepted" in result.stderr


def test_unreadable_answers_of_another_one_do_not_end_the_run(tmp_path):
    class Chatty(ScriptedModel):
        def answer(self, call, draw):
            choice = super().answer(call, draw)
            return (
                choice if call.request.observer == "gpt-4o" else type(choice)(draw, "A happy face.", "stop")
            )

    folder = pictures(tmp_path / "many", 40)
    problems = []
    summary = seke.annotate(
        folder,
        tmp_path / "r",
        Chatty(),
        settings=Settings("gpt-4o"),
        also={OTHER: Chatty()},
        problems=problems.append,
        concurrency=2,
        knowledge=ONE_QUESTION,
    )
    assert summary.finished
    assert not summary.stopped
    assert any(f"{OTHER} is no longer asked" in line and "A happy face" in line for line in problems)
    assert 40 <= summary.totals.unreadable < 60


def test_what_may_be_spent_ends_the_run_whoever_would_be_asked(tmp_path, folder):
    prices = tmp_path / "prices.yaml"
    prices.write_text(
        "source: made up\nmodels:\n  gpt-4o: {prompt: 2, answer: 8}\n  llava: {prompt: 200, answer: 800}\n"
    )
    options = ["--prices", prices, "--max-cost", "0.5", "--concurrency", "1", "--json"]
    result, _, second_server = between(
        answering,
        answering,
        lambda first_server, second_server: command(
            folder, tmp_path / "r", first_server.url, f"llava@{second_server.url}", *options
        ),
    )
    assert result.exit_code == 1
    totals = json.loads(result.stdout)["totals"]
    assert "could exceed --max-cost 0.5" in json.loads(result.stdout)["stopped"]
    # The dear one is charged at its own prices: 1,000 and 50 tokens are .24 USD.
    spent = 0.0024 * (totals["answers"] - len(second_server.seen)) + 0.24 * len(second_server.seen)
    assert totals["spent"] == pytest.approx(spent)
    assert 0 < totals["spent"] <= 0.5


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["--also", "generic-vml=m"],
            "no observer is called 'generic-vml'; declare it under `observers` of an overlay",
        ),
        (
            ["--also", "xyz=m"],
            "or let its answers be those of 'generic-vlm'; declared are generic-vlm, gpt-4o",
        ),
        (["--also", "human=m"], "observer 'human' cannot be asked"),
        (["--also", "gpt-4o=m"], "gpt-4o already answers as observer 'gpt-4o'"),
        (["--also", "generic-vlm"], "is not of the form OBSERVER=MODEL"),
        (["--also", "=m"], "is not of the form OBSERVER=MODEL"),
        (["--also", "generic-vlm=m@localhost:8000/v1"], "begins with http:// or https://"),
        (["--also", "generic-vlm=m@http:///v1"], "names no server"),
        (["--also", "generic-vlm=m", "--also", "generic-vlm=n"], "generic-vlm stands for m already"),
        (["--also", "generic-vlm=m", "--batch"], "ask several models (--also) without --batch"),
        (
            ["--also", "generic-vlm=m", "--max-cost", "1", "--price-in", "1", "--price-out", "1"],
            "none are known of generic-vlm",
        ),
    ],
)
def test_bad_input_is_met_before_anything_is_sent(tmp_path, folder, monkeypatch, more, message):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    given = ["--run", tmp_path / "r", "--model", "gpt-4o", "--base-url", "http://localhost:1/v1"]
    assert message in " ".join(run(folder, *given, *more, status=2).output.split())
    assert not (tmp_path / "r").exists()


def test_batches_are_refused_in_python_too(tmp_path, folder):
    from seke.runs.batch_client import Batches

    batches = Batches(Settings("gpt-4o"), base_url="http://localhost:1/v1")
    for first, other in ((batches, ScriptedModel()), (ScriptedModel(), batches)):
        with pytest.raises(SekeError, match="several models"):
            Job.of(
                [folder],
                tmp_path,
                SeveralModels(first, {OTHER: other}),
                Settings("gpt-4o"),
                also={OTHER: "x"},
            )


# Going on, branches, recordings ---------------------------------------------------------------------


def test_killed_at_any_moment_a_run_of_two_goes_on_and_buys_nothing_twice(tmp_path):
    with served(tmp_path) as server:
        more = ["--observer", "gpt-4o", "--also", f"{OTHER}=made-up"]
        kill_often(tmp_path, server, (2,), 4, random.Random(1), *more)
    assert observers_of(tmp_path / "r")[OTHER] > 0


@pytest.mark.slow
def test_killed_again_and_again_a_run_of_two_about_faces_goes_on_and_buys_nothing_twice(tmp_path):
    with served(tmp_path) as server:
        more = ["-k", str(shipped_folder()), "--observer", "gpt-4o", "--also", f"{OTHER}=made-up"]
        kill_often(tmp_path, server, (2, 1, 2), 4, random.Random(1), *more)
    assert set(observers_of(tmp_path / "r")) <= {"gpt-4o", OTHER}


def scripted(folder, run_folder, *more, status=0, base=ONE_QUESTION):
    given = ["--run", run_folder, "-k", base, "--model", "gpt-4o", "--scripted"]
    return run(folder, *given, *more, status=status)


def test_a_run_of_several_is_repeated_from_its_recording(tmp_path, two):
    also = ["--also", f"{OTHER}=other"]
    scripted(two, tmp_path / "r", *also, base=SMALL_FACES)
    recorded = ["-k", SMALL_FACES, "--model", "gpt-4o", "--recorded", tmp_path / "r" / "answers.jsonl"]
    run(two, "--run", tmp_path / "t", *recorded, *also)
    for name in ("posteriors.jsonl", "samples.jsonl", "answers.jsonl"):
        assert (tmp_path / "r" / name).read_bytes() == (tmp_path / "t" / name).read_bytes()
    # Without the other one its answers are not taken for the first one's.
    run(two, "--run", tmp_path / "u", *recorded, status=1)
    assert set(observers_of(tmp_path / "u")) == {"gpt-4o"}
    theirs = {json.dumps(row, sort_keys=True) for row in rows(recorded[-1])}
    replayed = {json.dumps(row, sort_keys=True) for row in rows(tmp_path / "u" / "answers.jsonl")}
    assert replayed <= theirs
    assert replayed


def test_a_recording_without_observers_is_not_of_several(tmp_path, folder):
    lines = tmp_path / "answers.jsonl"
    lines.write_text(json.dumps({"item": "f0", "question": "joint", "text": "{}"}) + "\n")
    given = ["--run", tmp_path / "r", "--model", "gpt-4o", "--recorded", lines, "--also", f"{OTHER}=other"]
    assert "it names no observer, and several are asked" in run(folder, *given, status=2).output


def test_other_models_are_another_run_that_branches_with_what_still_counts(tmp_path, two):
    scripted(two, tmp_path / "r")
    also = ["--also", f"{OTHER}=other"]
    refused = scripted(two, tmp_path / "r", *also, status=2)
    assert f"also {OTHER}: None then, other now" in refused.output
    scripted(two, tmp_path / "r", *also, "--branch", tmp_path / "b")
    served_by = dict(
        on_disk(tmp_path / "b", "SELECT observer, group_concat(DISTINCT model) FROM requests GROUP BY 1")
    )
    assert "scripted: earlier run" in served_by["gpt-4o"]
    assert served_by[OTHER] == "scripted"
    # All as if begun with both.
    scripted(two, tmp_path / "s", *also)
    for name in ("posteriors.jsonl", "samples.jsonl"):
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "s" / name).read_bytes()
    # The other way round: answers of an observer that is asked by another model do not count.
    scripted(two, tmp_path / "s", "--also", f"{OTHER}=third", "--branch", tmp_path / "c")
    served_by = dict(
        on_disk(tmp_path / "c", "SELECT observer, group_concat(DISTINCT model) FROM requests GROUP BY 1")
    )
    assert served_by == {"gpt-4o": "scripted: earlier run", OTHER: "scripted"}


def test_a_run_from_before_several_models_goes_on(tmp_path, two):
    scripted(two, tmp_path / "r", "--strategy", "fixed:1")
    with closing(sqlite3.connect(tmp_path / "r" / "ledger.sqlite")) as db:
        db.execute("DELETE FROM facts WHERE name IN ('also', 'addresses')")
        db.commit()
    scripted(two, tmp_path / "r", "--strategy", "fixed:1")
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    del summary["facts"]["also"]
    (tmp_path / "r" / "summary.json").write_text(json.dumps(summary))
    assert session_of(tmp_path / "r", seke.knowledge(ONE_QUESTION)).knowledge.policy.others == ()


def test_a_baseline_asks_the_first_model_alone_and_says_so(tmp_path, folder):
    result = scripted(folder, tmp_path / "r", "--also", f"{OTHER}=other", "--strategy", "agree:3/4")
    assert set(observers_of(tmp_path / "r")) == {"gpt-4o"}
    assert f"strategy agree:3/4 asks only gpt-4o; not asked: {OTHER}" in result.output
    assert session_of(tmp_path / "r", seke.knowledge(ONE_QUESTION)).knowledge.policy.others == ()


# Prices, forecasts, the card ------------------------------------------------------------------------


def test_a_forecast_counts_and_prices_the_others(tmp_path, folder):
    prices = tmp_path / "prices.yaml"
    prices.write_text(
        "source: made up\nmodels:\n  gpt-4o: {prompt: 2, answer: 8}\n  llava: {prompt: 0, answer: 0}\n"
    )

    usual = ["--run", tmp_path / "r", "-k", ONE_QUESTION, "--model", "gpt-4o", "--dry-run"]

    def forecast(*more):
        return run(folder, *usual, "--max-samples", "2", *more)

    also = ["--also", f"{OTHER}=llava"]
    both = json.loads(forecast(*also, "--prices", prices, "--json").stdout)
    assert set(both["observers"]) == {"gpt-4o", OTHER}
    assert sum(both["observers"].values()) == pytest.approx(sum(both["answers"].values()))
    assert both["unpriced"] == []
    # The other one costs nothing: that is what is said where no price of it is known, too.
    assert both["gold"]["variable"] == "expression"
    model = SeveralModels(ScriptedModel(), {OTHER: ScriptedModel()})
    options = {"also": {OTHER: "llava"}, "max_samples": 2, "knowledge": ONE_QUESTION}
    job = Job.of([folder], tmp_path / "s", model, Settings("gpt-4o"), **options)
    known = cost_forecast.forecast(job, Settings("gpt-4o"), {"gpt-4o": Prices(2, 8), OTHER: None})
    assert known.unpriced == (OTHER,)
    assert known.price == pytest.approx(both["price"])
    assert both["price"] > 0
    text = forecast(*also, "--price-in", "2", "--price-out", "8", "--strategy", "fixed:1").output
    assert "endless answers of gpt-4o, if" in text
    assert OTHER not in text
    assert (
        "no prices of 'other'"
        in run(
            *(folder, *usual, "--also", f"{OTHER}=other", "--prices", prices),
            status=2,
        ).output
    )


def test_prices_of_questions_are_measured_by_the_first_model(tmp_path):
    folder = pictures(tmp_path / "many", 42)

    class Dear(ScriptedModel):
        """Answers of the same length as the scripted ones, at a hundred times the tokens."""

        async def ask(self, call, journal):
            draws = tuple(range(call.request.first, call.request.first + call.request.samples))
            number = await journal.sent(call, draws, 0.0)
            choices = tuple(self.answer(call, draw) for draw in draws)
            from seke.vision.messages import Reply as Brought

            await journal.answered(number, Brought(choices, "dear", None, None, 100_000, 10_000, 0, 0.0))
            return choices

    for name, other in (("r", ScriptedModel(1)), ("s", Dear(1))):
        seke.annotate(
            *(folder, tmp_path / name, ScriptedModel()),
            settings=Settings("gpt-4o"),
            also={OTHER: other},
            prices=Prices(2, 8),
            max_samples=2,
            knowledge=ONE_QUESTION,
        )
        assert observers_of(tmp_path / name)[OTHER] > 0
    kept = [on_disk(tmp_path / name, "SELECT value FROM facts WHERE name = 'prices'") for name in "rs"]
    assert json.loads(kept[0][0][0])["joint"]["answers"] >= 20
    assert kept[0] == kept[1]


def test_the_data_card_names_every_model(tmp_path):
    folder = pictures(tmp_path / "faces", 2)
    truths = {f"f{i}": {"expression": "happiness", "valence": 0.8, "arousal": 0.4} for i in range(2)}
    models = [ScriptedModel(seed, truths, error=0.0) for seed in (0, 1)]
    given = {"settings": Settings("gpt-4o"), "also": {OTHER: models[1]}, "knowledge": ONE_QUESTION}
    seke.annotate(folder, tmp_path / "r", models[0], **given)
    words = ["export", tmp_path / "r", "-k", ONE_QUESTION, "-o", tmp_path / "d"]
    result = CliRunner().invoke(main, [*map(str, words), "--uncalibrated", "--allow-scripted"])
    assert result.exit_code == 0, result.output
    card = (tmp_path / "d" / "README.md").read_text()
    also = "Also asked, where the policy found it worth the price: ScriptedModel, as observer generic-vlm"
    assert also in card


# The form of --also -----------------------------------------------------------------------------------

NAMES = st.text("abcXYZ019.-_:/", min_size=1, max_size=20)


@given(
    st.text("abc019.-_", min_size=1), NAMES, st.sampled_from([None, "http://h:1/v1", "https://u:p@h.x/v1"])
)
def test_what_is_given_is_read(observer, model, address):
    text = f"{observer}={model}" + (f"@{address}" if address else "")
    assert further_models([text]) == (FurtherModel(observer, model, address),)


def test_names_of_models_have_signs_of_addresses():
    assert FurtherModel.parse("a=claude@20240229") == FurtherModel("a", "claude@20240229")
    assert FurtherModel.parse("a=x=y@http://h/v1?z=1") == FurtherModel("a", "x=y", "http://h/v1?z=1")
    assert FurtherModel("llava-1.6 b", "m").key_variable == "SEKE_KEY_LLAVA_1_6_B"
