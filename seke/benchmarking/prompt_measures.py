"""What is measured of the answers to one variant of the questions, each a mean over items by weight.

    right, log loss      against gold; the log loss of what the answers foretell once they are calibrated on
                         other items (`calibrated_losses`); an answer that is refused or unreadable is wrong
    yes, yes if absent,  how often a unit is called present, of all, and of those absent or present in gold:
    yes if present       a yes-bias raises all three, a better look the last one alone
    first option         how much more often the first option is named than it should be: with both orders of
                         the options than the last one of each order (what is common cancels, for each stands
                         first as often as last); else than in gold; else than 1 / options
    coupling             log2 P(root | units) / P(root) of the base for what one answer says of both, bits
    coupling excess      the same less that of gold: what answers that were made to fit have too much

(Refusals: an answer that was declined. Right and log loss follow Brier's and Good's scores as `seke bench
score` has them; the mean of losses on items that were not learned from is the usual cross-validation, Stone
1974, doi:10.1111/j.2517-6161.1974.tb00994.x.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine import Gold, root_bits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine import Bools, Floats, Inference, Ints
    from seke.benchmarking.variant_answers import VariantAnswers

FOLDS = 10
# In log loss a probability is at least this, as in `seke bench score`.
LEAST_P = 1e-6
GOLD, CHANCE, BOTH_ORDERS, ANSWERS = "gold", "chance", "both orders", "answers"
# Measures of how often units are called present begin so.
YES = "yes"
FAILED = {"refused": "refused", "unreadable": "unreadable", "not_judged": "not judged"}


@dataclass(frozen=True)
class Measure:
    """A mean of one variant: the sum of `total` over that of `count`, (N,) each, a value an item.

    about: the variable or level that it is about, or no text. basis: what it is held against.
    """

    question: str
    name: str
    about: str
    basis: str
    total: Floats
    count: Floats

    @property
    def key(self) -> tuple[str, str, str]:
        """What the same measure of other variants has in common with it."""
        return self.question, self.name, self.about


def measures_of(
    answers: VariantAnswers, gold: Gold, items: int, folds: Ints, inference: Inference | None
) -> list[Measure]:
    """Return all measures of a variant.

    gold: of the N items. folds: (N,) which are foretold together from all others. inference: of the base that
    coupling is measured with; None where it is not.
    """
    tables = _AnswerTables(answers, gold, items, folds, inference)
    return [
        measure for question in dict.fromkeys(answers.question) for measure in tables.of_question(question)
    ]


def calibrated_losses(shares: Floats, gold: Floats, states: int, folds: Ints) -> Floats:
    """Return the log loss of each item's gold under its answers as calibrated on other folds, (N,), nats.

    P(g | i) = (1 - sum_y s_iy) P(g) + sum_y s_iy T[y, g], with s_iy the share of the item's answers that
    are y (what is missing of 1 was refused). T[y, :] is counted, after as many items as there are states from
    a 1[y = g] + (1 - a) P(g), with a the share of right answers: first one skill, then rows that deviate.
    NaN where gold or fold is unknown. shares: (N, answers), states first. gold: (N,). folds: (N,).
    """
    losses, known = np.full(len(gold), np.nan), ~np.isnan(gold)
    for fold in np.unique(folds):
        learned, tested = known & (folds != fold), known & (folds == fold)
        truth = np.eye(states)[gold[learned].astype(np.int64)]
        base_rate = (truth.sum(0) + 1) / (len(truth) + states)
        counted = shares[learned].T @ truth
        right = (np.trace(counted[:states]) + 1) / (counted.sum() + states)
        skilled = right * np.eye(shares.shape[1], states) + (1 - right) * base_rate
        table = (states * skilled + counted) / (states * skilled + counted).sum(1, keepdims=True)
        p = shares[tested] @ table + (1 - shares[tested].sum(1, keepdims=True)) * base_rate
        at_gold = p[np.arange(len(p)), gold[tested].astype(np.int64)]
        losses[tested] = -np.log(np.clip(at_gold, LEAST_P, None))
    return losses


@dataclass(frozen=True)
class _AnswerTables:
    answers: VariantAnswers
    gold: Gold
    items: int
    folds: Ints
    inference: Inference | None

    def of_question(self, question: str) -> Iterator[Measure]:
        """Yield the measures of the answers to one question."""
        rows = np.array([asked == question for asked in self.answers.question])
        status, base = np.array(self.answers.status), self.answers.base
        for outcome, name in FAILED.items():
            if outcome == "refused" or (status[rows] == outcome).any():
                yield self._mean(question, name, "", ANSWERS, rows, status == outcome)
        variables = [base.variables[name] for name in base.questions[question].variables]
        for variable in variables:
            value = self.answers.values.get(variable.name)
            if value is None or np.isnan(value[rows]).all():
                continue
            if variable.kind == "categorical":
                yield from self._categorical(question, rows, variable.name)
            elif variable.kind == "interval":
                yield from self._interval(question, rows, variable.name)
        units = [
            variable.name
            for variable in variables
            if variable.kind == "binary" and variable.name in self.answers.values
        ]
        if units:
            yield from self._binary(question, rows, units)
        if base.root in base.questions[question].variables and len(units) > 1 and self.inference is not None:
            yield from self._coupling(question, rows, units, self.inference)

    def _mean(
        self, question: str, name: str, about: str, basis: str, rows: Bools, value: Floats | Bools
    ) -> Measure:
        """Return the mean of a value (R,) of the chosen rows (R,)."""
        total = self._sums(np.where(rows, value, 0.0))
        return Measure(question, name, about, basis, total, self._sums(rows))

    def _sums(self, value: Floats | Bools | Ints) -> Floats:
        """Return the sum of a value (R,) over the answers about each item, (N,)."""
        sums = np.bincount(self.answers.item, np.asarray(value, dtype=np.float64), minlength=self.items)
        return np.asarray(sums, dtype=np.float64)

    def _truth(self, name: str) -> Floats:
        """Return the gold of each answer's item, (R,)."""
        unknown = np.full(self.items, np.nan)
        return np.asarray(self.gold.values.get(name, unknown)[self.answers.item])

    def _failed(self, name: str) -> Bools:
        """Return which answers are refused or the like, though they were asked about a variable, (R,)."""
        about = np.array(self.answers.about)
        return np.asarray((np.array(self.answers.status) != "ok") & ((about == "") | (about == name)))

    def _loss(self, question: str, about: str, rows: Bools, names: list[str]) -> Iterator[Measure]:
        """Yield the log loss after calibration, the mean over the variables of an item."""
        losses = []
        for name in names:
            value, failed = self.answers.values[name], self._failed(name)
            asked = rows & (failed | ~np.isnan(value))
            states = len(self.answers.base.variables[name].states)
            shares = np.zeros((self.items, states + 1))
            plain = asked & ~np.isnan(value)
            np.add.at(shares, (self.answers.item[plain], value[plain].astype(np.int64)), 1.0)
            count = self._sums(asked)
            shares /= np.maximum(count, 1)[:, None]
            gold = np.where(count > 0, self.gold.values.get(name, np.full(self.items, np.nan)), np.nan)
            if not np.isnan(gold).all():
                losses.append(calibrated_losses(shares, gold, states, self.folds))
        if losses:
            loss = np.array(losses)
            known = ~np.isnan(loss)
            yield Measure(
                question,
                "log loss",
                about,
                GOLD,
                np.where(known, loss, 0).sum(0),
                known.sum(0).astype(np.float64),
            )

    def _categorical(self, question: str, rows: Bools, name: str) -> Iterator[Measure]:
        value, truth = self.answers.values[name], self._truth(name)
        asked = rows & (self._failed(name) | ~np.isnan(value)) & ~np.isnan(truth)
        if asked.any():
            yield self._mean(question, "right", name, GOLD, asked, value == truth)
            yield from self._loss(question, name, rows, [name])
        if name == self.answers.base.root:
            yield from self._first_option(question, rows & ~np.isnan(value), value, truth, name)

    def _first_option(
        self, question: str, rows: Bools, value: Floats, truth: Floats, name: str
    ) -> Iterator[Measure]:
        first, last = self.answers.ends
        rows = rows & (first >= 0) & (last >= 0)
        if not rows.any():
            return
        orders = np.unique(self.answers.ends[:, rows], axis=1)
        named = np.asarray(value == first, dtype=np.float64)
        if orders.shape[1] > 1:
            excess = named - (value == last)
            halves = []
            for order in orders.T:
                same = rows & (self.answers.ends == order[:, None]).all(0)
                count, total = self._sums(same), self._sums(same * excess)
                halves.append(np.where(count > 0, total / np.maximum(count, 1), np.nan))
            mean = np.array(halves).mean(0)
            known = ~np.isnan(mean)
            total, count = np.where(known, mean, 0.0), known.astype(np.float64)
            yield Measure(question, "first option", name, BOTH_ORDERS, total, count)
        elif (rows & ~np.isnan(truth)).any():
            yield self._mean(
                question, "first option", name, GOLD, rows & ~np.isnan(truth), named - (truth == first)
            )
        else:
            options = len(self.answers.base.variables[name].states)
            yield self._mean(question, "first option", name, CHANCE, rows, named - 1 / options)

    def _interval(self, question: str, rows: Bools, name: str) -> Iterator[Measure]:
        value, truth = self.answers.values[name], self._truth(name)
        known = rows & ~np.isnan(value) & ~np.isnan(truth)
        if known.any():
            yield self._mean(question, "distance", name, GOLD, known, np.nan_to_num(abs(value - truth)))
            yield self._mean(question, "too high by", name, GOLD, known, np.nan_to_num(value - truth))

    def _binary(self, question: str, rows: Bools, units: list[str]) -> Iterator[Measure]:
        """Yield how often units are called present, and how often rightly, over all units at once."""
        base = self.answers.base
        levels = [level for level, members in base.levels.items() if set(units) <= set(members)]
        about = levels[0] if levels else "yes or no"
        values = np.array([self.answers.values[name] for name in units])
        truths = np.array([self._truth(name) for name in units])
        failed = np.array([self._failed(name) for name in units]) & rows
        answered, gold = ~np.isnan(values) & rows, ~np.isnan(truths)
        yes = values == 1
        yield self._over_units(question, YES, about, ANSWERS, answered, yes)
        if (gold & (answered | failed)).any():
            yield self._over_units(question, "yes if absent", about, GOLD, answered & (truths == 0), yes)
            yield self._over_units(question, "yes if present", about, GOLD, answered & (truths == 1), yes)
            yield self._over_units(
                question, "right", about, GOLD, gold & (answered | failed), values == truths
            )
            yield from self._loss(question, about, rows, units)

    def _over_units(
        self, question: str, name: str, about: str, basis: str, chosen: Bools, value: Bools
    ) -> Measure:
        """Return the mean of a value over the chosen answers about single units; both (units, R)."""
        total, count = self._sums((chosen & value).sum(0)), self._sums(chosen.sum(0))
        return Measure(question, name, about, basis, total, count)

    def _coupling(
        self, question: str, rows: Bools, units: list[str], inference: Inference
    ) -> Iterator[Measure]:
        root = self.answers.base.root
        value, label = {name: self.answers.values[name] for name in units}, self.answers.values.get(root)
        if label is None:
            return
        named = {root: np.where(rows, label, np.nan)}
        bits = root_bits(inference, Gold(value | named), units)
        known = ~np.isnan(bits)
        if known.any():
            yield self._mean(question, "coupling, bits", root, ANSWERS, known, np.nan_to_num(bits))
        # Where gold does not know a unit, neither side may use it, and the other way round.
        truth = {name: np.where(np.isnan(value[name]), np.nan, self._truth(name)) for name in units}
        both = {name: np.where(np.isnan(truth[name]), np.nan, value[name]) for name in units}
        excess = root_bits(inference, Gold(both | named), units)
        excess = excess - root_bits(inference, Gold(truth | {root: self._truth(root)}), units)
        known = rows & ~np.isnan(excess)
        if known.any():
            yield self._mean(question, "coupling excess", root, GOLD, known, np.nan_to_num(excess))
