"""Posterior -> decisions: what is accepted, at which risk, and what becomes of the item.

The risk of a level is the posterior probability that its value is wrong: 1 - max p (categorical), the
probability of the other value (binary), P(|x - mean| > tolerance) (interval; x uniform within bins). A
level is accepted where its risk is at or under its limit, or under the threshold that keeps a limit of the
mean (`decision.limits`): Chow's rule with a price of rejection (Chow 1970, doi:10.1109/TIT.1970.1054406).
Nothing is accepted of an item whose readings contradict one another so much that the probability of that is
under the policy's `conflict` (then some declared reliability is wrong, and the risk with it), nor of one
without a readable answer. Nor is a value accepted that contradicts a data set's label of it where it rests on
declared numbers: then label and observer are one declaration against another. What nobody looked at is not
accepted either (`decision.origin`): it may be inferred, and is then said to be so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.decision.basis import Basis, bases_of
from engine.decision.level import LevelDecision, cautious
from engine.decision.limits import TIE
from engine.decision.origin import Origin, labels_of, origins_of
from engine.decision.people import people_asked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.backend.types import Bools, Floats, Ints
    from engine.inference.posterior import Posterior
    from engine.model.guarantee import Guarantee
    from engine.model.knowledge import Knowledge
    from engine.model.policy import Policy
    from engine.model.responses import Answers
    from engine.model.variable import Variable


# Log-odds that differ by less are equal.
ROUNDING = 1e-9
# On what a value may rest that contradicts a data set's label.
TRUSTED = (Basis.PEOPLE, Basis.CALIBRATED, Basis.CERTIFIED)


@dataclass(frozen=True)
class Option:
    """A question that could be asked: of which observer, about what, in which view, so many samples.

    `about` names the one variable where the question is about one. `cost` is the price of all samples;
    `gain`, in the same unit, the expected fall of the loss (`decision.loss`), and `error` its standard
    error (0 where it is exact). `check`: the contradiction for which it is asked first, in words, or "".
    """

    observer: str
    question: str
    about: str | None
    view: str
    samples: int
    cost: float
    gain: float
    error: float = 0.0
    check: str = ""

    @property
    def rate(self) -> float:
        """Gain per cost: worth its price above 1."""
        return self.gain / max(self.cost, 1e-9)


@dataclass(frozen=True)
class Decisions:
    """Decisions about N items: item is accept, requery or reject; reasons say why it is no accept.

    disputed: for each item the variables whose label of a data set is contradicted by observers that looked,
    see `decision.disputed_labels`; whatever is decided.
    """

    item: tuple[str, ...]
    levels: Mapping[str, LevelDecision]
    next: tuple[Option | None, ...]
    reasons: tuple[tuple[str, ...], ...]
    disputed: tuple[tuple[str, ...], ...]


def decide_levels(
    knowledge: Knowledge,
    answers: Answers,
    posterior: Posterior,
    conflict: Floats,
    drawn: Mapping[str, Floats] | None = None,
) -> dict[str, LevelDecision]:
    """Return the decision about every variable of a level.

    conflict: (N,), `Diagnostics.conflict`. drawn: variable -> marginals (D, N, states) of the same items
    under draws of the base's numbers; with them limits apply to the cautious risk (`decision.level`).
    """
    policy = knowledge.policy
    agreed = acceptable(knowledge, answers, conflict)
    origins = origins_of(knowledge, answers, posterior.followed)
    labels = labels_of(knowledge, answers)
    chosen = _chosen_values(knowledge, posterior, labels if policy.labels_final else {})
    bases = bases_of(knowledge, answers, {name: value for name, (value, _, _) in chosen.items()})
    decisions = {}
    for names in knowledge.levels.values():
        for name in names:
            variable, (value, risk, kept) = knowledge.variables[name], chosen[name]
            eligible = agreed & (origins[name] == Origin.SEEN)
            if name in labels:
                eligible &= ~overrules(variable, policy, value, labels[name]) | np.isin(bases[name], TRUSTED)
            spread, mean = _risk_moments(variable, value, risk, drawn, policy)
            low = cautious(risk, spread) <= highest_risk(variable, policy, value) + TIE
            lacking = np.zeros(len(value), dtype=bool)
            if variable.kind == "binary":
                value_odds = posterior.answer_odds[name] * np.where(value > 0, 1, -1)
                lacking = eligible & low & (value_odds < np.log(policy.evidence) - ROUNDING)
                eligible &= value_odds >= np.log(policy.evidence) - ROUNDING
            decided = (eligible & low) | kept, value, risk, eligible | kept, origins[name], lacking & ~kept
            decisions[name] = LevelDecision(*decided, bases[name], spread, mean)
    return decisions


def _chosen_values(
    knowledge: Knowledge, posterior: Posterior, final: Mapping[str, Floats]
) -> dict[str, tuple[Floats, Floats, Bools]]:
    """Return of every variable of a level value and risk, (N,) each, and whether a label is kept, (N,).

    final: labels of a data set that are kept, (N,), NaN for none.
    """
    chosen = {}
    for name in (name for names in knowledge.levels.values() for name in names):
        variable, p = knowledge.variables[name], posterior.marginals[name]
        value, risk = risk_of(variable, p, knowledge.policy)
        kept = np.zeros(len(value), dtype=bool)
        if name in final:
            kept = ~np.isnan(final[name])
            value = np.where(kept, final[name], value)
            risk = np.where(kept, risk_of_value(variable, p, value, knowledge.policy), risk)
        chosen[name] = value, risk, kept
    return chosen


def _risk_moments(
    variable: Variable, value: Floats, risk: Floats, drawn: Mapping[str, Floats] | None, policy: Policy
) -> tuple[Floats, Floats]:
    """Return standard deviation and mean over draws of the risk of values (N,), (N,) each."""
    if drawn is None:
        return np.zeros(len(risk)), risk
    p = drawn[variable.name]
    draws, items, states = p.shape
    values = np.tile(value, draws)
    risks = risk_of_value(variable, p.reshape(-1, states), values, policy).reshape(draws, items)
    return risks.std(0), risks.mean(0)


def overrules(variable: Variable, policy: Policy, value: Floats, label: Floats) -> Bools:
    """Return where values (N,) differ from a data set's labels (N,), a mask (N,); NaN is no label."""
    # Values of a variable that is no interval are whole numbers.
    return np.asarray(np.abs(value - label) > policy.tolerance.get(variable.name, 0.5))


