"""A calibration for people, and as facts for programs."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

from engine import Threshold, far_off
from seke.console.guarantee_text import certificate_facts, lacking, verdict, worst_text
from seke.console.plain_text import count, first_names
from seke.console.rich_table import table_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine import Check, ComponentTrial, Entry, Guarantee
    from seke.calibration.calibration_parts import CalibrationParts

    Record = dict[str, Any]

LEARNED = 0.1
# Standard deviations of the prior from which on a number is said to contradict it.
FAR = 2.0
# Standard deviations of the prior by which a number of a ranking has to move to be told: there are dozens.
LITTLE = 0.25
# What tables of labels are called in an observer; that of what it settles on takes the place of the other.
SETTLED = "settled"
TABLES = ("confusion", SETTLED)
# Where the rates of binary variables stand in an observer, and what they are.
RATED, RATES = ("cells", "by_question"), ("sensitivity", "specificity")
# Titles of a fitted number's cells.
FITTED = ("prior", "±", "fitted", "±", "learned")
WIDTH = 100
MOST_CELLS = 12
# Variables that a line names before it counts the others.
MOST_NAMED = 5


def text_of(calibration: CalibrationParts) -> str:
    """Return the summary: prior against posterior, what did not move, checks, warnings."""
    return "\n".join(_lines(calibration)) + "\n"


def facts_of(calibration: CalibrationParts) -> Record:
    """Return everything as one mapping."""
    return {
        **calibration.facts,
        "numbers": [
            {
                "path": entry.path,
                "prior": entry.prior,
                "prior_sd": entry.prior_sd,
                "value": entry.value,
                "sd": entry.sd,
                "learned": round(entry.learned, 4),
            }
            for entry in calibration.entries
        ],
        "untold": dict(calibration.untold),
        "checks": [
            {
                "observer": check.about,
                "kind": check.kind,
                "name": check.name,
                "count": check.count,
                "said": check.observed,
                "drawn": check.drawn,
                "sd": check.sd,
                "far": check.far,
            }
            for check in calibration.checks
        ],
        "types": None
        if calibration.splits is None
        else [_facts_of_kinds(trial) for trial in calibration.splits],
        "record": {
            "name": calibration.record.name,
            "persons": calibration.record.persons,
            "readings": [vars(reading) for reading in calibration.record.readings],
            "thresholds": [vars(threshold) for threshold in calibration.record.thresholds],
            "adaptive_thresholds": [vars(threshold) for threshold in calibration.record.adaptive_thresholds],
        },
        "guarantee": None if calibration.guarantee is None else verdict(calibration.guarantee),
        "certificates": [
            certificate_facts(certificate, made.unit)
            for made in filter(None, (calibration.guarantee,))
            for certificate in made.certificates
        ],
        "warnings": list(calibration.warnings),
    }


def _lines(calibration: CalibrationParts) -> Iterator[str]:
    facts = calibration.facts
    gold = sum(1 for known in facts["gold"].values() if known)
    what = f"{count(facts['answers'], 'answer')} about {count(facts['items'], 'item')}"
    yield f"{facts['method']} fit of {what}, " + (f"gold of {count(gold, 'variable')}" if gold else "no gold")
    observers = dict.fromkeys(entry.keys[1] for entry in calibration.entries if entry.keys[0] == "observers")
    for observer in observers:
        of_observer = [entry for entry in calibration.entries if entry.keys[:2] == ("observers", observer)]
        yield from ("", observer)
        yield from _tables(of_observer)
        scalars = [
            entry for entry in of_observer if not entry.row and entry.keys[2] not in ("binary", "stereotype")
        ]
        scalars += [
            entry for entry in of_observer if entry.keys[2] == "binary" and entry.keys[3] not in RATED
        ]
        shown = [entry for entry in scalars if not _of_ranking(entry) or abs(entry.shift) >= LITTLE]
        if shown:
            yield from table_lines(("number", *FITTED), [(".".join(e.keys[2:]), *_row(e)) for e in shown])
        if more := len(scalars) - len(shown):
            yield f"  {more} more of rankings, which hardly moved"
        yield from _rates(of_observer)
    yield from _population(calibration.entries)
    yield from _learned(calibration.entries)
    yield from _kinds(calibration.splits)
    yield from _record(calibration)
    yield from _unmoved(calibration)
    yield from _checks(calibration.checks)
    if calibration.guarantee is not None:
        yield from _guarantee(calibration.guarantee)
    if calibration.warnings:
        yield from ("", "Warnings")
        for warning in calibration.warnings:
            yield from textwrap.wrap(warning, WIDTH, initial_indent="  ", subsequent_indent="    ")


def _guarantee(made: Guarantee) -> Iterator[str]:
    yield from ("", *textwrap.wrap(f"Guarantee: {verdict(made)}", WIDTH, subsequent_indent="  "))
    rows, asked = [], any(certificate.aim is not None for certificate in made.certificates)
    for certificate in made.certificates:
        passed = certificate.threshold is not None
        numbers = (certificate.limit, certificate.aim, certificate.threshold)[:: 1 if asked else 2]
        coverage = f"{certificate.coverage:.0%}" if passed else "-"
        bound = f"{certificate.bound:.3f}" if certificate.share else "untested"
        lacks = "" if passed else lacking(certificate, made.unit)
        counts = str(certificate.n), str(certificate.errors), bound
        rows.append((certificate.name, *map(_decimal, numbers), *counts, coverage, lacks))
    tested = ("accepted at risk", "tested", "wrong", "at most", "coverage", "lacks")
    yield from table_lines(("promise", "limit", *["asked to"] * asked, *tested), rows)
    for certificate in (certificate for certificate in made.certified if certificate.worst):
        beside = f"{certificate.name}, beside the promise: {worst_text(certificate)}"
        yield from textwrap.wrap(beside, WIDTH, initial_indent="  ", subsequent_indent="    ")


def _decimal(number: float | None) -> str:
    return "-" if number is None else f"{number:.3f}"


def _row(entry: Entry) -> tuple[str, ...]:
    numbers = (entry.prior, entry.prior_sd, entry.value, entry.sd)
    gain = "moved" if _contradicts(entry) else f"{max(entry.learned, 0):.0%}"
    return (*(f"{number:.3f}" for number in numbers), gain)


def _contradicts(entry: Entry) -> bool:
    """Tell whether answers moved a number far from its prior without making it more certain."""
    return entry.learned < LEARNED and abs(entry.shift) >= FAR


def _tables(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield how often each state is answered correctly, and its most frequent wrong answer."""
    tables: dict[tuple[str, ...], dict[str, list[Entry]]] = {}
    for entry in entries:
        if entry.row and entry.keys[-3] in TABLES:
            tables.setdefault(entry.keys[2:-2], {}).setdefault(entry.keys[-2], []).append(entry)
    for keys, rows in tables.items():
        lines = []
        for state, row in rows.items():
            right = next((entry for entry in row if entry.keys[-1] == state), None)
            wrong = [entry for entry in row if entry is not right]
            other = max(wrong, key=lambda entry: entry.value)
            cells = _row(right) if right else ("-",) * 5
            lines.append(
                (state, *cells, f"{other.keys[-1]} {other.value:.3f} ± {other.sd:.3f} ({other.prior:.3f})")
            )
        header = (_table_title(keys), "prior", "±", "right", "±", "learned", "most often instead (prior)")
        yield from table_lines(header, lines)
        yield ""


