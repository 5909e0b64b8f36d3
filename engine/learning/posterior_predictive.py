"""Posterior predictive checks: would observers as they were fitted have answered like this?

Answers are drawn again by the fitted observers about the same items in the same readings, with truth drawn
from the network given the gold; a statistic of what was said that lies outside what is drawn tells of a
misfit (Gelman, Meng & Stern 1996). What is tempered by an exponent is drawn as if it were not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.inference.simulation import SimulatedObserver, draw_truth
from engine.learning.likelihood import IMPOSSIBLE
from engine.model.gold import states_of
from engine.observation.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from engine.learning.observer_fit import Fit
    from engine.model.gold import Gold
    from engine.model.knowledge import Knowledge, LabelInstrument, Observer, Variable
    from engine.model.responses import Answers, Labels, Numbers
    from engine.observation.evidence import ObservationModel

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

REPLICATES = 40
LEAST = 20
FAR = 4.0
MATERIAL = 0.02
LEAST_SD = 1e-9
# After how many answers it is looked at how often the commonest is right.
FIRST_ANSWERS = (1, 2, 3, 5, 10)


@dataclass(frozen=True)
class Check:
    """A statistic. about: the observer. kind, name: what it is; count: of how many it is the mean.

    said: of the answers. drawn, sd: mean and standard deviation over replicates. reach: the farthest that any
    replicate lay from the mean in any statistic of this kind, in sds.
    """

    about: str
    kind: str
    name: str
    count: int
    said: float
    drawn: float
    sd: float
    reach: float

    @property
    def far(self) -> bool:
        """Say whether chance does not explain the difference, and whether it matters."""
        difference = abs(self.said - self.drawn)
        return difference > MATERIAL and difference > max(FAR, self.reach) * max(self.sd, LEAST_SD)


Statistics = dict[tuple[str, str, str], tuple[float, int]]


def predictive_checks(
    fit: Fit, answers: Answers, gold: Gold, rng: np.random.Generator, replicates: int = REPLICATES
) -> tuple[Check, ...]:
    """Return the statistics of the answers beside those of replicates."""
    at = dict(fit.point) | {path: np.array(one[2]) for path, one in fit.exponents.items()}
    observations = fit.unknowns.observed(at)
    said = _statistics(fit, answers, gold)
    drawn: dict[tuple[str, str, str], list[float]] = {key: [] for key in said}
    for _ in range(replicates):
        again = _replicate(fit, observations, answers, gold, rng)
        for key, (value, _count) in _statistics(fit, again, gold).items():
            if key in drawn:
                drawn[key].append(value)
    found, reach = {}, dict[str, float]()
    for key, values in drawn.items():
        if values:
            mean, sd = float(np.mean(values)), max(float(np.std(values)), LEAST_SD)
            found[key] = mean, sd
            reach[key[1]] = max(reach.get(key[1], 0.0), float(np.abs(np.array(values) - mean).max() / sd))
    return tuple(Check(*key, said[key][1], said[key][0], *pair, reach[key[1]]) for key, pair in found.items())


def _replicate(
    fit: Fit, observations: ObservationModel, answers: Answers, gold: Gold, rng: np.random.Generator
) -> Answers:
    """Draw all answers again."""
    inference, base = fit.unknowns.inference, fit.unknowns.base
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
    found: dict[str, Any] = {name: one.answer.copy() for name, one in answers.labels.items()}
    found |= {name: one.value.copy() for name, one in answers.numbers.items()}
    order = {name: _draw_of(column.reading) for name, column in columns.items()}
    questions = list(base.questions)
    for index, observer in fit.unknowns.observers.items():
        mine = answers.reading_observer == index
        simulated = SimulatedObserver(observations, observer.name, truth, rng)
        kinds = np.stack([answers.reading_question, answers.reading_view], axis=1)
        for question, view in np.unique(kinds[mine], axis=0).tolist():
            asked = mine & (answers.reading_question == question) & (answers.reading_view == view)
            own = {name: asked[column.reading] for name, column in columns.items()}
            draws = max(int(order[name][used].max(initial=-1)) + 1 for name, used in own.items())
            for name, drawn in simulated.reading(questions[question], draws).items():
                if name in own:
                    used = own[name]
                    item = answers.reading_item[columns[name].reading[used]]
                    found[name][used] = drawn[item, order[name][used]]
    labels = {name: replace(column, answer=found[name]) for name, column in answers.labels.items()}
    numbers = {name: replace(column, value=found[name]) for name, column in answers.numbers.items()}
    return replace(answers, labels=labels, numbers=numbers)


def _draw_of(reading: Ints) -> Ints:
    """Return which draw of its reading each row of a column is, (S,)."""
    order = np.argsort(reading, kind="stable")
    starts = np.flatnonzero(np.diff(reading[order], prepend=-1))
    draw = np.arange(len(reading)) - np.repeat(starts, np.diff(starts, append=len(reading)))
    found = np.empty(len(reading), dtype=np.int64)
    found[order] = draw
    return found


def _statistics(fit: Fit, answers: Answers, gold: Gold) -> Statistics:
    found: Statistics = {}
    base = fit.unknowns.base
    for index, observer in fit.unknowns.observers.items():
        mine = answers.reading_observer == index
        for kind, name, values in _each(base, observer, answers, gold, mine):
            if len(values) >= LEAST:
                found[observer.name, kind, name] = float(np.mean(values)), len(values)
        for kind, name, value, count in _together(base, observer, answers, gold, mine):
            if count >= LEAST and np.isfinite(value):
                found[observer.name, kind, name] = value, count
    return found


def _counts(answers: Answers, name: str, mine: NDArray[np.bool_]) -> tuple[Ints, Floats]:
    """Return the observer's readings with whole answers about a variable, and their counts (R, Y)."""
    column = answers.labels[name]
    used = mine[column.reading] & ~column.spread
    size = int(column.answer.max(initial=0)) + 1
    cell = column.reading[used] * size + column.answer[used]
    counts = np.bincount(cell, minlength=len(mine) * size).reshape(-1, size)
    own = np.flatnonzero(counts.sum(1))
    return own, counts[own].astype(np.float64)


