"""Asking in batches, against a real server on this machine: joins, faults, going on after an end."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest
from server import Reply, Server, error, made_up
from small_study import SMALL_FACES, pictures
from test_client import GOOD, SETTINGS, Account, call, one_choice, quick

from engine import SekeError
from seke.annotation.job import Job
from seke.runs.batch_client import Batches
from seke.runs.ledger import Ledger
from seke.vision.client import Endpoint, seed_of
from seke.vision.errors import FatalError, OutOfMoneyError, UnansweredError
from seke.vision.fake import RecordedModel
from seke.vision.prices import Prices

assert quick  # a fixture


class Remembering(Account):
    """A journal in memory that remembers batches."""

    def __init__(self):
        super().__init__()
        self.begun_ones, self.calls = {}, {}

    async def sent(self, call, draws, worst_price):
        number = await super().sent(call, draws, worst_price)
        self.calls[number] = call, draws
        return number

    async def begun(self, name, numbers, identity):
        self.begun_ones[name] = identity, numbers

    async def over(self, name):
        del self.begun_ones[name]

    def batches(self):
        return {
            name: (identity, {n: self.calls[n] for n in numbers if self.rows[n][2] is None})
            for name, (identity, numbers) in self.begun_ones.items()
        }


def batches(server, **options):
    options = {"quiet": 0.02, "poll": 0.01, "deadline": 2.0, "attempts": 4, **options}
    return Batches(SETTINGS, base_url=server.url, **options)


async def answers(model, journal, calls):
    return await asyncio.gather(*(model.ask(request, journal) for request in calls), return_exceptions=True)


def run(script, calls, journal=None, *, whole=True, served=None, **options):
    """Ask in batches; returns outcomes, the journal, the server."""
    journal = Remembering() if journal is None else journal

    async def go():
        words = []
        async with (
            Server(script, **(served or {})) as server,
            batches(server, tell=words.append, **options) as model,
        ):
            outcomes = await answers(model, journal, calls)
            if whole:
                assert len(journal.rows) == len(server.seen)
                assert all(end is not None for end in journal.ends)
                assert not journal.begun_ones
                # Each batch is told of when it begins and when it is over.
                assert len(words) == 2 * len(server.batches)
            return outcomes, journal, server

    return asyncio.run(go())


def faces(count, samples=1):
    return [call(samples, item=f"f{i}") for i in range(count)]


def told(_, asked):
    """An answer that tells which line it answers."""
    return Reply([json.dumps({"a": asked["seed"]})])


def test_results_are_joined_by_number_whatever_their_order():
    outcomes, _, server = run(told, faces(30))
    assert len(server.batches) == 1
    seeds = {json.loads(choice.text)["a"] for (choice,) in outcomes}
    assert len(seeds) == 30
    # The server answers the lines in reverse order; the seed tells that each got its own answer.

    for asked_call, (choice,) in zip(faces(30), outcomes, strict=True):
        assert json.loads(choice.text)["a"] == seed_of(SETTINGS, asked_call, 0)
    # Pictures are kept there no longer than needed, results are.
    assert list(server.files) == ["file-1"]


def test_several_draws_come_in_one_line_where_the_server_has_that_else_in_another_round():
    outcomes, _, server = run(lambda *_: GOOD, faces(5, samples=3))
    assert [len(choices) for choices in outcomes] == [3] * 5
    assert len(server.seen) == 5
    outcomes, _, server = run(lambda *_: one_choice(), faces(5, samples=3))
    assert [[choice.draw for choice in some] for some in outcomes] == [[0, 1, 2]] * 5
    assert len(server.batches) == 2
    assert [body.get("n") for body in server.seen] == [3] * 5 + [None] * 10


def test_only_lines_that_failed_or_expired_are_sent_again():
    faults = {3: error(500), 5: "expired", 8: "missing", 9: error(429)}

    def script(number, asked):
        return faults.get(number, GOOD)

    outcomes, journal, server = run(script, faces(12))
    assert all(len(choices) == 1 for choices in outcomes)
    assert len(server.seen) == 16
    again = sorted(body["seed"] for body in server.seen[12:])
    assert again == sorted(server.seen[i]["seed"] for i in faults)
    failed = [end for end in journal.ends if not hasattr(end, "choices")]
    assert sorted(end.code for end in failed) == [0, 0, 429, 500]
    # What vanished may have been paid for; what expired was not.
    assert [end.paid for end in failed].count(True) == 1


def test_a_line_about_one_picture_that_is_refused_is_no_end():
    outcomes, journal, _ = run(lambda n, _: error(400, "invalid image") if n == 2 else GOOD, faces(6))
    refusals = [outcome[0].refusal for outcome in outcomes]
    assert sorted(refusals, key=str) == ["400: invalid image", *[None] * 5]
    assert len(journal.rows) == 6


def test_a_line_that_cannot_be_read_is_bought_once_more_at_most():
    odd = ['{"custom_id": "0", "response": 5, "error": null}', "\x00", '{"custom_id": {}}', "[" * 100_000]

    def script(number, asked):
        return odd[number % 4] if asked["seed"] % 2 else GOOD

    outcomes, _, server = run(script, faces(20))
    for outcome, asked_call in zip(outcomes, faces(20), strict=True):
        assert isinstance(outcome, UnansweredError) == bool(seed_of(SETTINGS, asked_call, 0) % 2)
    counts = {body["seed"]: 0 for body in server.seen}
    for body in server.seen:
        counts[body["seed"]] += 1
    assert max(counts.values()) == 2


@pytest.mark.parametrize(
    ("fault", "message"),
    [(error(401, "bad key"), "is not accepted"), (error(429, "x", "insufficient_quota"), "no credit left")],
)
def test_what_does_not_pass_ends_the_run(fault, message):
    outcomes, journal, server = run(
        lambda *_: GOOD, faces(3), served={"batch": lambda *_: fault}, whole=False
    )
    assert all(isinstance(outcome, FatalError) and message in str(outcome) for outcome in outcomes)
    assert not server.seen
    assert all(end is not None and not end.paid for end in journal.ends)
    assert not journal.begun_ones


def test_a_server_without_batches_is_told_so():
    outcomes, _, _ = run(lambda *_: GOOD, faces(2), served={"batch": lambda *_: error(404)}, whole=False)
    assert "has no batches" in str(outcomes[0])


def test_a_batch_that_is_refused_as_a_whole_is_an_end():
    served = {"ends": lambda _: ("failed", [{"code": "invalid_json", "message": "line 1 is bad", "line": 1}])}
    outcomes, journal, _ = run(lambda *_: GOOD, faces(3), served=served)
    assert all("refuses the batch (line 1 is bad)" in str(outcome) for outcome in outcomes)
    assert not any(end.paid for end in journal.ends)


def test_a_batch_that_is_too_large_for_now_comes_again_in_parts():
    full = [{"code": "token_limit_exceeded", "message": "full"}]
    sizes = []

    class Narrow(Server):
        def _end(self, batch):
            sizes.append(len(self.files[batch["input_file_id"]].splitlines()))
            self.ends = lambda _: ("failed", full) if sizes[-1] > 3 else ("completed", [])
            super()._end(batch)

    async def go():
        async with Narrow(told) as server, batches(server) as model:
            journal = Remembering()
            outcomes = await answers(model, journal, faces(10))
            assert len(journal.rows) == len(server.seen)
            return outcomes, journal

    outcomes, journal = asyncio.run(go())
    assert all(len(choices) == 1 for choices in outcomes)
    assert sizes[:2] == [10, 5]
    assert max(sizes[1:]) <= 5
    assert sum(hasattr(end, "choices") for end in journal.ends) == 10
    assert not any(getattr(end, "paid", False) for end in journal.ends)


def test_files_are_cut_by_lines_and_bytes():
    _, _, server = run(told, faces(25), most_lines=10)
    assert len(server.batches) == 3
    _, _, server = run(told, faces(25), most_bytes=2000)
    assert len(server.batches) > 5


@pytest.mark.parametrize("what", [error(500), error(429, retry_after="0.01"), "reset", "half"])
def test_trouble_on_the_way_is_tried_again(what):
    def trouble(method, path, count):
        return what if count == 0 and (what != "half" or path.endswith("/content")) else None

    outcomes, journal, server = run(told, faces(40), served={"batch": trouble})
    assert all(len(choices) == 1 for choices in outcomes)
    # The answer to its creation was lost: it was found by its name, not begun again.
    assert len(server.batches) == 1
    assert len(journal.rows) == 40


def test_prices_are_those_of_a_batch():
    _, journal, _ = run(told, faces(1), prices=Prices(2.0, 8.0, batch=0.5))
    assert journal.ends[0].price == pytest.approx((1000 * 2 + 50 * 8) / 2e6)
    assert journal.rows[0][1] >= journal.ends[0].price


def test_lines_that_cannot_be_paid_for_stay():
    class Poor(Remembering):
        async def sent(self, call, draws, worst_price):
            if len(self.rows) == 4:
                raise OutOfMoneyError("no more")
            return await super().sent(call, draws, worst_price)

    outcomes, _, server = run(told, faces(10), Poor())
    assert [isinstance(outcome, OutOfMoneyError) for outcome in outcomes].count(True) == 6
    assert len(server.seen) == 4


# Going on after an end -----------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0.0, 0.03, 0.05, 0.08, 0.12, 0.2, 0.5])
def test_whatever_was_on_its_way_at_an_end_is_read_by_the_next_process(after, tmp_path):
    def read(call, choice):
        return {"item": call.request.item, "draw": choice.draw, "text": choice.text}

    async def go():
        async with Server(told) as server:
            server.polls = 8
            with closing(Ledger(tmp_path, read)) as ledger:
                async with batches(server) as model:
                    task = asyncio.create_task(answers(model, ledger, faces(20)))
                    await asyncio.sleep(after)
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
            with closing(Ledger(tmp_path, read)) as ledger:
                async with batches(server) as model:
                    await model.resume(ledger)
                assert not ledger.batches()
                total = ledger.totals()
                assert total.requests == total.answers + total.failed + total.unknown
                # Each line that the server answered is an answer, once, with its own text.
                assert total.answers == len(server.seen)
                assert len(server.batches) <= 1
                for item, records in ledger.records([f"f{i}" for i in range(20)]).items():
                    (record,) = records
                    seed = seed_of(SETTINGS, call(item=item), 0)
                    assert json.loads(record["text"])["a"] == seed

    asyncio.run(go())


def test_a_batch_of_which_no_word_came_is_found_by_its_name(tmp_path):
    def dead(method, path, _):
        return "reset" if path.endswith("/batches") else None

    async def go():
        async with Server(told, batch=dead) as server:
            with closing(Ledger(tmp_path, lambda *_: {"item": "x"})) as ledger:
                async with batches(server) as model:
                    outcomes = await answers(model, ledger, faces(3))
                    assert all("start again later" in str(outcome) for outcome in outcomes)
                # Each attempt to begin it was a batch of its own for all that could be seen from here.
                assert len(server.batches) == 1
            server.batch = lambda *_: None
            with closing(Ledger(tmp_path, lambda *_: {"item": "x"})) as ledger:
                async with batches(server) as model:
                    await model.resume(ledger)
                assert ledger.totals().answers == 3
                assert len(server.batches) == 1

    asyncio.run(go())


@pytest.mark.parametrize("fault", ["half", "reset", error(500), error(400)])
def test_results_that_cannot_be_fetched_are_not_bought_again(tmp_path, fault):
    def read(call, choice):
        return {"item": call.request.item, "text": choice.text}

    def unreadable(method, path, _):
        return fault if path.endswith("/content") else None

    async def go():
        async with Server(told, batch=unreadable) as server:
            with closing(Ledger(tmp_path, read)) as ledger:
                async with batches(server) as model:
                    outcomes = await answers(model, ledger, faces(40))
                assert any("start again later" in str(outcome) for outcome in outcomes)
                assert ledger.totals().answers < 40
            with closing(Ledger(tmp_path, read)) as ledger:
                async with batches(server) as model:
                    with pytest.raises(FatalError, match="start again later"):
                        await model.resume(ledger)
            server.batch = lambda *_: None
            with closing(Ledger(tmp_path, read)) as ledger:
                async with batches(server) as model:
                    await model.resume(ledger)
                total = ledger.totals()
                assert (total.answers, total.requests) == (40, 40)
                assert len(server.batches) == 1

    asyncio.run(go())


def test_a_batch_that_was_not_begun_is_no_cost(tmp_path):
    async def go():
        async with Server(told) as server:
            with closing(Ledger(tmp_path, lambda *_: {}, max_cost=1.0)) as ledger:
                number = await ledger.sent(call(), (0,), 0.7)
                await ledger.begun("seke-1", (number,), None)
            with closing(Ledger(tmp_path, lambda *_: {}, max_cost=1.0)) as ledger:
                with pytest.raises(OutOfMoneyError):
                    await ledger.sent(call(item="b"), (0,), 0.7)
                async with batches(server) as model:
                    await model.resume(ledger)
                await ledger.sent(call(item="b"), (0,), 0.7)
                assert ledger.totals().failed == 1
                assert ledger.totals().unknown == 0

    asyncio.run(go())


def test_a_batch_that_the_server_does_not_know_any_more_may_have_been_paid(tmp_path):
    async def go():
        async with Server(told) as server:
            with closing(Ledger(tmp_path, lambda *_: {})) as ledger:
                number = await ledger.sent(call(), (0,), 0.7)
                await ledger.begun("seke-1", (number,), "batch-77")
            with closing(Ledger(tmp_path, lambda *_: {})) as ledger:
                async with batches(server) as model:
                    await model.resume(ledger)
                assert ledger.totals().perhaps == pytest.approx(0.7)
                assert not ledger.batches()

    asyncio.run(go())


@pytest.mark.parametrize("seed", range(6))
def test_the_account_is_exact_whatever_happens(seed):
    rng = random.Random(seed)
    kinds = ["expired", "missing", "\x00", error(500), error(400, "odd"), one_choice(), told(0, {"seed": 1})]

    def script(number, asked):
        return rng.choice(kinds) if rng.random() < 0.3 else told(number, asked)

    def trouble(method, path, count):
        return rng.choice([error(503), "reset", None, None, None])

    outcomes, journal, server = run(
        script, faces(40, samples=2), served={"batch": trouble}, attempts=9, whole=False
    )
    assert len(journal.rows) == len(server.seen)
    assert all(end is not None for end in journal.ends)
    came = sum(len(end.choices) for end in journal.ends if hasattr(end, "choices"))
    kept = [outcome.choices if isinstance(outcome, UnansweredError) else outcome for outcome in outcomes]
    assert came == sum(map(len, kept))


def by_seed(_, asked):
    """An answer that depends on the seed alone, in the form that is asked for."""
    return one_choice(made_up(asked))


class Served:
    """A server in a thread of its own, since a run has a loop of its own."""

    def __init__(self, script):
        self.server = Server(script)

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self.server.__aenter__(), self.loop).result()
        return self.server

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self.server.__aexit__(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def test_a_run_in_batches_comes_to_what_a_run_of_single_requests_comes_to(tmp_path):
    folder = pictures(tmp_path / "faces", 12)

    def run(model, place):
        given = {"knowledge": SMALL_FACES, "concurrency": 12, "problems": lambda _: None}
        job = Job.of([folder], tmp_path / place, model, SETTINGS, **given)
        assert job.run().finished
        return (tmp_path / place / "posteriors.jsonl").read_text()

    with Served(by_seed) as server:
        single = run(Endpoint(SETTINGS, base_url=server.url), "single")
        count = len(server.seen)
        assert run(batches(server, quiet=0.2), "batched") == single
        assert len(server.seen) == 2 * count
        assert len(server.batches) < count / 2


def test_a_run_with_batches_on_their_way_does_not_go_on_without_them(tmp_path):
    folder = pictures(tmp_path / "faces", 1)
    model = RecordedModel([])
    job = Job.of([folder], tmp_path / "run", model, SETTINGS)

    async def leave(ledger):
        number = await ledger.sent(call(item="f0.png"), (0,), None)
        await ledger.begun("seke-1", (number,), "batch-0")

    with closing(job.open()) as ledger:
        asyncio.run(leave(ledger))
    with pytest.raises(SekeError, match="continue with --batch"):
        job.run()
    with closing(job.open()) as ledger:
        assert list(ledger.batches()) == ["seke-1"]


RUN = """
import sys
from pathlib import Path
from seke.annotation.job import Job
from seke.runs.batch_client import Batches
from seke.vision.messages import Settings
folder, place, url = sys.argv[1:]
settings = Settings("made-up", max_tokens=100)
model = Batches(settings, base_url=url, quiet=0.3, poll=0.1)
job = Job.of([folder], Path(place), model, settings, concurrency=20, max_samples=8)
print("ready", flush=True)
print(job.run().finished)
"""


@pytest.mark.slow
def test_kills_at_random_moments_lose_no_batch_and_begin_none_twice(tmp_path, capsys):
    folder, rng, kills = pictures(tmp_path / "faces", 20), random.Random(0), 0
    place = tmp_path / "run"
    with Served(by_seed) as server:
        server.polls = 10
        while True:
            command = [sys.executable, "-c", RUN, folder, place, server.url]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            process.stdout.readline()
            try:
                process.wait(rng.uniform(0, 0.8) if kills < 40 else 300)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
            output = process.stdout.read()
            process.stdout.close()
            if process.returncode == 0:
                break
        assert "True" in output
    with closing(sqlite3.connect(place / "ledger.sqlite")) as db:
        states = dict(db.execute("SELECT state, count(*) FROM requests GROUP BY state"))
        draws = db.execute("SELECT count(*), count(DISTINCT item || draw || about || question) FROM choices")
        answers, distinct = draws.fetchone()
        open_ones = db.execute("SELECT count(*) FROM batches WHERE over = 0").fetchone()[0]
        unpaid = db.execute("SELECT count(*) FROM requests WHERE state = 'failed' AND NOT paid").fetchone()[0]
    with capsys.disabled():
        print(f"\n{kills} kills, {len(server.batches)} batches, {len(server.seen)} lines answered; {states}")
    # What the server answered is there, each line once; what never reached it was not paid for.
    assert answers == distinct == states["answered"] == len(server.seen)
    assert states.get("failed", 0) == unpaid
    assert open_ones == 0
    assert set(states) <= {"answered", "failed", "unknown"}
