"""What became of the items: decisions, coverage against risk, what it cost, how the classes are spread."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Reliability, SelectiveScore
from seke.console.certificate_table import lacking
from seke.console.decision_words import DECISIONS
from seke.reports.basis_section import basis_facts, inferred_share, limit_facts, uncalibrated_share
from seke.reports.proportions import rounded, wilson
from seke.reports.records_table import COUNTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from engine import Gold, Knowledge
    from seke.reports.inputs import Asked, Source
    from seke.reports.records_table import Table

    Floats = NDArray[np.float64]
    Facts = dict[str, Any]

POINTS = 80
BINS = 12


def overview_of(source: Source, cost: Floats | None, gold: Gold | None) -> Facts:
    """Return the facts of the first section. cost: (N,) of each item, in the unit that `unit_of` names."""
    table = source.table
    return {
        "decisions": np.bincount(table.decision, minlength=len(DECISIONS)).tolist(),
        "reasons": _reasons(table),
        "next": _next(table),
        "basis": basis_facts(table),
        "levels": [_level(table, level, gold) for level in table.base.levels],
        "curves": list(_curves(table, gold)),
        "counts": {name: int(total) for name, total in zip(COUNTS, table.counts.sum(0), strict=True)},
        "samples": _histogram(table.counts[:, 0].astype(float)),
        "cost": None if cost is None else {**_histogram(cost), "total": rounded(cost.sum())},
        "unit": unit_of(source.asked),
        "classes": _classes(table, gold),
        "guarantee": _guarantee(source),
        "reliability": list(_reliability(table, gold)) if gold else [],
        "gold": 0 if gold is None else int(max((~np.isnan(v)).sum() for v in gold.values.values())),
        "totals": source.summary.get("totals"),
    }


def cost_of_items(table: Table, asked: Asked | None) -> Floats | None:
    """Return what each item cost, (N,): in USD where prices are known, else as the base counts it."""
    if asked is None:
        return None
    if (np.nan_to_num(asked.price) > 0).any():
        each = np.nan_to_num(asked.price)
    else:
        each = _declared_prices(table.base, asked)
    return np.bincount(asked.row, weights=each, minlength=len(table.items)).astype(np.float64)


def _declared_prices(base: Knowledge, asked: Asked) -> Floats:
    """Return what each answer cost, (answers,), by the prices of the base.

    The answers of a line that came at the same time are of one request; where no times are known, all are.
    """
    requests: set[tuple[Any, ...]] = set()
    prices = []
    for place, when in zip(asked.place.tolist(), np.nan_to_num(asked.when).tolist(), strict=True):
        line = asked.samples.line[place]
        observer, question = base.observers[line[1]], base.questions[line[2]]
        request = (line, when)
        first = request not in requests
        requests.add(request)
        price = question.cost if first else question.further_cost
        prices.append(price * observer.cost * observer.askable)
    return np.array(prices)


def unit_of(asked: Asked | None) -> str:
    """Return the unit of costs."""
    return "USD" if asked is not None and (np.nan_to_num(asked.price) > 0).any() else "cost"


def _reasons(table: Table) -> Facts:
    """Return how many items of each decision have each reason; what is open is told without its names."""
    found: dict[str, Counter[str]] = {name: Counter() for name in DECISIONS}
    for decision, reasons in zip(table.decision.tolist(), table.reasons, strict=True):
        found[DECISIONS[decision]].update({reason.partition(":")[0][:60] for reason in reasons})
    return {name: counts.most_common(12) for name, counts in found.items()}


def _next(table: Table) -> list[tuple[str, int]]:
    """Return how many items would be asked what."""
    asked = (one for one in table.next if one)
    return Counter(
        str(one["question"]) + (f" about {one['about']}" if one.get("about") else "") for one in asked
    ).most_common(12)


def _level(table: Table, level: str, gold: Gold | None) -> Facts:
    columns = [i for i, name in enumerate(table.levels) if name in table.base.levels[level]]
    accepted, risk = table.accepted[:, columns], table.risk[:, columns]
    wrong = np.stack([wrong_of(table, table.levels[i], gold) for i in columns], axis=1)
    known = accepted & ~np.isnan(wrong)
    n, errors = int(known.sum()), float(np.nansum(wrong[known]))
    low, high = wilson(np.array(errors / n), np.array(n)) if n else (np.nan, np.nan)
    return {
        "name": level,
        "variables": len(columns),
        "accepted": rounded(accepted.mean()),
        "uncalibrated": rounded(uncalibrated_share(table, columns)),
        "inferred": rounded(inferred_share(table, columns)),
        "stated": rounded(risk[accepted].mean() if accepted.any() else np.nan),
        "wrong": rounded(errors / n if n else np.nan),
        "low": rounded(low),
        "high": rounded(high),
        "known": n,
    }


def wrong_of(table: Table, name: str, gold: Gold | None) -> Floats:
    """Return (N,) 1 where what is decided of a variable is wrong, NaN where gold does not tell.

    Of a number: where it is further from gold than the policy's tolerance.
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


