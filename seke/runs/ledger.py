"""The ledger of a run: every request and every answer, on disk before it is used.

One SQLite file (WAL, synchronous=FULL) in the run's folder. A single thread writes. A caller waits until the
transaction with its line is on disk; lines that wait together share one. Requests that were open when a
process was killed are found at the next start, and counted as possibly paid.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import sqlite3
import threading
import time
from collections import defaultdict
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.files.likely_path import path_hint
from seke.runs.disk_reserve import DiskReserve, is_full
from seke.sampling.loop import Request
from seke.vision.errors import AccountError, FullDiskError, OutOfMoneyError
from seke.vision.messages import SCRIPTED, Call, Choice, Picture, Prompt, is_scripted
from seke.vision.shared_beginnings import SentPrompt, reusable_share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from seke.sampling.loop import ReadingKey
    from seke.vision.messages import Failure, Reply

    Record = dict[str, Any]
    Work = Callable[[sqlite3.Connection], Any]
    Read = Callable[[Call, Choice], Record]

NAME, RESERVE, LOCK = "ledger.sqlite", "ledger.reserve", "lock"
VERSION = 2
# Seconds in which whoever looks whether a run is free is gone.
LOOK = 0.05
# Writes of one commit at most.
COMMIT_BATCH = 500
# Columns that a ledger of the first version lacks.
ADDED = (("prompts", "system", "TEXT NOT NULL DEFAULT ''"), ("requests", "reasoning_tokens", "INTEGER"))
# Items of one statement; SQLite before 3.32 takes 999 parameters.
STATEMENT_ITEMS = 500
TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS prompts (
    digest TEXT PRIMARY KEY, text TEXT NOT NULL, form TEXT NOT NULL, system TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS stated (prompt TEXT PRIMARY KEY, given TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS planned (
    item TEXT NOT NULL, observer TEXT NOT NULL, question TEXT NOT NULL, about TEXT NOT NULL,
    view TEXT NOT NULL, upto INTEGER NOT NULL, prompt TEXT NOT NULL, picture TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS planned_of_items ON planned (item);
CREATE TABLE IF NOT EXISTS requests (
    number INTEGER PRIMARY KEY, item TEXT NOT NULL, observer TEXT NOT NULL, question TEXT NOT NULL,
    about TEXT NOT NULL, view TEXT NOT NULL, draws TEXT NOT NULL, upto INTEGER NOT NULL, prompt TEXT NOT NULL,
    picture TEXT NOT NULL, state TEXT NOT NULL, worst REAL, sent REAL NOT NULL, ended REAL, code INTEGER,
    message TEXT, paid INTEGER, model TEXT, fingerprint TEXT, identity TEXT, prompt_tokens INTEGER,
    answer_tokens INTEGER, cached_tokens INTEGER, price REAL, seconds REAL, reasoning_tokens INTEGER
);
CREATE INDEX IF NOT EXISTS requests_of_items ON requests (item);
CREATE TABLE IF NOT EXISTS choices (
    item TEXT NOT NULL, observer TEXT NOT NULL, question TEXT NOT NULL, about TEXT NOT NULL,
    view TEXT NOT NULL, draw INTEGER NOT NULL, request INTEGER NOT NULL, text TEXT NOT NULL,
    finish TEXT NOT NULL, refusal TEXT, record TEXT NOT NULL, status TEXT NOT NULL,
    passed_over INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (item, observer, question, about, view, draw)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (
    name TEXT PRIMARY KEY, identity TEXT, numbers TEXT NOT NULL, over INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS observed (
    item TEXT NOT NULL, number INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (item, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settled (item TEXT PRIMARY KEY, reason TEXT NOT NULL) WITHOUT ROWID;
"""

