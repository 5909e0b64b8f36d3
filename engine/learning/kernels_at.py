"""The observation model at values of the parameters that a fit learns, in the array library of the values.

A one-answer table T and its repeat ρ are tied, 1 - ρ <= Σ_y min_x T[x, y]: the parameter is the used share of
this room. With several kinds of reading it is the 1 - ρ of each, and all shrink alike where together they
exceed the room. So that the density has no edges, the minimum is (Σ_x T[x, y]^-s)^(-1/s) here, with
s = SMOOTH_POWER, which is a little less; so it is in the habit of a kernel, which hardly changes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend.arrays import asarray_like, is_tensor, namespace
from engine.learning.priors import LEAST_SHARE
from engine.model.confusion import own_answers, room_for
from engine.model.parameter_key import ParameterKey
from engine.observation.kernels import (
    LabelKernel,
    NumberKernel,
    number_kernel,
    put_kernel,
    quadrature,
    ranking_tails,
    scatter,
    settled_kernel,
)
from engine.observation.question_rates import kernel_by_question

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from engine.backend.types import Array, Floats
    from engine.learning.answered_observers import AnsweredObservers
    from engine.model.knowledge import LabelInstrument, NumberInstrument
    from engine.model.parameter_key import What
    from engine.observation.evidence import ObservationModel

    Values = Mapping[ParameterKey, Array]

# Cells of a one-answer table are at least this before its rows are normalised.
LEAST_CELL = 1e-6
# The least probability of a settled answer: a lower prior could never be moved.
LEAST_SETTLED = 1e-3
# As the language has it: draws that always repeat would make one answer as good as all.
MOST_REPEAT = 0.999
# Power of the smooth minimum; the larger, the nearer it is to the minimum.
SMOOTH_POWER = 16
# Factor by which perception and noise may change before a quadrature has to be refined.
CUT_SLACK = 1.5
# The numbers of a gauge, in the order of the YAML.
GAUGE: tuple[What, ...] = ("gain", "offset", "perception", "noise", "slip", "blank", "stray")


class ParameterKernels:
    """The observation model at values of parameters: key -> value.

    rated: observer -> the binary variables whose rates are learned; by_question: observer and question -> the
    same where a question has rates of its own. sites: keys of all that is learned.
    """

    def __init__(
        self,
        answered: AnsweredObservers,
        rated: Mapping[int, Sequence[str]],
        by_question: Mapping[tuple[int, str], Sequence[str]],
        sites: Collection[ParameterKey],
    ) -> None:
        self._answered, self._rated, self._sites = answered, rated, sites
        self._rated_by_question = by_question
        self.base, self.observations = answered.base, answered.observations
        self._cuts: dict[tuple[int, str], Floats] = {}

    def refine_cuts(self, values: Values) -> bool:
        """Choose quadratures fine enough around these values; return whether any had to change."""
        changed = False
        for index, observer in self._answered.observers.items():
            for name in (name for name in self._answered.answered(index) if name in observer.numbers):
                instrument = self._gauge(index, name, values)
                needed = quadrature(instrument, self.base.variables[name])
                have = self._cuts.get((index, name))
                if have is None or have[-1] < needed[-1] or have[1] - have[0] > needed[1] - needed[0]:
                    self._cuts[index, name] = quadrature(instrument, self.base.variables[name], CUT_SLACK)
                    changed = True
        return changed

    def _gauge(self, index: int, name: str, values: Values) -> NumberInstrument:
        key, instrument = self._answered.key(index, name), self._answered.observers[index].numbers[name]
        like = next(iter(values.values()))
        declared = {what: asarray_like(np.array(getattr(instrument, what)), like) for what in GAUGE}
        # Numbers of numpy or torch stand for those of the YAML.
        gauge: dict[str, Any] = {what: values.get(key.of(what), declared[what]) for what in GAUGE}
        return replace(instrument, **gauge)

    def model_at(self, values: Values) -> ObservationModel:
        """Return the observation model at values of the parameters."""
        like = next(iter(values.values()))
        carry, exponent, halo = (
            _copy(asarray_like(array, like))
            for array in (self.observations.carry, self.observations.exponent, self.observations.halo)
        )
        stereotype: dict[tuple[int, str], Array] = {}
        questions = list(self.base.questions)
        for index, observer in self._answered.observers.items():
            key = ParameterKey(observer.name)
            if key.of("carry") in values:
                carry[index] = values[key.of("carry")]
            if key.of("exponent") in values:
                exponent[index] = values[key.of("exponent")]
            for question in observer.halo:
                probability = replace(key, what="probability", question=question)
                if probability in values:
                    halo[index, questions.index(question)] = values[probability]
            if key.of("stereotype") in values:
                brought, names = values[key.of("stereotype")], self._answered.binary(index)
                stereotype |= {(index, name): brought[i] for i, name in enumerate(names)}
        kernels = dict(self._kernels(values))
        return self.observations.with_kernels(kernels, carry, exponent, halo, stereotype)

    def _kernels(self, values: Values) -> Iterator[tuple[tuple[int, str], LabelKernel | NumberKernel]]:
        like, answered = next(iter(values.values())), self._answered
        for place, kernel in self.observations.kernels.items():
            # What was not answered may still be what an answer followed.
            if place[0] in answered.observers and place not in answered.answer_counts:
                yield place, put_kernel(kernel, like)
        binary = {index: self._binary_tables(index, values) for index in answered.observers}
        for index, name in answered.answer_counts:
            if name in answered.observers[index].numbers:
                gauge = self._gauge(index, name, values)
                yield (
                    (index, name),
                    number_kernel(gauge, self.base.variables[name], self._cuts[index, name]),
                )
            else:
                yield (index, name), self._label_kernel(index, name, values, binary[index])

    def _label_kernel(
        self, index: int, name: str, values: Values, binary: Mapping[str, tuple[Array, Array]]
    ) -> LabelKernel:
        """Return the kernel of a categorical or binary variable; binary: the observer's `_binary_tables`."""
        variable, instrument = self.base.variables[name], self._answered.observers[index].labels[name]
        tails = self._tails(index, name, values)
        if self.is_settled(index, name):
            settled, repeat, strength = self._settled_parameters(index, name, values)
            return settled_kernel(settled, variable, instrument, repeat, strength, tails)
        table, share, misread, repeat, strength = self.table_parameters(index, name, values, binary)
        if instrument.by_question:
            return self._kernel_by_question(index, name, values, (table, repeat, strength))
        matches = own_answers(instrument.answers, variable)
        mix, alpha = scatter(table, matches, share, misread, repeat, strength, smooth_least(table, 0))
        size, kinds = len(instrument.answers), len(instrument.types)
        type_share = share.repeat_interleave(size) if is_tensor(share) else np.repeat(share, size)
        answer_of = np.tile(np.arange(size), kinds)
        return LabelKernel(mix, alpha, answer_of, type_share, instrument.weight, tails)

    def _kernel_by_question(
        self, index: int, name: str, values: Values, shared: tuple[Array, Array, Array]
    ) -> LabelKernel:
        """Return the kernel of a binary variable with tables by question.

        shared: the table of all other questions, and repeat and strength of all, (1,) each.
        """
        table, repeat, strength = shared
        instrument = self._answered.observers[index].labels[name]
        tables = [table]
        for question, _ in instrument.by_question:
            of_question = self._tables_of(index, question, values)
            tables.append(of_question[self._answered.binary_asked(index, question).index(name)])
        questions = [list(self.base.questions).index(question) for question, _ in instrument.by_question]
        least = [smooth_least(of_question, 0) for of_question in tables]
        return kernel_by_question(tables, questions, repeat, strength, instrument.weight, least)

    def _tables_of(self, index: int, question: str, values: Values) -> Array:
        """Return the one-answer tables (J, 2, 2) that a question has of its own, of those answered at all."""
        observer, names = self._answered.observers[index], self._answered.binary_asked(index, question)
        like = next(iter(values.values()))
        declared = np.array([dict(observer.labels[n].by_question)[question] for n in names])
        tables, key = (
            _copy(asarray_like(declared, like)),
            ParameterKey(observer.name, "", "binary", question=question),
        )
        if key.of("specificity") in values:
            rated = [names.index(name) for name in self._rated_by_question[index, question]]
            tables[rated] = rate_tables(values[key.of("specificity")], values[key.of("sensitivity")])
        return tables

    def is_settled(self, index: int, name: str) -> bool:
        """Return whether an observer's draws scatter around what it settles on, as declared or as fitted."""
        labels = self._answered.observers[index].labels
        fitted = self._answered.key(index, name).of("settled") in self._sites
        return fitted or (name in labels and bool(labels[name].settled))

    def _settled_parameters(self, index: int, name: str, values: Values) -> tuple[Array, Array, Array]:
        """Return P(settles on y | truth) (K, Y) of an observer, its repeat and its strength."""
        key, like = self._answered.key(index, name), next(iter(values.values()))
        (kind,) = self._answered.observers[index].labels[name].types
        declared = settled_table(self.observations.kernels[index, name].mix)
        rows = values.get(key.of("settled"), asarray_like(declared, like))
        repeat = values.get(key.of("repeat"), asarray_like(np.array(kind.repeat), like))
        strength = values.get(key.of("strength"), asarray_like(np.array(kind.strength), like))
        return rows, namespace(like).clip(repeat, LEAST_SHARE, MOST_REPEAT), strength

    def _tails(self, index: int, name: str, values: Values) -> Array | None:
        """Return an observer's ranking tails (Y, Y + 1, Y + 1, K); None where it does not rank."""
        instrument, variable = self._answered.observers[index].labels[name], self.base.variables[name]
        key = self._answered.key(index, name)
        if key.of("habit") not in values:
            return self.observations.kernels[index, name].tails  # type: ignore[union-attr]
        matches, habit = own_answers(instrument.answers, variable), _with_diagonal(values[key.of("habit")])
        pull = values.get(key.of("pull"), asarray_like(np.array(instrument.pull or 0.0 * matches), habit))
        lift = values[key.of("bonus")] * asarray_like(matches, habit) + pull * asarray_like(
            1 - matches, habit
        )
        return ranking_tails(habit, lift)

    def _binary_tables(self, index: int, values: Values) -> dict[str, tuple[Array, Array]]:
        """Return of each binary variable its one-answer table (2, 2) and the room of its group."""
        observer, names = self._answered.observers[index], self._answered.binary(index)
        if not names:
            return {}
        key, like = ParameterKey(observer.name, "", "binary"), next(iter(values.values()))
        every = _copy(asarray_like(np.array([observer.labels[n].confusion for n in names]), like))
        if self._rated[index]:
            fitted = rate_tables(values[key.of("specificity")], values[key.of("sensitivity")])
            every[[names.index(n) for n in self._rated[index]]] = fitted
        tables: dict[str, tuple[Array, Array]] = {}
        xp = namespace(like)
        for members in self._answered.groups(index).values():
            group = [every[members]]
            for question in self._answered.questions_apart(index):
                asked = self._answered.binary_asked(index, question)
                inside = [place for place, name in enumerate(asked) if names.index(name) in members]
                group += [self._tables_of(index, question, values)[inside]] * bool(inside)
            room = smooth_least(smooth_least(xp.concatenate(group), 1).sum(1), 0)
            tables |= {names[member]: (every[member], room) for member in members}
        return tables

    def table_parameters(
        self,
        index: int,
        name: str,
        values: Values,
        binary: Mapping[str, tuple[Array, Array]] | None = None,
    ) -> tuple[Array, Array, Array, Array, Array]:
        """Return a one-answer table (K, Y), and of its kinds of reading, each (T,), what else makes it up.

        That is their share in right readings and in others, their repeat and their strength.

        binary: the observer's `_binary_tables`, where they are known.
        """
        like, key = next(iter(values.values())), self._answered.key(index, name)
        instrument = self._answered.observers[index].labels[name]
        if key.kind == "binary":
            table, room = (binary or self._binary_tables(index, values))[name]
            key = self._answered.group(index, name)
        else:
            table = values.get(key.of("confusion"), asarray_like(np.array(instrument.confusion), like))
            table = namespace(like).clip(table, LEAST_CELL, None)
            table = table / table.sum(1)[:, None]
            room = smooth_least(table, 0).sum()
        declared = np.array([(*t.shares, t.repeat, t.strength) for t in instrument.types]).T
        share, misread, repeat, strength = (asarray_like(row, like) for row in declared)
        if key.of("share") in values:
            share = values[key.of("share")]
            misread = values.get(key.of("misread"), misread if _has_misread_shares(instrument) else share)
        if key.of("room") in values:
            used = values[key.of("room")]
            if len(instrument.types) > 1:
                matches = own_answers(instrument.answers, self.base.variables[name])
                room = _headroom(table, matches, (share * used).sum(), (misread * used).sum())
            repeat = 1 - used * room
            strength = values[key.of("strength")]
        else:
            # A repeat that is not fitted rises as far as the table demands.
            repeat = namespace(like).maximum(repeat, (1 - room) * namespace(like).ones_like(repeat))
        return table, share, misread, namespace(like).clip(repeat, LEAST_SHARE, MOST_REPEAT), strength


