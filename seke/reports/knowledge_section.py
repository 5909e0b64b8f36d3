"""Which of the knowledge the data use, and which they contradict: rules, cells, the network."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Inference, declared_of, joint_marginals
from seke.console.columns import near_file
from seke.files.shipped import shipped_folder
from seke.knowledge_tools.graph import graph_file
from seke.reports.proportions import rounded, truth_of, wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine import Answers, Gold, Knowledge, Place
    from seke.reports.inputs import Source
    from seke.reports.sample_contributions import Told

    Floats = NDArray[np.float64]
    Facts = dict[str, Any]

# Expected counts of cells are made of so many items at most, evenly spaced.
MOST_ITEMS = 6000
CLEAR = 0.5
BATCH = 1000


def knowledge_of(source: Source, told: Told | None, gold: Gold | None) -> Facts:
    """Return the facts of the section about the knowledge. told: None where only records are there."""
    cells, items, truth = _cells(source, told, gold)
    picture = graph_file("svg", source.base)
    return {
        "rules": _rules(source, told),
        "cells": cells,
        "cell_items": items,
        "truth": truth,
        "network": "data:image/svg+xml;base64," + base64.b64encode(picture).decode("ascii"),
    }


def placed(place: Place) -> str:
    """Return a place as file:line:column; the file without the folders of this machine."""
    return _short(f"{place.file}:{place.line}:{place.column}")


def _short(place: str) -> str:
    name, line, column = place.rsplit(":", 2)
    file, shipped = Path(name).absolute(), shipped_folder()
    if file.is_relative_to(shipped):
        file = Path(shipped.name) / file.relative_to(shipped)
    else:
        file = Path(*Path(near_file(str(file))).parts[-3:])
    return f"{file.as_posix()}:{line}:{column}"


def _rules(source: Source, told: Told | None) -> list[Facts]:
    """Return of each rule how often its `if` holds and it is violated, expected under the posteriors.

    Of records alone only violations with a probability from 0.1 are known.
    """
    network, table, base = source.session.network, source.table, source.base
    declared = {rule.name: rule for rule in base.rules}
    leaves = declared_of(base).leaves
    fires, violated = {}, {}
    answered = np.zeros(0, dtype=bool) if told is None else told.whole.samples > 0
    if told is not None:
        # A rule is an event of the network; here the event is that its `if` holds.
        conditions = replace(network, rules=tuple(replace(r, violated=r.condition) for r in network.rules))
        population = source.session.inference.population
        asked = Inference(conditions, population).posterior(told.whole)
        broken = told.posterior
        fires = dict(zip(asked.rules, asked.violations[answered].T, strict=True))
        violated = dict(zip(broken.rules, broken.violations[answered].T, strict=True))
    clear: dict[str, list[tuple[float, int]]] = {}
    for row, found in enumerate(table.violations):
        for name, p in found:
            if p >= CLEAR:
                clear.setdefault(name, []).append((-p, row))
    rows = []
    for rule in network.rules:
        own = declared[rule.name]
        n = float(fires[rule.name].sum()) if rule.name in fires else np.nan
        share = float(violated[rule.name].sum()) / n if rule.name in fires and n > 0 else np.nan
        low, high = wilson(np.array(share), np.array(n))
        instances = sorted(clear.get(rule.name, []))
        rows.append(
            {
                "name": rule.name,
                "statement": own.statement,
                "if": leaves[f"rules.{rule.name}.if"].text,
                "then": leaves[f"rules.{rule.name}.then"].text,
                "confidence": rule.confidence,
                "status": rule.status,
                "expected_if": rounded(rule.p_if),
                "fires": rounded(n / max(answered.sum(), 1)),
                "expected": rounded(1 - rule.reached),
                "violated": rounded(share),
                "low": rounded(low),
                "high": rounded(high),
                "clear": len(instances),
                "rows": [row for _, row in instances[:5]],
                "place": placed(own.place),
                "source": own.source,
            }
        )
    return rows


def _cells(source: Source, told: Told | None, gold: Gold | None) -> tuple[list[Facts], int, str]:
    """Return declared P(binary | root) against the data, most contradicted first; of how many items; by what.

    Of gold: counts. Else expected counts under the posteriors, which the declared numbers draw to themselves.
    z: the difference in standard errors of the declared number, at the count that was met.
    """
    table, base = source.table, source.base
    known, truth = truth_of(table, gold)
    if truth == "gold" and base.root in known:
        names = [name for name in table.binaries if name in known]
        joint = {name: known[base.root][:, :, None] * known[name][:, None, :] for name in names}
    elif told is not None:
        truth = "posterior"
        joint = _expected(source, told.whole.only(told.whole.samples > 0))
    else:
        return [], 0, ""
    found = []
    for name, p in joint.items():
        counts = np.nansum(p, axis=0)
        n = counts.sum(1)
        for k, state in enumerate(base.variables[base.root].states):
            cell = base.cells[name][k]
            share = counts[k, 1] / n[k] if n[k] > 0 else np.nan
            low, high = wilson(np.array(share), n[k])
            error = np.sqrt(max(cell.p * (1 - cell.p), 1e-6) / max(n[k], 1e-9))
            found.append(
                {
                    "state": state,
                    "variable": name,
                    "declared": cell.p,
                    "strength": cell.n,
                    "observed": rounded(share),
                    "low": rounded(low),
                    "high": rounded(high),
                    "n": rounded(n[k], 1),
                    "z": rounded((share - cell.p) / error, 2),
                    "outside": bool(not low <= cell.p <= high),
                    "place": placed(cell.place),
                    "source": cell.source,
                }
            )
    found.sort(key=lambda one: -abs(one["z"] or 0.0))
    return found, max((len(p) for p in joint.values()), default=0), truth


def _expected(source: Source, whole: Answers) -> dict[str, Floats]:
    """Return P(root, binary | answers), each (items, K, 2), of evenly spaced items."""
    count = len(whole.items)
    chosen = np.zeros(count, dtype=bool)
    chosen[np.linspace(0, count - 1, min(count, MOST_ITEMS)).round().astype(int)] = True
    some = whole.only(chosen)
    names, root = source.table.binaries, source.base.root
    parts = [
        joint_marginals(source.session.inference, some.part(start, start + BATCH), root, names)
        for start in range(0, len(some.items), BATCH)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def sensitivities(paths: Any, base: Knowledge, population: str) -> list[Facts]:
    """Return the numbers that move the decisions about the root most; slow, the base is compiled for each."""
    from seke.knowledge_tools.sensitivity import LEAST_SHOWN, MOST_SHOWN, sensitivity

    facts = sensitivity(paths, base, population=population).facts
    kept = ("path", "value", "per_tenth", "largest", "item", "move", "flips", "place", "source")
    numbers = [one for one in facts["numbers"] if one["per_tenth"] >= LEAST_SHOWN][:MOST_SHOWN]
    return [{**{name: one[name] for name in kept}, "place": _short(one["place"])} for one in numbers]
