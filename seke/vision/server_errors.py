"""Refusals of servers: the reason, and how long to wait."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_WAIT = 60.0
# Letters of a server's message that are kept: what does not stand at its beginning is no reason.
LONGEST_MESSAGE = 300
NO_MONEY = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance")
# Of lines of a batch.
PASSING = ("batch_expired", "batch_cancelled")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Refusal:
    """A server's error in place of an answer.

    code: HTTP status, 0 where it names none. message: in a line. kind: its own names for the kind. wait: for
    how long it asks to wait, seconds.
    """

    code: int
    message: str
    kind: str = ""
    wait: float | None = None

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


def refusal_of(
    code: int, body: Any, default_message: str = "", headers: Mapping[str, str] | None = None
) -> Refusal:
    """Return the refusal in the body of an error, in any of the known forms."""
    fields: dict[str, Any] = body if isinstance(body, dict) else {}
    fields = {"message": body} if isinstance(body, str) else fields
    fields = fields["error"] if isinstance(fields.get("error"), dict) else fields
    reason = fields.get("message") or fields.get("error") or fields.get("detail") or default_message
    kind = " ".join(str(fields[name])[:100] for name in ("code", "type") if fields.get(name))
    # A lone half of a pair of code units can be neither stored nor shown.
    text = str(reason)[: 10 * LONGEST_MESSAGE].encode("utf-8", "replace").decode("utf-8")
    message = " ".join(text.split())[:LONGEST_MESSAGE] or "no reason given"
    return Refusal(code, message, kind[:100], retry_after(headers or {}))


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
