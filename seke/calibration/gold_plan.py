"""The amount of gold that certificates need, and that shows how observers answer, estimated before labelling.

For certificates the truth is simulated. A decision is wrong with the probability that its risk states, times
the error ratio that some gold shows, if there is any. Simulated gold of growing amounts is then certified
many times, as `seke calibrate --alpha` would. The amount reported is the least from which on the
certificate succeeds in four of five simulations. For the tables there is a formula: an item of gold adds one
count to the row of its truth, and the share m of a Dirichlet of n counts has the standard deviation
sqrt(m (1 - m) / (n + 1)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import (
    Answers,
    Breadth,
    Gold,
    Inference,
    Knowledge,
    LevelDecision,
    ObserverParameters,
    certify,
    design_of,
    split,
)
from seke.calibration.certify import FITTING
from seke.calibration.decided_items import DecidedItems
from seke.calibration.labelled_answers import LabelledAnswers, gold_table
from seke.calibration.promise import Promise
from seke.files.shipped import knowledge as read_knowledge
from seke.inference.session import Session
from seke.sampling.infer import source_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from engine import Certificate, Floats
    from seke.files.frames import ArrowStream, Samples

    Progress = Callable[[str, int, int], None]
    Key = tuple[Breadth, str, str]

# Items of gold that are tried: 50 to 25,600, each amount twice the one before.
AMOUNTS = tuple(50 * 2**k for k in range(10))
# Simulated calibrations for each amount; the standard error of a power is at most .16.
REPEATS = 10
# The least probability with which an amount that is enough yields the certificate.
POWER = 0.8
# Factors on the probability that a decision is wrong: as stated, and twice that, as a margin.
ERROR_INFLATION = (1.0, 2.0)
# Items of gold from which on the share of wrong decisions is compared with the stated one.
LEAST_GOLD = 20
# Standard deviation, in probability, to which each row of a table is to be known.
SD = 0.05
# Rows whose state is rarer than one item in so many get no amount.
MOST = 10_000_000


@dataclass(frozen=True)
class GoldRequirement:
    """Gold for a certificate of a level, or of one value.

    breadth: of the calibration that certifies it: levels (`--alpha`), values (`--each-value`), pooled
    (`--pool`). about: what it is about, in words. decided: the share of the decisions that it is about.
    wrong: the share of these that is wrong. amounts: for each of ERROR_INFLATION, the least of AMOUNTS, in
    items of gold, from which on it is certified with probability POWER; None where none is enough. coverage:
    the share of its decisions that is accepted then.
    """

    breadth: Breadth
    about: str
    variable: str
    value: str
    decided: float
    wrong: float
    amounts: tuple[int | None, ...]
    coverage: tuple[float, ...]


@dataclass(frozen=True)
class GoldRow:
    """Gold to know a row of a table: how often `observer` is right about items whose truth is `state`.

    share: of such items. sd: how sure that is now. gold: items of gold in all, as they come, for an sd of SD.
    """

    observer: str
    variable: str
    state: str
    share: float
    right: float
    sd: float
    gold: int | None


@dataclass(frozen=True)
class GoldPlan:
    """How much gold would be enough.

    items: of the samples. promise: what is to be certified. requirements: one for every level, value, and
    level that can be pooled. rows: one for every row of what observers answer. error_ratios: variable ->
    items with gold, and wrong decisions for each that the risks state (1 where there is too little gold to
    say); simulated decisions are wrong that much more often than stated. remarks: on gold that is evidence,
    too, a line each.
    """

    items: int
    promise: Promise
    requirements: tuple[GoldRequirement, ...]
    rows: tuple[GoldRow, ...]
    error_ratios: Mapping[str, tuple[int, float]]
    remarks: tuple[str, ...] = ()


def plan_gold(
    samples: Samples,
    knowledge: Knowledge | str | Path | None = None,
    gold: str | Path | ArrowStream | Iterable[Mapping[str, Any]] | None = None,
    *,
    alpha: float = 0.1,
    delta: float = 0.1,
    population: str | None = None,
    seed: int = 0,
    keep_gold_evidence: bool = False,
    progress: Progress = lambda *_: None,
) -> GoldPlan:
    """Say how much gold a calibration of such samples needs; the arguments are those of `calibrate`.

    samples: answered as all will be; a few hundred items are enough.

    Raises:
        engine.KnowledgeError, engine.AnswerError, engine.SekeError: bad knowledge, samples, gold or names.
    """
    promise = Promise(alpha, delta)
    base = read_knowledge(knowledge)
    table = None if gold is None else gold_table(gold, base)
    labelled = LabelledAnswers.read(source_list(samples), base, table, keep_gold_evidence=keep_gold_evidence)
    session = Session.open(base, population, seed)
    progress("inference", 0, 0)
    simulated = SimulatedPopulation.of(session, labelled.answers, labelled.gold)
    needed = simulated.requirements(promise, np.random.default_rng(seed), progress)
    rows = tuple(_rows(session.inference, labelled.answers, simulated))
    ratios, remarks = simulated.error_ratios, labelled.remarks
    return GoldPlan(len(labelled.answers.items), promise, needed, rows, ratios, remarks)


@dataclass(frozen=True)
class SimulatedPopulation:
    """N items with their decisions, and the probability that each decision is wrong.

    wrong: variable -> P(the decision is wrong), (N,). error_ratios: see `GoldPlan`.
    """

    session: Session
    decided: DecidedItems
    wrong: Mapping[str, Floats]
    error_ratios: Mapping[str, tuple[int, float]]

    @classmethod
    def of(cls, session: Session, answers: Answers, gold: Gold) -> SimulatedPopulation:
        """Decide the items, and correct their stated risks by the error ratios of the gold."""
        base, decided = session.knowledge, DecidedItems.of(session, answers)
        wrong, error_ratios = {}, {}
        for name, level in decided.levels.items():
            ratio = 1.0
            if name in gold.values:
                ratio, error_ratios[name] = _ratio(base, name, level, gold.values[name])
            wrong[name] = level.risk * ratio
        return cls(session, decided, wrong, error_ratios)

    def requirements(
        self, promise: Promise, rng: np.random.Generator, progress: Progress
    ) -> tuple[GoldRequirement, ...]:
        """Return for every level and value how much gold would certify it."""
        tally: dict[Key, list[list[tuple[float, float]]]] = {}
        about: dict[Key, Certificate] = {}
        steps = [(factor, amount) for factor in ERROR_INFLATION for amount in AMOUNTS]
        for step, (factor, amount) in enumerate(steps):
            progress("imagined gold", step, len(steps))
            for key, made_of in self._certify_simulated(factor, amount, promise, rng).items():
                passed = [
                    certificate.coverage for certificate in made_of if certificate.threshold is not None
                ]
                rate = len(passed) / REPEATS, float(np.mean(passed)) if passed else 0.0
                by_factor = tally.setdefault(key, [[] for _ in ERROR_INFLATION])
                by_factor[ERROR_INFLATION.index(factor)].append(rate)
                about[key] = made_of[0]
        return tuple(
            self._requirement(about[key], key[0], by_factor)
            for key, by_factor in sorted(tally.items(), key=lambda entry: tuple(Breadth).index(entry[0][0]))
        )

    def _requirement(
        self, certificate: Certificate, breadth: Breadth, by_factor: Sequence[Sequence[tuple[float, float]]]
    ) -> GoldRequirement:
        """Return the least amounts of one certificate; by_factor: for each factor the rates by amount."""
        base, decided, wrong = self.session.knowledge, [], []
        for name in certificate.pooled or (certificate.variable,):
            variable, value = base.variables[name], self.decided.levels[name].value
            among = certificate.values_of(variable)
            chosen = np.ones(len(value), dtype=bool)
            if len(among) < len(variable.values):
                chosen = value == variable.values.index(among[0])
            decided.append(chosen)
            wrong.append(np.minimum(self.wrong[name][chosen], 1))
        wrongs = np.concatenate(wrong)
        least = [_least_amount(rates) for rates in by_factor]
        amounts, coverage = zip(*least, strict=True)
        shares = float(np.mean(decided)), float(wrongs.mean()) if len(wrongs) else 0.0
        about = certificate.name, certificate.variable, certificate.value
        return GoldRequirement(breadth, *about, *shares, amounts, coverage)

    def _certify_simulated(
        self, factor: float, amount: int, promise: Promise, rng: np.random.Generator
    ) -> dict[Key, list[Certificate]]:
        """Return the certificates of REPEATS simulations with so much gold, by breadth, variable and value.

        What several breadths certify alike stands under the first.
        """
        base, decided = self.session.knowledge, self.decided
        made: dict[Key, list[Certificate]] = {}
        design = design_of(base, decided.stages)
        for _ in range(REPEATS):
            chosen = rng.integers(0, len(decided.allowed), amount)
            levels = {name: level.of(chosen) for name, level in decided.levels.items()}
            gold = {}
            for name, level in levels.items():
                off = rng.random(amount) < factor * self.wrong[name][chosen]
                gold[name] = level.value + off * _truth_offset(base, name, level.value)
            fits = split(amount, None, FITTING, rng)
            known: dict[tuple[str, str], Certificate] = {}
            for breadth in Breadth:
                guarantee = certify(
                    base,
                    levels,
                    decided.allowed[chosen],
                    Gold(gold),
                    fits,
                    alpha=promise.alpha,
                    delta=promise.delta,
                    population=self.session.inference.population,
                    design=design,
                    made="",
                    breadth=breadth,
                    rng=rng,
                    skipped=known,
                )
                by_name = {(c.variable, c.value): c for c in guarantee.certificates}
                for key, certificate in by_name.items():
                    made.setdefault((breadth, *key), []).append(certificate)
                known |= by_name
        return made


def _truth_offset(base: Knowledge, name: str, value: Floats) -> Floats:
    """Return the difference between the truth and a decision that is wrong, (N,)."""
    variable = base.variables[name]
    if variable.kind == "interval":
        return np.full(len(value), 2 * base.policy.tolerance[name])
    return np.where(value > 0, -1.0, 1.0)


def _ratio(
    base: Knowledge, name: str, level: LevelDecision, truth: Floats
) -> tuple[float, tuple[int, float]]:
    """Return wrong decisions for each that the risks state, with the items counted; 1 where there are few."""
    known = ~np.isnan(truth)
    most = base.policy.tolerance[name] if base.variables[name].kind == "interval" else 0.5
    wrong = (np.abs(truth - level.value) > most)[known].sum()
    count = int(known.sum())
    ratio = float((wrong + 0.5) / (level.risk[known].sum() + 0.5)) if count >= LEAST_GOLD else 1.0
    return ratio, (count, ratio)


def _least_amount(rates: Sequence[tuple[float, float]]) -> tuple[int | None, float]:
    """Return the least amount from which on the power is at least POWER, and the coverage there."""
    often = [share >= POWER for share, _ in rates]
    start = len(often)
    while start and often[start - 1]:
        start -= 1
    return (AMOUNTS[start], rates[start][1]) if start < len(often) else (None, 0.0)


def _rows(inference: Inference, answers: Answers, simulated: SimulatedPopulation) -> Iterator[GoldRow]:
    """Yield how much gold it takes to know each row of what observers answer."""
    marginals = simulated.decided.marginals
    every = {name: np.zeros(len(answers.items)) for name in simulated.decided.levels}
    parameters = ObserverParameters(inference, answers, Gold(every), by_skill=False)
    rates = ("specificity", "sensitivity")
    for key, site in parameters.sites.items():
        if key.what in ("confusion", "settled"):
            for i, shown in enumerate(parameters.base.variables[key.variable].states):
                share = marginals[key.variable][i]
                yield _row(key.observer, key.variable, shown, share, site.mean[i, i], site.width[i])
        elif key.what in rates:
            (index,) = (i for i, observer in parameters.observers.items() if observer.name == key.observer)
            state = rates.index(key.what)
            for variable, mean, n in zip(parameters.rated[index], site.mean, site.width, strict=True):
                shown = parameters.base.variables[variable].states[state]
                yield _row(key.observer, variable, shown, marginals[variable][state], mean, n)


def _row(observer: str, variable: str, state: str, share: Any, right: Any, n: Any) -> GoldRow:
    spread = right * (1 - right)
    counts = max(spread / SD**2 - 1 - n, 0.0)
    gold = math.ceil(counts / share) if share > 1 / MOST else None
    return GoldRow(observer, variable, state, float(share), float(right), math.sqrt(spread / (n + 1)), gold)
