"""Questions and answers of an export in other words, by a language model: `seke export --rewrite`.

Each that is prose is sent once, alone, without picture or name. What comes back is read (`text_claims`) and
takes its place only where it says the same, sentence by sentence; else the text stays as it was, and the
reason is counted. Every request is in a ledger of its own in the folder of the run, so
that nothing is paid for twice: neither by a further export, nor after an end halfway.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import unicodedata
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.exporting.text_claims import DIFFERENCES, ClaimReader, Difference
from seke.progress import task
from seke.prompts.object_reader import answer_part, parse_object
from seke.runs.failures import nothing_answered
from seke.runs.ledger import Ledger, plain_errors, read_only
from seke.runs.run_coroutine import run_coroutine, run_together
from seke.runs.run_folder import REWORDINGS, make_run_folder
from seke.sampling.loop import Request
from seke.vision.errors import FatalError, UnansweredError
from seke.vision.messages import NO_PICTURE, Call, Prompt
from seke.vision.signals import interrupts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from seke.exporting.instruction_row import InstructionRow
    from seke.exporting.wording import Wording
    from seke.vision.messages import Choice, Model, Settings

    Record = dict[str, Any]

# How the answer is asked for.
SCHEMA = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}
# What prose ends with; answers of one word, lists of numbers and JSON are what was asked for, and stay.
PROSE_ENDS = (".", "!", "?")
# Answers that are no rewording, besides those that claim something else.
NO_ANSWER, REFUSED, CUT, EMPTY, SAME = "no answer", "refused", "cut off", "empty", "word for word the same"
# A text that says nothing clear itself, in a user's words, is not sent.
UNREAD = "the text itself cannot be read"
ANSWERED_BY = "SELECT DISTINCT model FROM requests WHERE state = 'answered' AND observer = ? ORDER BY model"
# Of each reason the most frequent differences are named.
MOST_EXAMPLES = 10


@dataclass
class Rewriter:
    """The language model that rewords, and how it is asked.

    model: a client, such as `seke.vision.client.Endpoint`. max_cost: USD, of all that was ever spent on
    rewording the run; it needs prices. problems: is told what goes wrong. stopping: ends it when set.
    """

    model: Model
    settings: Settings
    max_cost: float | None = None
    concurrency: int = 16
    problems: Callable[[str], None] = print
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


class Rewordings:
    """The rewordings of an export under way; to be closed.

    kept: reason -> texts that stay as they were; examples: reason -> what differed in some of them.
    """

    def __init__(self, rewriter: Rewriter, run: Path, wording: Wording) -> None:
        """Open the ledger of a run's rewordings, a new one where there is none.

        Raises:
            engine.SekeError: the language says nothing of rewordings; another process is at them.
        """
        self.rewriter, self.folder = rewriter, run / REWORDINGS
        self.reader = ClaimReader(wording)
        self.system = self.reader.words.words.system
        how = json.dumps(rewriter.settings.as_facts(), sort_keys=True)
        self._how = hashlib.sha256(how.encode()).hexdigest()
        self.reworded = 0
        self.kept: Counter[str] = Counter()
        self.examples: dict[str, Counter[str]] = {}
        self._is_clear = lru_cache(maxsize=4096)(self.reader.is_clear)
        make_run_folder(self.folder)
        self.ledger = Ledger(self.folder, _record_of, rewriter.max_cost)
        self.ledger.note({"model": rewriter.settings.model, "settings": rewriter.settings.as_facts()})

    def close(self) -> None:
        """Let others have the ledger."""
        self.ledger.close()

    # Asking -------------------------------------------------------------------------------------------

    def ask(self, rows: Iterable[tuple[str, InstructionRow]]) -> None:
        """Ask for a rewording of each text that has none yet; rows: (item, row).

        Raises:
            engine.SekeError: something ended it early; what was answered is kept.
        """
        with plain_errors(self.folder), task("rewording", unit="texts", soon=True) as progress:
            calls = (call for item, row in rows for call, _ in self._calls(item, row))
            stopping, problems = self.rewriter.stopping, self.rewriter.problems
            stopped = run_coroutine(self._ask_all(calls, progress.advance), stopping, problems)
        if stopped:
            count = self.ledger.totals().answers
            raise SekeError(
                f"--rewrite: {stopped}; nothing was written. {count:,} answers are paid and kept in "
                f"{self.folder}: the same command goes on from there"
            )

    async def _ask_all(self, calls: Iterator[Call], advance: Callable[[], None]) -> str:
        """Ask; return why it stopped early, or no text."""
        model: Any = self.rewriter.model
        stopping, reasons = self.rewriter.stopping, list[str]()

        async def work() -> None:
            for call in calls:
                if stopping.is_set():
                    return
                try:
                    await self._ask(call)
                except FatalError as error:
                    # Nothing more is sent; answers under way are still received.
                    reasons.append(str(error))
                    stopping.set()
                advance()

        async with model if hasattr(model, "__aenter__") else nullcontext():
            if hasattr(model, "check"):
                await model.check()
                for client in getattr(model, "endpoints", (model,)):
                    client.failures.answered |= bool(self.ledger.answers_by())
            with interrupts(stopping, self.rewriter.problems):
                try:
                    await run_together(work() for _ in range(self.rewriter.concurrency))
                except asyncio.CancelledError:
                    if not stopping.is_set():
                        raise
        if reasons or stopping.is_set():
            return reasons[0] if reasons else "interrupted"
        return nothing_answered(self.folder, self.ledger.totals().answers)

    async def _ask(self, call: Call) -> None:
        """Ask for a rewording that is not in the ledger; without an answer the problem is told."""
        if self.ledger.choices(call, (0,)) or not self._is_clear(call.prompt.text):
            return
        try:
            await self.rewriter.model.ask(call, self.ledger)
        except UnansweredError as error:
            self.rewriter.problems(f"{call.request.item}, {call.request.question}: {error.reason}")

    def _calls(self, item: str, row: InstructionRow) -> Iterator[tuple[Call, int]]:
        """Yield a request for each text of a row that can be reworded, and the text's place in it."""
        for place, text in enumerate(text for turn in row.turns for text in turn):
            if not text.endswith(PROSE_ENDS):
                continue
            prompt = Prompt.of(text, SCHEMA, self.system)
            # The text, not its place alone: other words, or another way of asking, are another request.
            digest = hashlib.sha256(f"{prompt.digest}{self._how}".encode()).hexdigest()[:16]
            about = f"{row.number}.{place} {digest}"
            request = Request(item, self.rewriter.settings.model, row.task, about, "text", 0, 1)
            yield Call(request, prompt, NO_PICTURE), place

    # Reading ------------------------------------------------------------------------------------------

    def reword(self, item: str, row: InstructionRow) -> InstructionRow:
        """Return a row with the rewordings that say the same as its texts."""
        texts = [text for turn in row.turns for text in turn]
        changed = False
        for call, place in self._calls(item, row):
            text = self._rewording_of(call, asked=place % 2 == 0)
            if text is not None:
                texts[place], changed = text, True
        if not changed:
            return row
        turns = tuple(zip(texts[::2], texts[1::2], strict=True))
        frame = f"{texts[0]} {self.reader.without_claims(texts[1])}" if row.frame else ""
        return replace(row, turns=turns, frame=frame, reworded_by=self.rewriter.settings.model)

    def _rewording_of(self, call: Call, *, asked: bool) -> str | None:
        """Return the rewording of a text; None, and the reason counted, where there is none.

        asked: whether it is a question.
        """
        choices, original = self.ledger.choices(call, (0,)), call.prompt.text
        difference: Difference | None
        if not self._is_clear(original):
            difference = Difference(UNREAD)
        elif not choices:
            difference = Difference(NO_ANSWER)
        else:
            text = text_of(choices[0])
            difference = _no_text(choices[0], text, original) or self.reader.difference(
                original, text, asked=asked
            )
            if difference is None:
                self.reworded += 1
                return text
        self.kept[difference.kind] += 1
        # Each unknown word counts by itself: who wants more rewordings declares the most frequent ones.
        words = difference.kind == DIFFERENCES["unknown"]
        whats = difference.what.split(", ") if words else [difference.what]
        self.examples.setdefault(difference.kind, Counter()).update(filter(None, whats))
        return None

    def facts(self) -> Record:
        """Return what export.json says: how many texts were reworded, and why the others were not.

        usd: what all rewordings of the run cost so far, where prices are known.
        """
        totals = self.ledger.totals()
        return {
            "model": self.rewriter.settings.model,
            "answered_by": self._answering_models(),
            "temperature": self.rewriter.settings.temperature,
            "texts": self.reworded + self.kept.total(),
            "reworded": self.reworded,
            "kept": dict(self.kept.most_common()),
            "examples": {
                kind: [what for what, _ in texts.most_common(MOST_EXAMPLES)]
                for kind, texts in self.examples.items()
                if texts
            },
            "usd": None if totals.unpriced else round(totals.spent, 6),
        }

    def _answering_models(self) -> list[str]:
        with read_only(self.folder) as db:
            rows = db.execute(ANSWERED_BY, (self.rewriter.settings.model,))
            return [model for (model,) in rows if model]


def text_of(choice: Choice) -> str:
    """Return the rewording in an answer: the text of its object, or all of it where it has none."""
    whole = unicodedata.normalize("NFC", choice.text)
    parsed = parse_object(whole)
    if parsed is not None and isinstance(parsed.get("text"), str):
        return str(parsed["text"]).strip()
    part = answer_part(whole)
    return part[1:-1].strip() if len(part) > 1 and part[0] == part[-1] == '"' else part


def _no_text(choice: Choice, text: str, original: str) -> Difference | None:
    """Return why an answer is no rewording at all; None where it is one."""
    if choice.refused:
        return Difference(REFUSED)
    if choice.cut:
        return Difference(CUT)
    if not text:
        return Difference(EMPTY)
    return Difference(SAME) if text.split() == original.split() else None


def _record_of(call: Call, choice: Choice) -> Record:
    """Return what the ledger keeps of an answer beside its text."""
    request = call.request
    status = "refused" if choice.refused else "ok" if text_of(choice) else "unreadable"
    return {"item": request.item, "question": request.question, "draw": choice.draw, "status": status}
