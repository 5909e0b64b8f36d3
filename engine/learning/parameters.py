"""The parameters of observers that a fit learns, with priors around the declared values.

Every unknown is a site of one kind:

    simplex   rows that add up to 1     Dirichlet, pseudo-counts n
    unit      between 0 and 1           Beta, pseudo-counts n
    positive  above 0                   log-normal around the declared value
    real                                normal around the declared value

n, spread and sd are those of the YAML (`observers`: DEFAULT_N and DEFAULT_SPREAD where it states none). A
one-answer table T and its repeat ρ are tied, 1 - ρ <= Σ_y min_x T[x, y]: the unknown is the used share of
this room. With several kinds of reading it is the 1 - ρ of each, and all shrink alike where together they
exceed the room. So that the density has no edges, the minimum is (Σ_x T[x, y]^-s)^(-1/s) here, with
s = SMOOTH_POWER, which is a little less; so it is in the habit of a kernel, which hardly changes.
Sensitivity and specificity add up to 1 or more: the unknown is the share of the room above 1 - specificity
that the sensitivity takes.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend.arrays import library, put
from engine.learning.skill import SkillEvidence, cautious_skill
from engine.model.confusion import own_answers, room_for
from engine.model.gold import states_of
from engine.observation.kernels import (
    LEAST,
    LabelKernel,
    NumberKernel,
    habit_of,
    number_kernel,
    quadrature,
    ranking_tails,
    scatter,
    settled_kernel,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from engine.inference.posterior import Inference
    from engine.model.gold import Gold
    from engine.model.knowledge import LabelInstrument, NumberInstrument, Observer, Variable
    from engine.model.responses import Answers
    from engine.observation.evidence import ObservationModel

    Array = Any
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Values = Mapping[str, Array]

# Pseudo-counts of a row or a share, and sd of the log of a positive number, where the YAML states none.
DEFAULT_N = 8.0
DEFAULT_SPREAD = 0.5
# The sd of a pull: the best of held-out log scores of published rankings at 100 to 2,000 items of gold.
PULL_SD = 0.3
# Bounds of the prior mean of a share: a mean of 0 or 1 could never be moved.
LEAST_SHARE, MOST_SHARE = 0.01, 0.99
# Cells of a one-answer table are at least this before its rows are normalised.
LEAST_CELL = 1e-6
# What is settled on with less than this is taken for this: a prior of less could never be moved.
LEAST_SETTLED = 1e-3
# As the language has it: draws that always repeat would make one answer as good as all.
MOST_REPEAT = 0.999
# Power of the smooth minimum; the larger, the nearer it is to the minimum.
SMOOTH_POWER = 16
# Factor by which perception and noise may change before a quadrature has to be refined.
CUT_SLACK = 1.5
# Share of all numbers that has to lie on a grid.
GRID_SHARE = 0.97
NO_TRUTH = "there is neither gold of it nor another observer's answer to the same items"
AGREEMENT = "there is no gold of it: it rests on the agreement of answers, with carry taken as declared"
SHARED_ERROR = (
    "without gold, agreement through the truth and agreement through shared error cannot be told apart"
)
NO_TRUTH_OF_KINDS = "without gold it cannot be told which kinds of reading are misread more often"
# Numbers from which a grid is estimated; with fewer the declared one is kept.
LEAST_NUMBERS = 20


@dataclass(frozen=True)
class Site:
    """A parameter to be learned, or an array of them.

    mean: any shape, rows last for a simplex. width: pseudo-counts, or an sd; of mean's shape, for a simplex
    of that of its rows. floor: name of another unit site; this one is at least 1 - the other.
    """

    name: str
    kind: str
    mean: Floats
    width: Floats
    floor: str = ""

    def prior(self) -> Any:
        """Return the prior, a Pyro distribution; a floor cuts it off."""
        import pyro.distributions
        import torch

        dist: Any = pyro.distributions
        mean, width = torch.as_tensor(self.mean), torch.as_tensor(self.width)
        if self.kind == "simplex":
            return dist.Dirichlet(mean * width[..., None]).to_event(self.mean.ndim - 1)
        if self.kind == "unit":
            made = dist.Beta(mean * width, (1 - mean) * width)
        elif self.kind == "positive":
            made = dist.LogNormal(mean.log(), width)
        else:
            made = dist.Normal(mean, width)
        return made.to_event(self.mean.ndim)

    def sample(self, values: Values) -> Array:
        """Sample the site within a Pyro model, given the values of the sites before.

        Above a floor 1 - y the share v of the room y is sampled, x = (1 - y) + y v; the density of x is the
        prior's, dx = y dv.
        """
        import pyro
        import pyro.distributions

        dist: Any = pyro.distributions
        if not self.floor:
            return pyro.sample(self.name, self.prior())
        room = values[self.floor]
        share = pyro.sample(self.name, dist.Uniform(0.0, 1.0).expand(room.shape).to_event(room.ndim))
        value = (1 - room + room * share).clip(1e-9, 1 - 1e-9)
        pyro.factor(f"{self.name}, its prior", self.prior().log_prob(value) + room.log().sum())
        return value

    def log_density(self, share: Array, values: Values, prior: Any) -> Array:
        """Return the site's term of the log density at a sampled share; prior: its `prior`."""
        if not self.floor:
            return prior.log_prob(share)
        value = self.value(share, values).clip(1e-9, 1 - 1e-9)
        return prior.log_prob(value) + values[self.floor].log().sum()

    def share(self, value: Array, values: Values) -> Array:
        """Return the share that is sampled where the unknown has this value."""
        if not self.floor:
            return value
        room = values[self.floor]
        return library(value).clip((value - (1 - room)) / room, LEAST_SHARE, MOST_SHARE)

    def value(self, share: Array, values: Values) -> Array:
        """Return the unknown's value where this share is sampled."""
        if not self.floor:
            return share
        room = values[self.floor]
        return 1 - room + room * share


