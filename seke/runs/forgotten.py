"""Items that a run has forgotten: what stays of them is money, counts of requests and salted digests.

A name cannot be read off a digest, and digests of two runs cannot be compared, since each has a salt of its
own. Whoever holds a run and guesses a name can test the guess; that much is needed to not ask again.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from shutil import copyfile
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.runs.ledger import NAME, STATEMENT_ITEMS, TABLES, plain_errors, read_only

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

# The fact of a run that holds the digests, and those that count items or answers, or name items.
FORGOTTEN = "forgotten"
COUNTED, GIVEN, WAITING, NAMED = "items", "given", "waiting", "pilot"
# Bytes of a digest: among a million names two are alike with a probability of about 2e-12.
DIGEST_BYTES = 10
OF_ITEMS = ("planned", "choices", "observed", "settled")
# Tokens, prices and times stay. No item is called "".
REQUESTS = """
UPDATE requests SET item = '', about = '', draws = '[]', upto = 0, prompt = '', picture = '', identity = NULL,
message = CASE WHEN state = 'failed' THEN 'about an item that was forgotten' END WHERE item IN (%s)
"""
UNUSED_PROMPTS = """
DELETE FROM prompts WHERE digest NOT IN (SELECT prompt FROM requests UNION SELECT prompt FROM planned)
"""
UNUSED_STATED = "DELETE FROM stated WHERE prompt NOT IN (SELECT digest FROM prompts)"
ON_THEIR_WAY = """
SELECT DISTINCT item FROM batches b, json_each(b.numbers) JOIN requests ON number = value
WHERE over = 0 AND state = 'sent'
"""
IN_LEDGER = " UNION ".join(f"SELECT item FROM {table}" for table in (*OF_ITEMS, "requests"))


@dataclass(frozen=True)
class ForgottenItems:
    """Which items, and which persons (groups), a run has forgotten: digests with a salt.

    items: how many of them are items. former: what runs had forgotten that were joined into this one.
    """

    salt: str = ""
    digests: frozenset[str] = frozenset()
    items: int = 0
    former: tuple[ForgottenItems, ...] = ()

    @classmethod
    def of(cls, folder: Path) -> ForgottenItems:
        """Return those of a run; none where there is no ledger."""
        if not (folder / NAME).is_file():
            return cls()
        with read_only(folder) as db:
            return cls.in_ledger(db)

    @classmethod
    def in_ledger(cls, db: sqlite3.Connection) -> ForgottenItems:
        """Return those of an open ledger."""
        tables = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'facts'").fetchone()[0]
        row = tables and db.execute("SELECT value FROM facts WHERE name = ?", (FORGOTTEN,)).fetchone()
        return cls._from_fact(json.loads(row[0]) if row else {})

    @classmethod
    def _from_fact(cls, stored: Mapping[str, Any]) -> ForgottenItems:
        former = tuple(map(cls._from_fact, stored.get("former", ())))
        return cls(
            stored.get("salt", ""), frozenset(stored.get("digests", ())), stored.get("items", 0), former
        )

    @classmethod
    def joined(cls, of_runs: Iterable[ForgottenItems]) -> ForgottenItems:
        """Return what any of several runs has forgotten."""
        former = tuple(forgotten for forgotten in of_runs if forgotten)
        return cls(items=sum(forgotten.items for forgotten in former), former=former)

    def __bool__(self) -> bool:
        """Whether anything was forgotten."""
        return bool(self.digests or self.former)

    def has(self, item: str, group: str | None = None) -> bool:
        """Return whether an item, or its person, was forgotten."""
        if any(forgotten.has(item, group) for forgotten in self.former):
            return True
        if not self.digests:
            return False
        return _digest(self.salt, "item", item) in self.digests or (
            group is not None and _digest(self.salt, "group", group) in self.digests
        )

    def has_group(self, group: str) -> bool:
        """Return whether a person was forgotten."""
        former = any(forgotten.has_group(group) for forgotten in self.former)
        return former or _digest(self.salt, "group", group) in self.digests

    def including(self, items: Iterable[str], groups: Iterable[str]) -> ForgottenItems:
        """Return these with further items and persons."""
        salt = self.salt or secrets.token_hex(DIGEST_BYTES)
        of_items = {_digest(salt, "item", item) for item in items} - self.digests
        of_groups = {_digest(salt, "group", group) for group in groups}
        digests = self.digests | of_items | of_groups
        return ForgottenItems(salt, digests, self.items + len(of_items), self.former)

    def as_fact(self) -> dict[str, Any]:
        """Return them as the ledger keeps them."""
        former = [forgotten.as_fact()[FORGOTTEN] for forgotten in self.former]
        fact = {"salt": self.salt, "digests": sorted(self.digests), "items": self.items}
        return {FORGOTTEN: {**fact, "former": former} if former else fact}


def _digest(salt: str, kind: str, name: str) -> str:
    text = f"{salt}\0{kind}\0{name}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=DIGEST_BYTES).hexdigest()


def items_in_ledger(folder: Path) -> set[str]:
    """Return all items that a run's ledger names."""
    with read_only(folder) as db:
        return {item for (item,) in db.execute(IN_LEDGER)} - {""}


