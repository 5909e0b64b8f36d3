"""Several --base-url: one model at several servers, of which some are slow, dead, or dead for a while."""

from __future__ import annotations

import asyncio

import pytest
from click.testing import CliRunner
from server import Reply, Server, error, made_up
from small_study import ONE_QUESTION, pictures
from test_annotate import on_disk, rows
from test_several_models import unused_address

import seke
from engine import SekeError
from seke.cli.main import main
from seke.sampling.loop import Request
from seke.vision.client import Endpoint
from seke.vision.errors import FatalError, UnansweredError
from seke.vision.messages import Call, Choice, Picture, Prompt, Settings
from seke.vision.model_servers import ModelServers, servers_of

SETTINGS = Settings("made-up")


class Account:
    """A journal in memory. answers: the draws of each item that were answered, as often as they were."""

    def __init__(self):
        self.open, self.answers, self.failures = {}, [], 0

    async def sent(self, call, draws, worst_price):
        self.open[len(self.open)] = call.request.item
        return len(self.open) - 1

    async def answered(self, number, reply):
        self.answers += [(self.open[number], choice.draw) for choice in reply.choices]

    async def failed(self, *_):
        self.failures += 1


def call(item, samples=1):
    request = Request(item, "gpt-4o", "joint", None, "face", 0, samples)
    return Call(request, Prompt.of("Look.", {"type": "object"}), Picture(b"x", "image/jpeg", 1, 1, item))


def asked(scripts, items, samples=1, concurrency=4, first_wait=0.05, between=0.0, servers=None):
    """Ask about items at servers with these scripts; return account, servers, what was told, and outcomes."""
    told = []

    async def go():
        async with Server(scripts[0]) as one, Server(scripts[1]) as other:
            endpoints = [
                Endpoint(SETTINGS, base_url=url, concurrency=concurrency, attempts=1)
                for url in servers or (one.url, other.url)
            ]
            account = Account()
            async with ModelServers(endpoints, concurrency, told.append, first_wait) as model:
                tasks = []
                for item in range(items):
                    tasks.append(asyncio.create_task(model.ask(call(f"i{item}", samples), account)))
                    await asyncio.sleep(between)
                outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            return account, (one, other), outcomes

    return *asyncio.run(go()), told


def answers_after(seconds, alone=False):
    return lambda *_: Reply(["{}"], after=seconds, alone=alone)


def test_the_faster_server_is_asked_more():
    account, servers, outcomes, told = asked((answers_after(0.01), answers_after(1.5)), 30)
    fast, slow = (len(server.seen) for server in servers)
    assert fast + slow == 30 == len(set(account.answers))
    assert fast > 3 * slow > 0
    assert max(server.most for server in servers) <= 4
    assert all(outcome == (Choice(0, "{}", "stop"),) for outcome in outcomes)
    assert told == []


def test_servers_that_are_alike_share():
    _, servers, *_ = asked((answers_after(0.02), answers_after(0.02)), 20)
    assert min(len(server.seen) for server in servers) >= 6


def test_one_that_fails_for_a_while_is_set_aside_and_comes_back():
    """Of three draws, given one by one, those that came are not asked for again elsewhere."""

    def failing(number, asked):
        away = 3 <= number < 8
        return error(503, "overloaded") if away else answers_after(0.01, alone=True)(number, asked)

    # The other one is slower: of two that are idle the quicker is asked, so that who is back is asked, too.
    # Five failures in turn take waits of .01 to .16 s, together half of the time in which items come.
    account, servers, outcomes, told = asked(
        (failing, answers_after(0.05, alone=True)), 30, samples=3, first_wait=0.01, between=0.02
    )
    assert all(len(outcome) == 3 for outcome in outcomes)
    assert len(account.answers) == len(set(account.answers)) == 90
    assert account.failures >= 1
    assert "overloaded" in told[0]
    assert "it is set aside, and tried again from time to time" in told[0]
    assert told[-1] == f"{servers[0].url}/: answers again"
    assert len(servers[0].seen) > 10


def test_what_may_have_been_paid_for_is_not_bought_elsewhere():
    account, servers, outcomes, _ = asked((lambda *_: "half", answers_after(0.01)), 2, concurrency=1)
    assert sum(isinstance(outcome, UnansweredError) for outcome in outcomes) == 1
    assert len(account.answers) == 1
    assert len(servers[1].seen) == 1


def test_when_none_answers_the_run_ends():
    addresses = unused_address(), unused_address()
    *_, outcomes, told = asked((answers_after(0), answers_after(0)), 2, first_wait=0.01, servers=addresses)
    for outcome in outcomes:
        assert isinstance(outcome, FatalError)
        assert str(outcome).startswith("none of 2 servers can be asked: ")
        assert all(address in str(outcome) for address in addresses)
    assert len(told) == 2


def test_a_run_at_two_servers_of_which_one_is_not_there(tmp_path):
    folder = pictures(tmp_path / "faces", 4)

    async def go():
        async with Server(lambda _, asked: Reply([made_up(asked)], alone=True)) as server:
            words = ["annotate", folder, "--run", tmp_path / "r", "--model", "made-up", "-k", ONE_QUESTION]
            words += ["--base-url", unused_address(), "--base-url", server.url]
            result = await asyncio.to_thread(lambda: CliRunner().invoke(main, list(map(str, words))))
            return result, server, server.url

    result, server, url = asyncio.run(go())
    assert result.exit_code == 0, result.output
    assert "no server answers" in result.stderr
    assert "it is set aside, and tried again from time to time" in result.stderr
    assert len(server.seen) == len(rows(tmp_path / "r" / "answers.jsonl"))
    # Where it was asked is no part of what is asked: the run goes on at another address.
    before = on_disk(tmp_path / "r", "SELECT count(*) FROM requests")
    with pytest.raises(SekeError, match="none of 2 servers can be asked"):
        seke.annotate(
            folder, tmp_path / "r", "made-up", base_url=[url, unused_address()], knowledge=ONE_QUESTION
        )
    assert on_disk(tmp_path / "r", "SELECT count(*) FROM requests") == before


def test_bad_addresses_are_met_before_anything_is_sent(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    folder = pictures(tmp_path / "faces", 1)
    command = ["annotate", str(folder), "--run", str(tmp_path / "r"), "--model", "m", "--base-url"]
    two = [*command, "http://localhost:1/v1", "--base-url"]

    def message(*words, **environment):
        result = CliRunner().invoke(main, list(words), env=environment)
        assert result.exit_code == 2
        return result.stderr

    assert "http://localhost:1/v1: is named twice; name each server once" in message(
        *two, "http://localhost:1/v1/"
    )
    assert "a batch has only one server" in message(*two, "http://localhost:2/v1", "--batch")
    assert "there is no key" in message(*two, "http://models.invalid/v1")
    far = message(*command, "http://a.invalid/v1", "--base-url", "http://b.invalid/v1", OPENAI_API_KEY="sk")
    assert "will be sent to http://a.invalid/v1/ (unencrypted), with the key in OPENAI_API_KEY and to" in far
    assert "http://b.invalid/v1/" in far
    assert not (tmp_path / "r").exists()


def test_one_server_is_asked_as_before():
    assert isinstance(servers_of(lambda **options: options, (), concurrency=3), dict)
    assert servers_of(lambda **options: options, ("a",), concurrency=3) == {"base_url": "a", "concurrency": 3}
