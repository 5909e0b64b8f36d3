"""The section about the knowledge: how often rules apply and are violated, and cells against the data."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Inference, declared_of, joint_marginals
from seke.console.plain_text import place_text, short_place
from seke.knowledge_tools.graph import graph_file
from seke.reports.proportions import json_numbers, truth_probabilities, wilson

if TYPE_CHECKING:
    from engine import Answers, Floats, Gold, Knowledge
    from seke.reports.inputs import ReportInputs
    from seke.reports.sample_contributions import SampleContributions

    Facts = dict[str, Any]

# Items, evenly spaced, that the expected counts of cells are computed from at most; bounds the time.
MOST_ITEMS = 6000
# Probability of a violation from which an item is an instance of it.
CLEAR_VIOLATION = 0.5
# Items inferred at once; bounds the memory.
ITEMS_PER_BATCH = 1000


def knowledge_facts(
    inputs: ReportInputs, contributions: SampleContributions | None, gold: Gold | None
) -> Facts:
    """Return the facts of the section; contributions: None where there are only records."""
    cells, items, truth = _cells(inputs, contributions, gold)
    picture = graph_file("svg", inputs.base)
    return {
        "rules": _rules(inputs, contributions),
        "cells": cells,
        "cell_items": items,
        "truth": truth,
        "network": "data:image/svg+xml;base64," + base64.b64encode(picture).decode("ascii"),
    }


def _rules(inputs: ReportInputs, contributions: SampleContributions | None) -> list[Facts]:
    """Return how often each rule's `if` holds and how often it is violated, expected under the posteriors.

    Without samples only the violations that the records list are known, those with a probability from 0.1.
    """
    network, table, base = inputs.session.network, inputs.table, inputs.base
    declared = {rule.name: rule for rule in base.rules}
    leaves = declared_of(base).leaves
    fires, violated = {}, {}
    answered = np.zeros(0, dtype=bool) if contributions is None else contributions.responses.samples > 0
    if contributions is not None:
        # A rule is an event of the network; here the event is that its `if` holds.
        conditions = replace(network, rules=tuple(replace(r, violated=r.condition) for r in network.rules))
        population = inputs.session.inference.population
        condition_posterior = Inference(conditions, base, population).posterior(contributions.responses)
        violation_posterior = contributions.posterior
        fires = dict(zip(condition_posterior.rules, condition_posterior.violations[answered].T, strict=True))
        violated = dict(
            zip(violation_posterior.rules, violation_posterior.violations[answered].T, strict=True)
        )
    clear: dict[str, list[tuple[float, int]]] = {}
    for row, violations in enumerate(table.violations):
        for name, p in violations:
            if p >= CLEAR_VIOLATION:
                clear.setdefault(name, []).append((-p, row))
    rows = []
    for rule in network.rules:
        declared_rule = declared[rule.name]
        fired = float(fires[rule.name].sum()) if rule.name in fires else np.nan
        share = float(violated[rule.name].sum()) / fired if rule.name in fires and fired > 0 else np.nan
        low, high = wilson(np.array(share), np.array(fired))
        instances = sorted(clear.get(rule.name, []))
        rows.append(
            {
                "name": rule.name,
                "statement": declared_rule.statement,
                "if": leaves[f"rules.{rule.name}.if"].text,
                "then": leaves[f"rules.{rule.name}.then"].text,
                "confidence": rule.confidence,
                "status": rule.status,
                "expected_if": json_numbers(rule.p_if),
                "fires": json_numbers(fired / max(answered.sum(), 1)),
                "expected": json_numbers(1 - rule.reached),
                "violated": json_numbers(share),
                "low": json_numbers(low),
                "high": json_numbers(high),
                "clear": len(instances),
                "rows": [row for _, row in instances[:5]],
                "place": place_text(declared_rule.place),
                "source": declared_rule.source,
            }
        )
    return rows


def _cells(
    inputs: ReportInputs, contributions: SampleContributions | None, gold: Gold | None
) -> tuple[list[Facts], int, str]:
    """Return declared P(binary | root) against the data, the number of items, and what stands for the truth.

    Cells are sorted by how much the data contradict them. With gold they are counts, else expected counts
    under the posteriors, which the declared numbers draw to themselves. z: the difference in standard errors
    of the declared number, at the observed count.
    """
    table, base = inputs.table, inputs.base
    truth_by_variable, truth = truth_probabilities(table, gold)
    if truth == "gold" and base.root in truth_by_variable:
        names = [name for name in table.binaries if name in truth_by_variable]
        joint = {
            name: truth_by_variable[base.root][:, :, None] * truth_by_variable[name][:, None, :]
            for name in names
        }
    elif contributions is not None:
        truth = "posterior"
        joint = _expected(inputs, contributions.responses.only(contributions.responses.samples > 0))
    else:
        return [], 0, ""
    cells = []
    for name, p in joint.items():
        counts = np.nansum(p, axis=0)
        n = counts.sum(1)
        for k, state in enumerate(base.variables[base.root].states):
            cell = base.cells[name][k]
            share = counts[k, 1] / n[k] if n[k] > 0 else np.nan
            low, high = wilson(np.array(share), n[k])
            error = np.sqrt(max(cell.p * (1 - cell.p), 1e-6) / max(n[k], 1e-9))
            cells.append(
                {
                    "state": state,
                    "variable": name,
                    "declared": cell.p,
                    "strength": cell.n,
                    "observed": json_numbers(share),
                    "low": json_numbers(low),
                    "high": json_numbers(high),
                    "n": json_numbers(n[k], 1),
                    "z": json_numbers((share - cell.p) / error, 2),
                    "outside": bool(not low <= cell.p <= high),
                    "place": place_text(cell.place),
                    "source": cell.source,
                }
            )
    cells.sort(key=lambda cell_facts: -abs(cell_facts["z"] or 0.0))
    return cells, max((len(p) for p in joint.values()), default=0), truth


def _expected(inputs: ReportInputs, responses: Answers) -> dict[str, Floats]:
    """Return binary variable -> (items, K, 2) P(root, binary | answers), of evenly spaced items."""
    count = len(responses.items)
    chosen = np.zeros(count, dtype=bool)
    chosen[np.linspace(0, count - 1, min(count, MOST_ITEMS)).round().astype(int)] = True
    chosen_responses = responses.only(chosen)
    names, root = inputs.table.binaries, inputs.base.root
    parts = [
        joint_marginals(
            inputs.session.inference, chosen_responses.part(start, start + ITEMS_PER_BATCH), root, names
        )
        for start in range(0, len(chosen_responses.items), ITEMS_PER_BATCH)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def sensitivities(paths: Any, base: Knowledge, population: str) -> list[Facts]:
    """Return the numbers that move decisions about the root most; slow: the base is compiled for each."""
    from seke.knowledge_tools.sensitivity import LEAST_SHOWN, MOST_SHOWN, sensitivity

    facts = sensitivity(paths, base, population=population).facts
    kept = ("path", "value", "per_tenth", "largest", "item", "move", "flips", "place", "source")
    numbers = [number for number in facts["numbers"] if number["per_tenth"] >= LEAST_SHOWN][:MOST_SHOWN]
    return [
        {**{name: number[name] for name in kept}, "place": short_place(number["place"])} for number in numbers
    ]
