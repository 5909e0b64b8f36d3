"""How reliable each person is, and how often she repeats what she was shown, learned from all answers.

Expectation and maximisation (Dawid & Skene 1979, doi:10.2307/2346806) with priors, and the engine's posterior
P(x | all answers) of each item for the truth x, or its gold where that is known. With a person's table T of
one answer, and the share r of answers that merely repeat the value e that was shown
(`engine.observation.echo`),

    P(repeated | x, y) = r [y = e] / (r [y = e] + (1 - r) T[x, y])
    counts[x, y] = Σ P(x | all) (1 - P(repeated | x, y))
    T[x, .] = (n T_w[x, .] + counts[x, .]) / (n + Σ counts[x, .])
    r = (n_r m + Σ P(repeated)) / (n_r + answers that were shown something)

so that a person begins at the numbers of her kind and leaves them as far as her answers say. T_w is the
declared table moved by one skill w towards never being wrong (w > 0) or towards guessing (w < 0); all
binary variables have one. Without gold no skill is above 0, and n is larger: errors in common raise agreement
as well. m is the mean of all annotators of the run, which in turn begins at
`ReviewPriors.anchored`. A number y = x + offset + noise has its offset and the sd of perception from the
residuals, each as sure as n answers of the kind.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine import Answers, Floats, Gold, Inference, Ints, Knowledge, LabelInstrument, Observer, Posterior


@dataclass(frozen=True)
class ReviewPriors:
    """The numbers of the model; all are judgements, for the reason beside each."""

    # Answers for which a row of a table counts where there is gold, as where the YAML says nothing
    # (`engine.FitPriors`), and where agreement alone tells: of what a person as declared made acceptable .071
    # were wrong with 8, .056 with 30 and .051 without learning, where .049 were stated (800 made-up faces;
    # chosen on these).
    n: float = 8.0
    n_by_agreement: float = 30.0
    # Sd of the skill around that of the kind: one student in six is a third on the way to guessing.
    skill_sd: float = 0.3
    # Share of answers that repeat what was shown before any was seen, and the answers it counts for, of all
    # annotators together and of each beside their mean.
    anchored: float = 0.2
    anchored_n: float = 10.0
    # Rounds at most, and the change of any share below which they end. Whether an absent unit repeats or was
    # looked for can hardly be told, so that plain steps are small: those of `repeats` are longer by STEP.
    rounds: int = 60
    tolerance: float = 0.002


@dataclass(frozen=True)
class LearnedPerson:
    """What was learned of one person.

    answers: how many, shown: how many of these values beside a prediction. repeats: how often a value that
    was shown is merely repeated. tables: variable -> (K, Y) P(answer | truth); rows: variable -> (K,) the
    answers that each row counts for. numbers: variable -> offset and sd of perception.
    """

    name: str
    repeats: float
    answers: int = 0
    shown: int = 0
    skill: float = 0.0
    tables: Mapping[str, Floats] = field(default_factory=dict)
    rows: Mapping[str, Floats] = field(default_factory=dict)
    numbers: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Reports:
    """A person's answers about one variable, S of them.

    item: (S,). value: (S,) index of the answer, or the number. stated: (S,) what was shown, NaN for nothing.
    """

    item: Ints
    value: Floats
    stated: Floats


def learn_people(
    inference: Inference,
    answers: Answers,
    gold: Gold,
    people: Sequence[str],
    priors: ReviewPriors | None = None,
    *,
    anchoring: bool = True,
) -> dict[str, LearnedPerson]:
    """Return what is learned of each person.

    inference: by a base in which each is an observer with the numbers of her kind. answers: of everybody,
    about the items that people answered. gold: of these items, NaN where it is unknown. anchoring: whether
    answers may repeat what was shown; False takes them for looks.
    """
    priors = priors or ReviewPriors()
    if not gold.values:
        priors = replace(priors, n=priors.n_by_agreement)
    base = inference.knowledge
    reports = {name: _reports_of(base, answers, name) for name in people}
    highest = MOST_SKILL if gold.values else 0.0
    learned = {name: LearnedPerson(name, priors.anchored if anchoring else 0.0) for name in people}
    for _ in range(priors.rounds):
        before = learned
        # From one round to the next what did not change is reused.
        inference = inference.with_knowledge(with_learned(base, learned))
        posterior = inference.posterior(answers)
        truth = {name: _truth(base, posterior, gold, name) for name in base.variables}
        steps = {
            name: _Step(base.observers[name], base, reports[name], truth, learned[name], priors, highest)
            for name in people
        }
        mean = priors.anchored
        if anchoring:
            repeated = sum(step.repeated for step in steps.values())
            shown = sum(step.shown for step in steps.values())
            mean = (priors.anchored_n * priors.anchored + repeated) / (priors.anchored_n + shown)
        learned = {name: step.person(mean if anchoring else 0.0) for name, step in steps.items()}
        if max(_change(before[name], learned[name]) for name in people) < priors.tolerance:
            break
    return learned


# How many times as long as that of the maximum a step of `repeats` is; from 2 on steps could go on for ever.
STEP = 1.8


def _change(before: LearnedPerson, after: LearnedPerson) -> float:
    """Return the largest change of a share."""
    if before.tables.keys() != after.tables.keys():
        return 1.0
    changes = [np.abs(after.tables[name] - before.tables[name]).max() for name in after.tables]
    return float(max([abs(after.repeats - before.repeats), *changes]))


def with_learned(base: Knowledge, learned: Mapping[str, LearnedPerson]) -> Knowledge:
    """Return the base with people as they were learned."""
    observers = {
        name: _observer(base, observer, learned[name]) if name in learned else observer
        for name, observer in base.observers.items()
    }
    return replace(base, observers=observers)


# The share of draws that repeat a person's settled answer: people answer once, so it says nothing here, but a
# table of one answer that is right more often than that could not be.
ANSWERS_ONCE = 0.99


def _observer(base: Knowledge, observer: Observer, person: LearnedPerson) -> Observer:
    labels = dict(observer.labels)
    for name, table in person.tables.items():
        types = tuple(replace(kind, repeat=ANSWERS_ONCE) for kind in labels[name].types[:1])
        rows = tuple(tuple(row) for row in table.tolist())
        labels[name] = replace(labels[name], confusion=rows, types=types, settled=())
    numbers = {
        name: replace(instrument, offset=person.numbers[name][0], perception=person.numbers[name][1])
        if name in person.numbers
        else instrument
        for name, instrument in observer.numbers.items()
    }
    echo = dict.fromkeys(base.questions, person.repeats) if person.repeats else {}
    return replace(observer, labels=labels, numbers=numbers, echo=echo)


def _reports_of(base: Knowledge, answers: Answers, person: str) -> dict[str, _Reports]:
    """Return a person's answers by variable."""
    index = list(base.observers).index(person)
    observer, reports = base.observers[person], {}
    for name in observer.instruments:
        column: Any = answers.labels.get(name) or answers.numbers.get(name)
        if column is None:
            continue
        hers = answers.reading_observer[column.reading] == index
        reading = column.reading[hers]
        stated = np.full(len(answers.reading_item) + 1, np.nan)
        told_reading, told_value = answers.stated_of(name)
        stated[told_reading] = told_value
        if name in observer.labels:
            stated = _as_answer(base, observer.labels[name], name, stated)
            value = column.answer[hers].astype(np.float64)
        else:
            value = column.value[hers]
        reports[name] = _Reports(answers.reading_item[reading], value, stated[reading])
    return reports


