"""Decisions and gold -> a guarantee: thresholds on the risk, each with an exact test.

Fixed-sequence Learn-then-Test (Angelopoulos, Bates, Candès, Jordan and Lei, Learn then Test, arXiv
2110.01052), for each promise by itself: about one value of a variable, a variable as a whole, or the binary
variables of a level together. Gold is split by chance. On one part, which a fit may use as well, candidates
t_1 < t_2 < ... of the threshold are laid out, and where to start is chosen. On the other part each candidate
from the start on is tested:

    p(t) = P(Binomial(n, alpha) <= errors),     n units accepted at t, of which `errors` wrong;

while p(t) <= share the next one is tried, and the last that passed is certified. That p(t) <= share is that
the upper bound of Clopper and Pearson at this share is at or under alpha. The candidates do not depend on
the part that tests, so with probability 1 - share none passes at which more than alpha err; the shares of
all promises that are tried add up to delta. There is one start, where a pass is most probable: to share delta
over several certified less in every simulation that was tried.

Where items cluster the unit is the subject: one accepted item of each, chosen by chance, is tested, so that
the test is exact for a random accepted item of a random subject. Binary variables of one item are no
independent trials either: where they are pooled one accepted value of each unit, chosen by chance, is tested,
so that the test is exact for a random accepted value of a random unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.certification.hypotheses import Units, error_rates, hypotheses_of
from engine.metrics.binomial import most_errors, passes, passes_once, tail, upper_bound
from engine.model.guarantee import ANY, POOLED, Breadth, Certificate, Guarantee, ValueTest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from engine.backend.types import Bools, Floats, Ints
    from engine.certification.hypotheses import Hypothesis
    from engine.decision.level import LevelDecision
    from engine.model.gold import Gold
    from engine.model.guarantee import Design
    from engine.model.knowledge import Knowledge


# Chance of a certificate, as the fit split predicts it, below which a value takes no share of delta.
WORTH_TRYING = 0.05
# Chance of a test from which it is predicted to pass.
PASSES = 0.5
MOST_GOLD = 10_000_000
# Fewer accepted units than these say too little of how often they come; so many errors as this improbable at
# alpha, or more, say that the accepted err too often: both are judgements.
FEWEST_TOLD, UNLIKELY = 10, 0.1


def split(items: int, groups: Sequence[object] | None, share: float, rng: np.random.Generator) -> Bools:
    """Return a random mask (N,) of the gold items for fitting; the others certify.

    groups: the subject of each item; all of a subject's are in one part. share: of the items, or subjects,
    that fit; a third is enough to choose where to start, and certifies clearly more than a half does.
    """
    if groups is None:
        return np.asarray(rng.permutation(items) < round(share * items))
    names, of = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    return np.asarray(rng.permutation(len(names)) < round(share * len(names)))[of]


@dataclass(frozen=True)
class _Trial:
    """How each promise is tested: at most alpha wrong, a pass by chance with probability share at most."""

    alpha: float
    share: float
    units: Units

    @classmethod
    def of(
        cls, hypotheses: Sequence[Hypothesis], alpha: float, delta: float, units: Units
    ) -> tuple[_Trial, list[Hypothesis]]:
        """Return the trial, and the promises that are tried: what has no hope takes no share.

        That is seen on the fit split alone.
        """
        testable = [hypothesis for hypothesis in hypotheses if len(hypothesis.candidates)]
        trial = cls(alpha, _equal_shares(delta, len(testable)), units)
        tried = [hypothesis for hypothesis in testable if trial.is_worth_trying(hypothesis)]
        return replace(trial, share=_equal_shares(delta, len(tried))) if tried else trial, tried

    def passes(self, n: int, errors: int) -> bool:
        """Return whether `errors` of n accepted units pass."""
        return passes_once(n, errors, self.alpha, self.share)

    def chances(self, hypothesis: Hypothesis) -> Floats:
        """Return the approximate probability that each candidate passes, (T,).

        Errors to come are beta-binomial around those of the fit (Jeffreys).
        """
        return self._chances(*self._expected(hypothesis), hypothesis.rates)

    def is_worth_trying(self, hypothesis: Hypothesis) -> bool:
        """Return whether some candidate passes with a chance of WORTH_TRYING or more."""
        expected, allowed = self._expected(hypothesis)
        n, errors = hypothesis.counts
        # Most often the candidate with the most room for errors says it, at a fraction of the time of all.
        roomy = slice(best := int((allowed - errors / np.maximum(n, 1) * expected).argmax()), best + 1)
        rates = error_rates(n[roomy], errors[roomy])
        if self._chances(expected[roomy], allowed[roomy], rates)[0] >= WORTH_TRYING:
            return True
        return bool(self._chances(expected, allowed, hypothesis.rates).max() >= WORTH_TRYING)

    def _expected(self, hypothesis: Hypothesis) -> tuple[Ints, Ints]:
        """Return units to come that each candidate accepts, and errors among them that pass, (T,) each."""
        expected = np.floor(hypothesis.counts[0] * self.units.ratio).astype(np.int64)
        return expected, most_errors(expected, self.alpha, self.share)

    @staticmethod
    def _chances(expected: Ints, allowed: Ints, rates: Floats) -> Floats:
        chance = tail(expected[:, None], np.maximum(allowed, 0)[:, None], rates).mean(1)
        return np.where(allowed < 0, 0.0, chance)


def certify(
    base: Knowledge,
    levels: Mapping[str, LevelDecision],
    acceptable: Bools,
    gold: Gold,
    in_fit_split: Bools,
    *,
    alpha: float,
    delta: float,
    population: str,
    design: Design,
    made: str,
    breadth: Breadth = Breadth.LEVELS,
    groups: Sequence[object] | None = None,
    rng: np.random.Generator | None = None,
    skipped: Collection[tuple[str, str]] = (),
    aims: Mapping[str, tuple[float, ...]] | None = None,
) -> Guarantee:
    """Return the guarantee for values accepted from now on.

    Args:
        base: as it will be read; its digests are what the guarantee holds for.
        levels: the decisions about N items of gold as `decide_levels` makes them at the end of the pipeline;
            whether they are accepted by the policy does not matter. A variable that is left out takes no
            part of delta, and is not accepted.
        acceptable: (N,) items of which anything may be accepted (see `decision.acceptable`).
        gold: of the same items; where it is unknown the item does not count for the variable.
        in_fit_split: (N,) see `split`; what fitted the base must be among these items.
        alpha: the most that may err among the accepted.
        delta: the probability that any promise is broken.
        population: the prior of the inference.
        design: how the items were answered, see `design_of`.
        made: the date, such as 2025-01-31.
        breadth: what each promise is about.
        groups: the subject of each item, where items cluster.
        rng: which of a subject's items, or of an item's pooled values, is taken; needed for these.
        skipped: variable and value of promises that take their part of delta and get no certificate.
        aims: variable -> the risk down to which the items were asked, by value, where that is not the
            policy's own; it may depend on the fit split alone.
    """
    units = Units.of(in_fit_split, groups, rng)
    hypotheses = hypotheses_of(base, levels, acceptable, gold, in_fit_split, breadth, units)
    trial, tried = _Trial.of(hypotheses, alpha, delta, units)
    wanted = [hypothesis for hypothesis in hypotheses if hypothesis.key not in skipped]
    certificates = (_certificate(hypothesis, trial, tried=hypothesis in tried) for hypothesis in wanted)
    items, subjects = int((~in_fit_split).sum()), None if groups is None else units.certifying
    return Guarantee(
        tuple(certificates if aims is None else _with_aims(certificates, base, aims)),
        alpha,
        delta,
        "item" if groups is None else "subject",
        population,
        dict(base.digests),
        design,
        items,
        made,
        _assumptions(items, subjects, population, design, hypotheses),
    )


def predicted_thresholds(
    base: Knowledge,
    levels: Mapping[str, LevelDecision],
    acceptable: Bools,
    gold: Gold,
    in_fit_split: Bools,
    *,
    alpha: float,
    delta: float,
    breadth: Breadth = Breadth.LEVELS,
    groups: Sequence[object] | None = None,
    rng: np.random.Generator | None = None,
) -> dict[str, tuple[float, ...]]:
    """Return variable -> about the threshold of each value that `certify` will end with.

    It is 0 where there is no hope, else the last candidate that is reached from the start through such as
    pass more often than not, as the fit split predicts. The other part counts by its size alone. The
    arguments are those of `certify`.
    """
    units = Units.of(in_fit_split, groups, rng)
    hypotheses = hypotheses_of(base, levels, acceptable, gold, in_fit_split, breadth, units)
    trial, tried = _Trial.of(hypotheses, alpha, delta, units)
    names = [name for names in base.levels.values() for name in names]
    risks = {name: dict.fromkeys(base.variables[name].values, 0.0) for name in names}
    for hypothesis in tried:
        chances = trial.chances(hypothesis)
        start = int(chances.argmax())
        unlikely = chances[start:] < PASSES
        steps = int(unlikely.argmax()) if unlikely.any() else len(unlikely)
        threshold = float(hypothesis.candidates[start + max(steps - 1, 0)])
        for name in names:
            risks[name] |= dict.fromkeys(hypothesis.values_of(base.variables[name]), threshold)
    return {name: tuple(by_value.values()) for name, by_value in risks.items()}


def _with_aims(
    certificates: Iterable[Certificate], base: Knowledge, aims: Mapping[str, tuple[float, ...]]
) -> Iterator[Certificate]:
    """Yield the certificates with what was asked down to for them: the same for all their values."""
    for certificate in certificates:
        variable = base.variables[next(iter(certificate.pooled), certificate.variable)]
        value = certificate.values_of(variable)[0]
        yield replace(certificate, aim=aims[variable.name][variable.values.index(value)])


def _equal_shares(delta: float, among: int) -> float:
    """Return delta divided equally, rounded down to the digits that are written."""
    return float(math.floor(delta / max(among, 1) * 1e9) / 1e9)


def _certificate(hypothesis: Hypothesis, trial: _Trial, *, tried: bool) -> Certificate:
    """Test the candidates of a promise from its start on."""
    share, candidates = trial.share, hypothesis.candidates
    start = int(trial.chances(hypothesis).argmax()) if len(candidates) else 0
    n, errors = hypothesis.test.counts(candidates)
    passed = passes(n, errors, trial.alpha, share)[start:] if tried else np.zeros(0, dtype=bool)
    steps = len(passed) if passed.all() else int(passed.argmin())
    at = start + max(steps - 1, 0)
    counted = (int(n[at]), int(errors[at])) if len(n) else (0, 0)
    threshold = float(candidates[at]) if steps else None
    predicted = len(hypothesis.test.risk)
    accepted = int((hypothesis.test.risk <= threshold).sum()) if threshold is not None else 0
    missing = gold = None
    if threshold is None and len(n):
        missing = _missing(*counted, trial)
        fit_n, fit_errors = (int(counts[start]) for counts in hypothesis.counts)
        gold = _gold(fit_n + counted[0], fit_errors + counted[1], missing, trial)
    return Certificate(
        hypothesis.variable,
        hypothesis.value,
        threshold,
        *counted,
        share if tried else 0.0,
        upper_bound(*counted, share) if tried else 1.0,
        predicted,
        accepted / predicted if predicted else 0.0,
        float(hypothesis.test.wrong.mean()) if predicted else 0.0,
        missing,
        gold,
        hypothesis.limit,
        hypothesis.pooled,
        () if threshold is None else tuple(_each(hypothesis, threshold, share)),
    )


def _each(hypothesis: Hypothesis, threshold: float, share: float) -> Iterator[ValueTest]:
    """Yield the counts and the bound of each value at a threshold; the bounds share the share."""
    for (name, value), part in hypothesis.each.items():
        n, errors = (int(count[0]) for count in part.counts(np.array([threshold])))
        yield ValueTest(name, value, n, errors, upper_bound(n, errors, share / len(hypothesis.each)))


def _missing(n: int, errors: int, trial: _Trial) -> int:
    """Return how many more accepted units, all of them right, would make the test pass."""
    return _least(lambda more: trial.passes(n + more, errors))


def _gold(n: int, errors: int, missing: int, trial: _Trial) -> int | None:
    """Return how many more units of gold would be about enough at the rates met, to two digits.

    None where none would at this threshold, as the accepted surely err too often; 0 where too few were
    accepted to tell.
    n, errors: accepted among all units of gold.
    """
    ratio, units = trial.units.ratio, trial.units.fitting + trial.units.certifying
    # The share of all units that certifies.
    testing = ratio / (1 + ratio)
    if not testing or (errors and 1 - tail(n, errors - 1, trial.alpha) <= UNLIKELY):
        return None
    if n < FEWEST_TOLD or errors / n >= trial.alpha:
        return 0
    rate = n / units * testing
    total = _least(lambda total: trial.passes(int(rate * total), int(errors / n * rate * total)))
    # Bad luck in the test is to be made good as well.
    more = max(total - units, math.ceil(missing / rate))
    coarse = 10 ** max(math.floor(math.log10(max(more, 1))) - 1, 0)
    return math.ceil(more / coarse) * coarse if more < MOST_GOLD else None


def _least(enough: Callable[[int], bool]) -> int:
    """Return about the least number that is enough, at most MOST_GOLD."""
    low, high = 0, 1
    while high < MOST_GOLD and not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return min(high, MOST_GOLD)


def _assumptions(
    items: int, subjects: int | None, population: str, design: Design, hypotheses: Sequence[Hypothesis]
) -> tuple[str, ...]:
    """Return the assumptions of the guarantee, in words."""
    of = f"{items} items" if subjects is None else f"{items} items of {subjects} subjects"
    unit = "accepted items" if subjects is None else "a random accepted item of a random subject"
    unit_noun = "item" if subjects is None else "subject"
    values = {hypothesis.value for hypothesis in hypotheses}
    of_each = "certified variable or value" if values & {ANY, POOLED} else "certified value"
    assumptions = [
        f"The promise is about the share of errors of {unit}, for each {of_each} by itself; it is not "
        "about an item with all its values.",
    ]
    if values & {ANY, POOLED}:
        assumptions.append(
            "What is certified together keeps it together: single values may err more often (see `each`)."
        )
    if POOLED in values:
        assumptions.append(
            f"Of a pooled level it is about one accepted value of each {unit_noun}, drawn by chance."
        )
    assumptions += [
        f"Every future {unit_noun} is drawn independently from the same source as the {of} that certified; "
        "the certificate cannot tell whether another source is like it.",
        "The gold is right: a value that differs from it counts as wrong, and errors of the gold go unseen.",
        f"Future items are answered by the same observers, asked in the same way: {design}.",
        f"Base, prompts, observers, policy and the population ({population}) stay as they were.",
    ]
    if design.adaptive:
        assumptions.append("The answers of an item are exactly those that this policy asked for.")
    else:
        assumptions.append(
            "The promise holds for items with as many answers as these; further answers void it."
        )
    return tuple(assumptions)