KEY = "item, observer, question, about, view"
REQUEST = f"""
INSERT INTO requests (number, {KEY}, draws, upto, prompt, picture, state, worst, sent)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'sent', ?, ?)
"""
# The columns are named so that a connection that was opened before one was added looks again.
PROMPT = "INSERT OR IGNORE INTO prompts (digest, text, form, system) VALUES (?, ?, ?, ?)"
CHOICE = f"""
INSERT INTO choices ({KEY}, draw, request, text, finish, refusal, record, status)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
ANSWERED = """
UPDATE requests SET state = 'answered', ended = ?, model = ?, fingerprint = ?, identity = ?,
prompt_tokens = ?, answer_tokens = ?, cached_tokens = ?, price = ?, seconds = ?, reasoning_tokens = ?,
message = ? WHERE number = ?
"""
FAILED = "UPDATE requests SET state = 'failed', ended = ?, code = ?, message = ?, paid = ? WHERE number = ?"
RECORDS = """
SELECT item, record FROM (SELECT item, record FROM choices WHERE passed_over = 0 UNION ALL
SELECT item, record FROM observed) WHERE item IN (%s)
"""
LINES = f"""
SELECT {KEY}, max(upto), prompt, picture FROM (
SELECT {KEY}, upto, prompt, picture FROM requests UNION ALL
SELECT {KEY}, upto, prompt, picture FROM planned) WHERE item IN (%s) GROUP BY {KEY}
"""
PLANNED = f"INSERT INTO planned ({KEY}, upto, prompt, picture) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
EVERY = f"""
SELECT {", ".join(f"c.{name}" for name in KEY.split(", "))}, r.ended,
r.price / max(json_array_length(r.draws), 1)
FROM choices c JOIN requests r ON c.request = r.number WHERE passed_over = 0 ORDER BY c.request, c.draw
"""
ORDER = f"SELECT {KEY} FROM choices WHERE passed_over = 0 AND item = ? ORDER BY request, draw"
DRAWS = f"SELECT {KEY}, draw FROM choices WHERE item IN (%s)"
PROMPT_OF = """
SELECT text, form, system, given FROM prompts LEFT JOIN stated ON prompt = digest WHERE digest = ?
"""
IN_BATCHES = "SELECT value FROM batches, json_each(batches.numbers) WHERE over = 0"
UNKNOWN = f"UPDATE requests SET state = 'unknown' WHERE state = 'sent' AND number NOT IN ({IN_BATCHES})"
BEGUN = "INSERT OR REPLACE INTO batches (name, identity, numbers) VALUES (?, ?, ?)"
STILL_SENT = f"""
SELECT b.name, b.identity, number, {KEY}, draws, prompt, picture, worst
FROM batches b, json_each(b.numbers) JOIN requests ON number = value WHERE over = 0 AND state = 'sent'
"""
ALIKE = """
SELECT draw, text, finish, refusal, r.model FROM choices c JOIN requests r ON c.request = r.number
WHERE c.item = ? AND c.observer = ? AND c.question = ? AND c.about = ? AND c.view = ?
AND r.prompt = ? AND r.picture = ? ORDER BY draw
"""
ASKED_ITEMS = "SELECT DISTINCT item FROM choices WHERE observer = ? AND question = ? AND passed_over = 0"
# As `is_scripted` says it.
MADE_UP = f"(r.model = '{SCRIPTED}' OR r.model GLOB '{SCRIPTED}: *')"
RAW_ANSWERS = f"""
SELECT {", ".join(f"c.{name}" for name in KEY.split(", "))}, draw, text, finish, refusal, {MADE_UP}
FROM choices c JOIN requests r ON c.request = r.number
ORDER BY {", ".join(f"c.{name}" for name in KEY.split(", "))}, draw
"""
OF_SCRIPTED = f"SELECT count(*) FROM choices c JOIN requests r ON c.request = r.number WHERE {MADE_UP}"
STORED = f"""
SELECT {KEY}, draw, text, finish, refusal, record FROM choices
WHERE item = ? AND observer = ? AND question = ? AND passed_over = 0
"""
REREAD = """
UPDATE choices SET record = ?, status = ?
WHERE item = ? AND observer = ? AND question = ? AND about = ? AND view = ? AND draw = ?
"""
NUMBERS = """
SELECT observer, question, count(*), sum(json_extract(record, '$.extra.off_scale') IS NOT NULL)
FROM choices WHERE passed_over = 0 AND (%s) GROUP BY observer, question
"""
OF_REQUESTS = """
SELECT count(*), sum(state = 'failed'), sum(state = 'unknown'), sum(prompt_tokens), sum(answer_tokens),
sum(price), sum(CASE WHEN state = 'unknown' OR paid OR (state = 'answered' AND price IS NULL) THEN worst END),
sum(state = 'answered' AND price IS NULL), sum(cached_tokens), sum(%s) FROM requests
"""
SENT_PROMPTS = """
SELECT %s, p.text, count(*), count(DISTINCT r.picture)
FROM requests r JOIN prompts p ON p.digest = r.prompt WHERE r.state = 'answered' GROUP BY r.prompt
"""
TOKENS = """
SELECT question, json_extract(draws, '$[0]'), upto - json_extract(draws, '$[0]'),
(SELECT count(*) FROM choices c WHERE c.request = r.number), prompt_tokens, ifnull(cached_tokens, 0),
answer_tokens FROM requests r WHERE state = 'answered' AND prompt_tokens IS NOT NULL
AND answer_tokens IS NOT NULL AND item IN (%s) AND observer = ?
"""
# What may be paid without an answer holds what it can cost until it is released.
UNANSWERED = "state = 'unknown' OR (state = 'failed' AND paid)"
RELEASED = f"""
UPDATE requests SET state = 'failed', paid = 0, code = ifnull(code, 0),
message = ifnull(message, 'it was open when a process ended') WHERE {UNANSWERED}
"""
FAILED_ITEMS = """
SELECT item FROM requests WHERE state = 'failed' UNION SELECT item FROM choices WHERE status = 'refused'
"""
ANSWERED_BY = "SELECT observer, count(*) FROM choices WHERE status != 'refused' GROUP BY observer"
OF_CHOICES = """
SELECT count(*), sum(status = 'refused'), sum(status = 'unreadable'), sum(status = 'not_judged') FROM choices
"""
BY_OBSERVER = """
SELECT observer, (SELECT count(*) FROM choices c WHERE c.observer = r.observer), count(*),
sum(state = 'answered' AND price IS NULL), ifnull(sum(price), 0) FROM requests r GROUP BY observer
"""


@dataclass(frozen=True)
class ReadingRequests:
    """The requests of a reading. draws: how many; missing: those without an answer.

    prompt, picture: the digests of those that were sent.
    """

    draws: int
    missing: tuple[int, ...]
    prompt: str
    picture: str


@dataclass(frozen=True)
class RequestTokens:
    """The tokens of one answered request.

    draw: the number of its first draw. wanted: draws that were asked for at once, perhaps in several
    requests. answers: how many this one brought. cached_tokens are some of the prompt's.
    """

    question: str
    draw: int
    wanted: int
    answers: int
    prompt_tokens: int
    cached_tokens: int
    answer_tokens: int


@dataclass(frozen=True)
class Totals:
    """The totals of a run. requests, by how they ended; answers, by status; prices in USD.

    unknown: on their way when a process was killed. spent: prices of what was answered, where known. perhaps:
    the most that failed and unknown requests can have cost besides. cached_tokens: of the prompts', as far as
    servers report them. reusable: the share of the texts' letters with which an earlier request began.
    scripted: answers that are made up.
    """

    requests: int
    failed: int
    unknown: int
    answers: int
    refused: int
    unreadable: int
    not_judged: int
    prompt_tokens: int
    answer_tokens: int
    spent: float
    perhaps: float
    unpriced: int
    cached_tokens: int
    reusable: float
    reasoning_tokens: int
    scripted: int = 0


@dataclass(frozen=True)
class ObserverTotals:
    """The requests to one observer in a run. spent: USD, where prices are known."""

    observer: str
    answers: int
    requests: int
    unpriced: int
    spent: float


class Ledger:
    """A run's account; a `messages.Journal`; to be closed.

    patient: where the next request could pass what may be spent, wait for those that are on their way, which
    mostly cost less than they could.
    """

    def __init__(self, folder: Path, read: Read, max_cost: float | None = None, limit: str = "") -> None:
        """read: a choice -> the sample record that it makes. limit: what may be spent, in words.

        Raises:
            engine.SekeError: another process has the run; a newer version wrote it.
        """
        self.folder, self._read, self.max_cost = folder, read, max_cost
        self._limit = limit or f"--max-cost {max_cost or 0:g}"
        self._lock = _Lock(folder / LOCK)
        try:
            # One to read and one to write, so that no reader sees what is not on disk.
            self._db, self._write_db = (_connect(folder / NAME) for _ in range(2))
            self._db.executescript(TABLES)
            self._check_version()
            # The tables and what a run is known by stand in the file itself: a lost log takes answers alone.
            self._checkpoint()
            self._db.execute(UNKNOWN)
            newest = self._db.execute("SELECT max(number) FROM requests").fetchone()[0]
        except (sqlite3.Error, SekeError) as error:
            self._lock.release()
            raise _ledger_error(error, folder) from None
        self._next = (newest or 0) + 1
        self._calls: dict[int, tuple[Call, float]] = {}
        self._kept: set[str] = set()
        self._waiting: list[asyncio.Future[None]] = []
        self.patient, self._unbounded = False, ""
        total = self.totals()
        self._spent = total.spent + total.perhaps
        self._batches = self._pending_batches()
        self._work: queue.SimpleQueue[tuple[Work, Callable[[Any, Any], None]] | None] = queue.SimpleQueue()
        self._unwritable: Exception | None = None
        self._reserve = DiskReserve(folder / RESERVE)
        self._writer = threading.Thread(target=self._write, name="ledger", daemon=True)
        self._writer.start()

    def _checkpoint(self) -> None:
        """Move what is in the log into the file."""
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _check_version(self) -> None:
        version = self.facts("version").get("version", VERSION)
        if int(version) > VERSION:
            raise SekeError(f"{self.folder}: was written by a newer version of seke")
        # The first version knew neither system messages nor what a model reasoned with.
        for table, column, kind in ADDED:
            if not _has_column(self._db, table, column):
                self._db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
        self._db.execute("INSERT OR REPLACE INTO facts VALUES ('version', ?)", (str(VERSION),))

    def _pending_batches(self) -> dict[str, tuple[str | None, dict[int, tuple[Call, tuple[int, ...]]]]]:
        """Return the batches that an earlier process left, and count their requests as sent."""
        batches: dict[str, Any] = {
            name: (identity, {})
            for name, identity in self._db.execute("SELECT name, identity FROM batches WHERE over = 0")
        }
        for name, _, number, *columns in self._db.execute(STILL_SENT).fetchall():
            key, (draws, prompt, picture, worst) = columns[:5], columns[5:]
            draw_numbers = tuple(json.loads(draws))
            request = Request(*_line(key), draw_numbers[0], len(draw_numbers))
            stored_prompt = self.prompt(prompt) or Prompt("", {}, prompt)
            call = Call(request, stored_prompt, Picture(b"", "", 0, 0, picture))
            batches[name][1][number] = call, draw_numbers
            self._calls[number] = call, worst or 0.0
            self._spent += worst or 0.0
        return batches

    def close(self) -> None:
        """End the writer and let others have the run."""
        self._work.put(None)
        self._writer.join()
        self._reserve.free()
        self._db.close()
        self._write_db.close()
        self._lock.release()

    # What is told to it ------------------------------------------------------------------------------

    async def sent(self, call: Call, draws: tuple[int, ...], worst_price: float | None) -> int:
        """Note a request before it leaves; see `messages.Journal`."""
        worst = worst_price or 0.0
        self._check_room()
        if self.max_cost is not None and worst_price is None:
            raise OutOfMoneyError("--max-cost needs prices: none is known for this request")
        while self.patient and self._calls and self._exceeds_max_cost(worst) and not self._unbounded:
            self._waiting.append(asyncio.get_running_loop().create_future())
            await self._waiting[-1]
        if self.max_cost is not None and self._unbounded:
            raise OutOfMoneyError(
                f"{self._limit} cannot be kept: {self._unbounded}. Start a run with as many "
                "--max-tokens as the model takes with its thoughts, or go on without --max-cost"
            )
        if self._exceeds_max_cost(worst):
            raise OutOfMoneyError(
                f"the next request could exceed {self._limit}: it can cost {worst:.4f} USD, "
                f"and {self._spent:.4f} USD are spent, perhaps spent, or being spent"
            )
        self._spent += worst
        number, self._next = self._next, self._next + 1
        self._calls[number] = call, worst
        prompt, request = call.prompt, call.request
        digests = prompt.digest, call.picture.digest
        upto = request.first + request.samples
        row = (number, *_key(request.line), json.dumps(draws), upto, *digests)

        def write(db: sqlite3.Connection) -> None:
            self._keep_prompt(db, prompt)
            db.execute(REQUEST, (*row, worst_price, time.time()))

        await self._submit(write)
        return number

    def _keep_prompt(self, db: sqlite3.Connection, prompt: Prompt) -> None:
        """Write a prompt that was not written yet."""
        if prompt.digest in self._kept:
            return
        form = json.dumps(prompt.schema, ensure_ascii=False)
        db.execute(PROMPT, (prompt.digest, prompt.text, form, prompt.system))
        if prompt.given:
            given = json.dumps(dict(prompt.given), ensure_ascii=False)
            db.execute("INSERT OR IGNORE INTO stated VALUES (?, ?)", (prompt.digest, given))
        self._kept.add(prompt.digest)

    async def plan(self, calls: Sequence[Call]) -> None:
        """Note calls that belong together, so that whoever goes on after the first makes them all."""

        def write(db: sqlite3.Connection) -> None:
            for call in calls:
                self._keep_prompt(db, call.prompt)
                upto = call.request.first + call.request.samples
                db.execute(PLANNED, (*_key(call.request.line), upto, call.prompt.digest, call.picture.digest))

        await self._submit(write)

    def _check_room(self) -> None:
        """Take room on the disk for answers that are on their way; without it no request leaves."""
        try:
            self._reserve.take()
        except OSError as error:
            raise AccountError(str(_ledger_error(error, self.folder))) from None
        if self._reserve.given_up:
            raise AccountError(_full_disk(self.folder))

    def _exceeds_max_cost(self, worst: float) -> bool:
        return self.max_cost is not None and self._spent + worst > self.max_cost

    def _settle_cost(self, number: int, price: float | None) -> Call:
        """Replace a request's worst cost by its price; a price of None leaves the worst cost."""
        call, worst = self._calls.pop(number)
        self._spent += 0.0 if price is None else price - worst
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()
        return call

    async def answered(self, number: int, reply: Reply) -> None:
        """Keep what a request brought; see `messages.Journal`."""
        self._unbounded = self._unbounded or reply.unbounded
        call = self._settle_cost(number, reply.price)
        key = _key(call.request.line)
        rows = []
        for choice in reply.choices:
            record = self._read(call, choice)
            status = record.get("status", "ok")
            text = json.dumps(record, ensure_ascii=False)
            rows.append((*key, choice.draw, number, choice.text, choice.finish, choice.refusal, text, status))

        server_facts = reply.model, reply.fingerprint, reply.identity
        tokens = reply.prompt_tokens, reply.completion_tokens, reply.cached_tokens
        more = reply.price, reply.seconds, reply.reasoning_tokens, reply.note or None
        ended = (time.time(), *server_facts, *tokens, *more, number)

        def write(db: sqlite3.Connection) -> None:
            db.executemany(CHOICE, rows)
            db.execute(ANSWERED, ended)

        await self._submit(write)

    async def failed(self, number: int, failure: Failure) -> None:
        """Keep why a request brought nothing; see `messages.Journal`."""
        self._settle_cost(number, None if failure.paid else 0.0)
        row = (time.time(), failure.code, failure.message, int(failure.paid), number)
        await self._submit(lambda db: db.execute(FAILED, row))

    async def begun(self, name: str, numbers: Sequence[int], identity: str | None) -> None:
        """Note a batch; see `batch_client.Memory`."""
        row = (name, identity, json.dumps(numbers))
        await self._submit(lambda db: db.execute(BEGUN, row))

    async def over(self, name: str) -> None:
        """Note that a batch is over; see `batch_client.Memory`."""
        self._batches.pop(name, None)
        await self._submit(lambda db: db.execute("UPDATE batches SET over = 1 WHERE name = ?", (name,)))

    def batches(self) -> Mapping[str, tuple[str | None, Mapping[int, tuple[Call, tuple[int, ...]]]]]:
        """Return the batches that an earlier process left on their way; see `batch_client.Memory`."""
        return dict(self._batches)

    async def settle(self, reasons: Mapping[str, str]) -> None:
        """Note that nothing more is asked about items; item -> why, beyond what its answers say."""
        rows = list(reasons.items())
        await self._submit(
            lambda db: db.executemany("INSERT OR REPLACE INTO settled VALUES (?, ?)", rows) and None
        )

    async def keep_observed(self, item: str, records: Sequence[Record]) -> None:
        """Keep what observers that cost nothing answered about an item."""
        texts = (json.dumps(record, ensure_ascii=False) for record in records)
        rows = [(item, number, text) for number, text in enumerate(texts)]
        await self._submit(
            lambda db: db.executemany("INSERT OR REPLACE INTO observed VALUES (?, ?, ?)", rows)
        )

    def note(self, facts: Mapping[str, Any]) -> None:
        """Keep facts of the run."""
        rows = [(name, json.dumps(value)) for name, value in facts.items()]
        self._db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", rows)
        self._checkpoint()

    def pass_over_refusals(self) -> int:
        """Discard refused answers, and those that judged nothing, so that they are asked for again.

        Return how many.
        """
        where = "status IN ('refused', 'not_judged') AND passed_over = 0"
        count = int(self._db.execute(f"SELECT count(*) FROM choices WHERE {where}").fetchone()[0])
        self._db.execute(f"DELETE FROM settled WHERE item IN (SELECT item FROM choices WHERE {where})")
        self._db.execute(f"UPDATE choices SET passed_over = 1 WHERE {where}")
        return count

    def forget_unanswered(self) -> str:
        """Release what requests without an answer can have cost; return in words what that was."""
        where = f"SELECT count(*), ifnull(sum(worst), 0) FROM requests WHERE {UNANSWERED}"
        count, worst = self._db.execute(where).fetchone()
        self._db.execute(RELEASED)
        self._spent -= worst
        return f"{count:,} requests without an answer count as not paid; {worst:.4f} USD are free again"

    async def reread(self, observer: str, question: str, read: Callable[[Record, Choice], Record]) -> None:
        """Make the records of an observer's answers to a question anew; read: from the earlier record."""

        def write(db: sqlite3.Connection) -> None:
            items = [item for (item,) in db.execute(ASKED_ITEMS, (observer, question))]
            for item in items:
                for row in db.execute(STORED, (item, observer, question)).fetchall():
                    *key, text, finish, refusal, record = row
                    anew = read(json.loads(record), Choice(key[-1], text, finish, refusal))
                    status = anew.get("status", "ok")
                    db.execute(REREAD, (json.dumps(anew, ensure_ascii=False), status, *key))

        await self._submit(write)

    def count_numbers(self, names: Sequence[str]) -> list[tuple[str, str, int, int]]:
        """Return for observers and questions how many answers have such numbers, and some off their scale."""
        places = [f'$.{inner}"{name}"' for name in names for inner in ("", "reports.")]
        places += ["$.extra.off_scale", "$.extra.other_scale"]
        given = " OR ".join(["json_extract(record, ?) IS NOT NULL"] * len(places))
        return self._db.execute(NUMBERS % given, places).fetchall()

    def reopen(self) -> None:
        """Reopen items that were settled for a reason beyond their answers, which may have passed."""
        self._db.execute("DELETE FROM settled WHERE reason != ''")

    @property
    def committed(self) -> float:
        """The cost so far with the most that open and unknown requests can cost, USD."""
        return self._spent

    # What it tells -----------------------------------------------------------------------------------

    def facts(self, *names: str) -> Record:
        """Return facts of the run, those of these names or all."""
        by_name = {
            name: json.loads(value) for name, value in self._db.execute("SELECT name, value FROM facts")
        }
        return {name: value for name, value in by_name.items() if not names or name in names}

    def records(self, items: Sequence[str]) -> dict[str, list[Record]]:
        """Return the sample records of items, in the order of their lines and draws, free ones at the end."""
        by_item: dict[str, list[Record]] = defaultdict(list)
        for item, text in self._select(RECORDS, items):
            by_item[item].append(json.loads(text))
        return by_item

    def observed(self, items: Sequence[str]) -> set[str]:
        """Return which of these items observers that cost nothing have looked at."""
        return {
            item for (item,) in self._select("SELECT DISTINCT item FROM observed WHERE item IN (%s)", items)
        }

    def lines(self, items: Sequence[str]) -> dict[ReadingKey, ReadingRequests]:
        """Return the requests of each reading of these items."""
        received: dict[tuple[str, ...], set[int]] = defaultdict(set)
        for *key, draw in self._select(DRAWS, items):
            received[tuple(key)].add(draw)
        by_line = {}
        for *key, upto, prompt, picture in self._select(LINES, items):
            missing = (draw for draw in range(upto) if draw not in received[tuple(key)])
            by_line[_line(key)] = ReadingRequests(upto, tuple(missing), prompt, picture)
        return by_line

    def prompt(self, digest: str) -> Prompt | None:
        """Return a prompt by its digest; None where it was never sent."""
        row = self._db.execute(PROMPT_OF, (digest,)).fetchone()
        if row is None:
            return None
        return Prompt(row[0], json.loads(row[1]), digest, row[2], json.loads(row[3] or "{}"))

    def choices(self, call: Call, draws: Iterable[int], observer: str | None = None) -> tuple[Choice, ...]:
        """Return the answers that there are to the same prompt about the same picture, of these draws.

        observer: whose answers; those of the call's observer by default.
        """
        item, call_observer, *question_key = _key(call.request.line)
        key = (item, observer or call_observer, *question_key, call.prompt.digest, call.picture.digest)
        rows = self._db.execute(ALIKE, key).fetchall()
        draw_set = set(draws)
        return tuple(
            Choice(draw, text, finish, refusal, scripted=is_scripted(model))
            for draw, text, finish, refusal, model in rows
            if draw in draw_set
        )

    def reasons(self, items: Sequence[str]) -> dict[str, str]:
        """Return settled item -> the reason beyond its answers; empty for none."""
        return dict(self._select("SELECT item, reason FROM settled WHERE item IN (%s)", items))

    def settled(self, items: Sequence[str]) -> int:
        """Return how many of these items are settled."""
        return sum(1 for _ in self._select("SELECT item FROM settled WHERE item IN (%s)", items))

    def asked_items(self) -> set[str]:
        """Return the items about which something was asked; those that were forgotten have no name."""
        return {item for (item,) in self._db.execute("SELECT DISTINCT item FROM requests WHERE item != ''")}

    def failed_items(self) -> set[str]:
        """Return the items about which a request failed or was refused."""
        return {item for (item,) in self._db.execute(FAILED_ITEMS)}

    def answers_by(self) -> dict[str, int]:
        """Return observer -> how many answers it gave that are no refusals."""
        return dict(self._db.execute(ANSWERED_BY).fetchall())

    def raw(self) -> Iterator[Record]:
        """Yield all answers as they came, as `RecordedModel` reads them."""
        names = (*KEY.split(", "), "draw", "text", "finish", "refusal", "scripted")
        for row in self._db.execute(RAW_ANSWERS):
            record = dict(zip(names, row, strict=True))
            if record["scripted"]:
                record["scripted"] = True
            yield {name: value for name, value in record.items() if value or name in ("draw", "text")}

    def tokens(self, items: Sequence[str], observer: str) -> list[RequestTokens]:
        """Return the tokens of requests to an observer about items, where the server reported them."""
        return [RequestTokens(*row) for row in self._select(TOKENS, items, observer)]

    def totals(self) -> Totals:
        """Return the totals of the run."""
        return _totals(self._db)

    def _select(self, statement: str, items: Sequence[str], *parameters: str) -> Iterator[Any]:
        """Yield the rows of a statement about items; more: what it takes after these."""
        for start in range(0, len(items), STATEMENT_ITEMS):
            batch = items[start : start + STATEMENT_ITEMS]
            yield from self._db.execute(
                statement % ", ".join("?" * len(batch)), (*batch, *parameters)
            ).fetchall()

    # The writer --------------------------------------------------------------------------------------

    async def _submit(self, work: Work) -> None:
        """Write in the writer's thread; return when it is on disk."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def tell(error: Any, _: Any = None) -> None:
            def end() -> None:
                if not future.done():
                    future.set_exception(error) if error else future.set_result(None)

            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(end)

        self._work.put((work, tell))
        await future

    def _write(self) -> None:
        while (first := self._work.get()) is not None:
            pending = [first]
            while len(pending) < COMMIT_BATCH:
                try:
                    entry = self._work.get_nowait()
                except queue.Empty:
                    break
                if entry is None:
                    self._work.put(None)
                    break
                pending.append(entry)
            try:
                # A write that failed is tried again only where there is room by now that was kept for it; no
                # further request may leave.
                works = [work for work, _ in pending]
                error = self._unwritable or self._commit(works)
                if isinstance(error, FullDiskError) and self._reserve.give_up():
                    error = self._commit(works)
                self._unwritable = error
            except Exception as fault:  # The caller gets the error, whatever it is; this thread goes on.
                error = AccountError(f"{self.folder}: the ledger cannot be written ({fault!r:.200})")
            for _, tell in pending:
                tell(error, None)

    def _commit(self, works: list[Work]) -> Exception | None:
        try:
            self._write_db.execute("BEGIN IMMEDIATE")
            for work in works:
                work(self._write_db)
            self._write_db.execute("COMMIT")
        except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
            with suppress(sqlite3.Error):
                self._write_db.execute("ROLLBACK")
            self._kept.clear()
            if not isinstance(error, sqlite3.Error | OSError):
                raise
            kind = FullDiskError if is_full(error) else AccountError
            return kind(str(_ledger_error(error, self.folder)))
        return None


def _totals(db: sqlite3.Connection) -> Totals:
    # A ledger of the first version that is only read has no such columns.
    system = "p.system" if _has_column(db, "prompts", "system") else "''"
    requests, failed, unknown, prompt, answer, spent, perhaps, unpriced, cached, reasoned = (
        total or 0 for total in db.execute(OF_REQUESTS % reasoning_column(db)).fetchone()
    )
    answers, refused, unreadable, not_judged = (total or 0 for total in db.execute(OF_CHOICES).fetchone())
    counts = requests, failed, unknown, answers, refused, unreadable, not_judged, prompt, answer
    stored = db.execute("SELECT value FROM facts WHERE name = 'settings'").fetchone()
    picture_first = stored is not None and json.loads(stored[0]).get("picture") == "first"
    sent = (SentPrompt(*row) for row in db.execute(SENT_PROMPTS % system))
    share = round(reusable_share(sent, picture_first=picture_first), 4)
    scripted = db.execute(OF_SCRIPTED).fetchone()[0]
    return Totals(*counts, float(spent), float(perhaps), unpriced, cached, share, reasoned, scripted)


def reasoning_column(db: sqlite3.Connection) -> str:
    """Return the column of the tokens that models reasoned with."""
    return "reasoning_tokens" if _has_column(db, "requests", "reasoning_tokens") else "NULL"


def _has_column(db: sqlite3.Connection, table: str, column: str) -> bool:
    return any(row[1] == column for row in db.execute(f"PRAGMA table_info({table})"))


def status_of(folder: Path) -> tuple[Record, int, Totals]:
    """Return a run's facts, how many items are settled, and its totals, also while a process is at it.

    Raises:
        engine.SekeError: no run is there.
    """
    if not (folder / NAME).is_file():
        if not folder.exists():
            hint = path_hint(folder, lambda path: (path / NAME).is_file())
            raise SekeError(f"{folder}: there is no such folder{hint}")
        raise SekeError(f"{folder}: is no run (it has no {NAME})")
    with read_only(folder) as db:
        facts = {name: json.loads(value) for name, value in db.execute("SELECT name, value FROM facts")}
        settled = db.execute("SELECT count(*) FROM settled").fetchone()[0]
        return facts, int(settled), _totals(db)


def totals_by_observer(folder: Path) -> list[ObserverTotals]:
    """Return the requests to each observer of a run, also while a process is at it."""
    with read_only(folder) as db:
        return [ObserverTotals(*row) for row in db.execute(BY_OBSERVER)]


def last_request(folder: Path) -> float | None:
    """Return when a request of a run was sent or ended last, seconds since 1970; None where none was sent."""
    with read_only(folder) as db:
        newest: float | None = db.execute("SELECT max(max(sent, ifnull(ended, 0))) FROM requests").fetchone()[
            0
        ]
        return newest


def order_of(folder: Path, item: str) -> list[ReadingKey]:
    """Return the reading key of each answer about an item, in the order of the requests.

    Nothing is known of a run whose ledger is gone.
    """
    if not (folder / NAME).is_file():
        return []
    with read_only(folder) as db:
        return [_line(key) for key in db.execute(ORDER, (item,))]


def course_of(folder: Path) -> list[tuple[ReadingKey, float | None, float | None]]:
    """Return for each answer its reading key, when it came (seconds since 1970) and its price, USD.

    They are in the order in which they were asked for; the price of a request is shared by its answers.
    Nothing is known of a run whose ledger is gone.
    """
    if not (folder / NAME).is_file():
        return []
    with read_only(folder) as db:
        return [(_line(key), when, price) for *key, when, price in db.execute(EVERY)]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep all others from a run.

    Raises:
        engine.SekeError: another process has it.
    """
    lock = _Lock(folder / LOCK)
    try:
        yield
    finally:
        lock.release()


