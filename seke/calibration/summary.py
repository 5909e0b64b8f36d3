"""A calibration for people, and as facts for programs."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

from engine import Threshold, far_off
from seke.console.certificate_table import lacking, verdict
from seke.console.columns import columns, count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine import Check, ComponentTrial, Entry, Guarantee
    from seke.calibration.calibrate import Calibration

    Record = dict[str, Any]

LEARNED = 0.1
WIDTH = 100
MOST_CELLS = 12
# Variables that a line names before it counts the others.
MOST_NAMED = 5


def text_of(found: Calibration) -> str:
    """Return the summary: prior against posterior, what did not move, checks, warnings."""
    return "\n".join(_lines(found)) + "\n"


def facts_of(found: Calibration) -> Record:
    """Return everything as one mapping."""
    return {
        **found.facts,
        "numbers": [
            {
                "path": one.path,
                "prior": one.prior,
                "prior_sd": one.prior_sd,
                "value": one.value,
                "sd": one.sd,
                "learned": round(one.learned, 4),
            }
            for one in found.entries
        ],
        "untold": dict(found.untold),
        "checks": [
            {
                "observer": one.about,
                "kind": one.kind,
                "name": one.name,
                "count": one.count,
                "said": one.observed,
                "drawn": one.drawn,
                "sd": one.sd,
                "far": one.far,
            }
            for one in found.checks
        ],
        "types": None if found.splits is None else [_facts_of_kinds(one) for one in found.splits],
        "record": {
            "name": found.record.name,
            "persons": found.record.persons,
            "readings": [vars(one) for one in found.record.readings],
            "thresholds": [vars(one) for one in found.record.thresholds],
            "adaptive_thresholds": [vars(one) for one in found.record.adaptive_thresholds],
        },
        "guarantee": None if found.guarantee is None else verdict(found.guarantee),
        "warnings": list(found.warnings),
    }


def _lines(found: Calibration) -> Iterator[str]:
    facts = found.facts
    gold = sum(1 for known in facts["gold"].values() if known)
    what = f"{count(facts['answers'], 'answer')} about {count(facts['items'], 'item')}"
    yield f"{facts['method']} fit of {what}, " + (f"gold of {count(gold, 'variable')}" if gold else "no gold")
    observers = dict.fromkeys(entry.keys[1] for entry in found.entries if entry.keys[0] == "observers")
    for observer in observers:
        mine = [entry for entry in found.entries if entry.keys[:2] == ("observers", observer)]
        yield from ("", observer)
        yield from _tables(mine)
        scalars = [entry for entry in mine if not entry.row and entry.keys[2] not in ("binary", "stereotype")]
        scalars += [entry for entry in mine if entry.keys[2] == "binary" and entry.keys[3] != "cells"]
        yield from columns(
            ("number", "prior", "±", "fitted", "±", "learned"),
            [(".".join(e.keys[2:]), *_row(e)) for e in scalars],
        )
        yield from _rates(mine)
    yield from _population(found.entries)
    yield from _learned(found.entries)
    yield from _kinds(found.splits)
    yield from _record(found)
    yield from _unmoved(found)
    yield from _checks(found.checks)
    if found.guarantee is not None:
        yield from _guarantee(found.guarantee)
    if found.warnings:
        yield from ("", "Warnings")
        for warning in found.warnings:
            yield from textwrap.wrap(warning, WIDTH, initial_indent="  ", subsequent_indent="    ")


def _guarantee(made: Guarantee) -> Iterator[str]:
    yield from ("", *textwrap.wrap(f"Guarantee: {verdict(made)}", WIDTH, subsequent_indent="  "))
    rows = []
    for one in made.certificates:
        passed = one.threshold is not None
        risk = "-" if one.threshold is None else f"{one.threshold:.3f}"
        counts = str(one.n), str(one.errors), f"{one.coverage:.0%}" if passed else "-"
        rows.append((f"{one.variable} {one.value}", risk, *counts, "" if passed else lacking(one)))
    yield from columns(("value", "accepted at risk", "tested", "wrong", "coverage", "lacks"), rows)


def _row(entry: Entry) -> tuple[str, ...]:
    numbers = (entry.prior, entry.prior_sd, entry.value, entry.sd)
    return (*(f"{number:.3f}" for number in numbers), f"{max(entry.learned, 0):.0%}")


def _tables(mine: Sequence[Entry]) -> Iterator[str]:
    """Yield how often each truth is answered rightly, and what it is mostly taken for instead."""
    tables: dict[tuple[str, ...], dict[str, list[Entry]]] = {}
    for entry in mine:
        if entry.row and entry.keys[-3] == "confusion":
            tables.setdefault(entry.keys[2:-2], {}).setdefault(entry.keys[-2], []).append(entry)
    for keys, rows in tables.items():
        lines = []
        for state, row in rows.items():
            own = next((entry for entry in row if entry.keys[-1] == state), None)
            rest = [entry for entry in row if entry is not own]
            other = max(rest, key=lambda entry: entry.value)
            cells = _row(own) if own else ("-",) * 5
            lines.append(
                (state, *cells, f"{other.keys[-1]} {other.value:.3f} ± {other.sd:.3f} ({other.prior:.3f})")
            )
        header = (keys[1], "prior", "±", "right", "±", "learned", "most often instead (prior)")
        yield from columns(header, lines)
        yield ""


def _rates(mine: Sequence[Entry]) -> Iterator[str]:
    cells: dict[str, dict[str, Entry]] = {}
    for entry in mine:
        if entry.keys[2:4] == ("binary", "cells") and entry.keys[-1] in ("sensitivity", "specificity"):
            cells.setdefault(entry.keys[4], {})[entry.keys[-1]] = entry
    if cells:
        yield ""
        header = (
            "",
            "sensitivity prior",
            "±",
            "fitted",
            "±",
            "learned",
            "specificity prior",
            "±",
            "fitted",
            "±",
            "learned",
        )
        rows = [
            (name, *_row(pair["sensitivity"]), *_row(pair["specificity"])) for name, pair in cells.items()
        ]
        yield from columns(header, rows)


def _population(entries: Sequence[Entry]) -> Iterator[str]:
    mine = [entry for entry in entries if entry.keys[0] == "priors"]
    if mine:
        yield from ("", f"population {mine[0].keys[2]}")
        yield from columns(
            ("", "prior", "±", "fitted", "±", "learned"), [(e.keys[-1], *_row(e)) for e in mine]
        )


def _learned(entries: Sequence[Entry]) -> Iterator[str]:
    mine = [entry for entry in entries if entry.keys[0] in ("activations", "affect")]
    if mine:
        farthest = sorted(mine, key=lambda entry: -abs(entry.shift))[:MOST_CELLS]
        yield from ("", f"Tables: {len(farthest)} of {len(mine)} numbers, those that moved farthest")
        rows = [(".".join(entry.keys[2:]).removesuffix(".p"), *_row(entry)) for entry in farthest]
        yield from columns(("", "prior", "±", "fitted", "±", "learned"), rows)


def _kinds(splits: Sequence[ComponentTrial] | None) -> Iterator[str]:
    """Yield what came of trying more kinds of reading."""
    if splits is None:
        return
    yield from ("", "Kinds of reading tried: nats an item by which items held out are foretold better")
    if not splits:
        yield "  none: no observer with one kind answered often enough again about a categorical variable"
    rows = [
        (
            f"{one.observer}, {one.variable}",
            " ".join(one.kinds),
            str(one.items),
            f"{one.gain:+.4f} ± {one.gain_se:.4f}",
            "-" if math.isnan(one.gold_gain) else f"{one.gold_gain:+.4f} ± {one.gold_gain_se:.4f}",
            "kept" if one.kept else "not kept",
        )
        for one in splits
    ]
    yield from columns(("", "kinds", "items", "answers and gold", "gold alone", ""), rows) if rows else ()


def _record(found: Calibration) -> Iterator[str]:
    """Yield what the fit is a calibration of, and what keeps the limits of the mean."""
    least = found.base.policy.calibrated_from
    rows = []
    for reading in found.record.readings:
        enough = [name for name in reading.gold if reading.gold_items(name) >= least]
        few = [f"{name} {reading.gold_items(name)}" for name in reading.gold if name not in enough]
        who = (
            f"{reading.observer} ({reading.model})" if reading.model != reading.observer else reading.observer
        )
        asked = f"{who}, {reading.question}, {reading.view}, up to {count(reading.most, 'answer')}"
        rows.append((asked, _named(enough) or "-", _named(few) or "-"))
    if rows:
        yield from (
            "",
            f"A value answered so counts as calibrated where gold of it is enough ({least} items)",
        )
        yield from columns(("answered", "calibrated", "too little gold"), rows)
    yield from _thresholds("items answered as these", found.record.thresholds)
    yield from _thresholds("items asked as the policy asks", found.record.adaptive_thresholds)


def _thresholds(title: str, thresholds: Sequence[Threshold]) -> Iterator[str]:
    """Yield what is accepted of some items, and how far down they are asked where the policy asks them."""
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
    yield from columns(("value", "limit", *aim, "accepted at risk", "accepts", "mean risk"), rows)


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMED])
    return shown + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")


def _facts_of_kinds(one: ComponentTrial) -> Record:
    facts: Record = {**vars(one), "kinds": list(one.kinds), "kept": one.kept}
    return facts | (dict.fromkeys(("gold_gain", "gold_gain_se")) if math.isnan(one.gold_gain) else {})


def _unmoved(found: Calibration) -> Iterator[str]:
    """Yield what the data told little or nothing of."""
    if found.untold:
        yield from ("", "What these data cannot tell, and so stays as declared")
        for reason, paths in _by_reason(found.untold).items():
            yield from textwrap.wrap(
                f"{_some(paths)}: {reason}", WIDTH, initial_indent="  ", subsequent_indent="    "
            )
    faint = [entry.path for entry in found.entries if entry.learned < LEARNED and not entry.row]
    rows = {".".join(e.keys[:-1]) for e in found.entries if e.row}
    for row in sorted(rows):
        mine = [e for e in found.entries if e.row and e.path.startswith(row + ".")]
        if max(e.learned for e in mine) < LEARNED:
            faint.append(row)
    if faint:
        yield from ("", f"Hardly told (under {LEARNED:.0%} of the prior's variance gone)")
        yield from textwrap.wrap(_some(faint, 12), WIDTH, initial_indent="  ", subsequent_indent="    ")


def _by_reason(untold: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path, reason in untold.items():
        found.setdefault(reason, []).append(path)
    return found


def _some(paths: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(path.removeprefix("observers.") for path in paths[:most])
    return shown + (f" and {len(paths) - most} more" if len(paths) > most else "")


def _checks(checks: Sequence[Check]) -> Iterator[str]:
    if not checks:
        return
    yield from (
        "",
        "Would the fitted observers answer like this? (said, and mean ± sd of what they would say)",
    )
    shown = [c for c in checks if c.kind not in ("rate", "correlation", "mean", "spread")]
    rows = [
        (
            c.about,
            f"{c.kind}: {c.name}",
            f"{c.observed:.3f}",
            f"{c.drawn:.3f}",
            f"{c.sd:.3f}",
            "far off" if c.far else "",
        )
        for c in shown
    ]
    yield from columns(("", "", "said", "drawn", "±", ""), rows)
    for kind in ("rate", "correlation", "mean", "spread"):
        mine = [c for c in checks if c.kind == kind]
        if mine:
            far = len(far_off(mine))
            worst = max(mine, key=lambda c: abs(c.observed - c.drawn) / max(c.sd, 1e-9))
            yield (
                f"  {count(len(mine), kind)}: {far or 'none'} far off; the farthest {worst.name}, "
                f"{worst.observed:.3f} against {worst.drawn:.3f} ± {worst.sd:.3f}"
            )
