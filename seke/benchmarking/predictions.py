"""Reads predictions: posterior records as `seke infer` writes them, probabilities in their form, or labels.

A record needs only its predictions (`expression`, `valence.mean`, `action_units.AU1`, or those under
`posteriors`); `decision` and `diagnostics` are used where they are present. Formats are those of
`record_writer`. A file without any nested key, or column name with a dot, is a label table. Its cells may
hold `refused` or `unreadable`, a void answer, which counts as wrong; a blank cell is no prediction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import AnswerError, Origin, did_you_mean
from seke.benchmarking.column_file import ColumnFile
from seke.benchmarking.prediction_rows import RecordRows, row_tables
from seke.console.decision_words import DECISIONS, LEVEL_DECISIONS
from seke.files.faults import Faults
from seke.files.rows import describe_met
from seke.files.shard_folder import is_shard_folder
from seke.samples.columns_builder import look_up
from seke.samples.schema import native
from seke.tables.label_table import LabelTableBuilder, read_labels
from seke.tables.record_reader import TRUTH_OF_PANDAS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from engine import Bools, Floats, Ints, Knowledge, Variable
    from seke.benchmarking.prediction_rows import ColumnRows
    from seke.tables.label_table import LabelTable

    Record = Mapping[str, Any]

REFUSED, UNREADABLE = "refused", "unreadable"
# As numbers of a table, beyond every range.
_OUTCOMES = {REFUSED: -np.inf, UNREADABLE: np.inf}
_TRUTH_WORDS = {True: "true", False: "false"}
_LARGEST_SUM_ERROR = 0.01  # of a distribution whose entries were rounded
# Where a record names the variables with a data set's label among their evidence.
LABELLED = "diagnostics.labelled"
# Origins of a value; that of one which only a data set's label reports.
ORIGINS, LABEL = Origin.words(), Origin.LABEL.name.lower()
_COUNTS = ("samples", "refused", "unreadable", "not_judged")


@dataclass(frozen=True)
class Prediction:
    """The prediction of one variable for N items; None for columns that the source does not have.

    value: (N,) index of a state or number, NaN where nothing is predicted. p: (N, K), of a binary variable
    P(true) (N,). low, high: (N,) a 90 % interval. risk: (N,) stated probability to be wrong. accepted: (N,).
    refused, unreadable: (N,) whether the answer is void for that reason; then nothing is predicted.
    labelled: (N,) whether a data set's label of the variable is among the evidence.
    """

    value: Floats
    p: Floats | None = None
    low: Floats | None = None
    high: Floats | None = None
    risk: Floats | None = None
    accepted: Bools | None = None
    refused: Bools | None = None
    unreadable: Bools | None = None
    labelled: Bools | None = None

    @property
    def void(self) -> Bools:
        """(N,): whether the answer is void, that is, refused or unreadable."""
        nothing = np.zeros(len(self.value), dtype=bool)
        return nothing if self.refused is None or self.unreadable is None else self.refused | self.unreadable

    def of(self, rows: Ints) -> Prediction:
        """Return the prediction of some rows."""
        columns: dict[str, Any] = {
            name: None if column is None else column[rows] for name, column in vars(self).items()
        }
        return Prediction(**columns)


class _StoredPredictions(Mapping[str, Prediction]):
    """The predictions of variables whose columns lie in a file; each is read when it is asked for."""

    def __init__(self) -> None:
        self._columns = ColumnFile()
        self._names: dict[str, None] = {}

    def add(self, part: Mapping[str, Prediction]) -> None:
        """Append the predictions of the next items."""
        self._names |= dict.fromkeys(part)
        for name, prediction in part.items():
            for key, column in vars(prediction).items():
                if column is not None:
                    self._columns.add(f"{name}.{key}", column)

    def __getitem__(self, name: str) -> Prediction:
        if name not in self._names:
            raise KeyError(name)
        columns = {field.name: self._columns.column(f"{name}.{field.name}") for field in fields(Prediction)}
        return Prediction(**columns)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _Unlabelled(Mapping[str, Prediction]):
    """Predictions of which it is not known whether a label of a data set is among their evidence."""

    def __init__(self, variables: Mapping[str, Prediction]) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> Prediction:
        return replace(self._variables[name], labelled=None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


@dataclass(frozen=True)
class Predictions:
    """Predictions of N items by variable. Those of records lie in a temporary file; ask for each but once.

    decided: (N,) indices of DECISIONS; samples, refused, unreadable, not_judged: (N,) counts of answers. None
    where the source does not have them. labels_known: whether the source says which variables have a data
    set's label among their evidence; where it does not, only those are known to have one that nothing else
    reports.
    """

    path: str
    items: tuple[str, ...]
    variables: Mapping[str, Prediction]
    decided: Ints | None = None
    samples: Ints | None = None
    refused: Ints | None = None
    unreadable: Ints | None = None
    not_judged: Ints | None = None
    labels_known: bool = False

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {item: row for row, item in enumerate(self.items)}

    def rows_of(self, items: Iterable[str]) -> Ints:
        """Return the row of each of these items, (n,); -1 where it has none."""
        return look_up(tuple(items), self._rows)

    def with_gold_evidence(self) -> Predictions:
        """Return the predictions with those scored, too, whose gold is among their evidence."""
        return replace(self, variables=_Unlabelled(self.variables))


def read_predictions(source: str | Path | Iterable[Record], knowledge: Knowledge) -> Predictions:
    """Read predictions from a file, a folder of shards, or from records that are mappings.

    Raises:
        engine.AnswerError: what cannot be read, with its place.
    """
    faults = Faults()
    with closing(row_tables(source, faults)) as tables:
        first = next(tables)
        if first.names.keys() >= {"observer", "question"}:
            cure = "they are inferred first, by seke.infer or by seke infer SAMPLES -o FILE"
            raise AnswerError(f"{first.source.name}: these are samples, not predictions; {cure}")
        if first.nested:
            read = _PredictionReader(first, knowledge).predictions(chain([first], tables), faults)
            in_shards = isinstance(source, str | Path) and is_shard_folder(source)
            return replace(read, path=str(source)) if in_shards else read
        if not isinstance(source, str | Path) or str(source) == "-":
            builder = LabelTableBuilder(knowledge, first.source, outcomes=_OUTCOMES)
            for table in chain([first], tables):
                if isinstance(table, RecordRows):
                    rows = (native(record, 1) for record in table.records)
                    builder.add_rows(zip(table.numbers, rows, strict=True))
            return _predictions_of_labels(builder.table(), first.source.name)
    return _predictions_of_labels(read_labels(source, knowledge, outcomes=_OUTCOMES), first.source.name)


def holds_records(path: str | Path) -> bool:
    """Whether a file holds predictions with probabilities and not labels; False where it cannot be read."""
    try:
        with closing(row_tables(path, Faults())) as tables:
            return next(tables).nested
    except AnswerError:
        return False


def foreign_variables(path: str | Path, knowledge: Knowledge) -> list[str]:
    """Return the variables that a file's first records are about and a base does not have."""
    try:
        with closing(row_tables(path, Faults())) as tables:
            paths = [name.split(".") for name in next(tables).names]
    except AnswerError:
        return []
    predicted = dict.fromkeys(path[1] for path in paths if path[0] == "posteriors" and path[1:])
    return [name for name in predicted if name not in knowledge.variables]


