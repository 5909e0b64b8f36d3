"""The body of an answer -> what it holds as JSON, also where it came as a stream of events.

A stream is server-sent events (WHATWG HTML, 9.2), each with a part of a completion, or with the whole. Some
servers send one that nobody asked for, or end a body of JSON with its mark.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from seke.vision.http_bodies import VALUE_LIMIT, decoded_json
from seke.vision.native_bodies import as_completion

if TYPE_CHECKING:
    from collections.abc import Iterator

    Record = dict[str, Any]

END = b"[DONE]"
BLANK = re.compile(rb"\r?\n[ \t]*\r?\n")
# Lines of an event that are no data: its fields, and comments, with which servers keep a connection open.
FIELD = re.compile(rb"(event|id|retry) *:|:")
# Fields of a message whose parts are joined.
JOINED = ("content", "reasoning_content", "reasoning", "refusal")


def decoded_body(body: bytes) -> Any:
    """Return what a body stands for: JSON, or a completion that came in events.

    Raises:
        ValueError: it is neither, or a stream that breaks off.
    """
    try:
        return as_completion(decoded_json(_without_mark(body)))
    except ValueError:
        if body.count(b"\n") > VALUE_LIMIT:
            raise
        events = list(map(as_completion, _events(body)))
    if not events:
        raise ValueError("no JSON")
    if len(events) == 1 and not _deltas(events[0]):
        return events[0]
    merged = _merged(events)
    ended = _data(body.rstrip().rpartition(b"\n")[2]) == END or any(
        choice["finish_reason"] for choice in merged["choices"]
    )
    if merged["choices"] and not ended and not merged.get("error"):
        raise ValueError("the event stream breaks off")
    return merged


def _without_mark(body: bytes) -> bytes:
    """Return a body without the mark of a stream's end."""
    stripped = body.rstrip()
    return stripped.removesuffix(END).rstrip().removesuffix(b"data:") if stripped.endswith(END) else body


def _data(line: bytes) -> bytes:
    """Return the data of a line of an event."""
    return line.strip().removeprefix(b"data:").strip()


def _events(body: bytes) -> Iterator[Any]:
    """Yield what each event of a stream stands for.

    Raises:
        ValueError: the data of an event are no JSON.
    """
    for block in BLANK.split(body.removeprefix(b"\xef\xbb\xbf")):
        stripped = (line.strip() for line in block.splitlines())
        lines = [_data(line) for line in stripped if not FIELD.match(line)]
        lines = [line for line in lines if line and line != END]
        try:
            # An event may have several lines of data; servers send several events without a line between.
            yield from [decoded_json(b"\n".join(lines))] if lines else ()
        except ValueError:
            yield from map(decoded_json, lines)


def _deltas(event: Any) -> bool:
    """Whether an event has parts of choices."""
    choices = event.get("choices") if isinstance(event, dict) else None
    return isinstance(choices, list) and any(
        isinstance(choice, dict) and isinstance(choice.get("delta"), dict) for choice in choices
    )


def _merged(events: list[Any]) -> Record:
    """Return the completion whose parts came in events."""
    merged: Record = {}
    by_index: dict[int, Record] = {}
    counts: Record = {}
    for event in events:
        if not isinstance(event, dict):
            raise ValueError("an event is no object")
        merged |= {name: value for name, value in event.items() if value not in (None, "", [])}
        # Some servers tell the tokens of the prompt first and those of the answer last.
        counts |= event["usage"] if isinstance(event.get("usage"), dict) else {}
        choices = event.get("choices")
        for place, choice in enumerate(choices if isinstance(choices, list) else ()):
            if isinstance(choice, dict):
                index = choice.get("index")
                _add_part(
                    by_index.setdefault(index if isinstance(index, int) else place, _empty_choice()), choice
                )
    if merged.get("error"):
        # What came before it is no answer.
        for choice in by_index.values():
            choice["finish_reason"] = choice["finish_reason"] or "error"
    return {
        **merged,
        "usage": counts,
        "choices": [_whole_choice(by_index[index]) for index in sorted(by_index)],
    }


def _empty_choice() -> Record:
    return {"message": {}, "finish_reason": None, "parts": {name: [] for name in (*JOINED, "arguments")}}


def _add_part(choice: Record, part: Record) -> None:
    """Add a part of a choice to its parts, which are joined at the end."""
    choice["finish_reason"] = part.get("finish_reason") or choice["finish_reason"]
    if part.get("error"):
        choice["error"] = part["error"]
    delta, parts = part.get("delta") or part.get("message"), choice["parts"]
    if not isinstance(delta, dict):
        return
    for name in JOINED:
        value = delta.get(name)
        parts[name] += value if isinstance(value, list) else [value] if value else []
    calls = delta.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and call.get("index") in (None, 0):
            arguments = function.get("arguments")
            parts["arguments"].append(json.dumps(arguments) if isinstance(arguments, dict) else arguments)


def _whole_choice(choice: Record) -> Record:
    """Return a choice with its parts joined."""
    parts = choice.pop("parts")
    message: Record = {name: joined_text(values) for name, values in parts.items() if values}
    if "arguments" in message:
        message["tool_calls"] = [{"function": {"arguments": message.pop("arguments")}}]
    return {**choice, "message": message}


def joined_text(parts: list[Any]) -> str:
    """Return the text of an answer's parts, each a text or an object with one."""
    texts = (part.get("text") if isinstance(part, dict) else part for part in parts)
    return "".join(text for text in texts if isinstance(text, str))
