"""Reads posterior records into columns, one row an item; records are never all in memory at once."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import AnswerError, Origin
from seke.console.decision_words import BASES, DECISIONS, LEVEL_DECISIONS, UNKNOWN, basis_of, required_of
from seke.inference.record import posteriors_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from engine import Bools, Floats, Ints, Knowledge

    Record = Mapping[str, Any]

# Where the evidence about a variable comes from; old records do not say.
ORIGINS = (*Origin.words(), UNKNOWN)
# Old records do not count answers that judge nothing.
COUNTS = ("samples", "refused", "unreadable", "not_judged")
BITS = ("entropy_bits", "epistemic_bits", "conflict_bits")
CHECKED = ("contradictions", "checks")
MOMENTS = ("mean", "sd", "q05", "q95")
# Basis of a value that is not accepted.
NO_BASIS = -1
# Fields of a level where the numbers of the base were drawn.
DRAWN = ("risk_sd", "risk_mean")
# The largest error that a check allows in numbers that records round to six digits.
SLACK = 1e-4


@dataclass(frozen=True)
class RecordTable:
    """N items in the order of their records.

    decision: (N,) indices of DECISIONS. reasons, next, violations, contradictions, checks, guarantee: as the
    records have them. root:
    (N, K) probabilities. binary: (N, B) P(true) of `binaries`. intervals: variable -> (N, 4), MOMENTS.
    correlation: (N,) of both intervals, NaN where there is none. levels: the variables of (N, L) columns
    accepted, inferred, certified (None where no guarantee is in force) and risk, of risk_sd and risk_mean
    (over draws of the base's numbers, NaN where none were drawn), of basis (indices of BASES, -1 where it is
    not accepted) and origin (indices of ORIGINS). lacking, overruled: the variables that fall
    for want of evidence of their own, and those that are decided otherwise than a data set's label says.
    labelled: the variables with a data set's label among the answers; none of old records.
    counts: (N, 4), COUNTS. bits: (N, 3), BITS. conflict: (N,), the probability; NaN of records that were
    written without it.
    """

    base: Knowledge
    path: str
    items: tuple[str, ...]
    decision: Ints
    reasons: tuple[tuple[str, ...], ...]
    next: tuple[Record | None, ...]
    violations: tuple[tuple[tuple[str, float], ...], ...]
    contradictions: tuple[tuple[Mapping[str, Any], ...], ...]
    checks: tuple[tuple[Mapping[str, Any], ...], ...]
    guarantee: tuple[Record | None, ...]
    root: Floats
    binaries: tuple[str, ...]
    binary: Floats
    intervals: Mapping[str, Floats]
    correlation: Floats
    levels: tuple[str, ...]
    accepted: Bools
    inferred: Bools
    certified: Bools | None
    basis: Ints
    origin: Ints
    lacking: tuple[tuple[str, ...], ...]
    overruled: tuple[tuple[str, ...], ...]
    labelled: tuple[tuple[str, ...], ...]
    risk: Floats
    risk_sd: Floats
    risk_mean: Floats
    counts: Ints
    bits: Floats
    conflict: Floats

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """Return the row of each item."""
        return {item: row for row, item in enumerate(self.items)}

    @cached_property
    def item_basis(self) -> Ints:
        """Return the weakest basis of the required variables of accepted items, (N,); -1 of all others."""
        columns = [self.levels.index(name) for name in required_of(self.base)]
        basis = np.where(self.accepted[:, columns], self.basis[:, columns], len(BASES)).min(
            axis=1, initial=len(BASES)
        )
        known = (self.decision == DECISIONS.index("accept")) & (basis < len(BASES))
        return np.where(known, basis, NO_BASIS)

    @property
    def answered(self) -> Bools:
        """Return whether an item has any answer that could be read, (N,)."""
        samples, *without_content = self.counts.T
        return np.asarray(samples > sum(without_content), dtype=np.bool_)

    @property
    def label(self) -> Ints:
        """Return the likeliest state of the root, (N,)."""
        return np.asarray(self.root.argmax(1), dtype=np.int64)


def binary_names(base: Knowledge) -> tuple[str, ...]:
    """Return the binary variables of the levels, in their order."""
    names = (name for members in base.levels.values() for name in members)
    return tuple(name for name in names if base.variables[name].kind == "binary")


def read_records_table(records: Iterable[Record], base: Knowledge, path: str) -> RecordTable:
    """Read records into columns.

    Raises:
        engine.AnswerError: a record of another base, or none at all; an item that has two of them; numbers
            that no posterior has.
    """
    builder = _RecordColumns(base)
    items: dict[str, int] = {}
    for number, record in enumerate(records):
        item = str(record["item"])
        if item in items:
            raise AnswerError(f"{path}: item {item[:80]!r} has two records")
        try:
            builder.add(record)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            fault = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            if isinstance(error, TypeError | AttributeError):
                fault = f"has another shape ({error})"
            message = f"the record {fault}; was it inferred with {base.name}? name its base with -k"
            raise AnswerError(f"{path}: item {item[:80]!r}: {message}") from None
        items[item] = number
    if not items:
        raise AnswerError(f"{path}: holds no posterior records")
    table = builder.table(tuple(items), path)
    for what, sound in _check_laws(table):
        if not sound.all():
            item = table.items[int(sound.argmin())]
            raise AnswerError(f"{path}: item {item[:80]!r}: the record is no posterior: {what}")
    return table


def _check_laws(table: RecordTable) -> Iterator[tuple[str, Bools]]:
    """Yield (fault, (N,) whether each item is free of it) of all that no posterior can have."""
    base, root = table.base, table.base.root
    drawn = (np.nan_to_num(column) for column in (table.risk_sd, table.risk_mean))
    p = np.concatenate([table.root, table.binary, table.risk, *drawn], axis=1)
    yield "a probability is not from 0 to 1", _within(p, 0, 1)
    total = table.root.sum(1, keepdims=True)
    yield f"the probabilities of {root} do not sum to 1", _within(total, 1 - SLACK, 1 + SLACK)
    for name, moments in table.intervals.items():
        low, high = base.variables[name].edges[0], base.variables[name].edges[-1]
        sound = _within(moments[:, [0, 2, 3]], low - SLACK, high + SLACK)
        yield f"{name} is not from {low:g} to {high:g}", sound
        yield f"the sd of {name} is not from 0 to {high - low:g}", _within(moments[:, [1]], 0, high - low)
    sound = np.isnan(table.conflict) | _within(table.conflict[:, None], 0, 1)
    yield "its conflict is not from 0 to 1", np.asarray(sound, dtype=np.bool_)
    yield "its bits are not finite", np.asarray(np.isfinite(table.bits).all(axis=1), dtype=np.bool_)


def _within(values: Floats, low: float, high: float) -> Bools:
    return np.asarray(((values >= low) & (values <= high)).all(axis=1), dtype=np.bool_)


def _indices(words: Iterable[str | None], allowed: Sequence[str], verb: str) -> list[int]:
    """Return the index of each word; of None it is NO_BASIS.

    Raises:
        ValueError: a word that is none of the allowed.
    """
    index: dict[str | None, int] = {word: at for at, word in enumerate(allowed)} | {None: NO_BASIS}
    try:
        return [index[word] for word in words]
    except KeyError as error:
        raise ValueError(f"{verb} {error}; allowed are {', '.join(allowed)}") from None


class _RecordColumns:
    """Builds a table's columns, record by record."""

    def __init__(self, base: Knowledge) -> None:
        self.base = base
        self.binaries = binary_names(base)
        self.levels = tuple(name for members in base.levels.values() for name in members)
        self.states = base.variables[base.root].states
        named = ("reasons", "next", "violations", "guarantee", "lacking", "overruled", "labelled", *CHECKED)
        self.lists: dict[str, list[Any]] = {name: [] for name in named}
        columns = ("root", "binary", "intervals", "correlation", "risk", *DRAWN, "bits", "conflict")
        self.floats = {name: array("d") for name in columns}
        self.ints = {
            name: array("q") for name in ("decision", "levels", "certified", "basis", "origin", "counts")
        }
        # Equal texts once, however many items have them.
        self.seen: dict[Any, Any] = {}
        axes = base.intervals[:2]
        self.correlated = f"{axes[0]}_{axes[1]}_correlation" if len(axes) == 2 else ""

    def add(self, record: Record) -> None:
        posteriors, decision = posteriors_of(record, self.base), record["decision"]
        floats, ints = self.floats, self.ints
        if unknown := posteriors[self.base.root].keys() - set(self.states):
            raise ValueError(f"has {', '.join(sorted(unknown))}, which {self.base.root} does not have")
        floats["root"].extend([posteriors[self.base.root][state] for state in self.states])
        floats["binary"].extend([posteriors[name] for name in self.binaries])
        for name in self.base.intervals:
            floats["intervals"].extend([posteriors[name][moment] for moment in MOMENTS])
        correlation = posteriors.get(self.correlated)
        floats["correlation"].append(np.nan if correlation is None else correlation)
        levels = [decision["levels"][name] for name in self.levels]
        floats["risk"].extend([level["risk"] for level in levels])
        for name in DRAWN:
            floats[name].extend([level.get(name, np.nan) for level in levels])
        ints["levels"].extend(_indices([level["decision"] for level in levels], LEVEL_DECISIONS, "decides"))
        ints["basis"].extend(_indices(map(basis_of, levels), BASES, "accepts on"))
        origins = [level.get("origin") or UNKNOWN for level in levels]
        ints["origin"].extend(_indices(origins, ORIGINS, "has the origin"))
        ints["certified"].extend([bool(level.get("certified")) for level in levels])
        ints["decision"].extend(_indices([decision["item"]], DECISIONS, "decides"))
        diagnostics = record["diagnostics"]
        ints["counts"].extend([int(({"not_judged": 0} | diagnostics)[name]) for name in COUNTS])
        floats["bits"].extend([diagnostics[name] for name in BITS])
        floats["conflict"].append(diagnostics.get("conflict", np.nan))
        self.lists["reasons"].append(self._shared(tuple(map(str, decision["reasons"]))))
        self.lists["next"].append(decision.get("next"))
        violations = tuple(
            (str(violation["rule"]), float(violation["probability"]))
            for violation in diagnostics["violations"]
        )
        self.lists["violations"].append(violations)
        for name in CHECKED:
            self.lists[name].append(tuple(diagnostics.get(name) or ()))
        self.lists["guarantee"].append(decision.get("guarantee"))
        fields = {"lacking": "lacking_evidence", "overruled": "overruled", "labelled": "labelled"}
        for key, field in fields.items():
            self.lists[key].append(self._shared(tuple(map(str, diagnostics.get(field) or ()))))

    def _shared(self, value: Any) -> Any:
        return self.seen.setdefault(value, value)

    def table(self, items: tuple[str, ...], path: str) -> RecordTable:
        n, base = len(items), self.base
        floats = {name: np.frombuffer(column) for name, column in self.floats.items()}
        ints = {name: np.frombuffer(column, dtype=np.int64) for name, column in self.ints.items()}
        levels = ints["levels"].reshape(n, -1)
        intervals = floats["intervals"].reshape(n, len(base.intervals), len(MOMENTS))
        promised = any(promise is not None for promise in self.lists["guarantee"])
        return RecordTable(
            base=base,
            path=path,
            items=items,
            decision=ints["decision"],
            root=floats["root"].reshape(n, -1),
            binaries=self.binaries,
            binary=floats["binary"].reshape(n, len(self.binaries)),
            intervals={name: intervals[:, i] for i, name in enumerate(base.intervals)},
            correlation=floats["correlation"],
            levels=self.levels,
            accepted=levels == LEVEL_DECISIONS.index("accept"),
            inferred=levels == LEVEL_DECISIONS.index("inferred"),
            basis=ints["basis"].reshape(n, -1),
            origin=ints["origin"].reshape(n, -1),
            certified=ints["certified"].reshape(n, -1) > 0 if promised else None,
            risk=floats["risk"].reshape(n, -1),
            risk_sd=floats["risk_sd"].reshape(n, -1),
            risk_mean=floats["risk_mean"].reshape(n, -1),
            counts=ints["counts"].reshape(n, -1),
            bits=floats["bits"].reshape(n, -1),
            conflict=floats["conflict"],
            **{name: tuple(column) for name, column in self.lists.items()},
        )