def highest_risk(variable: Variable, policy: Policy, value: Floats) -> Floats:
    """Return the highest risk at which each decided value (N,) of a variable is accepted, (N,)."""
    return risk_of_each(variable, policy.highest_risks(variable), value)


def risk_of_each(variable: Variable, risks: tuple[float, ...], value: Floats) -> Floats:
    """Return the risk that stands for each decided value (N,), (N,); risks: by `Variable.values`."""
    index = np.zeros(len(value), dtype=np.int64) if variable.kind == "interval" else value.astype(np.int64)
    return np.array(risks)[index]


def acceptable(knowledge: Knowledge, answers: Answers, conflict: Floats) -> Bools:
    """Return which items may be accepted at all, (N,): those read and not in conflict; conflict: (N,)."""
    read = np.bincount(answers.reading_item, minlength=len(answers.items)) > 0
    return np.asarray(read & (conflict >= knowledge.policy.conflict))


def decide_certified(
    knowledge: Knowledge,
    guarantee: Guarantee,
    levels: Mapping[str, LevelDecision],
    allowed: Bools,
) -> dict[str, LevelDecision]:
    """Return decisions with certified thresholds in the place of the limits; allowed: see `acceptable`."""
    decisions = {}
    for name, level in levels.items():
        threshold = certified_thresholds(knowledge.variables[name], guarantee, level.value)
        # No risk is at or under NaN.
        accepted = allowed & level.eligible & (level.cautious_risk <= threshold)
        basis = np.where(accepted, Basis.CERTIFIED, level.basis).astype(np.int8)
        decisions[name] = replace(level, accepted=accepted, basis=basis)
    return decisions


def certified_thresholds(variable: Variable, guarantee: Guarantee, value: Floats) -> Floats:
    """Return the highest risk that is accepted with each value, (N,); NaN where none is certified."""
    return risk_of_each(variable, guarantee.thresholds(variable), value)


def risk_of(variable: Variable, p: Floats, policy: Policy) -> tuple[Floats, Floats]:
    """Return value (...) and risk (...) of a variable with the distribution p, (..., states)."""
    if variable.kind == "interval":
        return interval_risk(p, np.array(variable.edges), policy.tolerance[variable.name])
    if variable.kind == "binary":
        active = p[..., 1] >= policy.cuts.get(variable.name, 0.5)
        return active.astype(np.float64), np.where(active, p[..., 0], p[..., 1])
    # Equal up to rounding is equal: the first state wins.
    return np.round(p, 9).argmax(-1).astype(np.float64), np.clip(1 - p.max(-1), 0, 1)


def risk_of_value(variable: Variable, p: Floats, value: Floats, policy: Policy) -> Floats:
    """Return the risk (N,) of values (N,) that were not chosen by `risk_of`; p: (N, states)."""
    if variable.kind == "interval":
        edges = np.array(variable.edges)
        return _risk_around(value, p @ running_sums(edges), edges, policy.tolerance[variable.name])
    return np.asarray(1 - p[np.arange(len(value)), value.astype(np.int64)])


def interval_risk(p: Floats, edges: Floats, tolerance: float) -> tuple[Floats, Floats]:
    """Return the mean and P(|x - mean| > tolerance), both (...), for bins p (..., bins)."""
    return risk_of_sums(p @ running_sums(edges), edges, tolerance)


def running_sums(edges: Floats) -> Floats:
    """Return the matrix (bins, edges + 1) that takes bins to P(x <= each edge) and the mean."""
    bins = len(edges) - 1
    centres = (edges[:-1] + edges[1:]) / 2
    return np.column_stack([np.triu(np.ones((bins, bins + 1)), 1), centres])


