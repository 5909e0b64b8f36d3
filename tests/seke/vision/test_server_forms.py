"""Answers and errors in the forms in which servers send them, replayed by the server on this machine."""

from __future__ import annotations

import asyncio
import itertools
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server import Raw
from test_client import SCHEMA, call, run

import seke
from seke.prompts import Questions
from seke.prompts.parser import read_choice
from seke.prompts.response_schema import Form, Key
from seke.sampling.loop import Request
from seke.vision.capabilities import Dialect
from seke.vision.completions import LONGEST, reply_of
from seke.vision.errors import FatalError, UnansweredError
from seke.vision.event_streams import decoded_body
from seke.vision.http_bodies import VALUE_LIMIT
from seke.vision.lost_answer import unread
from seke.vision.messages import Settings
from seke.vision.prices import Prices
from seke.vision.server_errors import refusal_of

TEXT = '{"a": 1}'
USAGE = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}
EVENTS = "text/event-stream"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    import tenacity

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(tenacity, "wait_random_exponential", lambda **_: lambda _state: 0.01)


def body(message=None, finish="stop", usage=USAGE, **more):
    """The body of a completion; message: a text, or a whole message."""
    message = {"role": "assistant", **(message if isinstance(message, dict) else {"content": message})}
    choice = {"index": 0, "finish_reason": finish, "message": message}
    return {"id": "x", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage, **more}


def raw(value, status=200, kind="application/json"):
    data = value if isinstance(value, bytes) else json.dumps(value, indent=1).encode()
    return Raw(data, status, kind)


def events(*chunks, mark=True, gap="\n\n"):
    """A stream of events; mark: whether it has its end."""
    lines = [f"data: {json.dumps(chunk)}" for chunk in chunks] + ["data: [DONE]"] * mark
    return raw(gap.join(lines).encode(), kind=EVENTS)


def chunk(delta, finish=None, **more):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **more}


def lines(*values):
    """A stream of objects, one a line."""
    return raw("\n".join(map(json.dumps, values)).encode(), kind="application/x-ndjson")


def anthropic(content, stop="end_turn"):
    usage = {"input_tokens": 100, "cache_read_input_tokens": 900, "output_tokens": 50}
    message = {"id": "x", "type": "message", "role": "assistant", "model": "m", "content": content}
    return {**message, "stop_reason": stop, "stop_sequence": None, "usage": usage}


def ollama(text, done=True, **more):
    counts = {"done_reason": "stop", "prompt_eval_count": 1000, "eval_count": 50} if done else {}
    message = {"role": "assistant", "content": text, **more}
    return {"model": "m", "created_at": "2026-11-01T00:00:00Z", "message": message, "done": done, **counts}


def gemini(*parts, finish="STOP"):
    candidate = {"content": {"parts": list(parts), "role": "model"}, "finishReason": finish, "index": 0}
    counts = {"promptTokenCount": 1000, "candidatesTokenCount": 50, "totalTokenCount": 1050}
    return {"candidates": [candidate], "usageMetadata": counts, "modelVersion": "m"}


