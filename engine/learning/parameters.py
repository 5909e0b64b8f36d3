"""The parameters of observers that a fit learns, with priors around the declared values.

Every parameter is a site of one kind:

    simplex   rows that add up to 1     Dirichlet, pseudo-counts n
    unit      between 0 and 1           Beta, pseudo-counts n
    positive  above 0                   log-normal around the declared value
    real                                normal around the declared value

n, spread and sd are those of the YAML (`observers`; `FitPriors` where it states none). Sensitivity and
specificity add up to 1 or more: the parameter is the share of the room above 1 - specificity that the
sensitivity takes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.learning.answered_observers import AnsweredObservers
from engine.learning.gold_skill import rate_skill, rows_at_skill, table_at_skill
from engine.learning.graded_weight import graded_weight
from engine.learning.kernels_at import ParameterKernels, settled_table, smooth_least
from engine.learning.priors import MOST_SHARE, DeclaredWidths, FitPriors, Site
from engine.model.parameter_key import ParameterKey
from engine.observation.kernels import habit_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from numpy.typing import ArrayLike

    from engine.backend.types import Floats
    from engine.inference.posterior import Inference
    from engine.learning.answered_observers import AnswerCounts
    from engine.model.gold import Gold
    from engine.model.knowledge import LabelInstrument, NumberInstrument
    from engine.model.parameter_key import What
    from engine.model.responses import Answers


# Shares of a habit are at least this: none is impossible.
LEAST_HABIT = 1e-4
# Bounds of the prior mean of a stereotype, as the language has them.
LEAST_STEREOTYPE, MOST_STEREOTYPE = 0.001, 0.999
NO_TRUTH = "it has neither gold nor another observer's answers about the same items"
AGREEMENT = "it has no gold: it is learned from the agreement of answers, with carry as declared"
SHARED_ERROR = "without gold, answers that agree on the truth look like answers that share an error"
NO_TRUTH_OF_KINDS = "without gold the data do not show which kinds of reading are misread more often"
NO_PAIR = "no item has two readings of this observer"
NO_SECOND_ANSWER = "no reading has two answers"
NO_SECOND_NUMBER = "no reading has two numbers, so it looks like the spread of perception"


@dataclass(frozen=True)
class Unidentified:
    """Numbers that the data do not identify, or only in part; they stay as declared. With the reason."""

    keys: tuple[ParameterKey, ...]
    reason: str
    in_part: bool = False


class ObserverParameters:
    """The parameters of all observers that answered, and the observation model at values of them.

    answered: who answered what. sites: the parameters, by key. rated: observer -> the binary variables whose
    rates are learned. skills: key of a table -> skill of its observer, from as declared (0) to never wrong
    (1). unidentified: the numbers that these data do not identify. kernels: the observation model at values.
    """

    def __init__(
        self,
        inference: Inference,
        answers: Answers,
        gold: Gold,
        priors: FitPriors | None = None,
        *,
        by_skill: bool = True,
    ) -> None:
        """by_skill: whether gold moves the priors by a skill; False for simulated gold."""
        priors = priors or FitPriors()
        self.answered = AnsweredObservers(inference, answers, gold, priors)
        self.inference, self.base, self.observers = inference, self.answered.base, self.answered.observers
        self.sites: dict[ParameterKey, Site] = {}
        self.unidentified: list[Unidentified] = []
        self.rated: dict[int, list[str]] = {}
        self.rated_by_question: dict[tuple[int, str], list[str]] = {}
        self.skills: dict[ParameterKey, float] = {}
        self.widths = DeclaredWidths(self.base.numbers, priors)
        self._by_skill = by_skill
        for index in self.observers:
            if by_skill:
                self._choose_weights(index)
            self._add_observer(index)
        self.kernels = ParameterKernels(self.answered, self.rated, self.rated_by_question, self.sites)
        self.kernels.refine_cuts({key: site.mean for key, site in self.sites.items()})

    def _add(
        self,
        key: ParameterKey,
        kind: Literal["simplex", "unit", "positive", "real"],
        mean: ArrayLike,
        width: ArrayLike,
        floor: ParameterKey | None = None,
    ) -> None:
        mean, width = np.array(mean, dtype=np.float64), np.array(width, dtype=np.float64)
        self.sites[key] = Site(key, kind, mean, width, floor)

    def _add_unit(self, key: ParameterKey, value: float) -> None:
        self._add(key, "unit", *self.widths.share(key, value))

    def _add_positive(self, key: ParameterKey, value: float) -> None:
        self._add(key, "positive", value, self.widths.log_sd(key, value))

    def _leave(self, reason: str, *keys: ParameterKey, in_part: bool = False) -> None:
        """Note that the data do not identify these numbers."""
        self.unidentified.append(Unidentified(keys, reason, in_part))

    def _choose_weights(self, index: int) -> None:
        """Set what an observer's distributions count for, by gold: binary variables share one weight."""
        observer, answered = self.observers[index], self.answered
        binary = answered.binary(index)
        names = [name for name in answered.answered(index) if name in observer.labels]
        groups = [[name] for name in names if name not in binary] + [binary] * bool(binary)
        labels = dict(observer.labels)
        for group in groups:
            counts = {name: self._row_counts(answered.key(index, name)) for name in group}
            declared, sd = labels[group[0]].weight, self.widths.spread(observer.name)
            weight = graded_weight(answered, index, counts, declared, sd)
            labels |= {name: replace(labels[name], weight=weight) for name in group}
        self.observers[index] = replace(observer, labels=labels)

    def _add_observer(self, index: int) -> None:
        observer, answered = self.observers[index], self.answered.answered(index)
        key = ParameterKey(observer.name)
        if any(counts.items and counts.gold for counts in answered.values()):
            self._add_unit(key.of("carry"), observer.carry)
        else:
            repeated = any(counts.items for counts in answered.values())
            self._leave(SHARED_ERROR if repeated else NO_PAIR, key.of("carry"))
        for question in (q for o, q in self.answered.haloed if o == index):
            probability = replace(key, what="probability", question=question)
            self._add_unit(probability, observer.halo[question].probability)
        binary = self.answered.binary(index)
        for name, counts in answered.items():
            if name in observer.numbers:
                self._add_number(self.answered.key(index, name), observer.numbers[name], counts)
            elif name not in binary:
                self._add_labels(index, observer.labels[name], counts)
        if binary:
            self._add_rates(index, binary)

    def _add_number(self, key: ParameterKey, instrument: NumberInstrument, counts: AnswerCounts) -> None:
        truth = self._identifies_truth(key, counts)
        for what in ("gain", "perception") if truth else ():
            self._add_positive(key.of(what), getattr(instrument, what))
        if counts.again:
            self._add_positive(key.of("noise"), instrument.noise)
        else:
            self._leave(NO_SECOND_NUMBER, key.of("noise"))
        if truth:
            sd = self.widths.number(key.of("offset"), "sd")
            sd = sd or self.widths.spread(key.observer) * instrument.perception
            self._add(key.of("offset"), "real", instrument.offset, sd)
        self._add_unit(key.of("slip"), instrument.slip)
        # A base that declares none of these has none.
        if instrument.blank:
            self._add_unit(key.of("blank"), instrument.blank)
        if instrument.stray and truth:
            self._add_unit(key.of("stray"), instrument.stray)

    def _add_labels(self, index: int, instrument: LabelInstrument, counts: AnswerCounts) -> None:
        """Add the parameters of an observer's answers about a categorical variable."""
        key = self.answered.key(index, instrument.variable)
        plain = len(instrument.types) == 1
        truth = self._identifies_truth(key.of("settled" if plain else "confusion"), counts)
        if plain and (truth or instrument.settled):
            self._add_settled(index, key, instrument, counts, truth=truth)
        else:
            self._add_table(index, key, instrument, counts, truth=truth)
        if counts.ranked and instrument.variable == self.base.root:
            self._add_ranking(key, instrument, counts)

    def _add_settled(
        self,
        index: int,
        key: ParameterKey,
        instrument: LabelInstrument,
        counts: AnswerCounts,
        *,
        truth: bool,
    ) -> None:
        """Add the table of what an observer settles on, with its skill, and the scatter of its draws.

        truth: whether the data identify the table.
        """
        if truth:
            rows = settled_table(self.answered.observations.kernels[index, key.variable].mix)
            row_counts = self._row_counts(key.of("settled"))
            if counts.gold and self._by_skill:
                self.skills[key], rows = rows_at_skill(self.answered, index, instrument, rows, row_counts)
            self._add(key.of("settled"), "simplex", rows, row_counts)
        if self._identifies_scatter(key, counts):
            (kind,) = instrument.types
            self._add_unit(key.of("repeat"), kind.repeat)
            self._add_positive(key.of("strength"), kind.strength)

    def _add_table(
        self,
        index: int,
        key: ParameterKey,
        instrument: LabelInstrument,
        counts: AnswerCounts,
        *,
        truth: bool,
    ) -> None:
        """Add the table of one answer, with its skill, and the kinds of reading.

        truth: whether the data identify the table.
        """
        table = np.array(instrument.confusion)
        if truth:
            row_counts = self._row_counts(key.of("confusion"))
            if counts.gold and self._by_skill:
                self.skills[key], table = table_at_skill(self.answered, index, instrument, table, row_counts)
            self._add(key.of("confusion"), "simplex", table, row_counts)
        if self._identifies_scatter(key, counts):
            self._add_types(key, instrument, float(smooth_least(table, 0).sum()), gold=bool(counts.gold))

    def _row_counts(self, table: ParameterKey) -> Floats:
        """Return the pseudo-counts of the rows of a table, (K,)."""
        return self.widths.row_counts(table, self.base.variables[table.variable].states)

    def _add_ranking(self, key: ParameterKey, instrument: LabelInstrument, counts: AnswerCounts) -> None:
        bonus, answers = key.of("bonus"), instrument.answers
        sd = self.widths.number(bonus, "sd") or 2 * self.widths.spread(key.observer)
        self._add(bonus, "real", instrument.bonus, sd)
        habit = habit_of(instrument, self.answered.observations.prior) * (1 - np.eye(len(answers)))
        rows = np.array([row[np.arange(len(row)) != i] for i, row in enumerate(habit)])
        rows = np.clip(rows / rows.sum(1, keepdims=True), LEAST_HABIT, None)
        rows /= rows.sum(1, keepdims=True)
        self._add(key.of("habit"), "simplex", rows, self.widths.row_counts(key.of("habit"), answers))
        if counts.gold:
            states = self.base.variables[key.variable].states
            mean = instrument.pull or np.zeros((len(states), len(answers)))
            cells = [[key.of("pull", state, answer) for answer in answers] for state in states]
            usual = self.widths.priors.pull_sd
            sds = [[self.widths.number(cell, "sd") or usual for cell in row] for row in cells]
            self._add(key.of("pull"), "real", mean, sds)

    def _identifies_truth(self, key: ParameterKey, counts: AnswerCounts) -> bool:
        """Return whether the data identify an observer's answers to each truth; note the reason if not."""
        if not counts.gold:
            self._leave(AGREEMENT if counts.agreed else NO_TRUTH, key, in_part=bool(counts.agreed))
        return bool(counts.gold or counts.agreed)

    def _identifies_scatter(self, key: ParameterKey, *counts: AnswerCounts) -> bool:
        """Return whether the data identify how draws scatter; note the reason if not."""
        if any(answer_counts.again for answer_counts in counts):
            return True
        self._leave(NO_SECOND_ANSWER, key.of("repeat"), key.of("strength"))
        return False

    def _add_types(
        self, key: ParameterKey, instrument: LabelInstrument, room: float, *, gold: bool = False
    ) -> None:
        """Add shares, used room and strength of the kinds of reading of an instrument."""
        kinds, several = instrument.types, len(instrument.types) > 1
        keys = [replace(key, reading_type=kind.name) if several else key for kind in kinds]
        if several:
            room = 1.0
            self._add_shares(key, keys, instrument, gold=gold)
        scatter = [(1 - kind.repeat) / max(room, 1e-9) for kind in kinds]
        used = [self.widths.share(k.of("repeat"), value) for k, value in zip(keys, scatter, strict=True)]
        self._add(key.of("room"), "unit", *np.array(used).T)
        strength = [kind.strength for kind in kinds]
        sds = [self.widths.log_sd(k.of("strength"), value) for k, value in zip(keys, strength, strict=True)]
        self._add(key.of("strength"), "positive", strength, sds)

    def _add_shares(
        self, key: ParameterKey, keys: Sequence[ParameterKey], instrument: LabelInstrument, *, gold: bool
    ) -> None:
        """Add the shares of several kinds of reading, whose own keys are `keys`."""
        right, misread = np.array([kind.shares for kind in instrument.types]).T
        by_what: dict[What, Floats] = {"share": right}
        # Without gold, misread answers cannot be told from right ones.
        if gold:
            by_what["misread"] = misread
        for what, shares in by_what.items():
            counts = [self.widths.share(k.of(what), share)[1] for k, share in zip(keys, shares, strict=True)]
            self._add(key.of(what), "simplex", shares / shares.sum(), np.mean(counts))
        if not gold:
            self._leave(NO_TRUTH_OF_KINDS, key.of("misread"))

    def _add_rates(self, index: int, names: list[str]) -> None:
        """Add the rates, the scatter of draws and the stereotypes of an observer's binary variables."""
        observer = self.observers[index]
        all_binary, cells = ParameterKey(observer.name, "", "binary"), [observer.labels[n] for n in names]
        counts = self.answered.answered(index)
        rated = [n for n in names if self._identifies_truth(self.answered.key(index, n), counts[n])]
        self.rated[index] = rated
        if rated:
            self._add_rates_of(index, all_binary, rated)
        for question in self.answered.questions_apart(index):
            asked = self.answered.binary_asked(index, question)
            # Without gold, rates of its own could not be told from what the item shows.
            apart = [name for name in asked if self.answered.gold_by_question(index, question, name)]
            self.rated_by_question[index, question] = apart
            if apart:
                self._add_rates_of(index, replace(all_binary, question=question), apart)
        tables = np.array([cell.confusion for cell in cells])
        if self._identifies_scatter(all_binary, *(counts[name] for name in names)):
            for group, members in self.answered.groups(index).items():
                room = float(smooth_least(smooth_least(tables[members], 1).sum(1), 0))
                self._add_types(group, cells[members[0]], room)
        haloed = sum(count for (o, _), count in self.answered.haloed.items() if o == index)
        if haloed and any(halo.given == self.base.root for halo in observer.halo.values()):
            stereotype = self.answered.observations.stereotype
            brought = np.array([stereotype((index, name))[:, 1] for name in names])
            mean = np.clip(brought, LEAST_STEREOTYPE, MOST_STEREOTYPE)
            key = ParameterKey(observer.name, "stereotype")
            self._add(key, "unit", mean, np.full(brought.shape, self.widths.count(key)))

    def _add_rates_of(self, index: int, all_binary: ParameterKey, names: Sequence[str]) -> None:
        """Add both rates of J binary variables, each around (1 - w) times what is declared, plus w.

        w is the one skill behind an observer's specificities and sensitivities, 0 without gold.
        """
        rates: tuple[What, ...] = ("specificity", "sensitivity")
        labels = self.observers[index].labels
        keys = [replace(self.answered.key(index, name), question=all_binary.question) for name in names]
        tables = {
            name: dict(labels[name].by_question).get(all_binary.question, labels[name].confusion)
            for name in names
        }
        # (2, J, 2): mean and pseudo-counts of both rates of each variable.
        priors = np.array(
            [
                [self.widths.share(k.of(what), tables[k.variable][state][state]) for k in keys]
                for state, what in enumerate(rates)
            ]
        )
        with_gold = [j for j, name in enumerate(names) if self.answered.answer_counts[index, name].gold]
        # The skill is that of the observer, whatever it is asked.
        if with_gold and self._by_skill and not all_binary.question:
            counts = ((names[j], priors[:, j, 1]) for j in with_gold)
            self.skills[all_binary] = rate_skill(self.answered, index, counts)
        skill, floor = self.skills.get(replace(all_binary, question=""), 0.0), None
        for what, prior in zip(rates, priors, strict=True):
            mean, width = prior.T
            self._add(all_binary.of(what), "unit", (1 - skill) * mean + skill * MOST_SHARE, width, floor)
            floor = all_binary.of("specificity")