def _each(
    base: Knowledge, observer: Observer, answers: Answers, gold: Gold, mine: NDArray[np.bool_]
) -> Iterator[tuple[str, str, Floats]]:
    """Yield statistics that are means over readings: kind, name, their values."""
    for name in (name for name in answers.labels if name in observer.labels):
        reading, counts = _counts(answers, name, mine)
        total = counts.sum(1)
        if base.variables[name].kind == "binary":
            yield "rate", name, counts[:, 1] / total if counts.shape[1] > 1 else 0 * total
            continue
        pairs = (counts * (counts - 1)).sum(1) / np.maximum(total * (total - 1), 1)
        for draws in np.unique(total[total > 1]).astype(int).tolist():
            yield "agreement", f"{name}, {draws} answers", pairs[total == draws]
        if name in gold.values:
            known = gold.values[name][answers.reading_item[reading]]
            yield from _by_answers(observer, base.variables[name], answers, mine, gold.values[name])
            wrong = _wrong(observer.labels[name], base.variables[name], counts, known)
            yield (
                "unanimous but wrong",
                name,
                wrong[~np.isnan(wrong) & (counts.max(1) == total) & (total > 1)],
            )
    for name, column in answers.numbers.items():
        value = column.value[mine[column.reading]]
        yield "mean", name, value
        yield "spread", name, np.abs(value - np.median(value)) if len(value) else value


def _by_answers(
    observer: Observer, variable: Variable, answers: Answers, mine: NDArray[np.bool_], known: Floats
) -> Iterator[tuple[str, str, Floats]]:
    """Yield how often the commonest of a reading's first so many answers is right, where there are so many.

    A fit is of all answers in their order; where it is off at some number of them, it shows here.
    """
    column = answers.labels[variable.name]
    order, used = _draw_of(column.reading), mine[column.reading] & ~column.spread
    size, instrument = int(column.answer.max(initial=0)) + 1, observer.labels[variable.name]
    most = np.bincount(column.reading[used], minlength=len(mine))
    for number in (count for count in FIRST_ANSWERS if count <= most.max(initial=0)):
        taken = used & (order < number) & (most[column.reading] >= number)
        cell = column.reading[taken] * size + column.answer[taken]
        counts = np.bincount(cell, minlength=len(mine) * size).reshape(-1, size).astype(np.float64)
        own = np.flatnonzero(counts.sum(1))
        wrong = _wrong(instrument, variable, counts[own], known[answers.reading_item[own]])
        right = 1 - wrong[~np.isnan(wrong)]
        yield "right", f"{variable.name}, first {number} answer" + "s" * (number > 1), right


def _wrong(one: LabelInstrument, variable: Variable, counts: Floats, known: Floats) -> Floats:
    """Return 1 where the commonest answer is not the gold, 0 where it is, NaN where there is none."""
    states = [variable.states.index(a) if a in variable.states else -1 for a in one.answers]
    said = np.array(states)[counts.argmax(1)]
    return np.where(np.isnan(known), np.nan, said != known)


def _together(
    base: Knowledge, observer: Observer, answers: Answers, gold: Gold, mine: NDArray[np.bool_]
) -> Iterator[tuple[str, str, float, int]]:
    """Yield correlations: of the errors of two readings of an item, and of binary answers of a reading."""
    mine_of = [name for name in answers.labels if name in observer.labels]
    for name in (n for n in mine_of if base.variables[n].kind != "binary" and n in gold.values):
        reading, counts = _counts(answers, name, mine)
        item = answers.reading_item[reading]
        wrong = _wrong(observer.labels[name], base.variables[name], counts, gold.values[name][item])
        known = ~np.isnan(wrong)
        order = np.argsort(item[known], kind="stable")
        items, errors = item[known][order], wrong[known][order]
        same = np.flatnonzero(items[1:] == items[:-1])
        yield "error correlation", name, _correlation(errors[same], errors[same + 1]), len(same)
    rates = {}
    for name in (n for n in mine_of if base.variables[n].kind == "binary"):
        reading, counts = _counts(answers, name, mine)
        column = np.full(len(mine), np.nan)
        column[reading] = counts[:, 1] / counts.sum(1) if counts.shape[1] > 1 else 0.0
        rates[name] = column
    for one, other in combinations(rates, 2):
        both = ~np.isnan(rates[one]) & ~np.isnan(rates[other])
        yield (
            "correlation",
            f"{one}, {other}",
            _correlation(rates[one][both], rates[other][both]),
            int(both.sum()),
        )


def _correlation(one: Floats, other: Floats) -> float:
    if len(one) < 2 or one.std() == 0 or other.std() == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])


def far_off(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Return the checks that tell of a misfit, the worst first."""
    return tuple(sorted((c for c in checks if c.far), key=lambda c: -abs(c.said - c.drawn) / max(c.sd, 1e-9)))
