"""The section `fits`: what observers were fitted to, written by a fit and read again.

Names in it are not checked against the base: a base that was changed since may lack what was fitted then, and
the record then says nothing about it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import yaml

from engine.language.numbers import PlainNumber, RecordDumper, rounded_down, rounded_up
from engine.model.fit_record import FitRecord, FittedReading, Threshold

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.language.fields import Entries, Fields
    from engine.language.yaml_nodes import Node
    from engine.model.knowledge import Knowledge

# Limits that differ by less are the same: what is written has this many decimals.
SAME = 1e-9
# Characters of a line of YAML.
WIDTH = 160
SETS = ("thresholds", "adaptive_thresholds")
AIMS = ("adaptive_thresholds", "aim")


def fits(fields: Fields, node: Node | None) -> tuple[FitRecord, ...]:
    """Read the section, in the order of the layers: the latest fit last."""
    return tuple(_record(fields, name, inner) for name, inner in fields.named(node))


def _record(fields: Fields, name: str, node: Node) -> FitRecord:
    entries = fields.table(node, "FIT")
    return FitRecord(
        name,
        readings=tuple(_reading(inner) for inner in entries.value("readings")),
        thresholds=tuple(_thresholds(entries.value("thresholds"))),
        adaptive_thresholds=tuple(_thresholds(entries.value("adaptive_thresholds"))),
        place=node.place,
        **entries.values("made population persons observers"),
    )


def _reading(entries: Entries) -> FittedReading:
    reading = FittedReading(**entries.values("observer model question prompt view least most gold"))
    if reading.least > reading.most and "most" in entries:
        entries.fault("most", f"is less than `least`, {reading.least}")
    return reading


def _thresholds(by_variable: Mapping[str, Mapping[str, Entries]]) -> Iterator[Threshold]:
    for name, by_value in by_variable.items():
        for value, entries in by_value.items():
            threshold = Threshold(name, value, **entries.values("limit risk items accepted mean aim"))
            if threshold.accepted > threshold.items and "accepted" in entries:
                entries.fault("accepted", f"is more than `items`, {threshold.items}")
            yield threshold


def with_thresholds(base: Knowledge) -> Knowledge:
    """Return the base with the thresholds of its latest fit that was made with its limits and observers."""
    plain, adaptive, aims = (_valid(base, *which) for which in (*((key, "risk") for key in SETS), AIMS))
    policy = replace(base.policy, thresholds=plain, adaptive_thresholds=adaptive, adaptive_aims=aims)
    return replace(base, policy=policy)


def _valid(base: Knowledge, key: str, part: str) -> dict[str, tuple[float, ...]]:
    """Return variable -> a part of its thresholds by value, of a set of the latest fit that has any."""
    by_variable: dict[str, dict[str, float]] = {}
    for record in base.fits:
        if not all(base.observer_digests.get(name) == digest for name, digest in record.observers.items()):
            continue
        of_record: dict[str, dict[str, float]] = {}
        for threshold in getattr(record, key):
            limit = (
                base.policy.limits.get(threshold.variable, 0.0)
                if threshold.variable in base.policy.mean_limits
                else 0.0
            )
            if math.isclose(threshold.limit, limit, abs_tol=SAME):
                number = getattr(threshold, part)
                if number is not None:
                    of_record.setdefault(threshold.variable, {})[threshold.value] = number
        by_variable |= of_record
    thresholds = {}
    for name, by_value in by_variable.items():
        limit = base.policy.limits[name]
        values = base.variables[name].values
        thresholds[name] = tuple(by_value.get(value, by_value.get(Threshold.ANY, limit)) for value in values)
    return thresholds


def fits_yaml(record: FitRecord) -> str:
    """Return a record as YAML, a section `fits`; thresholds are rounded so that they promise less."""
    plain: dict[str, Any] = {
        "source": record.name,
        "made": record.made,
        "population": record.population,
        "persons": record.persons,
        "observers": dict(record.observers),
        "readings": [_plain_reading(reading) for reading in record.readings],
    }
    sets = {key: _plain_thresholds(getattr(record, key)) for key in SETS}
    plain |= {key: entries for key, entries in sets.items() if entries}
    head = (
        "# What these numbers were fitted to; a value is `calibrated` only if it was answered the same way.\n"
        + "# thresholds: the highest risk that is accepted, so that the mean risk keeps the limit.\n"
        * any(sets.values())
        + "# aim: the risk down to which the policy asks.\n" * bool(sets["adaptive_thresholds"])
    )
    tree = {"fits": {record.name: plain}}
    text = yaml.dump(tree, Dumper=RecordDumper, sort_keys=False, width=WIDTH, allow_unicode=True)
    return f"{head}{text}"


def _plain_thresholds(thresholds: Sequence[Threshold]) -> dict[str, dict[str, Any]]:
    plain: dict[str, dict[str, Any]] = {}
    for threshold in thresholds:
        plain.setdefault(threshold.variable, {})[threshold.value] = {
            "limit": PlainNumber(rounded_down(threshold.limit)),
            "risk": PlainNumber(rounded_down(threshold.risk)),
            "items": threshold.items,
            "accepted": threshold.accepted,
            "mean": PlainNumber(rounded_up(threshold.mean, 6)),
        }
        if threshold.aim is not None:
            plain[threshold.variable][threshold.value]["aim"] = PlainNumber(rounded_down(threshold.aim))
    return plain


def _plain_reading(reading: FittedReading) -> Mapping[str, Any]:
    gold = {name: dict(counts) for name, counts in reading.gold.items()}
    return {**vars(reading), "gold": gold}