def risk_of_sums(sums: Floats, edges: Floats, tolerance: float) -> tuple[Floats, Floats]:
    """Return `interval_risk`, both (...), from what `running_sums` made of the bins, (..., edges + 1)."""
    return sums[..., -1], _risk_around(sums[..., -1], sums, edges, tolerance)


def _risk_around(value: Floats, sums: Floats, edges: Floats, tolerance: float) -> Floats:
    """Return P(|x - value| > tolerance), (...), for values (...) and sums (..., edges + 1)."""
    flat, start = sums.reshape(-1), np.arange(value.size).reshape(value.shape) * sums.shape[-1]
    below = [_interpolate(flat, start, edges, value + side) for side in (-tolerance, tolerance)]
    return np.clip(1 - (below[1] - below[0]), 0, 1)


def _interpolate(sums: Floats, start: Ints, edges: Floats, value: Floats) -> Floats:
    """Interpolate distribution functions at `value` (...), x uniform in bins.

    sums: flat, each distribution's values at the edges from its start (...) on.
    """
    bins = len(edges) - 1
    place = np.asarray((value - edges[0]) / (edges[1] - edges[0]))
    np.clip(place, 0, bins, out=place)
    cell = np.asarray(place.astype(np.int64))
    np.minimum(cell, bins - 1, out=cell)
    place -= cell
    cell += start
    low = sums.take(cell)
    cell += 1
    rise = sums.take(cell)
    rise -= low
    rise *= place
    return np.asarray(low + rise)


def decide_items(
    knowledge: Knowledge,
    answers: Answers,
    levels: Mapping[str, LevelDecision],
    asked_next: tuple[Option | None, ...],
    at_odds: tuple[str, ...],
    disputed: tuple[tuple[str, ...], ...] | None = None,
) -> Decisions:
    """Return the decision about every item.

    An item is asked again where `asked_next` has a question that is worth its price; else it is
    accepted where all required levels are; else rejected, with the reasons. Where people are to be asked,
    that is the first reason. at_odds: the observer of each item that contradicts the others more than is
    declared of it; "" where none does. disputed: see `Decisions`; of no item any where it is left out.
    """
    policy = knowledge.policy
    whole = all_required(knowledge, {name: level.accepted for name, level in levels.items()})
    readings = np.bincount(answers.reading_item, minlength=len(answers.items))
    people = people_asked(knowledge)
    decisions: list[str] = []
    reasons: list[tuple[str, ...]] = []
    for i, following in enumerate(asked_next):
        if not readings[i] and (following is None or answers.asked[i]):
            decisions.append("reject")
            reasons.append((_unread_reason(answers, i),))
        elif following is not None:
            decisions.append("requery")
            look = [look_in_words(knowledge, following)] if following.observer in people else []
            check = [f"check: {following.about} ({following.check})"] if following.check else []
            reasons.append((*(look or check), *_open_levels(knowledge, levels, i)))
        elif whole[i]:
            decisions.append("accept")
            reasons.append(())
        else:
            decisions.append("reject")
            item_reasons = [f"conflict: {at_odds[i]}"] if at_odds[i] else []
            item_reasons.append("budget" if answers.asked[i] >= policy.budget else "unresolvable")
            reasons.append((*item_reasons, *_open_levels(knowledge, levels, i)))
    disputed = ((),) * len(decisions) if disputed is None else disputed
    return Decisions(tuple(decisions), levels, asked_next, tuple(reasons), disputed)


def all_required(knowledge: Knowledge, holds: Mapping[str, Bools]) -> Bools:
    """Return for which items `holds` is true for all variables of required levels; variable -> (N,)."""
    all_hold = np.ones_like(next(iter(holds.values())), dtype=bool)
    for name in (name for level in knowledge.policy.required for name in knowledge.levels[level]):
        all_hold &= holds[name]
    return all_hold


def _unread_reason(answers: Answers, item: int) -> str:
    """Return why an item has no readable answer; where nothing was asked there was no budget for it."""
    if answers.refused[item]:
        return "refused"
    if answers.not_judged[item]:
        return "not_judged"
    return "unreadable" if answers.asked[item] or answers.samples[item] else "budget"


def _open_levels(knowledge: Knowledge, levels: Mapping[str, LevelDecision], item: int) -> tuple[str, ...]:
    """Return the levels with a variable that is not accepted, as `open: NAME`."""
    return tuple(
        f"open: {level}"
        for level, names in knowledge.levels.items()
        if not all(levels[name].accepted[item] for name in names)
    )


def look_in_words(knowledge: Knowledge, option: Option) -> str:
    """Return the text that says that asking these people is worth its price."""
    observer = knowledge.observers[option.observer]
    reported = set(knowledge.questions[option.question].variables) & set(observer.instruments)
    levels = [name for name, members in knowledge.levels.items() if reported & set(members)]
    parts = [option.about] if option.about else [name.replace("_", " ") for name in levels]
    return f"a look of {observer.label} at {_join_names(parts)} is worth its price"


def _join_names(names: Sequence[str]) -> str:
    """Return names joined by commas and a last `and`."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