def _predictions_of_labels(labels: LabelTable, name: str) -> Predictions:
    variables = {}
    for variable, values in labels.gold.values.items():
        refused, unreadable = (values == _OUTCOMES[outcome] for outcome in (REFUSED, UNREADABLE))
        known_values = np.where(np.isinf(values), np.nan, values)
        variables[variable] = Prediction(known_values, refused=refused, unreadable=unreadable)
    return Predictions(name, labels.items, variables)


class _PredictionReader:
    """Reads the records of one base into arrays, a few rows at a time."""

    def __init__(self, first: RecordRows | ColumnRows, knowledge: Knowledge) -> None:
        self.table, self.base = first, knowledge
        self._seen: dict[str, int] = {}
        self._labelled: dict[str, Bools] | None = None

    def predictions(self, tables: Iterable[RecordRows | ColumnRows], faults: Faults) -> Predictions:
        """Read all tables; the faults of all rows come in one report, with those noted so far."""
        kinds = {name: variable.kind for name, variable in self.base.variables.items()}
        paths = {name: self._path_of(name) for name, kind in kinds.items() if kind != "derived"}
        paths = {name: path for name, path in paths.items() if path}
        variables = _StoredPredictions()
        whole: dict[str, list[Ints | None]] = {key: [] for key in (*_COUNTS, "decided")}
        try:
            for table in tables:
                self.table = table
                try:
                    variables.add(self._part(paths))
                    for key in _COUNTS:
                        whole[key].append(self._counts(f"diagnostics.{key}"))
                    has_decided = "decision.item" in table.names
                    whole["decided"].append(self._words("decision.item", DECISIONS) if has_decided else None)
                finally:
                    table.end()
        except AnswerError as fault:  # of a column, or of the file beyond here
            faults.note(str(fault))
        faults.raise_all()
        counts = {key: _concatenate(columns) for key, columns in whole.items()}
        known = LABELLED in self.table.names
        name = self.table.source.name
        return Predictions(name, tuple(self._seen), variables, **counts, labels_known=known)

    def _part(self, paths: Mapping[str, str]) -> dict[str, Prediction]:
        """Return the predictions of a table's rows by variable; paths: where they stand in a record."""
        self._take_items()
        self._labelled = self._labels()
        if not paths:
            predicted = ", ".join(list(self.base.variables)[:3])
            raise AnswerError(
                f"{self.table.source.name}: predicts no variable of the base {self.base.name} "
                f"({predicted}, ...); name the base that it was inferred with (-k)"
            )
        return {name: self._prediction(self.base.variables[name], path) for name, path in paths.items()}

    def _take_items(self) -> None:
        if "item" not in self.table.names:
            raise AnswerError(f"{self.table.place(0)}: item: missing; every prediction names its item")
        for row, item in enumerate(self.table.column("item")):
            if not isinstance(item, str) or not item:
                self.table.note(
                    row, partial("item: {}; allowed is a text that is not empty".format, describe_met(item))
                )
                continue
            number = self.table.numbers[row]
            if self._seen.setdefault(item, number) != number:
                earlier = self.table.source.place(self._seen[item])
                self.table.note(row, partial("item {!r} was predicted already at {}".format, item, earlier))

    def _labels(self) -> dict[str, Bools] | None:
        """Return the variables with a data set's label, each with the rows (N,); None where none are told."""
        if LABELLED not in self.table.names:
            return None
        labelled: dict[str, Bools] = {}
        for row, cell in enumerate(self.table.column(LABELLED)):
            names = _texts_of(cell)
            if names is None:
                problem = f"{LABELLED}: {describe_met(cell)}; allowed is a list of variables"
                self.table.note(row, partial(str, problem))
            for name in names or ():
                labelled.setdefault(name, np.zeros(len(self.table.numbers), dtype=bool))[row] = True
        return labelled

    def _labelled_rows(self, variable: Variable) -> Bools | None:
        """Return whether a data set's label of a variable is among the evidence, (N,); None where unknown."""
        if self._labelled is not None:
            return self._labelled.get(variable.name, np.zeros(len(self.table.numbers), dtype=bool))
        path = f"decision.levels.{variable.name}.origin"
        if path not in self.table.names:
            return None
        return np.asarray(self._words(path, ORIGINS) == ORIGINS.index(LABEL))

    def _path_of(self, name: str) -> str:
        """Return the path of a variable's prediction in a record, no text where there is none."""
        levels = [f"{level}." for level, members in self.base.levels.items() if name in members]
        for prefix in ("posteriors.", "", *levels):
            path = f"{prefix}{name}"
            if path in self.table.names or self._names_under(path):
                return path
        return ""

    def _names_under(self, path: str) -> list[str]:
        start = f"{path}."
        return [name.removeprefix(start) for name in self.table.names if name.startswith(start)]

    def _prediction(self, variable: Variable, path: str) -> Prediction:
        decided = self._decision(variable)
        decided["labelled"] = self._labelled_rows(variable)
        if variable.kind == "interval":
            low, high = variable.edges[0], variable.edges[-1]
            mean = self._numbers(f"{path}.mean", low, high)
            within: dict[str, Any] = {
                key: self._numbers(f"{path}.{name}", low, high)
                for key, name in (("low", "q05"), ("high", "q95"))
                if f"{path}.{name}" in self.table.names
            }
            return Prediction(mean, **within, **decided)
        if variable.kind == "binary":
            p = self._numbers(path, 0, 1)
            derived: dict[str, Any] = {"value": (p >= 0.5).astype(float), "risk": np.minimum(p, 1 - p)}
        else:
            p = self._distribution(variable, path)
            derived = {"value": p.argmax(1).astype(float), "risk": 1 - p.max(1)}
        return Prediction(p=p, **derived | decided)

    def _distribution(self, variable: Variable, path: str) -> Floats:
        states = self._names_under(path)
        unknown = next((state for state in states if state not in variable.states), None)
        if unknown is not None:
            message = f"no such state of the base {self.base.name}: {unknown!r}"
            hint = did_you_mean(unknown, variable.states)
            raise AnswerError(f"{self.table.place(0)}: {path}: {message}{hint}")
        for state in variable.states:
            if state not in states:
                raise AnswerError(f"{self.table.place(0)}: {path}: has no probability of {state}")
        p: Floats = np.stack([self._numbers(f"{path}.{state}", 0, 1) for state in variable.states], axis=1)
        total = p.sum(1)
        bad = np.abs(total - 1) > _LARGEST_SUM_ERROR
        self._note(bad, lambda row: f"{path}: the probabilities sum to {total[row]:.6g}; allowed is 1")
        return p

    def _note(self, bad: Bools, problem: Callable[[int], str]) -> None:
        """Note what is wrong with the rows that are bad, (N,)."""
        for row in np.flatnonzero(bad).tolist():
            self.table.note(row, partial(problem, row))

    def _decision(self, variable: Variable) -> dict[str, Any]:
        """Return the decided columns of a variable, (N,) each: value, risk, accepted."""
        path = f"decision.levels.{variable.name}"
        if f"{path}.decision" not in self.table.names:
            return {}
        decided: dict[str, Any] = {
            "accepted": self._words(f"{path}.decision", LEVEL_DECISIONS) == LEVEL_DECISIONS.index("accept"),
            "risk": self._numbers(f"{path}.risk", 0, 1),
        }
        if variable.kind != "interval":
            decided["value"] = self._words(f"{path}.value", variable.states).astype(float)
        return decided

    def _numbers(self, name: str, low: float, high: float) -> Floats:
        column = self.table.column(name) if name in self.table.names else None
        if column is None:
            raise AnswerError(f"{self.table.place(0)}: {name}: missing")
        try:
            values = np.array(column, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            values = np.array([_number(cell) for cell in column])
        bad = ~((values >= low) & (values <= high))
        self._note(
            bad,
            lambda row: f"{name}: {describe_met(column[row])}; allowed is a number from {low:g} to {high:g}",
        )
        return np.where(bad, low, values)

    def _counts(self, name: str) -> Ints | None:
        if name not in self.table.names:
            return None
        return self._numbers(name, 0, 2**53).astype(np.int64)

    def _words(self, name: str, allowed: Sequence[str]) -> Ints:
        """Return the index of each word; truth values are the words true and false."""
        column = [
            _TRUTH_WORDS[cell] if isinstance(cell, bool) else TRUTH_OF_PANDAS.get(cell, cell)
            for cell in self.table.column(name)
        ]
        indices = look_up([cell if isinstance(cell, str) else "" for cell in column], _index(allowed))
        words = ", ".join(allowed[:12])
        self._note(indices < 0, lambda row: f"{name}: {describe_met(column[row])}; allowed are {words}")
        return indices


def _concatenate(parts: list[NDArray[Any] | None]) -> Any:
    """Return the columns of consecutive parts as one column, None where they have none."""
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if known else None


def _index(names: Sequence[str]) -> dict[str, int]:
    return {name: index for index, name in enumerate(names)}


def _texts_of(cell: Any) -> list[str] | None:
    """Return a list of texts, or the JSON text of one; None where it is neither."""
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except ValueError:
            return None
    texts = isinstance(cell, list) and all(isinstance(name, str) for name in cell)
    return cell if texts else None


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return np.nan
