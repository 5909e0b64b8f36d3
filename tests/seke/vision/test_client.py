"""The endpoint client against a real server on this machine: faults, retries, exact accounts."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server import Reply, Server, error

from seke.sampling.loop import Request
from seke.vision.capabilities import BOUNDS, Dialect
from seke.vision.client import Endpoint, seed_of
from seke.vision.completions import LONGEST, refused_reply, reply_of
from seke.vision.errors import FatalError, UnansweredError
from seke.vision.messages import Call, Picture, Prompt, Settings
from seke.vision.messages import Reply as ModelReply
from seke.vision.prices import Estimate, Prices
from seke.vision.rate_limit import Pace
from seke.vision.server_errors import Refusal, retry_after, seconds_of

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "number", "minimum": 0}},
    "required": ["a"],
    "additionalProperties": False,
}
GOOD = Reply(['{"a": 1}'])
SETTINGS = Settings("made-up", max_tokens=100)


class Account:
    """A journal in memory."""

    def __init__(self):
        self.rows = []

    async def sent(self, call, draws, worst_price):
        self.rows.append([draws, worst_price, None])
        return len(self.rows) - 1

    async def answered(self, number, reply):
        assert self.rows[number][2] is None
        self.rows[number][2] = reply

    async def failed(self, number, failure):
        assert self.rows[number][2] is None
        self.rows[number][2] = failure

    @property
    def ends(self):
        return [row[2] for row in self.rows]


def call(samples=1, first=0, item="face-1"):
    request = Request(item, "gpt-4o", "joint", None, "face", first, samples)
    return Call(
        request, Prompt("Look.", SCHEMA, "d1", "You see."), Picture(b"jpeg", "image/jpeg", 10, 10, "d2")
    )


def run(script, do=None, **options):
    """Ask once, or `do`, of a server with a script; returns the outcome, the journal, the server."""
    journal = Account()
    options = {"deadline": 2.0, "attempts": 4, **options}

    async def go():
        async with Server(script) as server, Endpoint(SETTINGS, base_url=server.url, **options) as model:
            try:
                outcome = await (do(model, journal) if do else model.ask(call(), journal))
            except (FatalError, UnansweredError) as fault:
                outcome = fault
            # Nothing was sent without being noted, nor noted without being sent.
            assert len(journal.rows) == len(server.seen)
            assert all(end is not None for end in journal.ends)
            return outcome, journal, server

    return asyncio.run(go())


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No key, and waits of the clients own making cut short."""
    import tenacity

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(tenacity, "wait_random_exponential", lambda **_: lambda _state: 0.01)


def test_a_request_says_what_is_needed_and_no_more():
    choices, journal, server = run(lambda *_: GOOD)
    assert [choice.text for choice in choices] == ['{"a": 1}']
    (body,) = server.seen
    system, user = body["messages"]
    assert system == {"role": "system", "content": "You see."}
    picture, text = user["content"]
    assert text == {"type": "text", "text": "Look."}
    assert picture["image_url"]["url"] == "data:image/jpeg;base64,anBlZw=="
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert body["seed"] == seed_of(SETTINGS, call(), 0)
    assert "n" not in body
    reply = journal.ends[0]
    assert (reply.model, reply.identity, reply.prompt_tokens) == ("made-up-1", "r1", 1000)


def test_the_detail_of_a_picture_comes_before_that_of_the_run():
    fine = replace(call(), picture=replace(call().picture, detail="high"))
    for asked, detail in ((call(), "auto"), (fine, "high")):
        _, _, server = run(lambda *_: GOOD, lambda model, j, asked=asked: model.ask(asked, j))
        (picture, _) = server.seen[0]["messages"][-1]["content"]
        assert picture["image_url"]["detail"] == detail


def test_several_draws_come_in_one_request_where_the_server_has_that():
    choices, journal, server = run(lambda *_: GOOD, lambda model, j: model.ask(call(4, first=3), j))
    assert [choice.draw for choice in choices] == [3, 4, 5, 6]
    assert [body.get("n") for body in server.seen] == [4]
    assert journal.rows[0][0] == (3, 4, 5, 6)


