"""How an observer tells binary variables: rates by variable, and of some questions rates of their own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.language.fields import Entries, decimal
from engine.language.read_reading_types import check_repeat, read_type
from engine.language.read_variables import of_kind
from engine.model.knowledge import LabelInstrument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.language.fields import Fields
    from engine.language.yaml_nodes import Node
    from engine.model.policy import Question
    from engine.model.variable import Variable

    Rates = tuple[tuple[float, float], tuple[float, float]]


def binary_instruments(
    fields: Fields, node: Node | None, variables: Mapping[str, Variable], asked: Mapping[str, Question]
) -> dict[str, LabelInstrument]:
    """Read the entry `binary` of an observer."""
    instruments = {}
    entries = fields.table(node, "DETECTIONS")
    shared = {key: inner for key, inner in entries.node.entries.items() if key in ("repeat", "strength")}
    of_distribution = distribution(entries)
    known = of_kind(variables, "binary")
    for name, inner in fields.known(entries.get("cells"), known, "binary variable"):
        read = partial(_instrument, fields, name, inner, shared, of_distribution)
        inputs = [inner, *map(shared.get, ("repeat", "strength")), of_distribution]
        instruments[name] = fields.once(inner.path, inputs, read)
    return _by_question(fields, entries.get("by_question"), instruments, asked)


def _instrument(
    fields: Fields, name: str, node: Node, shared: Mapping[str, Node], of_distribution: Mapping[str, Any]
) -> LabelInstrument:
    """Read how one binary variable is reported; shared: what its entry need not say itself."""
    before = len(fields.faults)
    cell = fields.table(node, "DETECTION")
    table = _rates(fields, node, cell)
    merged = replace(cell.node, entries={**shared, **cell.node.entries})
    scatter = read_type(Entries(fields, merged, cell.fields), "reading", 1.0)
    if len(fields.faults) == before:
        check_repeat(fields, cell.get("repeat") or node, [scatter], table)
    return LabelInstrument(
        **cell.cited("sensitivity"),
        variable=name,
        answers=("false", "true"),
        confusion=table,
        types=(scatter,),
        **of_distribution,
    )


def _by_question(
    fields: Fields,
    node: Node | None,
    instruments: dict[str, LabelInstrument],
    asked: Mapping[str, Question],
) -> dict[str, LabelInstrument]:
    """Return the instruments with the tables of the questions that have some of their own."""
    for question, inner in fields.known(node, asked, "question"):
        reported = [name for name in asked[question].variables if name in instruments]
        declared = {name: instruments[name].confusion for name in reported}
        cells = fields.table(inner, "ASKED").get("cells")
        for name, cell_node in fields.known(cells, reported, "binary variable that this question reports"):
            before = len(fields.faults)
            declared[name] = _rates(fields, cell_node, fields.table(cell_node, "RATES"))
            if len(fields.faults) == before:
                check_repeat(fields, cell_node, list(instruments[name].types), declared[name])
        for name, table in declared.items():
            instrument = instruments[name]
            instruments[name] = replace(instrument, by_question=(*instrument.by_question, (question, table)))
    return instruments


def _rates(fields: Fields, node: Node, cell: Entries) -> Rates:
    """Return the table of one answer, (2, 2), rows absent and present."""
    before = len(fields.faults)
    sensitivity, specificity, _ = cell.values("sensitivity specificity n").values()
    if len(fields.faults) == before and sensitivity + specificity < 1:
        total = decimal(sensitivity + specificity)
        fields.fault(node, f"sensitivity and specificity sum to {total}; under 1 is worse than guessing")
    return (specificity, 1 - specificity), (1 - sensitivity, sensitivity)


def distribution(entries: Entries) -> dict[str, Any]:
    """Read what a reported distribution counts for and sums to."""
    weight, total = entries.reader.table(entries.get("distribution"), "WEIGHT").values("weight sum").values()
    return {"weight": float(weight), "total": float(total)}
