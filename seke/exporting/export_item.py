"""An exported item, as the formats are given it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seke.exporting.accepted_labels import AcceptedLabels
    from seke.exporting.doubt import Doubt
    from seke.exporting.instruction_row import InstructionRow
    from seke.runs.item_list import KnownItem

    Record = dict[str, Any]


@dataclass(frozen=True)
class ExportItem:
    """One exported item.

    picture: the picture's path from the export's folder; inside: its path within `images/SPLIT`, no text
    where that folder is not made. rows: of each task. soft: probabilities and intervals, None where they are
    not wanted. doubt: whose doubt there is about it.
    """

    accepted: AcceptedLabels
    known: KnownItem
    split: str
    picture: str
    inside: str
    rows: Sequence[InstructionRow]
    soft: Record | None
    doubt: Doubt