@dataclass(frozen=True)
class AnswerCounts:
    """Counts of an observer's answers about a variable, which decide what the data identify.

    readings: all of them. again: readings with two answers or more. items: those with two readings or more of
    this observer. ranked: answers with a second place. gold: items answered that have gold of the variable.
    agreed: items that another observer answered, too, or this one in three readings or more. values:
    the distinct numbers and their counts.
    """

    readings: int
    again: int
    items: int
    ranked: int
    gold: int
    agreed: int
    values: tuple[Floats, Floats]


def count_answers(answers: Answers, gold: Gold, observer: int, name: str) -> AnswerCounts:
    """Count what an observer answered about a variable."""
    by_observer = answers.reading_observer == observer
    column = answers.labels.get(name) or answers.numbers.get(name)
    readings = np.zeros(0, dtype=np.int64) if column is None else column.reading
    draws = np.bincount(readings, minlength=len(by_observer))
    count = len(answers.items)
    observer_readings = np.bincount(answers.reading_item[by_observer & (draws > 0)], minlength=count)
    other_readings = np.bincount(answers.reading_item[~by_observer & (draws > 0)], minlength=count)
    known = ~np.isnan(gold.values[name]) if name in gold.values else np.zeros(count, dtype=bool)
    ranked = 0
    if name in answers.rankings:
        places = answers.rankings[name]
        ranked = int((by_observer[places.reading] & (places.places[:, 1] >= 0)).sum())
    seen = answers.numbers[name].value[by_observer[readings]] if name in answers.numbers else np.zeros(0)
    values, counts = np.unique(seen, return_counts=True)
    return AnswerCounts(
        readings=int((by_observer & (draws > 0)).sum()),
        again=int((by_observer & (draws > 1)).sum()),
        items=int((observer_readings > 1).sum()),
        ranked=ranked,
        gold=int((known & (observer_readings > 0)).sum()),
        agreed=int(((observer_readings > 0) & ((other_readings > 0) | (observer_readings > 2))).sum()),
        values=(values, counts.astype(np.float64)),
    )


def informative(answers: Answers, gold: Gold) -> NDArray[np.bool_]:
    """Return which items identify how observers answer to which truth, (N,).

    These are items with gold, and items answered by several observers or in three readings or more. From
    other items a fit would take a lone observer's answers for the truth: a wrong prior and a wrong table
    explain one another. Without any gold all items count.
    """
    count = len(answers.items)
    if not gold.values or all(np.isnan(values).all() for values in gold.values.values()):
        return np.ones(count, dtype=bool)
    known = np.any([~np.isnan(values) for values in gold.values.values()], axis=0)
    pairs = np.unique(np.stack([answers.reading_item, answers.reading_observer], axis=1), axis=0)
    observers = np.bincount(pairs[:, 0], minlength=count)
    readings = np.bincount(answers.reading_item, minlength=count)
    return np.asarray(known | (observers > 1) | (readings > 2))


def grid_of(values: Floats, counts: Floats, low: float, high: float, declared: float) -> float:
    """Return the coarsest grid from `low` with nearly all answers on it; the declared one for too few."""
    if counts.sum() < LEAST_NUMBERS:
        return declared
    span = high - low
    power = math.floor(math.log10(span))
    for step in (base * 10.0 ** (power - k) for k in range(1, 4) for base in (5, 2.5, 2, 1)):
        off = np.abs((values - low) / step - np.round((values - low) / step)) * step
        if counts[off < 1e-6 * span].sum() >= GRID_SHARE * counts.sum() and step < span / 2:
            return round(step, 9)
    return round(10.0 ** (power - 3), 9)


