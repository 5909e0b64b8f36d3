"""The first section: decisions, coverage against risk, costs, and the distribution of classes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Reliability, SelectiveScore
from seke.console.decision_words import DECISIONS
from seke.console.guarantee_text import certificate_facts
from seke.reports.basis_section import basis_facts, inferred_share, limit_facts, uncalibrated_share
from seke.reports.proportions import json_numbers, wilson
from seke.reports.records_table import COUNTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine import Floats, Gold, Knowledge
    from seke.reports.gold_comparison import GoldComparison
    from seke.reports.inputs import ItemSamples, ReportInputs
    from seke.reports.records_table import RecordTable

    Facts = dict[str, Any]

# Points of a risk-coverage curve, and bins of equal mass of a reliability diagram.
POINTS = 80
BINS = 12


def overview_facts(
    inputs: ReportInputs, cost: Floats | None, gold: Gold | None, compared: GoldComparison | None
) -> Facts:
    """Return the facts of the section. cost: (N,) of each item, in the unit that `cost_unit` names.

    compared: what is compared with gold.
    """
    table = inputs.table
    return {
        "decisions": np.bincount(table.decision, minlength=len(DECISIONS)).tolist(),
        "reasons": _reasons(table),
        "next": _next(table),
        "basis": basis_facts(table),
        "levels": [_level(table, level, compared) for level in table.base.levels],
        "curves": list(_curves(table, compared)),
        "counts": {name: int(total) for name, total in zip(COUNTS, table.counts.sum(0), strict=True)},
        "samples": _histogram(table.counts[:, 0].astype(float)),
        "cost": None if cost is None else {**_histogram(cost), "total": json_numbers(cost.sum())},
        "unit": cost_unit(inputs.item_samples),
        "classes": _classes(table, gold),
        "unanswered": _unanswered(table),
        "guarantee": _guarantee(inputs),
        "reliability": list(_reliability(compared.table, compared.gold)) if compared else [],
        "gold": 0 if gold is None else int(max((~np.isnan(v)).sum() for v in gold.values.values())),
        "gold_evidence": "" if compared is None else compared.remark,
        "totals": inputs.summary.get("totals"),
    }


def cost_of_items(table: RecordTable, item_samples: ItemSamples | None) -> Floats | None:
    """Return the cost of each item, (N,): in USD where prices are known, else by the base's costs."""
    if item_samples is None:
        return None
    if (np.nan_to_num(item_samples.price) > 0).any():
        sample_costs = np.nan_to_num(item_samples.price)
    else:
        sample_costs = _declared_prices(table.base, item_samples)
    return np.bincount(item_samples.row, weights=sample_costs, minlength=len(table.items)).astype(np.float64)


def _declared_prices(base: Knowledge, item_samples: ItemSamples) -> Floats:
    """Return the cost of each sample, (S,), by the costs that the base declares.

    The answers of a line that came at the same time are of one request; where no times are known, all are.
    """
    requests: set[tuple[Any, ...]] = set()
    prices = []
    for place, when in zip(
        item_samples.place.tolist(), np.nan_to_num(item_samples.when).tolist(), strict=True
    ):
        line = item_samples.samples.line[place]
        observer, question = base.observers[line[1]], base.questions[line[2]]
        request = (line, when)
        first = request not in requests
        requests.add(request)
        price = question.cost if first else question.further_cost
        prices.append(price * observer.cost * observer.askable)
    return np.array(prices)


def cost_unit(item_samples: ItemSamples | None) -> str:
    """Return the unit of costs."""
    return "USD" if item_samples is not None and (np.nan_to_num(item_samples.price) > 0).any() else "cost"


def _reasons(table: RecordTable) -> Facts:
    """Return decision -> [reason, items], the most frequent first, ties in order of first appearance.

    A reason is cut at its colon, before the names of open levels.
    """
    counts_by_decision: dict[str, Counter[str]] = {name: Counter() for name in DECISIONS}
    for decision, reasons in zip(table.decision.tolist(), table.reasons, strict=True):
        heads = dict.fromkeys((reason.partition(":")[0][:60] for reason in reasons), 1)
        counts_by_decision[DECISIONS[decision]].update(heads)
    return {name: counts.most_common(12) for name, counts in counts_by_decision.items()}


