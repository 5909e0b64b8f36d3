"""Refusals of servers: the reason, and how long to wait."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_WAIT = 60.0
# Letters of a server's message that are shown: its beginning and its end, where gateways repeat the reason.
LONGEST_MESSAGE, SHOWN_END = 300, 120
# Letters of a message in which parameters are looked for that a server does not take.
LONGEST_WORDS = 20_000
NO_MONEY = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance")
# Of lines of a batch.
PASSING = ("batch_expired", "batch_cancelled")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
# Where bodies have the description of an error, and its words; nested at most so deeply.
HOLDERS = ("error", "errors", "detail", "base_resp")
TEXTS = ("message", "msg", "status_msg", "error_msg", "error_message", "error_description", "detail", "error")
KINDS = ("code", "type", "status", "reason", "innererror", "error_code", "status_code", "param")
DEEPEST = 6
# HTTP status of errors that are named instead: google.rpc.Code (googleapis, google/rpc/code.proto), the
# errors of Anthropic's and of OpenAI's API references.
STATUSES = {
    **dict.fromkeys(("unauthenticated", "authentication_error", "invalid_api_key"), 401),
    **dict.fromkeys(("billing_error", "insufficient_credits"), 402),
    **dict.fromkeys(("permission_denied", "permission_error"), 403),
    **dict.fromkeys(("not_found", "not_found_error", "model_not_found"), 404),
    **dict.fromkeys(("resource_exhausted", "rate_limit_error", "rate_limit_exceeded", "rate_limited"), 429),
    **dict.fromkeys(
        ("internal", "internal_error", "internal_server_error", "api_error", "server_error"), 500
    ),
    **dict.fromkeys(("unavailable", "service_unavailable", "overloaded", "overloaded_error"), 503),
    **dict.fromkeys(("deadline_exceeded", "timeout", "timeout_error", "gateway_timeout"), 504),
    **dict.fromkeys(("invalid_argument", "invalid_request_error", "bad_request"), 400),
}
# Words of errors with a status of 200 that name neither a status nor a kind.
WORDS = (
    (re.compile(r"too many requests|rate limit|\bqps\b", re.IGNORECASE), 429),
    (
        re.compile(r"overloaded|try again|unavailable|internal (server )?error|timed? ?out", re.IGNORECASE),
        503,
    ),
    (re.compile(r"unauthori[sz]ed|(invalid|incorrect) api[ -]?key", re.IGNORECASE), 401),
    (re.compile(r"insufficient (balance|quota|credit)", re.IGNORECASE), 402),
)
# Words by which servers name their filters: in a code, a finish_reason, a message; `_` is a space in all.
FILTERED = re.compile(
    r"content[ -]?(filter|polic|management polic|moderat)|responsible ?ai|usage polic"
    r"|violat\w* .{0,40}(polic|guideline|terms)|\bnsfw\b|unsafe|explicit content|敏感|不安全|违规"
    r"|safety[ -](system|filter|reason|check)|^(image )?safety$|prohibited ?content|blocklist|\bspii\b"
    r"|moderation|\bflagged\b|inappropriate|data ?inspection|^sensitive$|sensitive (content|information|word)"
    r"|guardrail|toxic|harmful|prompt was blocked|recitation|^refus|\brefusal\b",
    re.IGNORECASE,
)
# Words for a picture that cannot be taken, and for pictures that are not taken at all.
BAD_PICTURE = re.compile(
    r"\b(invalid|corrupt\w*|malformed|broken|damaged|empty|unreadable|truncated) ([\w-]+ ){0,2}"
    r"(image|picture)|\bunsupported image\b"
    r"|(not|n't|unable to|fail\w* to|error) (process|decod|load|read|identify|pars|open)\w* .{0,30}"
    r"(image|picture)"
    r"|\b(image|picture)\w* ([\w'-]+ ){0,4}(invalid|corrupt|broken|damaged|too (large|small|big)|exceed"
    r"|dimensions|not valid|not meet|pars\w* error"
    r"|(could|can) ?not be (process|decod|load|read|identif|pars|open))"
    r"|aspect ratio|\bheight\S* .{0,30}width",
    re.IGNORECASE,
)
NO_PICTURES = re.compile(
    r"(not|n't) (currently )?(support|accept|allow|take|have)|only (be )?(supported|accepted)|text[ -]only"
    r"|mmproj|\bdetail\b|image url (is|type)|content type"
    r"|not an? (vision|multi)|unsupported image (input|type|content)",
    re.IGNORECASE,
)
# Status of refusals of one request; a server error may say that it cannot read a picture.
OF_A_REQUEST = (0, 400, 403, 406, 413, 415, 422, 451, 500)


@dataclass(frozen=True)
class Refusal:
    """A server's error in place of an answer.

    code: HTTP status, 0 where it names none. words: all that it says. kind: its own names for the kind. wait:
    for how long it asks to wait, seconds. paid: whether tokens were reported, which may be paid for.
    """

    code: int
    words: str
    kind: str = ""
    wait: float | None = None
    paid: bool = False

    @property
    def message(self) -> str:
        """What it says in a line, of a long text beginning and end."""
        if len(self.words) <= LONGEST_MESSAGE:
            return self.words
        return f"{self.words[: LONGEST_MESSAGE - SHOWN_END]} ... {self.words[-SHOWN_END:]}"

    @property
    def reason(self) -> str:
        """The message with its code, where there is one."""
        return f"{self.code}: {self.message}" if self.code else self.message

    @property
    def spent(self) -> bool:
        """Whether there is no money left in the account."""
        return self.code == 402 or any(word in self.kind for word in NO_MONEY)

    @property
    def fatal(self) -> bool:
        """Whether every other request would be refused as well: key, model, address, money."""
        return self.spent or self.code in (401, 403, 404) or 300 <= self.code < 400

    @property
    def passing(self) -> bool:
        """Whether the same request may be answered later."""
        return self.code in (408, 409, 429) or self.code >= 500 or any(word in self.kind for word in PASSING)

    @property
    def of_picture(self) -> bool:
        """Whether it concerns this picture alone: a filter stopped it, or it cannot be read."""
        if self.code not in OF_A_REQUEST or self.spent:
            return False
        texts = [text.replace("_", " ") for text in (*self.kind.split(), self.words)]
        if any(map(is_filtered, texts)):
            return True
        # A key that may do nothing is no matter of a picture.
        return self.code != 403 and any(map(BAD_PICTURE.search, texts)) and not NO_PICTURES.search(texts[-1])


def is_filtered(text: str) -> bool:
    """Whether a server's word for an end, or for an error, is that of a filter or a refusal."""
    return FILTERED.search(text.replace("_", " ")) is not None