def _headroom(table: Array, matches: Floats, right: Array, misread: Array) -> Array:
    """Return the factor, a scalar, by which kinds of reading shrink to fit their table; 1 if it is wide."""
    headroom = room_for(table, matches, smooth_least(table, 0), right, misread)
    xp = namespace(headroom)
    return smooth_least(xp.concatenate([headroom, xp.ones_like(headroom[:1])]), 0, 8 * SMOOTH_POWER)


def _has_misread_shares(instrument: LabelInstrument) -> bool:
    return any(kind.misread is not None for kind in instrument.types)


def settled_table(mix: Array) -> Floats:
    """Return what is declared that an observer settles on, (K, Y), with no cell too small to be moved."""
    rows = np.clip(np.asarray(mix), LEAST_SETTLED, None)
    return np.asarray(rows / rows.sum(1, keepdims=True))


def rate_tables(specificity: Array, sensitivity: Array) -> Array:
    """Return the one-answer tables (J, 2, 2) of binary variables."""
    xp = namespace(specificity)
    rows = [xp.stack([specificity, 1 - specificity], -1), xp.stack([1 - sensitivity, sensitivity], -1)]
    return xp.stack(rows, -2)


def smooth_least(array: Array, axis: int, power: int = SMOOTH_POWER) -> Array:
    """Return a smooth lower bound of the minima of positive numbers along an axis; the shape lacks it."""
    xp = namespace(array)
    least = xp.amin(array, axis, keepdims=True)
    return ((least / array) ** power).sum(axis) ** (-1 / power) * least.squeeze(axis)


def _copy(array: Array) -> Array:
    """Return a copy, of the same shape."""
    return array.clone() if is_tensor(array) else np.array(array)


def _with_diagonal(rows: Array) -> Array:
    """Return rows (Y, Y - 1) over the others as a square with an empty diagonal."""
    xp, size = namespace(rows), len(rows)
    zero = xp.zeros_like(rows[:, :1])
    parts = [xp.concatenate([rows[i, :i], zero[i], rows[i, i:]]) for i in range(size)]
    return xp.stack(parts)
