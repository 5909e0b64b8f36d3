"""`seke knowledge check`: does the compiled network say what the base declares, and what is odd about it?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Knowledge, audit_network, compiled, reading_follows
from seke.console.certificate_table import verdict
from seke.console.columns import columns, count, near
from seke.files.shipped import cache_folder
from seke.files.shipped import knowledge as read_knowledge
from seke.prompts import Questions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine import Audit, AuditedRule, Deviation, Fault

    Facts = dict[str, Any]

MOST_SHOWN = 5
MOST_RULES = 60
EXACT = 1e-6
DIGITS = 6
# A reading that follows the look less often than declared by no more than this is not remarked on.
NEARLY = 0.02
# Limits nearer than this are the same, as the language writes so many decimals.
SAME = 1e-9
# What is lost of a fit where something was changed since.
LOST = {
    "observers": "nothing that these tell counts as calibrated",
    "questions": "answers to these count as another design",
    "limits": "their thresholds hold no more",
}


@dataclass(frozen=True)
class Check:
    """What a check found. facts: JSON values; warnings: the same as values with their places."""

    facts: Mapping[str, Any]
    warnings: tuple[Fault, ...]

    @property
    def strict(self) -> bool:
        """Say whether it would pass a strict check: no warnings, every confidence met, certificates hold."""
        broken = self.facts["guarantee"] and self.facts["guarantee"]["refused"]
        return not self.warnings and not self.facts["unmet"] and not broken

    def __str__(self) -> str:
        return "\n".join(_lines(self.facts))


def check(knowledge: Knowledge | str | Path | None = None, seed: int = 0) -> Check:
    """Check a base: the shipped one by default, or a folder or file.

    The facts are `knowledge`, `declares` (how many of what), `deviations` (declared against compiled numbers,
    the largest first), `rules`, `pairs` (states of the root, the hardest to tell apart first, with the Bayes
    error by question), `dependence` (each observer's kind, how often it follows what all see, and how often
    one reading of it does, which is no more than it carries over; None where observers err independently),
    `cost`, `fits` (what the observers were fitted to, and what was changed since), `guarantee` (what is
    certified, and why it does not hold any more; None where nothing is), `warnings`, and `unmet` (rules whose
    confidence is not met).

    Raises:
        engine.KnowledgeError: all faults of a base that cannot be read or compiled, or whose prompts
            cannot be rendered.
    """
    base = knowledge if isinstance(knowledge, Knowledge) else read_knowledge(knowledge)
    Questions(base).check()
    found = audit_network(compiled(base, cache_folder()), seed)
    return Check(_facts(base, found), found.warnings)


def _facts(base: Knowledge, found: Audit) -> Facts:
    return {
        "knowledge": {"name": base.name, "digest": base.digest},
        "declares": declares(base),
        "deviations": [_deviation(one) for one in found.deviations],
        "rules": [_rule(one) for one in found.rules],
        "pairs": _pairs(base, found),
        "dependence": _dependence(base),
        "cost": {**vars(found.cost), "text": str(found.cost)},
        "fits": _fits(base),
        "guarantee": _guarantee(base),
        "warnings": [
            {"place": near(one.place), "path": one.path, "message": one.message} for one in found.warnings
        ],
        "unmet": list(found.unmet),
    }


def declares(base: Knowledge) -> dict[str, int]:
    """Return how many of everything a base declares."""
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


def _deviation(one: Deviation) -> Facts:
    return {
        "path": one.path,
        "declared": one.declared,
        "compiled": _short(one.compiled),
        "place": near(one.place),
        "source": one.source,
    }


def _rule(one: AuditedRule) -> Facts:
    low, high = (None if math.isnan(end) else _short(end) for end in one.possible)
    return {
        "rule": one.rule.name,
        "status": one.compiled.status,
        "confidence": one.rule.confidence,
        "p_then_given_if": None if math.isnan(one.compiled.reached) else _short(one.compiled.reached),
        "p_if": _short(one.compiled.p_if),
        "possible": None if low is None else [low, high],
        "weight": _short(one.compiled.weight),
        "place": near(one.rule.place),
        "source": one.rule.source,
    }


def _pairs(base: Knowledge, found: Audit) -> list[Facts]:
    states = base.variables[base.root].states
    pairs = []
    for one, other in zip(*np.triu_indices(len(states), 1), strict=True):
        errors = {question: _short(table[one, other]) for question, table in found.errors.items()}
        if errors:
            pairs.append({"states": [states[one], states[other]], "error": errors})
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
    found = []
    for record in base.fits:
        readings = record.readings
        observers = [n for n, digest in record.observers.items() if base.observer_digests.get(n) != digest]
        questions = {
            one.question for one in readings if base.question_digests.get(one.question) != one.prompt
        }
        limits = {
            one.variable
            for one in (*record.thresholds, *record.adaptive_thresholds)
            if one.variable not in base.policy.mean_limits
            or not math.isclose(one.limit, base.policy.limits[one.variable], abs_tol=SAME)
        }
        changed = {"observers": observers, "questions": sorted(questions), "limits": sorted(limits)}
        found.append(
            {
                "name": record.name,
                "made": record.made,
                "population": record.population,
                "readings": [f"{one.observer}, {one.question}, {one.view}" for one in readings],
                "changed": {what: names for what, names in changed.items() if names},
            }
        )
    return found


def _guarantee(base: Knowledge) -> Facts | None:
    made = base.guarantee
    if made is None:
        return None
    refused = made.refusals(base.digests, made.population)
    return {"verdict": verdict(made), "made": made.made, "population": made.population, "refused": refused}


def _short(value: float) -> float:
    """Return a number rounded as far as it means anything."""
    return float(f"{value:.{DIGITS}g}")


def _lines(facts: Mapping[str, Any]) -> list[str]:
    parts = (_head, _deviations, _rules, _hardest, _together, _fitted, _promised, _cost)
    return [line for part in parts for line in part(facts)]


def _head(facts: Mapping[str, Any]) -> list[str]:
    size = facts["declares"]
    variables = [
        count(size["states"], "state") + " of the root",
        count(size["binary"], "binary variable"),
        count(size["interval"], "interval"),
    ]
    rest = [
        count(size[what], one)
        for what, one in (
            ("numbers", "number"),
            ("sources", "source"),
            ("couplings", "coupling"),
            ("rules", "rule"),
            ("observers", "observer"),
            ("questions", "question"),
        )
    ]
    knowledge = facts["knowledge"]
    return [f"{knowledge['name']} {knowledge['digest']}: {', '.join(variables)};", f"  {', '.join(rest)}"]


def _deviations(facts: Mapping[str, Any]) -> list[str]:
    found = facts["deviations"]
    far = [one for one in found if abs(one["compiled"] - one["declared"]) > EXACT]
    head = f"Declared against compiled: {count(len(found), 'number')}"
    if not far:
        return ["", f"{head}, all equal to within {EXACT:g}"]
    rows = [
        (f"{one['declared']:g}", f"{one['compiled']:g}", one["path"], f"{one['place']}, {one['source']}")
        for one in far[:MOST_SHOWN]
    ]
    head = f"{head}, {len(far)} of them off by more than {EXACT:g}; the largest"
    return ["", head, *columns(("declared", "compiled", "", ""), rows)]


def _rules(facts: Mapping[str, Any]) -> list[str]:
    rules = facts["rules"]
    if not rules:
        return ["", "Rules: none"]
    shown = sorted(rules, key=lambda one: one["status"] != "unmet")[:MOST_RULES]
    rows = [
        (
            one["rule"],
            f"{one['p_if']:.3f}",
            f"{one['confidence']:.3f}",
            "-" if one["p_then_given_if"] is None else f"{one['p_then_given_if']:.3f}",
            "{:.3f}–{:.3f}".format(*one["possible"]) if one["possible"] else "-",
            f"{one['weight']:+.2f}",
            one["status"],
            one["place"],
        )
        for one in shown
    ]
    header = ("", "P(if)", "confidence", "P(then|if)", "possible", "weight", "", "")
    left = len(rules) - len(shown)
    return [
        "",
        "Rules: P(if), declared confidence, compiled P(then | if), and what the tables alone allow",
        *columns(header, rows),
        *([f"  ... and {left} more; --json has all"] if left else []),
    ]


def _hardest(facts: Mapping[str, Any]) -> list[str]:
    pairs = facts["pairs"][:MOST_SHOWN]
    if not pairs:
        return []
    questions = list(pairs[0]["error"])
    rows = [
        (" / ".join(pair["states"]), *(f"{pair['error'][question]:.2f}" for question in questions))
        for pair in pairs
    ]
    head = "Hardest to tell apart: how often the likelier of two is wrong after one answer (guessing: 0.50)"
    return ["", head, *columns(("", *questions), rows)]


def _together(facts: Mapping[str, Any]) -> list[str]:
    observers = facts["dependence"]
    if observers is None:
        several = facts["declares"]["observers"] > 1
        return ["", "Observers err independently: there is no section `dependence`"] if several else []
    rows = [
        (
            one["observer"],
            f"{one['reading']:.2f}",
            one["kind"],
            f"family {one['family']} {one['family_follows']:.2f}" if one["family"] else "",
            ""
            if one["follows"] - one["reading"] < NEARLY
            else f"declared {one['follows']:g}, but a reading carries over {one['carry']:g}",
        )
        for one in observers
    ]
    head = "Observers err together: how often a reading follows what all of them see in an item"
    return ["", head, *columns((), rows)]


def _fitted(facts: Mapping[str, Any]) -> list[str]:
    lines = []
    for one in facts["fits"]:
        lines += ["", f"Fit {one['name']} for population {one['population']}: {'; '.join(one['readings'])}"]
        lines += [
            f"  changed since: {what} {', '.join(names)}; {LOST[what]}"
            for what, names in one["changed"].items()
        ]
        lines += ["  as it was fitted"] * (not one["changed"])
    return lines


def _promised(facts: Mapping[str, Any]) -> list[str]:
    made = facts["guarantee"]
    if made is None:
        return []
    refused = [f"  refused: {why}" for why in made["refused"]] or ["  holds for this base"]
    return [
        "",
        f"Guarantee of {made['made']} for population {made['population']}: {made['verdict']}",
        *refused,
    ]


def _cost(facts: Mapping[str, Any]) -> list[str]:
    return ["", f"Cost: {facts['cost']['text']}"]