class Unknowns:
    """The unknowns of all observers that answered, and the observation model at values of them.

    sites: the unknowns. skills: path of a table in the YAML -> skill of its observer, from as declared (0) to
    never wrong (1). unidentified: path in the YAML -> reason for which these data do not identify the number,
    so that it stays as declared.
    """

    def __init__(self, inference: Inference, answers: Answers, gold: Gold, *, by_skill: bool = True) -> None:
        """by_skill: whether gold moves the priors by a skill; False for simulated gold."""
        self.inference = inference
        self.base = inference.knowledge
        self.observations: ObservationModel = inference.observations
        self.sites: dict[str, Site] = {}
        self.unidentified: dict[str, str] = {}
        self.rated: dict[int, list[str]] = {}
        self.skills: dict[str, float] = {}
        self._answers, self._gold, self._by_skill = answers, gold, by_skill
        self._groups: dict[int, dict[str, list[int]]] = {}
        self.answer_counts: dict[tuple[int, str], AnswerCounts] = {}
        self.observers: dict[int, Observer] = {}
        self.cuts: dict[tuple[int, str], Floats] = {}
        for index, observer in enumerate(self.observations.observers):
            counted = {name: count_answers(answers, gold, index, name) for name in observer.instruments}
            answered = {name: counts for name, counts in counted.items() if counts.readings}
            if answered:
                self.answer_counts |= {(index, name): counts for name, counts in answered.items()}
                self.observers[index] = self._on_their_grid(observer, answered)
        self.haloed = self._count_haloed(answers)
        for index, observer in self.observers.items():
            self._add_observer(index, observer)
        self.refine_cuts({name: site.mean for name, site in self.sites.items()})

    def _on_their_grid(self, observer: Observer, answered: Mapping[str, AnswerCounts]) -> Observer:
        """Return the observer with the grids on which it answers."""
        numbers = dict(observer.numbers)
        for name in set(numbers) & set(answered):
            edges = self.base.variables[name].edges
            grid = grid_of(*answered[name].values, edges[0], edges[-1], numbers[name].grid)
            numbers[name] = replace(numbers[name], grid=grid)
        return replace(observer, numbers=numbers)

    def _count_haloed(self, answers: Answers) -> dict[tuple[int, str], int]:
        """Count the readings whose answers can have followed their label, by observer and question."""
        switched, questions = self.observations.switched(answers), list(self.base.questions)
        pairs = zip(answers.reading_observer[switched], answers.reading_question[switched], strict=True)
        return {
            (observer, questions[question]): count
            for (observer, question), count in Counter((int(o), int(q)) for o, q in pairs).items()
        }

    # The priors --------------------------------------------------------------------------------------

    def _number(self, *paths: str) -> float | None:
        """Return the first of these numbers that the YAML has."""
        values = (self.base.numbers[path].value for path in paths if path in self.base.numbers)
        return next(values, None)

    def _unit(self, observer: str, path: str, value: float) -> tuple[float, float]:
        """Return mean and pseudo-counts of the prior of a share."""
        above, _, key = path.rpartition(".")
        mean = min(max(value, LEAST_SHARE), MOST_SHARE)
        sd = self._number(f"{above}.sd.{key}")
        if sd is not None:
            return mean, max(mean * (1 - mean) / sd**2 - 1, 1.0)
        return mean, self._number(f"{above}.n", f"observers.{observer}.n") or DEFAULT_N

    def _log_sd(self, observer: str, path: str, value: float) -> float:
        above, _, key = path.rpartition(".")
        sd = self._number(f"{above}.sd.{key}")
        return self._spread(observer) if sd is None else sd / value

    def log_sd_of(self, path: str) -> float:
        """Return the sd of the log of an observer's exponent before it is fitted."""
        number = self.base.numbers.get(path)
        return self._log_sd(path.split(".")[1], path, number.value if number else 1.0)

    def _spread(self, observer: str) -> float:
        return self._number(f"observers.{observer}.spread") or DEFAULT_SPREAD

    def _counts(self, observer: str, above: str, rows: Sequence[str]) -> Floats:
        """Return the pseudo-counts of a table's rows."""
        whole = self._number(f"{above}.n", f"observers.{observer}.n") or DEFAULT_N
        return np.array([self._number(f"{above}.n.{row}") or whole for row in rows])

    def _add(self, name: str, kind: str, mean: Any, width: Any, floor: str = "") -> None:
        mean, width = np.array(mean, dtype=np.float64), np.array(width, dtype=np.float64)
        self.sites[name] = Site(name, kind, mean, width, floor)

    # The unknowns ------------------------------------------------------------------------------------

    def _add_observer(self, index: int, observer: Observer) -> None:
        path = f"observers.{observer.name}"
        answered = {
            name: answer_counts for (o, name), answer_counts in self.answer_counts.items() if o == index
        }
        if any(answer_counts.items and answer_counts.gold for answer_counts in answered.values()):
            self._add_unit(observer.name, f"{path}.carry", observer.carry)
        elif any(answer_counts.items for answer_counts in answered.values()):
            self.unidentified[f"{path}.carry"] = SHARED_ERROR
        else:
            self.unidentified[f"{path}.carry"] = "no item has two of its readings"
        for question in (q for o, q in self.haloed if o == index):
            place = f"{path}.halo.{question}.probability"
            self._add_unit(observer.name, place, observer.halo[question].probability)
        binary = [name for name in answered if self.base.variables[name].kind == "binary"]
        for name, answer_counts in answered.items():
            if name in observer.numbers:
                self._add_number(observer, f"{path}.interval.{name}", observer.numbers[name], answer_counts)
            elif name not in binary:
                self._add_table(index, f"{path}.categorical.{name}", observer.labels[name], answer_counts)
        if binary:
            self._add_rates(index, observer, f"{path}.binary", binary)

    def _add_unit(self, observer: str, path: str, value: float) -> None:
        self._add(path, "unit", *self._unit(observer, path, value))

    def _add_table(
        self, index: int, path: str, instrument: LabelInstrument, answer_counts: AnswerCounts
    ) -> None:
        observer, states = self.observers[index], self.base.variables[instrument.variable].states
        plain = len(instrument.types) == 1
        truth = self._identifies_truth(f"{path}.{'settled' if plain else 'confusion'}", answer_counts)
        if plain and (truth or instrument.settled):
            self._add_settled(index, path, instrument, answer_counts, truth=truth)
        else:
            table = np.array(instrument.confusion)
            if truth:
                counts = self._counts(observer.name, path, states)
                if answer_counts.gold and self._by_skill:
                    self.skills[path], table = self._table_at_skill(index, instrument, table, counts)
                self._add(f"{path}.confusion", "simplex", table, counts)
            if self._identifies_scatter(path, answer_counts):
                self._add_types(
                    observer.name,
                    path,
                    instrument,
                    float(smooth_least(table, 0).sum()),
                    bool(answer_counts.gold),
                )
        if answer_counts.ranked and instrument.variable == self.base.root:
            sd = self._number(f"{path}.ranking.sd.bonus") or 2 * self._spread(observer.name)
            self._add(f"{path}.ranking.bonus", "real", instrument.bonus, sd)
            habit = habit_of(instrument, self.observations.prior) * (1 - np.eye(len(instrument.answers)))
            rows = np.array([row[np.arange(len(row)) != i] for i, row in enumerate(habit)])
            rows = np.clip(rows / rows.sum(1, keepdims=True), 1e-4, None)
            rows /= rows.sum(1, keepdims=True)
            counts = self._counts(observer.name, f"{path}.ranking", instrument.answers)
            self._add(f"{path}.ranking.habit", "simplex", rows, counts)
            if answer_counts.gold:
                self._add_pull(f"{path}.ranking.pull", instrument, states)

    def _add_settled(
        self, index: int, path: str, instrument: LabelInstrument, answer_counts: AnswerCounts, *, truth: bool
    ) -> None:
        """Add the table of what an observer settles on, with its skill, and the scatter of its draws.

        truth: whether the data identify the table.
        """
        observer, variable, (kind,) = (
            self.observers[index],
            self.base.variables[instrument.variable],
            instrument.types,
        )
        if truth:
            rows = self.declared_settled_table(index, instrument.variable)
            counts = self._counts(observer.name, path, variable.states)
            if answer_counts.gold and self._by_skill:
                skill, rows = self._rows_at_skill(index, instrument, rows, counts)
                self.skills[path] = skill
            self._add(f"{path}.settled", "simplex", rows, counts)
        if self._identifies_scatter(path, answer_counts):
            self._add_unit(observer.name, f"{path}.repeat", kind.repeat)
            log_sd = self._log_sd(observer.name, f"{path}.strength", kind.strength)
            self._add(f"{path}.strength", "positive", kind.strength, log_sd)

    def _rows_at_skill(
        self, index: int, instrument: LabelInstrument, rows: Floats, counts: Floats
    ) -> tuple[float, Floats]:
        """Return an observer's skill w, and the rows (1 - w) C0 + w I around which its own are to be learned.

        rows: C0 (K, Y); counts: (K,) pseudo-counts of each row.
        """
        variable, (kind,) = self.base.variables[instrument.variable], instrument.types
        matches = own_answers(instrument.answers, variable)
        able = matches + (1 - matches.sum(1, keepdims=True)) * rows
        kernel = settled_kernel(
            rows, variable, instrument, np.float64(kind.repeat), np.float64(kind.strength), None
        )
        reading, logs = self.observations.reading_logs(self._answers, index, instrument.variable, kernel)
        skill = cautious_skill([SkillEvidence(rows, able, counts, *self._of_gold(variable, reading, logs))])
        return skill, (1 - skill) * rows + skill * able

    def _table_at_skill(
        self, index: int, instrument: LabelInstrument, table: Floats, counts: Floats
    ) -> tuple[float, Floats]:
        """Return the skill w of an observer with several kinds of reading, and its one-answer table at w.

        One skill moves what all kinds settle on: C_w = (1 - w) C0 + w I, so that T_w = (1 - w) T + w R, R of
        all kinds together. P(answers | settled on y) is Σ_t π_t L_t(y), π the kinds' shares.
        table: T (K, Y); counts: (K,) pseudo-counts of each row.
        """
        variable, kernel = (
            self.base.variables[instrument.variable],
            self.observations.kernels[index, instrument.variable],
        )
        assert isinstance(kernel, LabelKernel)
        share, answers_of_types = (
            np.asarray(kernel.share)[:, None],
            np.eye(len(instrument.answers))[kernel.answer_of],
        )
        rows = np.clip(np.asarray(kernel.mix) @ answers_of_types, LEAST_SETTLED, None)
        rows /= rows.sum(1, keepdims=True)
        matches = own_answers(instrument.answers, variable)
        unnamed = 1 - matches.sum(1, keepdims=True)
        reading, logs = self.observations.reading_logs(self._answers, index, instrument.variable, kernel)
        peak = logs.max(1, keepdims=True)
        logs = np.log(np.maximum(np.exp(logs - peak) @ (answers_of_types * share), LEAST)) + peak
        gold = self._of_gold(variable, reading, logs)
        skill = cautious_skill([SkillEvidence(rows, matches + unnamed * rows, counts, *gold)])
        drawn = np.asarray(kernel.alpha / kernel.alpha.sum(1, keepdims=True))
        scatter_of_all = answers_of_types.T @ (share * drawn)
        return skill, (1 - skill) * table + skill * (matches @ scatter_of_all + unnamed * table)

    def _of_gold(self, variable: Variable, reading: Ints, logs: Floats) -> tuple[Ints, Floats]:
        """Return the states of the items with gold that readings are of, (N,), and the items' sums of `logs`.

        reading: (r,) with their logs (r, Y).
        """
        state = states_of(variable, self._gold.values[variable.name])
        item = self._answers.reading_item[reading]
        known, place = np.unique(item[state[item] >= 0], return_inverse=True)
        total = np.zeros((len(known), logs.shape[1]))
        np.add.at(total, place, logs[state[item] >= 0])
        return state[known], total

    def declared_settled_table(self, index: int, name: str) -> Floats:
        """Return what is declared that an observer settles on, of one kind of reading, (K, Y)."""
        kernel = self.observations.kernels[index, name]
        rows = np.clip(np.asarray(kernel.mix), LEAST_SETTLED, None)
        return np.asarray(rows / rows.sum(1, keepdims=True))

    def _add_pull(self, path: str, instrument: LabelInstrument, states: Sequence[str]) -> None:
        mean = (
            np.array(instrument.pull) if instrument.pull else np.zeros((len(states), len(instrument.answers)))
        )
        width = [
            [self._number(f"{path}.{state}.sd.{answer}") or PULL_SD for answer in instrument.answers]
            for state in states
        ]
        self._add(path, "real", mean, width)

    def _identifies_truth(self, path: str, answer_counts: AnswerCounts) -> bool:
        """Return whether the data identify an observer's answers to each truth; note the reason if not."""
        if not answer_counts.gold and not answer_counts.agreed:
            self.unidentified[path] = NO_TRUTH
        elif not answer_counts.gold:
            self.unidentified[f"{path} (in part)"] = AGREEMENT
        return bool(answer_counts.gold or answer_counts.agreed)

    def _identifies_scatter(self, path: str, *answer_counts: AnswerCounts) -> bool:
        """Return whether the data identify how draws scatter; note the reason if not."""
        if any(counts.again for counts in answer_counts):
            return True
        self.unidentified[f"{path}.repeat, {path}.strength"] = "no reading has two answers"
        return False

    def _add_types(
        self, observer: str, path: str, instrument: LabelInstrument, room: float, gold: bool = False
    ) -> None:
        """Add shares, used room and strength of the kinds of reading of an instrument."""
        several = len(instrument.types) > 1
        places = [f"{path}.types.{kind.name}" if several else path for kind in instrument.types]
        if several:
            room = 1.0
            for key, shares in zip(
                ("share", "misread"), np.array([t.shares for t in instrument.types]).T, strict=True
            ):
                # Without gold, what is misread cannot be told from what is right.
                if key == "share" or gold:
                    counts = [
                        self._unit(observer, f"{place}.{key}", share)[1]
                        for place, share in zip(places, shares, strict=True)
                    ]
                    self._add(f"{path}.{key}", "simplex", shares / shares.sum(), np.mean(counts))
            if not gold:
                self.unidentified[f"{path}.misread"] = NO_TRUTH_OF_KINDS
        used = [
            self._unit(observer, f"{place}.repeat", (1 - kind.repeat) / max(room, 1e-9))
            for place, kind in zip(places, instrument.types, strict=True)
        ]
        self._add(f"{path}.room", "unit", *np.array(used).T)
        strength = [kind.strength for kind in instrument.types]
        widths = [
            self._log_sd(observer, f"{place}.strength", value)
            for place, value in zip(places, strength, strict=True)
        ]
        self._add(f"{path}.strength", "positive", strength, widths)

    def _add_rates(self, index: int, observer: Observer, path: str, names: list[str]) -> None:
        cells = [observer.labels[name] for name in names]
        answer_counts = [self.answer_counts[index, name] for name in names]
        tables = np.array([cell.confusion for cell in cells])
        rated = [
            name
            for name, counts in zip(names, answer_counts, strict=True)
            if self._identifies_truth(f"{path}.cells.{name}", counts)
        ]
        self.rated[index] = rated
        if rated:
            skill = self._rate_skill(index, path, rated)
            self._add_rate(observer, path, "specificity", rated, skill)
            self._add_rate(observer, path, "sensitivity", rated, skill, f"{path}.specificity")
        if self._identifies_scatter(path, *answer_counts):
            for group, members in self.groups(index).items():
                room = float(smooth_least(smooth_least(tables[members], 1).sum(1), 0))
                self._add_types(observer.name, group, cells[members[0]], room)
        haloed = sum(count for (o, _), count in self.haloed.items() if o == index)
        if haloed and any(halo.given == self.base.root for halo in observer.halo.values()):
            brought = np.array([self.observations.stereotype((index, name))[:, 1] for name in names])
            width = np.full(brought.shape, self._number(f"observers.{observer.name}.n") or DEFAULT_N)
            self._add(f"observers.{observer.name}.stereotype", "unit", np.clip(brought, 0.001, 0.999), width)

    def _add_rate(
        self, observer: Observer, path: str, key: str, names: list[str], skill: float, floor: str = ""
    ) -> None:
        """Add one rate of these binary variables, each around (1 - w) times what is declared, plus w."""
        prior = [self._declared_rate(observer, path, key, name) for name in names]
        mean, width = np.array(prior).T
        self._add(f"{path}.{key}", "unit", (1 - skill) * mean + skill * MOST_SHARE, width, floor)

    def _declared_rate(self, observer: Observer, path: str, key: str, name: str) -> tuple[float, float]:
        """Return mean and pseudo-counts of a sensitivity or specificity as declared."""
        state = 0 if key == "specificity" else 1
        rate = observer.labels[name].confusion[state][state]
        return self._unit(observer.name, f"{path}.cells.{name}.{key}", rate)

    def _rate_skill(self, index: int, path: str, names: list[str]) -> float:
        """Return the one skill w behind an observer's sensitivities and specificities, 0 without gold."""
        evidence = [
            self._rate_evidence(index, path, name) for name in names if self.answer_counts[index, name].gold
        ]
        if evidence and self._by_skill:
            self.skills[path] = cautious_skill(evidence)
        return self.skills.get(path, 0.0)

    def _rate_evidence(self, index: int, path: str, name: str) -> SkillEvidence:
        """Return the evidence of gold about an observer's skill in a binary variable.

        Where an answer may have followed its label instead, P(answers | settled on m) is
        (1 - h) L(m) + h Σ_r q(r) L(r), h the halo and q what the labels imply on average.
        """
        observer, kernel = self.observers[index], self.observations.kernels[index, name]
        assert isinstance(kernel, LabelKernel)
        answers_of_types = np.eye(2)[kernel.answer_of]
        reading, logs = self.observations.reading_logs(self._answers, index, name, kernel)
        scaled = np.exp(logs - logs.max(1, keepdims=True))
        likelihood = scaled @ (answers_of_types * np.asarray(kernel.share)[:, None])
        switched = self.observations.switched(self._answers)[reading]
        if switched.any():
            halo = self.observations.halo[index, self._answers.reading_question[reading]] * switched
            implied = np.asarray(self.observations.imagined[index, name][-1]) @ answers_of_types
            likelihood = (1 - halo)[:, None] * likelihood + (halo * (likelihood @ implied))[:, None]
        keys = ("specificity", "sensitivity")
        counts = np.array([self._declared_rate(observer, path, key, name)[1] for key in keys])
        gold = self._of_gold(self.base.variables[name], reading, np.log(likelihood))
        return SkillEvidence(np.asarray(kernel.mix) @ answers_of_types, np.eye(2), counts, *gold)

    def groups(self, index: int) -> dict[str, list[int]]:
        """Return the binary variables that share one scatter of draws, by the path where it is declared."""
        if index not in self._groups:
            observer, names = self.observers[index], self.binary(index)
            path, groups = f"observers.{observer.name}.binary", dict[str, list[int]]()
            for i, name in enumerate(names):
                cell_path, types = f"{path}.cells.{name}", observer.labels[name].types
                shared = not {f"{cell_path}.repeat", f"{cell_path}.strength"} & set(self.base.numbers)
                alike = len(types) == 1 and types == observer.labels[names[0]].types
                groups.setdefault(path if shared and alike else cell_path, []).append(i)
            self._groups[index] = groups
        return self._groups[index]

    def _add_number(
        self, observer: Observer, path: str, instrument: NumberInstrument, answer_counts: AnswerCounts
    ) -> None:
        keys = ["gain", "perception"] if self._identifies_truth(path, answer_counts) else []
        if answer_counts.again:
            keys.append("noise")
        else:
            self.unidentified[f"{path}.noise"] = (
                "no reading has two numbers, so it cannot be told from perception"
            )
        for key in keys:
            value = getattr(instrument, key)
            self._add(f"{path}.{key}", "positive", value, self._log_sd(observer.name, f"{path}.{key}", value))
        if "gain" in keys:
            sd = self._number(f"{path}.sd.offset") or self._spread(observer.name) * instrument.perception
            self._add(f"{path}.offset", "real", instrument.offset, sd)
        self._add_unit(observer.name, f"{path}.slip", instrument.slip)

    # The observation model ---------------------------------------------------------------------------

    def refine_cuts(self, values: Values) -> bool:
        """Choose quadratures fine enough around these values; return whether any had to change."""
        changed = False
        for index, observer in self.observers.items():
            for name in (n for o, n in self.answer_counts if o == index and n in observer.numbers):
                instrument = self._gauge(observer, name, values)
                needed = quadrature(instrument, self.base.variables[name])
                have = self.cuts.get((index, name))
                if have is None or have[-1] < needed[-1] or have[1] - have[0] > needed[1] - needed[0]:
                    self.cuts[index, name] = quadrature(instrument, self.base.variables[name], CUT_SLACK)
                    changed = True
        return changed

    def _gauge(self, observer: Observer, name: str, values: Values) -> NumberInstrument:
        path, instrument = f"observers.{observer.name}.interval.{name}", observer.numbers[name]
        like = next(iter(values.values()))
        keys = ("gain", "offset", "perception", "noise", "slip")
        declared = {key: put(np.array(getattr(instrument, key)), like) for key in keys}
        return replace(instrument, **{key: values.get(f"{path}.{key}", declared[key]) for key in keys})

    def model_at(self, values: Values) -> ObservationModel:
        """Return the observation model at values of the unknowns, in the array library of the values."""
        like = next(iter(values.values()))
        carry, exponent, halo = (
            put(array, like)
            for array in (self.observations.carry, self.observations.exponent, self.observations.halo)
        )
        carry, exponent, halo = _copy(carry), _copy(exponent), _copy(halo)
        stereotype: dict[tuple[int, str], Array] = {}
        questions = list(self.base.questions)
        for index, observer in self.observers.items():
            path = f"observers.{observer.name}"
            if f"{path}.carry" in values:
                carry[index] = values[f"{path}.carry"]
            if f"{path}.exponent" in values:
                exponent[index] = values[f"{path}.exponent"]
            for question in observer.halo:
                if f"{path}.halo.{question}.probability" in values:
                    halo[index, questions.index(question)] = values[f"{path}.halo.{question}.probability"]
            if f"{path}.stereotype" in values:
                brought = values[f"{path}.stereotype"]
                stereotype |= {(index, name): brought[i] for i, name in enumerate(self.binary(index))}
        kernels = dict(self._kernels(values))
        return self.observations.with_kernels(kernels, carry, exponent, halo, stereotype)

    def binary(self, index: int) -> list[str]:
        """Return the binary variables that an observer answered about."""
        return [n for o, n in self.answer_counts if o == index and self.base.variables[n].kind == "binary"]

    def _kernels(self, values: Values) -> Iterator[tuple[tuple[int, str], LabelKernel | NumberKernel]]:
        like = next(iter(values.values()))
        for key, kernel in self.observations.kernels.items():
            # What was not answered may still be what an answer followed.
            if key[0] in self.observers and key not in self.answer_counts:
                yield key, _put_kernel(kernel, like)
        binary = {index: self._binary_tables(index, values) for index in self.observers if self.binary(index)}
        for index, name in self.answer_counts:
            observer, variable = self.observers[index], self.base.variables[name]
            if name in observer.numbers:
                gauge = self._gauge(observer, name, values)
                yield (index, name), number_kernel(gauge, variable, self.cuts[index, name])
                continue
            instrument = observer.labels[name]
            if self.is_settled(index, name):
                settled, repeat, strength = self.settled_parameters(index, name, values)
                tails = self._tails(index, name, values)
                yield (index, name), settled_kernel(settled, variable, instrument, repeat, strength, tails)
                continue
            table, share, misread, repeat, strength = self.table_parameters(
                index, name, values, binary.get(index)
            )
            matches = own_answers(instrument.answers, variable)
            mix, alpha = scatter(table, matches, share, misread, repeat, strength, smooth_least(table, 0))
            size, kinds = len(instrument.answers), len(instrument.types)
            tails = self._tails(index, name, values)
            type_share = share.repeat_interleave(size) if library(share) is not np else np.repeat(share, size)
            answer_of = np.tile(np.arange(size), kinds)
            yield (index, name), LabelKernel(mix, alpha, answer_of, type_share, instrument.weight, tails)

    def is_settled(self, index: int, name: str) -> bool:
        """Return whether an observer's draws scatter around what it settles on, as declared or as fitted."""
        observer = self.observers[index]
        fitted = f"observers.{observer.name}.categorical.{name}.settled" in self.sites
        return fitted or (name in observer.labels and bool(observer.labels[name].settled))

    def settled_parameters(self, index: int, name: str, values: Values) -> tuple[Array, Array, Array]:
        """Return P(settles on y | truth) (K, Y) of an observer, its repeat and its strength."""
        observer, like = self.observers[index], next(iter(values.values()))
        path, (kind,) = f"observers.{observer.name}.categorical.{name}", observer.labels[name].types
        rows = values.get(f"{path}.settled", put(self.declared_settled_table(index, name), like))
        repeat = values.get(f"{path}.repeat", put(np.array(kind.repeat), like))
        strength = values.get(f"{path}.strength", put(np.array(kind.strength), like))
        return rows, library(like).clip(repeat, LEAST_SHARE, MOST_REPEAT), strength

    def _tails(self, index: int, name: str, values: Values) -> Array | None:
        """Return an observer's ranking tails (Y, Y + 1, Y + 1, K); None where it does not rank."""
        instrument, variable = self.observers[index].labels[name], self.base.variables[name]
        matches = own_answers(instrument.answers, variable)
        path = f"observers.{self.observers[index].name}.categorical.{name}.ranking"
        if f"{path}.habit" not in values:
            return self.observations.kernels[index, name].tails  # type: ignore[union-attr]
        habit = _with_diagonal(values[f"{path}.habit"])
        pull = values.get(f"{path}.pull", put(np.array(instrument.pull or 0.0 * matches), habit))
        lift = values[f"{path}.bonus"] * put(matches, habit) + pull * put(1 - matches, habit)
        return ranking_tails(habit, lift)

    def _binary_tables(self, index: int, values: Values) -> dict[str, tuple[Array, Array]]:
        """Return of each binary variable its one-answer table (2, 2) and the room of its group."""
        observer, like, names = self.observers[index], next(iter(values.values())), self.binary(index)
        path = f"observers.{observer.name}.binary"
        every = _copy(put(np.array([observer.labels[n].confusion for n in names]), like))
        if self.rated[index]:
            fitted = rate_tables(values[f"{path}.specificity"], values[f"{path}.sensitivity"])
            every[[names.index(n) for n in self.rated[index]]] = fitted
        tables: dict[str, tuple[Array, Array]] = {}
        for members in self.groups(index).values():
            room = smooth_least(smooth_least(every[members], 1).sum(1), 0)
            tables |= {names[member]: (every[member], room) for member in members}
        return tables

    def table_parameters(
        self,
        index: int,
        name: str,
        values: Values,
        binary: Mapping[str, tuple[Array, Array]] | None = None,
    ) -> tuple[Array, Array, Array, Array, Array]:
        """Return a one-answer table (K, Y), and its kinds' shares (right, misread), repeats and strengths.

        binary: the observer's `_binary_tables`, where they are known.
        """
        observer, like = self.observers[index], next(iter(values.values()))
        instrument, path = observer.labels[name], f"observers.{observer.name}.categorical.{name}"
        if self.base.variables[name].kind == "binary":
            names = self.binary(index)
            table, room = (binary or self._binary_tables(index, values))[name]
            path = next(
                group for group, members in self.groups(index).items() if names.index(name) in members
            )
        else:
            table = values.get(f"{path}.confusion", put(np.array(instrument.confusion), like))
            table = library(like).clip(table, LEAST_CELL, None)
            table = table / table.sum(1)[:, None]
            room = smooth_least(table, 0).sum()
        declared = np.array([(*t.shares, t.repeat, t.strength) for t in instrument.types]).T
        share, misread, repeat, strength = (put(row, like) for row in declared)
        if f"{path}.share" in values:
            share = values[f"{path}.share"]
            misread = values.get(f"{path}.misread", misread if _has_misread_shares(instrument) else share)
        if f"{path}.room" in values:
            used = values[f"{path}.room"]
            if len(instrument.types) > 1:
                matches, off = (
                    own_answers(instrument.answers, self.base.variables[name]),
                    (share * used).sum(),
                )
                headroom = room_for(table, matches, smooth_least(table, 0), off, (misread * used).sum())
                # A factor; where there is room to spare it is 1.
                headroom = library(headroom).concatenate(
                    [headroom, library(headroom).ones_like(headroom[:1])]
                )
                room = smooth_least(headroom, 0, 8 * SMOOTH_POWER)
            repeat = 1 - used * room
            strength = values[f"{path}.strength"]
        else:
            # A repeat that is not fitted rises as far as the table demands.
            repeat = library(like).maximum(repeat, (1 - room) * library(like).ones_like(repeat))
        return table, share, misread, library(like).clip(repeat, 0.01, 0.999), strength