def write_ledger_without(
    folder: Path,
    output: Path,
    items: Collection[str],
    groups: Collection[str],
    given: Mapping[str, int],
    waiting: Mapping[str, int],
    listed: int,
) -> None:
    """Write the ledger of a run, which nobody else uses, without items; the money spent stays.

    given, waiting: observer -> samples about these items that the run was given, and items that wait for it.
    listed: how many of the items are in the run's list.

    Raises:
        engine.SekeError: another process reads it; requests about an item are still on their way.
    """
    with plain_errors(folder):
        with closing(sqlite3.connect(folder / NAME, timeout=30, isolation_level=None)) as db:
            _check_batches(db, folder, items)
            # All that is in the log, so that the file alone is the ledger.
            busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise SekeError(
                f"{folder}: another process reads this run; wait for it, and give the command again"
            )
        copyfile(folder / NAME, output)
        with closing(sqlite3.connect(output, isolation_level=None)) as copy:
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.executescript(TABLES)
            copy.execute("BEGIN")
            _take_out(copy, sorted(items))
            facts = {n: json.loads(v) for n, v in copy.execute("SELECT name, value FROM facts").fetchall()}
            changed = _facts_without(facts, items, given, waiting, listed)
            changed |= ForgottenItems.in_ledger(copy).including(items, groups).as_fact()
            rows = [(name, json.dumps(value)) for name, value in changed.items()]
            copy.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", rows)
            copy.execute("COMMIT")
            # Deleted rows are still in the file until it is written anew.
            copy.execute("VACUUM")


def _check_batches(db: sqlite3.Connection, folder: Path, items: Collection[str]) -> None:
    if not db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'batches'").fetchone()[0]:
        return
    on_their_way = sorted({item for (item,) in db.execute(ON_THEIR_WAY)}.intersection(items))
    if on_their_way:
        raise SekeError(
            f"{folder}: requests about {on_their_way[0]!r} are in a batch that is on its way; give the same "
            "`seke annotate` command again, which waits for it, and forget the item then"
        )


def _take_out(db: sqlite3.Connection, items: list[str]) -> None:
    for start in range(0, len(items), STATEMENT_ITEMS):
        batch = items[start : start + STATEMENT_ITEMS]
        marks = ", ".join("?" * len(batch))
        for table in OF_ITEMS:
            db.execute(f"DELETE FROM {table} WHERE item IN ({marks})", batch)
        db.execute(REQUESTS % marks, batch)
    db.execute(UNUSED_PROMPTS)
    db.execute(UNUSED_STATED)


def _facts_without(
    facts: Mapping[str, Any],
    items: Collection[str],
    given: Mapping[str, int],
    waiting: Mapping[str, int],
    listed: int,
) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    if COUNTED in facts:
        changed[COUNTED] = max(facts[COUNTED] - listed, 0)
    if NAMED in facts:
        changed[NAMED] = [name for name in facts[NAMED] if name not in items]
    for name, counts in ((GIVEN, given), (WAITING, waiting)):
        if name in facts:
            changed[name] = dict(Counter(facts[name]) - Counter(counts))
    return changed
