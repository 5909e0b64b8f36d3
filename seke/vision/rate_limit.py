"""Rate limits: those that the user sets, and the remaining allowance that the server reports."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seke.vision.server_errors import LONGEST_WAIT, seconds_of

if TYPE_CHECKING:
    from collections.abc import Mapping

# Digits of what a server has left: a number of more says nothing, and is slow to read.
MOST_DIGITS = 15
UNITS = ("requests", "tokens")


class Pace:
    """Holds requests back; one for all requests of an endpoint."""

    def __init__(self, rpm: float | None = None, tpm: float | None = None) -> None:
        """rpm, tpm: requests and tokens a minute, at most a second's worth of them at once."""
        self._limits = [_limiter(rpm), _limiter(tpm)]
        self._allowances: dict[str, _Allowance] = {}
        self._until = 0.0

    async def admit(self, tokens: int) -> None:
        """Wait until a request of `tokens` tokens may be sent."""
        amounts = (1, tokens)
        for limit, amount in zip(self._limits, amounts, strict=True):
            remaining = float(amount)
            while limit is not None and remaining > 0:
                await limit.acquire(min(remaining, limit.max_rate))
                remaining -= limit.max_rate
        while (wait := self._wait(amounts)) > 0:
            await asyncio.sleep(wait)
        for unit, amount in zip(UNITS, amounts, strict=True):
            if unit in self._allowances:
                self._allowances[unit].remaining -= amount

    def _wait(self, amounts: tuple[int, int]) -> float:
        now = time.monotonic()
        waits = [
            self._allowances[unit].wait(amount, now)
            for unit, amount in zip(UNITS, amounts, strict=True)
            if unit in self._allowances
        ]
        return max(self._until - now, *waits, 0.0)

    def heed(self, headers: Mapping[str, str]) -> None:
        """Note the allowance that the server reports (x-ratelimit-remaining-requests and the like)."""
        now = time.monotonic()
        for unit in UNITS:
            header_texts = (headers.get(f"x-ratelimit-{name}-{unit}", "") for name in ("remaining", "limit"))
            remaining, limit = (_count(text) for text in header_texts)
            wait = seconds_of(headers.get(f"x-ratelimit-reset-{unit}", ""))
            if remaining is None or not wait:
                continue
            # As far as a server says, what is used up comes back evenly until it is all there again.
            rate = max((limit or 0) - remaining, 1) / wait
            self._allowances[unit] = _Allowance(remaining, now, rate, now + min(wait, LONGEST_WAIT))

    def pause(self, seconds: float | None) -> None:
        """Send nothing for `seconds` seconds."""
        if seconds is not None:
            self._until = max(self._until, time.monotonic() + min(seconds, LONGEST_WAIT))


@dataclass
class _Allowance:
    """What remained at a time, and the rate per second at which it refills until `until`."""

    remaining: float
    at: float
    rate: float
    until: float

    def wait(self, amount: float, now: float) -> float:
        """Return the seconds until `amount` is available."""
        lacks = amount - self.remaining - self.rate * (now - self.at)
        return max(0.0, min(lacks / self.rate, self.until - now))


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


def _limiter(a_minute: float | None) -> Any:
    if a_minute is None:
        return None
    from aiolimiter import AsyncLimiter

    at_once = max(a_minute / 60, 1.0)
    return AsyncLimiter(at_once, 60 * at_once / a_minute)
