"""Answers -> posterior records: the main job, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import (
    Answers,
    EligibleRisks,
    Guarantee,
    Inference,
    Knowledge,
    LevelDecision,
    LookAhead,
    Network,
    SekeError,
    acceptable,
    checks_of,
    contradictions_of,
    decide_items,
    decide_levels,
    diagnose,
    did_you_mean,
    disputed_labels,
    set_thresholds,
    thresholds_by_value,
)
from seke.files.networks import network_of
from seke.inference.coverage import GuaranteeScope
from seke.inference.first_pass import FirstPass
from seke.inference.processes import in_turn
from seke.inference.record import RecordLayout

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from engine import Bools, Decisions, Diagnostics, Floats, KnowledgeDraws, Option, Policy, Posterior
    from seke.inference.processes import Workers

    ReadingKey = tuple[str, str, str, str | None, str]
    Record = dict[str, Any]


@dataclass(frozen=True)
class Judged:
    """The posterior of some items, the decisions about them, and the scope of the guarantee.

    drawn: marginals under draws of the base's numbers, by variable, (D, N, states) each; None without.
    """

    posterior: Posterior
    diagnostics: Diagnostics
    decisions: Decisions
    scope: GuaranteeScope | None
    drawn: Mapping[str, Floats] | None = None


@dataclass(frozen=True)
class Session:
    """A compiled base for one population; turns answers into posterior records.

    seed: of the look-ahead. unavailable: observers that cannot be asked now, whatever the policy says.
    guarantee: what was certified with the base, where that holds; refused: why it does not hold. off_policy:
    items that were asked otherwise than the policy asks, and in which way (see `replay`). draws: of the
    base's numbers, where limits are to take their strengths into account. inferred: what the pass that found
    the thresholds inferred with this base.
    """

    inference: Inference
    seed: int = 0
    unavailable: frozenset[str] = frozenset()
    guarantee: Guarantee | None = None
    refused: tuple[str, ...] = ()
    off_policy: Mapping[str, str] = field(default_factory=dict)
    draws: KnowledgeDraws | None = None
    inferred: FirstPass = field(default_factory=FirstPass, compare=False, repr=False)

    @classmethod
    def open(
        cls,
        base: Knowledge,
        population: str | None = None,
        seed: int = 0,
        *,
        device: str = "cpu",
        knowledge_uncertainty: bool = False,
    ) -> Session:
        """Compile a base and return its session; device is that of `engine.Inference`.

        knowledge_uncertainty: draw the base's numbers within their strengths, too, by the seed.

        Raises:
            engine.KnowledgeError: a base that cannot be compiled.
            engine.SekeError: a population that the base does not have, or draws that cannot be compiled.
        """
        if population is not None and population not in base.populations:
            hint = did_you_mean(population, base.populations)
            raise SekeError(f"no population is called {population!r}{hint}")
        network = network_of(base)
        inference = Inference(network, base, population, device=device)
        guarantee = base.guarantee
        refused = guarantee.refusals(base.digests, inference.population) if guarantee else ()
        holds = guarantee if not refused else None
        rng = np.random.default_rng(seed)
        draws = None
        if knowledge_uncertainty:
            # It compiles bases, and with it comes what compiles.
            from engine import KnowledgeDraws

            draws = KnowledgeDraws.of(inference, rng)
        return cls(inference, seed, guarantee=holds, refused=refused, draws=draws)

    @property
    def knowledge(self) -> Knowledge:
        """The base, with the policy and the prices of now."""
        return self.inference.knowledge

    @property
    def network(self) -> Network:
        """The compiled network."""
        return self.inference.network

    @cached_property
    def look_ahead(self) -> LookAhead:
        """What chooses the next question."""
        return LookAhead(self.inference, self.seed, self.unavailable)

    @cached_property
    def certified(self) -> Session:
        """The session about items that the guarantee covers: certified risks in the place of the limits."""
        if self.guarantee is None:
            return self
        variables = self.knowledge.variables.values()
        policy = self.guarantee.covering_policy(self.knowledge.policy, variables)
        return replace(self.with_policy(policy), guarantee=None)

    @cached_property
    def layout(self) -> RecordLayout:
        """How records are written."""
        return RecordLayout(self.knowledge)

    @cached_property
    def first(self) -> Option | None:
        """The first question about an item without answers; None where nothing may be asked."""
        return self.look_ahead.first(self.inference.posterior(Answers.nothing()))

    def with_thresholds(self, parts: Iterable[Answers], workers: Workers = in_turn) -> Session:
        """Return the session with thresholds that keep limits of the mean over these items, too.

        parts: the answers about all items, in batches. workers: what lets processes do `look`. A threshold
        that the base's fits have found stays the highest; where there are too few items with a value, it
        stays as it is. The session need not infer the same batches again (see `FirstPass`).
        """
        inferred = FirstPass()
        session = self.within_limits(self.mean_risks(parts, workers, inferred))
        # A threshold changes what is decided, not what is inferred.
        return replace(session, inferred=inferred)

    def mean_risks(
        self, parts: Iterable[Answers], workers: Workers = in_turn, inferred: FirstPass | None = None
    ) -> dict[str, list[EligibleRisks]]:
        """Return what thresholds of the mean are found on, for each variable that has such a limit.

        The arguments are those of `with_thresholds`. inferred: what keeps all that is inferred meanwhile.
        """
        gathered: dict[str, list[EligibleRisks]] = {name: [] for name in self._mean_limits}
        looks = workers(self.look, parts) if gathered else ()
        for answers, (risks, posterior, diagnostics) in looks:
            if inferred is not None:
                inferred.keep(answers, posterior, diagnostics)
            for name, kept in gathered.items():
                kept.append(risks[name])
        return gathered

    @property
    def _mean_limits(self) -> tuple[str, ...]:
        """The variables whose limit is of the mean of what is accepted."""
        policy = self.knowledge.policy
        return tuple(name for name in policy.limits if name in policy.mean_limits)

    def look(self, answers: Answers) -> tuple[dict[str, EligibleRisks], Posterior, Diagnostics]:
        """Return what thresholds of the mean are found on, and what it rests on."""
        levels, posterior, diagnostics = self._look(answers)
        variables = self.knowledge.variables
        risks = {name: EligibleRisks.of(variables[name], levels[name]) for name in self._mean_limits}
        return risks, posterior, diagnostics

    def within_limits(self, risks: Mapping[str, Sequence[EligibleRisks]]) -> Session:
        """Return the session with thresholds that keep limits of the mean over all items.

        risks: what `mean_risks` gathered of all of them, of parts in any order.
        """
        base, policy = self.knowledge, self.knowledge.policy
        thresholds = dict(policy.thresholds)
        for name, kept in risks.items():
            variable = base.variables[name]
            risk_thresholds = set_thresholds(variable, policy, EligibleRisks.stacked(kept)) if kept else {}
            if risk_thresholds:
                before = policy.thresholds.get(name, (policy.worst,) * len(variable.values))
                found_risks = {value: threshold.risk for value, threshold in risk_thresholds.items()}
                by_value = thresholds_by_value(variable, policy.limits[name], found_risks)
                thresholds[name] = tuple(map(min, before, by_value))
        return self.with_policy(replace(policy, thresholds=thresholds)) if thresholds else self

    @property
    def has_mean_limits(self) -> bool:
        """Whether a limit is of the mean of what is accepted."""
        return bool(self.knowledge.policy.mean_limits)

    @property
    def without_threshold(self) -> tuple[str, ...]:
        """The variables whose limit is of the mean and which have no threshold yet."""
        policy = self.knowledge.policy
        return tuple(name for name in policy.limits if name in policy.mean_limits - set(policy.thresholds))

    def asking(self) -> Session:
        """Return the session with the thresholds for items that are asked as the policy asks."""
        policy = self.knowledge.policy
        asking = replace(policy, thresholds=policy.adaptive_thresholds, aims=policy.adaptive_aims)
        return self if asking == policy else self.with_policy(asking)

    def levels(self, answers: Answers) -> dict[str, LevelDecision]:
        """Return the decisions about every level by the policy, without looking ahead."""
        return self._look(answers)[0]

    def _look(self, answers: Answers) -> tuple[dict[str, LevelDecision], Posterior, Diagnostics]:
        """Return the decisions about every level, and what they rest on."""
        posterior, diagnostics = self._infer(answers)
        drawn = self._drawn(answers)
        levels = decide_levels(self.knowledge, answers, posterior, diagnostics.conflict, drawn)
        return levels, posterior, diagnostics

    def _infer(self, answers: Answers) -> tuple[Posterior, Diagnostics]:
        """Return the posterior and the diagnostics of some items."""
        posterior, diagnostics = self.inferred.of(answers)
        if posterior is None:
            posterior = self.inference.posterior(answers)
        if diagnostics is None:
            diagnostics = diagnose(self.inference, answers, posterior)
        return posterior, diagnostics

    def _drawn(self, answers: Answers) -> Mapping[str, Floats] | None:
        """Return the marginals under draws of the base's numbers, (D, N, states) each; None without draws."""
        return None if self.draws is None else self.draws.marginals(answers)

    def with_knowledge(self, knowledge: Knowledge) -> Session:
        """Return the session by a changed base of the same network, for which its guarantee holds as well."""
        return replace(self, inference=self.inference.with_knowledge(knowledge), inferred=FirstPass())

    def with_policy(self, policy: Policy) -> Session:
        """Return the session with a policy for which its guarantee holds as well."""
        return self.with_knowledge(replace(self.knowledge, policy=policy))

    def without(self, observers: Collection[str]) -> Session:
        """Return the session that asks nothing of these observers; what they answered counts as before."""
        return replace(self, unavailable=frozenset(observers)) if observers else self

    def under(self, policy: Policy) -> Session:
        """Return the session of the same base with another policy, without its guarantee."""
        return Session(self.with_policy(policy).inference, self.seed, draws=self.draws)

    def records(self, answers: Answers) -> list[Record]:
        """Return one posterior record an item, in the order of the items."""
        judged = self.judge(answers)
        conclusions = judged.posterior, judged.decisions, self.with_checks(answers, judged)
        return self.layout.records(answers, *conclusions, judged.scope, judged.drawn)

    def _following(
        self,
        answers: Answers,
        posterior: Posterior,
        levels: Mapping[str, LevelDecision],
        may_ask: Callable[[ReadingKey], bool] | None,
        which: Bools,
        named: tuple[Mapping[str, str], ...],
    ) -> tuple[Option | None, ...]:
        """Return what to ask next about each item (N,); None for nothing, or if it is not among `which`.

        named: see `LookAhead.next`.
        """
        readings = np.bincount(answers.reading_item, minlength=len(answers.items))
        settled = self.look_ahead.settled(levels, len(readings))
        ask = which & ~settled & (readings > 0) & (answers.asked < self.knowledge.policy.budget)
        ask &= ~_beyond_judging(answers)
        following = self.look_ahead.next(answers, posterior, ask, may_ask, named)
        # An instrument that found nothing to judge leaves an item as unasked as before.
        unasked = which & (answers.asked == 0) & (answers.samples == answers.not_judged)
        unasked |= which & self.look_ahead.to_be_told(answers)
        return tuple(
            self.first if is_unasked else option
            for is_unasked, option in zip(unasked, following, strict=True)
        )

    def _look_for_contradictions(
        self,
        answers: Answers,
        posterior: Posterior,
        diagnostics: Diagnostics,
        disputed: tuple[Mapping[str, str], ...],
    ) -> tuple[Diagnostics, tuple[Mapping[str, str], ...]]:
        """Return the diagnostics with contradictions, and what may be checked about each item.

        They are looked for where the policy checks first. The second is variable -> the contradiction that
        names it, in words; of several the first.
        """
        if not self.knowledge.policy.checks_first:
            return diagnostics, ()
        standing = contradictions_of(self.inference, answers, posterior, diagnostics, disputed)
        named = tuple(
            {name: c.text for c in reversed(contradictions) for name in c.variables}
            for contradictions in standing
        )
        return replace(diagnostics, contradictions=standing), named

    def with_checks(self, answers: Answers, judged: Judged) -> Diagnostics:
        """Return the diagnostics of judged answers with what checks changed, which only records tell."""
        diagnostics = judged.diagnostics
        if not self.knowledge.policy.checks_first:
            return diagnostics
        standing = diagnostics.contradictions
        return replace(diagnostics, checks=checks_of(self.inference, answers, judged.posterior, standing))

    def judge(self, answers: Answers, may_ask: Callable[[ReadingKey], bool] | None = None) -> Judged:
        """Infer the posterior; decide what is accepted and what is asked next.

        may_ask: item, observer, question, what it is about and view -> whether that may be asked next of an
        item that has answers; everything where it is left out.
        """
        base = self.knowledge
        posterior, diagnostics = self._infer(answers)
        drawn = self._drawn(answers)
        levels = decide_levels(base, answers, posterior, diagnostics.conflict, drawn)
        disputed = disputed_labels(self.inference, answers)
        diagnostics, contradicted = self._look_for_contradictions(answers, posterior, diagnostics, disputed)
        scope = None
        if self.guarantee is None:
            every = np.ones(len(answers.items), dtype=bool)
            following = self._following(answers, posterior, levels, may_ask, every, contradicted)
        else:
            scope = GuaranteeScope.of(base, self.guarantee, answers, self.off_policy)
            by_limits, by_certificates = (
                session._following(answers, posterior, levels, may_ask, which, contradicted)
                for session, which in ((self, ~scope.inside), (self.certified, scope.inside))
            )
            following = tuple(
                certified if inside else option
                for inside, certified, option in zip(scope.inside, by_certificates, by_limits, strict=True)
            )
            certified_base = self.certified.knowledge
            covered = decide_levels(certified_base, answers, posterior, diagnostics.conflict, drawn)
            allowed = acceptable(base, answers, diagnostics.conflict)
            levels = scope.decide_levels(levels, covered, allowed, following)
        # Who contradicts the others of an item beyond what is declared of it; a label that is disputed does.
        alarm = (diagnostics.conflict < base.policy.conflict).tolist()
        at_odds = tuple(
            who if alarmed else next(iter(labels.values()), "")
            for who, alarmed, labels in zip(diagnostics.at_odds, alarm, disputed, strict=True)
        )
        named = tuple(tuple(labels) for labels in disputed)
        decisions = decide_items(base, answers, levels, following, at_odds, named)
        return Judged(posterior, diagnostics, decisions, scope, drawn)


def _beyond_judging(answers: Answers) -> Bools:
    """Return the items of which most answers that were asked for judge nothing, (N,).

    Whoever looked and could not tell would say so again, at the same price. What a label or an instrument
    that is not asked says counts as one answer, however often it was drawn.
    """
    others = answers.samples - answers.asked
    others_in_vain = answers.not_judged - answers.asked_in_vain
    return np.asarray(2 * answers.asked_in_vain > answers.asked + (others > others_in_vain))
