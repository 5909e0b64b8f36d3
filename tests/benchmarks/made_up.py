"""Made-up input of the benchmarks: bases of other sizes than the shipped one, evidence and answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

import seke
from engine import Answers, Labels, Numbers
from engine.observation.evidence import Evidence

REFERENCE = Path(__file__).parent / "bases" / "reference.yaml"


def with_units(base, count):
    """Add made-up units until there are `count`: copies of others, one of three coupled to its model."""
    names = list(base.cells)
    variables, cells, couplings = dict(base.variables), dict(base.cells), list(base.couplings)
    added = [(f"{names[i % len(names)]}.{i}", names[i % len(names)]) for i in range(count - len(names))]
    for place, (name, model) in enumerate(added):
        variables[name] = replace(base.variables[model], name=name)
        cells[name] = base.cells[model]
        if place % 3 == 0:
            coupling = replace(base.couplings[0], name=f"pair.{name}", pair=(model, name), odds_ratio=2.0)
            couplings.append(coupling)
    levels = {**base.levels, "action_units": (*names, *(name for name, _ in added))}
    return replace(
        base,
        variables=variables,
        cells=cells,
        couplings=tuple(couplings),
        levels=levels,
        policy=_spread(base.policy, dict(added)),
    )


def _spread(policy, models):
    numbers = {
        key: {
            **getattr(policy, key),
            **{n: getattr(policy, key)[m] for n, m in models.items() if m in getattr(policy, key)},
        }
        for key in ("limits", "cuts", "worth")
    }
    return replace(policy, **numbers)


def with_bins(base, bins):
    """Cut valence and arousal into other bins; only for bases without rules about them."""
    variables = dict(base.variables)
    for name in base.intervals:
        edges = np.round(
            np.linspace(base.variables[name].edges[0], base.variables[name].edges[-1], bins + 1), 12
        )
        centres = tuple(f"{x:g}" for x in (edges[:-1] + edges[1:]) / 2)
        variables[name] = replace(base.variables[name], edges=tuple(edges.tolist()), states=centres)
    derived = [name for name, variable in variables.items() if variable.kind == "derived"]
    for name in derived:
        del variables[name]
    return replace(base, variables=variables)


def without_affect_rules(base):
    """Leave out the rules that speak of valence or arousal."""
    spoken = [rule.condition.variables() | rule.then.variables() for rule in base.rules]
    kept = tuple(r for r, names in zip(base.rules, spoken, strict=True) if not names & set(base.intervals))
    return replace(base, rules=kept)


def variants():
    """Yield (name, base) pairs."""
    shipped, reference = seke.knowledge(), seke.knowledge(REFERENCE)
    yield "reference", reference
    yield "shipped", shipped
    for count in (30, 44):
        yield f"reference, {count} units", with_units(reference, count)
        yield f"shipped, {count} units", with_units(shipped, count)
    plain = without_affect_rules(reference)
    for bins in (10, 20, 40):
        yield f"reference without affect rules, {bins} bins", with_bins(plain, bins)
    for rules in (0, 5, 10):
        yield f"shipped, {rules} rules", replace(shipped, rules=shipped.rules[:rules])
    yield "shipped, no rules or couplings", replace(shipped, rules=(), couplings=())


def soft_evidence(network, items, seed=0):
    """Likelihoods of every variable, of made-up items."""
    rng = np.random.default_rng(seed)
    names = [network.root, *network.node_of]
    logs = {v: np.log(rng.uniform(0.05, 1, (len(network.states[v]), items))) for v in names}
    return Evidence(
        items,
        np.arange(items),
        np.zeros(items),
        logs,
        np.ones(items, dtype=bool),
        np.zeros((2, 0), dtype=np.int64),
    )


def joint_answers(base, items, draws=1, seed=0):
    """Answers of the policy's observer to the question about everything, `draws` of each item."""
    rng = np.random.default_rng(seed)
    observer = list(base.observers).index(base.policy.ask)
    asked_observer = base.observers[base.policy.ask]
    question = next(
        i for i, q in enumerate(base.questions.values()) if set(q.variables) == set(names_in(base))
    )
    reading = np.repeat(np.arange(items), draws)
    labels, numbers = {}, {}
    root = rng.integers(0, len(base.variables[base.root].states), items)
    for name in asked_observer.labels:
        size = len(asked_observer.labels[name].answers)
        if name == base.root:
            answer = np.where(
                rng.random(len(reading)) < 0.8, root[reading], rng.integers(0, size, len(reading))
            )
        else:
            rate = np.array([cell.p for cell in base.cells[name]])[root[reading]]
            answer = (rng.random(len(reading)) < rate).astype(np.int64)
        plain = np.zeros(len(reading), dtype=bool)
        labels[name] = Labels(reading, answer, np.ones(len(reading)), plain)
    for name in asked_observer.numbers:
        mean = np.array([m.mean[base.intervals.index(name)] for m in base.moments])[root[reading]]
        value = np.clip(np.round(mean + rng.normal(0, 0.2, len(reading)), 1), -1, 1)
        numbers[name] = Numbers(reading, value)
    none, every = np.zeros(items, dtype=np.int64), np.arange(items)
    return Answers(
        items=tuple(map(str, range(items))),
        views=("face",),
        reading_item=every,
        reading_observer=none + observer,
        reading_question=none + question,
        reading_view=none,
        labels=labels,
        numbers=numbers,
        rankings={},
        samples=none + draws,
        refused=none,
        unreadable=none,
        not_judged=none,
        hidden=none,
        asked=none + draws,
        asked_in_vain=none,
        reading_given=none - 1,
        givens=(),
    )


def names_in(base):
    return [name for names in base.levels.values() for name in names]
