"""What to ask next: the expected gain of each question in batches, by simulation.

The loss of a level is nothing once it is accepted; before that half of its worth, for it is not, and the
other half times 1 - limit / risk, so that progress counts though one question alone may not reach the
limit. What is accepted already is not at stake. The gain of a question is the expected fall of the total
loss over the answers that the posterior predicts; it is worth asking where that exceeds its cost.

Simplest honest form, the same for all items at once: given the root the other variables are taken to be
independent (each has its exact posterior marginal; couplings and rules have shaped it but do not carry the
imagined answers on); the imagined answers of a reading continue its Pólya urn, so that a saturated reading
predicts only itself; numbers are taken as normal; whether an imagined answer followed its label is taken
as known. Gains are means over PATHS simulated paths. All items share the paths' stratified uniform
numbers (McKay, Beckman & Conover 1979, doi:10.2307/1268522), which depend on the seed and the variable
alone: what is asked about an item does not depend on the items beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.decision import Next, risk_of, risk_of_sums, running_sums
from engine.imagined import PATHS, Belief, ImaginedReadings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from engine.answers import Answers
    from engine.evidence import ObservationModel
    from engine.knowledge import Knowledge, Question
    from engine.network import Network
    from engine.posterior import Posterior

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

MOST_ITEMS = 256
MOST_TELLING = 2


@dataclass(frozen=True)
class _Option:
    """One candidate: a question, what it is about, and its gain (n, batches)."""

    question: Question
    about: str | None
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
                best = self._best(answers, posterior, part, int(observer))
                for item, one in zip(part, best, strict=True):
                    found[item] = one
        return tuple(found)

    def _observers(self, answers: Answers) -> Ints:
        """Return the observer to ask about each item: the askable one it has, else the policy's."""
        observers = self.observations.observers
        askable = np.array([o.askable for o in observers], dtype=bool)
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
        options = list(self._options(answers, posterior, items, observer))
        if not options:
            yield from [None] * len(items)
            return
        gains = np.stack([option.gain for option in options], axis=1)
        price = np.array([option.question.cost for option in options])[:, None] * self.batches
        rate = np.where(self.batches <= left[:, None, None], gains / np.maximum(price, 1e-9), 0)
        for row, item in enumerate(items):
            which, batch = np.unravel_index(rate[row].argmax(), rate[row].shape)
            if rate[row, which, batch] <= 1:
                yield None
                continue
            option = options[which]
            yield Next(
                self.observations.observers[observer].name,
                option.question.name,
                option.about,
                self._view(answers, int(item), observer, option.question),
                int(self.batches[batch]),
                float(gains[row, which, batch]),
            )

    def _view(self, answers: Answers, item: int, observer: int, question: Question) -> str:
        """Return the view that the observer was shown, in that question if it was asked already."""
        number = list(self.base.questions).index(question.name)
        mine = (answers.reading_item == item) & (answers.reading_observer == observer)
        same = np.flatnonzero(mine & (answers.reading_question == number))
        views = same if same.size else np.flatnonzero(mine)
        return answers.views[answers.reading_view[views[0]]] if views.size else "face"

    def _belief(self, posterior: Posterior, items: Ints) -> Belief:
        """Give each variable its exact marginal and the network's dependence on the root."""
        root = posterior.marginals[self.base.root][items]
        binary, active, given = [], [], {}
        for name, table in self.network.given_root.items():
            ratio = posterior.marginals[name][items] / np.maximum(root @ table, 1e-12)
            joint = table[None] * ratio[:, None, :]
            joint /= np.maximum(joint.sum(-1, keepdims=True), 1e-12)
            if self.base.variables[name].kind == "binary":
                binary.append(name)
                active.append(joint[..., 1])
            else:
                given[name] = joint
        stacked = np.stack(active, axis=-1) if active else np.zeros((*root.shape, 0))
        sums = {name: joint @ running_sums(self._edges(name)) for name, joint in given.items()}
        worth = {}
        for name in (name for names in self.base.levels.values() for name in names):
            _, risk = risk_of(self.base.variables[name], posterior.marginals[name][items], self.base.policy)
            open_ = risk > self.base.policy.limits[name]
            worth[name] = np.where(open_, self.base.policy.worth[name], 0.0)
        return Belief(root, tuple(binary), stacked, given, sums, worth)

    def _edges(self, name: str) -> Floats:
        return np.array(self.base.variables[name].edges)

    def _options(
        self, answers: Answers, posterior: Posterior, items: Ints, observer: int
    ) -> Iterator[_Option]:
        belief = self._belief(posterior, items)
        readings = ImaginedReadings(self.base, self.observations, answers, items, observer, belief, self.seed)
        before = self._loss(belief, belief.root[:, None, None, :], {})[:, 0]
        one = self.observations.observers[observer]
        for number, question in enumerate(self.base.questions.values()):
            names = [v for v in question.variables if v in one.labels or v in one.numbers]
            likelihoods = {name: readings.imagine(number, name) for name in names}
            if question.about_one:
                telling = self._most_telling(belief, names)
                for name in names:
                    rows = np.flatnonzero(telling[:, names.index(name)])
                    gain = np.zeros((len(items), len(self.batches)))
                    if rows.size:
                        about = {name: likelihoods[name][rows]}
                        gain[rows] = self._gain(belief.part(rows), before[rows], about)
                    yield _Option(question, name, gain)
            elif names:
                gain = self._gain(belief, before, likelihoods)
                halo = self.observations.halo[observer, number]
                if halo > 0:
                    label = {k: v for k, v in likelihoods.items() if k == self.base.root}
                    gain = (1 - halo) * gain + halo * self._gain(belief, before, label)
                yield _Option(question, None, gain)

    def _most_telling(self, belief: Belief, names: Sequence[str]) -> NDArray[np.bool_]:
        """Say for each item which few of the names tell most of the root and are least known, (n, names)."""
        joint = belief.root[:, :, None] * belief.active
        p = joint.sum(1)
        about_root = (joint**2).sum(1) / np.maximum(p, 1e-12)
        absent = belief.root[:, :, None] - joint
        about_root += (absent**2).sum(1) / np.maximum(1 - p, 1e-12)
        score = np.full((len(p), len(names)), -1.0)
        for column, name in enumerate(names):
            if name in belief.binary:
                j = belief.binary.index(name)
                score[:, column] = about_root[:, j] + 0.1 * p[:, j] * (1 - p[:, j])
        rank = (-score).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
        return np.asarray((rank < MOST_TELLING) & (score >= 0))

    def _gain(self, belief: Belief, before: Floats, likelihoods: Mapping[str, Floats]) -> Floats:
        """Return the expected fall of the loss, (n, batches).

        likelihoods[v]: (n, paths, batches, states) of the imagined answers about v.
        """
        n = len(before)
        if not likelihoods:
            return np.zeros((n, len(self.batches)))
        root = belief.root[:, None, None, :]
        if self.base.root in likelihoods:
            root = root * likelihoods[self.base.root]
        after: dict[str, Floats] = {}
        asked = [name for name in belief.binary if name in likelihoods]
        if asked:
            places = [belief.binary.index(name) for name in asked]
            active = np.moveaxis(belief.active[..., places], -1, 0)
            both = np.stack([likelihoods[name] for name in asked]).reshape(len(asked), n, -1, 2)
            fold = both @ np.stack([1 - active, active], axis=2)
            root = root * np.multiply.reduce(fold).reshape(n, PATHS, -1, root.shape[-1])
        folds = {}
        for name in belief.given:
            if name in likelihoods:
                flat = likelihoods[name].reshape(n, -1, likelihoods[name].shape[-1])
                folds[name] = (flat @ belief.given[name].transpose(0, 2, 1)).reshape(
                    *likelihoods[name].shape[:-1], -1
                )
                root = root * folds[name]
        root = root / np.maximum(root.sum(-1, keepdims=True), 1e-300)
        if asked:
            # P(v | answers) = Σ_e P(e | answers) P(v | e) L(v) / Σ_v P(v | e) L(v).
            share = root.reshape(n, -1, root.shape[-1]) / np.maximum(fold, 1e-300)
            p = (share @ active[..., None])[..., 0] * both[..., 1]
            after |= {name: p[j].reshape(root.shape[:-1]) for j, name in enumerate(asked)}
        for name, folded in folds.items():
            share = (root / np.maximum(folded, 1e-300)).reshape(n, -1, root.shape[-1])
            q = (share @ belief.given[name]).reshape(likelihoods[name].shape) * likelihoods[name]
            after[name] = q / np.maximum(q.sum(-1, keepdims=True), 1e-300)
        return np.asarray(np.maximum(before - self._loss(belief, root, after).mean(1), 0))

    def _loss(self, belief: Belief, root: Floats, after: Mapping[str, Floats]) -> Floats:
        """Return Σ worth · `_short_of`, (n, paths, batches), for root (n, paths, batches, K).

        after: P(true) of binary and (..., bins) of interval variables that answers spoke of.
        """
        policy, n, shape = self.base.policy, len(root), root.shape[:-1]
        flat = root.reshape(n, -1, root.shape[-1])
        active = (flat @ belief.active).reshape(*shape, -1)
        for j, name in enumerate(belief.binary):
            if name in after:
                active[..., j] = after[name]
        cuts = np.array([policy.cuts.get(name, 0.5) for name in belief.binary])
        limit = np.array([policy.limits.get(name, 1.0) for name in belief.binary])
        worth = np.array([belief.worth.get(name, np.zeros(n)) for name in belief.binary]).reshape(-1, n)
        short = _short_of(np.where(active >= cuts, 1 - active, active), limit)
        total = (short.reshape(n, math.prod(shape[1:]), len(limit)) @ worth.T[:, :, None]).reshape(shape)
        for name in (name for name in belief.given if name in belief.worth):
            edges = self._edges(name)
            if name in after:
                sums = after[name] @ running_sums(edges)
            else:
                sums = (flat @ belief.sums[name]).reshape(*shape, -1)
            _, risk = risk_of_sums(sums, edges, policy.tolerance[name])
            total = total + belief.worth[name][:, None, None] * _short_of(risk, policy.limits[name])
        if self.base.root in belief.worth:
            limit_root = policy.limits[self.base.root]
            total = total + belief.worth[self.base.root][:, None, None] * _short_of(
                1 - root.max(-1), limit_root
            )
        return np.asarray(total)


def _short_of(risk: Floats, limit: Floats | float) -> Floats:
    """Return the loss as a share of the worth: 0 at or under the limit, 1/2 above it, towards 1 far above."""
    return np.asarray(np.where(risk > limit, 1 - 0.5 * limit / np.maximum(risk, limit), 0))
