"""Answers -> evidence. This module alone defines how repeated samples count.

A reading under halo answers either from the item or, with the declared probability, from its
label (Thorndike 1920): one binary switch a reading, which carries over to the observer's other
readings (`observation.switches`). Given the switches evidence is one vector a variable, so an item
with n such readings becomes 2^n rows and more, the settings of its switches, with their prior
probabilities; sums over rows are exact.

Given its switches an observer's evidence about a variable is, over its readings k (all questions and
views of the item),

    P(answers | x) = Σ_m C[x, m] Π_k (κ L_k(m) + (1 - κ) Σ_r C[x, r] L_k(r)),     κ = carry,

with the likelihood L_k of `kernels`. Several observers of one variable are dependent through what the
item looks like (`observation.dependence`): each one's sum over m is then weighted by V[x, j, m] in place of
C[x, m], their product by S[x, j], and summed over the looks j. That of observers of one family
(`observation.family`) is summed over what the family made of the item first. One observer alone has the
formula above.

Where the switch of reading k is on, its other answers leave their own variables and multiply the label's
L_k(r) by their likelihood under the stereotype of r. The readings of a bundle, which follow one label
together, are one factor of the product: L(r) is the product of their L_k(r), times the likelihood of all
their other answers under one draw of the stereotype. An observer's exponent tempers all this. Arrays are
numpy's, or torch's where a fit needs derivatives.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import asarray_like, is_tensor, namespace, run_sums, sums_at, take_rows, taken_sums
from engine.errors import AnswerError
from engine.model.confusion import own_answers
from engine.model.knowledge import NumberInstrument
from engine.observation.dependence import SharedLook, settled_follows, shared_look
from engine.observation.family import Member, families_of, family_follows, with_families
from engine.observation.kernels import (
    LEAST,
    LabelKernel,
    NumberKernel,
    label_kernel,
    number_kernel,
)
from engine.observation.number_looks import NumberTeller, number_look
from engine.observation.repeated_views import ReadingVariants, repeats_at_stake, variants_of
from engine.observation.switches import Expanded, SwitchedReadings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.backend.types import Array, Bools, Floats, Ints
    from engine.model.knowledge import Knowledge, LabelInstrument
    from engine.model.responses import Answers
    from engine.model.variable import Variable
    from engine.network.network import Network

    Kernel = LabelKernel | NumberKernel

# Readings of an item under halo at most: each doubles its rows.
MOST_SWITCHES = 10
# Numbers of a temporary array at most: 32 MB.
MOST_CELLS = 4_000_000
# Keys of rows below this are looked up in a table; larger ones are sorted.
DENSE_KEYS = 1 << 16


@dataclass(frozen=True)
class Evidence:
    """Evidence about N items, as rows: one for each setting of an item's switches, in the order of items.

    row_item: (rows,). log_weight: (rows,) log-probability of the row's switches. log_likelihood:
    variable -> (states, rows), log P(its answers | state, switches). has_evidence: (rows,) whether the row
    has evidence about a variable below the root. on: (2, P) row and reading of each switch that is on.
    """

    items: int
    row_item: Ints
    log_weight: Array
    log_likelihood: Mapping[str, Array]
    has_evidence: Bools
    on: Ints

    def mixed(self, variants: ReadingVariants) -> Evidence:
        """Return the evidence about items, from that about their variants."""
        weight = asarray_like(variants.log_weight[self.row_item], self.log_weight)
        return replace(
            self,
            items=variants.items,
            row_item=variants.item[self.row_item],
            log_weight=self.log_weight + weight,
            on=np.stack(variants.originals(*self.on)),
        )

    def part(self, start: int, stop: int, first: int, last: int) -> Evidence:
        """Return the evidence about items start to stop, whose rows are first to last."""
        rows = slice(first, last)
        logs = {name: log_likelihood[:, rows] for name, log_likelihood in self.log_likelihood.items()}
        row, reading = self.on[:, (self.on[0] >= first) & (self.on[0] < last)]
        return Evidence(
            stop - start,
            self.row_item[rows] - start,
            self.log_weight[rows],
            logs,
            self.has_evidence[rows],
            np.stack([row - first, reading]),
        )


@dataclass(frozen=True)
class _Report:
    """What an observer's readings report about a variable; equal readings share a row of the table.

    reading: (r,) increasing. pattern: (r,) row of `table`. table: (patterns, M) log-likelihood of a type.
    """

    reading: Ints
    pattern: Ints
    table: Array


@dataclass(frozen=True)
class _Contribution:
    """The evidence of one observer about a variable.

    table: (patterns, M) log-likelihood of a type. pattern, row: (P,) of each reading its row of `table`, and
    the row of the evidence that it belongs to.
    """

    observer: int
    table: Array
    pattern: Ints
    row: Ints

    def within(self, rows: Bools) -> _Contribution:
        """Return the contribution to some rows of the evidence; rows: a mask (rows,)."""
        used = rows[self.row]
        return _Contribution(self.observer, self.table, self.pattern[used], self.row[used])


@dataclass(frozen=True)
class Contributions:
    """The contributions of all observers to the evidence, by variable, not combined yet."""

    row_item: Ints
    pairs: Expanded
    log_weight: Array
    has_evidence: Bools
    contributions: Mapping[str, list[_Contribution]]


class ObservationModel:
    """The kernels of a network's observers, and what their labels imply for other variables.

    carry, exponent: (observers,). halo: (observers, questions) probability of the switch. imagined:
    (observer, variable) -> (K + 1, M), the distribution of the type that a label brings with it: given each
    root state, and overall for a label that is no root state.
    """

    def __init__(
        self, network: Network, knowledge: Knowledge, population: str, like: ObservationModel | None = None
    ) -> None:
        """Build the kernels; those of a like model whose declaration is the same are reused."""
        self.network, self.knowledge = network, knowledge
        self.observers = tuple(knowledge.observers.values())
        self.kernels: dict[tuple[int, str], Kernel] = {}
        self.imagined: dict[tuple[int, str], Array] = {}
        self.prior = np.array(knowledge.populations[population].p)
        keep = like if like and np.array_equal(self.prior, like.prior) else None
        for index, observer in enumerate(self.observers):
            old = keep.observers[index].instruments if keep else {}
            for name, instrument in observer.instruments.items():
                if keep and old.get(name) == instrument:
                    self.kernels[index, name] = keep.kernels[index, name]
                else:
                    self.kernels[index, name] = self._kernel(instrument, knowledge.variables[name])
        for key, kernel in self.kernels.items():
            same = keep and keep.observers[key[0]].stereotype == self.observers[key[0]].stereotype
            if keep and same and keep.network.factors is network.factors and keep.kernels.get(key) is kernel:
                self.imagined |= {key: keep.imagined[key]} if key in keep.imagined else {}
            elif key[1] != network.root:
                self.imagined[key] = self._implied_types(key, kernel)
        self.carry: Array = np.array([o.carry for o in self.observers])
        self.exponent: Array = np.array([o.exponent for o in self.observers])
        self.halo: Array = np.array(
            [
                [o.halo[q].probability if q in o.halo else 0.0 for q in knowledge.questions]
                for o in self.observers
            ]
        ).reshape(len(self.observers), -1)
        self.haloed = self.halo > 0
        # Whose switches carry over, whatever a fit makes of `carry`.
        self.carries: Bools = np.asarray(np.array([o.carry for o in self.observers]) > 0)
        self.repeats = {view.name: view.repeats for view in knowledge.views.values() if view.repeats}
        self.dependent = knowledge.dependence is not None
        self._looks: dict[str, SharedLook | None] = self._reusable_looks(keep) if keep else {}
        self.seen_state = {
            index: self._states_of(root_kernel, index)
            for index in range(len(self.observers))
            if isinstance(root_kernel := self.kernels.get((index, network.root)), LabelKernel)
        }

    def with_kernels(
        self,
        kernels: Mapping[tuple[int, str], Kernel],
        carry: Array,
        exponent: Array,
        halo: Array,
        stereotype: Mapping[tuple[int, str], Array],
    ) -> ObservationModel:
        """Return the same observers with other kernels, carry, exponent and halo, which may be torch's.

        Halo stays 0 where it is: whether a reading has a switch does not change. stereotype: P(true | root
        state), (K,), of binary variables where it is not the declared one.
        """
        model = copy(self)
        model.kernels = dict(kernels)
        model.carry, model.exponent, model.halo = carry, exponent, halo
        # A fit learns each observer's own errors; given the gold, dependence says nothing about them.
        model.dependent, model._looks = False, {}
        root = self.network.root
        model.imagined = {
            key: self._implied_types(key, kernel, stereotype.get(key))
            for key, kernel in kernels.items()
            if key[1] != root
        }
        return model

    def stereotype(self, key: tuple[int, str]) -> Floats:
        """Return P(state of a variable | root state) as an observer's label implies it, (K, states)."""
        observer, name = key
        table = self.network.given_root[name].copy()
        for state, brought in self.observers[observer].stereotype.items():
            if name in brought:
                p = brought[name]
                table[self.network.root_states.index(state)] = (1 - p, p)
        return table

    def _implied_types(self, key: tuple[int, str], kernel: Kernel, true: Array | None = None) -> Array:
        """Return P(type | state that the label implies), (K + 1, M), see `imagined`."""
        table = asarray_like(self.stereotype(key), kernel.mix)
        xp = namespace(kernel.mix)
        if true is not None:
            table = xp.stack([1 - true, true], 1)
        stereotype = xp.concatenate([table, asarray_like(self.prior[None], kernel.mix) @ table])
        if isinstance(kernel, NumberKernel):
            return stereotype @ kernel.mix
        return stereotype[:, kernel.answer_of] * kernel.share

    def _kernel(self, instrument: LabelInstrument | NumberInstrument, variable: Variable) -> Kernel:
        if isinstance(instrument, NumberInstrument):
            return number_kernel(instrument, variable)
        return label_kernel(instrument, variable, self.prior)

    def _states_of(self, kernel: LabelKernel, observer: int) -> Ints:
        """Return for each type, (M,), the root state that its own answer names, K where it names none."""
        states = self.network.root_states
        names = self.observers[observer].labels[self.network.root].answers
        return np.array(
            [states.index(names[a]) if names[a] in states else len(states) for a in kernel.answer_of]
        )

    def rows_of(self, answers: Answers) -> Ints:
        """Return how many rows each item needs, (N,)."""
        variants = self.variants(answers)
        rows = self._rows_of(answers if variants is None else variants.answers)
        if variants is None:
            return rows
        return np.bincount(variants.item, rows, len(answers.items)).astype(np.int64)

    def _rows_of(self, answers: Answers) -> Ints:
        """Return how many settings the switches of each item have, (N,)."""
        return self._switched_readings(answers, self.switched(answers)).rows_of()

    def variants(self, answers: Answers) -> ReadingVariants | None:
        """Return the variants of items of which readings may be one; None where none may.

        Raises:
            AnswerError: an item with more such readings and readings under halo than can be weighed exactly.
        """
        if not self.repeats:
            return None
        free = repeats_at_stake(answers, self.repeats, self.knowledge.usual_view)
        if not free.size:
            return None
        count = np.bincount(answers.reading_item[free], minlength=len(answers.items))
        several = count > 0
        count += np.bincount(answers.reading_item[self.switched(answers)], minlength=len(count)) * several
        if count.max() > MOST_SWITCHES:
            worst = int(count.argmax())
            message = (
                f"item {answers.items[worst]!r} has {count[worst]} readings under halo or in views that "
                f"repeat the usual one; at most {MOST_SWITCHES} can be computed exactly. Leave some views "
                "out, or take `repeats` from them"
            )
            raise AnswerError(message)
        return variants_of(answers, self.repeats, self.knowledge.usual_view, free)

    def switches(self, answers: Answers) -> tuple[Bools, Ints]:
        """Return the settings in each row of one item's evidence, (rows, readings) each.

        They are whether a reading's switch is on, and its bundle, -1 where it has none.
        """
        pairs = self._expand(answers, self.switched(answers))
        shape = len(pairs.row_item), len(answers.reading_item)
        on, bundle = np.zeros(shape, dtype=bool), np.full(shape, -1)
        on[pairs.row, pairs.reading] = pairs.on
        bundle[pairs.row, pairs.reading] = pairs.bundle
        return on, bundle

    def of_bundle(self, answers: Answers, observer: int, readings: Ints) -> Floats:
        """Return log P(answers of readings that follow one label together | root type), (M,), of one item."""
        states = self.seen_state[observer]
        logs = np.zeros(len(states))
        for (key_observer, name), kernel in self.kernels.items():
            if key_observer != observer:
                continue
            reported = self._report(answers, observer, name, kernel)
            used = np.isin(reported.reading, readings)
            if not used.any():
                continue
            total = np.asarray(reported.table[reported.pattern[used]]).sum(0)
            if name == self.network.root:
                logs = logs + total
            else:
                logs = logs + np.asarray(_log_mixture(total[None], self.imagined[observer, name]))[0][states]
        return logs

    def of_readings(
        self, answers: Answers, observer: int, name: str, on: Bools
    ) -> Iterator[tuple[int, Floats]]:
        """Yield an observer's readings of one item about a variable, with P(answers | type), (paths, M).

        on: (paths, readings) the switches; where a reading's is on, its label carries all its answers, as if
        it were in no bundle. Each likelihood is scaled to a peak of one.
        """
        kernel = self.kernels[observer, name]
        reported = self._report(answers, observer, name, kernel)
        likelihood = dict(zip(reported.reading.tolist(), reported.table[reported.pattern], strict=True))
        followed = np.zeros((len(answers.reading_item), len(self.network.root_states) + 1))
        if name == self.network.root:
            switched = self.switched(answers)
            for (key_observer, variable), imagined in self.imagined.items():
                if key_observer == observer:
                    variable_report = self._report(
                        answers, observer, variable, self.kernels[observer, variable]
                    )
                    if len(variable_report.reading):
                        self._add_followed(followed, switched, imagined, variable_report)
        observer_readings = np.flatnonzero(answers.reading_observer == observer)
        for reading in (r for r in observer_readings.tolist() if r in likelihood or followed[r].any()):
            logs = np.broadcast_to(likelihood.get(reading, np.zeros(1)), (len(on), kernel.mix.shape[1]))
            if name == self.network.root:
                logs = logs + on[:, reading, None] * followed[reading][self.seen_state[observer]]
            yield reading, np.exp(logs - logs.max(1, keepdims=True))

    def reading_logs(
        self, answers: Answers, observer: int, name: str, kernel: LabelKernel
    ) -> tuple[Ints, Floats]:
        """Return an observer's readings about a variable, (r,), and log P(answers | type) of each, (r, M)."""
        reported = self._report(answers, observer, name, kernel)
        return reported.reading, np.asarray(reported.table[reported.pattern])

    def switched(self, answers: Answers) -> Bools:
        """Return which readings may follow their label, (R,): those under halo, with more than a label."""
        more = np.zeros(len(answers.reading_item), dtype=bool)
        for name, labels in answers.labels.items():
            if name != self.network.root:
                more[labels.reading] = True
        for numbers in answers.numbers.values():
            more[numbers.reading] = True
        return more & self.haloed[answers.reading_observer, answers.reading_question]

    def evidence(self, answers: Answers) -> Evidence:
        """Return the evidence in these answers.

        Raises:
            AnswerError: an item with more readings under halo, or in views that repeat the usual one, than
                can be weighed exactly.
        """
        variants = self.variants(answers)
        if variants is None:
            return self.unmixed(answers)
        return self.unmixed(variants.answers).mixed(variants)

    def unmixed(self, answers: Answers) -> Evidence:
        """Return the evidence in these answers, all of whose readings are readings of their own.

        Raises:
            AnswerError: an item with more readings under halo than can be weighed exactly.
        """
        collected = self.contributions(answers)
        row_item, pairs = collected.row_item, collected.pairs
        variables = self.knowledge.variables
        logs = {
            name: self._zeros(len(variables[name].states), len(row_item))
            for name in dict.fromkeys(
                (*answers.labels, *answers.numbers, *answers.rankings, *collected.contributions)
            )
        }
        for name, contributions in collected.contributions.items():
            self._add_all(logs[name], name, contributions)
        if self.network.root in logs:
            self._add_tails(answers, logs[self.network.root], row_item)
        on = np.stack([pairs.row[pairs.on], pairs.reading[pairs.on]])
        return Evidence(len(answers.items), row_item, collected.log_weight, logs, collected.has_evidence, on)

    def contributions(self, answers: Answers) -> Contributions:
        """Return the contribution of each observer to the evidence about each variable, not combined yet."""
        switched = self.switched(answers)
        pairs = self._expand(answers, switched)
        row_item, labels = pairs.row_item, len(self.network.root_states) + 1
        followed = self._zeros(len(answers.reading_item), labels)
        together = self._zeros(len(pairs.bundle_observer), labels)
        contributions: dict[str, list[_Contribution]] = {}
        has_evidence = np.zeros(len(row_item), dtype=bool)
        present = set(np.unique(answers.reading_observer).tolist())
        for (observer, name), kernel in self.kernels.items():
            if name == self.network.root or observer not in present:
                continue
            reported = self._report(answers, observer, name, kernel)
            if not len(reported.reading):
                continue
            imagined = self.imagined[observer, name]
            self._add_followed(followed, switched, imagined, reported)
            positions = _positions(reported.reading, len(answers.reading_item))
            bundles, answered = _of_bundles(pairs, observer, positions, reported)
            if len(bundles):
                together[bundles] += _log_mixture(answered, imagined)
            local = positions[pairs.reading]
            used = (local >= 0) & ~pairs.on
            pattern, row = reported.pattern[local[used]], pairs.row[used]
            has_evidence[row] = True
            part = _Contribution(observer, reported.table, pattern, row)
            contributions.setdefault(name, []).append(part)
        if self.network.root in (*answers.labels, *answers.rankings) or switched.any():
            contributions[self.network.root] = [
                self._root_contribution(answers, observer, followed, together, pairs)
                for observer in sorted(present & set(self.seen_state))
            ]
        return Contributions(row_item, pairs, pairs.log_weight, has_evidence, contributions)

    def _zeros(self, *shape: int) -> Array:
        """Return zeros of a shape, in the library of the kernels."""
        return asarray_like(np.zeros(shape), self.carry)

    def _switched_readings(self, answers: Answers, switched: Bools) -> SwitchedReadings:
        reading = np.flatnonzero(switched)
        return SwitchedReadings(
            len(answers.items),
            answers.reading_item,
            reading,
            answers.reading_observer[reading],
            answers.reading_question[reading],
            self.halo,
            self.carry,
            self.carries,
        )

    def _expand(self, answers: Answers, switched: Bools) -> Expanded:
        """Return the rows of the items.

        Raises:
            AnswerError: an item with more readings under halo than can be weighed exactly.
        """
        switches = np.bincount(answers.reading_item[switched], minlength=len(answers.items))
        if switches.max(initial=0) > MOST_SWITCHES:
            worst = int(switches.argmax())
            message = (
                f"item {answers.items[worst]!r} has {switches[worst]} readings under halo; at most "
                f"{MOST_SWITCHES} can be computed exactly. Leave some views out, ask them one level "
                "at a time, or remove the observer's halo"
            )
            raise AnswerError(message)
        return self._switched_readings(answers, switched).expand()

    def _report(self, answers: Answers, observer: int, name: str, kernel: Kernel) -> _Report:
        """Return what an observer's readings report about a variable."""
        readings = len(answers.reading_item)
        by_observer = answers.reading_observer == observer
        if isinstance(kernel, NumberKernel):
            numbers = answers.numbers.get(name)
            if numbers is None:
                return _NOTHING
            used = by_observer[numbers.reading]
            reading, value = numbers.reading[used], numbers.value[used]
            # Models emit few distinct numbers, so each is looked at once.
            values, which = np.unique(value, return_inverse=True)
            return _sum_draws(reading, which, kernel.log_likelihood(values), readings)
        labels = answers.labels.get(name)
        if labels is None:
            return _NOTHING
        used = by_observer[labels.reading]
        size = kernel.alpha.shape[1]
        weight = labels.weight[used] * np.where(labels.spread[used], kernel.weight, 1.0)
        cell = labels.reading[used] * size + labels.answer[used]
        counts = np.bincount(cell, weights=weight, minlength=readings * size).reshape(-1, size)
        answered = np.flatnonzero(np.bincount(labels.reading[used], minlength=readings))
        patterns, pattern = distinct_rows(counts[answered].astype(np.float64))
        return _Report(answered, pattern, kernel.log_likelihood(patterns))

    def _add_followed(self, followed: Array, switched: Bools, imagined: Array, reported: _Report) -> None:
        """Add to `followed` (readings, K + 1) the log-likelihood of answers that follow each label.

        The value that a label implies is imagined once for each reading, by the knowledge, and answered as
        often as asked: a binary value as if it had been seen, a number through the whole instrument.
        """
        chosen = switched[reported.reading]
        if chosen.any():
            log_follow = _log_mixture(reported.table, imagined)
            followed[reported.reading[chosen]] += take_rows(log_follow, reported.pattern[chosen])

    def _root_contribution(
        self, answers: Answers, observer: int, followed: Array, together: Array, pairs: Expanded
    ) -> _Contribution:
        """Return an observer's contribution about the root: its labels, and answers that followed a label.

        followed: (readings, K + 1) and together: (bundles, K + 1) log P(other answers | the label followed).
        """
        kernel, states = self.kernels[observer, self.network.root], self.seen_state[observer]
        reported = self._report(answers, observer, self.network.root, kernel)
        local = _positions(reported.reading, len(answers.reading_item))[pairs.reading]
        by_observer = answers.reading_observer[pairs.reading] == observer
        alone = by_observer & (pairs.bundle < 0)
        plain, on = alone & (local >= 0) & ~pairs.on, alone & pairs.on
        # Readings without a label show only what follows from one; their table stands behind those of the
        # labels.
        unlabelled = len(reported.table)
        label_table = asarray_like(reported.table.reshape(-1, len(states)), followed)
        xp = namespace(label_table)
        table = xp.concatenate([label_table, self._zeros(1, len(states))])
        label_pattern = np.where(local >= 0, np.append(reported.pattern, unlabelled)[local], unlabelled)
        combined = take_rows(table, label_pattern[on]) + take_rows(followed, pairs.reading[on])[:, states]
        number = np.where(plain, label_pattern, 0)
        number[on] = len(table) + np.arange(len(combined))
        used = plain | on
        own_bundles = np.flatnonzero(pairs.bundle_observer == observer)
        pattern, row = number[used], pairs.row[used]
        if len(own_bundles):
            # A bundle is one factor in each of its rows, whatever the number of its readings.
            member = pairs.member[:, pairs.bundle_observer[pairs.member[0]] == observer]
            position = _positions(reported.reading, len(answers.reading_item))[member[1]]
            stands = np.where(position >= 0, np.append(reported.pattern, unlabelled)[position], unlabelled)
            starts = np.searchsorted(member[0], own_bundles)
            joint = taken_sums(table, stands, starts) + take_rows(together, own_bundles)[:, states]
            bundled = by_observer & (pairs.bundle >= 0)
            once = np.unique(np.stack([pairs.row[bundled], pairs.bundle[bundled]]), axis=1)
            first = len(table) + len(combined)
            pattern = np.concatenate([pattern, first + np.searchsorted(own_bundles, once[1])])
            row = np.concatenate([row, once[0]])
            combined = xp.concatenate([combined, joint])
        return _Contribution(observer, xp.concatenate([table, combined]), pattern, row)

    def _add_tails(self, answers: Answers, about_root: Array, row_item: Ints) -> None:
        """Add places 2 and 3 of rankings; all rankings of one observer about an item count as one.

        Rankings of several observers count less as far as they follow the same look: n of them for
        n / (1 + (n - 1) λ).
        An observer weighs w, the range of its log-likelihood over the states: n = (Σ w)² / Σ w², and λ is the
        mean so weighted. An observer that tells no states apart takes nothing from the others.
        """
        rankings = answers.rankings.get(self.network.root)
        if rankings is None:
            return
        items, states = len(answers.items), len(self.network.root_states)
        total = self._zeros(items, states)
        weight, square, following = np.zeros(items), np.zeros(items), np.zeros(items)
        for observer in sorted(self.seen_state):
            kernel = self.kernels.get((observer, self.network.root))
            used = (answers.reading_observer[rankings.reading] == observer) & (rankings.places[:, 1] >= 0)
            if not used.any() or not isinstance(kernel, LabelKernel) or kernel.tails is None:
                continue
            item = answers.reading_item[rankings.reading[used]]
            first, second, third = rankings.places[used].T
            tails = kernel.tails[first, second, third]
            cell = item[:, None] * states + np.arange(states)
            tail_sums = sums_at(tails.reshape(-1), cell.reshape(-1), items * states).reshape(items, states)
            count = np.bincount(item, minlength=items)
            tail = self.exponent[observer] * tail_sums / asarray_like(np.maximum(count, 1.0)[:, None], tails)
            total = total + tail
            if self.dependent:
                spread = np.ptp(tail, axis=1)
                weight, square = weight + spread, square + spread**2
                following += spread * self.observers[observer].follows
        if self.dependent:
            rankers = weight**2 / np.maximum(square, LEAST)
            shared = following / np.maximum(weight, LEAST)
            total = total / (1 + np.maximum(rankers - 1, 0) * shared)[:, None]
        about_root += total.T[:, row_item]

    def shared_look(self, name: str) -> SharedLook | None:
        """Return the looks that the observers of a variable share; None where observers are independent.

        Its answers are the types of the observers' kernels, in the order of `observers_of`.
        """
        if name not in self._looks:
            self._looks[name] = self._derive_look(name)
        return self._looks[name]

    def observers_of(self, name: str) -> list[int]:
        """Return the indices of the observers that answer about a variable."""
        return [o for (o, v) in self.kernels if v == name]

    def _reusable_looks(self, like: ObservationModel) -> dict[str, SharedLook | None]:
        """Return the looks of a like model that were derived from the same tables, follows and section."""
        if like.knowledge.dependence != self.knowledge.dependence:
            return {}

        def inputs(model: ObservationModel, name: str) -> list[tuple[int, int, float, str, float]]:
            known = [(o, id(model.kernels[o, name]), model.observers[o]) for o in model.observers_of(name)]
            return [
                (o, key, settled_follows(observer), observer.family, family_follows(observer))
                for o, key, observer in known
            ]

        return {
            name: look
            for name, look in like._looks.items()
            if like.dependent and inputs(like, name) == inputs(self, name)
        }

    def answered_together(self, answers: Answers) -> tuple[str, ...]:
        """Return the variables about which several dependent observers answered for one item."""
        if not self.dependent:
            return ()
        collected = self.contributions(answers)
        names = []
        for name, contributions in collected.contributions.items():
            observers = np.zeros(len(collected.row_item), dtype=np.int64)
            for part in contributions:
                observers[np.unique(part.row)] += 1
            if self.observers_of(name) and observers.max(initial=0) > 1:
                names.append(name)
        return tuple(names)

    def _derive_look(self, name: str) -> SharedLook | None:
        """Return the looks of a variable, derived from the tables of all its observers."""
        declared, known = self.knowledge.dependence, self.observers_of(name)
        if not self.dependent or declared is None:
            return None
        variable = self.knowledge.variables[name]
        if variable.kind == "interval":
            return number_look(variable.edges, [self._teller(o, name) for o in known])
        follows = np.array([settled_follows(self.observers[o]) for o in known])
        observers = [self.observers[o] for o in known]
        answers = [observer.labels[name].answers for observer in observers]
        mixes = [np.asarray(self.kernels[o, name].mix) for o in known]
        # Types are answers, each once for every kind of reading.
        tables = [mix.reshape(len(mix), -1, len(a)).sum(1) for mix, a in zip(mixes, answers, strict=True)]
        shares = [
            mix / np.maximum(np.tile(table, mix.shape[1] // table.shape[1]), LEAST)
            for mix, table in zip(mixes, tables, strict=True)
        ]
        strengths = map(family_follows, observers)
        members = list(map(Member, range(len(known)), answers, tables, strengths))
        families = families_of(observers, members)
        if np.count_nonzero(follows) < 2 and not families:
            return None
        matches = [own_answers(a, variable) for a in answers]
        look = with_families(shared_look(tables, matches, follows, declared), families)
        return look.of_types(shares)

    def _teller(self, index: int, name: str) -> NumberTeller:
        """Return an observer as one that tells a number, by its kernel: a fit may have moved the declared."""
        observer, kernel = self.observers[index], self.kernels[index, name]
        assert isinstance(kernel, NumberKernel)
        return NumberTeller(
            cuts=tuple(kernel.cuts.tolist()),
            sd=float(kernel.instrument.perception),
            stray=float(kernel.instrument.stray),
            follows=settled_follows(observer),
            family=observer.family,
            family_follows=family_follows(observer),
        )

    def _add_all(self, logs: Array, name: str, contributions: list[_Contribution]) -> None:
        """Add the evidence about a variable to `logs` (states, rows)."""
        look = self.shared_look(name) if len(contributions) > 1 else None
        together = np.zeros(logs.shape[1], dtype=bool)
        if look is not None:
            observers = np.zeros(logs.shape[1], dtype=np.int64)
            for part in contributions:
                observers[np.unique(part.row)] += 1
            together = observers > 1
        for part in contributions:
            alone = part.within(~together) if together.any() else part
            self._add(logs, name, alone)
        if look is not None and together.any():
            rows = np.flatnonzero(together)
            joint, scale = self._likelihood_given_looks(
                name, look, [part.within(together) for part in contributions], rows
            )
            logs[:, rows] += (
                np.log(np.maximum((look.look_given_state[:, :, None] * joint).sum(1), LEAST)) + scale
            )

    def _likelihood_given_looks(
        self, name: str, look: SharedLook, contributions: list[_Contribution], rows: Ints
    ) -> tuple[Floats, Floats]:
        """Return P(answers | state, look) up to a factor a row, (K, J, rows), and the factors' logs."""
        place = {observer: i for i, observer in enumerate(self.observers_of(name))}
        by_family: dict[int, list[_Contribution]] = {}
        for part in (part for part in contributions if len(part.row)):
            by_family.setdefault(look.family_of(place[part.observer]), []).append(part)
        # The only member of a family that answered is as an observer without one.
        strangers = [
            part for number, parts in by_family.items() for part in parts if number < 0 or len(parts) == 1
        ]
        given = [(part, look.answer_given[place[part.observer]]) for part in strangers]
        joint, scale = self._product(name, given, look.look_given_state.shape, rows)
        for number, parts in by_family.items():
            if number >= 0 and len(parts) > 1:
                family = look.families[number]
                members = [(part, family.of_member(place[part.observer])) for part in parts]
                for some, likelihood, logs in self._likelihood_given_family(
                    name, members, family.settled_given.shape, rows
                ):
                    joint[:, :, some] *= np.einsum("xjf,xjfn->xjn", family.settled_given, likelihood)
                    scale[some] += logs
        return joint, scale

    def _likelihood_given_family(
        self,
        name: str,
        members: list[tuple[_Contribution, Floats]],
        shape: tuple[int, ...],
        rows: Ints,
    ) -> Iterator[tuple[slice, Floats, Floats]]:
        """Yield for parts of the rows P(members' answers | state, look, what their family made of it).

        members: the contribution of each, and W, (K, J, F, M). shape: (K, J, F). Each part is a slice of
        `rows`, the likelihoods up to a factor a row, (K, J, F, n), and the factors' logs, (n,).
        """
        states, looks, outcomes = shape
        step = max(1, MOST_CELLS // (states * looks * outcomes))
        flat = [(part, given.reshape(states, looks * outcomes, -1)) for part, given in members]
        for start in range(0, len(rows), step):
            some = slice(start, start + step)
            within = np.zeros(int(rows.max()) + 1, dtype=bool)
            within[rows[some]] = True
            parts = [(part.within(within), given) for part, given in flat]
            likelihood, logs = self._product(name, parts, (states, looks * outcomes), rows[some])
            yield some, likelihood.reshape(states, looks, outcomes, -1), logs

    def _product(
        self,
        name: str,
        given: list[tuple[_Contribution, Floats]],
        shape: tuple[int, ...],
        rows: Ints,
    ) -> tuple[Floats, Floats]:
        """Return P(answers | state, l) up to a factor a row, (K, L, rows), and the factors' logs.

        given: the contribution of each observer to these rows alone, and P(it settles on m | state, l),
        (K, L, M). shape: (K, L).
        """
        position = _positions(rows, int(rows.max(initial=-1)) + 1)
        joint, scale = np.ones((*shape, len(rows))), np.zeros(len(rows))
        for part, answer_given in ((part, table) for part, table in given if len(part.row)):
            answered, where = np.unique(part.row, return_inverse=True)
            likelihood, peak = self._observer_given_look(name, part, where, answer_given)
            exponent = float(self.exponent[part.observer])
            if exponent != 1.0:
                likelihood **= exponent
            most = likelihood.max((0, 1))
            likelihood /= most
            scale_of_row = exponent * peak + np.log(most)
            column = position[answered]
            if len(column) < len(rows):
                likelihood *= joint[:, :, column]
            else:
                # The columns are all in their order, as rows of the evidence are.
                likelihood *= joint
            # What many observers agree about becomes small; only proportions matter.
            most = likelihood.max((0, 1))
            likelihood /= most
            joint[:, :, column] = likelihood
            scale[column] += scale_of_row + np.log(most)
        return joint, scale

    def _observer_given_look(
        self, name: str, part: _Contribution, where: Ints, answer_given: Floats
    ) -> tuple[Floats, Floats]:
        """Return P(an observer's answers | state, look), (K, J, rows), over exp of the peaks (rows,).

        where: (P,) the row of each reading, from 0. answer_given: V, (K, J, M).
        """
        table, rows = part.table[part.pattern], int(where.max()) + 1
        mix, carry = self.kernels[part.observer, name].mix, self.carry[part.observer]
        if len(where) == rows:
            ordered = np.empty_like(table)
            ordered[where] = table
            peak = ordered.max(1)
            likelihood = np.exp(ordered - peak[:, None])
            settled = answer_given @ likelihood.T
            return carry * settled + (1 - carry) * (mix @ likelihood.T)[:, None], peak
        parts = list(settled_logs(mix, table, where, rows, carry))
        logs, outside = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        peak = logs.max((1, 2))
        likelihood = np.exp(logs - peak[:, None, None])
        return np.einsum("xjm,nxm->xjn", answer_given, likelihood), peak + outside

    def given_others(
        self,
        answers: Answers,
        observer: int,
        name: str,
        followed: Bools | None = None,
        collected: Contributions | None = None,
    ) -> Floats | None:
        """Return P(type that an observer settles on | state, other observers' answers), (rows, K, M).

        collected: the `contributions` of these answers, where they are at hand.

        Rows are those of the evidence; where `followed` says which readings followed their label, (R,), each
        item has one row, that in which exactly these did. None where no other observer answered, or they are
        independent.
        """
        look = self.shared_look(name)
        known = self.observers_of(name)
        if look is None or observer not in known:
            return None
        collected = collected or self.contributions(answers)
        other_contributions = [
            part for part in collected.contributions.get(name, ()) if part.observer != observer
        ]
        if not any(len(part.row) for part in other_contributions):
            return None
        rows = np.arange(len(collected.row_item))
        if followed is not None:
            pairs = collected.pairs
            differs = pairs.on != (followed & self.switched(answers))[pairs.reading]
            rows = np.flatnonzero(np.bincount(pairs.row[differs], minlength=len(rows)) == 0)
            # Of settings that differ in their bundles alone the likeliest.
            rows = rows[np.lexsort((-np.asarray(pairs.log_weight)[rows], pairs.row_item[rows]))]
            rows = rows[np.unique(pairs.row_item[rows], return_index=True)[1]]
        fitting = np.zeros(len(collected.row_item), dtype=bool)
        fitting[rows] = True
        return self._settled_given(
            name, look, known.index(observer), [p.within(fitting) for p in other_contributions], rows
        )

    def _settled_given(
        self, name: str, look: SharedLook, place: int, contributions: list[_Contribution], rows: Ints
    ) -> Floats:
        """Return P(type that the observer at a place settles on | state, others' answers), (rows, K, M)."""
        number = look.family_of(place)
        known = self.observers_of(name)
        fellows: list[_Contribution] = []
        strangers: list[_Contribution] = []
        for part in (part for part in contributions if len(part.row)):
            same = number >= 0 and known.index(part.observer) in look.families[number].members
            (fellows if same else strangers).append(part)
        joint, _ = self._likelihood_given_looks(name, look, strangers, rows)
        weight = look.look_given_state[:, :, None] * joint
        if not fellows:
            weight = weight / weight.sum(1, keepdims=True)
            return np.asarray(np.einsum("xjn,xjm->nxm", weight, look.answer_given[place]))
        family = look.families[number]
        members = [(part, family.of_member(known.index(part.observer))) for part in fellows]
        settles = np.empty((len(rows), *look.answer_given[place].shape[::2]))
        for some, likelihood, _ in self._likelihood_given_family(
            name, members, family.settled_given.shape, rows
        ):
            both = weight[:, :, None, some] * family.settled_given[..., None] * likelihood
            both = both / both.sum((1, 2), keepdims=True)
            settles[some] = np.einsum("xjfn,xjfm->nxm", both, family.of_member(place))
        return settles

    def _add(self, logs: Array, name: str, part: _Contribution) -> None:
        """Add one observer's evidence about a variable, taken as independent, to `logs` (states, rows)."""
        kernel, exponent = self.kernels[part.observer, name], self.exponent[part.observer]
        table, pattern, row = part.table, part.pattern, part.row
        several = np.bincount(row, minlength=logs.shape[1])[row] > 1
        if not several.all():
            fresh = exponent * _log_mixture(table, kernel.mix)
            logs[:, row[~several]] += take_rows(fresh, pattern[~several]).T
        if several.any():
            carried_rows, where = np.unique(row[several], return_inverse=True)
            carry = self.carry[part.observer]
            log_likelihood = carried_log_likelihood(
                kernel.mix, take_rows(table, pattern[several]), where, len(carried_rows), carry
            )
            logs[:, carried_rows] += exponent * log_likelihood.T


_NOTHING = _Report(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros((0, 0)))


def _of_bundles(
    pairs: Expanded, observer: int, positions: Ints, reported: _Report
) -> tuple[Ints, Array | Floats]:
    """Return the bundles (b,) with answers about a variable, and log P(their answers | type), (b, M).

    positions: (readings,) of each reading its place in `reported`, -1 where it has none.
    """
    member = pairs.member[:, pairs.bundle_observer[pairs.member[0]] == observer]
    member = member[:, positions[member[1]] >= 0]
    if not member.size:
        return member[0], np.zeros((0, 0))
    bundles, starts = np.unique(member[0], return_index=True)
    return bundles, taken_sums(reported.table, reported.pattern[positions[member[1]]], starts)


def _log_mixture(table: Array, mix: Array) -> Array:
    """Return log Σ_m mix[x, m] exp(table[p, m]), (P, X)."""
    xp = namespace(table)
    peak = xp.amax(table, 1)[:, None]
    return _log(xp.exp(table - peak) @ mix.T) + peak


def _log(array: Array) -> Array:
    """Return the log of each number, clipped at LEAST, of the array's shape; a numpy array is overwritten."""
    if is_tensor(array):
        return array.clip(LEAST).log()
    numbers = np.asarray(array)
    return np.log(np.maximum(numbers, LEAST, out=numbers), out=numbers)


def carried_log_likelihood(
    mix: Array, likelihood: Array, row: Ints, rows: int, carry: Array | float
) -> Array:
    """Return log Σ_m C[x, m] Π_k (κ L_k(m) + (1 - κ) Σ_r C[x, r] L_k(r)), (rows, K).

    mix: C (K, M); likelihood: log L_k, (P, M); row: (P,) the row that each reading k belongs to, every row
    has one; carry: κ.
    """
    xp = namespace(mix)
    log_mix = xp.log(xp.clip(mix, LEAST, None))
    parts = []
    for logs, peak in settled_logs(mix, likelihood, row, rows, carry):
        total = logs + log_mix
        high = xp.amax(total, 2)[:, :, None]
        mixed = xp.log(xp.exp(total - high).sum(2)) + high[:, :, 0]
        parts.append(mixed + peak[:, None])
    return xp.concatenate(parts)


def settled_logs(
    mix: Array, likelihood: Array, row: Ints, rows: int, carry: Array | float
) -> Iterator[tuple[Array, Array]]:
    """Yield log Π_k (κ L_k(m) + (1 - κ) Σ_r C[x, r] L_k(r)) of some rows, (n, K, M), less their peaks (n,).

    One part of the rows after the other; arguments as those of `carried_log_likelihood`.
    """
    xp = namespace(mix)
    order = np.argsort(row, kind="stable")
    starts = np.searchsorted(row[order], np.arange(rows))
    peak = xp.amax(likelihood, 1)
    seen = xp.exp(likelihood - peak[:, None])
    fresh = seen @ mix.T
    ends = np.append(starts[1:], len(row))
    first = 0
    while first < rows:
        most = starts[first] + max(1, MOST_CELLS // mix.shape[0] // mix.shape[1])
        last = max(int(np.searchsorted(ends, most, side="right")), first + 1)
        part = order[starts[first] : ends[last - 1]]
        begin = starts[first:last] - starts[first]
        inner = carry * take_rows(seen, part)[:, None, :] + (1 - carry) * take_rows(fresh, part)[:, :, None]
        yield run_sums(_log(inner), begin), run_sums(take_rows(peak, part), begin)
        first = last


def _sum_draws(reading: Ints, which: Ints, table: Array, readings: int) -> _Report:
    """Add up the log-likelihoods table[which] (draws, M) of each reading's draws."""
    draws = np.bincount(reading, minlength=readings)
    answered = np.flatnonzero(draws)
    if draws.max(initial=0) <= 1:
        pattern = np.zeros(readings, dtype=np.int64)
        pattern[reading] = which
        return _Report(answered, pattern[answered], table)
    order = np.argsort(reading, kind="stable")
    starts = np.cumsum(draws[answered]) - draws[answered]
    total = taken_sums(table, which[order], starts)
    return _Report(answered, np.arange(len(answered)), total)


def _positions(chosen: Ints, size: int) -> Ints:
    """Return the position of each index 0 to size - 1 in `chosen`, (size,), -1 where it is not chosen."""
    positions = np.full(size, -1)
    positions[chosen] = np.arange(len(chosen))
    return positions


def distinct_rows(counts: Floats) -> tuple[Floats, Ints]:
    """Return the distinct rows of counts (n, size), and for each row the index of its distinct row, (n,)."""
    whole = counts.astype(np.int64)
    radix = whole.max(initial=0) + 1
    if np.any(whole != counts) or float(radix) ** counts.shape[1] > 2**62:
        rows, which = np.unique(counts, axis=0, return_inverse=True)
        return rows, which.reshape(-1)
    key = whole @ radix ** np.arange(counts.shape[1])
    if key.max(initial=0) < DENSE_KEYS:
        present = np.bincount(key) > 0
        first = np.zeros(len(present), dtype=np.int64)
        first[key] = np.arange(len(key))
        return counts[first[present]], (np.cumsum(present) - 1)[key]
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    return counts[first], which
