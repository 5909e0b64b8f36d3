"""The folder of a run of `seke annotate` -> what an export needs of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine import SekeError
from seke.files.free_folder import check_free
from seke.runs.item_list import ITEMS, decoded_lines, known_items
from seke.runs.ledger import LOCK, OF_SCRIPTED, plain_errors, read_only, status_of
from seke.runs.ledger import NAME as LEDGER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from seke.runs.item_list import KnownItem

    Record = dict[str, Any]

# What `seke annotate` writes into the folder of a run.
POSTERIORS, SAMPLES, SUMMARY, RAW = "posteriors.jsonl", "samples.jsonl", "summary.json", "answers.jsonl"
# What says something about the items of a run, of `seke bench run`, too.
RESULTS = frozenset((POSTERIORS, SAMPLES, "predictions.csv"))
# The base of what `seke review` decided anew, beside it.
ANNOTATORS = "annotators.yaml"
# The folder within a run's in which the rewordings of its exports have a ledger of their own.
REWORDINGS = "rewordings"
# What is said of made-up answers; {}: how many they are.
MADE_UP = "{} answers are made up (scripted): the labels say nothing about the pictures"
MODELS = """
SELECT coalesce(model, ''), coalesce(fingerprint, ''), count(*), min(sent), max(ended)
FROM requests WHERE state = 'answered' GROUP BY 1, 2 ORDER BY 1, 2
"""
PROMPTS = """
SELECT c.question, r.prompt, count(*) FROM choices c JOIN requests r ON c.request = r.number
GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2
"""


def make_run_folder(folder: Path) -> None:
    """Make the folder of a run, if it is not there.

    One that is no run and holds other things is refused: among these a run would be lost.

    Raises:
        engine.SekeError: it is a file, or holds something and has no ledger.
    """
    if not (folder / LEDGER).exists():
        # A run that was cut off as it began may have left the ledger's other files.
        check_free(folder, besides=(".", LOCK, f"{Path(LEDGER).stem}."))
    folder.mkdir(parents=True, exist_ok=True)


def made_up_caution(path: Path) -> str:
    """Return in words that answers behind a run are made up; no text where none is, or where this is no run.

    path: the folder of a run, or a file of it that says something about its items (RESULTS).
    """
    folder = path.parent if path.name in RESULTS else path
    if not (folder / LEDGER).is_file():
        return ""
    with read_only(folder) as db:
        (scripted,), (answers,) = (
            db.execute(query).fetchone() for query in (OF_SCRIPTED, "SELECT count(*) FROM choices")
        )
    return made_up_text(scripted, answers) if scripted else ""


def made_up_text(scripted: int, answers: int) -> str:
    """Return in words that so many answers are made up."""
    share = "all" if scripted == answers else f"{scripted:,} of {answers:,}"
    return MADE_UP.format(share)


@dataclass(frozen=True)
class AnsweringModel:
    """A model that answered a run.

    model, fingerprint: as the server gave them. first, last: day of the requests, in UTC.
    """

    model: str
    fingerprint: str
    requests: int
    first: str
    last: str


@dataclass(frozen=True)
class RunFolder:
    """A run that was annotated. facts: what it was begun with; summary: what it came to.

    prompts: question -> digest of the prompt -> answers to it. answers: all of them; scripted: those that are
    made up.
    """

    folder: Path
    facts: Mapping[str, Any]
    summary: Mapping[str, Any]
    items: Mapping[str, KnownItem]
    models: tuple[AnsweringModel, ...]
    prompts: Mapping[str, Mapping[str, int]]
    answers: int
    scripted: int

    @classmethod
    def read(cls, folder: Path) -> RunFolder:
        """Read all but the posteriors.

        Raises:
            engine.SekeError: no run, or one that was not written to its end.
        """
        facts, _, totals = status_of(folder)
        for name in (POSTERIORS, SUMMARY, ITEMS):
            if not (folder / name).is_file():
                raise SekeError(
                    f"{folder}: has no {name}; give the same `seke annotate` command again: it writes the "
                    "file and repeats no request"
                )
        try:
            summary = msgspec.json.decode((folder / SUMMARY).read_bytes())
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise SekeError(f"{folder / SUMMARY}: cannot be read ({error})") from None
        items = known_items(folder)
        with (
            plain_errors(folder),
            closing(sqlite3.connect(f"file:{folder / LEDGER}?mode=ro", uri=True)) as db,
        ):
            models = tuple(
                AnsweringModel(model, mark, count, _day(first), _day(last))
                for model, mark, count, first, last in db.execute(MODELS)
            )
            prompts: dict[str, dict[str, int]] = {}
            for question, digest, count in db.execute(PROMPTS):
                prompts.setdefault(question, {})[digest] = count
        counts = totals.answers, totals.scripted
        return cls(folder, {"also": {}, **facts}, summary, items, models, prompts, *counts)

    def cautions(self) -> Iterator[str]:
        """Yield what whoever takes labels of the run should know first."""
        if self.scripted:
            yield made_up_text(self.scripted, self.answers)
        if not self.summary["finished"]:
            yield "the run is not finished; items that are not settled may still get other labels"

    def records(self) -> Iterator[Record]:
        """Yield the posterior records, in the order of the items.

        Raises:
            engine.SekeError: a line that cannot be read; an item that the run does not know.
        """
        for record in decoded_lines(self.folder / POSTERIORS, dict[str, Any]):
            if record.get("item") not in self.items:
                what = f"item {record.get('item')!r} is not in {ITEMS}"
                raise SekeError(f"{self.folder / POSTERIORS}: {what}; the files are of different runs")
            yield record


def base_to_name(folder: Path) -> str:
    """Return in words how to name the base of a run: the one beside it, where it has one."""
    path = folder / ANNOTATORS
    return f"name its base with -k {path}" if path.is_file() else "name its base with -k"


def _day(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).date().isoformat()
