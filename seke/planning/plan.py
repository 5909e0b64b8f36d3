"""Simulation of a policy and its variants on simulated items: calls against coverage and error."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import (
    Answers,
    First,
    Gold,
    Inference,
    Knowledge,
    Misfit,
    SekeError,
    all_required,
    did_you_mean,
    people_asked,
    prior_truth,
)
from seke.console.proportions import share
from seke.files.shipped import knowledge as read_knowledge
from seke.files.text_report import LONGEST_LINE, TextReport
from seke.inference.session import Session
from seke.planning.gold import calibrate_on_gold
from seke.samples.columns_builder import cure_of_unknown_observer
from seke.sampling.answerers import SimulatedSource
from seke.sampling.ceiling import ceiling
from seke.sampling.loop import Loop, run_to_completion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from engine import Bools, Decisions, Floats, Ints, Policy, Variable
    from seke.sampling.loop import LoopState

    Record = dict[str, Any]

AS_DECLARED = Misfit()
# Numbers of gold items of a quick figure, and of the items that are followed. With 60 of them a share is
# known to 13 points (95 %), and the whole takes about five seconds on one core.
QUICK_GOLD, QUICK_ITEMS = (30, 100), 60
# Defaults: factors on the limits of the policy, and numbers of answers of the fixed designs.
LIMITS = (0.2, 0.5, 1.0, 2.0, 3.0)
FIXED = (1, 2, 5, 10)
LEAST_LIMIT, MOST_LIMIT = 0.0001, 0.9999
# Decimal places of numbers in records.
DIGITS = 6
# Which random numbers of a seed are for what; the source and the look-ahead name their own.
TRUTH, PLACE = 1, 2


@dataclass(frozen=True)
class Setting:
    """A policy to try. design: `policy`, `fixed` where all items are asked the same, or `gold`.

    session: of a base that was calibrated first; None where it is the base as it is.
    """

    name: str
    design: str
    policy: Policy
    says: Mapping[str, Any]
    session: Session | None = None


@dataclass(frozen=True)
class Variants:
    """Which settings are tried; see `plan`."""

    limits: Sequence[float]
    budgets: Sequence[int]
    fixed: Sequence[int]
    question: str | None
    gold: Sequence[int]
    gold_variables: Sequence[str]

    def check(self, base: Knowledge, items: int) -> None:
        """Refuse numbers that are not allowed, and unknown variables.

        Raises:
            engine.SekeError: the first of these.
        """
        if items < 1:
            raise SekeError(f"items is {items}; allowed is 1 or more")
        if not all(0 < factor <= 1000 for factor in self.limits):
            raise SekeError("limits: a factor must be more than 0 and at most 1000")
        if not all(1 <= count <= 1000 for count in (*self.budgets, *self.fixed)):
            raise SekeError("budgets and fixed numbers of answers are whole numbers from 1 to 1000")
        if not self.limits and not self.fixed and not self.gold:
            raise SekeError("nothing to plan: give limits, fixed or gold")
        for name in self.gold_variables:
            _check("variable", name, base.variables)

    def settings(self, session: Session) -> Iterator[Setting]:
        """Yield the settings of the base as it is: of the policy, and those that ask all the same."""
        policy = session.knowledge.policy
        for budget in self.budgets or (policy.budget,):
            for factor in sorted(set(self.limits)):
                name = f"limits ×{factor:g}" + (f", budget {budget}" if len(self.budgets) > 1 else "")
                facts = {"limits": factor, "budget": budget}
                yield Setting(name, "policy", _scaled(policy, factor, budget), facts)
        asked = self.question or (session.first.question if session.first else "")
        if self.fixed:
            _check_fixed(session.knowledge, asked)
        for count in sorted(set(self.fixed)):
            changed = replace(policy, first=First(question=asked, samples=count), budget=count)
            yield Setting(f"{count} × {asked}", "fixed", changed, {"question": asked, "answers": count})

    def calibrated_settings(
        self, session: Session, answering: Mapping[str, Any], seed: int
    ) -> Iterator[Setting]:
        """Yield the policy after calibration on gold; answering: who answers about that (`simulate`)."""
        for count in sorted(set(self.gold)):
            ready = calibrate_on_gold(session, count, answering, seed, self.gold_variables)
            yield Setting(f"{count} gold", "gold", ready.knowledge.policy, {"gold": count}, ready)


def _scaled(policy: Policy, factor: float, budget: int) -> Policy:
    """Return the policy with its limits scaled; thresholds and aims, risks of each value, go with them."""

    def scale(risk: float) -> float:
        return min(max(risk * factor, LEAST_LIMIT), MOST_LIMIT)

    thresholds, aims = (
        {name: tuple(map(scale, risks)) for name, risks in by_name.items()}
        for by_name in (policy.thresholds, policy.aims)
    )
    return replace(
        policy,
        limits={name: scale(limit) for name, limit in policy.limits.items()},
        thresholds=thresholds,
        aims=aims,
        budget=budget,
        first=policy.first and replace(policy.first, samples=min(policy.first.samples, budget)),
    )


@dataclass(frozen=True, repr=False)
class Plan(TextReport):
    """The results of simulated items under several settings.

    about: the assumptions, and the `ceiling`: level -> share of its values that endless answers would get
    accepted. rows: for each setting a record of JSON values::

        setting, design and what it says (limits: factor, budget; or question and answers)
        calls, cost, rounds: mean, its standard error, and the 5 % and 95 % quantiles over the items
        asked: question -> mean answers an item
        accepted: share of the items that were accepted; wrong: of those, with a required value wrong
        reasons: first reason of a rejected item, without names -> share of all items
        people: where items may wait for people, observer -> share of the items that would
        levels: level -> accepted, the share of its values that were accepted; wrong, of those; stated,
            their mean risk; and the same for each of its `variables`
        total: calls, cost and price of a whole data set, where its size was given

    A share is a mapping: share, its 95 % interval (low, high), count, of how many.
    """

    about: Record
    rows: tuple[Record, ...]

    def __repr__(self) -> str:
        return f"<Plan: {', '.join(row['setting'] for row in self.rows)[:LONGEST_LINE]}>"

    def __str__(self) -> str:
        from seke.console.printable_console import printed_text
        from seke.planning.table import show

        return printed_text(show, self)


def plan(
    knowledge: Knowledge | str | Path | None = None,
    items: int = 500,
    *,
    limits: Sequence[float] = LIMITS,
    budgets: Sequence[int] = (),
    fixed: Sequence[int] = FIXED,
    question: str | None = None,
    observers: Sequence[str] = (),
    population: str | None = None,
    truth_population: str | None = None,
    misfit: Misfit = AS_DECLARED,
    total: int | None = None,
    price: float | None = None,
    gold: Sequence[int] = (),
    gold_variables: Sequence[str] = (),
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """Follow a base's policy, and others beside it, on made-up items; count calls, acceptance and errors.

    All settings see the same items and the same answers.

    Args:
        knowledge: a base, or the folder or file of one; the shipped base by default.
        items: how many to make up.
        limits: factors by which the policy's limits are scaled, each a setting.
        budgets: the most answers of an item, each with each of the factors; the policy's own by default.
        fixed: numbers of answers, each a setting in which all items are asked `question` so often.
        question: of the fixed designs; what the policy asks first by default.
        observers: who is asked, the first one first; as the policy has it by default.
        population: the prior of inference; the base's usual one by default.
        truth_population: the prior of the made-up truth; that of inference by default.
        misfit: how the observers differ from the declared ones.
        total: the size of a whole data set, to say what it would cost.
        price: of one unit of the questions' cost.
        gold: numbers of items with gold, each a setting in which the base is calibrated on so many made-up
            ones, answered GOLD_DRAWS times, and the policy is followed as it then is.
        gold_variables: those that gold is of; all of them by default.
        seed: of all chance.
        progress: is called with how many items of all settings were settled since the last call, and all.

    Raises:
        engine.SekeError: a name that the base does not have, a number that is not allowed, a policy that
            asks nobody.
    """
    base = _with_observers(read_knowledge(knowledge), observers)
    variants = Variants(limits, budgets, fixed, question, gold, gold_variables)
    variants.check(base, items)
    session = Session.open(base, population, seed).asking()
    answering = {"observers": observers, "population": truth_population or population, "misfit": misfit}
    settings = [*variants.settings(session), *variants.calibrated_settings(session, answering, seed)]
    made_up = MadeUpItems.of(session, items, truth_population, misfit, seed)
    note = progress and _progress_of_all(progress, items * len(settings))
    rows = [
        _row(base, setting, made_up.follow(session, setting, note), made_up.gold, total, price)
        for setting in settings
    ]
    return Plan(made_up.facts(session), tuple(rows))


@dataclass(frozen=True)
class MadeUpItems:
    """Items whose truth is drawn, and who answers about them.

    names: (N,). gold: their truth. source: answers as declared, but for the misfit. population: the prior of
    the truth.
    """

    names: Sequence[str]
    gold: Gold
    source: SimulatedSource
    population: str
    misfit: Misfit
    seed: int

    @classmethod
    def of(
        cls, session: Session, items: int, population: str | None, misfit: Misfit, seed: int
    ) -> MadeUpItems:
        """Draw items; population: the prior of their truth, that of inference by default."""
        base, nature = session.knowledge, session.inference
        if population is not None:
            _check("population", population, base.populations)
        if population not in (None, nature.population):
            nature = Inference(session.network, base, population)
        names = [f"item-{number:06d}" for number in range(items)]
        truth = prior_truth(nature, items, np.random.default_rng([seed, TRUTH]))
        gold = gold_of(base, truth, np.random.default_rng([seed, PLACE]))
        source = SimulatedSource(session.inference, names, truth, seed, misfit)
        return cls(names, gold, source, nature.population, misfit, seed)

    def follow(self, session: Session, setting: Setting, note: Callable[[int], None] | None) -> LoopState:
        """Ask about the items until each is settled; session: of the base as it is."""
        loop = Loop(setting.session or session.under(setting.policy))
        return run_to_completion(loop, self.names, self.source, note)

    def facts(self, session: Session) -> Record:
        """Return the assumptions, and the ceiling."""
        base, misfit = session.knowledge, self.misfit
        shares = ceiling(session, self.names, self.source, Answers.unasked(self.names))
        return {
            "knowledge": base.name,
            "digest": base.digest,
            "population": session.inference.population,
            "truth_population": self.population,
            "observers": [base.policy.ask, *base.policy.others],
            "misfit": {"independent": misfit.independent, "halo": misfit.halo, "drift": misfit.drift},
            "items": len(self.names),
            "seed": self.seed,
            "ceiling": {level: round(part, DIGITS) for level, part in shares.items()},
        }


def worth_of_gold(knowledge: Knowledge, population: str | None = None, seed: int = 0) -> Record:
    """Return a quick estimate of the share of the root accepted after calibration on gold of it.

    The fit is to the root alone, which takes a tenth of the time of one to all variables; QUICK_ITEMS items
    are followed.

    Returns:
        variable, items; observer: who answers about the gold, the first that is asked; accepted: number of
        gold items (0: as it is) -> share of the root's values, as in `Plan`.

    Raises:
        engine.SekeError: as `plan`; the policy's first question does not ask for the root.
    """
    root = knowledge.root
    first = Session.open(knowledge, population, seed).asking().first
    if first is None or root not in knowledge.questions[first.question].variables:
        raise SekeError(f"the first question of the policy of {knowledge.name} says nothing about {root}")
    options = {"limits": (1.0,), "fixed": (), "gold": QUICK_GOLD, "gold_variables": (root,)}
    quick_plan = plan(knowledge, QUICK_ITEMS, population=population, seed=seed, **options)  # type: ignore[arg-type]
    (level,) = (name for name, members in knowledge.levels.items() if root in members)
    shares = [
        row["levels"][level].get("variables", {}).get(root, row["levels"][level]) for row in quick_plan.rows
    ]
    counts = (0, *QUICK_GOLD)
    accepted = {str(count): share["accepted"] for count, share in zip(counts, shares, strict=True)}
    return {
        "variable": root,
        "observer": knowledge.policy.ask,
        "items": QUICK_ITEMS,
        "accepted": accepted,
    }


def _progress_of_all(progress: Callable[[int, int], None], whole: int) -> Callable[[int], None]:
    return lambda done: progress(done, whole)


def _check(kind: str, name: str, known: Any) -> None:
    if name not in known:
        cure = f"; {cure_of_unknown_observer(known)}" if kind == "observer" else did_you_mean(name, known)
        raise SekeError(f"no {kind} is called {name!r}{cure}")


def _with_observers(base: Knowledge, observers: Sequence[str]) -> Knowledge:
    """Return the base with a policy that asks these observers."""
    for name in observers:
        _check("observer", name, base.observers)
        if not base.observers[name].askable:
            raise SekeError(f"{name} cannot be asked: it is not `askable`")
    if not observers:
        if not base.policy.ask:
            raise SekeError(f"the policy of {base.name} asks no observer; name one")
        return base
    further = tuple(dict.fromkeys(name for name in observers if name != observers[0]))
    return replace(base, policy=replace(base.policy, ask=observers[0], others=further))


def _check_fixed(base: Knowledge, question: str) -> None:
    """Refuse a question that cannot be asked about all items in the same way."""
    _check("question", question, base.questions)
    declared = base.questions[question]
    if declared.about_one:
        raise SekeError(
            f"{question} is about one variable at a time; name a question that is the same for all items"
        )
    if not set(declared.variables) & set(base.observers[base.policy.ask].instruments):
        raise SekeError(f"{base.policy.ask} does not answer anything that {question} asks for")


def gold_of(base: Knowledge, truth: Mapping[str, Ints], rng: np.random.Generator) -> Gold:
    """Return states, variable -> (N,), as gold; numbers of an interval are uniform within their bins."""
    values = {}
    for name, states in truth.items():
        variable = base.variables[name]
        if variable.kind == "interval":
            edges = np.array(variable.edges)
            values[name] = rng.uniform(edges[states], edges[states + 1])
        else:
            values[name] = states.astype(np.float64)
    return Gold(values)


def wrong_of(variable: Variable, value: Floats, gold: Floats, policy: Policy) -> Bools:
    """Return whether each value is wrong, (N,): another state, or off by more than the tolerance."""
    if variable.kind == "interval":
        return np.asarray(np.abs(value - gold) > policy.tolerance[variable.name])
    return np.asarray(value != gold)


def _row(
    base: Knowledge, setting: Setting, standing: LoopState, gold: Gold, total: int | None, price: float | None
) -> Record:
    decisions, policy, items = standing.decisions, setting.policy, len(standing.calls)
    wrong = {
        name: wrong_of(base.variables[name], level.value, gold.values[name], policy)
        for name, level in decisions.levels.items()
    }
    accepted = np.array([item == "accept" for item in decisions.item])
    slip = ~all_required(base, {name: ~errors for name, errors in wrong.items()})
    asked: Counter[str] = Counter()
    for line, count in standing.given.items():
        asked[line[2]] += count
    reasons = Counter(
        item_reasons[0].partition(":")[0]
        for item, item_reasons in zip(decisions.item, decisions.reasons, strict=True)
        if item == "reject"
    )
    row: Record = {"setting": setting.name, "design": setting.design, **setting.says, "items": items}
    row |= {
        "calls": _spread(standing.calls),
        "cost": _spread(standing.cost),
        "rounds": _spread(standing.rounds),
        "asked": {name: round(count / items, DIGITS) for name, count in asked.most_common()},
        "accepted": share(accepted[:, None], np.ones((items, 1), dtype=bool)),
        "wrong": share(slip[:, None], accepted[:, None]),
        "reasons": {reason: round(count / items, DIGITS) for reason, count in reasons.most_common()},
        "levels": {level: _level(decisions, wrong, names) for level, names in base.levels.items()},
    }
    if people := people_asked(base):
        looks = {(line[1], line[0]) for line in standing.given}
        waits = Counter(observer for observer, _ in looks)
        row["people"] = {name: round(waits[name] / items, DIGITS) for name in people}
    if total is not None:
        row["total"] = _total(row, total, price)
    return row


def _spread(numbers: NDArray[Any]) -> Record:
    low, high = np.quantile(numbers, (0.05, 0.95), method="inverted_cdf")
    error = numbers.std(ddof=1) / np.sqrt(len(numbers)) if len(numbers) > 1 else 0.0
    figures = {"mean": numbers.mean(), "error": error, "q05": low, "q95": high}
    return {name: round(float(value), DIGITS) for name, value in figures.items()}


def _level(decisions: Decisions, wrong: Mapping[str, Bools], names: Sequence[str]) -> Record:
    """Return acceptance and errors of some variables together, and of each where there are several."""
    accepted = np.stack([decisions.levels[name].accepted for name in names], axis=1)
    slips = np.stack([wrong[name] for name in names], axis=1)
    risk = np.stack([decisions.levels[name].risk for name in names], axis=1)
    figures: Record = {
        "accepted": share(accepted, np.ones_like(accepted)),
        "wrong": share(slips, accepted),
        "stated": round(float(risk[accepted].mean()), DIGITS) if accepted.any() else None,
    }
    if len(names) > 1:
        figures["variables"] = {name: _level(decisions, wrong, [name]) for name in names}
    return figures


def _total(row: Record, total: int, price: float | None) -> Record:
    estimate: Record = {"items": total}
    for name in ("calls", "cost"):
        estimate[name] = round(row[name]["mean"] * total, 2)
        estimate[f"{name}_error"] = round(row[name]["error"] * total, 2)
    if price is not None:
        estimate |= {"price": round(estimate["cost"] * price, 2)}
        estimate |= {"price_error": round(estimate["cost_error"] * price, 2)}
    return estimate
