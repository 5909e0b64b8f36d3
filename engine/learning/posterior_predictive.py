"""Posterior predictive checks: do the answers look like those of observers as they were fitted?

Replicates of the answers are drawn from the fitted observers, about the same items in the same readings, with
truth drawn from the network given the gold. A statistic of the answers outside its distribution over the
replicates shows a misfit (Gelman, Meng & Stern 1996). Replicates ignore the exponents.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.inference.simulation import SimulatedObserver, draw_truth
from engine.learning.coupling import coupling_statistics
from engine.learning.likelihood import IMPOSSIBLE
from engine.model.gold import states_of
from engine.observation.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.backend.types import Bools, Floats, Ints
    from engine.learning.observer_fit import Fit
    from engine.model.gold import Gold
    from engine.model.knowledge import Knowledge, LabelInstrument, Observer
    from engine.model.responses import Answers, Labels, Numbers
    from engine.model.variable import Variable
    from engine.observation.evidence import ObservationModel


# The kind of check that says that questions about the same binary variables differ in how often they get yes.
RATE_OF_QUESTION = "yes by question"
# Replicates that are drawn.
REPLICATES = 40
# Sds are at least this, so that distances in sds are finite.
LEAST_SD = 1e-9
# Numbers of answers after which the share of right commonest answers is checked.
FIRST_ANSWERS = (1, 2, 3, 5, 10)


@dataclass(frozen=True)
class Check:
    """A statistic. about: the observer. kind, name: what it is; count: of how many it is the mean.

    observed: of the answers. drawn, sd: mean and standard deviation over replicates. reach: the largest
    distance of any replicate from the mean, in any statistic of this kind, in sds. far: whether the
    difference is material and too large for chance.
    """

    about: str
    kind: str
    name: str
    count: int
    observed: float
    drawn: float
    sd: float
    reach: float
    far: bool


Statistics = dict[tuple[str, str, str], tuple[float, int]]


def predictive_checks(
    fit: Fit, answers: Answers, gold: Gold, rng: np.random.Generator, replicates: int = REPLICATES
) -> tuple[Check, ...]:
    """Return the statistics of the answers, each with its distribution over replicates."""
    observations = fit.observations()
    observed = _statistics(fit, answers, gold)
    drawn: dict[tuple[str, str, str], list[float]] = {key: [] for key in observed}
    for _ in range(replicates):
        again = _replicate(fit, observations, answers, gold, rng)
        for key, (value, _count) in _statistics(fit, again, gold).items():
            if key in drawn:
                drawn[key].append(value)
    moments, reach = {}, dict[str, float]()
    for key, values in drawn.items():
        if values:
            mean, sd = float(np.mean(values)), max(float(np.std(values)), LEAST_SD)
            moments[key] = mean, sd
            reach[key[1]] = max(reach.get(key[1], 0.0), float(np.abs(np.array(values) - mean).max() / sd))
    priors, checks = fit.settings.priors, []
    for key, (mean, sd) in moments.items():
        value, count = observed[key]
        difference, farthest = abs(value - mean), reach[key[1]]
        far = difference > max(priors.check_difference, max(priors.check_sds, farthest) * sd)
        checks.append(Check(*key, count, value, mean, sd, farthest, far))
    return tuple(checks)


def _replicate(
    fit: Fit, observations: ObservationModel, answers: Answers, gold: Gold, rng: np.random.Generator
) -> Answers:
    """Return the answers with all their values drawn anew from the fitted observers."""
    inference, base = fit.parameters.inference, fit.parameters.base
    count = len(answers.items)
    logs, states = {}, {}
    for name, known in gold.values.items():
        states[name] = states_of(base.variables[name], known)
        elsewhere = np.arange(len(base.variables[name].states))[:, None] != states[name]
        logs[name] = np.where(elsewhere & (states[name] >= 0), IMPOSSIBLE, 0.0)
    every = np.ones(count, dtype=bool)
    none = np.zeros((2, 0), dtype=np.int64)
    evidence = Evidence(count, np.arange(count), np.zeros(count), logs, every, none)
    truth = draw_truth(inference, evidence, rng, states)
    columns: dict[str, Labels | Numbers] = {**answers.labels, **answers.numbers}
    redrawn: dict[str, Any] = {name: column.answer.copy() for name, column in answers.labels.items()}
    redrawn |= {name: column.value.copy() for name, column in answers.numbers.items()}
    order = {name: _draw_of(column.reading) for name, column in columns.items()}
    questions = list(base.questions)
    for index, observer in fit.parameters.observers.items():
        by_observer = answers.reading_observer == index
        simulated = SimulatedObserver(observations, observer.name, truth, rng)
        kinds = np.stack([answers.reading_question, answers.reading_view], axis=1)
        for question, view in np.unique(kinds[by_observer], axis=0).tolist():
            asked = by_observer & (answers.reading_question == question) & (answers.reading_view == view)
            used_rows = {name: asked[column.reading] for name, column in columns.items()}
            draws = max(int(order[name][used].max(initial=-1)) + 1 for name, used in used_rows.items())
            for name, drawn in simulated.reading(questions[question], draws).items():
                if name in used_rows:
                    used = used_rows[name]
                    item = answers.reading_item[columns[name].reading[used]]
                    redrawn[name][used] = drawn[item, order[name][used]]
    labels = {name: replace(column, answer=redrawn[name]) for name, column in answers.labels.items()}
    numbers = {name: replace(column, value=redrawn[name]) for name, column in answers.numbers.items()}
    return replace(answers, labels=labels, numbers=numbers)


def _draw_of(reading: Ints) -> Ints:
    """Return the number of each row's draw within its reading, (S,), from 0."""
    order = np.argsort(reading, kind="stable")
    starts = np.flatnonzero(np.diff(reading[order], prepend=-1))
    draw = np.arange(len(reading)) - np.repeat(starts, np.diff(starts, append=len(reading)))
    draw_of_row = np.empty(len(reading), dtype=np.int64)
    draw_of_row[order] = draw
    return draw_of_row


