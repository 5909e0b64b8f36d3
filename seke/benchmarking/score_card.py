"""One set of predictions against gold -> all that is to be said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine import CategoricalScore, SekeError
from seke.benchmarking.predictions import REFUSED, UNREADABLE
from seke.benchmarking.published import figures_of
from seke.benchmarking.scorer import AT_ONCE, Resamples, all_rounded, rounded, scorer_of
from seke.console.decision_words import DECISIONS
from seke.datasets.registry import set_called

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from engine import Knowledge
    from seke.benchmarking.predictions import Predictions
    from seke.benchmarking.scorer import Options, Scorer, Summary
    from seke.tables.label_table import LabelTable

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]
    Facts = dict[str, Any]

EXAMPLES = 3
MOST_POINTS = 1000
NOMINAL = 0.9
_MEANS = {"binary": ("f1", "balanced_accuracy"), "interval": ("ccc",)}


def card(base: Knowledge, given: Predictions, table: LabelTable, options: Options) -> Facts:
    """Return the facts of one set of predictions.

    Raises:
        engine.SekeError: no item, or no variable, that both have.
    """
    rows = given.rows_of(table.items)
    names = shared_names(base, [given], table)
    if not (rows >= 0).any():
        raise SekeError(
            f"{given.path} and {table.path} have no item in common: "
            f"{some(given.items)} in the one, {some(table.items)} in the other"
        )
    beyond = [given.items[i] for i in np.flatnonzero(table.rows_of(given.items) < 0).tolist()]
    scored = _scored(base, given, table, names, options, {})
    return {
        "path": given.path,
        **scored,
        "without_gold": {"count": len(beyond), "examples": beyond[:EXAMPLES]},
        "refusals": _refusals(base, given, table, rows),
        "sources": [_source(base, given, table, name, options) for name in dict.fromkeys(table.sources)]
        if any(name is not None for name in table.sources)
        else [],
    }


def _source(
    base: Knowledge, given: Predictions, table: LabelTable, name: str | None, options: Options
) -> Facts:
    """Return the scores of the items of one source set; action units also by the groups that it declares."""
    part = table.of_source(name)
    known = set_called(name)
    names = [one for one in shared_names(base, [given], table) if one in part.gold.values]
    groups = {} if known is None else known.scores
    facts = _scored(base, given, part, names, options, groups)
    for variable in facts["variables"].values():
        for drawn_only in ("points", "reliability", "risk_coverage"):
            variable.pop(drawn_only, None)
    told = {"source": name, "label": name if known is None else known.label}
    return {**told, **facts, "published": [] if known is None else figures_of(known.name)}


def _scored(
    base: Knowledge,
    given: Predictions,
    table: LabelTable,
    names: Sequence[str],
    options: Options,
    groups: Mapping[str, Sequence[str]],
) -> Facts:
    """Return the scores of some variables. groups: name -> variables of which a mean is wanted besides."""
    rows = given.rows_of(table.items)
    at = np.flatnonzero(rows >= 0)
    resamples = Resamples([table.groups[i] for i in at.tolist()], options)
    summaries: dict[str, Summary] = {}
    drawn: dict[str, dict[str, Floats]] = {}
    variables: dict[str, Facts] = {}
    for start in range(0, len(names), AT_ONCE):
        several = names[start : start + AT_ONCE]
        scorers = [
            scorer_of(
                base, name, given.variables[name].of(rows[at]), table.gold.values[name][at], options.bins
            )
            for name in several
        ]
        drawn |= dict(zip(several, resamples.scores(scorers), strict=True))
        for name, scorer in zip(several, scorers, strict=True):
            variables[name] = _variable(scorer, drawn[name], resamples, table.gold.values[name], options)
            summaries[name] = scorer.summary()
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


def shared_names(base: Knowledge, given: Sequence[Predictions], table: LabelTable) -> list[str]:
    """Return the variables that gold and all predictions have, in the order of the levels."""
    levels = [name for members in base.levels.values() for name in members]
    every = [*dict.fromkeys([*levels, *base.variables])]
    names = [n for n in every if n in table.gold.values and all(n in one.variables for one in given)]
    if not names:
        there = [some(tuple(one.variables)) for one in given]
        raise SekeError(
            f"{' and '.join(one.path for one in given)} and {table.path} have no variable in common: "
            f"{'; '.join(there)} predicted, {some(tuple(table.gold.values))} in gold"
        )
    return names


def some(names: Iterable[str]) -> str:
    """Return a few names as examples."""
    every = list(names)
    return ", ".join(map(repr, every[:EXAMPLES])) + (", ..." if len(every) > EXAMPLES else "")


def _variable(
    scorer: Scorer, drawn: Mapping[str, Floats], resamples: Resamples, gold: Floats, options: Options
) -> Facts:
    why = scorer.undefined()
    scores = {name: resamples.shown(value, drawn.get(name)) for name, value in scorer.point.items()}
    for name, reason in why.items():
        scores[name] = {"value": None, "low": None, "high": None, "reason": reason}
    facts: Facts = {
        "kind": scorer.variable.kind,
        "items": len(scorer.chosen),
        "unpredicted": int((~np.isnan(gold)).sum()) - len(scorer.chosen),
        "void": {name: _count(getattr(scorer.prediction, name)) for name in (REFUSED, UNREADABLE)},
        "scores": scores,
    }
    if isinstance(scorer.own, CategoricalScore):
        facts |= _classes(scorer.own, scorer.variable.states)
    if scorer.variable.kind == "interval":
        facts |= {"tolerance": scorer.tolerance, "nominal": NOMINAL, "points": _points(scorer)}
        facts["range"] = [scorer.variable.edges[0], scorer.variable.edges[-1]]
    if len(scorer.chosen):
        facts |= _curves(scorer, options)
    return facts


def _classes(own: CategoricalScore, states: tuple[str, ...]) -> Facts:
    """Return the confusion matrix, gold in rows, and what follows from it for each class.

    Answers that are none are in no column; `void` counts them.
    """
    table = own.confusion(np.ones((1, len(own.gold))))[0]
    classes = []
    for k, state in enumerate(states):
        hit, gold, named = table[k, k], table[k].sum(), table[:, k].sum()
        classes.append(
            {
                "state": state,
                "gold": int(gold),
                "predicted": int(named),
                "void": int(table[k, -1]),
                "precision": rounded(hit / named) if named else None,
                "recall": rounded(hit / gold) if gold else None,
                "f1": rounded(2 * hit / (gold + named)) if gold + named else None,
            }
        )
    return {"states": list(states), "classes": classes, "confusion": table[:, :-1].astype(int).tolist()}


def _count(flags: Flags | None) -> int:
    return 0 if flags is None else int(flags.sum())


def _points(scorer: Scorer) -> list[list[float]]:
    """Return [gold, predicted] of evenly chosen items."""
    step = -(-len(scorer.gold) // MOST_POINTS) or 1
    both = np.stack([scorer.gold[::step], scorer.prediction.value[::step]], axis=1)
    return np.round(both, 4).tolist()  # type: ignore[no-any-return]


def _curves(scorer: Scorer, options: Options) -> Facts:
    facts: Facts = {}
    if scorer.reliability is not None:
        null = scorer.reliability.null(np.random.default_rng(options.seed))
        counts, stated, share = scorer.reliability.diagram()
        facts["reliability"] = {
            "count": counts.tolist(),
            "stated": all_rounded(stated),
            "share": all_rounded(share),
            "null_low": all_rounded(null.lows),
            "null_high": all_rounded(null.highs),
            "null_ece": all_rounded(np.array([null.low, null.high])),
        }
    if scorer.selective is not None:
        coverage, error, risk = scorer.selective.curve()
        facts["risk_coverage"] = {
            "coverage": all_rounded(coverage),
            "error": all_rounded(error),
            "risk": all_rounded(risk),
        }
    return facts


def level_means(
    groups: Mapping[str, Sequence[str]],
    summaries: Mapping[str, Summary],
    drawn: Mapping[str, Mapping[str, Floats]],
    resamples: Resamples,
) -> Facts:
    """Return for each group of several variables the means of their scores, over those that have it."""
    levels: Facts = {}
    for level, members in groups.items():
        own = [summaries[name] for name in members if name in summaries]
        kinds = {summary.variable.kind for summary in own}
        if len(own) < 2 or len(kinds) > 1:
            continue
        means = {}
        for score in _MEANS.get(kinds.pop(), ()):
            why = {summary.variable.name: summary.undefined.get(score) for summary in own}
            over = [summary for summary in own if why[summary.variable.name] is None]
            value = np.mean([summary.point[score] for summary in over]) if over else np.nan
            parts = [drawn[summary.variable.name].get(score) for summary in over]
            means[f"mean_{score}"] = {
                **resamples.shown(float(value), mean_known([part for part in parts if part is not None])),
                "over": [summary.variable.name for summary in over],
                "left_out": {name: reason for name, reason in why.items() if reason is not None},
            }
        if means:
            levels[level] = means
    return levels


def mean_known(parts: list[Floats]) -> Floats | None:
    """Return the mean (R,) of scores, of each resample over those that it has."""
    if not parts:
        return None
    table = np.stack(parts)
    known = (~np.isnan(table)).sum(0)
    return np.where(known > 0, np.nansum(table, axis=0) / np.maximum(known, 1), np.nan)


def _refusals(base: Knowledge, given: Predictions, table: LabelTable, rows: Ints) -> Facts:
    """Return what became of the items of gold, by the class that gold has of them."""
    name = _class_variable(base, table)
    values = table.gold.values[name] if name else np.full(len(table.items), np.nan)
    states = base.variables[name].states if name else ()
    parts = [(state, values == index) for index, state in enumerate(states)]
    parts += [("unknown", np.isnan(values))] if name and np.isnan(values).any() else []
    parts.append(("all", np.ones(len(values), dtype=bool)))
    return {"variable": name, "classes": [_outcomes(given, rows[part], label) for label, part in parts]}


def _class_variable(base: Knowledge, table: LabelTable) -> str:
    """Return the categorical variable by which gold is split: the root where gold has it."""
    kinds = {name: base.variables[name].kind for name in table.gold.values}
    named = [name for name, kind in kinds.items() if kind == "categorical"]
    return base.root if base.root in named else (named[0] if named else "")


def _outcomes(given: Predictions, rows: Ints, label: str) -> Facts:
    own = rows[rows >= 0]
    found: Facts = {"class": label, "gold": len(rows), "without_prediction": int((rows < 0).sum())}
    if given.refused is not None and given.samples is not None:
        found["refused_items"] = int((given.refused[own] > 0).sum())
        found["refused_answers"] = int(given.refused[own].sum())
        found["answers"] = int(given.samples[own].sum())
    if given.unreadable is not None:
        found["unreadable_answers"] = int(given.unreadable[own].sum())
    if given.decided is not None:
        counts = np.bincount(given.decided[own], minlength=len(DECISIONS)).tolist()
        found |= dict(zip(DECISIONS, counts, strict=True))
    return found
