"""Posterior arrays -> posterior records, the contract that users read.

A base of faces (levels `expression`, `affect`, `action_units`) names its posteriors by level; any
other base has them under `posteriors`, by variable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Basis, Origin, highest_risk, labelled_by_sets, labels_of, overrules
from seke.files.shipped import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine import (
        Answers,
        Bools,
        CheckEffect,
        Contradiction,
        Decisions,
        Diagnostics,
        Floats,
        Knowledge,
        Option,
        Posterior,
        Variable,
    )
    from seke.inference.coverage import GuaranteeScope

    Record = dict[str, Any]

# Decimal places of probabilities.
DIGITS = 6
# Probability from which the violation of a rule is shown.
SHOWN_VIOLATION = 0.1


class RecordLayout:
    """How the records of one knowledge base look."""

    def __init__(self, base: Knowledge) -> None:
        self.base = base
        self.faces = set(self.base.levels) == LEVELS

    def records(
        self,
        answers: Answers,
        posterior: Posterior,
        decisions: Decisions,
        diagnostics: Diagnostics,
        scope: GuaranteeScope | None = None,
        drawn: Mapping[str, Floats] | None = None,
    ) -> list[Record]:
        """Return one record an item.

        scope: what the guarantee that is in force covers, if any. drawn: marginals under draws of the base's
        numbers, by variable, (D, N, states) each, where the decisions rest on them.
        """
        columns = self._columns(posterior)
        levels = self._levels(decisions, scope, with_draws=drawn is not None)
        root = self.base.variables[self.base.root]
        root_sd = None if drawn is None else _mappings(root.states, drawn[root.name].std(0))
        promised = scope.items() if scope else iter(())
        uncertified = scope.reasons(decisions.levels) if scope else []
        named = self._lacking(decisions), self._overruled(answers, decisions), self._labelled(answers)
        details = self._diagnostics(answers, posterior, diagnostics, named)
        records = []
        for i, item in enumerate(answers.items):
            posteriors = {name: next(column) for name, column in columns.items()}
            record: Record = {"item": item}
            if self.faces:
                record |= posteriors
            else:
                record["posteriors"] = posteriors
            record["decision"] = {
                "item": decisions.item[i],
                "levels": {name: next(column) for name, column in levels.items()},
                "next": _next(decisions.next[i]),
                "reasons": list(decisions.reasons[i]),
            }
            if scope:
                record["decision"]["guarantee"] = next(promised)
                if decisions.item[i] != "accept":
                    record["decision"]["reasons"] += uncertified[i]
            record["diagnostics"] = next(details)
            if root_sd is not None:
                record["diagnostics"]["knowledge_sd"] = next(root_sd)
            records.append(record)
        return records

    def _columns(self, posterior: Posterior) -> dict[str, Iterator[Any]]:
        """Return for each field of the record its values over the items."""
        variables, columns = self.base.variables, {}
        for level, names in self.base.levels.items():
            binary = [name for name in names if variables[name].kind == "binary"]
            if self.faces and len(binary) == len(names):
                p = np.stack([posterior.marginals[name][:, 1] for name in names], axis=1)
                columns[level] = _mappings(names, p)
                continue
            for name in names:
                columns[name] = _distribution(variables[name], posterior.marginals[name])
            if self.faces and names == self.base.intervals and len(names) == 2:
                key = f"{names[0]}_{names[1]}_correlation"
                columns[key] = iter(np.round(posterior.correlation, DIGITS).tolist())
                columns |= self._derived(posterior)
        if not self.faces:
            columns |= self._derived(posterior)
        return columns

    def _derived(self, posterior: Posterior) -> dict[str, Iterator[Any]]:
        return {
            variable.name: _mappings(variable.states, posterior.marginals[variable.name])
            for variable in self.base.variables.values()
            if variable.kind == "derived"
        }

    def _levels(
        self, decisions: Decisions, scope: GuaranteeScope | None, *, with_draws: bool
    ) -> dict[str, Iterator[Record]]:
        asked = np.array([item == "requery" for item in decisions.item])
        columns = {}
        for name, level in decisions.levels.items():
            variable = self.base.variables[name]
            limit = highest_risk(variable, self.base.policy, level.value)
            low = level.cautious_risk <= limit + 0.5 * 10**-DIGITS
            only_inferred = (level.origin == Origin.INFERRED) & low & ~asked & self._read(decisions)
            words = np.where(level.accepted, "accept", np.where(asked, "requery", "reject"))
            words = np.where(only_inferred, "inferred", words)
            bases = np.array((*Basis.words(), None), dtype=object)[
                np.where(level.accepted, level.basis, len(Basis))
            ]
            fields: dict[str, list[Any]] = {
                "decision": words.tolist(),
                "value": _values(variable, level.value),
                "risk": np.round(level.risk, DIGITS).tolist(),
                "origin": np.array(Origin.words(), dtype=object)[level.origin].tolist(),
                "basis": bases.tolist(),
            }
            if scope:
                fields |= zip(("certified", "threshold"), scope.columns(name, level), strict=True)
            if with_draws:
                for field in ("risk_sd", "risk_mean", "knowledge_share"):
                    fields[field] = np.round(getattr(level, field), DIGITS).tolist()
            columns[name] = _rows((*fields,), *fields.values())
        return columns

    def _read(self, decisions: Decisions) -> Bools:
        """Return which items have a reading, (N,) bool."""
        inferred = Origin.INFERRED
        known = np.stack([level.origin != inferred for level in decisions.levels.values()])
        return np.asarray(known.any(0))

    def _lacking(self, decisions: Decisions) -> list[list[str]]:
        """Return for each item the binary variables that are rejected for lack of evidence of their own."""
        by_item: list[list[str]] = [[] for _ in decisions.item]
        for name, level in decisions.levels.items():
            for i in np.flatnonzero(level.lacking & ~level.accepted).tolist():
                by_item[i].append(name)
        return by_item

    def _overruled(self, answers: Answers, decisions: Decisions) -> list[list[str]]:
        """Return for each item the variables whose decision differs from the data set's label.

        Where labels are kept whatever is seen, those of which it is disputed.
        """
        if self.base.policy.labels_final:
            return [list(names) for names in decisions.disputed]
        by_item: list[list[str]] = [[] for _ in answers.items]
        for name, labels in labels_of(self.base, answers).items():
            level = decisions.levels[name]
            overruled = overrules(self.base.variables[name], self.base.policy, level.value, labels)
            for i in np.flatnonzero(overruled).tolist():
                by_item[i].append(name)
        return by_item

    def _labelled(self, answers: Answers) -> list[list[str]]:
        """Return for each item the variables that a data set's label among its answers reports."""
        by_item: list[list[str]] = [[] for _ in answers.items]
        labelled = labelled_by_sets(self.base, answers)
        for name in (name for name in self.base.variables if name in labelled):
            for i in np.flatnonzero(labelled[name]).tolist():
                by_item[i].append(name)
        return by_item

    def _diagnostics(
        self,
        answers: Answers,
        posterior: Posterior,
        diagnostics: Diagnostics,
        named: tuple[list[list[str]], ...],
    ) -> Iterator[Record]:
        names = [
            "samples",
            "refused",
            "unreadable",
            "not_judged",
            "entropy_bits",
            "epistemic_bits",
            "conflict_bits",
        ]
        names += ["conflict", "log_evidence_nats", "violations", "lacking_evidence", "overruled"]
        names += ["labelled", "contradictions", "checks"]
        numbers = (
            diagnostics.entropy_bits,
            diagnostics.epistemic_bits,
            diagnostics.conflict_bits,
            diagnostics.conflict,
            posterior.log_evidence,
        )
        nothing: list[list[Record]] = [[] for _ in answers.items]
        return _rows(
            names,
            answers.samples.tolist(),
            answers.refused.tolist(),
            answers.unreadable.tolist(),
            answers.not_judged.tolist(),
            *(np.round(column + 0.0, DIGITS).tolist() for column in numbers),
            _violations(posterior),
            *named,
            [list(map(_contradiction, standing)) for standing in diagnostics.contradictions] or nothing,
            [[self._check(check) for check in checks] for checks in diagnostics.checks] or nothing,
        )

    def _check(self, check: CheckEffect) -> Record:
        """Return what is decided about a variable without the answers about it alone, and with them."""
        variable = self.base.variables[check.variable]
        without, with_it = _values(variable, np.array([check.value_without, check.value]))
        risks = np.round([check.risk_without, check.risk], DIGITS).tolist()
        return {
            "about": check.variable,
            "without": {"value": without, "risk": risks[0], "contradictions": list(check.without)},
            "with": {"value": with_it, "risk": risks[1], "contradictions": list(check.standing)},
        }


