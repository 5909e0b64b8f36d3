"""The body of a chat completion -> a reply, or the error that it is.

The body is untrusted: every field is checked.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from seke.vision.event_streams import decoded_body, joined_text
from seke.vision.http_bodies import decoded_json, quoted_beginning
from seke.vision.messages import Choice, Reply, ended_in_words
from seke.vision.native_bodies import as_completion
from seke.vision.server_errors import Refusal, error_in

if TYPE_CHECKING:
    from seke.vision.prices import Prices

    Record = dict[str, Any]

# Tokens in a body that cannot be read.
TOKENS = re.compile(rb'"(?:prompt|input|completion|output|total)_tokens"\s*:\s*"?[1-9]')
# Characters of an answer; what is longer is cut.
LONGEST = 200_000
# Characters of other texts of a reply, such as the name of its model.
LONGEST_FIELD = 500
# Most tokens of a request that are believed.
MOST_TOKENS = 2**40
OVERSIZED = "oversized"
MALFORMED = "malformed"
# Of a choice that stands for a refusal by the server, not by the model.
REFUSED = "refused"
# How a choice ends that its server could not complete.
FAILED = "error"
# Where servers put a text when the declared place is empty: what a model thought, with or without its answer.
THOUGHTS = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
# Begins a text that is a thought without its end; what it drafts is no answer.
UNFINISHED = "<think>"


def reply_of(
    body: bytes, draws: tuple[int, ...], prices: Prices | None = None, seconds: float = 0.0
) -> Reply | Refusal | None:
    """Return the reply to a request for these draws, or the error in its place; None where it is neither.

    Choices beyond those that were asked for are not looked at.
    """
    try:
        decoded = decoded_body(body)
    except ValueError:
        return None
    return noted(reply_from(decoded, draws, prices, seconds), body)


def reply_from(
    decoded: Any, draws: tuple[int, ...], prices: Prices | None = None, seconds: float = 0.0
) -> Reply | Refusal | None:
    """Return the reply that a decoded body holds, or its error; None where it is neither."""
    decoded = as_completion(decoded)
    if not isinstance(decoded, dict):
        return error_in(decoded)
    raw_choices = decoded.get("choices")
    listed = raw_choices if isinstance(raw_choices, list) else []
    answered = [choice for choice in listed if _choice_error(choice) is None]
    if not answered:
        errors = (_choice_error(choice) for choice in listed)
        error = next(filter(None, map(error_in, errors)), None) or error_in(decoded) or _blocked(decoded)
        return error and replace(error, paid=any(token_counts(decoded)))
    prompt, answer, cached, reasoning = token_counts(decoded)
    ended = ended_in_words(answer, reasoning)
    choices = tuple(
        _choice(draw, raw_choice, ended) for draw, raw_choice in zip(draws, answered, strict=False)
    )
    price = None
    if prices is not None and prompt is not None and answer is not None:
        price = prices.of(prompt, min(cached or 0, prompt), answer)
    model, fingerprint, identity = (_text(decoded.get(key)) for key in ("model", "system_fingerprint", "id"))
    tokens = prompt, answer, cached
    return Reply(choices, model or "", fingerprint, identity, *tokens, price, seconds, reasoning)


def noted(result: Reply | Refusal | None, body: bytes) -> Reply | Refusal | None:
    """Return what a body holds; a reply whose texts are all empty says so, and how its body begins."""
    if not isinstance(result, Reply) or any(c.text.strip() or c.refused for c in result.choices):
        return result
    reason = result.choices[0].ended or "the answer is empty"
    return replace(result, note=f"{reason}{quoted_beginning(body)}")


def refused_reply(refusal: Refusal, draws: tuple[int, ...], seconds: float = 0.0) -> Reply:
    """Return the reply in which each draw is refused, at no cost unless tokens were reported."""
    words = _text(refusal.reason) or REFUSED
    price = None if refusal.paid else 0.0
    return Reply(tuple(Choice(draw, "", REFUSED, words) for draw in draws), "", price=price, seconds=seconds)


def token_counts(decoded: Any) -> tuple[int | None, int | None, int | None, int | None]:
    """Return the tokens of prompt and answer that a body reports, and of these the cached and reasoned ones.

    Some servers count what a model thought only in the total, or beside the answer.
    """
    usage = _mapping(decoded.get("usage") if isinstance(decoded, dict) else None)
    prompt, answer = (
        _first_count(usage, names)
        for names in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
    )
    total = _count(usage.get("total_tokens"))
    details = _mapping(usage.get("completion_tokens_details") or usage.get("output_tokens_details"))
    reasoning = _first_count({**usage, **details}, ("reasoning_tokens",))
    cached = _count(_mapping(usage.get("prompt_tokens_details")).get("cached_tokens"))
    if answer is not None and reasoning is not None and reasoning > answer:
        answer += reasoning
    if total is not None and prompt is not None:
        answer = max(answer or 0, total - prompt)
    if total is not None and prompt is None and answer is not None:
        prompt = max(total - answer, 0)
    return prompt, answer, cached, reasoning


def no_answer(body: bytes) -> str:
    """Return in words what a body is that is neither an answer nor an error."""
    beginning = body[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if beginning.startswith((b"<!doctype", b"<html", b"<head", b"<body")):
        return "a web page came in place of an answer (is --base-url right?)"
    try:
        decoded = decoded_body(body)
    except json.JSONDecodeError:
        return "the answer cannot be read"
    except ValueError as fault:
        return f"the answer cannot be read ({fault})"
    if not isinstance(decoded, dict):
        return "the answer is no completion"
    return "the answer ended with an error" if decoded.get("choices") else "the answer has no choices"


def has_tokens(body: bytes) -> bool:
    """Return whether a body reports tokens, so that it may be paid for."""
    try:
        return any(token_counts(decoded_body(body)))
    except ValueError:
        return TOKENS.search(body) is not None


def is_json(text: str) -> bool:
    """Return whether a text is one JSON object."""
    try:
        return isinstance(decoded_json(text.encode("utf-8", "replace")), dict)
    except ValueError:
        return False


def _choice_error(raw_choice: Any) -> Any:
    """Return the error in place of a choice, or of its message; None where there is none."""
    choice, message = _mapping(raw_choice), _mapping(_mapping(raw_choice).get("message"))
    error = choice.get("error") or message.get("error")
    # What came before an answer ended so is no answer.
    ended = choice.get("finish_reason") == FAILED
    return {"error": error} if ended or (error and not _answer_text(message)) else None


def _blocked(decoded: Record) -> Refusal | None:
    """Return the refusal of a prompt that a filter stopped before a model saw it."""
    for name in ("promptFeedback", "prompt_feedback"):
        feedback = _mapping(decoded.get(name))
        reason = feedback.get("blockReason") or feedback.get("block_reason")
        if reason:
            return Refusal(
                0, f"the prompt was blocked ({_text(reason) or 'no reason given'})", "content_filter"
            )
    return None


def _choice(draw: int, raw_choice: Any, ended: str) -> Choice:
    """Return a choice; ended: in words, that it ended for its length."""
    choice = _mapping(raw_choice)
    message = choice.get("message", choice.get("delta"))
    finish = _text(choice.get("finish_reason")) or ""
    if isinstance(message, str) or isinstance(choice.get("text"), str):
        message = {"content": message if isinstance(message, str) else choice["text"]}
    if not isinstance(message, dict):
        return Choice(draw, "", finish if Choice(draw, "", finish).refused else MALFORMED)
    text = _answer_text(message)
    if not text.strip():
        text = next(filter(str.strip, (_content(message.get(name)) for name in THOUGHTS)), text)
        unfinished = text and Choice(draw, "", finish).cut
        text = f"{UNFINISHED}{text}" if unfinished else text
    refusal = message.get("refusal")
    if len(text) > LONGEST:
        text, finish = text[:LONGEST], OVERSIZED
    # A lone half of a pair of code units cannot be stored; it was no answer anyway.
    text = text.encode("utf-8", "replace").decode("utf-8")
    words = _text(refusal) if isinstance(refusal, str) and refusal else None
    return Choice(draw, text, finish, words, ended if Choice(draw, "", finish).cut else "")


def _answer_text(message: Record) -> str:
    """Return the text of an answer: the content, else the arguments of a call of a tool."""
    text = _content(message.get("content"))
    if text.strip():
        return text
    calls = message.get("tool_calls")
    functions = [_mapping(call).get("function") for call in (calls if isinstance(calls, list) else ())]
    arguments = (
        _mapping(function).get("arguments") for function in (*functions, message.get("function_call"))
    )
    return next(filter(str.strip, map(_content, arguments)), text)


def _content(value: Any) -> str:
    """Return a content as a text: a value as JSON, parts joined."""
    if isinstance(value, str) or value is None:
        return value or ""
    joined = joined_text(value) if isinstance(value, list) else ""
    of_parts = isinstance(value, list) and (not value or any("type" in _mapping(part) for part in value))
    if joined or of_parts:
        return joined
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return ""


def _mapping(value: Any) -> Record:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return (
        value[:LONGEST_FIELD].encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else None
    )


def _first_count(usage: Record, names: tuple[str, ...]) -> int | None:
    return next((count for name in names if (count := _count(usage.get(name))) is not None), None)


def _count(value: Any) -> int | None:
    """Return a number of tokens, also one that is written as a float or a text; None where it is none."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST_TOKENS:
        return None
    return math.ceil(value)
