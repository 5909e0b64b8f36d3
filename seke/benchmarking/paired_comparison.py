"""Two sets of predictions on the items that both have -> the difference of each score, same resamples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine import SekeError, mcnemar
from seke.benchmarking.score_card import mean_known, shared_names, some
from seke.benchmarking.scorer import PAIRS_AT_ONCE, Resamples, scorer_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine import Knowledge
    from seke.benchmarking.predictions import Predictions
    from seke.benchmarking.scorer import Options, Scorer, Summary
    from seke.tables.label_table import LabelTable

    Floats = NDArray[np.float64]
    Facts = dict[str, Any]
    Pair = tuple[Scorer, Scorer]
    Summaries = tuple[Summary, Summary]

_MEANS = {"binary": "f1", "interval": "ccc"}
# What depends on where a policy or a base rate is set, and is no merit of either.
_NO_MERIT = ("prevalence", "coverage", "accepted_risk")


def comparison(
    base: Knowledge, one: Predictions, other: Predictions, table: LabelTable, options: Options
) -> Facts:
    """Return the differences other - one of all scores that both have.

    Raises:
        engine.SekeError: no item, or no variable, that all three have.
    """
    rows, other_rows = one.rows_of(table.items), other.rows_of(table.items)
    at = np.flatnonzero((rows >= 0) & (other_rows >= 0))
    names = shared_names(base, [one, other], table)
    if not len(at):
        raise SekeError(
            f"{one.path} and {other.path} have no item of gold in common: "
            f"{some(one.items)} in the one, {some(other.items)} in the other"
        )
    resamples = Resamples([table.groups[i] for i in at.tolist()], options)
    variables: dict[str, Facts] = {}
    summaries: dict[str, Summaries] = {}
    drawn: dict[str, dict[str, Floats]] = {}
    for start in range(0, len(names), PAIRS_AT_ONCE):
        several = names[start : start + PAIRS_AT_ONCE]
        pairs: list[Pair] = []
        for name in several:
            gold = table.gold.values[name][at]
            said = one.variables[name].of(rows[at]), other.variables[name].of(other_rows[at])
            pairs.append(
                (
                    scorer_of(base, name, said[0], gold, options.bins, said[1]),
                    scorer_of(base, name, said[1], gold, options.bins, said[0]),
                )
            )
        scores = resamples.scores([scorer for pair in pairs for scorer in pair])
        for name, pair, before, after in zip(several, pairs, scores[::2], scores[1::2], strict=True):
            drawn[name] = {score: after[score] - before[score] for score in before if score in after}
            variables[name] = _variable(pair, drawn[name], resamples)
            summaries[name] = (pair[0].summary(), pair[1].summary())
    return {
        "one": one.path,
        "other": other.path,
        "items": len(at),
        "units": resamples.units,
        "ungrouped": sum(table.groups[i] is None for i in at.tolist()),
        "variables": variables,
        "levels": _levels(base, summaries, drawn, resamples),
    }


def _variable(pair: Pair, drawn: dict[str, Floats], resamples: Resamples) -> Facts:
    one, other = pair
    differences = {
        score: {
            "one": resamples.shown(one.point[score], None)["value"],
            "other": resamples.shown(other.point[score], None)["value"],
            **resamples.shown(other.point[score] - one.point[score], drawn.get(score)),
        }
        for score in one.point
        if score in other.point and score not in _NO_MERIT
    }
    facts: Facts = {"kind": one.variable.kind, "items": len(one.chosen), "differences": differences}
    if one.variable.kind != "interval":
        only_one = int(((one.wrong == 0) & (other.wrong == 1)).sum())
        only_other = int(((one.wrong == 1) & (other.wrong == 0)).sum())
        facts["mcnemar"] = {
            "only_one_right": only_one,
            "only_other_right": only_other,
            "p": float(f"{mcnemar(only_one, only_other):.4g}"),
        }
    return facts


def _levels(
    base: Knowledge,
    summaries: dict[str, Summaries],
    drawn: dict[str, dict[str, Floats]],
    resamples: Resamples,
) -> Facts:
    """Return the difference of each level's mean score, over the variables that have it in both."""
    levels: Facts = {}
    for level, members in base.levels.items():
        names = [name for name in members if name in summaries]
        kinds = {summaries[name][0].variable.kind for name in names}
        score = _MEANS.get(next(iter(kinds), "")) if len(kinds) == 1 and len(names) > 1 else None
        if score is None:
            continue
        over = [name for name in names if not any(score in one.undefined for one in summaries[name])]
        if not over:
            continue
        means = [float(np.mean([summaries[name][side].point[score] for name in over])) for side in (0, 1)]
        parts = mean_known([drawn[name][score] for name in over if score in drawn[name]])
        levels[level] = {
            f"mean_{score}": {
                "one": round(means[0], 6),
                "other": round(means[1], 6),
                **resamples.shown(means[1] - means[0], parts),
                "over": over,
            }
        }
    return levels
