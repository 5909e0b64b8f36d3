"""What to ask next: the expected gain of each question in batches, by simulation.

The gain of a question is the expected fall of the total loss (`decision.loss`) over the answers that the
posterior predicts; it is worth asking where that exceeds its cost.

Simplest honest form, the same for all items at once: given the root the other variables are taken to be
independent (each has its exact posterior marginal; couplings and rules have shaped it but do not carry the
sampled answers on); a reading has followed its label where that is likelier than not; the sampled
answers of a reading continue its Pólya urn, so that a saturated reading predicts only itself; numbers are
taken as normal; whether a sampled answer followed its label is taken as known (beside exact ones, gains of
joint answers under shared switches were off by 6 % of the worth, mostly too high). Gains are means over
PATHS simulated paths. All items share the paths' stratified uniform numbers (McKay, Beckman & Conover
1979, doi:10.2307/1268522), which depend on the seed and the variable alone: what is asked about an item
does not depend on the items beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from engine.decision.decision import Option, highest_risk
from engine.decision.expected_gain import ExpectedGain
from engine.decision.limits import TIE
from engine.decision.loss import stakes_of, unseen_and_final
from engine.decision.people import is_person, price_of
from engine.decision.predictive_samples import Belief, PredictiveSampler
from engine.decision.sampled_likelihoods import LikelihoodCache, SampledLikelihoods
from engine.model.responses import Answers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from engine.backend.types import Bools, Floats, Ints
    from engine.decision.level import LevelDecision
    from engine.inference.posterior import Inference, Posterior
    from engine.model.knowledge import Knowledge
    from engine.model.policy import Question

    # Item, observer, question, what it is about and view -> whether that may be asked.
    MayAsk = Callable[[tuple[str, str, str, str | None, str]], bool]

# Items computed together, so that shared work is seldom repeated; 10 MB for the shipped base.
MOST_ITEMS = 1024
# Variables of an item for which a question about one variable is evaluated.
MOST_INFORMATIVE = 2
# How much a variable's own variance counts beside what it says of the root: a judgement.
UNSURE_WEIGHT = 0.1


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


@dataclass(frozen=True)
class _Items:
    """The answers, marginals and budgets of n items.

    answers: about them alone. marginals: variable -> (n, states). followed: (R,) see `Posterior.followed`.
    unseen, final: variable -> (n,) see `unseen_and_final`. remaining: (n,) answers that the budget allows.
    """

    answers: Answers
    marginals: Mapping[str, Floats]
    followed: Floats
    unseen: Mapping[str, Bools]
    final: Mapping[str, Bools]
    remaining: Ints

    @classmethod
    def of(cls, base: Knowledge, answers: Answers, posterior: Posterior) -> _Items:
        """Return the state of all items of some answers."""
        unseen, final = unseen_and_final(base, answers, posterior.followed)
        remaining = base.policy.budget - answers.asked
        return cls(answers, posterior.marginals, posterior.followed, unseen, final, remaining)

    def part(self, rows: Ints) -> _Items:
        """Return the state of some of the items; their places increase."""
        chosen = np.zeros(len(self.answers.items), dtype=bool)
        chosen[rows] = True
        if chosen.all():
            return self
        marginals = {name: column[rows] for name, column in self.marginals.items()}
        unseen, final = (
            {name: column[rows] for name, column in columns.items()} for columns in (self.unseen, self.final)
        )
        followed = self.followed[chosen[self.answers.reading_item]]
        return _Items(self.answers.only(chosen), marginals, followed, unseen, final, self.remaining[rows])

    @cached_property
    def readings(self) -> list[Ints]:
        """The readings of each item."""
        order = np.argsort(self.answers.reading_item, kind="stable")
        counts = np.bincount(self.answers.reading_item, minlength=len(self.remaining))
        return np.split(order, np.cumsum(counts)[:-1])

    def views(self, row: int, observer: int, question: int | None = None) -> list[str]:
        """Return the views in which an observer was asked about an item: one question, or any."""
        answers, readings = self.answers, self.readings[row]
        readings = readings[answers.reading_observer[readings] == observer]
        if question is not None:
            readings = readings[answers.reading_question[readings] == question]
        return [answers.views[view] for view in answers.reading_view[readings]]


class LookAhead:
    """Finds for each item the question most worth asking."""

    def __init__(
        self,
        inference: Inference,
        seed: int = 0,
        unavailable: Collection[str] = (),
    ) -> None:
        """unavailable: observers that cannot be asked now, whatever the policy says."""
        self.unavailable = frozenset(unavailable)
        self.network, self.observations = inference.network, inference.observations
        self.base = replace(inference.knowledge, policy=inference.knowledge.policy.aimed_at())
        self.batches = np.array(self.base.policy.batches)
        self.seed = seed
        names = self.network.given_root
        self.binary = tuple(name for name in names if self.base.variables[name].kind == "binary")
        self.expected = ExpectedGain(self.base, self.binary)
        self.tables = LikelihoodCache()

    def next(
        self,
        answers: Answers,
        posterior: Posterior,
        chosen: Bools,
        may_ask: MayAsk | None = None,
    ) -> tuple[Option | None, ...]:
        """Return for each chosen item (N,) the best question that is worth its price, else None.

        may_ask: says what may be asked at all; everything where it is left out.
        """
        options: list[Option | None] = [None] * len(answers.items)
        asked, which = np.unique(self.observers(answers), axis=0, return_inverse=True)
        which = which.reshape(-1)
        known = _Items.of(self.base, answers, posterior)
        for number, row in enumerate(asked):
            items = np.flatnonzero(chosen & (which == number))
            for start in range(0, len(items) if row.any() else 0, MOST_ITEMS):
                part = items[start : start + MOST_ITEMS]
                for item, best in zip(part, self._best_options(known.part(part), row, may_ask), strict=True):
                    options[item] = best
        return tuple(options)

    def settled(self, levels: Mapping[str, LevelDecision], items: int) -> Bools:
        """Return whether all variables with a worth may be accepted at the risk aimed at, by item, (N,)."""
        settled = np.ones(items, dtype=bool)
        for name, level in levels.items():
            if self.base.policy.worth[name] > 0:
                aim = highest_risk(self.base.variables[name], self.base.policy, level.value)
                settled &= level.eligible & (level.cautious_risk <= aim + TIE)
        return settled

    def options(self, answers: Answers, posterior: Posterior, item: int) -> tuple[Option, ...]:
        """Return all that could be asked about one item within the budget, the best gain per cost first."""
        known = _Items.of(self.base, answers, posterior).part(np.array([item]))
        options = [
            self._option(known, candidate, 0, int(batch))
            for candidate in self._candidates(known, self.observers(answers)[item])
            for batch in np.flatnonzero(self.batches <= known.remaining[0])
        ]
        return tuple(sorted(options, key=lambda option: -option.rate))

    def first(self, posterior: Posterior) -> Option | None:
        """Return the first question about an item without answers; its gain is given as 0.

        The policy may name it. Else it is the question that reports the most variables, of several the
        cheapest: a gain counts one question without those that can follow it, and so undervalues an answer
        about everything. It is asked for the number of answers with the best gain per cost, or for one where
        none is worth its price. Where every question is about one variable, it is the one with the best gain
        per cost. None where nobody may be asked, or the budget allows nothing.

        posterior: of one item without answers.
        """
        policy = self.base.policy
        if not policy.ask or not policy.budget:
            return None
        observer, first = self.base.observers[policy.ask], policy.first
        whole = [
            (-len(set(question.variables) & set(observer.instruments)), question.cost, number, name)
            for number, (name, question) in enumerate(self.base.questions.items())
            if not question.about_one and set(question.variables) & set(observer.instruments)
        ]
        options = () if first else self.options(Answers.nothing(), posterior, 0)
        if first is None and not whole:
            return next(iter(options), None)
        chosen, samples = (first.question, first.samples) if first else (min(whole)[-1], 1)
        # The options are sorted by their rate.
        batches = (o for o in options if o.observer == observer.name and o.question == chosen)
        best = next(batches, None)
        if best is not None and best.rate > 1:
            samples = best.samples
        cost = price_of(self.base, observer.name, chosen, samples)
        return Option(observer.name, chosen, None, self.base.usual_view, samples, cost, 0.0)

    def observers(self, answers: Answers) -> Bools:
        """Return which observers may be asked about each item, (N, observers).

        These are the askable ones that answered about it, else the policy's `ask`, and the policy's `others`,
        without unavailable ones. People are asked only where the policy names them.
        """
        names = [o.name for o in self.observations.observers]
        observers = self.observations.observers
        asked = [o.askable and not is_person(self.base, o.name) for o in observers]
        allowed = np.zeros((len(answers.items), len(names)), dtype=bool)
        allowed[answers.reading_item, answers.reading_observer] = True
        allowed &= np.array(asked, dtype=bool)
        policy = self.base.policy
        if policy.ask:
            allowed[~allowed.any(1), names.index(policy.ask)] = True
        allowed[:, [names.index(name) for name in policy.others]] = True
        allowed[:, [number for number, name in enumerate(names) if name in self.unavailable]] = False
        return allowed

    def _best_options(
        self, known: _Items, observers: Bools, may_ask: MayAsk | None
    ) -> Iterator[Option | None]:
        candidates = list(self._candidates(known, observers))
        if not candidates:
            yield from [None] * len(known.remaining)
            return
        gains = np.stack([candidate.gain for candidate in candidates], axis=1)
        price = np.stack([candidate.price for candidate in candidates])
        rate = np.where(self.batches <= known.remaining[:, None, None], gains / np.maximum(price, 1e-9), 0)
        if may_ask is not None:
            ask_keys = [
                [self._ask_key(known, row, candidate) for candidate in candidates] for row in range(len(rate))
            ]
            rate *= np.array([[may_ask(ask_key) for ask_key in of_item] for of_item in ask_keys])[..., None]
        best = rate.reshape(len(rate), -1).argmax(1)
        worth_it = rate.reshape(len(rate), -1)[np.arange(len(rate)), best] > 1
        for row, place in enumerate(best.tolist()):
            which, batch = divmod(place, len(self.batches))
            yield self._option(known, candidates[which], row, batch) if worth_it[row] else None

    def _option(self, known: _Items, candidate: _Candidate, row: int, batch: int) -> Option:
        samples = int(self.batches[batch])
        return Option(
            self.observations.observers[candidate.observer].name,
            candidate.question.name,
            candidate.about,
            self._view(known, row, candidate),
            samples,
            float(candidate.price[batch]),
            float(candidate.gain[row, batch]),
            float(candidate.error[row, batch]),
        )

    def _ask_key(
        self, known: _Items, row: int, candidate: _Candidate
    ) -> tuple[str, str, str, str | None, str]:
        """Return item, observer, question, what it is about and view of a candidate."""
        observer = self.observations.observers[candidate.observer].name
        item, view = known.answers.items[row], self._view(known, row, candidate)
        return item, observer, candidate.question.name, candidate.about, view

    def _view(self, known: _Items, row: int, candidate: _Candidate) -> str:
        """Return the view to show: of the readings that there are already, or one that the policy offers."""
        number = list(self.base.questions).index(candidate.question.name)
        seen = known.views(row, candidate.observer, number)
        if candidate.fresh:
            return next((view for view in self.base.policy.views if view not in seen), "")
        return next(iter(seen or known.views(row, candidate.observer)), self.base.usual_view)

    def _belief(self, known: _Items) -> Belief:
        """Return beliefs with each variable's exact marginal and the network's dependence on the root."""
        root = known.marginals[self.base.root]
        active, given = [], {}
        for name, table in self.network.given_root.items():
            ratio = known.marginals[name] / np.maximum(root @ table, 1e-12)
            joint = table[None] * ratio[:, None, :]
            joint /= np.maximum(joint.sum(-1, keepdims=True), 1e-12)
            if name in self.binary:
                active.append(joint[..., 1])
            else:
                given[name] = joint
        stacked = np.stack(active, axis=-1) if active else np.zeros((*root.shape, 0))
        sums = {name: joint @ self.expected.sums[name] for name, joint in given.items()}
        stakes = stakes_of(self.base, known.marginals, known.unseen, known.final)
        none = np.zeros(len(root))
        worths = [stakes.worth.get(name, none) for name in self.binary]
        unseen = [known.unseen.get(name, none.astype(bool)) for name in self.binary]
        shape = len(self.binary), len(root)
        return Belief(
            root,
            self.binary,
            stacked,
            given,
            sums,
            stakes,
            np.array(worths).reshape(shape),
            np.array(unseen, dtype=bool).reshape(shape),
        )

    def _candidates(self, known: _Items, observers: Bools) -> Iterator[_Candidate]:
        belief = self._belief(known)
        before = self.expected.before(belief)
        # What others answered is collected once for all observers and questions.
        heard, asked = set(known.answers.reading_observer.tolist()), np.flatnonzero(observers).tolist()
        several = self.observations.dependent and heard and len(heard.union(asked)) > 1
        collected = self.observations.contributions(known.answers) if several else None
        for observer in asked:
            readings = PredictiveSampler(
                self.base,
                self.observations,
                known.answers,
                observer,
                belief,
                known.followed,
                self.seed,
                self.tables,
                collected,
            )
            for number, question in enumerate(self.base.questions.values()):
                continued = list(self._question_candidates(belief, before, readings, number, question))
                yield from continued
                open_views, repeats = self._open_views(known, observer, number)
                if open_views.any():
                    begun = self._question_candidates(belief, before, readings, number, question, fresh=True)
                    for again, candidate in zip(continued, begun, strict=True):
                        shares = (repeats, open_views - repeats)
                        gain = shares[0] * again.gain + shares[1] * candidate.gain
                        error = shares[0] * again.error + shares[1] * candidate.error
                        yield replace(candidate, gain=gain, error=error)

    def _open_views(self, known: _Items, observer: int, question: int) -> tuple[Floats, Floats]:
        """Return for each item whether the policy offers a view that it was not asked about in yet, (n, 1).

        Also the probability that a reading in it is that of the usual view once more, (n, 1).
        """
        is_open, repeats = np.zeros((2, len(known.remaining), 1))
        for row in range(len(is_open) if self.base.policy.views else 0):
            seen = known.views(row, observer, question)
            open_view = next((view for view in self.base.policy.views if view not in seen), None)
            if seen and open_view is not None:
                is_open[row], repeats[row] = 1.0, self.observations.repeats.get(open_view, 0.0)
        return is_open, repeats

    def _question_candidates(
        self,
        belief: Belief,
        before: Floats,
        readings: PredictiveSampler,
        number: int,
        question: Question,
        *,
        fresh: bool = False,
    ) -> Iterator[_Candidate]:
        """Yield the candidates of one question to one observer: the whole question, or one a variable."""
        observer = self.observations.observers[readings.observer]
        names = [v for v in question.variables if v in observer.labels or v in observer.numbers]
        price = np.array([price_of(self.base, observer.name, question.name, int(n)) for n in self.batches])
        likelihoods = {name: readings.sample(number, name, fresh=fresh) for name in names}
        if not question.about_one:
            if names:
                halo = readings.follow_probability(number, fresh=fresh)[:, None]
                gain, error = self.expected.gain(belief, before, likelihoods)
                if halo.any():
                    followed = self._gain_of_label(belief, before, likelihoods)
                    gain, error = (1 - halo) * gain + halo * followed[0], np.maximum(error, followed[1])
                yield _Candidate(readings.observer, question, None, fresh, price, gain, error)
            return
        gains = np.zeros((len(names), 2, len(before), len(self.batches)))
        rows, columns = np.nonzero(self._most_informative(belief, names))
        if rows.size:
            order = np.argsort(columns, kind="stable")
            rows, columns = rows[order], columns[order]
            about = SampledLikelihoods.stacked(
                [likelihoods[names[c]].part(rows[columns == c]) for c in np.unique(columns).tolist()]
            )
            places = np.array([self.binary.index(name) if name in self.binary else -1 for name in names])
            gains[columns, :, rows] = np.stack(
                self.expected.gain_about_one(belief.part(rows), before[rows], places[columns], about), axis=1
            )
        for name, (gain, error) in zip(names, gains, strict=True):
            yield _Candidate(readings.observer, question, name, fresh, price, gain, error)

    def _gain_of_label(
        self, belief: Belief, before: Floats, likelihoods: Mapping[str, SampledLikelihoods]
    ) -> tuple[Floats, Floats]:
        """Return gain and error, (n, batches), of answers that follow their label; only the label counts."""
        if self.base.root not in likelihoods:
            nothing = np.zeros((len(before), len(self.batches)))
            return nothing, nothing
        return self.expected.gain(belief, before, {self.base.root: likelihoods[self.base.root]})

    def _most_informative(self, belief: Belief, names: Sequence[str]) -> Bools:
        """Return which names are most informative, of those of binary variables, by item, (n, names)."""
        informativeness = binary_informativeness(belief.root, belief.active)
        score = np.full((len(belief.root), len(names)), -1.0)
        for column, name in enumerate(names):
            if name in belief.binary:
                score[:, column] = informativeness[:, belief.binary.index(name)]
        rank = (-score).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
        return np.asarray((rank < MOST_INFORMATIVE) & (score >= 0))


def binary_informativeness(root: Floats, active: Floats) -> Floats:
    """Return how informative an answer about each binary variable may be, by item, (n, J).

    That is the expected sum of squares of P(root | variable), at least that of P(root), and UNSURE_WEIGHT
    times the variance of the variable itself. root: (n, K). active: (n, K, J) P(true | root).
    """
    joint = root[:, :, None] * active
    p = joint.sum(1)
    about_root = (joint**2).sum(1) / np.maximum(p, 1e-12)
    absent = root[:, :, None] - joint
    about_root += (absent**2).sum(1) / np.maximum(1 - p, 1e-12)
    return np.asarray(about_root + UNSURE_WEIGHT * p * (1 - p))