def process_at(folder: Path) -> str | None:
    """Return the number of the process that has a run, empty where that is not known; None for none."""
    import fcntl

    try:
        with (folder / LOCK).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip()
    except OSError:
        # No process has a run whose lock is not there, nor can be told on a disk that has no locks.
        return None
    return None


class _Lock:
    """The lock of a run; the system releases it when the process ends."""

    def __init__(self, path: Path) -> None:
        import fcntl

        self._file = path.open("a+")
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # Whoever only looks whether it is free (`process_at`) has it for less than that.
                time.sleep(LOOK)
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            process_id = self._file.read().strip()
            self._file.close()
            process = f" (process {process_id})" if process_id else ""
            raise SekeError(
                f"{path.parent}: another process uses this run{process}; wait for it or end it"
            ) from None
        # Whose it is can be told only where the disk has room for it.
        with suppress(OSError):
            self._file.truncate(0)
            self._file.write(str(os.getpid()))
            self._file.flush()

    def release(self) -> None:
        """Let others have it."""
        with suppress(OSError):
            self._file.close()


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    return db


@contextmanager
def read_only(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the ledger of a run, also while a process is at it."""
    with (
        plain_errors(folder),
        closing(sqlite3.connect(f"file:{folder / NAME}?mode=ro", timeout=30, uri=True)) as db,
    ):
        yield db


@contextmanager
def plain_errors(folder: Path) -> Iterator[None]:
    """Raise errors of SQLite as errors in plain words.

    Raises:
        engine.SekeError: where SQLite cannot read or write.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _ledger_error(error, folder) from None


def _ledger_error(error: Exception, folder: Path) -> SekeError:
    if isinstance(error, SekeError):
        return error
    if is_full(error):
        return SekeError(_full_disk(folder))
    return SekeError(f"{folder / NAME}: cannot be used ({error})")


def _full_disk(folder: Path) -> str:
    return (
        f"{folder}: the disk is full. Stored answers are safe; open requests count as possibly paid. "
        "Make room and start again"
    )


def _key(line: ReadingKey) -> tuple[str, str, str, str, str]:
    item, observer, question, about, view = line
    return item, observer, question, about or "", view


def _line(key: Sequence[str]) -> ReadingKey:
    item, observer, question, about, view = key
    return item, observer, question, about or None, view
