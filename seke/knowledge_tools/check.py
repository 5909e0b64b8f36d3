"""`seke knowledge check`: the compiled network against the numbers that the base declares, and warnings."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Inference, Knowledge, audit_network, reading_follows
from seke.console.guarantee_text import certificate_facts, verdict
from seke.console.plain_text import count, near
from seke.console.rich_table import table_lines
from seke.files.networks import network_of
from seke.files.shipped import knowledge as read_knowledge
from seke.files.text_report import TextReport
from seke.prompts import Questions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine import Audit, AuditedRule, Deviation, Fault

    Facts = dict[str, Any]

# Deviations, and pairs of states, in the text.
MOST_SHOWN = 5
# Letters of a line, which fits into a terminal as it is opened.
WIDTH = 80
# Rules in the text.
MOST_RULES = 60
# A compiled probability this near to the declared one counts as equal.
EXACT = 1e-6
# Significant digits of numbers in the facts.
DIGITS = 6
# A reading that follows the look less often than declared by no more than this is not remarked on.
NEARLY = 0.02
# Limits nearer than this are the same, as the language writes so many decimals.
SAME = 1e-9
# The effect on a fit when a section was changed after it.
LOST = {
    "observers": "their answers no longer count as calibrated",
    "questions": "answers to them count as another design",
    "limits": "their thresholds no longer hold",
}


@dataclass(frozen=True, repr=False)
class KnowledgeCheck(TextReport):
    """The report on a base. facts: JSON values. warnings: those of the facts, with their places."""

    facts: Mapping[str, Any]
    warnings: tuple[Fault, ...]

    @property
    def strict(self) -> bool:
        """Return whether there is no warning, every confidence is met, and the certificates hold."""
        broken = self.facts["guarantee"] and self.facts["guarantee"]["refused"]
        return not self.warnings and not self.facts["unmet"] and not broken

    def __str__(self) -> str:
        return "\n".join(_lines(self.facts))


def check(knowledge: Knowledge | str | Path | None = None, seed: int = 0) -> KnowledgeCheck:
    """Check a base: the shipped one by default, or a folder or file.

    The facts are `knowledge`, `declares` (how many of what), `sourcing` (of each section how many numbers
    are `sourced`, judged with `evidence`, which is a note that names a source, or judged with `none`),
    `deviations` (declared against compiled numbers, the largest first), `rules`, `pairs` (states of the
    root, the hardest to tell apart first, with the Bayes error by question), `dependence` (each
    observer's kind, how often it follows what all see, and how often one reading of it does, which is no
    more than it carries over; None where observers err independently), `cost`, `fits` (what the observers
    were fitted to, and what was changed since), `guarantee` (what is certified, and why it does not hold
    any more; None where nothing is), `warnings`, and `unmet` (rules whose confidence is not met).

    Raises:
        engine.KnowledgeError: all faults of a base that cannot be read or compiled, or whose prompts
            cannot be rendered.
    """
    base = read_knowledge(knowledge)
    Questions(base).check()
    audit = audit_network(Inference(network_of(base), base), seed)
    return KnowledgeCheck(_facts(base, audit), audit.warnings)


def _facts(base: Knowledge, audit: Audit) -> Facts:
    return {
        "knowledge": {"name": base.name, "digest": base.digest},
        "declares": declares(base),
        "sourcing": _sourcing(base),
        "deviations": [_deviation(deviation) for deviation in audit.deviations],
        "rules": [_rule(rule) for rule in audit.rules],
        "pairs": _pairs(base, audit),
        "dependence": _dependence(base),
        "cost": {**vars(audit.cost), "text": str(audit.cost)},
        "fits": _fits(base),
        "guarantee": _guarantee(base),
        "warnings": [
            {"place": near(fault.place), "path": fault.path, "message": fault.message}
            for fault in audit.warnings
        ],
        "unmet": list(audit.unmet),
    }


def declares(base: Knowledge) -> dict[str, int]:
    """Return kind of declaration -> how many of them a base has."""
    kinds = [variable.kind for variable in base.variables.values()]
    return {
        "states": len(base.variables[base.root].states),
        "binary": kinds.count("binary"),
        "interval": kinds.count("interval"),
        "derived": kinds.count("derived"),
        "numbers": len(base.numbers),
        "sources": len(base.sources),
        "populations": len(base.populations),
        "couplings": len(base.couplings),
        "rules": len(base.rules),
        "observers": len(base.observers),
        "questions": len(base.questions),
    }


def _sourcing(base: Knowledge) -> list[Facts]:
    """Return for each section how many numbers are sourced, judged with evidence, and judged without."""
    named = re.compile(rf"\b(?:{'|'.join(map(re.escape, base.sources)) or '(?!)'})\b")
    groups: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for path, number in base.numbers.items():
        judged = "evidence" if named.search(number.note) else "none"
        groups[path.partition(".")[0]][judged if number.source == "judgement" else "sourced"] += 1
    return [
        {"section": section, **{group: counts[group] for group in ("sourced", "evidence", "none")}}
        for section, counts in groups.items()
    ]


def _deviation(deviation: Deviation) -> Facts:
    return {
        "path": deviation.path,
        "declared": deviation.declared,
        "compiled": _short(deviation.compiled),
        "place": near(deviation.place),
        "source": deviation.source,
    }


def _rule(audited: AuditedRule) -> Facts:
    low, high = (None if math.isnan(end) else _short(end) for end in audited.possible)
    return {
        "rule": audited.rule.name,
        "status": audited.compiled.status,
        "confidence": audited.rule.confidence,
        "p_then_given_if": None if math.isnan(audited.compiled.reached) else _short(audited.compiled.reached),
        "p_if": _short(audited.compiled.p_if),
        "possible": None if low is None else [low, high],
        "weight": _short(audited.compiled.weight),
        "place": near(audited.rule.place),
        "source": audited.rule.source,
    }


def _pairs(base: Knowledge, audit: Audit) -> list[Facts]:
    states = base.variables[base.root].states
    pairs = []
    for row, column in zip(*np.triu_indices(len(states), 1), strict=True):
        errors = {question: _short(table[row, column]) for question, table in audit.errors.items()}
        if errors:
            pairs.append({"states": [states[row], states[column]], "error": errors})
    return sorted(pairs, key=lambda pair: -min(pair["error"].values()))


def _dependence(base: Knowledge) -> list[Facts] | None:
    if base.dependence is None:
        return None
    return [
        {
            "observer": observer.name,
            "kind": observer.kind,
            "follows": observer.follows,
            "reading": _short(reading_follows(observer)),
            "carry": observer.carry,
            "family": observer.family or None,
            "family_follows": observer.family_follows if observer.family else None,
        }
        for observer in base.observers.values()
    ]


def _fits(base: Knowledge) -> list[Facts]:
    fits = []
    for record in base.fits:
        readings = record.readings
        observers = [n for n, digest in record.observers.items() if base.observer_digests.get(n) != digest]
        questions = {
            reading.question
            for reading in readings
            if base.question_digests.get(reading.question) != reading.prompt
        }
        limits = {
            threshold.variable
            for threshold in (*record.thresholds, *record.adaptive_thresholds)
            if threshold.variable not in base.policy.mean_limits
            or not math.isclose(threshold.limit, base.policy.limits[threshold.variable], abs_tol=SAME)
        }
        changed = {"observers": observers, "questions": sorted(questions), "limits": sorted(limits)}
        fits.append(
            {
                "name": record.name,
                "made": record.made,
                "population": record.population,
                "readings": [
                    f"{reading.observer}, {reading.question}, {reading.view}" for reading in readings
                ],
                "changed": {section: names for section, names in changed.items() if names},
            }
        )
    return fits


def _guarantee(base: Knowledge) -> Facts | None:
    made = base.guarantee
    if made is None:
        return None
    refused = made.refusals(base.digests, made.population)
    return {
        "verdict": verdict(made),
        "made": made.made,
        "population": made.population,
        "refused": refused,
        "certificates": [certificate_facts(certificate, made.unit) for certificate in made.certificates],
    }


def _short(value: float) -> float:
    """Return a number rounded to DIGITS significant digits."""
    return float(f"{value:.{DIGITS}g}")


def _lines(facts: Mapping[str, Any]) -> list[str]:
    return [
        *_head_lines(facts),
        *_sourcing_lines(facts),
        *_deviation_lines(facts),
        *_rule_lines(facts),
        *_pair_lines(facts),
        *_dependence_lines(facts),
        *_fit_lines(facts),
        *_guarantee_lines(facts),
        "",
        *wrap(f"Cost: {facts['cost']['text']}", width=WIDTH, subsequent_indent="  "),
    ]


def _head_lines(facts: Mapping[str, Any]) -> list[str]:
    size = facts["declares"]
    variables = [
        count(size["states"], "state") + " of the root",
        count(size["binary"], "binary variable"),
        count(size["interval"], "interval"),
    ]
    others = ("number", "source", "coupling", "rule", "observer", "question")
    counts = [count(size[f"{singular}s"], singular) for singular in others]
    knowledge = facts["knowledge"]
    return [f"{knowledge['name']} {knowledge['digest']}: {', '.join(variables)};", f"  {', '.join(counts)}"]


def _sourcing_lines(facts: Mapping[str, Any]) -> list[str]:
    sections = facts["sourcing"]
    rows = [tuple(str(cell or "-") for cell in section.values()) for section in sections]
    total = [sum(section[group] for section in sections) for group in ("sourced", "evidence", "none")]
    head = ("", "sourced", "judged with evidence", "judged without")
    rows.append(("all", *(f"{count_of:,}" for count_of in total)))
    return ["", "Where the numbers come from (evidence: the note names a source)", *table_lines(head, rows)]


def _deviation_lines(facts: Mapping[str, Any]) -> list[str]:
    deviations = facts["deviations"]
    far = [
        deviation for deviation in deviations if abs(deviation["compiled"] - deviation["declared"]) > EXACT
    ]
    head = f"Declared against compiled: {count(len(deviations), 'number')}"
    if not far:
        return ["", f"{head}, all equal to within {EXACT:g}"]
    rows = [
        (
            f"{deviation['declared']:g}",
            f"{deviation['compiled']:g}",
            deviation["path"],
            f"{deviation['place']}, {deviation['source']}",
        )
        for deviation in far[:MOST_SHOWN]
    ]
    head = f"{head}, {len(far)} of them off by more than {EXACT:g}; the largest"
    return ["", head, *table_lines(("declared", "compiled", "", ""), rows)]


def _rule_lines(facts: Mapping[str, Any]) -> list[str]:
    rules = facts["rules"]
    if not rules:
        return ["", "Rules: none"]
    shown = sorted(rules, key=lambda rule: rule["status"] != "unmet")[:MOST_RULES]
    rows = [
        (
            rule["rule"],
            f"{rule['p_if']:.3f}",
            f"{rule['confidence']:.3f}",
            "-" if rule["p_then_given_if"] is None else f"{rule['p_then_given_if']:.3f}",
            "{:.3f}–{:.3f}".format(*rule["possible"]) if rule["possible"] else "-",
            f"{rule['weight']:+.2f}",
        )
        for rule in shown
    ]
    head, *lines = table_lines(("", "P(if)", "declared", "compiled", "possible", "weight"), rows)
    for number, rule in enumerate(shown):
        if rule["status"] != "met":
            lines[number] += f"\n    {rule['status']}: {rule['place']}"
    unlisted, kept = len(rules) - len(shown), sum(rule["status"] == "met" for rule in rules)
    return [
        "",
        f"Rules: confidence P(then | if), declared and compiled; {kept} of {len(rules)} met",
        *(head, *lines),
        *([f"  ... and {unlisted} more; --json has all"] if unlisted else []),
        "  possible: with the tables alone. weight: the log-odds by which a rule favours",
        "  its `then`, 8 at most; at 0 the tables imply it, below 0 it holds that back",
    ]


def _pair_lines(facts: Mapping[str, Any]) -> list[str]:
    pairs = facts["pairs"][:MOST_SHOWN]
    if not pairs:
        return []
    questions = list(pairs[0]["error"])
    rows = [
        (" / ".join(pair["states"]), *(f"{pair['error'][question]:.2f}" for question in questions))
        for pair in pairs
    ]
    head = "Hardest to tell apart: how often the likelier of two is wrong after an answer"
    return ["", head, *table_lines(("", *questions), rows), "  0.50 is guessing"]


def _dependence_lines(facts: Mapping[str, Any]) -> list[str]:
    observers = facts["dependence"]
    if observers is None:
        several = facts["declares"]["observers"] > 1
        return ["", "Observers err independently: there is no section `dependence`"] if several else []
    rows = [
        (
            observer["observer"],
            f"{observer['reading']:.2f}",
            observer["kind"],
            f"family {observer['family']} {observer['family_follows']:.2f}" if observer["family"] else "",
            ""
            if observer["follows"] - observer["reading"] < NEARLY
            else f"declared {observer['follows']:g}, but limited by carry {observer['carry']:g}",
        )
        for observer in observers
    ]
    head = "Observers err together: how often a reading follows what all of them see"
    return ["", head, *table_lines((), rows)]


def _fit_lines(facts: Mapping[str, Any]) -> list[str]:
    lines = []
    for fit in facts["fits"]:
        lines += ["", f"Fit {fit['name']} for population {fit['population']}: {'; '.join(fit['readings'])}"]
        lines += [
            f"  changed since: {section} {', '.join(names)}; {LOST[section]}"
            for section, names in fit["changed"].items()
        ]
        lines += ["  unchanged since"] * (not fit["changed"])
    return lines


def _guarantee_lines(facts: Mapping[str, Any]) -> list[str]:
    made = facts["guarantee"]
    if made is None:
        return []
    refused = [f"  refused: {refusal}" for refusal in made["refused"]] or ["  holds for this base"]
    return [
        "",
        f"Guarantee of {made['made']} for population {made['population']}: {made['verdict']}",
        *(f"  {test['in_words']}" for test in made["certificates"] if test["threshold"] is not None),
        *refused,
    ]
