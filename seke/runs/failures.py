"""The ledger of a run -> why requests brought no whole answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seke.runs.ledger import read_only, reasoning_column
from seke.vision.failure_run import same_reason
from seke.vision.messages import Choice, ended_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    Record = dict[str, Any]

# Reasons that are shown, the most frequent ones.
MOST_REASONS = 10
# HTTP status of answers, and of requests that no server answered: the message says all.
SILENT = (0, 200)
# Requests that failed, and those whose answers are empty.
FAILED = """
SELECT code, message, count(*) FROM requests WHERE state = 'failed' OR message IS NOT NULL
GROUP BY code, message ORDER BY min(number)
"""
# Other answers that ended for their length are known by what the server says.
CUT_SHORT = """
SELECT c.finish, r.answer_tokens, %s, count(*) FROM choices c JOIN requests r ON c.request = r.number
WHERE c.status = 'unreadable' AND r.message IS NULL GROUP BY 1, 2, 3 ORDER BY min(r.number)
"""


def failures_of(folder: Path) -> list[Record]:
    """Return the most frequent reasons why requests brought no whole answer: code, message and count.

    code: HTTP status, 0 where there was none. message: the first of the reason.
    """
    with read_only(folder) as db:
        rows = [(code or 0, message or "", count) for code, message, count in db.execute(FAILED)]
        for finish, answer, reasoning, count in db.execute(CUT_SHORT % reasoning_column(db)):
            if Choice(0, "", finish).cut:
                rows.append((200, ended_in_words(answer, reasoning), count))
    by_reason: dict[tuple[int, str], Record] = {}
    for code, message, count in rows:
        # Messages of one reason differ in numbers, such as those of requests.
        failure = {"code": code, "message": message, "count": 0}
        by_reason.setdefault((code, same_reason(message)), failure)["count"] += count
    return sorted(by_reason.values(), key=lambda failure: -int(failure["count"]))[:MOST_REASONS]


def failure_lines(failures: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each reason of `failures_of`."""
    for failure in failures:
        code = "" if failure["code"] in SILENT else f"{failure['code']}: "
        yield f"{failure['count']:,} without a whole answer: {code}{failure['message']}"


def nothing_answered(folder: Path, answers: int) -> str:
    """Return in words that no request of a run was ever answered, and why; no text where that is not so."""
    lines = [] if answers else list(failure_lines(failures_of(folder)))
    return f"nothing was answered; {lines[0]}" if lines else ""
