"""Compares two sets of predictions on their common items: differences of scores on the same resamples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine import SekeError, mcnemar
from seke.benchmarking.score_card import examples, mean_known, shared_names
from seke.benchmarking.scorer import Resamples, make_scorer, variables_at_once

if TYPE_CHECKING:
    from engine import Floats, Knowledge
    from seke.benchmarking.predictions import Predictions
    from seke.benchmarking.scorer import ScoreOptions, Scorer, VariableSummary
    from seke.tables.label_table import LabelTable

    Facts = dict[str, Any]
    ScorerPair = tuple[Scorer, Scorer]
    SummaryPair = tuple[VariableSummary, VariableSummary]

_MEANS = {"binary": "f1", "interval": "ccc"}
# Scores that depend on where a policy or a base rate is set, and say nothing about which set is better.
_NO_MERIT = ("prevalence", "coverage", "accepted_risk")


def comparison(
    base: Knowledge, first: Predictions, second: Predictions, table: LabelTable, options: ScoreOptions
) -> Facts:
    """Return the differences second - first of all scores that both sets have.

    Raises:
        engine.SekeError: no item, or no variable, that all three have.
    """
    first_rows, second_rows = first.rows_of(table.items), second.rows_of(table.items)
    at = np.flatnonzero((first_rows >= 0) & (second_rows >= 0))
    names = shared_names(base, [first, second], table)
    if not len(at):
        raise SekeError(
            f"{first.path} and {second.path} have no item of gold in common: "
            f"{examples(first.items)} in the one, {examples(second.items)} in the other"
        )
    resamples = Resamples([table.groups[i] for i in at.tolist()], options)
    variables: dict[str, Facts] = {}
    summaries: dict[str, SummaryPair] = {}
    drawn: dict[str, dict[str, Floats]] = {}
    at_once = variables_at_once(len(at), prediction_sets=2)
    for start in range(0, len(names), at_once):
        batch = names[start : start + at_once]
        pairs: list[ScorerPair] = []
        for name in batch:
            gold = table.gold.values[name][at]
            predictions = first.variables[name].of(first_rows[at]), second.variables[name].of(second_rows[at])
            pairs.append(
                (
                    make_scorer(base, name, predictions[0], gold, options.bins, predictions[1]),
                    make_scorer(base, name, predictions[1], gold, options.bins, predictions[0]),
                )
            )
        scores = resamples.scores([scorer for pair in pairs for scorer in pair])
        for name, pair, before, after in zip(batch, pairs, scores[::2], scores[1::2], strict=True):
            drawn[name] = {score: after[score] - before[score] for score in before if score in after}
            variables[name] = _variable(pair, drawn[name], resamples)
            summaries[name] = (pair[0].summary(), pair[1].summary())
    return {
        "one": first.path,
        "other": second.path,
        "items": len(at),
        "units": resamples.units,
        "ungrouped": sum(table.groups[i] is None for i in at.tolist()),
        "variables": variables,
        "levels": _levels(base, summaries, drawn, resamples),
    }


def _variable(pair: ScorerPair, drawn: dict[str, Floats], resamples: Resamples) -> Facts:
    first, second = pair
    differences = {
        score: {
            "one": resamples.estimate(first.point[score], None)["value"],
            "other": resamples.estimate(second.point[score], None)["value"],
            **resamples.estimate(second.point[score] - first.point[score], drawn.get(score)),
        }
        for score in first.point
        if score in second.point and score not in _NO_MERIT
    }
    facts: Facts = {"kind": first.variable.kind, "items": len(first.chosen), "differences": differences}
    if first.variable.kind != "interval":
        only_first_right = int(((first.wrong == 0) & (second.wrong == 1)).sum())
        only_second_right = int(((first.wrong == 1) & (second.wrong == 0)).sum())
        facts["mcnemar"] = {
            "only_one_right": only_first_right,
            "only_other_right": only_second_right,
            "p": float(f"{mcnemar(only_first_right, only_second_right):.4g}"),
        }
    return facts


def _levels(
    base: Knowledge,
    summaries: dict[str, SummaryPair],
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
        over = [name for name in names if not any(score in summary.undefined for summary in summaries[name])]
        if not over:
            continue
        means = [float(np.mean([summaries[name][side].point[score] for name in over])) for side in (0, 1)]
        parts = mean_known([drawn[name][score] for name in over if score in drawn[name]])
        levels[level] = {
            f"mean_{score}": {
                "one": round(means[0], 6),
                "other": round(means[1], 6),
                **resamples.estimate(means[1] - means[0], parts),
                "over": over,
            }
        }
    return levels
