"""A row of each exported item, `items.jsonl`: what the card counts, and where the item's picture is.

By these rows counts and card can be made anew when an item is taken out of an export.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seke.exporting.export_item import ExportItem

ITEM_ROWS = "items.jsonl"


class ItemRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An exported item.

    picture: from the export's folder; file: its copy or link in the export, if any. expression, numbers,
    units: the exported values; bases: value -> what it rests on; certified: values that a certificate covers.
    known: values that the data set labels, too; differs: those that it labels otherwise. tasks: one for each
    row; partner: the item that it is compared with. undecided: whether a row has a soft target of its
    expression that was not accepted. votes: state -> people who read the picture so; people,
    model: see `doubt`. epistemic: bits. copies, similar: numbers of its clusters of near-duplicates.
    """

    item: str
    split: str
    picture: str
    file: str = ""
    group: str | None = None
    source: str = ""
    expression: str | None = None
    numbers: dict[str, float] = {}
    units: dict[str, bool] = {}
    bases: dict[str, str] = {}
    certified: list[str] = []
    known: list[str] = []
    differs: list[str] = []
    tasks: list[str] = []
    partner: str = ""
    undecided: bool = False
    decision: str = "accept"
    votes: dict[str, int] = {}
    people: str = "unknown"
    model: str = "sure"
    epistemic: float = 0.0
    copies: int | None = None
    similar: int | None = None

    @classmethod
    def of(
        cls,
        export_item: ExportItem,
        tolerance: Mapping[str, float],
        copies: Mapping[str, int],
        similar: Mapping[str, int],
    ) -> ItemRow:
        """Return the row of an item.

        tolerance: number -> a difference from the set's label that is allowed. copies, similar: item -> the
        number of its cluster.
        """
        accepted, listed = export_item.accepted, export_item.known
        decided, labels = accepted.record["decision"]["levels"], listed.labels
        values = accepted.labels
        known = [name for name in values if name in labels]
        doubt = export_item.doubt
        return cls(
            item=accepted.item,
            split=export_item.split,
            picture=export_item.picture,
            file=f"images/{export_item.split}/{export_item.inside}" if export_item.inside else "",
            group=listed.group,
            source=listed.source or "",
            expression=accepted.expression,
            numbers=dict(accepted.numbers),
            units=dict(accepted.units),
            bases={name: _basis_of(decided[name]) for name in values},
            certified=[name for name in values if decided[name].get("certified")],
            known=known,
            differs=[name for name in known if not _same(values[name], labels[name], tolerance.get(name))],
            tasks=[row.task for row in export_item.rows],
            undecided=any(not row.accepted for row in export_item.rows),
            partner=next((row.partner for row in export_item.rows if row.partner), ""),
            decision=accepted.record["decision"]["item"],
            votes=dict(doubt.votes),
            people=doubt.people,
            model=doubt.model,
            epistemic=round(doubt.epistemic_bits, 6),
            copies=copies.get(accepted.item),
            similar=similar.get(accepted.item),
        )


def _basis_of(level: Mapping[str, Any]) -> str:
    return "inferred" if level["decision"] == "inferred" else level.get("basis") or "declared"


def _same(value: Any, label: Any, tolerance: float | None) -> bool:
    return bool(value == label if tolerance is None else abs(value - label) <= tolerance)
