"""Answers -> records in the bytes of their file, and what a summary notes of them: the work of a process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seke.console.infer_summary import InferSummary
from seke.console.summary_counts import SummaryPart, part_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine import Answers
    from seke.inference.session import Session


@dataclass(frozen=True)
class MadeRecords:
    """Some records as their writer takes them, None where nothing is written, and what is noted of them."""

    encoded: Any
    noted: SummaryPart


@dataclass(frozen=True)
class RecordMaker:
    """Makes the records of a session; encode: `Writer.encoder`, None where they are shown as a table."""

    session: Session
    encode: Callable[[list[dict[str, Any]]], Any] | None

    def __call__(self, answers: Answers) -> MadeRecords:
        """Return the records of some items."""
        records = self.session.records(answers)
        summary = InferSummary(self.session.knowledge)
        summary.add(records)
        summary.add_looks(self.session.inference, answers)
        encoded = None if self.encode is None else self.encode(records)
        return MadeRecords(encoded, part_of(summary, with_rows=self.encode is None))