def _as_answer(base: Knowledge, instrument: LabelInstrument, name: str, stated: Floats) -> Floats:
    """Return stated states as indices of the instrument's answers, (R,); NaN where it has no such answer."""
    variable = base.variables[name]
    if variable.kind == "binary":
        return stated
    places = [
        float(instrument.answers.index(state)) if state in instrument.answers else np.nan
        for state in variable.states
    ]
    known = ~np.isnan(stated)
    stated = stated.copy()
    stated[known] = np.array(places)[stated[known].astype(np.int64)]
    return stated


def _truth(base: Knowledge, posterior: Posterior, gold: Gold, name: str) -> Floats:
    """Return P(state) of each item, (N, K); gold is certain."""
    p = posterior.marginals[name]
    values = gold.values.get(name)
    if values is None:
        return p
    variable, known = base.variables[name], ~np.isnan(values)
    if variable.kind == "interval":
        state = np.clip(np.searchsorted(variable.edges, values[known], "right") - 1, 0, p.shape[1] - 1)
    else:
        state = values[known].astype(np.int64)
    p = p.copy()
    p[known] = np.eye(p.shape[1])[state]
    return p


# Least share of answers that repeat, or look: beyond it steps would never come back.
LEAST = 0.001


class _Step:
    """One round for one person: what her answers count for, given the truth's posterior."""

    def __init__(
        self,
        observer: Observer,
        base: Knowledge,
        reports: Mapping[str, _Reports],
        truth: Mapping[str, Floats],
        now: LearnedPerson,
        priors: ReviewPriors,
        highest: float,
    ) -> None:
        """highest: the highest skill that may be learned."""
        self.observer, self.base, self.priors, self.now = observer, base, priors, now
        self.highest = highest
        self.repeated, self.shown, self.answers = 0.0, 0, 0
        self.counts: dict[str, Floats] = {}
        self.residuals: dict[str, tuple[float, float, float]] = {}
        for name, report in reports.items():
            self.answers += len(report.value)
            self.shown += int((~np.isnan(report.stated)).sum())
            if name in observer.labels:
                self._count(name, report, truth[name])
            else:
                self._measure(name, report, truth[name])

    def _count(self, name: str, report: _Reports, truth: Floats) -> None:
        """Add the counts of a variable with labels."""
        table = self.now.tables.get(name, np.array(self.observer.labels[name].confusion))
        p, answer = truth[report.item], report.value.astype(np.int64)
        same = report.stated == report.value
        looked = 1 - self._repeated(table[:, answer].T, same)
        self.repeated += float((p * (1 - looked)).sum())
        counts = np.zeros_like(table)
        np.add.at(counts.T, answer, p * looked)
        self.counts[name] = counts

    def _measure(self, name: str, report: _Reports, truth: Floats) -> None:
        """Add the residuals of a variable with numbers: their weight, sum and sum of squares."""
        edges = np.array(self.base.variables[name].edges)
        centres = (edges[:-1] + edges[1:]) / 2
        instrument = self.observer.numbers[name]
        offset, perception = self.now.numbers.get(name, (instrument.offset, instrument.perception))
        p, residual = truth[report.item], report.value[:, None] - centres
        sd = max(float(np.hypot(perception, instrument.noise)), instrument.grid)
        density = np.exp(-0.5 * ((residual - offset) / sd) ** 2) / (sd * np.sqrt(2 * np.pi)) * instrument.grid
        same = np.abs(report.stated - report.value) < instrument.grid / 2
        weight = p * (1 - self._repeated(density, same))
        self.repeated += float(p.sum() - weight.sum())
        self.residuals[name] = (
            float(weight.sum()),
            float((weight * residual).sum()),
            float((weight * residual**2).sum()),
        )

    def _repeated(self, looked: Floats, same: Any) -> Floats:
        """Return P(an answer repeats what was shown | truth), (S, K).

        looked: (S, K) P(answer | truth) of a look. same: (S,) whether the answer is what was shown.
        """
        repeats = self.now.repeats * same[:, None]
        return np.asarray(repeats / np.maximum(repeats + (1 - self.now.repeats) * looked, 1e-12))

    def person(self, mean: float) -> LearnedPerson:
        """Return the person by these counts; mean: how often people repeat, 0 for never."""
        n = self.priors.anchored_n
        repeats = 0.0
        if mean:
            best = (n * mean + self.repeated) / (n + self.shown)
            repeats = min(max(self.now.repeats + STEP * (best - self.now.repeats), LEAST), 1 - LEAST)
        tables, rows, skills = {}, {}, []
        binary = [name for name in self.counts if self.base.variables[name].kind == "binary"]
        for names in ([name for name in self.counts if name not in binary], binary):
            if not names:
                continue
            declared = {name: np.array(self.observer.labels[name].confusion) for name in names}
            counted = [(declared[name], self.counts[name]) for name in names]
            skill = _skill(counted, self.priors.skill_sd, self.highest)
            skills.append(skill)
            for name in names:
                prior = self.priors.n * _at_skill(declared[name], skill)
                total = prior + self.counts[name]
                rows[name] = total.sum(1)
                tables[name] = _no_worse_than_guessing(_rounded(total / rows[name][:, None]))
        return LearnedPerson(
            self.now.name,
            repeats,
            self.answers,
            self.shown,
            float(np.mean(skills)) if skills else 0.0,
            tables,
            rows,
            {name: self._number(name) for name in self.residuals},
        )

    def _number(self, name: str) -> tuple[float, float]:
        """Return offset and sd of perception of a variable with numbers."""
        instrument, n = self.observer.numbers[name], self.priors.n
        weight, total, squares = self.residuals[name]
        offset = (n * instrument.offset + total) / (n + weight)
        # Sum of squares around the offset; the noise of each answer is no part of perception.
        around = squares - 2 * offset * total + weight * offset**2 - weight * instrument.noise**2
        variance = (n * instrument.perception**2 + around) / (n + weight)
        perception = float(np.sqrt(max(variance, (instrument.grid / 2) ** 2)))
        return round(offset, DIGITS), round(perception, DIGITS)


