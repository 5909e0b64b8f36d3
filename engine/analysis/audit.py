"""Warnings about a base that compiles: numbers that differ from the declared ones, and doubtful rules.

A warning is something that a careful author would want to know and may have meant; what cannot be meant is a
fault, which the reader and the compiler report.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.compilation.feasibility import feasible_interval
from engine.decision.voi_exact import Preposterior
from engine.errors import Fault, did_you_mean
from engine.language.parameter_paths import CELLS, MOMENTS
from engine.language.yaml_tree import declared_of
from engine.network.cost import Cost, cost_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.backend.types import Floats
    from engine.errors import Place
    from engine.inference.posterior import Inference
    from engine.model.knowledge import Knowledge, Rule
    from engine.network.network import Network
    from engine.network.values import CompiledRule


# Imagined answers for the errors of pairs: as many as take some seconds, within these.
FEWEST_PATHS, MOST_PATHS = 200, 2000
SECONDS = 2.0
MOST_INTERVALS = 300
NEVER = 1e-4
CERTAIN = 1 - 1e-9
INDISTINCT = 0.4
AGREES = 0.005
OPPOSES = -0.02


@dataclass(frozen=True)
class Deviation:
    """A declared number, its place, and the same number in the compiled network."""

    path: str
    place: Place
    source: str
    declared: float
    compiled: float


@dataclass(frozen=True)
class AuditedRule:
    """A rule, its compiled form, and the confidences that the declared tables alone allow.

    possible: NaN where it was not computed: of more than MOST_INTERVALS rules, those that are not met first.
    """

    rule: Rule
    compiled: CompiledRule
    possible: tuple[float, float]


@dataclass(frozen=True)
class Audit:
    """The results of an audit.

    deviations: of all declared numbers, the largest first. errors: question -> (K, K), see
    `Preposterior.pair_errors`; NaN on the diagonal. warnings: in the order of the files. unmet: the names of
    the rules whose confidence is not met.
    """

    deviations: tuple[Deviation, ...]
    rules: tuple[AuditedRule, ...]
    errors: Mapping[str, Floats]
    cost: Cost
    warnings: tuple[Fault, ...]
    unmet: tuple[str, ...]


def audit_network(inference: Inference, seed: int = 0) -> Audit:
    """Audit a compiled base."""
    network, base = inference.network, inference.knowledge
    rules = tuple(_audit_rules(inference))
    cost = cost_of(network)
    # A path is drawn variable by variable.
    paths = int(SECONDS * cost.items_a_second / len(base.variables))
    paths = min(max(paths, FEWEST_PATHS), MOST_PATHS)
    errors = Preposterior(inference, seed, paths).pair_errors() if base.policy.ask else {}
    for error in errors.values():
        np.fill_diagonal(error, np.nan)
    warnings = [
        *(*_rule_warnings(rules), *_duplicate_rules(rules), *_unused_sources(base)),
        *(*_indistinct_states(base, errors), *_dependence_warnings(base)),
    ]
    unmet = tuple(audited.rule.name for audited in rules if audited.compiled.status == "unmet")
    deviations = sorted(
        _deviations(inference), key=lambda deviation: -abs(deviation.compiled - deviation.declared)
    )
    return Audit(tuple(deviations), rules, errors, cost, tuple(sorted(warnings)), unmet)


def _audit_rules(inference: Inference) -> Iterator[AuditedRule]:
    network, base = inference.network, inference.knowledge
    declared = {rule.name: rule for rule in base.rules}
    open_ = [rule for rule in network.rules if rule.status != "decided"]
    first = sorted(open_, key=lambda rule: rule.status != "unmet")[:MOST_INTERVALS]
    in_question = {rule.name for rule in first}
    for rule in network.rules:
        possible = (
            feasible_interval(network, base, rule) if rule.name in in_question else (math.nan, math.nan)
        )
        if rule.status == "decided":
            possible = (rule.reached, rule.reached)
        yield AuditedRule(declared[rule.name], rule, possible)


def _deviations(inference: Inference) -> Iterator[Deviation]:
    network, base = inference.network, inference.knowledge
    states = network.root_states
    for name, row in base.cells.items():
        for state, cell, p in zip(states, row, network.given_root[name], strict=True):
            path = ".".join((*CELLS, state, name))
            yield Deviation(path, cell.place, cell.source, cell.p, float(p[1]))
    for index, (state, moments) in enumerate(zip(states, base.moments, strict=False)):
        mean, sd, correlation = compiled_moments(network, base.intervals, index)
        pairs = [("mean", moments.mean, mean), ("sd", moments.sd, sd)]
        for what, declared, compiled in pairs:
            for name, declared_value, compiled_value in zip(base.intervals, declared, compiled, strict=True):
                path = ".".join((*MOMENTS, state, what, name))
                yield Deviation(path, moments.place, moments.source, declared_value, float(compiled_value))
        for i, j in zip(*np.triu_indices(len(mean), 1), strict=True):
            path = ".".join((*MOMENTS, state, "correlation"))
            declared_correlation = moments.correlation[i][j]
            yield Deviation(
                path, moments.place, moments.source, declared_correlation, float(correlation[i, j])
            )


def compiled_moments(network: Network, names: tuple[str, ...], state: int) -> tuple[Floats, Floats, Floats]:
    """Return the compiled mean and sd, (m,) each, and correlation (m, m); uniform within bins."""
    node = network.node_of[names[0]]
    edges = [np.array(network.edges[name]) for name in names]
    values = np.stack(
        [((e[:-1] + e[1:]) / 2)[node.index[:, i]] for i, e in enumerate(edges)], axis=1, dtype=np.float64
    )
    p = network.marginals[node.name][state]
    mean = p @ values
    within = np.diag([(e[1] - e[0]) ** 2 / 12 for e in edges])
    covariance = (values - mean).T @ ((values - mean) * p[:, None]) + within
    sd = np.sqrt(np.diag(covariance))
    return mean, sd, covariance / np.outer(sd, sd)


def _rule_warnings(rules: tuple[AuditedRule, ...]) -> Iterator[Fault]:
    for audited in rules:
        message = _oddity(audited)
        if message:
            yield Fault(audited.rule.place, f"rules.{audited.rule.name}", message)


def _oddity(audited: AuditedRule) -> str:
    """Return the warning about a rule; an empty text where there is none."""
    rule, compiled = audited.rule, audited.compiled
    low, high = audited.possible
    gap = abs(compiled.reached - rule.confidence) > AGREES
    tables = f"`{CELLS[0]}` or `{MOMENTS[0]}`"
    alone = "" if math.isnan(low) else f"; with the declared tables alone {low:.3f} to {high:.3f} is possible"
    oddities = (
        (
            compiled.reached >= CERTAIN,
            "is always true: its `then` follows from its `if`, so it adds nothing",
        ),
        (compiled.p_if < NEVER, f"hardly ever applies: P(if) is {compiled.p_if:.2g}"),
        (
            compiled.status == "decided",
            f"is decided by the tables already: P(then | if) is {compiled.reached:.3f}"
            + (f"; its confidence of {rule.confidence:g} is ignored" if gap else "")
            + f"; change {tables} instead",
        ),
        (
            compiled.p_if >= CERTAIN,
            "has an `if` that always holds, so it only says how often its `then` is true",
        ),
        (
            compiled.status == "unmet",
            f"confidence {rule.confidence:g} is not met: {compiled.reached:.3f} is reached{alone}",
        ),
        (
            compiled.weight < OPPOSES,
            f"speaks against its own `then`: without it P(then | if) would be above {rule.confidence:g} "
            f"(weight {compiled.weight:.2f})",
        ),
    )
    return next((message for odd, message in oddities if odd), "")


def _duplicate_rules(rules: tuple[AuditedRule, ...]) -> Iterator[Fault]:
    """Yield faults of rules that hold and are violated in the same cases as an earlier rule."""
    first: dict[tuple[tuple[str, ...], bytes, bytes], Rule] = {}
    for audited in rules:
        compiled = audited.compiled
        key = (compiled.nodes, compiled.condition.tobytes(), compiled.violated.tobytes())
        earlier = first.setdefault(key, audited.rule)
        if earlier is not audited.rule:
            odds = "" if earlier.confidence == audited.rule.confidence else ", with another confidence"
            message = f"says the same as rules.{earlier.name} ({earlier.place}){odds}"
            yield Fault(audited.rule.place, f"rules.{audited.rule.name}", message)


def _dependence_warnings(base: Knowledge) -> Iterator[Fault]:
    """Yield faults of observers whose `follows` exceeds `carry`, or whose shared errors count twice."""
    for name, observer in base.observers.items() if base.dependence is not None else ():
        if observer.follows > observer.carry and len(observer.labels):
            message = (
                f"has `follows` {observer.follows:g} above its `carry` {observer.carry:g}; a reading cannot "
                "follow the item's appearance more often than it keeps what the observer settles on, so "
                "`carry` is used; raise `carry` or lower `follows`"
            )
            yield Fault(observer.place, f"observers.{name}", message)
        if observer.follows and observer.exponent != 1:
            message = (
                f"has an exponent of {observer.exponent:g} and also `follows`: both discount the errors that "
                "it shares with others; set the exponent to 1 and calibrate anew"
            )
            yield Fault(observer.place, f"observers.{name}", message)
    yield from _family_warnings(base)


def _family_warnings(base: Knowledge) -> Iterator[Fault]:
    """Yield faults of families without two members, and of members whose `follows` exceeds `carry`.

    A family that has an entry of its own may wait for a second member, of an overlay; another one with a
    single member is likely a name that was misspelt.
    """
    members = Counter(observer.family for observer in base.observers.values())
    declared = base.dependence.families if base.dependence is not None else {}
    for name, family in declared.items():
        if not members[name]:
            message = f"no observer belongs to this family{did_you_mean(name, [n for n in members if n])}"
            yield Fault(family.place, f"dependence.families.{name}", message)
    for observer in (observer for observer in base.observers.values() if observer.family):
        path, family_name, follows = f"observers.{observer.name}", observer.family, observer.family_follows
        if members[family_name] == 1 and family_name not in declared:
            other_families = [other for other in members if other not in ("", family_name)]
            message = f"is the only observer of the family {family_name}, so the family has no effect"
            yield Fault(observer.place, path, message + did_you_mean(family_name, other_families))
        if observer.labels and follows > observer.carry:
            message = (
                f"follows its family {family_name} with {follows:g}, above its `carry` "
                f"{observer.carry:g}, so `carry` is used; raise `carry` or lower the number of the family"
            )
            yield Fault(observer.place, path, message)


def _unused_sources(base: Knowledge) -> Iterator[Fault]:
    """Yield faults of sources that no number cites and no note names."""
    declared = declared_of(base)
    cited = {leaf.source for leaf in declared.leaves.values()}
    texts = [(leaf.path, f"{leaf.text}\n{leaf.note}") for leaf in declared.leaves.values()]
    for name, source in base.sources.items():
        # What a source says of itself is no use of it.
        spoken = "\n".join({text for path, text in texts if not path.startswith(f"sources.{name}.")})
        if name not in cited and not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", spoken):
            yield Fault(
                source.place, f"sources.{name}", "is never used: no number cites it and no text names it"
            )


def _indistinct_states(base: Knowledge, errors: Mapping[str, Floats]) -> Iterator[Fault]:
    """Yield faults of pairs of root states with an error above INDISTINCT after every question."""
    if not errors:
        return
    states = base.variables[base.root].states
    best = np.min(list(errors.values()), axis=0)
    path = f"variables.{base.root}.states"
    place = declared_of(base).places.get(path, base.variables[base.root].place)
    for i, j in np.argwhere(np.triu(best > INDISTINCT)):
        message = (
            f"no question tells {states[i]} from {states[j]}: after one answer of {base.policy.ask} to the "
            f"best question, the likelier state is wrong in {best[i, j]:.0%} of cases (guessing: 50%)"
        )
        yield Fault(place, path, message)