ANTHROPIC_EVENTS = (
    {"type": "message_start", "message": {**anthropic([], None), "usage": {"input_tokens": 1000}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT[:4]}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT[4:]}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 50}},
    {"type": "message_stop"},
)
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "39s"}
THOUGHTS = {"completion_tokens_details": {"reasoning_tokens": 2000}}
TOOL = {"id": "t", "type": "function", "function": {"name": "answer", "arguments": TEXT}}
# What a server sends, the text that is read in it, and the tokens of its answer.
ANSWERED = {
    "OpenAI": (raw(body(TEXT)), 50),
    "OpenAI, by a tool": (raw(body({"content": None, "tool_calls": [TOOL]}, "tool_calls")), 50),
    "OpenAI, by a function": (
        raw(body({"content": None, "function_call": {"arguments": TEXT}}, "function_call")),
        50,
    ),
    "Azure, with the results of its filters": (
        raw(body(TEXT, prompt_filter_results=[{"prompt_index": 0, "content_filter_results": {}}])),
        50,
    ),
    "Azure, as a stream that begins without a choice": (
        events(
            {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": TEXT[:4]}),
            chunk({"content": TEXT[4:]}, "stop"),
            {"choices": [], "usage": USAGE},
        ),
        50,
    ),
    "vLLM, a reasoning parser without an end of the thoughts": (
        raw(body({"content": None, "reasoning_content": TEXT})),
        50,
    ),
    "vLLM, newer": (raw(body({"content": "", "reasoning": TEXT})), 50),
    "vLLM, whole chunks": (
        events(chunk({"reasoning_content": "hm"}), chunk({"content": TEXT}, "stop")),
        None,
    ),
    "Ollama, whose arguments are an object": (
        raw(body({"content": "", "tool_calls": [{"function": {"name": "a", "arguments": {"a": 1}}}]})),
        50,
    ),
    "Ollama, a stream with a call of a tool": (
        events(chunk({"tool_calls": [{"function": {"arguments": {"a": 1}}}]}), chunk({}, "tool_calls")),
        None,
    ),
    "Ollama, its stream": (events(chunk({"content": TEXT}), chunk({"content": ""}, "stop"), gap="\n"), None),
    "llama.cpp, a single chunk": (events(chunk({"content": TEXT}, "stop", usage=USAGE), mark=False), 50),
    "llama.cpp, whole": (raw(body(TEXT, timings={"predicted_ms": 1.5})), 50),
    "LM Studio, tokens as floats": (
        raw(body(TEXT, usage={"prompt_tokens": 1000.0, "completion_tokens": 50.0})),
        50,
    ),
    "OpenRouter, after comments": (
        raw(b"\n\n: OPENROUTER PROCESSING\n\n" + json.dumps(body(TEXT)).encode()),
        50,
    ),
    "OpenRouter, a stream with comments": (
        raw(b": OPENROUTER PROCESSING\n\n" + events(chunk({"content": TEXT}, "stop")).body, kind=EVENTS),
        None,
    ),
    "OpenRouter, with its cost": (raw(body(TEXT, usage={**USAGE, "cost": 0.25, **THOUGHTS})), 2050),
    "Gemini, thoughts in the total alone": (
        raw(body(TEXT, usage={**USAGE, "total_tokens": 3050, **THOUGHTS})),
        2050,
    ),
    "Gemini, without tokens of the answer": (
        raw(body(TEXT, usage={"prompt_tokens": 1000, "total_tokens": 1050})),
        50,
    ),
    "Mistral, with thoughts as a part": (
        raw(
            body(
                {
                    "content": [
                        {"type": "thinking", "thinking": [{"type": "text", "text": '{"a": 2}'}]},
                        {"type": "text", "text": TEXT},
                    ]
                }
            )
        ),
        50,
    ),
    "Anthropic, with its names of tokens": (
        raw(body(TEXT, usage={"input_tokens": 1000, "output_tokens": 50})),
        50,
    ),
    "Anthropic, parts": (raw(body({"content": [{"type": "text", "text": TEXT}]})), 50),
    "Anthropic, its own form": (raw(anthropic([{"type": "text", "text": TEXT}])), 50),
    "Anthropic, its own form with thoughts": (
        raw(anthropic([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": TEXT}])),
        50,
    ),
    "Anthropic, its own tool": (raw(anthropic([{"type": "tool_use", "input": {"a": 1}}], "tool_use")), 50),
    "Anthropic, its own stream": (
        raw("".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in ANTHROPIC_EVENTS).encode()),
        50,
    ),
    "Ollama, its own form": (raw(ollama(TEXT)), 50),
    "Ollama, its own stream": (
        lines(ollama("", False, thinking="hm"), ollama(TEXT[:4], False), ollama(TEXT[4:], False), ollama("")),
        50,
    ),
    "Ollama, an answer to a prompt alone": (
        raw({"response": TEXT, "done": True, "prompt_eval_count": 1000, "eval_count": 50}),
        50,
    ),
    "Gemini, its own form": (raw(gemini({"text": "hm", "thought": True}, {"text": TEXT})), 50),
    "a content that is an object": (raw(body({"content": {"a": 1}})), 50),
    "a content that is a list of objects": (raw(body({"content": [{"a": 1}]})), 50),
    "a message that is a text": (raw({"choices": [{"message": TEXT, "finish_reason": "stop"}]}), None),
    "the old form": (raw({"choices": [{"text": TEXT, "finish_reason": "stop"}], "usage": USAGE}), 50),
    "JSON and the mark of a stream": (
        raw(json.dumps(body(TEXT)).encode() + b"\n\ndata: [DONE]\n", kind=EVENTS),
        50,
    ),
    "JSON and the mark at once": (raw(json.dumps(body(TEXT)).encode() + b"data: [DONE]"), 50),
    "tokens as texts": (raw(body(TEXT, usage={"prompt_tokens": "1000", "completion_tokens": "50"})), 50),
    "JSON over lines and the mark": (raw(json.dumps(body(TEXT), indent=2).encode() + b"\ndata: [DONE]"), 50),
    "one event that is whole": (events(body(TEXT)), 50),
    "a mark of UTF-8": (raw(b"\xef\xbb\xbf" + json.dumps(body(TEXT)).encode()), 50),
    "an error beside an answer": (raw(body(TEXT, error=None)), 50),
}


@pytest.mark.parametrize("form", ANSWERED)
def test_an_answer_is_read_in_whatever_form_it_comes(form):
    sent, tokens = ANSWERED[form]
    choices, journal, _ = run(lambda *_: sent, prices=Prices(1.0, 1.0))
    assert [json.loads(choice.text) for choice in choices] in ([{"a": 1}], [[{"a": 1}]])
    assert not choices[0].refused
    (reply,) = journal.ends
    assert (reply.prompt_tokens, reply.completion_tokens) == ((None if tokens is None else 1000), tokens)
    assert (reply.price is None) == (tokens is None)


def test_thoughts_are_counted_and_paid_for():
    sent = ANSWERED["Gemini, thoughts in the total alone"][0]
    _, journal, _ = run(lambda *_: sent, prices=Prices(2.0, 8.0))
    assert journal.ends[0].reasoning_tokens == 2000
    assert journal.ends[0].price == pytest.approx((1000 * 2 + 2050 * 8) / 1e6)


def test_several_choices_of_a_stream_are_kept_apart():
    parts = [("0", 0), ("9", 1), ("1", 0), ("8", 1)]
    chunks = [
        {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": None}]}
        for text, index in parts
    ]
    choices, _, _ = run(lambda *_: events(*chunks), lambda model, journal: model.ask(call(2), journal))
    assert [choice.text for choice in choices] == ["01", "98"]


@given(st.text(max_size=30), st.lists(st.integers(0, 30), max_size=4), st.booleans(), st.booleans())
def test_a_text_is_the_same_however_a_stream_cuts_it(text, places, mark, blank):
    text = text.encode("utf-8", "replace").decode()
    cuts = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    parts = [text[start:stop] for start, stop in itertools.pairwise(cuts)]
    chunks = [chunk({"content": part}) for part in parts[:-1]] + [chunk({"content": parts[-1]}, "stop")]
    sent = events(*chunks, {"choices": [], "usage": USAGE}, mark=mark, gap="\n\n" if blank else "\n")
    reply = reply_of(sent.body, (0,))
    assert (reply.choices[0].text, reply.completion_tokens) == (text, 50)


@given(
    st.lists(
        st.sampled_from([b"data: ", b"{}", b"[DONE]", b"\n", b": x", b'{"choices": [{"delta": 5}]}', b"{"])
    )
)
def test_no_stream_crashes(parts):
    reply_of(b"".join(parts), (0, 1))


def test_lines_without_end_are_no_stream():
    with pytest.raises(ValueError, match="Extra data"):
        decoded_body(b"1\n" * (VALUE_LIMIT + 2))


def openai_error(message, code=None, **more):
    return {"error": {"message": message, "type": None, "param": None, "code": code, **more}}


POLICY = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."
REFUSED = {
    "OpenAI": raw(body({"content": None, "refusal": "I will not judge this face."})),
    "OpenAI, safety": raw(
        openai_error("Rejected as a result of our safety system", "content_policy_violation"), 400
    ),
    "OpenAI, a picture": raw(openai_error("The image could not be parsed.", "image_parse_error"), 400),
    "Azure": raw(
        openai_error(POLICY, "content_filter", innererror={"code": "ResponsibleAIPolicyViolation"}), 400
    ),
    "Azure, as a choice": raw({**body(), "choices": [{"index": 0, "finish_reason": "content_filter"}]}),
    "vLLM": raw({"object": "error", "message": "cannot identify image file", "code": 400}, 400),
    "vLLM, with 500": raw(openai_error("Failed to load image: broken data stream"), 500),
    "Ollama": raw({"error": "failed to decode image data"}, 400),
    "llama.cpp": raw(openai_error("Failed to load image or audio file", 400), 400),
    "LM Studio": raw({"error": "Invalid image detected at index 0."}, 400),
    "OpenRouter, moderation": raw(
        openai_error("Your input was flagged", 403, metadata={"reasons": ["x"]}), 403
    ),
    "OpenRouter, with 200": raw({"error": {"message": "flagged by moderation", "code": 403}}),
    "OpenRouter, in a choice": raw(
        {
            **body(""),
            "choices": [{"error": {"code": 400, "message": "content filter"}, "finish_reason": "error"}],
        }
    ),
    "Gemini, a blocked prompt": raw({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {}}),
    "Gemini, a choice": raw(body("", "content_filter: PROHIBITED_CONTENT")),
    "Gemini, its own word": raw(body(None, "SAFETY")),
    "Mistral": raw(
        {"object": "error", "message": "Image could not be decoded", "type": "invalid_request_image"}, 400
    ),
    "Anthropic": raw(body("", "refusal")),
    "Anthropic, its own form": raw(anthropic([], "refusal")),
    "Gemini, its own form": raw(gemini(finish="SAFETY")),
    "Anthropic, a picture": raw(
        {"type": "error", "error": {"type": "invalid_request_error", "message": "Could not process image"}},
        400,
    ),
    "Qwen": raw({"code": "DataInspectionFailed", "message": "Input data may be improper."}, 400),
    "GLM": raw(body("", "sensitive")),
    "a stream": events(chunk({"content": "I"}), chunk({}, "content_filter")),
    "Qwen, a small picture": raw(
        openai_error("The image length and width do not meet the restrictions"), 400
    ),
    "vLLM, a small picture": raw(openai_error("height:9 or width:200 must be larger than factor:28"), 400),
    "xAI": raw({"code": "denied", "error": "Content violates usage guidelines."}, 403),
    "plain text": raw(b"Your request violates our usage policies.", 400, "text/plain"),
    "a list": raw(
        [{"error": {"code": 400, "message": "Unable to process input image.", "status": "INVALID_ARGUMENT"}}],
        400,
    ),
}


@pytest.mark.parametrize("form", REFUSED)
def test_a_refusal_of_one_picture_is_an_answer_and_never_an_end(form):
    async def many(model, journal):
        return [(await model.ask(call(2, item=f"f{i}"), journal)) for i in range(30)]

    outcomes, journal, _ = run(lambda *_: REFUSED[form], many, attempts=1)
    assert all(choice.refused for choices in outcomes for choice in choices)
    assert [[choice.draw for choice in choices] for choices in outcomes] == [[0, 1]] * 30
    assert all(hasattr(end, "choices") for end in journal.ends)


def test_a_server_error_about_a_picture_is_tried_again_first():
    for faults, refused in ((2, False), (9, True)):
        sent = REFUSED["vLLM, with 500"]
        choices, journal, _ = run(lambda n, _, f=faults, s=sent: s if n < f else raw(body(TEXT)), attempts=4)
        assert choices[0].refused == refused
        assert len(journal.ends) == (4 if refused else 3)


AGAIN = {
    "OpenAI": raw(openai_error("slow down", "rate_limit_exceeded"), 429),
    "OpenAI, with 200": raw(openai_error("slow down", "rate_limit_exceeded")),
    "Azure": raw(openai_error("busy", "503"), 503),
    "OpenRouter, with 200": raw(
        {"id": None, "choices": None, "error": {"message": "Provider returned error", "code": 429}}
    ),
    "OpenRouter, in a choice": raw(
        {
            **body("", usage=None),
            "choices": [{"message": {"content": ""}, "error": {"code": 502, "message": "bad gateway"}}],
        }
    ),
    "OpenRouter, in a stream": events(
        chunk({"content": "{"}), chunk({}, "error", error={"code": 504, "message": "late"}), mark=False
    ),
    "Gemini": raw([{"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED"}}], 429),
    "Ollama, with 200": raw({"error": "llama runner process is overloaded, try again"}),
    "Gemini, with 200": raw([{"error": {"message": "try again", "status": "UNAVAILABLE"}}]),
    "Anthropic": raw({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 529),
    "Anthropic, in a stream": raw(
        events(chunk({"content": TEXT[:4]}), mark=False).body
        + b'\n\nevent: error\ndata: {"type": "error", "error": {"type": "overloaded_error"}}\n'
    ),
    "Anthropic, with 200": raw(
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    ),
    "vLLM, with 200": raw(
        {"object": "error", "message": "engine is dead", "type": "InternalServerError", "code": 500}
    ),
    "a word, with 200": raw({"error": "Too Many Requests"}),
    "a gateway's page": raw(b"<html><title>502 Bad Gateway</title></html>", 502, "text/html"),
}


@pytest.mark.parametrize("form", AGAIN)
def test_what_may_pass_is_asked_again_whatever_the_status(form):
    choices, journal, _ = run(lambda n, _: AGAIN[form] if n < 3 else raw(body(TEXT)))
    assert choices[0].text == TEXT
    assert [end.retried for end in journal.ends[:-1]] == [True] * 3
    assert not any(end.paid for end in journal.ends[:-1])


FATAL = {
    "OpenAI": (raw(openai_error("Incorrect API key", "invalid_api_key"), 401), "Incorrect API key"),
    "OpenAI, with 200": (raw(openai_error("Incorrect API key", "invalid_api_key")), "is not accepted"),
    "OpenRouter, with 200": (raw({"error": {"message": "More credits", "code": 402}}), "no credit left"),
    "OpenRouter, code as a text": (raw({"error": {"message": "no", "code": "403"}}), "may not do this"),
    "LM Studio": (raw({"error": {"message": "gone", "code": 404}}), "no such address"),
    "Gemini": (raw([{"error": {"message": "no access", "status": "PERMISSION_DENIED"}}]), "may not do this"),
    "Anthropic": (
        raw({"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}),
        "invalid x-api-key",
    ),
    "a word, with 200": (raw({"error": "Invalid API key"}), "is not accepted"),
    "Mistral": (raw({"message": "Unauthorized", "request_id": "r1"}, 401), "Unauthorized"),
}


@pytest.mark.parametrize("form", FATAL)
def test_what_does_not_pass_ends_the_run_with_the_servers_words(form):
    sent, words = FATAL[form]
    failure, journal, _ = run(lambda *_: sent)
    assert isinstance(failure, FatalError)
    assert words in str(failure)
    assert [end.paid for end in journal.ends] == [False]


# What is no answer, the words for it, and whether tokens were reported, so that it may be paid for.
NOTHING = {
    "an address that is not there": (
        raw({"error": "There is nothing at this address (/chat/completions)"}),
        "There is nothing at this address (/chat/completions)",
        False,
    ),
    "a login page": (
        raw(b"<!DOCTYPE html><title>Log in</title>", kind="text/html"),
        "a web page came",
        False,
    ),
    "no choices": (raw(body(TEXT, usage=None) | {"choices": []}), "has no choices", False),
    "no choices, with tokens": (raw(body(TEXT) | {"choices": []}), "has no choices", True),
    "a stream that breaks off": (
        events(chunk({"content": TEXT[:4]}), mark=False),
        "cannot be read (the event stream breaks off); it begins 'data: {",
        False,
    ),
    "an empty body": (raw(b""), "cannot be read", False),
    "null": (raw(None), "is no completion", False),
    "a text": (raw(b"upstream timed out", kind="text/plain"), "it begins 'upstream timed out'", False),
    "a list of words": (raw([]), "is no completion", False),
    "success is false": (
        raw({"success": False, "errors": [{"code": 7003, "message": "No route"}]}),
        "No route",
        False,
    ),
    "MiniMax": (raw({"base_resp": {"status_code": 1004, "status_msg": "login fail"}}), "login fail", False),
}


@pytest.mark.parametrize("form", NOTHING)
def test_what_is_no_answer_is_kept_with_its_words_and_is_an_end_after_three(form):
    sent, words, paid = NOTHING[form]

    async def until_it_ends(model, journal):
        for i in range(5):
            try:
                await model.ask(call(item=f"f{i}"), journal)
            except UnansweredError as error:
                assert words in error.reason

    failure, journal, _ = run(lambda *_: sent, until_it_ends)
    assert isinstance(failure, FatalError)
    assert words in str(failure)
    assert all(words in end.message and end.paid == paid for end in journal.ends)
    assert len(journal.ends) in (3, 6)


def test_a_text_that_is_a_thought_without_an_end_is_kept_and_not_read():
    draft = {"content": "", "reasoning_content": f"Perhaps {TEXT}? But"}
    usage = {**USAGE, "completion_tokens": 600, "completion_tokens_details": {"reasoning_tokens": 600}}
    choices, _, _ = run(lambda *_: raw(body(draft, "length", usage)))
    assert choices[0].text == f"<think>Perhaps {TEXT}? But"
    assert choices[0].ended == "ended at --max-tokens (600 of 600 spent on reasoning)"
    form = Form((Key("a", "number", ("a",), low=0.0, high=9.0),))
    assert read_choice(form, choices[0]) == {"status": "unreadable"}


LONG = "litellm.BadRequestError: " + "upstream said no. " * 60
# Refusals of a parameter in the forms in which servers give them.
TAUGHT = {
    "a list": ([{"error": {"code": 400, "message": 'Unknown name "seed": there is no such field.'}}], "seed"),
    "Mistral": (
        {
            "detail": [
                {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}
            ]
        },
        "seed",
    ),
    "late in a long message": (openai_error(f"{LONG}Unsupported parameter: 'top_p'. {LONG}"), "top_p"),
    "plain text": (b"error: unknown field seed", "seed"),
    "a quoted error within": (openai_error(json.dumps(openai_error("'seed' is not supported"))), "seed"),
    "with 200": (openai_error("Unrecognized request argument supplied: seed", 400), "seed"),
    "detail, as a bad value": (openai_error("Invalid value for image_url.detail"), "detail"),
    "detail": (openai_error("messages.0.image_url.detail: Extra inputs are not permitted"), "detail"),
}


@pytest.mark.parametrize("form", TAUGHT)
def test_a_parameter_that_is_not_taken_is_learned_wherever_it_is_named(form):
    words, name = TAUGHT[form]

    def script(_, asked):
        content = asked["messages"][-1]["content"]
        picture = next(part["image_url"] for part in content if part["type"] == "image_url")
        return (
            raw(words, 200 if form == "with 200" else 400)
            if name in {**asked, **picture}
            else raw(body(TEXT))
        )

    choices, journal, _ = run(script)
    assert choices[0].text == TEXT
    assert len(journal.ends) == 2


def test_of_a_long_message_beginning_and_end_are_shown():
    words = f"It failed. {LONG} The field 'colour' is unknown."
    failure, journal, _ = run(lambda *_: raw(openai_error(words), 400))
    assert failure.reason.startswith("400: It failed. litellm.BadRequestError")
    assert failure.reason.endswith("The field 'colour' is unknown.")
    assert len(journal.ends[0].message) < 320


@pytest.mark.parametrize("word", ["image ", "image_", "invalid_", "not read ", "violates ", "a_", "'"])
def test_words_of_any_length_are_looked_through_at_once(word):
    started = time.monotonic()
    refusal = refusal_of(400, {"error": {"message": word * 5_000}})
    assert not refusal.of_picture
    assert Dialect().adapt(refusal.words, 3, Settings("m")) is None
    assert time.monotonic() - started < 2


def test_an_empty_answer_is_kept_with_the_beginning_of_its_body():
    somewhere = {"content": None, "audio": {"transcript": TEXT}}
    _, journal, _ = run(lambda *_: raw(body(somewhere)))
    assert journal.ends[0].note.startswith('the answer is empty; it begins \'{ "id": "x"')
    _, journal, _ = run(lambda *_: raw(body(TEXT)))
    assert journal.ends[0].note == ""


def test_pictures_that_are_not_taken_at_all_are_no_matter_of_one_picture():
    for words in (
        "Invalid content type. image_url is only supported by certain models.",
        "image input is not supported - hint: you may need to provide the mmproj",
        'Cannot read "image.png" (this model does not support image input)',
    ):

        async def some(model, journal):
            for i in range(5):
                try:
                    await model.ask(call(item=f"f{i}"), journal)
                except UnansweredError:
                    continue

        failure, _, server = run(lambda *_, words=words: raw(openai_error(words), 400), some)
        assert isinstance(failure, FatalError)
        assert "refuses every request" in str(failure)
        assert len(server.seen) == 3


def test_a_setting_that_nobody_asked_for_need_not_be_taken():
    from server import Server
    from test_client import Account

    from seke.vision.client import Endpoint

    def script(_, asked):
        words = "'temperature' does not support 0.0. Only the default (1) value is supported."
        return raw(openai_error(words), 400) if "temperature" in asked else raw(body(TEXT))

    async def go(**options):
        async with (
            Server(script) as server,
            Endpoint(Settings("made-up", temperature=0.0), base_url=server.url, **options) as model,
        ):
            return await model.ask(call(), Account())

    assert asyncio.run(go(free=("temperature",)))[0].text == TEXT
    with pytest.raises(UnansweredError, match="does not support"):
        asyncio.run(go())
    assert SCHEMA["required"] == ["a"]


@pytest.mark.parametrize(
    ("headers", "details", "wait"),
    [
        ({}, [{"@type": "x"}, RETRY_INFO], 39),
        ({}, [{**RETRY_INFO, "retryDelay": "0.5s"}], 0.5),
        ({}, [{**RETRY_INFO, "retryDelay": "900s"}], 60),
        ({}, [{**RETRY_INFO, "retryDelay": "soon"}], None),
        ({}, [{**RETRY_INFO, "retryDelay": 39}], None),
        ({"retry-after": "3"}, [RETRY_INFO], 3),
        ({}, "none", None),
    ],
)
def test_the_wait_that_the_body_of_an_error_asks_for_is_kept(headers, details, wait):
    described = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "", "details": details}}
    for value in (described, [described]):
        assert refusal_of(429, value, headers=headers).wait == wait


HOSTILE_TEXTS = {
    "lists": "[" * 100_000,
    "closed lists": "[" * 50_000 + "]" * 50_000,
    "objects": '{"a":' * 100_000,
    "closed objects": '{"a":' * 900 + "1" + "}" * 900,
    "digits": "1" * 1_000_000,
    "a number": '{"valence": ' + "1" * 90_000 + "}",
}


@pytest.mark.parametrize("name", HOSTILE_TEXTS)
def test_a_text_that_is_deep_or_long_is_an_answer_that_cannot_be_read(name):
    text = HOSTILE_TEXTS[name]
    choices, journal, _ = run(lambda *_: raw(body(text)))
    assert choices[0].text == text[:LONGEST]
    assert len(journal.ends) == 1
    request = Request("a", "gpt-4o", "joint", None, "face", 0, 1)
    assert Questions(seke.knowledge()).read(request, choices[0])["status"] == "unreadable"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b'{"choices": [{"message": {"content": ' + b"[" * 90_000, "is nested too deeply"),
        (b'{"choices": [{"message": {"content": ' + b"[" * 110_000, "has more than 100,000 values"),
        (b"[" * 90_000, "is nested too deeply"),
        (b"1" * 1_000_000, "the answer is no completion"),
    ],
)
def test_a_body_that_is_deep_or_long_is_no_answer_and_says_how_it_begins(value, words):
    failure, journal, _ = run(lambda *_: raw(value))
    assert words in str(failure)
    assert "it begins" in str(failure)
    assert len(journal.rows) == 2


def test_a_number_of_any_length_is_kept_and_undoes_nothing():
    digits = b"7" * 5000
    sent = b'{"choices": [{"message": {"content": %s}}], "usage": {"prompt_tokens": %s}}' % (digits, digits)
    reply = reply_of(sent, (0,))
    assert reply.choices[0].text == digits.decode()


def test_tokens_of_a_body_that_cannot_be_read_may_be_paid_for():
    usage = b'{"usage": {"completion_tokens": %d}, "choices": ' + b"[" * 60_000
    assert [unread(usage % tokens).paid for tokens in (50, 0)] == [True, False]