def _of_ranking(entry: Entry) -> bool:
    return entry.keys[4:5] == ("ranking",)


def _table_title(keys: tuple[str, ...]) -> str:
    """Return what a table is about: one answer, or what all answers about an item settle on."""
    return f"{keys[1]}, settled on" if keys[-1] == SETTLED else keys[1]


def _rates(entries: Sequence[Entry]) -> Iterator[str]:
    cells: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        if entry.keys[2] == "binary" and entry.keys[3] in RATED and entry.keys[-1] in RATES:
            name = entry.keys[4] if entry.keys[3] == "cells" else f"{entry.keys[6]} in {entry.keys[4]}"
            cells.setdefault(name, {})[entry.keys[-1]] = entry
    if cells:
        yield ""
        after = FITTED[1:]
        header = ("", "sensitivity prior", *after, "specificity prior", *after)
        rows = [
            (name, *_row(pair["sensitivity"]), *_row(pair["specificity"])) for name, pair in cells.items()
        ]
        yield from table_lines(header, rows)


def _population(entries: Sequence[Entry]) -> Iterator[str]:
    priors = [entry for entry in entries if entry.keys[0] == "priors"]
    if priors:
        yield from ("", f"population {priors[0].keys[2]}")
        yield from table_lines(("", *FITTED), [(e.keys[-1], *_row(e)) for e in priors])