def posteriors_of(record: Mapping[str, Any], base: Knowledge) -> dict[str, Any]:
    """Return the posteriors of a record by variable, those that it holds under their level, too."""
    posteriors = dict(record.get("posteriors", record))
    for level in base.levels:
        if level not in base.variables and isinstance(posteriors.get(level), dict):
            posteriors |= posteriors[level]
    return posteriors


def _rows(names: tuple[str, ...] | list[str], *columns: list[Any]) -> Iterator[Record]:
    for row in zip(*columns, strict=True):
        yield dict(zip(names, row, strict=True))


def _mappings(names: tuple[str, ...], p: Floats) -> Iterator[Record]:
    return (dict(zip(names, row, strict=True)) for row in np.round(p, DIGITS).tolist())


def _distribution(variable: Variable, p: Floats) -> Iterator[Any]:
    if variable.kind == "binary":
        return iter(np.round(p[:, 1], DIGITS).tolist())
    if variable.kind != "interval":
        return _mappings(variable.states, p)
    edges, centres = np.array(variable.edges), bin_centres(variable)
    width = edges[1] - edges[0]
    mean = p @ centres
    sd = np.sqrt(np.maximum(p @ centres**2 - mean**2 + width**2 / 12, 0))
    table = np.stack([mean, sd, _quantile(p, edges, 0.05), _quantile(p, edges, 0.95)], axis=1)
    return _mappings(("mean", "sd", "q05", "q95"), table)