def _next(table: RecordTable) -> list[tuple[str, int]]:
    """Return [next request, items] of the most frequent ones."""
    requests = (request for request in table.next if request)
    return Counter(
        str(request["question"]) + (f" about {request['about']}" if request.get("about") else "")
        for request in requests
    ).most_common(12)


def _share_of_knowledge(table: RecordTable, columns: list[int]) -> float:
    """Return how much of the doubt about some columns comes from the base; NaN where that was not drawn."""
    mean = table.risk_mean[:, columns]
    doubt = float((mean * (1 - mean)).sum())
    return float((table.risk_sd[:, columns] ** 2).sum()) / doubt if doubt else np.nan


def _level(table: RecordTable, level: str, compared: GoldComparison | None) -> Facts:
    columns = [i for i, name in enumerate(table.levels) if name in table.base.levels[level]]
    accepted, risk = table.accepted[:, columns], table.risk[:, columns]
    if compared is None:
        wrong, known = np.full(accepted.shape, np.nan), np.zeros(accepted.shape, dtype=bool)
    else:
        names = [table.levels[i] for i in columns]
        wrong = np.stack([wrong_decisions(compared.table, name, compared.gold) for name in names], axis=1)
        known = compared.table.accepted[:, columns] & ~np.isnan(wrong)
    n, errors = int(known.sum()), float(np.nansum(wrong[known]))
    low, high = wilson(np.array(errors / n), np.array(n)) if n else (np.nan, np.nan)
    return {
        "name": level,
        "variables": len(columns),
        "accepted": json_numbers(accepted.mean()),
        "uncalibrated": json_numbers(uncalibrated_share(table, columns)),
        "inferred": json_numbers(inferred_share(table, columns)),
        "stated": json_numbers(risk[accepted].mean() if accepted.any() else np.nan),
        "of_knowledge": json_numbers(_share_of_knowledge(table, columns)),
        "wrong": json_numbers(errors / n if n else np.nan),
        "low": json_numbers(low),
        "high": json_numbers(high),
        "known": n,
    }


def wrong_decisions(table: RecordTable, name: str, gold: Gold | None) -> Floats:
    """Return (N,) 1 where the decided value of a variable is wrong, 0 where it is right, NaN without gold.

    A number is wrong where it is further from gold than the policy's tolerance.
    """
    if gold is None or name not in gold.values:
        return np.full(len(table.items), np.nan)
    truth = gold.values[name]
    if name == table.base.root:
        wrong = table.label != truth
    elif name in table.binaries:
        p = table.binary[:, table.binaries.index(name)]
        wrong = (p >= table.base.policy.cuts.get(name, 0.5)) != (truth > 0)
    else:
        wrong = np.abs(table.intervals[name][:, 0] - truth) > table.base.policy.tolerance[name]
    return np.where(np.isnan(truth), np.nan, wrong.astype(float))


def _curves(table: RecordTable, compared: GoldComparison | None) -> Iterator[Facts]:
    """Yield risk against coverage of the root, of each interval variable and of all binary ones together.

    stated: the mean stated risk of the values kept, least risk first; true: the wrong share of those that
    gold labels.
    """
    names = [name for name in table.levels if name not in table.binaries]
    groups = [(name, [name]) for name in names] + (
        [("binary", list(table.binaries))] if table.binaries else []
    )
    for title, members in groups:
        columns = [table.levels.index(name) for name in members]
        risk = table.risk[:, columns].ravel()
        order = np.argsort(risk, kind="stable")
        at = np.unique(np.linspace(0, len(risk) - 1, POINTS).round().astype(int))
        stated = (np.cumsum(risk[order]) / np.arange(1, len(risk) + 1))[at]
        curve: Facts = {
            "name": title,
            "coverage": json_numbers((at + 1) / len(risk)),
            "stated": json_numbers(stated),
            **limit_facts(table, members),
            "accepted": json_numbers(table.accepted[:, columns].mean()),
            "true": None,
        }
        if compared is not None:
            curve["true"] = _true_curve(compared, members)
        yield curve


