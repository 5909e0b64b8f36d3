"""Answers about items with the gold of the same items: what is fitted to, planned from and certified on."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import Answers, Gold, GoldEvidence, SekeError
from seke.console.gold_evidence_text import KEEP, gold_evidence_text
from seke.samples import SingleSamples
from seke.sampling.infer import batches
from seke.tables.label_table import LabelTable, labels_from, read_labels

if TYPE_CHECKING:
    from engine import Bools, Knowledge


def gold_table(gold: Any, base: Knowledge, groups: str = "") -> LabelTable:
    """Return a label table, a file or rows as mappings, as read; groups: as in `read_labels`.

    One that was read already is returned as it is.

    Raises:
        engine.AnswerError: a line for each fault.
    """
    if isinstance(gold, LabelTable):
        return gold
    return (read_labels if isinstance(gold, str | Path) else labels_from)(gold, base, groups)


@dataclass(frozen=True)
class LabelledAnswers:
    """Answers about N items, and what is known of these.

    gold: NaN where it is unknown, without variables where there is none. groups: (N,) the subject of each
    item, None where unknown; None where no column of the gold tells it. remarks: on gold that is evidence,
    too, a line each.
    """

    answers: Answers
    gold: Gold
    groups: tuple[str | None, ...] | None
    remarks: tuple[str, ...] = ()

    @classmethod
    def read(
        cls,
        sources: list[Any],
        base: Knowledge,
        table: LabelTable | None,
        groups: str = "",
        *,
        keep_gold_evidence: bool = False,
    ) -> LabelledAnswers:
        """Read sample files or records, and look their items up in the gold.

        Labels of data sets about values that gold tells are left out, and items about which nothing else was
        answered. groups: the column of the table that names subjects; empty where there is none.
        keep_gold_evidence: whether these labels stay.

        Raises:
            engine.AnswerError: samples that cannot be read.
            engine.SekeError: no samples, or none but such labels.
        """
        parts = list(batches(sources, base))
        if not parts:
            raise SekeError("there are no samples")
        answers = Answers.stacked(parts)
        if table is None:
            return cls(answers, Gold({}), None)
        gold, subjects = table.gold_of(answers.items), table.groups_of(answers.items) if groups else None
        return cls(answers, gold, subjects)._without_gold_evidence(base, keep=keep_gold_evidence)

    def _without_gold_evidence(self, base: Knowledge, *, keep: bool) -> LabelledAnswers:
        """Return the items without labels that gold tells, too, or with them and a remark on them."""
        evidence = GoldEvidence.of(base, self.answers, self.gold)
        if not evidence.entered:
            return self
        remark = gold_evidence_text(evidence.counts, evidence.equal, evidence.observers)
        if keep:
            return replace(self, remarks=(f"{remark}. It is kept, so fit and certificates rest on it",))
        hollow = evidence.hollow(base, self.answers)
        if hollow.all():
            raise SekeError(f"{remark}, and nothing else was answered; {KEEP} keeps these answers")
        blind = replace(self, answers=evidence.without(base, self.answers)).only(~hollow)
        remarks = [f"{remark}. It is left out of fit and certificates ({KEEP} keeps it)"]
        if hollow.any():
            remarks.append(f"{int(hollow.sum()):,} items have no other answer, and are left out with it")
        return replace(blind, remarks=tuple(remarks))

    @cached_property
    def known(self) -> Bools:
        """Which items have any gold, (N,)."""
        return self.gold.known(len(self.answers.items))

    def only(self, chosen: Bools) -> LabelledAnswers:
        """Return the items of a mask (N,)."""
        groups = None if self.groups is None else tuple(itertools.compress(self.groups, chosen))
        return LabelledAnswers(self.answers.only(chosen), self.gold.only(chosen), groups)


def without_gold_evidence(samples: SingleSamples, base: Knowledge, table: LabelTable) -> SingleSamples:
    """Return samples without labels of data sets about values that gold tells, each sample by itself."""
    gold = table.gold_of(samples.items).only(samples.item)
    evidence = GoldEvidence.of(base, samples.answers, gold)
    if not evidence.entered:
        return samples
    kept = ~evidence.hollow(base, samples.answers)
    return SingleSamples(
        samples.items,
        samples.item[kept],
        tuple(itertools.compress(samples.line, kept)),
        evidence.without(base, samples.answers).only(kept),
        samples.place[kept],
    )