def test_a_server_that_ignores_n_is_topped_up_with_seeds_of_their_own():
    async def twice(model, journal):
        first = await model.ask(call(4), journal)
        return first, await model.ask(call(3, item="face-2"), journal)

    (first, second), journal, server = run(lambda *_: one_choice(), twice)
    assert [choice.draw for choice in first] == [0, 1, 2, 3]
    assert [choice.draw for choice in second] == [0, 1, 2]
    # The first request showed it; afterwards it was not asked for again.
    assert [body.get("n") for body in server.seen] == [4, None, None, None, None, None, None]
    assert len({body["seed"] for body in server.seen}) == 7
    assert len(journal.rows) == 7


def one_choice(text='{"a": 1}'):
    reply = Reply()
    reply.texts = OneText([text])
    return reply


class OneText(list):
    """One text, however many choices were asked for."""

    def __mul__(self, _):
        return self


@pytest.mark.parametrize(
    ("faults", "wait"),
    [
        ([error(429, retry_after="0.2")], 0.2),
        ([error(429, retry_after_ms="150")], 0.15),
        ([error(500), error(503)], 0),
        ([error(408), error(409)], 0),
        (["reset"], 0),
    ],
)
def test_what_passes_is_tried_again(faults, wait):
    started = time.monotonic()
    choices, journal, _ = run(lambda n, _: faults[n] if n < len(faults) else GOOD)
    assert choices[0].text == '{"a": 1}'
    assert time.monotonic() - started >= wait
    assert len(journal.rows) == len(faults) + 1
    assert all(end.retried for end in journal.ends[:-1])


def test_a_storm_of_429_ends_with_every_request_accounted_for():
    storm = lambda n, _: error(429, retry_after="0.05") if n % 3 else GOOD  # noqa: E731

    async def many(model, journal):
        tasks = [model.ask(call(item=f"f{i}"), journal) for i in range(60)]
        return await asyncio.gather(*tasks, return_exceptions=True)

    outcomes, journal, _ = run(storm, many, concurrency=20, attempts=12)
    answered = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert len(answered) == sum(hasattr(end, "choices") for end in journal.ends)
    assert len(answered) >= 55


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (error(401, "bad key"), "the key in OPENAI_API_KEY is not accepted"),
        (error(403, "no"), "may not do this"),
        (error(404, "no model"), "no model is called 'made-up'"),
        (error(429, "You exceeded your quota", "insufficient_quota"), "no credit left"),
        (error(402, "Insufficient Balance"), "no credit left"),
        (error(307, location="http://elsewhere.invalid/v1"), "moved to http://elsewhere.invalid/v1"),
    ],
)
def test_what_does_not_pass_ends_the_run_at_once(fault, message):
    failure, journal, _ = run(lambda *_: fault)
    assert isinstance(failure, FatalError)
    assert message in str(failure)
    assert len(journal.rows) == 1
    assert not journal.ends[0].paid


def test_one_picture_that_is_refused_is_no_end():
    def script(number, asked):
        return error(400, "invalid image") if number == 1 else GOOD

    async def three(model, journal):
        return [await model.ask(call(item=f"f{i}"), journal) for i in range(3)]

    outcomes, journal, _ = run(script, three)
    assert [outcome[0].refusal for outcome in outcomes] == [None, "400: invalid image", None]
    assert [end.price for end in journal.ends] == [None, 0.0, None]


def test_a_server_that_refuses_everything_is_an_end():
    async def go(model, journal):
        for i in range(9):
            try:
                await model.ask(call(item=f"f{i}"), journal)
            except UnansweredError:
                continue

    failure, journal, _ = run(lambda *_: error(400, "pictures are not supported"), go)
    assert isinstance(failure, FatalError)
    assert "refuses every request" in str(failure)
    assert len(journal.rows) == 3


@pytest.mark.parametrize(
    ("fault", "text", "finish"),
    [("parts", '{"a": 1}', "stop"), ("no message", "", "malformed"), ("numbers", "12", "")],
)
def test_odd_answers_are_kept_as_they_are(fault, text, finish):
    choices, journal, _ = run(lambda *_: fault)
    assert (choices[0].text, choices[0].finish) == (text, finish)
    assert choices[0].refusal is None
    assert len(journal.rows) == 1


def test_invalid_utf_8_and_huge_texts_are_kept_cut_to_size():
    choices, _, _ = run(lambda *_: "utf-8")
    assert choices[0].text == "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}{}"
    choices, _, _ = run(lambda *_: "huge")
    assert len(choices[0].text) == 200_000
    assert choices[0].finish == "oversized"