def refusal_of(
    code: int, body: Any, default_message: str = "", headers: Mapping[str, str] | None = None
) -> Refusal:
    """Return the refusal in the body of an error: a mapping, a list of these, or a text.

    code: the HTTP status; 0 where only the body may name one.
    """
    kinds = _kinds(body, DEEPEST)
    # A lone half of a pair of code units can be neither stored nor shown.
    text = (
        (_words(body, DEEPEST) or default_message)[:LONGEST_WORDS].encode("utf-8", "replace").decode("utf-8")
    )
    words = " ".join(text.split()) or "no reason given"
    named = (STATUSES.get(kind.lower()) or _status(kind) for kind in kinds)
    in_words = (status for pattern, status in WORDS if pattern.search(words[:LONGEST_MESSAGE]))
    status = code or next(filter(None, named), None) or next(in_words, 0)
    wait = retry_after(headers or {})
    wait = retry_delay(body, DEEPEST) if wait is None else wait
    return Refusal(status, words, " ".join(kinds)[:LONGEST_MESSAGE], wait)


def error_in(body: Any) -> Refusal | None:
    """Return the error that a decoded body without an answer holds; None where it holds none."""
    if isinstance(body, str):
        return None
    named = isinstance(body, dict) and body.get("error")
    return refusal_of(0, body) if named or _words(body, DEEPEST) else None


def _words(value: Any, depth: int) -> str:
    """Return what the description of an error says."""
    if isinstance(value, str):
        return value.strip()
    if not depth:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_words(part, depth - 1) for part in value[:10])))
    if not isinstance(value, dict):
        return ""
    inner = (value[name] for name in HOLDERS if isinstance(value.get(name), dict | list))
    words = next(filter(None, (_words(part, depth - 1) for part in inner)), "")
    texts = (value[name].strip() for name in TEXTS if isinstance(value.get(name), str))
    words = words or next(filter(None, texts), "")
    # The place of a field that is not taken, and what a gateway's server said.
    place, cause = value.get("loc"), value.get("metadata")
    if words and isinstance(place, list):
        words = f"{'.'.join(f'{part}' for part in place[:DEEPEST])}: {words}"
    raw = cause.get("raw") if isinstance(cause, dict) else None
    return f"{words} ({_text_of(raw)})" if words and raw else words


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _kinds(value: Any, depth: int) -> list[str]:
    """Return codes and types in the description of an error, the outer ones first."""
    if isinstance(value, list) and depth:
        return [kind for part in value[:10] for kind in _kinds(part, depth - 1)]
    if not isinstance(value, dict) or not depth:
        return []
    kinds = [
        str(value[name])[:100]
        for name in KINDS
        if isinstance(value.get(name), str | int) and not isinstance(value[name], bool) and value[name]
    ]
    for name in (*HOLDERS, "innererror"):
        kinds += _kinds(value.get(name), depth - 1)
    return kinds


def _status(kind: str) -> int:
    """Return the HTTP status of an error that is written as a number; 0 of anything else."""
    return int(kind) if kind.isascii() and kind.isdigit() and len(kind) == 3 and "3" <= kind[0] <= "5" else 0


def plain(error: BaseException) -> str:
    """Return an error's message on one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait, at most LONGEST_WAIT."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        header = headers.get(name)
        if header is None:
            continue
        try:
            wait = _seconds(header, unit)
        except (ValueError, TypeError, OverflowError):
            continue
        if not math.isnan(wait):
            return min(max(wait, 0.0), LONGEST_WAIT)
    return None


def retry_delay(value: Any, depth: int) -> float | None:
    """Return the seconds that an error asks to wait, at most LONGEST_WAIT (google.rpc.RetryInfo)."""
    if not depth or not isinstance(value, dict | list):
        return None
    delay = value.get("retryDelay") if isinstance(value, dict) else None
    seconds = seconds_of(delay) if isinstance(delay, str) else None
    if seconds is not None:
        return min(seconds, LONGEST_WAIT)
    parts = value[:10] if isinstance(value, list) else [value.get(name) for name in (*HOLDERS, "details")]
    waits = (retry_delay(part, depth - 1) for part in parts)
    return next((wait for wait in waits if wait is not None), None)


def _seconds(header: str, unit: float) -> float:
    try:
        return float(header) * unit
    except ValueError:
        return parsedate_to_datetime(header).timestamp() - time.time()


def seconds_of(duration: str) -> float | None:
    """Return the seconds of a duration such as `1m3.5s` or `20ms`; None of anything else."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        return None
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    return seconds if math.isfinite(seconds) else None