def _statistics(fit: Fit, answers: Answers, gold: Gold) -> Statistics:
    """Return the statistics of the answers: observer, kind and name -> value, and of how many."""
    statistics: Statistics = {}
    base, least = fit.parameters.base, fit.settings.priors.check_readings
    for index, observer in fit.parameters.observers.items():
        by_observer = answers.reading_observer == index
        means = _mean_statistics(base, observer, answers, gold, by_observer)
        coupling = coupling_statistics(fit.parameters.inference, observer, answers, gold, by_observer)
        for kind, name, values in (*means, *coupling):
            if len(values) >= least:
                statistics[observer.name, kind, name] = float(np.mean(values)), len(values)
        for kind, name, value, count in _correlations(base, observer, answers, gold, by_observer):
            if count >= least and np.isfinite(value):
                statistics[observer.name, kind, name] = value, count
    return statistics


def _counts(answers: Answers, name: str, by_observer: Bools) -> tuple[Ints, Floats]:
    """Return the observer's readings with whole answers about a variable, and their counts (R, Y)."""
    column = answers.labels[name]
    used = by_observer[column.reading] & ~column.spread
    size = int(column.answer.max(initial=0)) + 1
    cell = column.reading[used] * size + column.answer[used]
    counts = np.bincount(cell, minlength=len(by_observer) * size).reshape(-1, size)
    answered = np.flatnonzero(counts.sum(1))
    return answered, counts[answered].astype(np.float64)


def _mean_statistics(
    base: Knowledge, observer: Observer, answers: Answers, gold: Gold, by_observer: Bools
) -> Iterator[tuple[str, str, Floats]]:
    """Yield statistics that are means over readings: kind, name, and the value (n,) of each reading."""
    for name in (name for name in answers.labels if name in observer.labels):
        reading, counts = _counts(answers, name, by_observer)
        total = counts.sum(1)
        if base.variables[name].kind == "binary":
            yield "rate", name, counts[:, 1] / total if counts.shape[1] > 1 else 0 * total
            continue
        pairs = (counts * (counts - 1)).sum(1) / np.maximum(total * (total - 1), 1)
        for draws in np.unique(total[total > 1]).astype(int).tolist():
            yield "agreement", f"{name}, {draws} answers", pairs[total == draws]
        if name in gold.values:
            known = gold.values[name][answers.reading_item[reading]]
            yield from _right_by_count(
                observer, base.variables[name], answers, by_observer, gold.values[name]
            )
            wrong = _commonest_is_wrong(observer.labels[name], base.variables[name], counts, known)
            yield (
                "unanimous but wrong",
                name,
                wrong[~np.isnan(wrong) & (counts.max(1) == total) & (total > 1)],
            )
    yield from _rates_by_question(base, observer, answers, by_observer)
    for name, column in answers.numbers.items():
        value = column.value[by_observer[column.reading]]
        yield "mean", name, value
        yield "spread", name, np.abs(value - np.median(value)) if len(value) else value