@pytest.mark.parametrize("fault", ["not json", "null choices", "half", "deep", "slow"])
def test_what_brings_no_answer_or_may_have_been_paid_for_is_asked_once_more_at_most(fault):
    failure, journal, _ = run(lambda *_: fault, deadline=0.4)
    assert isinstance(failure, UnansweredError)
    assert len(journal.rows) == 2
    # Nobody charges for a whole body without tokens; what was read in part may have had some.
    assert all(end.paid == (fault in ("half", "deep", "slow")) for end in journal.ends)
    assert [end.retried for end in journal.ends] == [True, False]


def test_a_silent_server_is_left_after_the_deadline():
    failure, journal, _ = run(lambda *_: "silent", deadline=0.2)
    assert isinstance(failure, UnansweredError)
    assert "no answer within 0.2 s" in failure.reason
    assert len(journal.rows) == 2


def test_refusals_and_filters_are_answers():
    choices, journal, _ = run(lambda *_: Reply([""], refusal="I will not."))
    assert choices[0].refusal == "I will not."
    choices, _, _ = run(lambda *_: Reply([""], finish="content_filter"))
    assert choices[0].finish == "content_filter"
    assert len(journal.rows) == 1


def test_a_server_without_structured_output_is_asked_plainly():
    def script(_, asked):
        kind = asked.get("response_format", {}).get("type")
        return GOOD if kind is None else error(400, f"response_format {kind} is not supported")

    _, journal, server = run(script)
    kinds = [body.get("response_format", {}).get("type") for body in server.seen]
    assert kinds == ["json_schema", "json_object", None]
    assert len(journal.rows) == 3


@pytest.mark.parametrize(
    "message",
    ["Invalid schema for response_format 'answer': 'minimum' is not permitted", "maxItems is not supported"],
)
def test_bounds_are_left_out_before_the_schema_is(message):
    def bounded(asked):
        schema = asked.get("response_format", {}).get("json_schema", {}).get("schema", {})
        return any(bound in json.dumps(schema) for bound in BOUNDS)

    _, _, server = run(lambda _, asked: error(400, message) if bounded(asked) else GOOD)
    kinds = [(body.get("response_format", {}).get("type"), bounded(body)) for body in server.seen]
    assert kinds == [("json_schema", True), ("json_schema", False)]


def test_a_maximum_of_something_else_is_no_bound_of_the_form():
    for message in ("the picture exceeds the maximum size", "max_tokens is above the maximum of 4096"):
        assert Dialect().adapt(message, 1, SETTINGS) is None
    assert Dialect(form=1).adapt("'maximum' is not permitted", 1, SETTINGS) is None


def test_another_name_for_the_limit_is_learned():
    def script(_, asked):
        return GOOD if "max_completion_tokens" in asked else error(400, "use 'max_completion_tokens' instead")

    _, _, server = run(script)
    assert "max_tokens" not in server.seen[-1]


NO_SYSTEM = (
    "System role not supported",
    "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
    "Conversation roles must alternate user/assistant/user/assistant/...",
    "Only user, assistant and tool roles are supported, got system",
)


@pytest.mark.parametrize("message", NO_SYSTEM)
def test_a_server_without_messages_of_the_system_is_told_all_by_the_user(message):
    def script(_, asked):
        return error(400, message) if asked["messages"][0]["role"] == "system" else GOOD

    choices, _, server = run(script)
    assert len(choices) == 1
    (asked,) = server.seen[1:]
    (user,) = asked["messages"]
    assert [part.get("text", "picture") for part in user["content"]] == ["You see.", "picture", "Look."]
    assert "response_format" in asked


def only_plain(asked):
    kind = asked.get("response_format", {}).get("type")
    return kind and f"response_format {kind} is not supported"