def _at_skill(table: Floats, skill: float) -> Floats:
    """Return a table (K, Y) moved towards never being wrong (skill above 0) or guessing (below), (K, Y)."""
    size = table.shape[1]
    end = np.eye(*table.shape) if skill > 0 else np.full(table.shape, 1 / size)
    return np.asarray((1 - abs(skill)) * table + abs(skill) * end)


# Skills at most, either way, and how many are tried.
MOST_SKILL, SKILLS = 0.95, 77


def _skill(tables: Sequence[tuple[Floats, Floats]], sd: float, highest: float) -> float:
    """Return the likeliest skill behind counts, for a normal prior around 0; tables: declared, counts."""
    skills = np.linspace(-MOST_SKILL, highest, SKILLS)
    score = -0.5 * (skills / sd) ** 2
    for table, counts in tables:
        moved = np.array([_at_skill(table, skill) for skill in skills])
        score += (counts * np.log(np.maximum(moved, 1e-9))).sum((1, 2))
    return float(skills[score.argmax()])


# Digits of shares while they are learned: a table that moves by less is the same one, whose looks are reused.
DIGITS = 3


def _rounded(table: Floats) -> Floats:
    """Return rows that add up to 1 in DIGITS digits, none of them 0, (K, Y)."""
    rounded = np.maximum(np.round(table, DIGITS), LEAST)
    rounded[np.arange(len(table)), table.argmax(1)] += 1 - rounded.sum(1)
    return rounded


def _no_worse_than_guessing(table: Floats) -> Floats:
    """Return a table whose binary answers are no worse than guessing, as the language has it, (K, Y)."""
    if table.shape != (2, 2) or table[0, 0] + table[1, 1] >= 1:
        return table
    share = (table[0, 0] + 1 - table[1, 1]) / 2
    return np.array([[share, 1 - share], [share, 1 - share]])
