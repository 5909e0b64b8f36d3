"""What servers say when they refuse: why, and for how long to wait."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_WAIT = 60.0
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def told(error: Any, *, code: bool = False) -> str:
    """Return what a server says of an error, in a line."""
    body = error.body if isinstance(error.body, dict) else {}
    if isinstance(body.get("error"), dict):
        body = body["error"]
    said = str(body.get("message") or error.message or "")
    if code:
        said += f" {body.get('code')} {body.get('type')}"
    return " ".join(said.split())[:300] or "no reason given"


def plain(error: BaseException) -> str:
    """Return an error in a line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return for how long a server asks to wait, seconds, at most LONGEST_WAIT."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        said = headers.get(name)
        if said is None:
            continue
        try:
            return min(max(float(said) * unit, 0.0), LONGEST_WAIT)
        except ValueError:
            pass
        try:
            return min(max(parsedate_to_datetime(said).timestamp() - time.time(), 0.0), LONGEST_WAIT)
        except (ValueError, TypeError, OverflowError):
            continue
    return None


def seconds_of(said: str) -> float | None:
    """Return the seconds of a duration such as `1m3.5s` or `20ms`; None of anything else."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", said)
    if not parts or "".join(number + unit for number, unit in parts) != said:
        return None
    return sum(float(number) * UNITS[unit] for number, unit in parts)
