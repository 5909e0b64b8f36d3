"""Answers about items with the gold of the same items: what is fitted to, planned from and certified on."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import Answers, Gold, SekeError
from seke.sampling.infer import batches
from seke.tables.label_table import LabelTable, labels_from, read_labels

if TYPE_CHECKING:
    from engine import Bools, Knowledge


def gold_table(gold: Any, base: Knowledge, groups: str = "") -> LabelTable:
    """Return a label table, a file or rows as mappings, as read; groups: as in `read_labels`.

    Raises:
        engine.AnswerError: a line for each fault.
    """
    return (read_labels if isinstance(gold, str | Path) else labels_from)(gold, base, groups)


@dataclass(frozen=True)
class LabelledAnswers:
    """Answers about N items, and what is known of these.

    gold: NaN where it is unknown, without variables where there is none. groups: (N,) the subject of each
    item, None where unknown; None where no column of the gold tells it.
    """

    answers: Answers
    gold: Gold
    groups: tuple[str | None, ...] | None

    @classmethod
    def read(
        cls, sources: list[Any], base: Knowledge, table: LabelTable | None, groups: str = ""
    ) -> LabelledAnswers:
        """Read sample files or records, and look their items up in the gold.

        groups: the column of the table that names subjects; empty where there is none.

        Raises:
            engine.AnswerError: samples that cannot be read.
            engine.SekeError: no samples.
        """
        parts = list(batches(sources, base))
        if not parts:
            raise SekeError("there are no samples")
        answers = Answers.stacked(parts)
        if table is None:
            return cls(answers, Gold({}), None)
        return cls(answers, table.gold_of(answers.items), table.groups_of(answers.items) if groups else None)

    @cached_property
    def known(self) -> Bools:
        """Which items have any gold, (N,)."""
        return self.gold.known(len(self.answers.items))

    def only(self, chosen: Bools) -> LabelledAnswers:
        """Return the items of a mask (N,)."""
        groups = None if self.groups is None else tuple(itertools.compress(self.groups, chosen))
        return LabelledAnswers(self.answers.only(chosen), self.gold.only(chosen), groups)
