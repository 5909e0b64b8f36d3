"""What to ask next: the expected gain of each question in batches, by simulation.

The loss of a level is worth · min(risk / limit, 1): what is lost by Chow's rule, an unaccepted level
costing its worth. The gain of a question is the expected fall of the total loss over the answers that the
posterior predicts, and it is worth asking where that exceeds its cost.

Simplest honest form, the same for all items at once: given the root the other variables are taken to be
independent (each has its exact posterior marginal; couplings and rules have shaped it but do not carry the imagined
answers on); the imagined answers of a reading continue its Pólya urn, so that a saturated reading
predicts only itself; numbers are taken as normal; whether an imagined answer followed its label is taken as
known. The standard error of a gain is about its spread over sqrt(PATHS).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.decision import Next, risk_of
from engine.instruments import LabelKernel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from engine.answers import Answers
    from engine.evidence import ObservationModel
    from engine.instruments import NumberKernel
    from engine.knowledge import Knowledge, Question
    from engine.network import Network
    from engine.posterior import Posterior

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

PATHS = 24
MOST_ITEMS = 256
MOST_TELLING = 3


@dataclass(frozen=True)
class _Belief:
    """What is believed of n items: root (n, K); given[v]: P(v | root) (n, K, states); marginal[v]: (n, states)."""

    root: Floats
    given: Mapping[str, Floats]
    marginal: Mapping[str, Floats]


@dataclass(frozen=True)
class _Option:
    """One candidate: gain and cost for each batch size, (n, batches)."""

    question: Question
    about: str | None
    continues: NDArray[np.bool_]
    gain: Floats


class LookAhead:
    """Finds for each item the question most worth asking."""

    def __init__(self, network: Network, observations: ObservationModel, seed: int = 0) -> None:
        self.network = network
        self.base: Knowledge = network.knowledge
        self.observations = observations
        self.batches = np.array(self.base.policy.batches)
        self.seed = seed

    def next(
        self, answers: Answers, posterior: Posterior, chosen: NDArray[np.bool_]
    ) -> tuple[Next | None, ...]:
        """Return for each chosen item (N,) the best question that is worth its price, else None."""
        found: list[Next | None] = [None] * len(answers.items)
        observers = self._observers(answers)
        for observer in np.unique(observers[chosen]):
            if observer < 0:
                continue
            items = np.flatnonzero(chosen & (observers == observer))
            for start in range(0, len(items), MOST_ITEMS):
                part = items[start : start + MOST_ITEMS]
                for item, one in zip(part, self._best(answers, posterior, part, observer), strict=True):
                    found[item] = one
        return tuple(found)

    def _observers(self, answers: Answers) -> Ints:
        """Return the observer to ask about each item: the askable one it has, else the policy's."""
        observers = self.observations.observers
        askable = np.array([o.askable for o in observers])
        names = [o.name for o in observers]
        fallback = names.index(self.base.policy.ask) if self.base.policy.ask else -1
        chosen = np.full(len(answers.items), fallback)
        mine = askable[answers.reading_observer]
        chosen[answers.reading_item[mine][::-1]] = answers.reading_observer[mine][::-1]
        return chosen

    def _best(
        self, answers: Answers, posterior: Posterior, items: Ints, observer: int
    ) -> Iterator[Next | None]:
        left = self.base.policy.budget - answers.asked[items]
        belief = self._belief(posterior, items)
        options = list(self._options(answers, belief, items, observer))
        costs = np.array([option.question.cost for option in options])
        gains = np.stack([option.gain for option in options], axis=1)
        price = costs[:, None] * self.batches
        rate = np.where(self.batches <= left[:, None, None], gains / np.maximum(price, 1e-9), 0)
        for row in range(len(items)):
            which, batch = np.unravel_index(rate[row].argmax(), rate[row].shape)
            if rate[row, which, batch] <= 1:
                yield None
                continue
            option = options[which]
            yield Next(
                self.observations.observers[observer].name,
                option.question.name,
                option.about,
                self._view(answers, items[row], observer, option.question),
                int(self.batches[batch]),
                float(gains[row, which, batch]),
            )

    def _view(self, answers: Answers, item: int, observer: int, question: Question) -> str:
        """Return the view that the item was shown in, that question's before others'."""
        number = list(self.base.questions).index(question.name)
        mine = (answers.reading_item == item) & (answers.reading_observer == observer)
        same = np.flatnonzero(mine & (answers.reading_question == number))
        views = same if same.size else np.flatnonzero(mine)
        return answers.views[answers.reading_view[views[0]]] if views.size else "face"

    def _belief(self, posterior: Posterior, items: Ints) -> _Belief:
        """Give each variable below the root its exact marginal and the network's dependence on the root."""
        root = posterior.marginals[self.base.root][items]
        given, marginal = {}, {}
        for name, table in self.network.given_root.items():
            marginal[name] = posterior.marginals[name][items]
            ratio = marginal[name] / np.maximum(root @ table, 1e-12)
            joint = table[None] * ratio[:, None, :]
            given[name] = joint / np.maximum(joint.sum(-1, keepdims=True), 1e-12)
        return _Belief(root, given, marginal)

    def _options(
        self, answers: Answers, belief: _Belief, items: Ints, observer: int
    ) -> Iterator[_Option]:
        rng = np.random.default_rng(self.seed)
        n = len(items)
        uniform = rng.random((n, PATHS))
        state = (uniform[..., None] > np.cumsum(belief.root, -1)[:, None, :-1]).sum(-1)
        before = self._loss(belief, belief.root, {})
        readings = _Readings(self, answers, items, observer, belief, state, rng)
        one = self.observations.observers[observer]
        for number, question in enumerate(self.base.questions.values()):
            names = [v for v in question.variables if v in one.labels or v in one.numbers]
            if not names:
                continue
            likelihoods = {name: readings.imagine(number, name) for name in names}
            continues = readings.has(number)
            if question.about_one:
                for name in self._most_telling(belief, names):
                    gain = self._gain(belief, before, {name: likelihoods[name]})
                    yield _Option(question, name, continues, gain)
                continue
            gain = self._gain(belief, before, likelihoods)
            halo = self.observations.halo[observer, number]
            label = {k: v for k, v in likelihoods.items() if k == self.base.root}
            if halo > 0 and len(likelihoods) > len(label):
                gain = (1 - halo) * gain + halo * self._gain(belief, before, label)
            yield _Option(question, None, continues, gain)

    def _most_telling(self, belief: _Belief, names: Sequence[str]) -> list[str]:
        """Return the variables whose truth would settle most, by Gini impurity of root and variable."""
        def settles(name: str) -> float:
            given, p = belief.given[name], belief.marginal[name]
            joint = belief.root[:, :, None] * given
            after = (joint**2).sum(1) / np.maximum(joint.sum(1), 1e-12)
            about_root = after.sum(-1) - (belief.root**2).sum(-1)
            return float((about_root + p[:, 0] * p[:, 1] * 0.1).mean())

        usable = [name for name in names if name in belief.given]
        return sorted(usable, key=settles, reverse=True)[:MOST_TELLING]

    def _gain(self, belief: _Belief, before: Floats, likelihoods: Mapping[str, Floats]) -> Floats:
        """Return the expected fall of the loss, (n, batches); likelihoods[v]: (n, paths, batches, states)."""
        if not likelihoods:
            return np.zeros((len(before), len(self.batches)))
        n = len(before)
        root = np.broadcast_to(
            belief.root[:, None, None, :], (n, PATHS, len(self.batches), belief.root.shape[1])
        ).copy()
        folded = {}
        for name, likelihood in likelihoods.items():
            if name == self.base.root:
                root *= likelihood
                continue
            flat = likelihood.reshape(n, -1, likelihood.shape[-1])
            fold = flat @ belief.given[name].transpose(0, 2, 1)
            folded[name] = fold.reshape(root.shape)
            root *= folded[name]
        root /= np.maximum(root.sum(-1, keepdims=True), 1e-300)
        after = {}
        for name, fold in folded.items():
            # P(v | e, answers) = P(v | e) L(v) / Σ_v P(v | e) L(v), then over the new root.
            share = (root / np.maximum(fold, 1e-300)).reshape(n, -1, root.shape[-1])
            p = (share @ belief.given[name]).reshape(*root.shape[:-1], -1) * likelihoods[name]
            after[name] = p / np.maximum(p.sum(-1, keepdims=True), 1e-300)
        return np.maximum(before[:, None] - self._loss(belief, root, after).mean(1), 0)

    def _loss(self, belief: _Belief, root: Floats, after: Mapping[str, Floats]) -> Floats:
        """Return Σ worth · min(risk / limit, 1) for a root distribution (n, ..., K), (n, ...)."""
        policy, n = self.base.policy, len(root)
        total = np.zeros(root.shape[:-1])
        flat = root.reshape(n, -1, root.shape[-1])
        for name in (v for names in self.base.levels.values() for v in names):
            if name == self.base.root:
                p = root
            elif name in after:
                p = after[name]
            else:
                p = (flat @ belief.given[name]).reshape(*root.shape[:-1], -1)
            _, risk = risk_of(self.base.variables[name], p, policy)
            total += policy.worth[name] * np.minimum(risk / policy.limits[name], 1)
        return total


