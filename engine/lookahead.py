"""What to ask next: the expected gain of each question in batches, by simulation.

The loss of a level is nothing once it is accepted; before that half of its worth, for it is not, and the
other half times 1 - limit / risk, so that progress counts though one question alone may not reach the limit.
What is accepted already is not at stake; what nobody looked at is not accepted, however low its risk, until a
question about it is answered. The gain of a question is the expected fall of the total loss over the answers
that the posterior predicts; it is worth asking where that exceeds its cost.

Simplest honest form, the same for all items at once: given the root the other variables are taken to be
independent (each has its exact posterior marginal; couplings and rules have shaped it but do not carry the
imagined answers on); a reading has followed its label where that is likelier than not; the imagined
answers of a reading continue its Pólya urn, so that a saturated reading predicts only itself; numbers are
taken as normal; whether an imagined answer followed its label is taken as known. Gains are means over
PATHS simulated paths. All items share the paths' stratified uniform numbers (McKay, Beckman & Conover
1979, doi:10.2307/1268522), which depend on the seed and the variable alone: what is asked about an item
does not depend on the items beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.answers import Answers
from engine.decision.decision import Option, highest_risk, risk_of, risk_of_sums, running_sums
from engine.decision.limits import TIE
from engine.decision.origin import Origin, labels_of, origins_of
from engine.imagined import PATHS, Belief, ImaginedReadings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from engine.evidence import ObservationModel
    from engine.knowledge import Knowledge, Question
    from engine.network import Network
    from engine.posterior import Posterior

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

MOST_ITEMS = 512
MOST_TELLING = 2


@dataclass(frozen=True)
class _Candidate:
    """A question to an observer about n items: what it is about, whether in a view not shown yet, its gains.

    price: (batches,) of a request for each batch. gain, error: (n, batches), the expected fall of the loss
    and its standard error.
    """

    observer: int
    question: Question
    about: str | None
    fresh: bool
    price: Floats
    gain: Floats
    error: Floats


class LookAhead:
    """Finds for each item the question most worth asking."""

    def __init__(
        self,
        network: Network,
        observations: ObservationModel,
        seed: int = 0,
        unavailable: Collection[str] = (),
    ) -> None:
        """unavailable: observers that cannot be asked now, whatever the policy says."""
        self.unavailable = frozenset(unavailable)
        self.network = network
        self.base: Knowledge = network.knowledge
        self.observations = observations
        self.batches = np.array(self.base.policy.batches)
        self.seed = seed

    def next(
        self, answers: Answers, posterior: Posterior, chosen: NDArray[np.bool_]
    ) -> tuple[Option | None, ...]:
        """Return for each chosen item (N,) the best question that is worth its price, else None."""
        found: list[Option | None] = [None] * len(answers.items)
        asked, which = np.unique(self.observers(answers), axis=0, return_inverse=True)
        which = which.reshape(-1)
        for number, row in enumerate(asked):
            items = np.flatnonzero(chosen & (which == number))
            for start in range(0, len(items) if row.any() else 0, MOST_ITEMS):
                part = items[start : start + MOST_ITEMS]
                for item, best in zip(part, self._best(answers, posterior, part, row), strict=True):
                    found[item] = best
        return tuple(found)

    def options(self, answers: Answers, posterior: Posterior, item: int) -> tuple[Option, ...]:
        """Return all that could be asked about one item within the budget, the best gain per cost first."""
        items = np.array([item])
        left = self.base.policy.budget - answers.asked[item]
        found = [
            self._option(answers, item, one, 0, int(batch))
            for one in self._candidates(answers, posterior, items, self.observers(answers)[item])
            for batch in np.flatnonzero(self.batches <= left)
        ]
        return tuple(sorted(found, key=lambda option: -option.rate))

    def first(self, posterior: Posterior) -> Option | None:
        """Return what to ask about an item of which nothing is known; its gain is given as 0.

        That is what the policy says, or the question that reports the most (of several the cheapest): the
        gain of a question is its own, not that of those which can follow it, and so sees too little in the
        answer that says something of everything. Of that question as many answers as have the best gain per
        cost, one where none is worth its price. Where all questions are about one variable, the best gain
        per cost. None where nobody may be asked, or nothing within the budget.

        posterior: of one item without answers.
        """
        policy = self.base.policy
        if not policy.ask or not policy.budget:
            return None
        who, first = self.base.observers[policy.ask], policy.first
        whole = [
            (-len(set(one.variables) & set(who.instruments)), one.cost, number, name)
            for number, (name, one) in enumerate(self.base.questions.items())
            if not one.about_one and set(one.variables) & set(who.instruments)
        ]
        options = () if first else self.options(Answers.nothing(), posterior, 0)
        if first is None and not whole:
            return next(iter(options), None)
        question, samples = (first.question, first.samples) if first else (min(whole)[-1], 1)
        # The options are sorted by their rate.
        batches = (one for one in options if one.observer == who.name and one.question == question)
        best = next(batches, None)
        if best is not None and best.rate > 1:
            samples = best.samples
        cost = self.base.questions[question].price(samples) * who.cost
        return Option(who.name, question, None, Answers.USUAL_VIEW, samples, cost, 0.0)

    def observers(self, answers: Answers) -> NDArray[np.bool_]:
        """Say which observers may be asked about each item, (N, observers).

        Those askable ones that it has, else the policy's `ask`; and the policy's `others`; none of those that
        are unavailable.
        """
        names = [o.name for o in self.observations.observers]
        askable = np.array([o.askable for o in self.observations.observers], dtype=bool)
        found = np.zeros((len(answers.items), len(names)), dtype=bool)
        found[answers.reading_item, answers.reading_observer] = True
        found &= askable
        policy = self.base.policy
        if policy.ask:
            found[~found.any(1), names.index(policy.ask)] = True
        found[:, [names.index(name) for name in policy.others]] = True
        found[:, [number for number, name in enumerate(names) if name in self.unavailable]] = False
        return found

    def _best(
        self, answers: Answers, posterior: Posterior, items: Ints, observers: NDArray[np.bool_]
    ) -> Iterator[Option | None]:
        left = self.base.policy.budget - answers.asked[items]
        candidates = list(self._candidates(answers, posterior, items, observers))
        if not candidates:
            yield from [None] * len(items)
            return
        gains = np.stack([one.gain for one in candidates], axis=1)
        price = np.stack([one.price for one in candidates])
        rate = np.where(self.batches <= left[:, None, None], gains / np.maximum(price, 1e-9), 0)
        for row, item in enumerate(items):
            which, batch = np.unravel_index(rate[row].argmax(), rate[row].shape)
            worth_it = rate[row, which, batch] > 1
            yield self._option(answers, int(item), candidates[which], row, int(batch)) if worth_it else None

    def _option(self, answers: Answers, item: int, one: _Candidate, row: int, batch: int) -> Option:
        samples = int(self.batches[batch])
        return Option(
            self.observations.observers[one.observer].name,
            one.question.name,
            one.about,
            self._view(answers, item, one),
            samples,
            float(one.price[batch]),
            float(one.gain[row, batch]),
            float(one.error[row, batch]),
        )

    def _view(self, answers: Answers, item: int, one: _Candidate) -> str:
        """Return the view to show: of the readings that there are already, or one that the policy offers."""
        seen = self._seen(answers, item, one.observer, one.question)
        if one.fresh:
            return next((view for view in self.base.policy.views if view not in seen), "")
        mine = (answers.reading_item == item) & (answers.reading_observer == one.observer)
        views = answers.reading_view[mine]
        return seen[0] if seen else answers.views[views[0]] if views.size else answers.USUAL_VIEW

    def _seen(self, answers: Answers, item: int, observer: int, question: Question) -> list[str]:
        """Return the views in which the observer was asked this question about the item."""
        number = list(self.base.questions).index(question.name)
        mine = (answers.reading_item == item) & (answers.reading_observer == observer)
        return [answers.views[v] for v in answers.reading_view[mine & (answers.reading_question == number)]]

    def _belief(self, answers: Answers, posterior: Posterior, items: Ints) -> Belief:
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
        worth, unseen, policy = {}, {}, self.base.policy
        origins = origins_of(self.base, answers, posterior.followed)
        labels = labels_of(self.base, answers) if policy.labels_final else {}
        for name in (name for names in self.base.levels.values() for name in names):
            variable = self.base.variables[name]
            value, risk = risk_of(variable, posterior.marginals[name][items], policy)
            unseen[name] = origins[name][items] != Origin.SEEN
            at_stake = unseen[name] | (risk > highest_risk(variable, policy, value) + TIE)
            if name in labels:
                at_stake &= np.isnan(labels[name][items])
            worth[name] = np.where(at_stake, policy.worth[name], 0.0)
        return Belief(root, tuple(binary), stacked, given, sums, worth, unseen)

    def _edges(self, name: str) -> Floats:
        return np.array(self.base.variables[name].edges)

    def _candidates(
        self, answers: Answers, posterior: Posterior, items: Ints, observers: NDArray[np.bool_]
    ) -> Iterator[_Candidate]:
        belief = self._belief(answers, posterior, items)
        before = self._loss(belief, belief.root[:, None, None, :], {})[:, 0]
        for observer in np.flatnonzero(observers).tolist():
            readings = ImaginedReadings(
                self.base, self.observations, answers, items, observer, belief, posterior.followed, self.seed
            )
            for number, question in enumerate(self.base.questions.values()):
                yield from self._asked(belief, before, readings, number, question)
                open_views = self._open_views(answers, items, observer, question)
                if open_views.any():
                    for one in self._asked(belief, before, readings, number, question, fresh=True):
                        gain = one.gain * open_views[:, None]
                        yield replace(one, gain=gain, error=one.error * open_views[:, None])

    def _open_views(
        self, answers: Answers, items: Ints, observer: int, question: Question
    ) -> NDArray[np.bool_]:
        """Say for each item whether the policy offers a view beside those it was asked about in, (n,)."""
        found = np.zeros(len(items), dtype=bool)
        for row, item in enumerate(items if self.base.policy.views else ()):
            seen = self._seen(answers, int(item), observer, question)
            found[row] = bool(seen) and not set(self.base.policy.views) <= set(seen)
        return found

    def _asked(
        self,
        belief: Belief,
        before: Floats,
        readings: ImaginedReadings,
        number: int,
        question: Question,
        *,
        fresh: bool = False,
    ) -> Iterator[_Candidate]:
        """Yield what one question to one observer gains: as a whole, or about each variable in turn."""
        one = self.observations.observers[readings.observer]
        names = [v for v in question.variables if v in one.labels or v in one.numbers]
        price = one.cost * np.array([question.price(int(batch)) for batch in self.batches])
        likelihoods = {name: readings.imagine(number, name, fresh=fresh) for name in names}
        if not question.about_one:
            if names:
                halo = readings.follows(number, fresh=fresh)[:, None]
                gain, error = self._gain(belief, before, likelihoods)
                if halo.any():
                    label = {k: v for k, v in likelihoods.items() if k == self.base.root}
                    followed = self._gain(belief, before, label)
                    gain, error = (1 - halo) * gain + halo * followed[0], np.maximum(error, followed[1])
                yield _Candidate(readings.observer, question, None, fresh, price, gain, error)
            return
        telling = self._most_telling(belief, names)
        for name in names:
            rows = np.flatnonzero(telling[:, names.index(name)])
            gain, error = np.zeros((2, len(before), len(self.batches)))
            if rows.size:
                about = {name: likelihoods[name][rows]}
                gain[rows], error[rows] = self._gain(belief.part(rows), before[rows], about)
            yield _Candidate(readings.observer, question, name, fresh, price, gain, error)

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

    def _gain(
        self, belief: Belief, before: Floats, likelihoods: Mapping[str, Floats]
    ) -> tuple[Floats, Floats]:
        """Return the expected fall of the loss and its standard error, (n, batches).

        likelihoods[v]: (n, paths, batches, states) of the imagined answers about v.
        """
        n = len(before)
        if not likelihoods:
            return np.zeros((n, len(self.batches))), np.zeros((n, len(self.batches)))
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
            np.maximum(fold, 1e-300, out=fold)
            share = np.divide(root.reshape(n, -1, root.shape[-1]), fold, out=fold)
            p = (share @ active[..., None])[..., 0] * both[..., 1]
            after |= {name: p[j].reshape(root.shape[:-1]) for j, name in enumerate(asked)}
        for name, folded in folds.items():
            share = (root / np.maximum(folded, 1e-300)).reshape(n, -1, root.shape[-1])
            q = (share @ belief.given[name]).reshape(likelihoods[name].shape) * likelihoods[name]
            after[name] = q / np.maximum(q.sum(-1, keepdims=True), 1e-300)
        loss = self._loss(belief, root, after, likelihoods)
        return np.maximum(before - loss.mean(1), 0), loss.std(1) / math.sqrt(PATHS - 1)

    def _highest(self, name: str) -> tuple[float, ...]:
        """Return the highest risk at which each value of a variable is accepted; 1 for one of no level."""
        if name not in self.base.policy.limits:
            return (1.0,) * len(self.base.variables[name].values)
        return self.base.policy.highest_risks(self.base.variables[name])

    def _highest_root(self, root: Floats) -> Floats | float:
        """Return the highest risk of the likeliest state of root (..., K), (...)."""
        highest = self._highest(self.base.root)
        if min(highest) == max(highest):
            return highest[0]
        return np.asarray(np.array(highest)[root.argmax(-1)])

    def _loss(
        self, belief: Belief, root: Floats, after: Mapping[str, Floats], answered: Collection[str] = ()
    ) -> Floats:
        """Return Σ worth · `short_of`, (n, paths, batches), for root (n, paths, batches, K).

        after: P(true) of binary and (..., bins) of interval variables that answers spoke of. answered: all
        variables that they spoke of.
        """
        policy, n, shape = self.base.policy, len(root), root.shape[:-1]
        flat = root.reshape(n, -1, root.shape[-1])
        active = (flat @ belief.active).reshape(*shape, -1)
        for j, name in enumerate(belief.binary):
            if name in after:
                active[..., j] = after[name]
        cuts = np.array([policy.cuts.get(name, 0.5) for name in belief.binary])
        highest = np.array([self._highest(name) for name in belief.binary]).reshape(-1, 2)
        worth = np.array([belief.worth.get(name, np.zeros(n)) for name in belief.binary]).reshape(-1, n)
        true = active >= cuts
        short = short_of(np.where(true, 1 - active, active), np.where(true, highest[:, 1], highest[:, 0]))
        for j, name in enumerate(belief.binary):
            if name not in after and name in belief.unseen:
                short[..., j] = _at_least_open(short[..., j], belief.unseen[name])
        total = (short.reshape(n, math.prod(shape[1:]), len(cuts)) @ worth.T[:, :, None]).reshape(shape)
        for name in (name for name in belief.given if name in belief.worth):
            edges = self._edges(name)
            if name in after:
                sums = after[name] @ running_sums(edges)
            else:
                sums = (flat @ belief.sums[name]).reshape(*shape, -1)
            _, risk = risk_of_sums(sums, edges, policy.tolerance[name])
            short = short_of(risk, self._highest(name)[0])
            if name not in after:
                short = _at_least_open(short, belief.unseen[name])
            total = total + belief.worth[name][:, None, None] * short
        if self.base.root in belief.worth:
            short = short_of(1 - root.max(-1), self._highest_root(root))
            if self.base.root not in answered:
                short = _at_least_open(short, belief.unseen[self.base.root])
            total = total + belief.worth[self.base.root][:, None, None] * short
        return np.asarray(total)


def _at_least_open(short: Floats, unseen: NDArray[np.bool_]) -> Floats:
    """Return the loss (n, ...) where nothing is accepted of the unseen (n,): half of the worth at least."""
    mask = unseen.reshape(-1, *[1] * (short.ndim - 1))
    return np.where(mask, np.maximum(short, 0.5), short)


def short_of(risk: Floats, limit: Floats | float) -> Floats:
    """Return the loss as a share of the worth: 0 at or under the limit, 1/2 above it, towards 1 far above."""
    above = risk > limit + TIE
    return np.asarray(np.where(above, 1 - 0.5 * limit / np.maximum(np.maximum(risk, limit), TIE), 0))