def _rates_by_question(
    base: Knowledge, observer: Observer, answers: Answers, by_observer: Bools
) -> Iterator[tuple[str, str, Floats]]:
    """Yield how often each question is answered with yes, where several are about the same binary variables.

    Kind, name of the question, and the share of yes among a reading's answers, of each reading, (readings,).
    """
    names = [n for n in answers.labels if n in observer.labels and base.variables[n].kind == "binary"]
    count = np.zeros((2, len(by_observer)))
    for name in names:
        reading, counts = _counts(answers, name, by_observer)
        count[0, reading] += counts.sum(1)
        count[1, reading] += counts[:, 1] if counts.shape[1] > 1 else 0
    answered = np.flatnonzero(count[0])
    asked = np.unique(answers.reading_question[answered]).tolist()
    for number in asked if len(asked) > 1 else ():
        of_question = answered[answers.reading_question[answered] == number]
        yield RATE_OF_QUESTION, list(base.questions)[number], count[1, of_question] / count[0, of_question]


def _right_by_count(
    observer: Observer, variable: Variable, answers: Answers, by_observer: Bools, known: Floats
) -> Iterator[tuple[str, str, Floats]]:
    """Yield whether the commonest of a reading's first n answers is right, for each n of FIRST_ANSWERS.

    Kind, name, and 1 or 0 of each reading with gold and so many answers, (readings,).
    A fit uses all answers in their order; an error at some number of answers shows here.
    """
    column = answers.labels[variable.name]
    order, used = _draw_of(column.reading), by_observer[column.reading] & ~column.spread
    size, instrument = int(column.answer.max(initial=0)) + 1, observer.labels[variable.name]
    most = np.bincount(column.reading[used], minlength=len(by_observer))
    for number in (count for count in FIRST_ANSWERS if count <= most.max(initial=0)):
        taken = used & (order < number) & (most[column.reading] >= number)
        cell = column.reading[taken] * size + column.answer[taken]
        counts = np.bincount(cell, minlength=len(by_observer) * size).reshape(-1, size).astype(np.float64)
        answered = np.flatnonzero(counts.sum(1))
        wrong = _commonest_is_wrong(
            instrument, variable, counts[answered], known[answers.reading_item[answered]]
        )
        right = 1 - wrong[~np.isnan(wrong)]
        yield "right", f"{variable.name}, first {number} answer" + "s" * (number > 1), right


def _commonest_is_wrong(
    instrument: LabelInstrument, variable: Variable, counts: Floats, known: Floats
) -> Floats:
    """Return 1 where the commonest answer is not the gold, 0 where it is, NaN where there is none, (R,).

    counts: (R, Y) answers of each reading; known: (R,) its gold.
    """
    states = [variable.states.index(a) if a in variable.states else -1 for a in instrument.answers]
    answered_state = np.array(states)[counts.argmax(1)]
    return np.where(np.isnan(known), np.nan, answered_state != known)


def _correlations(
    base: Knowledge, observer: Observer, answers: Answers, gold: Gold, by_observer: Bools
) -> Iterator[tuple[str, str, float, int]]:
    """Yield correlations: of the errors of two readings of an item, and of binary answers of a reading."""
    names = [name for name in answers.labels if name in observer.labels]
    for name in (n for n in names if base.variables[n].kind != "binary" and n in gold.values):
        reading, counts = _counts(answers, name, by_observer)
        item = answers.reading_item[reading]
        wrong = _commonest_is_wrong(
            observer.labels[name], base.variables[name], counts, gold.values[name][item]
        )
        known = ~np.isnan(wrong)
        order = np.argsort(item[known], kind="stable")
        items, errors = item[known][order], wrong[known][order]
        same = np.flatnonzero(items[1:] == items[:-1])
        yield "error correlation", name, _correlation(errors[same], errors[same + 1]), len(same)
    rates = {}
    for name in (n for n in names if base.variables[n].kind == "binary"):
        reading, counts = _counts(answers, name, by_observer)
        column = np.full(len(by_observer), np.nan)
        column[reading] = counts[:, 1] / counts.sum(1) if counts.shape[1] > 1 else 0.0
        rates[name] = column
    for first, second in combinations(rates, 2):
        both = ~np.isnan(rates[first]) & ~np.isnan(rates[second])
        yield (
            "correlation",
            f"{first}, {second}",
            _correlation(rates[first][both], rates[second][both]),
            int(both.sum()),
        )


def _correlation(first: Floats, second: Floats) -> float:
    """Return the correlation of two series (n,); NaN where one is constant."""
    if len(first) < 2 or first.std() == 0 or second.std() == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def far_off(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Return the checks that show a misfit, the worst first."""
    return tuple(
        sorted((c for c in checks if c.far), key=lambda c: -abs(c.observed - c.drawn) / max(c.sd, 1e-9))
    )
