"""Answers -> evidence. This room alone defines how repeated samples count.

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

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import add_rows, asarray_like, distinct, namespace, take_rows
from engine.errors import AnswerError
from engine.observation import repeated_views
from engine.observation.carried_likelihood import carried_log_likelihood, log_mixture
from engine.observation.contributions import Contributions, ObserverContribution
from engine.observation.given_looks import (
    answered_by_several,
    likelihood_given_looks,
    settled_given,
)
from engine.observation.kernels import LEAST
from engine.observation.observer_kernels import ObserverKernels
from engine.observation.ranking_tails import add_tails
from engine.observation.reported_answers import positions_of, reported_answers, reported_by_bundle
from engine.observation.root_contribution import root_contribution
from engine.observation.switches import Expanded, SwitchedReadings
from engine.observation.told_readings import log_weight_of_told, told_readings, without_told_places

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.backend.types import Array, Bools, Floats, Ints
    from engine.model.responses import Answers
    from engine.observation.kernels import LabelKernel
    from engine.observation.reported_answers import ReportedAnswers

# Readings of an item under halo at most: each doubles its rows.
MOST_SWITCHES = 10


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

    def mixed(self, variants: repeated_views.ReadingVariants) -> Evidence:
        """Return the evidence about items, from that about their variants."""
        weight = asarray_like(variants.log_weight[self.row_item], self.log_weight)
        return replace(
            self,
            items=variants.items,
            row_item=variants.item[self.row_item],
            log_weight=self.log_weight + weight,
            on=np.stack(variants.originals(*self.on)),
        )

    @classmethod
    def stacked(cls, parts: Sequence[Evidence]) -> Evidence:
        """Return the evidence of several batches as that of one; `on` is left out."""
        sizes = {name: len(log) for part in parts for name, log in part.log_likelihood.items()}
        starts = np.cumsum([0, *(part.items for part in parts)])
        return cls(
            int(starts[-1]),
            np.concatenate([part.row_item + start for part, start in zip(parts, starts[:-1], strict=True)]),
            np.concatenate([part.log_weight for part in parts]),
            {
                name: np.concatenate(
                    [part.log_likelihood.get(name, np.zeros((size, len(part.row_item)))) for part in parts], 1
                )
                for name, size in sizes.items()
            },
            np.concatenate([part.has_evidence for part in parts]),
            np.zeros((2, 0), dtype=np.int64),
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


class ObservationModel(ObserverKernels):
    """The evidence in answers, by the kernels of a network's observers."""

    def rows_of(self, answers: Answers) -> Ints:
        """Return how many rows each item needs, (N,)."""
        variants = self.variants(answers)
        rows = self._rows_of(answers if variants is None else variants.answers)
        if variants is None:
            return rows
        return np.bincount(variants.item, rows, len(answers.items)).astype(np.int64)

    def _rows_of(self, answers: Answers) -> Ints:
        """Return how many settings the switches of each item have, (N,)."""
        return self._switched_readings(answers).rows_of()

    def variants(self, answers: Answers) -> repeated_views.ReadingVariants | None:
        """Return the variants of items of which readings may be one; None where none may.

        Raises:
            AnswerError: an item with more such readings and readings under halo than can be weighed exactly.
        """
        if not self.repeats:
            return None
        free = repeated_views.repeats_at_stake(answers, self.repeats, self.knowledge.usual_view)
        if not free.size:
            return None
        repeated_views.check_number_of_variants(answers, free, self.may_follow(answers), MOST_SWITCHES)
        return repeated_views.variants_of(answers, self.repeats, self.knowledge.usual_view, free)

    def switches(self, answers: Answers) -> tuple[Bools, Ints]:
        """Return the settings in each row of one item's evidence, (rows, readings) each.

        They are whether a reading's switch is on, and its bundle, -1 where it has none.
        """
        pairs = self._expand(answers)
        shape = len(pairs.row_item), len(answers.reading_item)
        on, bundle = np.zeros(shape, dtype=bool), np.full(shape, -1)
        on[pairs.row, pairs.reading] = pairs.on
        bundle[pairs.row, pairs.reading] = pairs.bundle
        return on, bundle

    def of_bundle(self, answers: Answers, observer: int, readings: Ints) -> Floats:
        """Return log P(answers of readings that follow one label together | root type), (M,), of one item."""
        states = self.seen_state[observer]
        logs = np.zeros(len(states))
        if told_readings(self, answers)[readings].any():
            return logs
        for (key_observer, name), kernel in self.kernels.items():
            if key_observer != observer:
                continue
            reported = reported_answers(answers, observer, name, kernel, self.echo[observer])
            used = np.isin(reported.reading, readings)
            if not used.any():
                continue
            total = np.asarray(reported.table[reported.pattern[used]]).sum(0)
            if name == self.network.root:
                logs = logs + total
            else:
                logs = logs + np.asarray(log_mixture(total[None], self.imagined[observer, name]))[0][states]
        return logs

    def of_readings(
        self, answers: Answers, observer: int, name: str, on: Bools
    ) -> Iterator[tuple[int, Floats]]:
        """Yield an observer's readings of one item about a variable, with P(answers | type), (paths, M).

        on: (paths, readings) the switches; where a reading's is on, its label carries all its answers, as if
        it were in no bundle. Each likelihood is scaled to a peak of one.
        """
        kernel = self.kernels[observer, name]
        reported = reported_answers(answers, observer, name, kernel, self.echo[observer])
        likelihood = dict(zip(reported.reading.tolist(), reported.table[reported.pattern], strict=True))
        followed = np.zeros((len(answers.reading_item), len(self.network.root_states) + 1))
        if name == self.network.root:
            switched = self.switched(answers)
            for (key_observer, variable), imagined in self.imagined.items():
                if key_observer == observer:
                    variable_report = reported_answers(
                        answers, observer, variable, self.kernels[observer, variable], self.echo[observer]
                    )
                    if len(variable_report.reading):
                        self._add_followed(followed, switched, imagined, variable_report)
        was_told = told_readings(self, answers)
        observer_readings = np.flatnonzero(answers.reading_observer == observer)
        for reading in (r for r in observer_readings.tolist() if r in likelihood or followed[r].any()):
            logs = np.broadcast_to(likelihood.get(reading, np.zeros(1)), (len(on), kernel.mix.shape[1]))
            if name == self.network.root:
                logs = logs + on[:, reading, None] * followed[reading][self.seen_state[observer]]
                # What was told in place of a look says nothing.
                logs = np.where(on[:, reading, None] & was_told[reading], 0.0, logs)
            yield reading, np.exp(logs - logs.max(1, keepdims=True))

    def reading_logs(
        self, answers: Answers, observer: int, name: str, kernel: LabelKernel
    ) -> tuple[Ints, Floats]:
        """Return an observer's readings about a variable, (r,), and log P(answers | type) of each, (r, M)."""
        reported = reported_answers(answers, observer, name, kernel, self.echo[observer])
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

    def may_follow(self, answers: Answers) -> Bools:
        """Return which readings have a switch, (R,): those that may follow a label or what was stated."""
        return self.switched(answers) | told_readings(self, answers)

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
            name: self.zeros(len(variables[name].states), len(row_item))
            for name in dict.fromkeys(
                (*answers.labels, *answers.numbers, *answers.rankings, *collected.contributions)
            )
        }
        for name, contributions in collected.contributions.items():
            self._add_all(logs[name], name, contributions)
        if self.network.root in logs:
            add_tails(self, without_told_places(answers), logs[self.network.root], row_item)
        on = np.stack([pairs.row[pairs.on], pairs.reading[pairs.on]])
        return Evidence(len(answers.items), row_item, collected.log_weight, logs, collected.has_evidence, on)

    def contributions(self, answers: Answers) -> Contributions:
        """Return the contribution of each observer to the evidence about each variable, not combined yet."""
        switched = self.may_follow(answers)
        pairs = self._expand(answers)
        row_item, labels = pairs.row_item, len(self.network.root_states) + 1
        followed = self.zeros(len(answers.reading_item), labels)
        together = self.zeros(len(pairs.bundle_observer), labels)
        contributions: dict[str, list[ObserverContribution]] = {}
        has_evidence = np.zeros(len(row_item), dtype=bool)
        present = set(distinct(answers.reading_observer).tolist())
        for observer, name in self.kernels:
            if name == self.network.root or observer not in present:
                continue
            reported = self.reported(answers, observer, name)
            if not len(reported.reading):
                continue
            imagined = self.imagined[observer, name]
            self._add_followed(followed, switched, imagined, reported)
            positions = positions_of(reported.reading, len(answers.reading_item))
            bundles, which, answered = reported_by_bundle(pairs, observer, positions, reported)
            if len(bundles):
                log_follow = take_rows(log_mixture(answered, imagined), which)
                add_rows(together, bundles, self.apart(log_follow))
            local = positions[pairs.reading]
            used = (local >= 0) & ~pairs.on
            pattern, row = reported.pattern[local[used]], pairs.row[used]
            has_evidence[row] = True
            part = ObserverContribution(observer, reported.table, pattern, row)
            contributions.setdefault(name, []).append(part)
        if self.network.root in (*answers.labels, *answers.rankings) or switched.any():
            contributions[self.network.root] = [
                root_contribution(self, answers, observer, followed, together, pairs)
                for observer in sorted(present & set(self.seen_state))
            ]
        log_weight = pairs.log_weight
        if told_readings(self, answers).any():
            told_weight = log_weight_of_told(self, answers, followed, together, pairs)
            log_weight = asarray_like(log_weight, told_weight) + told_weight
        return Contributions(row_item, pairs, log_weight, has_evidence, contributions)

    def _switched_readings(self, answers: Answers) -> SwitchedReadings:
        """Return the readings with a switch; those that were told something are as of another observer."""
        reading, xp = np.flatnonzero(self.may_follow(answers)), namespace(self.halo)
        was_told = told_readings(self, answers)[reading]
        return SwitchedReadings(
            len(answers.items),
            answers.reading_item,
            reading,
            answers.reading_observer[reading] + was_told * len(self.observers),
            answers.reading_question[reading],
            xp.concatenate([self.halo, asarray_like(self.halo_of_given, self.halo)]),
            xp.concatenate([self.carry, self.carry]),
            np.tile(self.carries, 2),
        )

    def _expand(self, answers: Answers) -> Expanded:
        """Return the rows of the items.

        Raises:
            AnswerError: an item with more readings under halo than can be weighed exactly.
        """
        switches = np.bincount(answers.reading_item[self.may_follow(answers)], minlength=len(answers.items))
        if switches.max(initial=0) > MOST_SWITCHES:
            worst = int(switches.argmax())
            message = (
                f"item {answers.items[worst]!r} has {switches[worst]} readings under halo; at most "
                f"{MOST_SWITCHES} can be computed exactly. Leave some views out, ask them one level "
                "at a time, or remove the observer's halo"
            )
            raise AnswerError(message)
        pairs = self._switched_readings(answers).expand()
        return replace(pairs, bundle_observer=pairs.bundle_observer % len(self.observers))

    def _add_followed(
        self, followed: Array, switched: Bools, imagined: Array, reported: ReportedAnswers
    ) -> None:
        """Add to `followed` (readings, K + 1) the log-likelihood of answers that follow each label.

        The value that a label implies is imagined once for each reading, by the knowledge, and answered as
        often as asked: a binary value as if it had been seen, a number through the whole instrument.
        """
        chosen = switched[reported.reading]
        if chosen.any():
            log_follow = self.mixture(reported.table, imagined)
            log_follow = take_rows(log_follow, reported.pattern[chosen])
            add_rows(followed, reported.reading[chosen], self.apart(log_follow))

    def answered_together(self, answers: Answers) -> tuple[str, ...]:
        """Return the variables about which several dependent observers answered for one item."""
        if not self.dependent:
            return ()
        collected = self.contributions(answers)
        names = []
        for name, contributions in collected.contributions.items():
            if self.observers_of(name) and answered_by_several(contributions, len(collected.row_item)).any():
                names.append(name)
        return tuple(names)

    def _add_all(self, logs: Array, name: str, contributions: list[ObserverContribution]) -> None:
        """Add the evidence about a variable to `logs` (states, rows)."""
        # The look is derived for rows alone that several answered.
        together = np.zeros(logs.shape[1], dtype=bool)
        if self.dependent and len(contributions) > 1:
            together = answered_by_several(contributions, len(together))
        look = self.shared_look(name) if together.any() else None
        if look is None:
            together[:] = False
        for part in contributions:
            alone = part.within(~together) if together.any() else part
            self._add(logs, name, alone)
        if look is not None:
            rows = np.flatnonzero(together)
            joint, scale = likelihood_given_looks(
                self, name, look, [part.within(together) for part in contributions], rows
            )
            xp = namespace(joint)
            likelihood = (look.look_given_state[:, :, None] * joint).sum(1)
            add_rows(logs, rows, xp.log(xp.clip(likelihood, LEAST, None)) + scale, axis=1)

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
        known = self.observers_of(name)
        if not self.dependent or observer not in known:
            return None
        collected = collected or self.contributions(answers)
        other_contributions = [
            part for part in collected.contributions.get(name, ()) if part.observer != observer
        ]
        if not any(len(part.row) for part in other_contributions):
            return None
        look = self.shared_look(name)
        if look is None:
            return None
        rows = np.arange(len(collected.row_item))
        if followed is not None:
            pairs = collected.pairs
            differs = pairs.on != (followed & self.may_follow(answers))[pairs.reading]
            rows = np.flatnonzero(np.bincount(pairs.row[differs], minlength=len(rows)) == 0)
            # Of settings that differ in their bundles alone the likeliest.
            rows = rows[np.lexsort((-np.asarray(pairs.log_weight)[rows], pairs.row_item[rows]))]
            rows = rows[np.unique(pairs.row_item[rows], return_index=True)[1]]
        fitting = np.zeros(len(collected.row_item), dtype=bool)
        fitting[rows] = True
        return settled_given(
            self, name, look, known.index(observer), [p.within(fitting) for p in other_contributions], rows
        )

    def _add(self, logs: Array, name: str, part: ObserverContribution) -> None:
        """Add one observer's evidence about a variable, taken as independent, to `logs` (states, rows)."""
        kernel, exponent = self.kernels[part.observer, name], self.exponent[part.observer]
        table, pattern, row = part.table, part.pattern, part.row
        several = np.bincount(row, minlength=logs.shape[1])[row] > 1
        if not several.all():
            fresh = exponent * self.mixture(table, kernel.mix)
            add_rows(logs, row[~several], take_rows(fresh, pattern[~several]).T, axis=1)
        if several.any():
            carried_rows, where = np.unique(row[several], return_inverse=True)
            carry = self.carry[part.observer]
            log_likelihood = carried_log_likelihood(
                kernel.mix, table, pattern[several], where, len(carried_rows), carry
            )
            add_rows(logs, carried_rows, exponent * log_likelihood.T, axis=1)
