"""What a row is written of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    from seke.exporting.accepted_labels import AcceptedLabels
    from seke.exporting.unit_evidence import ItemEvidence


@dataclass(frozen=True)
class RowDraft:
    """An item's accepted labels and evidence, and the row's own source of chance."""

    accepted: AcceptedLabels
    evidence: ItemEvidence
    rng: Random
