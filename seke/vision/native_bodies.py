"""Bodies in the own forms of Ollama, Anthropic and Gemini -> the completion that they stand for.

A server, or what stands before it, may answer in these though it was asked for a chat completion:

    Ollama (docs/api.md)             {"message": {"content": ...}, "done": true, "eval_count": ...}
    Anthropic (Messages API)         {"type": "message", "content": [{"type": "text", "text": ...}], ...}
    Gemini (generateContent)         {"candidates": [{"content": {"parts": [{"text": ...}]}}], ...}

Parts of their streams become parts of a completion. Their errors are read by `server_errors`.
"""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]

# How these servers say that an answer came to its own end.
ENDS = dict.fromkeys(("end_turn", "stop_sequence", "tool_use", "STOP"), "stop")
# Events of Anthropic's streams that tell nothing of the answer.
EMPTY_EVENTS = ("ping", "content_block_start", "content_block_stop", "message_stop")


def as_completion(body: Any) -> Any:
    """Return the completion, or the part of one, that a decoded body stands for; any other as it is."""
    if not isinstance(body, dict) or "choices" in body or body.get("error"):
        return body
    kind = body.get("type")
    if isinstance(body.get("candidates"), list):
        return _of_gemini(body)
    if kind == "message" and isinstance(body.get("content"), list):
        return _of_anthropic(body)
    if kind in ("message_start", "message_delta", "content_block_delta", *EMPTY_EVENTS):
        return _of_anthropic_event(body, str(kind))
    if "done" in body and (isinstance(body.get("message"), dict) or isinstance(body.get("response"), str)):
        return _of_ollama(body)
    return body


def _completion(body: Record, message: Record, finish: Any, usage: Record) -> Record:
    choice = {"index": 0, "message": message, "finish_reason": ENDS.get(str(finish), finish)}
    names: Record = {name: body[name] for name in ("model", "id") if name in body}
    return {**names, "choices": [choice], "usage": {name: n for name, n in usage.items() if n is not None}}


def _of_ollama(body: Record) -> Record:
    answer = body["message"] if isinstance(body.get("message"), dict) else body
    text = answer.get("content", answer.get("response"))
    message = {"content": text, "reasoning": answer.get("thinking"), "tool_calls": answer.get("tool_calls")}
    usage = {"prompt_tokens": body.get("prompt_eval_count"), "completion_tokens": body.get("eval_count")}
    return _completion(body, message, body.get("done_reason") or ("stop" if body["done"] else None), usage)


def _of_anthropic(body: Record) -> Record:
    parts = [part for part in body["content"] if isinstance(part, dict)]
    message: Record = {
        "content": [part for part in parts if part.get("type") == "text"],
        "reasoning": "".join(str(part["thinking"]) for part in parts if "thinking" in part),
    }
    calls = [{"function": {"arguments": part["input"]}} for part in parts if "input" in part]
    message |= {"tool_calls": calls} if calls else {}
    return _completion(body, message, body.get("stop_reason"), _usage_of_anthropic(body.get("usage")))


def _of_anthropic_event(body: Record, kind: str) -> Record:
    if kind == "message_start":
        return dict(as_completion(body["message"])) if isinstance(body.get("message"), dict) else {}
    delta = body.get("delta")
    if kind in EMPTY_EVENTS or not isinstance(delta, dict):
        return {}
    message = {"content": delta.get("text"), "reasoning": delta.get("thinking")}
    if "partial_json" in delta:
        message["tool_calls"] = [{"function": {"arguments": delta["partial_json"]}}]
    return _completion({}, message, delta.get("stop_reason"), _usage_of_anthropic(body.get("usage")))


def _usage_of_anthropic(usage: Any) -> Record:
    """Return tokens under the names of a completion: those of the prompt that were cached count apart."""
    if not isinstance(usage, dict):
        return {}
    cached = usage.get("cache_read_input_tokens")
    parts = [usage.get(name) for name in ("input_tokens", "cache_creation_input_tokens")] + [cached]
    prompt = sum(part for part in parts if isinstance(part, int)) if "input_tokens" in usage else None
    details = {"cached_tokens": cached} if isinstance(cached, int) else None
    tokens = {"prompt_tokens": prompt, "completion_tokens": usage.get("output_tokens")}
    return {**tokens, "prompt_tokens_details": details}


def _of_gemini(body: Record) -> Record:
    usage = body.get("usageMetadata")
    usage = usage if isinstance(usage, dict) else {}
    tokens = {
        "prompt_tokens": usage.get("promptTokenCount"),
        "completion_tokens": usage.get("candidatesTokenCount"),
        "total_tokens": usage.get("totalTokenCount"),
        "reasoning_tokens": usage.get("thoughtsTokenCount"),
    }
    choices: list[Record] = []
    for candidate in body["candidates"]:
        content = candidate.get("content") if isinstance(candidate, dict) else None
        parts = content.get("parts") if isinstance(content, dict) else None
        texts = [part for part in (parts if isinstance(parts, list) else ()) if isinstance(part, dict)]
        message = {
            "content": [part for part in texts if not part.get("thought")],
            "reasoning": [part for part in texts if part.get("thought")],
        }
        finish = candidate.get("finishReason") if isinstance(candidate, dict) else None
        choices += _completion({}, message, finish, {})["choices"]
    names = {"model": body.get("modelVersion"), "id": body.get("responseId")}
    feedback = {name: body[name] for name in ("promptFeedback",) if name in body}
    return {
        **names,
        **feedback,
        "choices": choices,
        "usage": {k: n for k, n in tokens.items() if n is not None},
    }