def _curves(table: Table, gold: Gold | None) -> Iterator[Facts]:
    """Yield for the root, each interval and all binary variables together risk against coverage.

    stated: the mean stated risk of what is kept, from the least risk on; true: the share that is wrong, of
    what gold tells of.
    """
    names = [name for name in table.levels if name not in table.binaries]
    groups = [(name, [name]) for name in names] + (
        [("binary", list(table.binaries))] if table.binaries else []
    )
    for title, members in groups:
        columns = [table.levels.index(name) for name in members]
        risk = table.risk[:, columns].ravel()
        wrong = np.stack([wrong_of(table, name, gold) for name in members], axis=1).ravel()
        order = np.argsort(risk, kind="stable")
        at = np.unique(np.linspace(0, len(risk) - 1, POINTS).round().astype(int))
        stated = (np.cumsum(risk[order]) / np.arange(1, len(risk) + 1))[at]
        known = ~np.isnan(wrong)
        curve: Facts = {
            "name": title,
            "coverage": rounded((at + 1) / len(risk)),
            "stated": rounded(stated),
            **limit_facts(table, members),
            "accepted": rounded(table.accepted[:, columns].mean()),
            "true": None,
        }
        if known.any():
            coverage, error, _ = SelectiveScore(wrong[known], risk[known]).curve(POINTS)
            # A share of very few says nothing.
            some = coverage * known.sum() >= 20
            curve["true"] = {"coverage": rounded(coverage[some]), "error": rounded(error[some])}
        yield curve


def _histogram(values: Floats) -> Facts:
    whole = bool((values == np.round(values)).all())
    low, high = float(values.min()), float(values.max())
    if whole and high - low <= 40:
        edges = np.arange(low, high + 2) - 0.5
    else:
        edges = np.linspace(low, high if high > low else low + 1, 21)
    counts, _ = np.histogram(values, edges)
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95), method="inverted_cdf").tolist()
    told = {"mean": values.mean(), "q05": low, "q50": middle, "q95": high}
    facts: Facts = {name: rounded(value) for name, value in told.items()}
    return {**facts, "counts": counts.tolist(), "edges": rounded(edges), "whole": whole and len(edges) <= 42}


def _classes(table: Table, gold: Gold | None) -> list[Facts]:
    """Return of each state of the root how many items are likeliest it, by decision, and expected to be."""
    truth = None if gold is None else gold.values.get(table.base.root)
    found = []
    for k, state in enumerate(table.base.variables[table.base.root].states):
        mine = table.decision[table.label == k]
        found.append(
            {
                "state": state,
                "decisions": np.bincount(mine, minlength=len(DECISIONS)).tolist(),
                "expected": rounded(table.root[:, k].sum(), 1),
                "gold": None if truth is None else int((truth == k).sum()),
            }
        )
    return found


def _guarantee(source: Source) -> Facts:
    """Return what is guaranteed, with its certificates; or why nothing is."""
    base = source.base
    promise = base.guarantee
    if promise is None:
        return {"holds": False, "why": ["The base holds no certificates: seke calibrate --alpha makes them."]}
    refused = [*source.session.refused, *source.summary.get("refused", ())]
    outside = sum(one is not None and not one["holds"] for one in source.table.guarantee)
    inside = sum(one is not None and bool(one["holds"]) for one in source.table.guarantee)
    if not inside and not refused:
        refused = ["No record says that it is covered by the base's certificates."]
    rows = [
        {
            "value": f"{one.variable} {one.value}",
            "threshold": one.threshold,
            "n": one.n,
            "errors": one.errors,
            "bound": rounded(one.bound),
            "coverage": rounded(one.coverage),
            "lacks": "" if one.threshold is not None else lacking(one),
        }
        for one in promise.certificates
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
        "outside": outside,
        "certificates": rows,
        "assumptions": list(promise.assumptions),
    }


def _reliability(table: Table, gold: Gold | None) -> Iterator[Facts]:
    """Yield of the root and of all binary variables together how often what was stated is so."""
    assert gold is not None
    root = table.base.root
    parts = []
    if root in gold.values:
        wrong = wrong_of(table, root, gold)
        parts.append((root, table.root.max(1), 1 - wrong))
    told = [name for name in table.binaries if name in gold.values]
    if told:
        p = np.concatenate([table.binary[:, table.binaries.index(name)] for name in told])
        parts.append(("binary", p, np.concatenate([gold.values[name] for name in told])))
    for name, p, happened in parts:
        known = ~np.isnan(happened)
        if not known.any():
            continue
        found = Reliability.of(p[known], happened[known], BINS)
        count, stated, share = found.diagram()
        low, high = wilson(share, count.astype(np.float64))
        columns = {"stated": stated, "share": share, "low": low, "high": high}
        facts = {key: rounded(value) for key, value in columns.items()}
        yield {"name": name, "count": count.tolist(), **facts, "ece": rounded(found.ece())}
