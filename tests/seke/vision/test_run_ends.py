"""When a run ends early and how it goes on: pictures that are refused, servers that answer nothing, money."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
from contextlib import closing, redirect_stdout

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from server import Raw, Reply, Server, error, made_up
from small_study import ONE_QUESTION, pictures
from test_annotate import on_disk, rows

import seke
from engine import SekeError
from seke.cli.main import main
from seke.cli.model_options import extra_fields
from seke.cli.run_status import print_status
from seke.runs.failures import failures_of
from seke.runs.ledger import Ledger, status_of
from seke.vision.address import ServerAddress
from seke.vision.failure_run import AFTER_AN_ANSWER, BEFORE_AN_ANSWER, FailureRun

FILTERED = error(400, "This request was stopped by the content filter.", "content_filter")
NOWHERE = Raw(b'{"error": "There is nothing at this address (/chat/completions)"}')
PRICES = ["--price-in", "2", "--price-out", "8"]


class Terminal(io.StringIO):
    """A terminal of as many columns as COLUMNS says."""

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    import tenacity

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(tenacity, "wait_random_exponential", lambda **_: lambda _state: 0.01)


def good(_, asked):
    return Reply([made_up(asked)], alone=True)


def command(script, *words, status=0, url="{}"):
    """Run a command that asks a server; returns what it printed, and what the server saw."""

    async def go():
        async with Server(script) as server:
            given = [str(word) for word in words]
            given += ["--model", "made-up", "--base-url", url.format(server.url)]
            result = await asyncio.to_thread(CliRunner().invoke, main, given)
            return result, server

    result, server = asyncio.run(go())
    assert result.exit_code == status, result.output
    return result, server


def annotate(script, folder, place, *words, **more):
    given = ["--run", place, "-k", ONE_QUESTION, "--strategy", "fixed:1"]
    return command(script, "annotate", folder, *given, *words, **more)


def picture_of(asked):
    content = asked["messages"][-1]["content"]
    return next(part["image_url"]["url"] for part in content if part["type"] == "image_url")


# By hand ---------------------------------------------------------------------------------------------


def test_three_in_a_row_for_one_reason_are_an_end_where_nothing_was_answered():
    failures = FailureRun(1)
    assert not failures.note_failure("a", "400: no")
    # One picture fails once, however often it is asked about.
    assert not any(failures.note_failure("a", "400: no") for _ in range(10))
    assert not failures.note_failure("b", "400: no")
    assert not failures.note_failure("c", "another reason")
    assert not failures.note_failure("d", "400: no (request 17)")
    assert not failures.note_failure("e", "400: no (request 18)")
    assert failures.note_failure("f", "400: no (request 19)")


@given(st.integers(1, 100), st.integers(0, 200))
def test_after_an_answer_as_many_in_a_row_as_are_open_are_an_end(at_once, count):
    failures = FailureRun(at_once)
    failures.note_answer()
    ends = [failures.note_failure(f"f{i}", "late") for i in range(count)]
    assert ends.count(True) == max(count + 1 - max(at_once, AFTER_AN_ANSWER), 0)
    failures.note_answer()
    assert not failures.note_failure("g", "late")


def test_addresses_as_people_paste_them():
    plain = ServerAddress.of("http://localhost:8000/v1")
    assert (plain.base_url, plain.query, plain.note) == ("http://localhost:8000/v1", None, "")
    pasted = ServerAddress.of(" http://localhost:8000/v1/chat/completions/ ")
    assert pasted.base_url == plain.base_url
    assert "/chat/completions is added by the program" in pasted.note
    azure = ServerAddress.of("https://r.example/openai/deployments/d/chat/completions?api-version=2024-10-21")
    assert azure.base_url == "https://r.example/openai/deployments/d"
    assert azure.query == {"api-version": "2024-10-21"}
    assert azure.headers("k") == {"api-key": "k"}
    assert plain.headers("k") == {}
    assert ServerAddress.of(None).base_url is None


def test_further_fields_are_json():
    texts = ["enable_thinking=false", 'reasoning_effort="low"', 'provider={"order": ["x"]}']
    expected = {"enable_thinking": False, "reasoning_effort": "low", "provider": {"order": ["x"]}}
    assert extra_fields(texts) == expected
    for text, words in (
        ("enable_thinking", "the form is KEY=JSON"),
        ("reasoning_effort=low", "--extra 'reasoning_effort=\"low\"'"),
        ("enable_thinking=False", "true, false and null in small letters"),
        ("max_tokens=5", "max_tokens is set by --max-tokens"),
        ("messages=[]", "is what the program asks itself"),
    ):
        with pytest.raises(SekeError, match=words):
            extra_fields([text])
    with pytest.raises(SekeError, match="given twice"):
        extra_fields(["a=1", "a=2"])


# Runs ------------------------------------------------------------------------------------------------


def test_pictures_that_are_refused_end_no_run_and_are_rejected_as_refused(tmp_path):
    folder, seen = pictures(tmp_path / "faces", 8), []

    def script(number, asked):
        # The first five pictures that come.
        picture = picture_of(asked)
        seen.extend([picture] if picture not in seen else [])
        return FILTERED if seen.index(picture) < 5 else good(number, asked)

    result, _ = annotate(script, folder, tmp_path / "r", "--concurrency", "1")
    assert "rejected 5: refused" in result.stdout
    assert "5 refused" in result.stdout
    totals = status_of(tmp_path / "r")[2]
    assert (totals.answers, totals.refused, totals.failed) == (8, 5, 0)
    # A restart asks nothing; those that were refused are asked again on request, and are no end then.
    _, server = annotate(good, folder, tmp_path / "r")
    assert not server.seen
    result, server = annotate(lambda *_: FILTERED, folder, tmp_path / "r", "--retry-refused")
    assert len(server.seen) == 5
    assert "rejected 5: refused" in result.stdout


def test_a_server_that_answers_nothing_ends_the_run_which_goes_on_later(tmp_path, monkeypatch):
    folder = pictures(tmp_path / "faces", 20)
    result, server = annotate(
        lambda *_: NOWHERE, folder, tmp_path / "r", "--concurrency", "1", *PRICES, "--max-cost", "1", status=1
    )
    assert len(server.seen) == BEFORE_AN_ANSWER
    assert "stopped before the end: " in result.stderr
    assert "refuses every request" in result.stderr
    reason = "3 without a whole answer: There is nothing at this address (/chat/completions)"
    assert reason in result.stdout
    status = CliRunner().invoke(main, ["annotate", "--run", str(tmp_path / "r"), "--status"])
    assert reason in status.stdout
    monkeypatch.setenv("COLUMNS", "40")
    with redirect_stdout(Terminal()) as shown:
        print_status(tmp_path / "r", as_json=False)
    assert shown.getvalue().split() == status.stdout.split()
    # The first line names the folder, which is not cut.
    assert max(map(len, shown.getvalue().splitlines()[1:])) <= 40
    facts = CliRunner().invoke(main, ["annotate", "--run", str(tmp_path / "r"), "--status", "--json"])
    (failure,) = json.loads(facts.stdout)["failures"]
    assert (failure["count"], failure["code"]) == (3, 0)
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary["failures"] == [failure]
    assert summary["totals"]["perhaps"] == 0
    assert seke.report(tmp_path / "r", ONE_QUESTION).facts["failures"] == [reason]
    # Those that were never asked about come first, and one that fails again is no end.
    first = {row[0] for row in on_disk(tmp_path / "r", "SELECT item FROM requests")}
    _, server = annotate(good, folder, tmp_path / "r", "--concurrency", "1")
    order = [row[0] for row in on_disk(tmp_path / "r", "SELECT item FROM requests ORDER BY number")]
    # Eight items are live together and come in any order: the last three are not among the first nine.
    assert not first & set(order[3:12])
    assert len(server.seen) == 20


def test_one_picture_alone_that_is_not_answered_is_told_by_the_exit_status(tmp_path):
    folder = pictures(tmp_path / "faces", 1)
    result, _ = annotate(lambda *_: NOWHERE, folder, tmp_path / "r", status=1)
    assert "nothing was answered; 1 without a whole answer: There is nothing" in result.stderr


def test_what_was_answered_before_counts_after_a_restart(tmp_path):
    folder = pictures(tmp_path / "faces", 30)
    options = ["--concurrency", "1"]
    _, server = annotate(
        lambda n, asked: good(n, asked) if n < 5 else NOWHERE, folder, tmp_path / "r", *options, status=1
    )
    assert len(server.seen) == 5 + AFTER_AN_ANSWER
    result, server = annotate(lambda *_: NOWHERE, folder, tmp_path / "r", *options, status=1)
    assert len(server.seen) == AFTER_AN_ANSWER
    assert "12 items in a row failed for this reason" in result.stderr


def test_as_many_as_are_open_may_fail_together(tmp_path):
    folder = pictures(tmp_path / "faces", 60)

    def script(number, asked):
        return good(number, asked) if number < 5 or number >= 24 else NOWHERE

    # The run goes to its end; what failed is asked about by the next.
    annotate(script, folder, tmp_path / "r", "--concurrency", "20", status=1)
    assert status_of(tmp_path / "r")[2].failed == 19


def test_tokens_that_went_into_thoughts_are_told_from_the_first_answer_on(tmp_path):
    folder = pictures(tmp_path / "faces", 2)
    usage = {"prompt_tokens": 1000, "completion_tokens": 600, "total_tokens": 1600}
    usage["completion_tokens_details"] = {"reasoning_tokens": 600}
    thought = Reply([""], finish="length", usage=usage, alone=True)
    result, _ = annotate(lambda *_: thought, folder, tmp_path / "r", "--concurrency", "1")
    words = "ended at --max-tokens (600 of 600 spent on reasoning)"
    assert f"f0: {words}" in result.stderr
    assert f"2 without a whole answer: {words}; it begins" in result.stdout
    assert "1,200 tokens (1,200 of reasoning)" in result.stdout


def test_what_may_be_spent_holds_for_thoughts_within_the_bound(tmp_path):
    """2,050 tokens an answer, as the total tells, where 2,100 are allowed."""
    folder = pictures(tmp_path / "faces", 12)
    limit = ["--max-cost", "0.1", "--concurrency", "16", "--max-tokens", "2100"]
    result, server = annotate(thoughtful, folder, tmp_path / "r", *PRICES, *limit, status=1)
    assert "could exceed --max-cost 0.1" in result.stderr
    assert "the same command with a higher --max-cost continues" in result.stderr
    assert server.most > 1
    totals = status_of(tmp_path / "r")[2]
    assert totals.spent == pytest.approx(totals.answers * (1000 * 2 + 2050 * 8) / 1e6)
    assert 0.05 < totals.spent <= 0.1


def test_a_server_that_passes_the_bound_of_answers_ends_a_run_with_a_limit(tmp_path):
    """The first request goes alone, so that one answer is all that is paid for."""
    folder = pictures(tmp_path / "faces", 12)
    limit = ["--max-cost", "0.1", "--concurrency", "16"]
    result, server = annotate(thoughtful, folder, tmp_path / "r", *PRICES, *limit, status=1)
    words = "--max-cost 0.1 cannot be kept: an answer took 2,050 tokens where at most 600 were asked for"
    assert words in result.stderr
    assert len(server.seen) == 1
    result, server = annotate(thoughtful, folder, tmp_path / "r", *PRICES)
    assert len(server.seen) == 11


def thoughtful(_, asked):
    usage = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 3050}
    return Reply([made_up(asked)], usage=usage, alone=True, after=0.02)


def test_what_answers_that_never_came_hold_is_released_on_request(tmp_path):
    folder = pictures(tmp_path / "faces", 6)
    broken = [*PRICES, "--max-cost", "0.05", "--concurrency", "1"]
    annotate(lambda n, asked: good(n, asked) if not n else "half", folder, tmp_path / "r", *broken, status=1)
    held = status_of(tmp_path / "r")[2].perhaps
    assert held > 0.02
    result, _ = annotate(good, folder, tmp_path / "r", *broken, status=1)
    assert "could exceed --max-cost" in result.stderr
    result, _ = annotate(good, folder, tmp_path / "r", *broken, "--forget-unanswered")
    assert "requests without an answer count as not paid" in result.stderr
    totals = status_of(tmp_path / "r")[2]
    assert (totals.perhaps, totals.answers) == (0, 6)
    assert totals.spent <= 0.05


def test_further_fields_go_with_each_request_and_are_part_of_the_run(tmp_path):
    folder = pictures(tmp_path / "faces", 2)
    extra = ["--extra", "enable_thinking=false", "--extra", 'provider={"order": ["x"]}']
    _, server = annotate(good, folder, tmp_path / "r", *extra)
    assert all(body["enable_thinking"] is False for body in server.seen)
    assert server.seen[0]["provider"] == {"order": ["x"]}
    facts = status_of(tmp_path / "r")[0]
    assert facts["settings"]["extra"] == {"enable_thinking": False, "provider": {"order": ["x"]}}
    result, _ = annotate(good, folder, tmp_path / "r", status=2)
    assert "extra: " in result.stderr
    # A run without any is as it always was.
    annotate(good, folder, tmp_path / "s")
    assert "extra" not in status_of(tmp_path / "s")[0]["settings"]


def test_an_address_with_a_parameter_and_the_method_is_asked_as_it_is_meant(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    folder = pictures(tmp_path / "faces", 1)
    url = "{}/chat/completions?api-version=2024-10-21"
    result, server = annotate(good, folder, tmp_path / "r", url=url)
    assert "/chat/completions is added by the program" in result.stderr
    assert {(path, query) for path, query, _ in server.requests} == {
        ("/v1/models", "api-version=2024-10-21"),
        ("/v1/chat/completions", "api-version=2024-10-21"),
    }
    assert {headers["api-key"] for *_, headers in server.requests} == {"sk-secret"}


def test_a_ledger_from_before_thoughts_were_counted_is_read_and_continued(tmp_path):
    folder = pictures(tmp_path / "faces", 2)
    annotate(good, folder, tmp_path / "r")
    with closing(sqlite3.connect(tmp_path / "r" / "ledger.sqlite")) as db, db:
        db.execute("ALTER TABLE requests DROP COLUMN reasoning_tokens")
    assert status_of(tmp_path / "r")[2].reasoning_tokens == 0
    assert failures_of(tmp_path / "r") == []
    with closing(Ledger(tmp_path / "r", lambda *_: {})) as ledger:
        assert ledger.totals().answers == 2
    assert on_disk(tmp_path / "r", "SELECT sum(reasoning_tokens) FROM requests") == [(None,)]


# The benchmark ---------------------------------------------------------------------------------------


def bench(script, folder, place, *words, **more):
    return command(script, "bench", "run", "--images", folder, "--run", place, *words, **more)


def test_a_benchmark_ends_where_a_run_does_and_goes_on(tmp_path):
    folder = pictures(tmp_path / "faces", 6)
    result, server = bench(lambda *_: NOWHERE, folder, tmp_path / "b", "--concurrency", "1", status=1)
    assert "refuses every request" in result.stderr
    assert "without a whole answer: There is nothing at this address" in result.stdout
    # Three questions about a picture are one picture.
    assert len(server.seen) == 7
    result, server = bench(lambda *_: FILTERED, folder, tmp_path / "b")
    assert len(server.seen) == 18
    assert "expression: 0 ok, 6 refused" in result.stdout


def test_a_benchmark_ends_where_nothing_can_be_read(tmp_path):
    folder = pictures(tmp_path / "faces", 50)
    prose = Reply(["It looks glad."])
    result, server = bench(lambda *_: prose, folder, tmp_path / "b", status=1)
    assert "can be read (such as 'It looks glad.')" in result.stderr
    assert len(server.seen) < 150


def test_a_benchmark_learns_a_fixed_temperature_unless_it_was_asked_for(tmp_path):
    folder = pictures(tmp_path / "faces", 1)

    def script(number, asked):
        words = "Unsupported value: 'temperature' does not support 0.0 with this model."
        return error(400, words) if "temperature" in asked else Reply(["{}"])

    result, server = bench(script, folder, tmp_path / "b", "--concurrency", "1")
    assert "the server takes no temperature of 0: answers are at its own" in result.stderr
    assert [("temperature" in body) for body in server.seen] == [True, False, False, False]
    result, _ = bench(script, folder, tmp_path / "c", "--temperature", "0", status=1)
    assert "does not support 0.0" in result.stderr
    assert rows(tmp_path / "b" / "answers.jsonl")