def _learned(entries: Sequence[Entry]) -> Iterator[str]:
    numbers = [entry for entry in entries if entry.keys[0] in ("activations", "affect")]
    if numbers:
        farthest = sorted(numbers, key=lambda entry: -abs(entry.shift))[:MOST_CELLS]
        yield from ("", f"Tables: the {len(farthest)} of {len(numbers)} numbers that moved most")
        rows = [(".".join(entry.keys[2:]).removesuffix(".p"), *_row(entry)) for entry in farthest]
        yield from table_lines(("", *FITTED), rows)


def _kinds(splits: Sequence[ComponentTrial] | None) -> Iterator[str]:
    """Yield the results of the trials of more kinds of reading."""
    if splits is None:
        return
    yield from ("", "Kinds of reading tried: gain in predicting held-out items, in nats per item")
    if not splits:
        yield "  none: no observer with one kind has enough repeated answers about a categorical variable"
    rows = [
        (
            f"{trial.observer}, {trial.variable}",
            " ".join(trial.kinds),
            str(trial.items),
            f"{trial.gain:+.4f} ± {trial.gain_se:.4f}",
            "-" if math.isnan(trial.gold_gain) else f"{trial.gold_gain:+.4f} ± {trial.gold_gain_se:.4f}",
            "kept" if trial.kept else "not kept",
        )
        for trial in splits
    ]
    yield from table_lines(("", "kinds", "items", "answers and gold", "gold alone", ""), rows) if rows else ()


def _record(calibration: CalibrationParts) -> Iterator[str]:
    """Yield which answers count as calibrated, and the thresholds that keep limits of the mean."""
    least = calibration.base.policy.calibrated_from
    rows = []
    for reading in calibration.record.readings:
        enough = [name for name in reading.gold if reading.gold_items(name) >= least]
        few = [f"{name} {reading.gold_items(name)}" for name in reading.gold if name not in enough]
        who = (
            f"{reading.observer} ({reading.model})" if reading.model != reading.observer else reading.observer
        )
        asked = f"{who}, {reading.question}, {reading.view}, up to {count(reading.most, 'answer')}"
        rows.append((asked, *(first_names(names, MOST_NAMED) or "-" for names in (enough, few))))
    if rows:
        yield from (
            "",
            f"Values answered like this count as calibrated if they have enough gold ({least} items)",
        )
        yield from table_lines(("answered", "calibrated", "too little gold"), rows)
    yield from _thresholds("items answered like these", calibration.record.thresholds)
    yield from _thresholds("items asked as the policy asks", calibration.record.adaptive_thresholds)


