"""Failures in a row at one server: when no further request is worth sending."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from seke.vision.http_bodies import BEGINS

# Items in a row that fail for one reason before anything was answered, and at least so many after that.
BEFORE_AN_ANSWER, AFTER_AN_ANSWER = 3, 12
# What differs between two messages of one reason: numbers, and names with digits, such as those of requests.
VARYING = re.compile(r"\w*\d\w*")
# Letters by which reasons are told apart.
COMPARED = 80


def same_reason(message: str) -> str:
    """Return what two messages for one reason have in common: not the body that came."""
    return VARYING.sub("#", message.partition(BEGINS)[0])[:COMPARED].casefold()


@dataclass
class FailureRun:
    """The items that failed in a row, for one reason, since the last answer.

    at_once: requests that may be open at once: so many may fail together. answered: whether anything ever
    was, also by an earlier process. One picture fails once, however often it is asked about; what a server
    refuses for the picture's sake is neither a failure nor an answer.
    """

    at_once: int
    answered: bool = False
    reason: str = ""
    items: set[str] = field(default_factory=set)

    def note_answer(self) -> None:
        """Note that an answer came."""
        self.answered, self.reason = True, ""
        self.items.clear()

    def note_failure(self, item: str, message: str) -> bool:
        """Note that a request about an item failed; return whether no further one is worth sending."""
        reason = same_reason(message)
        if reason != self.reason:
            self.reason, self.items = reason, set()
        self.items.add(item)
        return len(self.items) >= (max(AFTER_AN_ANSWER, self.at_once) if self.answered else BEFORE_AN_ANSWER)
