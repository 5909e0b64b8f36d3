"""Whether the numbers of an observer's answers to a question are on the scale that was asked for.

An answer with a number outside of it has no evidence in any of its numbers. Where many answers have such, the
others only seem to fit: a 1 on a scale from 1 to 9 is no 1 on one from -1 to 1. Then no number of this
observer's answers to this question is evidence, and records are made anew.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine import Knowledge
    from seke.runs.ledger import Ledger
    from seke.vision.messages import Choice

    Record = dict[str, Any]
    Asking = tuple[str, str]
    # An earlier record and the answer as it came -> the record anew.
    Reread = Callable[[Mapping[str, Any], Choice], Record]

# Answers with numbers after which it is decided for the first time.
FIRST = 40
# Answers with a number outside, at least and as a share, that say so. A model that slips in 2 of 100 answers
# has 4 of 40 with a probability of .008 (binomial); of another scale, on which half of the answers lie inside
# by chance, fewer than 4 of 40 lie outside with one of 1e-8.
FEWEST, SHARE = 3, 0.1
# The fact of a run that names observers and questions whose numbers are no evidence.
OTHER_SCALE = "other_scale"


@dataclass
class NumberScales:
    """What is known of the scales of a run. other: observer and question whose numbers are no evidence.

    ranges: question -> lowest and highest number that it asks for. declarable: whether the base may declare
    another scale of these questions. answers, outside: of each observer and question, how many answers have
    numbers, and some outside.
    """

    base: Knowledge
    ranges: Mapping[str, tuple[float, float]]
    declarable: bool = True
    other: set[Asking] = field(default_factory=set)
    answers: Counter[Asking] = field(default_factory=Counter)
    outside: Counter[Asking] = field(default_factory=Counter)
    example: dict[Asking, float] = field(default_factory=dict)

    @classmethod
    def of_questions(cls, base: Knowledge) -> NumberScales:
        """Return the scales that the questions of a base ask for; nothing is known of answers."""
        ranges = {}
        for name, question in base.questions.items():
            members = [base.variables[member] for member in question.variables]
            edges = next((member.edges for member in members if member.kind == "interval"), None)
            if edges is not None:
                ranges[name] = question.scale or (edges[0], edges[-1])
        return cls(base, ranges)

    def resume(self, ledger: Ledger) -> None:
        """Take up what an earlier process noted, and the counts of the answers that there are."""
        self.other = {(pair[0], pair[1]) for pair in ledger.facts(OTHER_SCALE).get(OTHER_SCALE, [])}
        for observer, question, answers, outside in ledger.count_numbers(self.base.intervals):
            self.answers[observer, question] = answers
            self.outside[observer, question] = outside

    def apply(self, record: Record) -> Record:
        """Return a record, without its numbers where these are on another scale; they are told as unread."""
        if (record["observer"], record["question"]) not in self.other:
            return record
        numbers = {name: record[name] for name in self.base.intervals if name in record}
        inner = record.get("reports", {})
        within = {name: inner[name] for name in self.base.intervals if name in inner}
        if not numbers and not within:
            return record
        kept = {name: value for name, value in record.items() if name not in (*numbers, "reports")}
        reports = {name: value for name, value in inner.items() if name not in within}
        kept |= {"reports": reports} if reports else {}
        extra = dict(record.get("extra", {}))
        extra["unread"] = [*extra.get("unread", ()), *numbers, *within]
        empty = not any(name in kept for name in (*self.base.levels, *self.base.variables, "reports"))
        status = {"status": "unreadable"} if empty else {}
        return {**kept, **status, "extra": {**extra, "other_scale": True}}

    def count(self, records: Sequence[Record]) -> None:
        """Count answers that came."""
        for record in records:
            asking, extra = (record["observer"], record["question"]), record.get("extra", {})
            given = {**record, **record.get("reports", {})}
            if "off_scale" in extra:
                self.outside[asking] += 1
                self.example.setdefault(asking, next(iter(extra["off_scale"].values())))
            if "off_scale" in extra or "other_scale" in extra or set(self.base.intervals) & set(given):
                self.answers[asking] += 1

    def due(self, asking: Asking) -> bool:
        """Say whether there are enough answers to decide, and their numbers are on another scale."""
        return asking not in self.other and self.answers[asking] >= FIRST and self._is_other(asking)

    def differing(self) -> set[Asking]:
        """Return, in the end, those for which all answers together say otherwise than was decided."""
        return {asking for asking in self.answers if self._is_other(asking)} ^ self.other

    def _is_other(self, asking: Asking) -> bool:
        return self.outside[asking] >= max(FEWEST, SHARE * self.answers[asking])

    async def settle(self, ledger: Ledger, reread: Reread, problems: Callable[[str], None]) -> None:
        """Decide in the end whether the numbers of all answers are on the scale that was asked for."""
        for asking in sorted(self.differing()):
            problems(await self.change(asking, ledger, reread))

    async def change(self, asking: Asking, ledger: Ledger, reread: Reread) -> str:
        """Decide otherwise about an observer and a question, make their records anew, and say so."""
        self.other ^= {asking}
        ledger.note({OTHER_SCALE: sorted(self.other)})
        await ledger.reread(*asking, reread)
        return self.words(asking)

    def words(self, asking: Asking) -> str:
        """Return what is decided about the numbers of an observer's answers to a question."""
        observer, name = asking
        counts = f"{self.outside[asking]} of {self.answers[asking]} answers of {observer} to question {name}"
        low, high = self.ranges[name]
        example = f", such as {self.example[asking]:g}" if asking in self.example else ""
        outside = f"{counts} have numbers outside {low:g} to {high:g}{example}"
        if asking not in self.other:
            return f"only {outside}; the numbers of the others are evidence again"
        cure = (
            "Say in the prompt which scale is meant, or declare the one that the model uses, such as "
            f"`questions: {{{name}: {{scale: [1, 9]}}}}`"
            if self.declarable
            else "They count as unreadable"
        )
        return f"{outside}: they are on another scale, and none of their numbers is evidence. {cure}"

    def notes(self) -> list[str]:
        """Return what is to be said in the end."""
        return [self.words(asking) for asking in sorted(self.other)]
