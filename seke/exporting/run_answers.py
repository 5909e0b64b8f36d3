"""All answers about the items of a run, whoever gave them: who, what was asked, and a digest of the text."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec

from engine import SekeError
from seke.runs.ledger import NAME, STATEMENT_ITEMS, plain_errors
from seke.runs.run_folder import SAMPLES
from seke.samples.spelling import name_meant, other_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine import Knowledge
    from seke.runs.run_folder import RunFolder

    Record = dict[str, Any]

# Columns of an answer: text, but for `draw`.
COLUMNS = ("observer", "model", "question", "about", "view", "draw", "status", "text_sha256")
CHOICES = """
SELECT c.item, c.observer, r.model, c.question, c.about, c.view, c.draw, c.status, c.text
FROM choices c LEFT JOIN requests r ON c.request = r.number WHERE passed_over = 0 AND c.item IN (%s)
ORDER BY c.item, c.request, c.draw
"""


class _Sample(msgspec.Struct):
    """What is needed of a sample."""

    item: str
    observer: str
    question: str = ""
    draw: int = 0
    view: str = ""
    status: str = "ok"
    extra: dict[str, Any] | None = None


class RunAnswers:
    """Reads the answers about items from a run's ledger, and those of others from its samples.

    votes: item -> state of the base's root -> people who read it so, of those who saw no prediction.
    """

    def __init__(self, run: RunFolder, base: Knowledge) -> None:
        self.folder = run.folder
        self.votes: dict[str, Counter[str]] = {}
        self._places: dict[str, list[tuple[int, int]]] = {}
        self._paid = {run.facts["observer"], *run.facts["also"]}
        people = {name for name, observer in base.observers.items() if observer.people}
        for sample, line, start in self._samples():
            if sample.observer in self._paid:
                continue
            self._places.setdefault(sample.item, []).append((start, len(line)))
            if sample.observer in people:
                vote = vote_in(json.loads(line), base)
                if vote:
                    self.votes.setdefault(sample.item, Counter())[vote] += 1

    def _samples(self) -> Iterator[tuple[_Sample, bytes, int]]:
        """Yield the samples, each with its line and where that begins."""
        path = self.folder / SAMPLES
        if not path.is_file():
            return
        decode, start = msgspec.json.Decoder(_Sample).decode, 0
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield decode(line), line, start
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise SekeError(f"{path}:{number}: cannot be read ({error})") from None
                start += len(line)

    def of(self, items: Sequence[str]) -> dict[str, list[Record]]:
        """Return item -> its answers, each with COLUMNS; text_sha256 is null where there is no text."""
        answers: dict[str, list[Record]] = {item: [] for item in items}
        with plain_errors(self.folder), closing(self._open()) as db:
            for start in range(0, len(items), STATEMENT_ITEMS):
                batch = items[start : start + STATEMENT_ITEMS]
                for item, *columns, text in db.execute(CHOICES % ", ".join("?" * len(batch)), batch):
                    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
                    answers[item].append(dict(zip(COLUMNS, (*columns, digest), strict=True)))
        for item, of_others in self._of_others(items):
            answers[item].append(of_others)
        return answers

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.folder / NAME}?mode=ro", timeout=30, uri=True)

    def _of_others(self, items: Sequence[str]) -> Iterator[tuple[str, Record]]:
        """Yield the answers of those whom nobody pays: people, programs, and the labels of the set."""
        if not any(item in self._places for item in items):
            return
        with (self.folder / SAMPLES).open("rb") as file:
            for item in items:
                for start, length in self._places.get(item, ()):
                    file.seek(start)
                    sample = msgspec.convert(json.loads(file.read(length)), _Sample)
                    about = (sample.extra or {}).get("about") or ""
                    values = (sample.question, about, sample.view, sample.draw, sample.status, None)
                    yield item, dict(zip(COLUMNS, (sample.observer, None, *values), strict=True))


def vote_in(sample: Record, base: Knowledge) -> str:
    """Return what a sample says of the base's root; no text where it names no state or was told something."""
    value = (sample.get("reports") or sample).get(base.root)
    if not isinstance(value, str) or sample.get("given"):
        return ""
    root = base.variables[base.root]
    return name_meant(value, root.states, other_words(root), {}) or ""
