"""Posterior records -> an Arrow table with one flat row an item, and back.

After columns for people stand those of a record in their order, named as in a CSV file of records:
`expression.happiness`, `valence.q05`, `action_units.AU12`, `decision.levels.valence.risk`. Numbers and truth
values keep their type; lists, and what JSON_COLUMNS names, are JSON text as there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from engine import Knowledge, SekeError
from seke.console.decision_words import OPEN_MARK, UNCALIBRATED, basis_of_item, required_of
from seke.console.infer_summary import is_read, row_reason, summary_names
from seke.inference.record import DIGITS, posteriors_of
from seke.tables.record_reader import PEOPLE_TEXTS, PLUS_MINUS, PROBABILITY
from seke.tables.record_writer import JSON_COLUMNS, NULLABLE_TEXTS, pyarrow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Record = dict[str, Any]


class FlatRows:
    """Makes batches of flat rows of the records of one base, all with the columns of the first record."""

    def __init__(self, base: Knowledge) -> None:
        self.base = base
        self.required = required_of(base)
        self._arrow, _ = pyarrow("a table of records")
        self._schema: Any = None
        # The columns that a record itself has, and whether they are JSON text.
        self._of_record: dict[str, bool] = {}

    def batch(self, records: Sequence[Record]) -> Any:
        """Return an Arrow record batch with a row for each record, at least one.

        Raises:
            engine.SekeError: a record of another shape than the first one.
        """
        try:
            of_record = {path: (cells, is_json) for path, cells, is_json in _columns(records, records[0])}
            columns = dict(self._summary(records)) | {path: cells for path, (cells, _) in of_record.items()}
            if self._schema is None:
                self._of_record = {"item": False} | {
                    path: is_json for path, (_, is_json) in of_record.items()
                }
                fields = [self._field(name, column) for name, column in columns.items()]
                self._schema = self._arrow.schema(fields)
            arrays = [self._arrow.array(columns[field.name], field.type) for field in self._schema]
        except (KeyError, self._arrow.ArrowInvalid, self._arrow.ArrowTypeError) as error:
            raise SekeError(f"a record has another shape than the first one: {error}") from None
        return self._arrow.RecordBatch.from_arrays(arrays, schema=self._schema)

    def records(self, batch: Any) -> Iterator[Record]:
        """Yield the records of a batch, or of a table of some, that this has made."""
        for row in batch.select([*self._of_record]).to_pylist():
            record: Record = {}
            for path, is_json in self._of_record.items():
                *above, key = path.split(".")
                inner = record
                for part in above:
                    inner = inner.setdefault(part, {})
                cell = row[path]
                inner[key] = msgspec.json.decode(cell) if is_json and cell is not None else cell
            yield record

    def table(self, batches: Sequence[Any]) -> Any:
        """Return the Arrow table of these batches; without any, one with the column `item` alone."""
        schema = self._schema or self._arrow.schema([("item", self._arrow.string())])
        return self._arrow.Table.from_batches(batches, schema)

    def _field(self, name: str, column: Sequence[Any]) -> Any:
        arrow, first = self._arrow, next((cell for cell in column if cell is not None), None)
        kind = arrow.float64()
        if isinstance(first, str) or name.rpartition(".")[2] in NULLABLE_TEXTS or name in PEOPLE_TEXTS:
            kind = arrow.string()
        elif isinstance(first, bool):
            kind = arrow.bool_()
        elif isinstance(first, int):
            kind = arrow.int64()
        description = column_description(name, self.base)
        return arrow.field(name, kind, metadata={"description": description} if description else None)

    def _summary(self, records: Sequence[Record]) -> Iterator[tuple[str, list[Any]]]:
        """Yield the columns for people, which nobody has to compute from the others."""
        yield "item", [record["item"] for record in records]
        nothing = [row for row, record in enumerate(records) if not is_read(record)]
        for name in summary_names(self.base):
            for title, column in self._columns_about(name, records):
                for row in nothing:  # what is only the prior is no answer
                    column[row] = None
                yield title, column
        decisions = [record["decision"] for record in records]
        bases = [basis_of_item(decision, self.required) for decision in decisions]
        reasons = [
            row_reason(record, marked=basis in UNCALIBRATED)
            for record, basis in zip(records, bases, strict=True)
        ]
        yield "decision", [decision["item"] for decision in decisions]
        yield "basis", bases
        yield "why", [reason or None for reason in reasons]

    def _columns_about(self, name: str, records: Sequence[Record]) -> Iterator[tuple[str, list[Any]]]:
        """Yield the columns for people about a variable, or about a level of binary variables."""
        posteriors = [record.get("posteriors", record) for record in records]
        members = self.base.levels.get(name, (name,))
        variable = self.base.variables.get(name if len(members) > 1 else members[0])
        if variable is None:
            cuts = self.base.policy.cuts
            inner = [
                mapping[name] if isinstance(mapping.get(name), dict) else mapping for mapping in posteriors
            ]
            levels = [record["decision"]["levels"] for record in records]
            yield name, [_active(members, p, cuts, of) for p, of in zip(inner, levels, strict=True)]
            return
        cells = [posteriors_of(record, self.base)[variable.name] for record in records]
        if variable.kind == "interval":
            yield variable.name, [cell["mean"] for cell in cells]
            half = [round((cell["q95"] - cell["q05"]) / 2, DIGITS) for cell in cells]
            yield f"{variable.name}_{PLUS_MINUS}", half
            return
        values = [record["decision"]["levels"][variable.name]["value"] for record in records]
        p = [
            cell[value] if isinstance(cell, dict) else cell for cell, value in zip(cells, values, strict=True)
        ]
        yield variable.name, values
        yield f"{variable.name}_{PROBABILITY}", p


def _active(names: Sequence[str], p: Mapping[str, Any], cuts: Mapping[str, float], levels: Record) -> str:
    """Return the binary variables that are shown as true, with blanks between; marked if not accepted."""
    active = [name for name in names if p[name] >= cuts.get(name, 0.5)]
    return " ".join(name + OPEN_MARK * (levels[name]["decision"] != "accept") for name in active)


def _columns(
    records: Sequence[Any], shape: Record, prefix: str = ""
) -> Iterator[tuple[str, list[Any], bool]]:
    """Yield the columns of records, named as in CSV, with their cells and whether these are JSON text.

    shape: the first record, or what is within it.
    """
    for key, value in shape.items():
        path = prefix + key
        cells = [record[key] for record in records]
        if isinstance(value, dict) and path not in JSON_COLUMNS:
            yield from _columns(cells, value, f"{path}.")
        elif path != "item":
            is_json = path in JSON_COLUMNS or isinstance(value, list)
            yield path, [_json(cell) for cell in cells] if is_json else cells, is_json


_encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode


def _json(value: Any) -> str | None:
    return None if value is None else _encode(value).decode("utf-8")


def column_description(name: str, base: Knowledge) -> str:
    """Return what a column for people holds and in which unit; no text for one that a record has itself."""
    texts = {
        "item": "the item, in order of first appearance",
        "decision": "accept, requery or reject, about the item",
        "basis": "what an accepted item rests on, by the weakest of its required values",
        "why": "what is asked next, why nothing more is, or what stays open",
    }
    stem, _, part = name.rpartition("_")
    variable = base.variables.get(stem if part in (PROBABILITY, PLUS_MINUS) else name)
    if variable is None:
        binary = "the binary variables of this level that are shown as true"
        return texts.get(name, binary if name in base.levels else "")
    if variable.kind == "interval":
        scale = f"the scale from {variable.edges[0]:g} to {variable.edges[-1]:g}"
        return (
            f"half the width of the 90 % interval, on {scale}"
            if part == PLUS_MINUS and stem
            else (f"posterior mean, on {scale}")
        )
    return "posterior probability of that value" if part == PROBABILITY and stem else "decided value"
