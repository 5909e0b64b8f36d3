"""Makes the score card of one set of predictions: all its scores against gold, and its refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine import CategoricalScore, SekeError, null_intervals
from seke.benchmarking.class_means import class_mean_scores
from seke.benchmarking.predictions import REFUSED, UNREADABLE
from seke.benchmarking.published import figures_of
from seke.benchmarking.scorer import Resamples, json_number, json_numbers, make_scorer, variables_at_once
from seke.console.decision_words import DECISIONS
from seke.datasets.registry import set_called

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine import Bools, Floats, Ints, Knowledge, NullInterval
    from seke.benchmarking.predictions import Predictions
    from seke.benchmarking.scorer import ScoreOptions, Scorer, VariableSummary
    from seke.tables.label_table import LabelTable

    Facts = dict[str, Any]

# Names that a message or a count gives as examples.
EXAMPLES = 3
# Points of a scatter plot at most.
MOST_POINTS = 1000
# Nominal coverage of the interval from q05 to q95.
NOMINAL = 0.9
_MEANS = {"binary": ("f1", "balanced_accuracy"), "interval": ("ccc",)}


def card(base: Knowledge, predictions: Predictions, table: LabelTable, options: ScoreOptions) -> Facts:
    """Return the facts of one set of predictions.

    Raises:
        engine.SekeError: no item, or no variable, that both have.
    """
    rows = predictions.rows_of(table.items)
    names = shared_names(base, [predictions], table)
    if not (rows >= 0).any():
        raise SekeError(
            f"{predictions.path} and {table.path} have no item in common: "
            f"{examples(predictions.items)} in the one, {examples(table.items)} in the other"
        )
    beyond = [predictions.items[i] for i in np.flatnonzero(table.rows_of(predictions.items) < 0).tolist()]
    scored = _score_variables(base, predictions, table, names, options, {})
    return {
        "path": predictions.path,
        "labels_known": predictions.labels_known,
        **scored,
        "without_gold": {"count": len(beyond), "examples": beyond[:EXAMPLES]},
        "refusals": _refusals(base, predictions, table, rows),
        "sources": [
            _source_facts(base, predictions, table, name, options) for name in dict.fromkeys(table.sources)
        ]
        if any(name is not None for name in table.sources)
        else [],
    }


def _source_facts(
    base: Knowledge, predictions: Predictions, table: LabelTable, name: str | None, options: ScoreOptions
) -> Facts:
    """Return the scores of the items of one source set; action units also by the groups that it declares."""
    part = table.of_source(name)
    source_set = set_called(name)
    names = [
        variable_name
        for variable_name in shared_names(base, [predictions], table)
        if variable_name in part.gold.values
    ]
    groups = {} if source_set is None else source_set.scores
    facts = _score_variables(base, predictions, part, names, options, groups)
    for variable in facts["variables"].values():
        for drawn_only in ("points", "reliability", "risk_coverage"):
            variable.pop(drawn_only, None)
    heading = {"source": name, "label": name if source_set is None else source_set.label}
    return {**heading, **facts, "published": [] if source_set is None else figures_of(source_set.name)}


def _score_variables(
    base: Knowledge,
    predictions: Predictions,
    table: LabelTable,
    names: Sequence[str],
    options: ScoreOptions,
    groups: Mapping[str, Sequence[str]],
) -> Facts:
    """Return the scores of some variables. groups: name -> variables whose mean scores are wanted, too."""
    rows = predictions.rows_of(table.items)
    at = np.flatnonzero(rows >= 0)
    resamples = Resamples([table.groups[i] for i in at.tolist()], options)
    summaries: dict[str, VariableSummary] = {}
    drawn: dict[str, dict[str, Floats]] = {}
    variables: dict[str, Facts] = {}
    at_once = variables_at_once(len(at))
    for start in range(0, len(names), at_once):
        batch = names[start : start + at_once]
        scorers = [
            make_scorer(
                base,
                name,
                predictions.variables[name].of(rows[at]),
                table.gold.values[name][at],
                options.bins,
            )
            for name in batch
        ]
        drawn |= dict(zip(batch, resamples.scores(scorers), strict=True))
        stated = {
            name: scorer.reliability
            for name, scorer in zip(batch, scorers, strict=True)
            if scorer.reliability is not None and len(scorer.chosen)
        }
        nulls = dict(zip(stated, null_intervals([*stated.values()], options.seed), strict=True))
        for name, scorer in zip(batch, scorers, strict=True):
            gold = table.gold.values[name]
            variables[name] = _variable(scorer, drawn[name], resamples, gold, nulls.get(name))
            summaries[name] = scorer.summary()
            if scorer.variable.kind == "interval":
                class_name = _class_variable(base, table)
                classes = table.gold.values[class_name][at] if class_name else np.full(len(at), np.nan)
                means = class_mean_scores(scorer, classes[scorer.chosen])
                variables[name]["class_means"] = {score: json_number(v) for score, v in means.items()}
    without = [table.items[i] for i in np.flatnonzero(rows < 0).tolist()]
    return {
        "items": len(at),
        "units": resamples.units,
        "ungrouped": sum(table.groups[i] is None for i in at.tolist()),
        "without_prediction": {"count": len(without), "examples": without[:EXAMPLES]},
        "variables": variables,
        "levels": level_means(base.levels, summaries, drawn, resamples),
        "groups": level_means(groups, summaries, drawn, resamples),
    }


def shared_names(base: Knowledge, prediction_sets: Sequence[Predictions], table: LabelTable) -> list[str]:
    """Return the variables that gold and all predictions have, in the order of the levels."""
    levels = [name for members in base.levels.values() for name in members]
    every = [*dict.fromkeys([*levels, *base.variables])]
    names = [
        n
        for n in every
        if n in table.gold.values and all(n in predictions.variables for predictions in prediction_sets)
    ]
    if not names:
        variable_examples = [examples(predictions.variables) for predictions in prediction_sets]
        paths = " and ".join(predictions.path for predictions in prediction_sets)
        raise SekeError(
            f"{paths} and {table.path} have no variable in common: "
            f"{'; '.join(variable_examples)} predicted, {examples(tuple(table.gold.values))} in gold"
        )
    return names


def examples(names: Iterable[str]) -> str:
    """Return a few names as examples."""
    every = list(names)
    return ", ".join(map(repr, every[:EXAMPLES])) + (", ..." if len(every) > EXAMPLES else "")


def _variable(
    scorer: Scorer,
    drawn: Mapping[str, Floats],
    resamples: Resamples,
    gold: Floats,
    null: NullInterval | None,
) -> Facts:
    undefined = scorer.undefined()
    scores = {name: resamples.estimate(value, drawn.get(name)) for name, value in scorer.point.items()}
    for name, reason in undefined.items():
        scores[name] = {"value": None, "low": None, "high": None, "reason": reason}
    facts: Facts = {
        "kind": scorer.variable.kind,
        "items": len(scorer.chosen),
        "unpredicted": int((~np.isnan(gold)).sum()) - len(scorer.chosen) - scorer.gold_evidence,
        "gold_evidence": scorer.gold_evidence,
        "void": {name: _count(getattr(scorer.prediction, name)) for name in (REFUSED, UNREADABLE)},
        "scores": scores,
    }
    if isinstance(scorer.kind_score, CategoricalScore):
        facts |= _classes(scorer.kind_score, scorer.variable.states)
    if scorer.variable.kind == "interval":
        facts |= {"tolerance": scorer.tolerance, "nominal": NOMINAL, "points": _points(scorer)}
        facts["range"] = [scorer.variable.edges[0], scorer.variable.edges[-1]]
    if len(scorer.chosen):
        facts |= _curves(scorer, null)
    return facts


def _classes(score: CategoricalScore, states: tuple[str, ...]) -> Facts:
    """Return the confusion matrix, gold in rows, and precision, recall and F1 of each class.

    Void answers are in no column; `void` counts them. absent: the classes that gold does not have.
    """
    table = score.confusion(np.ones((1, len(score.gold))))[0]
    classes = []
    for k, state in enumerate(states):
        hit, gold, named = table[k, k], table[k].sum(), table[:, k].sum()
        classes.append(
            {
                "state": state,
                "gold": int(gold),
                "predicted": int(named),
                "void": int(table[k, -1]),
                "precision": json_number(hit / named) if named else None,
                "recall": json_number(hit / gold) if gold else None,
                "f1": json_number(2 * hit / (gold + named)) if gold + named else None,
            }
        )
    return {
        "states": list(states),
        "absent": [row["state"] for row in classes if not row["gold"]],
        "classes": classes,
        "confusion": table[:, :-1].astype(int).tolist(),
    }


def _count(flags: Bools | None) -> int:
    return 0 if flags is None else int(flags.sum())


def _points(scorer: Scorer) -> list[list[float]]:
    """Return [gold, predicted] of evenly chosen items."""
    step = -(-len(scorer.gold) // MOST_POINTS) or 1
    pairs = np.stack([scorer.gold[::step], scorer.prediction.value[::step]], axis=1)
    return np.round(pairs, 4).tolist()  # type: ignore[no-any-return]


def _curves(scorer: Scorer, null: NullInterval | None) -> Facts:
    facts: Facts = {}
    if scorer.reliability is not None and null is not None:
        counts, stated, share = scorer.reliability.diagram()
        facts["reliability"] = {
            "count": counts.tolist(),
            "stated": json_numbers(stated),
            "share": json_numbers(share),
            "null_low": json_numbers(null.lows),
            "null_high": json_numbers(null.highs),
            "null_ece": json_numbers(np.array([null.low, null.high])),
        }
    if scorer.selective is not None:
        coverage, error, risk = scorer.selective.curve()
        facts["risk_coverage"] = {
            "coverage": json_numbers(coverage),
            "error": json_numbers(error),
            "risk": json_numbers(risk),
        }
    return facts


def level_means(
    groups: Mapping[str, Sequence[str]],
    summaries: Mapping[str, VariableSummary],
    drawn: Mapping[str, Mapping[str, Floats]],
    resamples: Resamples,
) -> Facts:
    """Return for each group of at least two variables the mean of each score over those that have it."""
    levels: Facts = {}
    for level, members in groups.items():
        member_summaries = [summaries[name] for name in members if name in summaries]
        kinds = {summary.variable.kind for summary in member_summaries}
        if len(member_summaries) < 2 or len(kinds) > 1:
            continue
        means = {}
        for score in _MEANS.get(kinds.pop(), ()):
            undefined = {summary.variable.name: summary.undefined.get(score) for summary in member_summaries}
            over = [summary for summary in member_summaries if undefined[summary.variable.name] is None]
            value = np.mean([summary.point[score] for summary in over]) if over else np.nan
            parts = [drawn[summary.variable.name].get(score) for summary in over]
            means[f"mean_{score}"] = {
                **resamples.estimate(float(value), mean_known([part for part in parts if part is not None])),
                "over": [summary.variable.name for summary in over],
                "left_out": {name: reason for name, reason in undefined.items() if reason is not None},
            }
        if means:
            levels[level] = means
    return levels


def mean_known(parts: list[Floats]) -> Floats | None:
    """Return the mean, (R,), of scores (R,) of several variables, over those defined on each resample."""
    if not parts:
        return None
    table = np.stack(parts)
    known = (~np.isnan(table)).sum(0)
    return np.where(known > 0, np.nansum(table, axis=0) / np.maximum(known, 1), np.nan)


def _refusals(base: Knowledge, predictions: Predictions, table: LabelTable, rows: Ints) -> Facts:
    """Return predictions, refusals and decisions of the items of gold, by their gold class."""
    name = _class_variable(base, table)
    values = table.gold.values[name] if name else np.full(len(table.items), np.nan)
    states = base.variables[name].states if name else ()
    parts = [(state, values == index) for index, state in enumerate(states)]
    parts += [("unknown", np.isnan(values))] if name and np.isnan(values).any() else []
    parts.append(("all", np.ones(len(values), dtype=bool)))
    return {"variable": name, "classes": [_outcomes(predictions, rows[part], label) for label, part in parts]}


def _class_variable(base: Knowledge, table: LabelTable) -> str:
    """Return the categorical variable that splits gold: the root where gold has it, else the first one."""
    kinds = {name: base.variables[name].kind for name in table.gold.values}
    named = [name for name, kind in kinds.items() if kind == "categorical"]
    return base.root if base.root in named else (named[0] if named else "")


def _outcomes(predictions: Predictions, rows: Ints, label: str) -> Facts:
    predicted_rows = rows[rows >= 0]
    counts_of_class: Facts = {"class": label, "gold": len(rows), "without_prediction": int((rows < 0).sum())}
    if predictions.refused is not None and predictions.samples is not None:
        counts_of_class["refused_items"] = int((predictions.refused[predicted_rows] > 0).sum())
        counts_of_class["refused_answers"] = int(predictions.refused[predicted_rows].sum())
        counts_of_class["answers"] = int(predictions.samples[predicted_rows].sum())
    if predictions.unreadable is not None:
        counts_of_class["unreadable_answers"] = int(predictions.unreadable[predicted_rows].sum())
    if predictions.not_judged is not None:
        counts_of_class["not_judged_answers"] = int(predictions.not_judged[predicted_rows].sum())
    if predictions.decided is not None:
        counts = np.bincount(predictions.decided[predicted_rows], minlength=len(DECISIONS)).tolist()
        counts_of_class |= dict(zip(DECISIONS, counts, strict=True))
    return counts_of_class
