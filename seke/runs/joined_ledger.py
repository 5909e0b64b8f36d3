"""Ledgers of several runs -> one, by SQL alone: requests are numbered anew, answers stay as they are.

An item may be in several ledgers. Then it has the answers of one of them, the one with most (of equally many
the one that asked first), since answers of two courses of questions make none. What the others asked stays
in the account without the item's name, as for an item that was forgotten; a request that is the same in two
ledgers, as in a copy of a folder, counts once.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from engine import SekeError
from seke.runs.ledger import KEY, NAME, TABLES, plain_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

COLUMNS = (
    "item, observer, question, about, view, draws, upto, prompt, picture, state, worst, sent, ended, code, "
    "message, paid, model, fingerprint, identity, prompt_tokens, answer_tokens, cached_tokens, price, seconds"
)
# What of them says which item it was about -> what stands there instead.
WITHOUT_ITEM = {
    **dict.fromkeys(("item", "about", "prompt", "picture"), "''"),
    "draws": "'[]'",
    "upto": "0",
    "identity": "NULL",
    "message": "CASE WHEN state = 'failed' THEN 'about an item that another run has, too' END",
}
PARTS = """
CREATE TEMP TABLE parts (item TEXT, run INTEGER, answers INTEGER, first REAL, PRIMARY KEY (item, run));
CREATE TEMP TABLE others (item TEXT, run INTEGER, PRIMARY KEY (item, run));
"""
# The items of each table of a ledger, with how many answers they have and when they were asked about first.
PARTS_OF = {
    "requests": "SELECT item, 0 AS answers, min(sent) AS first FROM joined.requests GROUP BY item",
    "choices": "SELECT item, count(*), NULL FROM joined.choices GROUP BY item",
    "observed": "SELECT DISTINCT item, 0, NULL FROM joined.observed",
    "settled": "SELECT item, 0, NULL FROM joined.settled",
}
OTHERS = """
INSERT INTO others SELECT item, run FROM (
SELECT item, run,
row_number() OVER (PARTITION BY item ORDER BY answers DESC, ifnull(first, 9e99), run) AS place
FROM parts) WHERE place > 1
"""
DOUBLES = """
SELECT o.item, o.run, p.answers, (SELECT run FROM parts k WHERE k.item = o.item
AND NOT EXISTS (SELECT 1 FROM others x WHERE x.item = k.item AND x.run = k.run))
FROM others o JOIN parts p USING (item, run) ORDER BY o.item, o.run
"""
ITS_OWN = "item NOT IN (SELECT item FROM others WHERE run = ?)"
# The same request to the same server, as copies of a folder have it.
SAME_REQUEST = """
SELECT 1 FROM main.requests m WHERE m.item = r.item AND m.observer = r.observer AND m.question = r.question
AND m.about = r.about AND m.view = r.view AND m.draws = r.draws AND m.sent = r.sent
"""


@dataclass(frozen=True)
class DoubleItem:
    """An item that another run has, too. left_out, kept: numbers of the runs; answers: that are left out."""

    item: str
    left_out: int
    kept: int
    answers: int


def join_ledgers(folder: Path, sources: Sequence[Path]) -> list[DoubleItem]:
    """Write the ledger of a folder, which has none, of those of other runs, which nobody changes meanwhile.

    No facts of the runs are taken over. Return the items that several runs have.

    Raises:
        engine.SekeError: a batch is on its way; a ledger cannot be read, or the new one be written.
    """
    with (
        plain_errors(folder),
        closing(sqlite3.connect(f"file:{quote(str(folder / NAME))}", uri=True, isolation_level=None)) as db,
    ):
        db.executescript(TABLES + PARTS)
        for run, source in enumerate(sources):
            with _attached(db, source):
                tables = " UNION ALL ".join(PARTS_OF[name] for name in PARTS_OF if _has_table(db, name))
                db.execute(
                    "INSERT INTO parts SELECT item, ?, sum(answers), min(first) "
                    f"FROM ({tables}) WHERE item != '' GROUP BY item",
                    (run,),
                )
        db.execute(OTHERS)
        doubles = [DoubleItem(item, run, kept, answers) for item, run, answers, kept in db.execute(DOUBLES)]
        for run, source in enumerate(sources):
            with _attached(db, source):
                _copy(db, run)
        for run in sorted({double.left_out for double in doubles}):
            with _attached(db, sources[run]):
                _copy_left_out(db, run)
    return doubles


@contextmanager
def _attached(db: sqlite3.Connection, folder: Path) -> Iterator[None]:
    """Have the ledger of another run in reach, as `joined`, in a transaction."""
    with plain_errors(folder):
        db.execute("ATTACH ? AS joined", (f"file:{quote(str(folder / NAME))}?mode=ro",))
        try:
            _check_batches(db, folder)
            db.execute("BEGIN")
            yield
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
            db.execute("DETACH joined")


def _check_batches(db: sqlite3.Connection, folder: Path) -> None:
    # A ledger of the first version knows no batches.
    if (
        _has_table(db, "batches")
        and db.execute("SELECT count(*) FROM joined.batches WHERE over = 0").fetchone()[0]
    ):
        raise SekeError(
            f"{folder}: a batch is on its way; give the same `seke annotate` command again, which waits for "
            "it, and join the runs then"
        )


def _copy(db: sqlite3.Connection, run: int) -> None:
    """Copy from the attached ledger what it has of its own items."""
    system = "system" if _has_column(db, "prompts", "system") else "''"
    reasoned = "reasoning_tokens" if _has_column(db, "requests", "reasoning_tokens") else "NULL"
    first = _newest(db)
    db.execute(
        "INSERT OR IGNORE INTO main.prompts (digest, text, form, system) "
        f"SELECT digest, text, form, {system} FROM joined.prompts"
    )
    if _has_table(db, "stated"):
        db.execute("INSERT OR IGNORE INTO main.stated SELECT prompt, given FROM joined.stated")
    planned = f"{KEY}, upto, prompt, picture"
    if _has_table(db, "planned"):
        db.execute(
            f"INSERT INTO main.planned ({planned}) SELECT {planned} FROM joined.planned WHERE {ITS_OWN}",
            (run,),
        )
    db.execute(
        f"INSERT INTO main.requests (number, {COLUMNS}, reasoning_tokens) "
        f"SELECT number + ?, {COLUMNS}, {reasoned} FROM joined.requests WHERE {ITS_OWN} ORDER BY number",
        (first, run),
    )
    answers = "text, finish, refusal, record, status, passed_over"
    db.execute(
        f"INSERT INTO main.choices ({KEY}, draw, request, {answers}) "
        f"SELECT {KEY}, draw, request + ?, {answers} FROM joined.choices WHERE {ITS_OWN}",
        (first, run),
    )
    for table, columns in (("observed", "item, number, record"), ("settled", "item, reason")):
        if _has_table(db, table):
            db.execute(
                f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM joined.{table} WHERE {ITS_OWN}",
                (run,),
            )


def _copy_left_out(db: sqlite3.Connection, run: int) -> None:
    """Copy from the attached ledger what the requests cost whose answers are left out."""
    reasoned = "reasoning_tokens" if _has_column(db, "requests", "reasoning_tokens") else "NULL"
    columns = [WITHOUT_ITEM.get(name, name) for name in COLUMNS.split(", ")]
    db.execute(
        f"INSERT INTO main.requests (number, {COLUMNS}, reasoning_tokens) "
        f"SELECT number + ?, {', '.join(columns)}, {reasoned} FROM joined.requests r "
        f"WHERE NOT ({ITS_OWN}) AND NOT EXISTS ({SAME_REQUEST}) ORDER BY number",
        (_newest(db), run),
    )


def _newest(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT ifnull(max(number), 0) FROM main.requests").fetchone()[0])


def _has_table(db: sqlite3.Connection, table: str) -> bool:
    names = db.execute("SELECT count(*) FROM joined.sqlite_master WHERE name = ?", (table,))
    return bool(names.fetchone()[0])


def _has_column(db: sqlite3.Connection, table: str, column: str) -> bool:
    return any(row[1] == column for row in db.execute(f"PRAGMA joined.table_info({table})"))