def bin_centres(variable: Variable) -> Floats:
    """Return the middle of each bin of an interval variable, (bins,)."""
    edges = np.array(variable.edges)
    return np.asarray((edges[:-1] + edges[1:]) / 2)


def _quantile(p: Floats, edges: Floats, q: float) -> Floats:
    """Return the q-quantile of each row of p (N, bins), values uniform within bins."""
    total = np.cumsum(p, axis=1)
    index = np.minimum((total < q).sum(1), p.shape[1] - 1)
    rows = np.arange(len(p))
    before = total[rows, index] - p[rows, index]
    share = (q - before) / np.maximum(p[rows, index], 1e-300)
    return np.asarray(edges[index] + np.clip(share, 0, 1) * (edges[1] - edges[0]))


def _values(variable: Variable, value: Floats) -> list[Any]:
    if variable.kind == "interval":
        return list(np.round(value, DIGITS).tolist())
    if variable.kind == "binary":
        return list((value > 0).tolist())
    return [variable.states[int(v)] for v in value]


def _violations(posterior: Posterior) -> list[list[Record]]:
    by_item: list[list[Record]] = [[] for _ in posterior.items]
    items, rules = np.nonzero(posterior.violations >= SHOWN_VIOLATION)
    for i, r in zip(items.tolist(), rules.tolist(), strict=True):
        p = round(float(posterior.violations[i, r]), DIGITS)
        by_item[i].append({"rule": posterior.rules[r], "probability": p})
    for violations in by_item:
        violations.sort(key=lambda violation: -violation["probability"])
    return by_item


def _contradiction(contradiction: Contradiction) -> Record:
    return {
        "contradiction": contradiction.text,
        "about": list(contradiction.variables),
        "probability": round(contradiction.probability, DIGITS),
    }


def _next(following: Option | None) -> Mapping[str, Any] | None:
    if following is None:
        return None
    return {
        "observer": following.observer,
        "question": following.question,
        "about": following.about,
        "view": following.view,
        "samples": following.samples,
        "gain": round(following.gain, DIGITS),
        "check": following.check or None,
    }
