"""Beliefs about items, and further answers sampled from their predictive distribution.

Stratified uniform numbers, which depend on the seed and the variable alone, drive the paths; all items share
them. Label answers are draws of a Pólya urn that continues the reading so far.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import ndtri
from engine.decision.origin import FOLLOWED
from engine.decision.sampled_likelihoods import SampledLikelihoods
from engine.observation.kernels import LabelKernel
from engine.observation.number_looks import settled_moments
from engine.observation.reported_answers import distinct_rows
from engine.observation.switches import followed_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.backend.types import Bools, Floats, Ints
    from engine.decision.loss import Stakes
    from engine.decision.sampled_likelihoods import LikelihoodCache
    from engine.model.knowledge import Knowledge
    from engine.model.responses import Answers
    from engine.observation.contributions import Contributions
    from engine.observation.evidence import ObservationModel
    from engine.observation.kernels import NumberKernel


# Simulated paths an item; their uniform numbers are stratified into as many strata.
PATHS = 12
# Items weighed together; for the shipped base 1.7 MB of factors where only the largest batch is weighed.
TILE = 256


@dataclass(frozen=True)
class Belief:
    """Beliefs about n items; the variables are independent given the root.

    root: (n, K). active: (n, K, J) P(binary variable | root), in the order of `binary`. given: interval
    variable -> (n, K, bins); sums: the same with `running_sums` applied. binary_worth, binary_unseen: (J, n)
    the stakes of the binary variables, 0 for those of no level.
    """

    root: Floats
    binary: tuple[str, ...]
    active: Floats
    given: Mapping[str, Floats]
    sums: Mapping[str, Floats]
    stakes: Stakes
    binary_worth: Floats
    binary_unseen: Bools

    def part(self, rows: Ints | slice) -> Belief:
        """Return the belief about some of the items; itself about all of them."""
        if isinstance(rows, slice) and rows == slice(None):
            return self
        given, sums = (
            {name: column[rows] for name, column in columns.items()} for columns in (self.given, self.sums)
        )
        worths, hidden = self.binary_worth[:, rows], self.binary_unseen[:, rows]
        stakes = self.stakes.part(rows)
        return Belief(self.root[rows], self.binary, self.active[rows], given, sums, stakes, worths, hidden)

    @cached_property
    def tiles(self) -> tuple[tuple[Ints, Belief], ...]:
        """Tiles of m items, at most TILE, each with their places (m,) and the belief about them.

        Items of which the same is at stake stand together, so that most tiles lack what few items have.
        """
        others = [worth for name, worth in self.stakes.worth.items() if name not in self.binary]
        order = np.lexsort([np.arange(len(self.root)), *(worth > 0 for worth in others)])
        tiles = np.split(order, range(TILE, len(order), TILE))
        return tuple((rows, self.part(rows)._in_single_precision()) for rows in tiles)

    def _in_single_precision(self) -> Belief:
        """Return the same in single precision."""
        given, sums, worth = (
            {name: _single(column) for name, column in columns.items()}
            for columns in (self.given, self.sums, self.stakes.worth)
        )
        root, active, binary_worth = map(_single, (self.root, self.active, self.binary_worth))
        stakes = replace(self.stakes, worth=worth)
        return Belief(root, self.binary, active, given, sums, stakes, binary_worth, self.binary_unseen)


def _single(numbers: Floats) -> Floats:
    """Return numbers (...) in single precision, (...)."""
    return np.asarray(numbers, np.dtype(np.float32))


# The least likelihood of sampled answers beside the likeliest state's, and the least divisor of a
# probability: single precision holds it and what is divided by it.
LEAST = 1e-30


class PredictiveSampler:
    """Samples further answers of one observer about n items."""

    def __init__(
        self,
        base: Knowledge,
        observations: ObservationModel,
        answers: Answers,
        observer: int,
        belief: Belief,
        followed: Floats,
        seed: int,
        tables: LikelihoodCache,
        collected: Contributions | None,
    ) -> None:
        """answers: about the n items. followed: (R,) P(a reading's answers followed its label | answers).

        collected: the answers' `contributions`, None where observers are independent.
        """
        self.base = base
        self.observations = observations
        self.seed = seed
        self.batches = np.array(base.policy.batches)
        self.answers = answers
        self.observer = observer
        self.belief = belief
        self.tables = tables
        self.root = _choose(belief.root[:, None, :], self._uniform("", 1)[0])
        self.carry = observations.observers[observer].carry
        self.cache: dict[tuple[int, str, int], SampledLikelihoods] = {}
        self.truths: dict[str, Ints] = {base.root: self.root}
        self.by_observer = answers.reading_observer == observer
        self.followed = followed
        # Whether others answered about these items, too: that tells how this observer will see them.
        self.shared = observations.dependent and not bool(self.by_observer.all())
        self.collected = collected
        self.settled: dict[str, Floats | None] = {}

    def _settled_given_others(self, name: str) -> Floats | None:
        """Return P(type settled on | truth, others' answers), (n, K, M); None where it is as declared."""
        if not self.shared:
            return None
        if name not in self.settled:
            self.settled[name] = self.observations.given_others(
                self.answers, self.observer, name, self.followed > FOLLOWED, self.collected
            )
        return self.settled[name]

    def sample(self, question: int, name: str, *, fresh: bool = False) -> SampledLikelihoods:
        """Return the likelihoods of sampled answers after each batch.

        fresh: in a view not shown yet, so that no reading is continued.
        """
        # Questions not asked yet all begin the same fresh reading.
        asked = not fresh and (self.by_observer & (self.answers.reading_question == question)).any()
        kernel = self.observations.kernels[self.observer, name]
        block = int(kernel.blocks(np.array([question]))[0]) if isinstance(kernel, LabelKernel) else 0
        key = (question if asked else -1, name, block)
        if key not in self.cache:
            self.cache[key] = self._sample_by_pattern(name, block, *self._counts(key[0], name))
        return self.cache[key]

    def follow_probability(self, question: int, *, fresh: bool) -> Floats:
        """Return the probability that further answers to a question follow their label, (n,).

        Those of a new reading do as the observer's other readings under halo would with its halo, on average,
        in the share `carry`. Of one other reading that is exact. Of two or three, whose switches it does not
        know together, it was off by up to .1 where all had one halo, and by up to .26 where they had not.
        """
        halos = np.asarray(self.observations.halo)[self.observer]
        halo, probability = halos[question], np.full(len(self.answers.items), halos[question])
        switched = self.by_observer & self.observations.switched(self.answers)
        if halo and self.carry and switched.any():
            item, size = self.answers.reading_item[switched], len(probability)
            count = np.bincount(item, minlength=size)
            alike = followed_at(halo, self.followed[switched], halos[self.answers.reading_question[switched]])
            mean = np.bincount(item, alike, size) / np.maximum(count, 1)
            probability = np.where(count > 0, self.carry * mean + (1 - self.carry) * halo, halo)
        if not fresh:
            continued = self.by_observer & (self.answers.reading_question == question)
            probability[self.answers.reading_item[continued]] = self.followed[continued]
        return probability

    def _uniform(self, name: str, count: int) -> Floats:
        """Return stratified uniform numbers (count, paths), the same for every item."""
        return _stratified(self.seed, name, count)

    def _truth(self, name: str) -> Ints:
        """Draw the variable's truth on each path, (n, paths)."""
        if name not in self.truths:
            if name in self.belief.binary:
                self.truths[name] = self._binary_truths[self.belief.binary.index(name)]
            else:
                rows, u = np.arange(len(self.root))[:, None], self._uniform(f"truth of {name}", 1)[0]
                self.truths[name] = _choose(self.belief.given[name][rows, self.root], u)
        return self.truths[name]

    @cached_property
    def _binary_truths(self) -> Ints:
        """The truth of each binary variable on each path, (J, n, paths)."""
        u = [self._uniform(f"truth of {name}", 1)[0] for name in self.belief.binary]
        p = self.belief.active[np.arange(len(self.root))[:, None], self.root]
        return np.ascontiguousarray((np.transpose(u) < p).transpose(2, 0, 1)).astype(np.int64)

    def _counts(self, question: int, name: str) -> tuple[Floats, Floats]:
        """Count the answers so far: in the reading of this question, and in all others, (n, answers)."""
        answers, kernel = self.answers, self.observations.kernels[self.observer, name]
        length = len(answers.items)
        if isinstance(kernel, LabelKernel):
            size, labels = kernel.width, answers.labels.get(name)
            if labels is None:
                return np.zeros((length, size)), np.zeros((length, size))
            block = kernel.blocks(answers.reading_question[labels.reading])
            reading, answer = labels.reading, labels.answer + kernel.alpha.shape[1] * block
            weight = labels.weight * np.where(labels.spread, kernel.weight, 1.0)
        else:
            size, numbers = 1, answers.numbers.get(name)
            reading = np.zeros(0, dtype=np.int64) if numbers is None else numbers.reading
            answer, weight = np.zeros(len(reading), dtype=np.int64), np.ones(len(reading))
        # What followed a label, or what was stated, says nothing of how the observer sees the item.
        looked = (self.followed <= FOLLOWED) | (self.answers.blind & (name == self.base.root))
        usable = self.by_observer & looked
        used = usable[reading]
        cell = answers.reading_item[reading[used]] * size + answer[used]
        same = answers.reading_question[reading[used]] == question
        weighted = weight[used].astype(np.float64)
        continued, other_counts = (
            np.bincount(cell[part], weights=weighted[part], minlength=length * size).reshape(-1, size)
            for part in (same, ~same)
        )
        return np.asarray(continued, np.float64), np.asarray(other_counts, np.float64)

    def _sample_by_pattern(
        self, name: str, block: int, continued: Floats, other_counts: Floats
    ) -> SampledLikelihoods:
        """Sample answers once for each pattern of counts and truth, of rare patterns by item."""
        kernel, truth = self.observations.kernels[self.observer, name], self._truth(name)
        settled = self._settled_given_others(name)
        if settled is not None:
            given_others = self._sample_rows(name, block, continued, other_counts, truth, settled)
            return SampledLikelihoods.of_paths(given_others)
        size, states = continued.shape[1], kernel.mix.shape[0]
        patterns, which = distinct_rows(np.concatenate([continued, other_counts], axis=1))
        keys = [(self.observer, name, block, row.tobytes()) for row in patterns]
        tables = {key: self.tables.tables[key] for key in keys if key in self.tables.tables}
        often = np.bincount(which) >= states
        new = [place for place, key in enumerate(keys) if key not in tables and often[place]]
        if new:
            counts = np.repeat(patterns[new], states, axis=0)
            truths = np.tile(np.arange(states), len(new))[:, None]
            truths = np.broadcast_to(truths, (len(counts), PATHS))
            sampled = self._sample_rows(name, block, counts[:, :size], counts[:, size:], truths)
            made = np.split(sampled, len(new), axis=1)
            added = {keys[place]: table for place, table in zip(new, made, strict=True)}
            self.tables.add(added)
            tables |= added
        # Tables stand first, each of all truths; the items of rare patterns, each of its truths, follow.
        tabled = np.array([key in tables for key in keys])
        rare = np.flatnonzero(~tabled[which])
        parts = [tables[key] for key in keys if key in tables]
        if rare.size:
            parts.append(self._sample_rows(name, block, continued[rare], other_counts[rare], truth[rare]))
        row = (np.cumsum(tabled) - 1)[which][:, None] * states + truth
        row[rare] = (tabled.sum() * states + np.arange(len(rare)))[:, None]
        table = np.concatenate(parts, axis=1)
        return SampledLikelihoods(table.reshape(states, -1, table.shape[-1]), row * PATHS + np.arange(PATHS))

    def _sample_rows(
        self,
        name: str,
        block: int,
        continued: Floats,
        other_counts: Floats,
        truth: Ints,
        settled: Floats | None = None,
    ) -> Floats:
        """Sample answers, (states, n, paths, batches); settled: where the observer does not as declared."""
        kernel, variable = self.observations.kernels[self.observer, name], self.base.variables[name]
        if isinstance(kernel, LabelKernel):
            settled = np.asarray(kernel.mix)[None] if settled is None else settled
            return self._sample_labels(name, kernel, block, settled, continued, other_counts, truth)
        edges, instrument = np.array(variable.edges), kernel.instrument
        moments = (edges[None, :-1] + edges[None, 1:]) / 2, np.full((1, 1), instrument.perception**2)
        if settled is not None:
            # An item about which no other observer answered is as it is alone, whatever is beside it.
            shared = self._is_told_by_others(name)[:, None]
            given_others = settled_moments(kernel, variable, settled)
            alone_mean, alone_variance = moments
            moments = (
                np.where(shared, given_others[0], alone_mean),
                np.where(shared, given_others[1], alone_variance),
            )
        return self._sample_numbers(name, kernel, continued, other_counts, truth, moments)

    def _is_told_by_others(self, name: str) -> Bools:
        """Return whether another observer told an interval variable of each item, (n,)."""
        by_others = np.zeros(len(self.answers.items), dtype=bool)
        if name in self.answers.numbers:
            readings = self.answers.numbers[name].reading
            by_others[self.answers.reading_item[readings[~self.by_observer[readings]]]] = True
        return by_others

    def _sample_labels(
        self,
        name: str,
        kernel: LabelKernel,
        block: int,
        settled: Floats,
        continued: Floats,
        other_counts: Floats,
        truth: Ints,
    ) -> Floats:
        """Sample labels from a Pólya urn, its type drawn given truth and the answers so far.

        Returns:
            (states, n, paths, batches): P(sampled answers | state, answers so far), see `SampledLikelihoods`.
        """
        n, batches = len(truth), self.batches
        alpha, size = np.asarray(kernel.alpha_of(block)), kernel.alpha.shape[1]
        type_given = self._type_given(kernel, settled, continued, other_counts)
        rows = np.arange(n)[:, None]
        urn = alpha[None] + continued[:, None, block * size : (block + 1) * size]
        u = self._uniform(f"answers about {name}", int(batches.max()) + 1)
        type_urn = urn[rows, _choose(type_given[rows, truth], u[-1])]
        total = type_urn.sum(-1)
        by_answer = np.ascontiguousarray(urn.transpose(0, 2, 1))
        mass = urn.sum(-1)[:, None, :]
        likelihood = np.ones((n, PATHS, alpha.shape[0]))
        seen = np.zeros((n, PATHS, alpha.shape[1]))
        by_batch = np.empty((n, PATHS, len(batches), kernel.mix.shape[0]))
        paths = np.arange(PATHS)[None]
        for draw in range(int(batches.max())):
            # The urn's next answer: one of its own kind, or a repeat of one drawn before.
            answer = _choose(type_urn + seen, u[draw] * (total + draw))
            so_far = seen[rows, paths, answer]
            likelihood *= (by_answer[rows, answer] + so_far[..., None]) / (mass + draw)
            seen[rows, paths, answer] = so_far + 1
            for batch in np.flatnonzero(batches == draw + 1):
                by_batch[:, :, batch] = likelihood @ type_given.transpose(0, 2, 1)
        return _scaled(by_batch)

    def _type_given(
        self, kernel: LabelKernel, settled: Floats, continued: Floats, other_counts: Floats
    ) -> Floats:
        """Return P(type of the reading | truth, answers so far), (n, states, types)."""
        mix = kernel.mix[None]
        carried = settled * _likelihood(kernel, other_counts)[:, None, :]
        carried /= np.maximum(carried.sum(-1, keepdims=True), 1e-300)
        alone = other_counts.sum(1)[:, None, None] == 0
        prior = self.carry * np.where(alone, settled, carried) + (1 - self.carry) * mix
        type_given = prior * _likelihood(kernel, continued)[:, None, :]
        return np.asarray(type_given / np.maximum(type_given.sum(-1, keepdims=True), 1e-300))

    def _sample_numbers(
        self,
        name: str,
        kernel: NumberKernel,
        continued: Floats,
        other_counts: Floats,
        truth: Ints,
        moments: tuple[Floats, Floats],
    ) -> Floats:
        """Sample what further numbers add: a normal reading of the truth with the added precision.

        moments: mean and variance of what the observer settles on given each bin, (n or 1, states or 1).

        Returns:
            (states, n, paths, batches): the likelihoods of the bins, see `SampledLikelihoods`.
        """
        instrument, batches, rows = kernel.instrument, self.batches, np.arange(len(truth))[:, None]
        noise = (instrument.noise / instrument.gain) ** 2
        mean, perception = moments[0], moments[1][:, None, :]
        had = continued[:, 0, None, None]
        precision = 1 / (perception + noise / (had + batches[:, None]))
        precision -= np.where(had > 0, 1 / (perception + noise / np.maximum(had, 1)), 0)
        precision *= np.where((had == 0) & (other_counts[:, 0, None, None] > 0), 1 - self.carry, 1)
        # (n, batches, states or 1)
        sd = 1 / np.sqrt(np.maximum(precision, 1e-9))
        noises = ndtri(self._uniform(f"answers about {name}", len(batches)))
        n, states = len(truth), kernel.mix.shape[0]
        true_mean = np.broadcast_to(mean, (n, states))[rows, truth][..., None]
        true_sd = np.broadcast_to(sd, (n, len(batches), states))[rows, :, truth]
        z = ((true_mean + true_sd * noises.T)[..., None] - mean[:, None, None, :]) / sd[:, None]
        square = z * z + 2 * np.log(sd / sd.min(-1, keepdims=True))[:, None]
        return _scaled(np.exp(-(square - square.min(-1, keepdims=True)) / 2))


def _scaled(likelihood: Floats) -> Floats:
    """Return likelihoods (n, paths, batches, states) as `SampledLikelihoods` has them, the states first.

    Returns:
        (states, n, paths, batches).
    """
    states = np.maximum(np.moveaxis(likelihood, -1, 0), np.finfo(np.float64).tiny, order="C")
    return _single(np.maximum(states / states.max(0), LEAST))


@cache
def _stratified(seed: int, name: str, count: int) -> Floats:
    """Return stratified uniform numbers (count, paths), which depend on the seed and the name alone."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    strata = rng.permuted(np.tile(np.arange(PATHS), (count, 1)), axis=1)
    return np.asarray((strata + rng.random((count, PATHS))) / PATHS)


def _choose(p: Floats, u: Floats) -> Ints:
    """Return for p (..., states) the index at which its running sum passes u, uniform below the sum."""
    if p.shape[-1] == 2:
        return np.asarray(u > p[..., 0]).astype(np.int64)
    reached = np.zeros(p.shape[:-1])
    index = np.zeros(np.broadcast_shapes(p.shape[:-1], u.shape), dtype=np.int64)
    for state in range(p.shape[-1] - 1):
        reached = reached + p[..., state]
        index += u > reached
    return index


def _likelihood(kernel: LabelKernel, counts: Floats) -> Floats:
    """Return P(counts | type) up to a factor a row, (n, types)."""
    logs = np.asarray(kernel.log_likelihood(counts))
    return np.asarray(np.exp(logs - logs.max(1, keepdims=True)))