def _has_misread_shares(instrument: LabelInstrument) -> bool:
    return any(kind.misread is not None for kind in instrument.types)


def rate_tables(specificity: Array, sensitivity: Array) -> Array:
    """Return the one-answer tables (J, 2, 2) of binary variables."""
    xp = library(specificity)
    rows = [xp.stack([specificity, 1 - specificity], -1), xp.stack([1 - sensitivity, sensitivity], -1)]
    return xp.stack(rows, -2)


def smooth_least(array: Array, axis: int, power: int = SMOOTH_POWER) -> Array:
    """Return a smooth lower bound of the minimum along an axis, of numbers above 0."""
    xp = library(array)
    least = xp.amin(array, axis, keepdims=True)
    return ((least / array) ** power).sum(axis) ** (-1 / power) * least.squeeze(axis)


def _put_kernel(kernel: LabelKernel | NumberKernel, like: Array) -> LabelKernel | NumberKernel:
    """Return a kernel with its arrays in the library of `like`."""
    mix = put(kernel.mix, like)
    if isinstance(kernel, NumberKernel):
        return replace(kernel, mix=mix)
    tails = None if kernel.tails is None else put(kernel.tails, like)
    alpha, share = put(kernel.alpha, like), put(kernel.share, like)
    return replace(kernel, mix=mix, alpha=alpha, share=share, tails=tails)


def _copy(array: Array) -> Array:
    return array.copy() if library(array) is np else array.clone()


def _with_diagonal(rows: Array) -> Array:
    """Return rows (Y, Y - 1) over the others as a square with an empty diagonal."""
    xp, size = library(rows), len(rows)
    zero = xp.zeros_like(rows[:, :1])
    parts = [xp.concatenate([rows[i, :i], zero[i], rows[i, i:]]) for i in range(size)]
    return xp.stack(parts)
