"""How much gold is needed: for certificates, and to know how observers answer, before any of it is bought.

Truth is imagined: what is decided is wrong as often as its risk says, or, where there is some gold, as often
as was met there. Then gold of more and more items is made up, many times over, and certified as `seke
calibrate --alpha` would; enough is where it comes out four times of five. For the tables there is a formula:
an item of gold is one more count in the row of its truth, and the share m of a Dirichlet of n counts has the
standard deviation sqrt(m (1 - m) / (n + 1)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import (
    Answers,
    Gold,
    Inference,
    Knowledge,
    LevelDecision,
    SekeError,
    Unknowns,
    acceptable,
    certify,
    design_of,
    split,
)
from seke.calibration.certify import BATCH, FITTING, Promise
from seke.files.shipped import knowledge as read_knowledge
from seke.inference.session import Judged, Session
from seke.sampling.infer import batches
from seke.tables.label_table import labels_from, read_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from engine import Certificate

    Floats = NDArray[np.float64]
    Progress = Callable[[str, int, int], None]

AMOUNTS = tuple(50 * 2**k for k in range(10))
REPEATS = 10
OFTEN = 0.8
FACTORS = (1.0, 2.0)
MET = 20
SD = 0.05
MOST = 10_000_000


@dataclass(frozen=True)
class Needed:
    """Gold for a certificate of one value.

    decided: the share of the items that are decided to be this value. wrong: the share of these that is
    wrong. amounts: for each of FACTORS, the least of AMOUNTS, in items of gold, from which on it is certified
    with probability OFTEN; None where none is enough. coverage: the share of its items that is accepted then.
    """

    variable: str
    value: str
    decided: float
    wrong: float
    amounts: tuple[int | None, ...]
    coverage: tuple[float, ...]


@dataclass(frozen=True)
class Row:
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
class Plan:
    """How much gold would be enough.

    items: of the samples. promise: what is to be certified. needed: for every value of every variable, rows:
    for every row of what observers answer. met: for variables with gold, how much, and how many decisions
    were wrong for each that was stated to be (1 where there is too little gold to say): what is imagined is
    wrong that often.
    """

    items: int
    promise: Promise
    needed: tuple[Needed, ...]
    rows: tuple[Row, ...]
    met: Mapping[str, tuple[int, float]]


def plan_gold(
    samples: str | Path | Iterable[str | Path] | Iterable[Mapping[str, Any]],
    knowledge: Knowledge | str | Path | None = None,
    gold: str | Path | Iterable[Mapping[str, Any]] | None = None,
    *,
    alpha: float = 0.1,
    delta: float = 0.1,
    population: str | None = None,
    seed: int = 0,
    progress: Progress = lambda *_: None,
) -> Plan:
    """Say how much gold a calibration of such samples needs; the arguments are those of `calibrate`.

    samples: answered as all will be; a few hundred items are enough.

    Raises:
        engine.KnowledgeError, engine.AnswerError, engine.SekeError: bad knowledge, samples, gold or names.
    """
    promise = Promise(alpha, delta)
    base = knowledge if isinstance(knowledge, Knowledge) else read_knowledge(knowledge)
    batched = list(batches(samples, base))
    if not batched:
        raise SekeError("there are no samples")
    answers = Answers.stacked(batched)
    known = _gold(gold, base, answers)
    session = Session.open(base, population, seed)
    progress("inference", 0, 0)
    world = _World.of(session, answers, known)
    needed = world.needed(promise, np.random.default_rng(seed), progress)
    rows = tuple(_rows(session.inference, answers, world))
    return Plan(len(answers.items), promise, needed, rows, world.met)


def _gold(gold: Any, base: Knowledge, answers: Answers) -> Gold:
    if gold is None:
        return Gold({})
    table = read_labels(gold, base) if hasattr(gold, "__fspath__") or isinstance(gold, str) else None
    return (table or labels_from(gold, base)).gold_of(answers.items)


@dataclass(frozen=True)
class _World:
    """N items as they were decided, and how often that is wrong.

    stages: their answers, in parts. levels: decisions. wrong: variable -> P(the decision is wrong), (N,).
    allowed: (N,) of which items anything may be accepted. marginals: variable -> P(state), (states,), over
    all items. met: see `Plan`.
    """

    session: Session
    stages: tuple[Answers, ...]
    levels: Mapping[str, LevelDecision]
    wrong: Mapping[str, Floats]
    allowed: NDArray[np.bool_]
    marginals: Mapping[str, Floats]
    met: Mapping[str, tuple[int, float]]

    @classmethod
    def of(cls, session: Session, answers: Answers, gold: Gold) -> _World:
        base, count = session.network.knowledge, len(answers.items)
        cuts = [(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]
        stages = tuple(answers.part(*cut) for cut in cuts)
        judged = [session.judge(part) for part in stages]
        levels = {
            name: LevelDecision.stacked([one.decisions.levels[name] for one in judged])
            for name in judged[0].decisions.levels
        }
        allowed = [
            acceptable(base, part, one.diagnostics.conflict) for part, one in zip(stages, judged, strict=True)
        ]
        found = [one.posterior.marginals for one in judged]
        marginals = {name: np.concatenate([one[name] for one in found]).mean(0) for name in found[0]}
        wrong, met = {}, {}
        for name, level in levels.items():
            ratio = 1.0
            if name in gold.values:
                ratio, met[name] = _ratio(base, name, level, gold.values[name])
            wrong[name] = level.risk * ratio
        return cls(session, stages, levels, wrong, np.concatenate(allowed), marginals, met)

    def needed(self, promise: Promise, rng: np.random.Generator, progress: Progress) -> tuple[Needed, ...]:
        """Return for every value how much gold would certify it."""
        tally: dict[tuple[str, str], list[list[tuple[float, float]]]] = {}
        steps = [(factor, amount) for factor in FACTORS for amount in AMOUNTS]
        for step, (factor, amount) in enumerate(steps):
            progress("imagined gold", step, len(steps))
            for key, found in self._certified(factor, amount, promise, rng).items():
                tally.setdefault(key, [[] for _ in FACTORS])[FACTORS.index(factor)].append(found)
        base, needed = self.session.network.knowledge, []
        for (name, value), by_factor in tally.items():
            level = self.levels[name]
            mine = np.ones(len(level.risk), dtype=bool)
            if base.variables[name].kind != "interval":
                mine = level.value == base.variables[name].values.index(value)
            wrong = float(np.minimum(self.wrong[name][mine], 1).mean()) if mine.any() else 0.0
            least = [_least(found) for found in by_factor]
            amounts, coverage = tuple(one[0] for one in least), tuple(one[1] for one in least)
            needed.append(Needed(name, value, float(mine.mean()), wrong, amounts, coverage))
        return tuple(needed)

    def _certified(
        self, factor: float, amount: int, promise: Promise, rng: np.random.Generator
    ) -> dict[tuple[str, str], tuple[float, float]]:
        """Return how often each value is certified by so much gold, and the mean coverage then."""
        base = self.session.network.knowledge
        found: dict[tuple[str, str], list[Certificate]] = {}
        design = design_of(base, self.stages)
        for _ in range(REPEATS):
            chosen = rng.integers(0, len(self.allowed), amount)
            levels = {name: one.of(chosen) for name, one in self.levels.items()}
            gold = {}
            for name, level in levels.items():
                off = rng.random(amount) < factor * self.wrong[name][chosen]
                gold[name] = level.value + off * _off(base, name, level.value)
            made = certify(
                base,
                levels,
                self.allowed[chosen],
                Gold(gold),
                split(amount, None, FITTING, rng),
                alpha=promise.alpha,
                delta=promise.delta,
                population=self.session.inference.population,
                design=design,
                made="",
            )
            for one in made.certificates:
                found.setdefault((one.variable, one.value), []).append(one)
        share = {}
        for key, made_of in found.items():
            passed = [one.coverage for one in made_of if one.threshold is not None]
            share[key] = len(passed) / REPEATS, float(np.mean(passed)) if passed else 0.0
        return share


def _column(judged: Sequence[Judged], name: str, field: str) -> NDArray[Any]:
    return np.concatenate([getattr(one.decisions.levels[name], field) for one in judged])


def _off(base: Knowledge, name: str, value: Floats) -> Floats:
    """Return how far the truth is from a decision that is wrong."""
    variable = base.variables[name]
    if variable.kind == "interval":
        return np.full(len(value), 2 * base.policy.tolerance[name])
    return np.where(value > 0, -1.0, 1.0)


def _ratio(
    base: Knowledge, name: str, level: LevelDecision, truth: Floats
) -> tuple[float, tuple[int, float]]:
    """Return how often decisions were wrong for each that was stated to be; 1 of too few."""
    known = ~np.isnan(truth)
    most = base.policy.tolerance[name] if base.variables[name].kind == "interval" else 0.5
    wrong = (np.abs(truth - level.value) > most)[known].sum()
    count = int(known.sum())
    ratio = float((wrong + 0.5) / (level.risk[known].sum() + 0.5)) if count >= MET else 1.0
    return ratio, (count, ratio)


def _least(found: Sequence[tuple[float, float]]) -> tuple[int | None, float]:
    """Return the least amount from which on it mostly passes, and the coverage there."""
    often = [share >= OFTEN for share, _ in found]
    start = len(often)
    while start and often[start - 1]:
        start -= 1
    return (AMOUNTS[start], found[start][1]) if start < len(often) else (None, 0.0)


def _rows(inference: Inference, answers: Answers, world: _World) -> Iterator[Row]:
    """Yield how much gold it takes to know each row of what observers answer."""
    every = {name: np.zeros(len(answers.items)) for name in world.levels}
    unknowns = Unknowns(inference, answers, Gold(every), by_skill=False)
    for path, site in unknowns.sites.items():
        keys = path.split(".")
        who, name, kind = keys[1], keys[-2], keys[-1]
        rates = ("specificity", "sensitivity")
        if kind in ("confusion", "settled"):
            for i, shown in enumerate(unknowns.base.variables[name].states):
                share = world.marginals[name][i]
                yield _row(who, name, shown, share, site.mean[i, i], site.width[i])
        elif kind in rates:
            (index,) = (i for i, one in unknowns.observers.items() if one.name == who)
            state = rates.index(kind)
            for one, mean, n in zip(unknowns.rated[index], site.mean, site.width, strict=True):
                shown = unknowns.base.variables[one].states[state]
                yield _row(who, one, shown, world.marginals[one][state], mean, n)


def _row(observer: str, variable: str, state: str, share: Any, right: Any, n: Any) -> Row:
    spread = right * (1 - right)
    counts = max(spread / SD**2 - 1 - n, 0.0)
    gold = math.ceil(counts / share) if share > 1 / MOST else None
    return Row(observer, variable, state, float(share), float(right), math.sqrt(spread / (n + 1)), gold)
