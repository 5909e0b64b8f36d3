"""A fit -> the record of what it was made from, with the thresholds that keep limits of the mean."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine import (
    Answers,
    FittedReading,
    Gold,
    LevelDecision,
    Threshold,
    drawn_risks,
    draws_of,
    reports_of,
    set_thresholds,
    thresholds_by_value,
)
from seke.replay import replay

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from engine import Fit, Knowledge
    from seke.inference import Session
    from seke.samples import SingleSamples

# What a run of `seke annotate` leaves in its folder.
SUMMARY = "summary.json"
# Items on which thresholds are found: where there are more, so many of them by chance. The limit is kept to
# about sqrt(limit / items), .02 at a limit of .05.
MOST_ITEMS = 150
# Draws of the fit with which a threshold is found first, before items are asked anew with it.
FIRST_DRAWS = 50


def models_of_runs(paths: Iterable[str]) -> dict[str, str]:
    """Return observer -> model of the runs of `seke annotate` in whose folders these sample files lie."""
    models: dict[str, str] = {}
    for path in paths:
        summary = Path(path).parent / SUMMARY
        # Whatever else is called so says nothing of a model.
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            facts = json.loads(summary.read_bytes())["facts"]
            models |= {str(name): str(model) for name, model in facts.get("also", {}).items()}
            models[str(facts["observer"])] = str(facts["model"])
    return models


def readings_of(
    base: Knowledge, answers: Answers, gold: Gold, models: Mapping[str, str]
) -> tuple[FittedReading, ...]:
    """Return the readings that a fit had, each with its least and most answers and its gold.

    models: observer -> who answered as it, where that is another name.
    """
    observers, questions = tuple(base.observers), tuple(base.questions)
    draws = draws_of(base, answers)
    keys = np.stack([answers.reading_observer, answers.reading_question, answers.reading_view], axis=1)
    readings = []
    for row in np.unique(keys, axis=0):
        chosen = (keys == row).all(1)
        observer, question, view = observers[row[0]], questions[row[1]], answers.views[row[2]]
        readings.append(
            FittedReading(
                observer,
                models.get(observer, observer),
                question,
                base.question_digests.get(question, ""),
                view,
                int(draws[chosen].min()),
                int(draws[chosen].max()),
                dict(_gold_counts(base, answers, gold, chosen)),
            )
        )
    return tuple(readings)


def _gold_counts(
    base: Knowledge, answers: Answers, gold: Gold, chosen: NDArray[np.bool_]
) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield of each variable that some chosen readings (R,) report the items with gold, value by value."""
    for name, known in gold.values.items():
        variable = base.variables[name]
        items = np.unique(answers.reading_item[chosen & reports_of(answers, name)])
        values = known[items][~np.isnan(known[items])]
        if not len(values):
            continue
        if variable.kind == "interval":
            yield name, {variable.values[0]: len(values)}
        else:
            counts = Counter(values.astype(int).tolist())
            yield name, {variable.states[index]: count for index, count in sorted(counts.items())}


def thresholds_of(
    session: Session,
    fit: Fit,
    answers: Answers,
    rng: np.random.Generator,
    population_n: float | None,
    recorded: SingleSamples | None,
) -> tuple[tuple[Threshold, ...], tuple[Threshold, ...]]:
    """Return the thresholds that keep limits of the mean: of items as answered, and as the policy asks.

    session: of the base as it was written. recorded: the samples of the items one by one;
    None where the policy cannot be followed on them.
    """
    policy = session.network.knowledge.policy
    session = session.under(replace(policy, thresholds={}, adaptive_thresholds={}))
    wanted = session.without_threshold
    if not wanted or not len(answers.items):
        return (), ()
    if len(answers.items) > MOST_ITEMS:
        chosen = np.zeros(len(answers.items), dtype=bool)
        chosen[rng.permutation(len(chosen))[:MOST_ITEMS]] = True
        answers = answers.only(chosen)
    plain = _cautious_thresholds(session, fit, answers, wanted, rng, population_n)
    asked: tuple[Threshold, ...] = ()
    if recorded is not None:
        recorded = recorded.about(set(answers.items))
        # Whoever asks until a risk is low enough has many risks just below: found once with items asked until
        # each keeps the limit, and once more with items asked until they keep what was found. The lower one.
        answered = replay(session, recorded).answers
        before = _cautious_thresholds(session, fit, answered, wanted, rng, population_n, FIRST_DRAWS)
        answered = replay(_with(session, before), recorded).answers
        asked = _lower(before, _cautious_thresholds(session, fit, answered, wanted, rng, population_n))
    return plain, asked


def _cautious_thresholds(
    session: Session,
    fit: Fit,
    answers: Answers,
    wanted: tuple[str, ...],
    rng: np.random.Generator,
    population_n: float | None,
    draws: int | None = None,
) -> tuple[Threshold, ...]:
    base = session.network.knowledge
    every = session.levels(answers)
    least = base.policy.calibrated_from
    levels = {name: every[name] for name in wanted if _often(every[name], least)}
    if not levels:
        return ()
    many = {} if draws is None else {"draws": draws}
    drawn = drawn_risks(fit, session.inference, answers, levels, rng, population_n, **many)
    thresholds = []
    for name, level in levels.items():
        variable, limit = base.variables[name], base.policy.limits[name]
        risks = drawn.risk[name], drawn.weight
        for value, threshold in set_thresholds(variable, base.policy, level, least, *risks).items():
            thresholds.append(
                Threshold(
                    name, value, limit, threshold.risk, threshold.items, threshold.accepted, threshold.mean
                )
            )
    return tuple(thresholds)


def _often(level: LevelDecision, least: int) -> bool:
    return bool(level.eligible.sum() >= least)


def _with(session: Session, thresholds: tuple[Threshold, ...]) -> Session:
    """Return the session with these thresholds, and caps of each risk where there are none."""
    base, risks = session.network.knowledge, dict[str, dict[str, float]]()
    for threshold in thresholds:
        risks.setdefault(threshold.variable, {})[threshold.value] = threshold.risk
    policy = base.policy
    by_value = {
        name: thresholds_by_value(base.variables[name], policy.limits[name], by_value_risk)
        for name, by_value_risk in risks.items()
    }
    return session.under(replace(policy, thresholds=by_value, adaptive_thresholds=by_value))


def _lower(first: tuple[Threshold, ...], second: tuple[Threshold, ...]) -> tuple[Threshold, ...]:
    """Return of each value the threshold with the lower risk; only of values that both have."""
    earlier = {(t.variable, t.value): t for t in first}
    pairs = [(t, earlier[t.variable, t.value]) for t in second if (t.variable, t.value) in earlier]
    return tuple(min(pair, key=lambda t: t.risk) for pair in pairs)
