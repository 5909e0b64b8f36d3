"""What a report compares with gold: decisions that do not rest on this gold themselves.

Where a data set's label of a value is among the answers, and gold tells the value, too, the item is inferred
again without the label; without samples the value is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine import Gold, GoldEvidence
from seke.console.gold_evidence_text import KEEP, gold_evidence_text
from seke.reports.records_table import RecordTable, read_records_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from engine import Answers
    from seke.inference.session import Session
    from seke.reports.inputs import ReportInputs

# Items whose records are in memory at once.
ITEMS_AT_ONCE = 2000


@dataclass(frozen=True)
class GoldComparison:
    """What is compared with gold.

    table: the decisions, N items. gold: NaN where it is not compared. answers: those behind the decisions;
    None where they are those of the report. remark: which gold entered as evidence and what was done about
    it; no text where none did.
    """

    table: RecordTable
    gold: Gold
    answers: Answers | None = None
    remark: str = ""


def gold_comparison(
    inputs: ReportInputs, gold: Gold, responses: Answers | None, *, keep: bool
) -> GoldComparison:
    """Return what is compared with the gold of the table's items.

    responses: all answers about these; None where no samples are known. keep: whether labels that gold tells,
    too, stay among the evidence.
    """
    if responses is None:
        return _without_labelled_values(inputs.table, gold, keep=keep)
    evidence = GoldEvidence.of(inputs.base, responses, gold)
    if not evidence.entered:
        return GoldComparison(inputs.table, gold)
    remark = gold_evidence_text(evidence.counts, evidence.equal, evidence.observers)
    if keep:
        return GoldComparison(inputs.table, gold, None, f"{remark}. It is kept, so comparisons rest on it")
    hollow = evidence.hollow(inputs.base, responses)
    values = {name: np.where(hollow, np.nan, column) for name, column in gold.values.items()}
    blind = evidence.without(inputs.base, responses)
    session = inputs.session if inputs.summary else inputs.session.with_thresholds([blind.only(~hollow)])
    table = read_records_table(_records(session, blind), inputs.base, inputs.table.path)
    remark += f". What is compared with gold was inferred without it ({KEEP} keeps it)"
    return GoldComparison(table, Gold(values), blind, remark)


def _records(session: Session, answers: Answers) -> Iterator[dict[str, Any]]:
    for start in range(0, len(answers.items), ITEMS_AT_ONCE):
        yield from session.records(answers.part(start, start + ITEMS_AT_ONCE))


def _without_labelled_values(table: RecordTable, gold: Gold, *, keep: bool) -> GoldComparison:
    """Return the comparison without values that records name as labelled by a data set, with gold."""
    values, counts = {}, {}
    for name, column in gold.values.items():
        entered = np.array([name in names for names in table.labelled]) & ~np.isnan(column)
        values[name] = np.where(entered, np.nan, column)
        if entered.any():
            counts[name] = int(entered.sum())
    if not counts:
        return GoldComparison(table, gold)
    remark = gold_evidence_text(counts)
    if keep:
        return GoldComparison(table, gold, None, f"{remark}. It is kept, so comparisons rest on it")
    ways = f"name the --samples to infer them without it, or keep it with {KEEP}"
    return GoldComparison(table, Gold(values), None, f"{remark}. These values are not compared ({ways})")
