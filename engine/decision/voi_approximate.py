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
1979, doi:10.2307/1268522), which depend on seed and variable alone, not on the items beside an item.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine.decision.asked_items import AskedItems, QuestionCandidate, most_informative
from engine.decision.decision import Option, highest_risk
from engine.decision.expected_gain import ExpectedGain, where_worth_it
from engine.decision.limits import TIE
from engine.decision.loss import stakes_of
from engine.decision.origin import labels_of
from engine.decision.people import is_person, price_of
from engine.decision.predictive_samples import Belief, PredictiveSampler
from engine.decision.sampled_likelihoods import LikelihoodCache, SampledLikelihoods
from engine.model.responses import Answers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from engine.backend.types import Bools, Floats, Ints
    from engine.decision.level import LevelDecision
    from engine.inference.posterior import Inference, Posterior

    # Item, observer, question, what it is about and view -> whether that may be asked.
    MayAsk = Callable[[tuple[str, str, str, str | None, str]], bool]

# Items computed together, so that shared work is seldom repeated; some 60 MB for the shipped base.
MOST_ITEMS = 2048


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
        named: tuple[Mapping[str, str], ...] = (),
    ) -> tuple[Option | None, ...]:
        """Return for each chosen item (N,) the best question that is worth its price, else None.

        may_ask: says what may be asked at all; everything where it is left out. named: for each item variable
        -> the contradiction that names it, in words. The best question about such a variable alone, to which
        the item has no answers yet, comes before all others where it is worth its price.
        """
        options: list[Option | None] = [None] * len(answers.items)
        asked, which = np.unique(self.observers(answers), axis=0, return_inverse=True)
        which = which.reshape(-1)
        known = AskedItems.of(self.base, answers, posterior, named)
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
        known = AskedItems.of(self.base, answers, posterior, ()).part(np.array([item]))
        (options,) = self._all_options(known, self.observers(answers)[item])
        return options

    def options_by_item(self, answers: Answers, posterior: Posterior) -> tuple[tuple[Option, ...], ...]:
        """Return for each item (N,) what `options` returns of it and gains anything, in bulk."""
        options: list[tuple[Option, ...]] = [()] * len(answers.items)
        asked, which = np.unique(self.observers(answers), axis=0, return_inverse=True)
        known = AskedItems.of(self.base, answers, posterior, ())
        for number, row in enumerate(asked):
            items = np.flatnonzero(which.reshape(-1) == number)
            for start in range(0, len(items), MOST_ITEMS):
                part = items[start : start + MOST_ITEMS]
                for item, item_options in zip(part, self._all_options(known.part(part), row), strict=True):
                    options[item] = tuple(option for option in item_options if option.gain > 0)
        return tuple(options)

    def _all_options(self, known: AskedItems, observers: Bools) -> Iterator[tuple[Option, ...]]:
        """Yield for each item all options within its budget, the best gain per cost first."""
        candidates = list(self._candidates(known, observers, every=True))
        for row, remaining in enumerate(known.remaining):
            options = [
                self._option(known, candidate, row, int(batch))
                for candidate in candidates
                for batch in np.flatnonzero(self.batches <= remaining)
            ]
            yield tuple(sorted(options, key=lambda option: -option.rate))

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
            if not (question.about_one or question.tells)
            and set(question.variables) & set(observer.instruments)
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

    def to_be_told(self, answers: Answers) -> Bools:
        """Return which items the policy's first question can tell a label and was not asked about, (N,)."""
        first = self.base.policy.first
        tells = self.base.questions[first.question].tells if first else ()
        to_tell = np.zeros(len(answers.items), dtype=bool)
        for name, labels in labels_of(self.base, answers).items() if tells else ():
            to_tell |= ~np.isnan(labels) & (name in tells)
        return np.asarray(to_tell & (answers.asked == 0))

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
        self, known: AskedItems, observers: Bools, may_ask: MayAsk | None
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
        check = known.checks(candidates, list(self.base.questions))
        checks_rate = rate * np.array([[bool(text) for text in texts] for texts in check])[..., None]
        checked = (checks_rate > 1).any((1, 2))
        rate[checked] = checks_rate[checked]
        best = rate.reshape(len(rate), -1).argmax(1)
        worth_it = rate.reshape(len(rate), -1)[np.arange(len(rate)), best] > 1
        for row, place in enumerate(best.tolist()):
            which, batch = divmod(place, len(self.batches))
            text = check[row][which] if checked[row] else ""
            yield self._option(known, candidates[which], row, batch, text) if worth_it[row] else None

    def _option(
        self, known: AskedItems, candidate: QuestionCandidate, row: int, batch: int, check: str = ""
    ) -> Option:
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
            check,
        )

    def _ask_key(
        self, known: AskedItems, row: int, candidate: QuestionCandidate
    ) -> tuple[str, str, str, str | None, str]:
        """Return item, observer, question, what it is about and view of a candidate."""
        observer = self.observations.observers[candidate.observer].name
        item, view = known.answers.items[row], self._view(known, row, candidate)
        return item, observer, candidate.question.name, candidate.about, view

    def _view(self, known: AskedItems, row: int, candidate: QuestionCandidate) -> str:
        """Return the view to show: of the readings that there are already, or one that the policy offers."""
        number = list(self.base.questions).index(candidate.question.name)
        seen = known.views(row, candidate.observer, number)
        if candidate.fresh:
            return next((view for view in self.base.policy.views if view not in seen), "")
        return next(iter(seen or known.views(row, candidate.observer)), self.base.usual_view)

    def _belief(self, known: AskedItems) -> Belief:
        """Return beliefs with each variable's exact marginal and the network's dependence on the root."""
        root = known.marginals[self.base.root]
        active, given = np.zeros((*root.shape, len(self.binary))), {}
        for name, table in self.network.given_root.items():
            ratio = known.marginals[name] / np.maximum(root @ table, 1e-12)
            if name in self.binary:
                false, true = ratio.T[..., None] * table.T[:, None]
                active[..., self.binary.index(name)] = true / np.maximum(false + true, 1e-12)
            else:
                joint = table[None] * ratio[:, None, :]
                given[name] = joint / np.maximum(joint.sum(-1, keepdims=True), 1e-12)
        sums = {name: joint @ self.expected.sums[name] for name, joint in given.items()}
        stakes = stakes_of(self.base, known.marginals, known.unseen, known.final)
        none = np.zeros(len(root))
        worths = [stakes.worth.get(name, none) for name in self.binary]
        unseen = [known.unseen.get(name, none.astype(bool)) for name in self.binary]
        shape = len(self.binary), len(root)
        return Belief(
            root,
            self.binary,
            active,
            given,
            sums,
            stakes,
            np.array(worths).reshape(shape),
            np.array(unseen, dtype=bool).reshape(shape),
        )

    def _candidates(
        self, known: AskedItems, observers: Bools, *, every: bool = False
    ) -> Iterator[QuestionCandidate]:
        """Yield what could be asked; every: with all gains, those that are not worth their price, too."""
        # In another view a gain is a mean of two, of which one alone may be worth its price.
        every = every or bool(self.base.policy.views)
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
                named = known.are_named(question.variables)
                # What an answer that follows what it was told is worth is not worked out.
                if question.tells or (question.check and not named.any()):
                    continue
                about = belief, before, readings, number, named
                continued = list(self._question_candidates(*about, every=every))
                yield from continued
                open_views, repeats = self._open_views(known, observer, number)
                if open_views.any():
                    begun = self._question_candidates(*about, every=every, fresh=True)
                    for again, candidate in zip(continued, begun, strict=True):
                        shares = (repeats, open_views - repeats)
                        gain = shares[0] * again.gain + shares[1] * candidate.gain
                        error = shares[0] * again.error + shares[1] * candidate.error
                        yield replace(candidate, gain=gain, error=error)

    def _open_views(self, known: AskedItems, observer: int, question: int) -> tuple[Floats, Floats]:
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
        named: Bools,
        *,
        every: bool,
        fresh: bool = False,
    ) -> Iterator[QuestionCandidate]:
        """Yield the candidates of one question to one observer: the whole question, or one a variable.

        named: (n, variables of the question) which of them a contradiction names.
        """
        question = list(self.base.questions.values())[number]
        observer = self.observations.observers[readings.observer]
        names = [v for v in question.variables if v in observer.labels or v in observer.numbers]
        price = np.array([price_of(self.base, observer.name, question.name, int(n)) for n in self.batches])
        likelihoods = {name: readings.sample(number, name, fresh=fresh) for name in names}
        least = -np.inf if every else float(price.min())
        if not question.about_one:
            if names:
                halo = readings.follow_probability(number, fresh=fresh)[:, None]
                gain, error = self._gain_where_worth_it(belief, before, likelihoods, halo, least)
                yield QuestionCandidate(readings.observer, question, None, fresh, price, gain, error)
            return
        chosen = named[:, [question.variables.index(name) for name in names]]
        if not question.check:
            other = np.array([name not in self.binary for name in names], dtype=bool)
            chosen = chosen | other | most_informative(belief.root, belief.active, belief.binary, names)
        # An answer that merely repeats what its prompt stated gains nothing.
        looked = 1 - self.observations.echo[readings.observer].probability[number]
        gains = looked * self._gains_about_one(belief, before, likelihoods, chosen, least)
        for name, (gain, error) in zip(names, gains, strict=True):
            yield QuestionCandidate(readings.observer, question, name, fresh, price, gain, error)

    def _gains_about_one(
        self,
        belief: Belief,
        before: Floats,
        likelihoods: Mapping[str, SampledLikelihoods],
        chosen: Bools,
        least: float,
    ) -> Floats:
        """Return gain and error of answers about each variable alone, (variables, 2, n, batches).

        chosen: (n, variables) of which they are computed; else 0. least: see `where_worth_it`.
        """
        names = list(likelihoods)
        gains = np.zeros((len(names), 2, len(before), len(self.batches)))
        binary = np.array([name in self.binary for name in names], dtype=bool)
        binary_columns, asked = np.flatnonzero(binary), chosen[:, binary]
        if asked.any():
            stacked = SampledLikelihoods.stacked([likelihoods[names[c]] for c in binary_columns.tolist()])
            places = np.array([self.binary.index(names[c]) for c in binary_columns.tolist()])
        # One variable of each item at a time, so that all share the tiles of the belief.
        while asked.any():
            rows = np.flatnonzero(asked.any(1))
            which = asked[rows].argmax(1)
            asked[rows, which] = False
            about = belief.part(slice(None) if len(rows) == len(before) else rows)
            sampled = stacked.part(which * len(before) + rows)
            gain_and_error = self._gain_about_binary(about, before[rows], places[which], sampled, least)
            gains[binary_columns[which], :, rows] = np.stack(gain_and_error, axis=1)
        for column in np.flatnonzero(~binary & chosen.any(0)).tolist():
            rows = np.flatnonzero(chosen[:, column])
            alone = {names[column]: likelihoods[names[column]].part(rows)}
            about, halo = belief.part(rows), np.zeros((len(rows), 1))
            gains[column][:, rows] = self._gain_where_worth_it(about, before[rows], alone, halo, least)
        return gains

    def _gain_about_binary(
        self, belief: Belief, before: Floats, place: Ints, likelihood: SampledLikelihoods, least: float
    ) -> tuple[Floats, Floats]:
        """Return `ExpectedGain.gain_about_one`, both (n, batches), where it may exceed the least."""

        def evaluate(rows: Ints | slice, batches: slice) -> tuple[Floats, Floats]:
            some = likelihood.part(rows, batches)
            return self.expected.gain_about_one(belief.part(rows), before[rows], place[rows], some)

        return where_worth_it(evaluate, len(before), len(self.batches), least)

    def _gain_where_worth_it(
        self,
        belief: Belief,
        before: Floats,
        likelihoods: Mapping[str, SampledLikelihoods],
        halo: Floats,
        least: float,
    ) -> tuple[Floats, Floats]:
        """Return `_gain_under_halo`, both (n, batches), where it may exceed the least."""

        def evaluate(rows: Ints | slice, batches: slice) -> tuple[Floats, Floats]:
            about = {name: sampled.part(rows, batches) for name, sampled in likelihoods.items()}
            return self._gain_under_halo(belief.part(rows), before[rows], about, halo[rows])

        return where_worth_it(evaluate, len(before), len(self.batches), least)

    def _gain_under_halo(
        self, belief: Belief, before: Floats, likelihoods: Mapping[str, SampledLikelihoods], halo: Floats
    ) -> tuple[Floats, Floats]:
        """Return gain and error, (n, batches), of answers of which only the label counts under halo.

        halo: (n, 1) the probability that they follow their label.
        """
        gain, error = self.expected.gain(belief, before, likelihoods)
        if not halo.any():
            return gain, error
        gain *= 1 - halo
        if self.base.root in likelihoods:
            label = {self.base.root: likelihoods[self.base.root]}
            followed, followed_error = self.expected.gain(belief, before, label)
            gain, error = gain + halo * followed, np.maximum(error, followed_error)
        return gain, error
