"""The body of a chat completion -> a reply. The body is untrusted: every field is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seke.vision.http_bodies import decoded_json
from seke.vision.messages import Choice, Reply

if TYPE_CHECKING:
    from seke.vision.prices import Prices

# Characters of an answer; what is longer is cut.
LONGEST = 200_000
OVERSIZED = "oversized"
MALFORMED = "malformed"


def reply_of(
    body: bytes, draws: tuple[int, ...], prices: Prices | None = None, seconds: float = 0.0
) -> Reply | None:
    """Return the reply to a request for these draws; None where the body is no chat completion.

    Choices beyond those that were asked for are not looked at.
    """
    try:
        decoded = decoded_json(body)
    except ValueError:
        return None
    return reply_from(decoded, draws, prices, seconds)


def reply_from(
    decoded: Any, draws: tuple[int, ...], prices: Prices | None = None, seconds: float = 0.0
) -> Reply | None:
    """Return the reply that a decoded body holds; None where it is no chat completion."""
    if (
        not isinstance(decoded, dict)
        or not isinstance(decoded.get("choices"), list)
        or not decoded["choices"]
    ):
        return None
    choices = tuple(
        _choice(draw, raw_choice) for draw, raw_choice in zip(draws, decoded["choices"], strict=False)
    )
    usage = decoded["usage"] if isinstance(decoded.get("usage"), dict) else {}
    details = usage.get("prompt_tokens_details")
    prompt, answer = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    price = None
    if prices is not None and prompt is not None and answer is not None:
        price = prices.of(prompt, min(cached or 0, prompt), answer)
    texts = (_text(decoded.get(key)) for key in ("model", "system_fingerprint", "id"))
    model, fingerprint, identity = texts
    return Reply(choices, model or "", fingerprint, identity, prompt, answer, cached, price, seconds)


def is_json(text: str) -> bool:
    """Return whether a text is one JSON object."""
    try:
        return isinstance(decoded_json(text.encode("utf-8", "replace")), dict)
    except ValueError:
        return False


def _choice(draw: int, raw_choice: Any) -> Choice:
    message = raw_choice.get("message") if isinstance(raw_choice, dict) else None
    if not isinstance(message, dict):
        return Choice(draw, "", MALFORMED)
    finish = _text(raw_choice.get("finish_reason")) or ""
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(part for part in parts if isinstance(part, str))
    text = content if isinstance(content, str) else ""
    refusal = message.get("refusal")
    if len(text) > LONGEST:
        text, finish = text[:LONGEST], OVERSIZED
    # A lone half of a pair of code units cannot be stored; it was no answer anyway.
    text = text.encode("utf-8", "replace").decode("utf-8")
    return Choice(draw, text, finish, _text(refusal) if isinstance(refusal, str) and refusal else None)


def _text(value: Any) -> str | None:
    return value[:500].encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40 else None