def _true_curve(compared: GoldComparison, members: list[str]) -> Facts | None:
    """Return the wrong share against the coverage of variables, by gold; None without any gold."""
    table = compared.table
    risk = table.risk[:, [table.levels.index(name) for name in members]].ravel()
    wrong = np.stack([wrong_decisions(table, name, compared.gold) for name in members], axis=1).ravel()
    known = ~np.isnan(wrong)
    if not known.any():
        return None
    coverage, error, _ = SelectiveScore(wrong[known], risk[known]).curve(POINTS)
    # A share of fewer than 20 values is too noisy to show.
    enough = coverage * known.sum() >= 20
    return {"coverage": json_numbers(coverage[enough]), "error": json_numbers(error[enough])}


def _histogram(values: Floats) -> Facts:
    whole = bool((values == np.round(values)).all())
    low, high = float(values.min()), float(values.max())
    if whole and high - low <= 40:
        edges = np.arange(low, high + 2) - 0.5
    else:
        edges = np.linspace(low, high if high > low else low + 1, 21)
    counts, _ = np.histogram(values, edges)
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95), method="inverted_cdf").tolist()
    statistics = {"mean": values.mean(), "q05": low, "q50": middle, "q95": high}
    facts: Facts = {name: json_numbers(value) for name, value in statistics.items()}
    return {
        **facts,
        "counts": counts.tolist(),
        "edges": json_numbers(edges),
        "whole": whole and len(edges) <= 42,
    }


def _classes(table: RecordTable, gold: Gold | None) -> list[Facts]:
    """Return for each state of the root the items with it likeliest, by decision, and its expected count.

    Items without an answer have no likeliest state; see `_unanswered`.
    """
    truth = None if gold is None else gold.values.get(table.base.root)
    classes = []
    for k, state in enumerate(table.base.variables[table.base.root].states):
        decisions = table.decision[(table.label == k) & table.answered]
        classes.append(
            {
                "state": state,
                "decisions": np.bincount(decisions, minlength=len(DECISIONS)).tolist(),
                "expected": json_numbers(table.root[table.answered, k].sum(), 1),
                "gold": None if truth is None else int((truth == k).sum()),
            }
        )
    return classes


def _unanswered(table: RecordTable) -> list[int]:
    """Return the number of items without an answer that could be read, by decision."""
    return [int(n) for n in np.bincount(table.decision[~table.answered], minlength=len(DECISIONS))]


def _guarantee(inputs: ReportInputs) -> Facts:
    """Return the guarantee with its certificates, or the reason why there is none."""
    base = inputs.base
    promise = base.guarantee
    if promise is None:
        return {"holds": False, "why": ["The base holds no certificates: seke calibrate --alpha makes them."]}
    refused = [*inputs.session.refused, *inputs.summary.get("refused", ())]
    held = [bool(covered["holds"]) for covered in inputs.table.guarantee if covered is not None]
    inside = sum(held)
    if not inside and not refused:
        refused = ["No record says that it is covered by the base's certificates."]
    rows = [
        {
            **certificate_facts(certificate, promise.unit),
            "bound": json_numbers(certificate.bound),
            "coverage": json_numbers(certificate.coverage),
        }
        for certificate in promise.certificates
    ]
    return {
        "holds": not refused,
        "why": refused,
        "alpha": promise.alpha,
        "delta": promise.delta,
        "unit": promise.unit,
        "items": promise.items,
        "made": promise.made,
        "inside": inside,
        "outside": len(held) - inside,
        "certificates": rows,
        "assumptions": list(promise.assumptions),
    }


def _reliability(table: RecordTable, gold: Gold) -> Iterator[Facts]:
    """Yield the reliability of the root and of all binary variables together: stated against true shares."""
    root = table.base.root
    parts = []
    if root in gold.values:
        wrong = wrong_decisions(table, root, gold)
        parts.append((root, table.root.max(1), 1 - wrong))
    labelled = [name for name in table.binaries if name in gold.values]
    if labelled:
        p = np.concatenate([table.binary[:, table.binaries.index(name)] for name in labelled])
        parts.append(("binary", p, np.concatenate([gold.values[name] for name in labelled])))
    for name, p, happened in parts:
        known = ~np.isnan(happened)
        if not known.any():
            continue
        reliability = Reliability.of(p[known], happened[known], BINS)
        count, stated, share = reliability.diagram()
        low, high = wilson(share, count.astype(np.float64))
        columns = {"stated": stated, "share": share, "low": low, "high": high}
        facts = {key: json_numbers(value) for key, value in columns.items()}
        yield {"name": name, "count": count.tolist(), **facts, "ece": json_numbers(reliability.ece())}