def _thresholds(title: str, thresholds: Sequence[Threshold]) -> Iterator[str]:
    """Yield the thresholds, how much each accepts and, where items are asked down to a risk, this aim."""
    if not thresholds:
        return
    yield from ("", f"Risks accepted to keep the limits of the mean: {title}")
    asked = any(threshold.aim is not None for threshold in thresholds)
    rows = [
        (
            threshold.variable
            if threshold.value == Threshold.ANY
            else f"{threshold.variable} {threshold.value}",
            f"{threshold.limit:g}",
            *(("-" if threshold.aim is None else f"{threshold.aim:.3f}",) if asked else ()),
            f"{threshold.risk:.3f}" if threshold.accepted else "none",
            f"{threshold.accepted} of {threshold.items}",
            f"{threshold.mean:.3f}" if threshold.accepted else "-",
        )
        for threshold in thresholds
    ]
    aim = ("asked down to",) if asked else ()
    yield from table_lines(("value", "limit", *aim, "accepted at risk", "accepts", "mean risk"), rows)


def _facts_of_kinds(trial: ComponentTrial) -> Record:
    facts: Record = {**vars(trial), "kinds": list(trial.kinds), "kept": trial.kept}
    return facts | (dict.fromkeys(("gold_gain", "gold_gain_se")) if math.isnan(trial.gold_gain) else {})


def _unmoved(calibration: CalibrationParts) -> Iterator[str]:
    """Yield the numbers that the data determine hardly or not at all."""
    if calibration.untold:
        yield from ("", "Not determined by these data, so kept as declared")
        for reason, paths in _by_reason(calibration.untold).items():
            yield from textwrap.wrap(
                f"{_some(paths)}: {reason}", WIDTH, initial_indent="  ", subsequent_indent="    "
            )
    moved = [entry.path for entry in calibration.entries if _contradicts(entry) and not entry.row]
    if moved:
        yield from ("", f"Moved by {FAR:g} of its prior's ± or more, and no more certain than before")
        yield from textwrap.wrap(_some(moved, 12), WIDTH, initial_indent="  ", subsequent_indent="    ")
    faint = [
        entry.path
        for entry in calibration.entries
        if entry.learned < LEARNED and not (entry.row or _of_ranking(entry) or _contradicts(entry))
    ]
    rows = {".".join(e.keys[:-1]) for e in calibration.entries if e.row}
    for row in sorted(rows):
        row_entries = [e for e in calibration.entries if e.row and e.path.startswith(row + ".")]
        if max(e.learned for e in row_entries) < LEARNED:
            faint.append(row)
    if faint:
        yield from ("", f"Hardly determined (the variance fell by less than {LEARNED:.0%} of the prior's)")
        yield from textwrap.wrap(
            _some(faint, 12), WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
        )


def _by_reason(untold: Mapping[str, str]) -> dict[str, list[str]]:
    by_reason: dict[str, list[str]] = {}
    for path, reason in untold.items():
        by_reason.setdefault(reason, []).append(path)
    return by_reason


def _some(paths: Sequence[str], most: int = 4) -> str:
    # A path may be of several numbers that are told together.
    plain = [", ".join(part.removeprefix("observers.") for part in path.split(", ")) for path in paths]
    return first_names(plain, most)


def _checks(checks: Sequence[Check]) -> Iterator[str]:
    if not checks:
        return
    yield from (
        "",
        "Would the fitted observers answer like this? (observed, and mean ± sd as simulated)",
    )
    shown = [c for c in checks if c.kind not in ("rate", "correlation", "mean", "spread")]
    rows = []
    for c in shown:
        numbers = (f"{number:.3f}" for number in (c.observed, c.drawn, c.sd))
        rows.append((c.about, f"{c.kind}: {c.name}", *numbers, "far off" if c.far else ""))
    yield from table_lines(("", "", "observed", "simulated", "±", ""), rows)
    for kind in ("rate", "correlation", "mean", "spread"):
        of_kind = [c for c in checks if c.kind == kind]
        if of_kind:
            far = len(far_off(of_kind))
            worst = max(of_kind, key=lambda c: abs(c.observed - c.drawn) / max(c.sd, 1e-9))
            yield (
                f"  {count(len(of_kind), kind)}: {far or 'none'} far off; the farthest is {worst.name}, "
                f"observed {worst.observed:.3f}, simulated {worst.drawn:.3f} ± {worst.sd:.3f}"
            )