REFUSALS = {
    "no structured output": only_plain,
    "another limit": lambda asked: "max_tokens" in asked and "Use 'max_completion_tokens' instead",
    "one choice": lambda asked: "n" in asked and "Only one completion choice is allowed",
    "no n": lambda asked: "n" in asked and "'n' : number must be at most 1",
    "no system message": lambda asked: asked["messages"][0]["role"] == "system" and NO_SYSTEM[0],
    "no seed": lambda asked: "seed" in asked and "Unsupported parameter: 'seed'",
    "no top_p": lambda asked: "top_p" in asked and "Unsupported parameter: 'top_p'",
    "nothing": lambda asked: (
        only_plain(asked)
        or ("max_tokens" in asked and "'max_completion_tokens'")
        or ("n" in asked and "n must be 1")
        or ("seed" in asked and "'seed'")
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_a_server_does_not_take_is_learned_by_all_that_are_on_their_way(name):
    def script(_, asked):
        message = REFUSALS[name](asked)
        return error(400, message) if message else Reply(['{"a": 1}'], after=0.05)

    async def many(model, journal):
        return await asyncio.gather(*(model.ask(call(3, item=f"f{i}"), journal) for i in range(16)))

    outcomes, journal, server = run(script, many, concurrency=8, attempts=6)
    assert [len(choices) for choices in outcomes] == [3] * 16
    # Those that were sent before the first refusal are refused as well, and nothing after them.
    refused = [end for end in journal.ends if not hasattr(end, "choices")]
    assert len(refused) <= 8 * 5
    assert not any(REFUSALS[name](asked) for asked in server.seen[-8:])


def test_what_was_asked_for_on_purpose_is_not_left_out():
    cold = replace(SETTINGS, temperature=0.2)

    async def go():
        script = lambda _, asked: error(400, "'temperature' does not support 0.2")  # noqa: E731
        async with Server(script) as server, Endpoint(cold, base_url=server.url) as model:
            with pytest.raises(UnansweredError, match=r"does not support 0\.2"):
                await model.ask(call(), Account())
            assert len(server.seen) == 1

    asyncio.run(go())


def test_a_refusal_that_cannot_be_stored_as_it_is_said_is_kept_all_the_same(tmp_path):
    """Half of a pair of code units is no text; the thread that writes the ledger goes on."""
    from seke.runs.ledger import Ledger

    ledger = Ledger(tmp_path, lambda call, choice: {"item": call.request.item, "draw": choice.draw})

    async def go():
        async with (
            Server(lambda *_: error(400, "bad \ud800 thing")) as server,
            Endpoint(SETTINGS, base_url=server.url) as model,
        ):
            with pytest.raises(UnansweredError, match=r"400: bad . thing"):
                await asyncio.wait_for(model.ask(call(), ledger), 10)

    asyncio.run(go())
    ledger.close()


@pytest.mark.parametrize("reset", ["1" + "0" * 400 + "s", "0s", "-1s", "x"])
def test_what_a_server_says_that_it_has_left_may_be_anything(reset):
    headers = {
        "x-ratelimit-remaining-requests": "0" if reset != "x" else "9" * 5000,
        "x-ratelimit-limit-requests": "7" * 5000,
        "x-ratelimit-reset-requests": reset,
    }

    async def two(model, journal):
        await model.ask(call(), journal)
        return await asyncio.wait_for(model.ask(call(item="f2"), journal), 10)

    choices, journal, _ = run(lambda *_: Reply(['{"a": 1}'], headers=headers), two)
    assert choices[0].text == '{"a": 1}'
    assert len(journal.rows) == 2


def test_no_more_than_allowed_are_on_their_way():
    async def many(model, journal):
        return await asyncio.gather(*(model.ask(call(item=f"f{i}"), journal) for i in range(40)))

    _, _, server = run(lambda *_: Reply(['{"a": 1}'], after=0.02), many, concurrency=5)
    assert server.most == 5


def test_a_server_that_has_nothing_left_is_waited_for():
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "300ms"}

    async def two(model, journal):
        await model.ask(call(), journal)
        started = time.monotonic()
        await model.ask(call(item="f2"), journal)
        return time.monotonic() - started

    waited, _, _ = run(lambda n, _: Reply(['{"a": 1}'], headers=headers if n == 0 else {}), two)
    assert waited > 0.2


def test_what_is_stopped_on_its_way_is_counted_as_perhaps_paid():
    async def stop(model, journal):
        task = asyncio.create_task(model.ask(call(), journal))
        while not journal.rows:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)  # until it has left
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    _, journal, _ = run(lambda *_: Reply(['{"a": 1}'], after=5), stop, deadline=10)
    assert journal.ends[0].paid


def test_a_server_that_is_not_there(monkeypatch):
    async def go():
        async with Endpoint(SETTINGS, base_url="http://127.0.0.1:9/v1", attempts=2) as model:
            await model.check()

    with pytest.raises(FatalError, match="no server answers"):
        asyncio.run(go())


def test_a_model_that_the_server_does_not_have():
    async def go():
        async with (
            Server(lambda *_: GOOD, models=["made-up-2", "other"]) as server,
            Endpoint(SETTINGS, base_url=server.url) as model,
        ):
            await model.check()

    with pytest.raises(FatalError, match="no model is called 'made-up'; did you mean made-up-2"):
        asyncio.run(go())