class _Readings:
    """Imagines further answers of one observer about n items."""

    def __init__(
        self,
        ahead: LookAhead,
        answers: Answers,
        items: Ints,
        observer: int,
        belief: _Belief,
        state: Ints,
        rng: np.random.Generator,
    ) -> None:
        self.ahead = ahead
        self.answers = answers
        self.items = items
        self.observer = observer
        self.belief = belief
        self.state = state
        self.rng = rng
        self.place = np.full(len(answers.items), -1)
        self.place[items] = np.arange(len(items))
        self.cache: dict[tuple[int, str], Floats] = {}
        mine = answers.reading_observer == observer
        self.mine = mine & (self.place[answers.reading_item] >= 0)

    def has(self, question: int) -> NDArray[np.bool_]:
        """Say which items have a reading of this question, (n,)."""
        found = np.zeros(len(self.items), dtype=bool)
        chosen = self.mine & (self.answers.reading_question == question)
        found[self.place[self.answers.reading_item[chosen]]] = True
        return found

    def imagine(self, question: int, name: str) -> Floats:
        """Return the likelihood of imagined answers after each batch size, (n, paths, batches, states)."""
        # Questions not asked yet all begin the same fresh reading.
        key = question if self.has(question).any() else -1
        if (key, name) not in self.cache:
            kernel = self.ahead.observations.kernels[self.observer, name]
            continued, other = self._counts(key, name, kernel)
            imagine = self._labels if isinstance(kernel, LabelKernel) else self._numbers
            self.cache[key, name] = imagine(name, kernel, continued, other)  # type: ignore[arg-type]
        return self.cache[key, name]

    def _counts(
        self, question: int, name: str, kernel: LabelKernel | NumberKernel
    ) -> tuple[Floats, Floats]:
        """Return the answers counted so far: in the reading of this question, and in all others, (n, answers)."""
        answers = self.answers
        size = kernel.alpha.shape[1] if isinstance(kernel, LabelKernel) else 1
        column = (
            answers.labels.get(name) if isinstance(kernel, LabelKernel) else answers.numbers.get(name)
        )
        empty = np.zeros((len(self.items), size))
        if column is None:
            return empty, empty
        used = self.mine[column.reading]
        reading = column.reading[used]
        answer = column.answer[used] if hasattr(column, "answer") else np.zeros(len(reading), dtype=int)
        weight = column.weight[used] if hasattr(column, "weight") else np.ones(len(reading))
        cell = self.place[answers.reading_item[reading]] * size + answer
        same = answers.reading_question[reading] == question
        counts = [
            np.bincount(cell[part], weights=weight[part], minlength=empty.size).reshape(empty.shape)
            for part in (same, ~same)
        ]
        return counts[0], counts[1]

    def _labels(
        self, name: str, kernel: LabelKernel, continued: Floats, other: Floats
    ) -> Floats:
        """Imagine draws of a Pólya urn whose type is known as far as the answers so far tell it."""
        n, batches = len(self.items), self.ahead.batches
        carry = self.ahead.observations.observers[self.observer].carry
        mix, alpha = kernel.mix.numpy(), kernel.alpha.numpy()
        type_given = self._type_given(kernel, continued, other, carry)
        truth = self._truth(name)
        rows = np.arange(n)[:, None]
        drawn = type_given[rows, truth]
        kind = (self.rng.random((n, PATHS, 1)) > np.cumsum(drawn, -1)[..., :-1]).sum(-1)
        urn = alpha[None] + continued[:, None, :]
        own = urn[rows, kind]
        likelihood = np.ones((n, PATHS, alpha.shape[0]))
        mass = urn.sum(-1)[:, None, :]
        seen = np.zeros((n, PATHS, alpha.shape[1]))
        out = np.empty((n, PATHS, len(batches), mix.shape[0]))
        for draw in range(int(batches.max())):
            weights = np.cumsum(own + seen, -1)
            pick = self.rng.random((n, PATHS, 1)) * weights[..., -1:]
            answer = (pick > weights[..., :-1]).sum(-1)
            so_far = np.take_along_axis(seen, answer[..., None], -1)
            likelihood *= (urn[rows, :, answer] + so_far) / (mass + draw)
            np.put_along_axis(seen, answer[..., None], so_far + 1, -1)
            for batch in np.flatnonzero(batches == draw + 1):
                out[:, :, batch] = likelihood @ type_given.transpose(0, 2, 1)
        return out

    def _type_given(
        self, kernel: LabelKernel, continued: Floats, other: Floats, carry: float
    ) -> Floats:
        """Return P(type of the reading | truth, answers so far), (n, states, types)."""
        mix = kernel.mix.numpy()[None]
        carried = mix * _likelihood(kernel, other)[:, None, :]
        carried /= np.maximum(carried.sum(-1, keepdims=True), 1e-300)
        fresh = other.sum(1)[:, None, None] == 0
        prior = np.where(fresh, mix, carry * carried + (1 - carry) * mix)
        found = prior * _likelihood(kernel, continued)[:, None, :]
        return found / np.maximum(found.sum(-1, keepdims=True), 1e-300)

    def _truth(self, name: str) -> Ints:
        """Draw the variable's truth on each path, (n, paths)."""
        if name == self.ahead.base.root:
            return self.state
        p = self.belief.given[name][np.arange(len(self.items))[:, None], self.state]
        return (self.rng.random((*self.state.shape, 1)) > np.cumsum(p, -1)[..., :-1]).sum(-1)

    def _numbers(
        self, name: str, kernel: NumberKernel, continued: Floats, other: Floats
    ) -> Floats:
        """Imagine what further numbers add: a normal reading of the truth with the added precision."""
        one, batches = kernel.instrument, self.ahead.batches
        carry = self.ahead.observations.observers[self.observer].carry
        noise = (one.noise / one.gain) ** 2
        had, more = continued[:, 0, None], continued[:, 0, None] + batches
        perception = one.perception**2
        precision = 1 / (perception + noise / more)
        precision -= np.where(had > 0, 1 / (perception + noise / np.maximum(had, 1)), 0)
        precision *= np.where((had == 0) & (other[:, 0, None] > 0), 1 - carry, 1)
        edges = np.array(self.ahead.base.variables[name].edges)
        centres = (edges[:-1] + edges[1:]) / 2
        truth = centres[self._truth(name)][..., None]
        sd = 1 / np.sqrt(np.maximum(precision, 1e-9))[:, None, :]
        answer = truth + sd * self.rng.standard_normal((*self.state.shape, len(batches)))
        z = (answer[..., None] - centres) / sd[..., None]
        z2 = z * z
        return np.exp(-(z2 - z2.min(-1, keepdims=True)) / 2)


def _likelihood(kernel: LabelKernel, counts: Floats) -> Floats:
    """Return P(counts | type) up to a factor a row, (n, types)."""
    logs = kernel.log_likelihood(torch.as_tensor(counts)).numpy()
    return np.exp(logs - logs.max(1, keepdims=True))
