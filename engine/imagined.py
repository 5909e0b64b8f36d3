"""What is believed of items, and the answers that a belief lets one imagine.

Shared by all items and depending on the seed and the variable alone, stratified uniform numbers drive
the paths; the answers to labels are draws of a Pólya urn that continues the reading so far.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from engine.instruments import LabelKernel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from engine.answers import Answers
    from engine.evidence import ObservationModel
    from engine.instruments import NumberKernel
    from engine.knowledge import Knowledge

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

PATHS = 12


@dataclass(frozen=True)
class Belief:
    """What is believed of n items, independent given the root.

    root: (n, K). active: (n, K, J) P(binary variable | root), in the order of `binary`. given: interval
    variable -> (n, K, bins); sums: the same with `running_sums` applied. worth: variable -> (n,) what
    its acceptance is worth, 0 where it is accepted already. unseen: variable -> (n,) whether nobody has
    looked at it yet.
    """

    root: Floats
    binary: tuple[str, ...]
    active: Floats
    given: Mapping[str, Floats]
    sums: Mapping[str, Floats]
    worth: Mapping[str, Floats]
    unseen: Mapping[str, NDArray[np.bool_]]

    def part(self, rows: Ints) -> Belief:
        """Return the belief about some of the items."""
        given, sums, worth = (
            {name: column[rows] for name, column in columns.items()}
            for columns in (self.given, self.sums, self.worth)
        )
        unseen = {name: column[rows] for name, column in self.unseen.items()}
        return Belief(self.root[rows], self.binary, self.active[rows], given, sums, worth, unseen)


class ImaginedReadings:
    """Imagines further answers of one observer about n items."""

    def __init__(
        self,
        base: Knowledge,
        observations: ObservationModel,
        answers: Answers,
        items: Ints,
        observer: int,
        belief: Belief,
        followed: Floats,
        seed: int,
    ) -> None:
        """followed: (R,) P(a reading's answers followed its label | all answers)."""
        self.base = base
        self.observations = observations
        self.seed = seed
        self.batches = np.array(base.policy.batches)
        self.answers = answers
        self.items = items
        self.observer = observer
        self.belief = belief
        self.root = _choose(belief.root[:, None, :], self._uniform("", 1)[0])
        self.carry = observations.observers[observer].carry
        self.cache: dict[tuple[int, str], Floats] = {}
        self.place = np.full(len(answers.items), -1)
        self.place[items] = np.arange(len(items))
        mine = answers.reading_observer == observer
        self.mine = mine & (self.place[answers.reading_item] >= 0)
        self.followed = followed
        # Those of these items that others answered about, too: that tells how this observer will see them.
        inside = self.place >= 0
        elsewhere = observations.dependent and bool((inside[answers.reading_item] & ~mine).any())
        self.shared = answers.only(inside) if elsewhere else None

    def _settled(self, name: str, kernel: LabelKernel) -> Floats:
        """Return P(type that the observer settles on | truth, what others answered), (n or 1, K, M)."""
        if self.shared is None:
            return np.asarray(kernel.mix[None])
        followed = self.followed[self.place[self.answers.reading_item] >= 0] > 0.5
        settled = self.observations.given_others(self.shared, self.observer, name, followed)
        return np.asarray(kernel.mix[None] if settled is None else settled)

    def imagine(self, question: int, name: str, *, fresh: bool = False) -> Floats:
        """Return the likelihood of imagined answers after each batch, (n, paths, batches, states).

        fresh: in a view not shown yet, so that no reading is continued.
        """
        # Questions not asked yet all begin the same fresh reading.
        asked = not fresh and (self.mine & (self.answers.reading_question == question)).any()
        key = (question if asked else -1, name)
        if key not in self.cache:
            kernel = self.observations.kernels[self.observer, name]
            continued, other = self._counts(key[0], name, kernel)
            truth = self._truth(name)
            if isinstance(kernel, LabelKernel):
                self.cache[key] = self._grouped(name, kernel, continued, other, truth)
            else:
                self.cache[key] = self._numbers(name, kernel, continued, other, truth)
        return self.cache[key]

    def follows(self, question: int, *, fresh: bool) -> Floats:
        """Return the probability that further answers to a question follow their label, (n,)."""
        found = np.full(len(self.items), self.observations.halo[self.observer, question])
        if not fresh:
            own = self.mine & (self.answers.reading_question == question)
            found[self.place[self.answers.reading_item[own]]] = self.followed[own]
        return found

    def _uniform(self, name: str, count: int) -> Floats:
        """Return stratified uniform numbers (count, paths), the same for every item."""
        rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        strata = rng.permuted(np.tile(np.arange(PATHS), (count, 1)), axis=1)
        return np.asarray((strata + rng.random((count, PATHS))) / PATHS)

    def _truth(self, name: str) -> Ints:
        """Draw the variable's truth on each path, (n, paths)."""
        if name == self.base.root:
            return self.root
        u = self._uniform(f"truth of {name}", 1)[0]
        rows = np.arange(len(self.items))[:, None]
        if name in self.belief.binary:
            p = self.belief.active[rows, self.root, self.belief.binary.index(name)]
            return np.asarray(u < p).astype(np.int64)
        return _choose(self.belief.given[name][rows, self.root], u)

    def _counts(self, question: int, name: str, kernel: LabelKernel | NumberKernel) -> tuple[Floats, Floats]:
        """Count the answers so far: in the reading of this question, and in all others, (n, answers)."""
        answers = self.answers
        if isinstance(kernel, LabelKernel):
            size, labels = kernel.alpha.shape[1], answers.labels.get(name)
            if labels is None:
                return np.zeros((len(self.items), size)), np.zeros((len(self.items), size))
            reading, answer = labels.reading, labels.answer
            weight = labels.weight * np.where(labels.spread, kernel.weight, 1.0)
        else:
            size, numbers = 1, answers.numbers.get(name)
            reading = np.zeros(0, dtype=np.int64) if numbers is None else numbers.reading
            answer, weight = np.zeros(len(reading), dtype=np.int64), np.ones(len(reading))
        used = self.mine[reading]
        if name != self.base.root:
            # What followed a label says nothing of how the observer sees the item.
            used = used & (self.followed[reading] <= 0.5)
        cell = self.place[answers.reading_item[reading[used]]] * size + answer[used]
        same = answers.reading_question[reading[used]] == question
        length = len(self.items) * size
        weighted = weight[used].astype(np.float64)
        continued, other = (
            np.bincount(cell[part], weights=weighted[part], minlength=length).reshape(-1, size)
            for part in (same, ~same)
        )
        return np.asarray(continued, np.float64), np.asarray(other, np.float64)

    def _grouped(
        self, name: str, kernel: LabelKernel, continued: Floats, other: Floats, truth: Ints
    ) -> Floats:
        """Imagine labels once for each pattern of counts and truth, where that is less work."""
        states, settled = kernel.mix.shape[0], self._settled(name, kernel)
        patterns, which = np.unique(np.concatenate([continued, other], axis=1), axis=0, return_inverse=True)
        if len(patterns) * states >= len(truth) or len(settled) > 1:
            return self._labels(name, kernel, settled, continued, other, truth)
        size = continued.shape[1]
        repeated = np.repeat(patterns, states, axis=0)
        truths = np.broadcast_to(np.tile(np.arange(states), len(patterns))[:, None], (len(repeated), PATHS))
        table = self._labels(name, kernel, settled, repeated[:, :size], repeated[:, size:], truths)
        return np.asarray(table[which.reshape(-1, 1) * states + truth, np.arange(PATHS)])

    def _labels(
        self, name: str, kernel: LabelKernel, settled: Floats, continued: Floats, other: Floats, truth: Ints
    ) -> Floats:
        """Draw from a Pólya urn whose type is known as far as the answers so far tell it.

        Returns:
            (n, paths, batches, states): P(imagined answers | state, answers so far).
        """
        n, batches = len(truth), self.batches
        alpha = kernel.alpha
        type_given = self._type_given(kernel, settled, continued, other)
        rows = np.arange(n)[:, None]
        urn = alpha[None] + continued[:, None, :]
        u = self._uniform(f"answers about {name}", int(batches.max()) + 1)
        own = urn[rows, _choose(type_given[rows, truth], u[-1])]
        total = own.sum(-1, keepdims=True)
        mass = urn.sum(-1)[:, None, :]
        likelihood = np.ones((n, PATHS, alpha.shape[0]))
        seen = np.zeros((n, PATHS, alpha.shape[1]))
        out = np.empty((n, PATHS, len(batches), kernel.mix.shape[0]))
        paths = np.arange(PATHS)[None]
        for draw in range(int(batches.max())):
            # The urn's next answer: one of its own kind, or a repeat of one drawn before.
            answer = _choose((own + seen) / (total + draw), u[draw])
            so_far = seen[rows, paths, answer]
            likelihood *= (urn[rows, :, answer] + so_far[..., None]) / (mass + draw)
            seen[rows, paths, answer] = so_far + 1
            for batch in np.flatnonzero(batches == draw + 1):
                out[:, :, batch] = likelihood @ type_given.transpose(0, 2, 1)
        return out

    def _type_given(self, kernel: LabelKernel, settled: Floats, continued: Floats, other: Floats) -> Floats:
        """Return P(type of the reading | truth, answers so far), (n, states, types)."""
        mix = kernel.mix[None]
        carried = settled * _likelihood(kernel, other)[:, None, :]
        carried /= np.maximum(carried.sum(-1, keepdims=True), 1e-300)
        alone = other.sum(1)[:, None, None] == 0
        prior = self.carry * np.where(alone, settled, carried) + (1 - self.carry) * mix
        found = prior * _likelihood(kernel, continued)[:, None, :]
        return np.asarray(found / np.maximum(found.sum(-1, keepdims=True), 1e-300))

    def _numbers(
        self, name: str, kernel: NumberKernel, continued: Floats, other: Floats, truth: Ints
    ) -> Floats:
        """Imagine what further numbers add: a normal reading of the truth with the added precision."""
        one, batches = kernel.instrument, self.batches
        noise, perception = (one.noise / one.gain) ** 2, one.perception**2
        had = continued[:, 0, None]
        precision = 1 / (perception + noise / (had + batches))
        precision -= np.where(had > 0, 1 / (perception + noise / np.maximum(had, 1)), 0)
        precision *= np.where((had == 0) & (other[:, 0, None] > 0), 1 - self.carry, 1)
        edges = np.array(self.base.variables[name].edges)
        centres = (edges[:-1] + edges[1:]) / 2
        sd = 1 / np.sqrt(np.maximum(precision, 1e-9))[:, None, :]
        noises = ndtri(self._uniform(f"answers about {name}", len(batches)))
        answer = centres[truth][..., None] + sd * noises.T
        z = (answer[..., None] - centres) / sd[..., None]
        return np.asarray(np.exp(-(z * z - (z * z).min(-1, keepdims=True)) / 2))


def _choose(p: Floats, u: Floats) -> Ints:
    """Return for p (..., states) and uniform numbers u the index at which p's running sum passes u."""
    if p.shape[-1] == 2:
        return np.asarray(u > p[..., 0]).astype(np.int64)
    reached = np.zeros(p.shape[:-1])
    found = np.zeros(np.broadcast_shapes(p.shape[:-1], u.shape), dtype=np.int64)
    for state in range(p.shape[-1] - 1):
        reached = reached + p[..., state]
        found += u > reached
    return found


def _likelihood(kernel: LabelKernel, counts: Floats) -> Floats:
    """Return P(counts | type) up to a factor a row, (n, types)."""
    logs = kernel.log_likelihood(counts)
    return np.asarray(np.exp(logs - logs.max(1, keepdims=True)))