def test_without_a_key_nothing_leaves_this_machine(monkeypatch):
    with pytest.raises(FatalError, match="environment variable MY_KEY"):
        Endpoint(SETTINGS, base_url="http://models.invalid/v1", key_from="MY_KEY")


def test_a_key_is_sent_and_shown_nowhere(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    failure, journal, server = run(lambda *_: error(401, "Received API key: sk-secret"))
    assert server.keys == {"bearer sk-secret"}
    assert "Received API key: (the key)" in str(failure)
    assert "sk-secret" not in str(failure) + repr(journal.rows) + repr(failure)


def test_a_key_with_a_line_break_is_the_key_without_it(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret\n")
    failure, _, server = run(lambda *_: error(401, "not accepted: sk-secret"))
    assert server.keys == {"bearer sk-secret"}
    assert "sk-secret" not in str(failure)


@pytest.mark.parametrize("key", ["sk-é", "sk-a\nb"])
def test_what_is_no_key_is_said_before_anything_is_sent(monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(FatalError, match="OPENAI_API_KEY does not hold a valid key"):
        Endpoint(SETTINGS)


def test_a_server_without_a_key_may_say_what_it_likes():
    failure, _, _ = run(lambda *_: error(400, "none of this works"))
    assert failure.reason == "400: none of this works"


def test_an_address_is_shown_without_its_password():
    model = Endpoint(SETTINGS, base_url="http://me:secret@localhost:9/v1")
    assert model.where == "http://localhost:9/v1/"
    asyncio.run(model.client.close())


def test_after_an_end_nothing_more_is_sent():
    async def many(model, journal):
        return await asyncio.gather(
            *(model.ask(call(3, item=f"f{i}"), journal) for i in range(40)), return_exceptions=True
        )

    outcomes, journal, _ = run(lambda *_: error(401), many, concurrency=4)
    assert all(isinstance(outcome, FatalError) for outcome in outcomes)
    assert len(journal.rows) <= 4


def test_choices_that_came_are_borne_by_the_error():
    def script(number, asked):
        return error(400, "no more of this") if number else Reply(['{"a": 1}', '{"a": 2}'])

    failure, journal, _ = run(script, lambda model, j: model.ask(call(5), j))
    assert isinstance(failure, UnansweredError)
    assert [(choice.draw, choice.text) for choice in failure.choices] == [(0, '{"a": 1}'), (1, '{"a": 2}')]
    assert [row[0] for row in journal.rows] == [(0, 1, 2, 3, 4), (2, 3, 4)]


def test_a_form_that_is_taken_and_not_kept_to_is_asked_for_in_a_simpler_one():
    def script(_, asked):
        kind = asked.get("response_format", {}).get("type")
        return GOOD if kind == "json_object" else Reply(["It looks glad."])

    async def some(model, journal):
        return [(await model.ask(call(item=f"f{i}"), journal))[0].text for i in range(8)]

    texts, _, server = run(script, some)
    kinds = [body["response_format"]["type"] for body in server.seen]
    assert kinds == ["json_schema"] * 3 + ["json_object"] * 5
    # What came before is kept as it is.
    assert texts == ["It looks glad."] * 3 + ['{"a": 1}'] * 5


def test_a_model_of_ollama_by_its_short_name():
    async def go():
        async with (
            Server(lambda *_: GOOD, models=["made-up:latest"]) as server,
            Endpoint(SETTINGS, base_url=server.url) as model,
        ):
            await model.check()

    asyncio.run(go())


def test_no_more_a_minute_than_allowed():
    async def leave(rpm, tpm, tokens, count):
        pace, started, times = Pace(rpm, tpm), time.monotonic(), []
        for _ in range(count):
            await pace.admit(tokens)
            times.append(time.monotonic() - started)
        return times

    # 1,200 a minute: 20 at once, then one each 50 ms; in any stretch of time no more than that and 20.
    times = asyncio.run(leave(1200, None, 1, 30))
    assert times[19] < 0.3
    assert times[29] >= 0.5
    # 60,000 tokens a minute are 1,000 a second: a request of 1,500 waits for what is beyond that.
    times = asyncio.run(leave(None, 60_000, 1500, 2))
    assert times[0] >= 0.5
    assert times[1] >= 2.0


def test_what_a_server_has_left_is_waited_for_as_it_comes_back():
    async def go(headers, tokens):
        pace = Pace()
        pace.heed(headers)
        started = time.monotonic()
        await pace.admit(tokens)
        return time.monotonic() - started

    limits = {
        f"x-ratelimit-{name}-tokens": value
        for name, value in (("limit", "10000"), ("remaining", "2000"), ("reset", "4s"))
    }
    # 8,000 come back in 4 s, 2,000 a second: 2,400 are there after 0.2 s, 1,500 at once.
    assert 0.15 < asyncio.run(go(limits, 2400)) < 0.4
    assert asyncio.run(go(limits, 1500)) < 0.1
    # More than there ever will be is not waited for beyond the reset.
    assert asyncio.run(go({**limits, "x-ratelimit-reset-tokens": "300ms"}, 10**9)) < 0.5
    for odd in ({"x-ratelimit-remaining-tokens": "-1"}, {"x-ratelimit-remaining-tokens": "²"}, {}):
        assert asyncio.run(go({"x-ratelimit-reset-tokens": "9s", **odd}, 10)) < 0.1


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = LEAVES
for _ in range(3):
    JSON = LEAVES | st.lists(JSON, max_size=3) | st.dictionaries(st.text(max_size=5), JSON, max_size=3)
MESSAGES = st.fixed_dictionaries({}, optional={"content": JSON, "refusal": JSON, "role": JSON})
CHOICES = JSON | st.fixed_dictionaries({}, optional={"message": MESSAGES | JSON, "finish_reason": JSON})
USAGE = st.dictionaries(
    st.sampled_from(["prompt_tokens", "completion_tokens", "prompt_tokens_details"]), JSON
)
NAMES = {"model": JSON, "id": JSON, "system_fingerprint": JSON, "usage": USAGE | JSON}
BODIES = st.fixed_dictionaries({}, optional={"choices": st.lists(CHOICES, max_size=4) | JSON, **NAMES})


@given(BODIES | JSON, st.integers(1, 3))
def test_no_body_of_any_shape_is_more_than_answers_that_can_be_stored(body, draws):
    made = reply_of(json.dumps(body).encode(), tuple(range(draws)), Prices(1, 1))
    if made is None:
        return
    if isinstance(made, Refusal):
        made.message.encode("utf-8")
        made = refused_reply(made, tuple(range(draws)))
    assert 1 <= len(made.choices) <= draws
    for choice in made.choices:
        assert isinstance(choice.text + choice.finish + (choice.refusal or ""), str)
        choice.text.encode("utf-8")
        assert len(choice.text) <= LONGEST
    for count in (made.prompt_tokens, made.completion_tokens, made.cached_tokens):
        assert count is None or 0 <= count < 2**63


@given(st.binary(max_size=200))
def test_no_bytes_at_all_crash(body):
    reply_of(body, (0,))
    reply_of(b'{"choices": [{"message": {"content": "' + body + b'"}}]}', (0,))


def test_waits_are_read_and_bounded():
    assert retry_after({"retry-after": "7"}) == 7
    assert retry_after({"retry-after-ms": "1500"}) == 1.5
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({"retry-after": "1e9"}) == 60
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({"retry-after": "nan"}) is None
    assert retry_after({"retry-after": "inf"}) == 60
    assert retry_after({"retry-after-ms": "nan", "retry-after": "3"}) == 3
    assert seconds_of("1m3.5s") == 63.5
    assert seconds_of("20ms") == 0.02
    assert seconds_of("junk") is None


def test_prices_by_hand():
    prices = Prices(prompt=2.0, answer=8.0, cached=1.0)
    assert prices.of(1_000_000, 400_000, 500_000) == pytest.approx(0.6 * 2 + 0.4 * 1 + 0.5 * 8)
    estimate = Estimate(prices, SETTINGS)
    letters = len("You see.Look.") + len(str(SCHEMA))
    assert estimate.worst(call(), 2) == pytest.approx(((letters // 2 + 3000) * 2 + 200 * 8) / 1e6)
    estimate.note(call(), ModelReply((), "m", prompt_tokens=1000))
    assert estimate.worst(call(), 1) == pytest.approx((1200 * 2 + 100 * 8) / 1e6)
    assert Estimate(None, SETTINGS).worst(call(), 1) is None


def test_the_price_of_a_reply():
    prices = Prices(prompt=2.0, answer=8.0)
    _, journal, _ = run(lambda *_: GOOD, prices=prices)
    assert journal.ends[0].price == pytest.approx((1000 * 2 + 50 * 8) / 1e6)
    assert journal.rows[0][1] > journal.ends[0].price
