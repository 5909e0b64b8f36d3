"""Where posteriors hold contradictions, and what checks of these places changed.

A rule stands against an item where it is violated with a higher probability than its confidence allows,
P(if & not then | answers) > 1 - confidence. Two parts A and B of the answers contradict each other where they
are less than half as probable together as apart, log2 P(A) P(B) / P(A, B) > LEAST_BITS, as in
`inference.conflict`. The parts are all readings, and all answers about the root and all about anything else,
of those that look at the item: a name that does not fit what was seen. The place is where the two parts (the
reading most at odds and all others), each taken alone, have other values. By Markov's inequality answers that
are drawn given the others are as contradictory with at most the probability P(A, B) / (P(A) P(B)). Under halo
a name that is left out leaves its followers unexplained, so that there it is approximate. A label of a data
set stands against an item where it is disputed (`decision.disputed_labels`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.decision.decision import overrules, risk_of
from engine.decision.disputed_labels import disputed_labels
from engine.decision.limits import TIE
from engine.decision.origin import labels_of, looking, reports_of
from engine.inference.conflict import LEAST_BITS
from engine.inference.contradiction import CheckEffect, Contradiction
from engine.inference.diagnostics import diagnose
from engine.model.responses import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from engine.backend.types import Bools
    from engine.inference.diagnostics import Diagnostics
    from engine.inference.posterior import Inference, Posterior
    from engine.model.knowledge import Knowledge
    from engine.model.responses import Answers

    ByItem = tuple[tuple[Contradiction, ...], ...]

# Nats.
LEAST_SURPRISE = LEAST_BITS * math.log(2)


def contradictions_of(
    inference: Inference,
    answers: Answers,
    posterior: Posterior,
    diagnostics: Diagnostics,
    disputed: Sequence[Mapping[str, str]],
) -> ByItem:
    """Return the contradictions of each item that can be checked: of what somebody looked at before.

    disputed: of each item variable -> observer whose label is disputed, see `disputed_labels`.
    """
    by_item: list[list[Contradiction]] = [[] for _ in answers.items]
    parts = (
        _disputed(inference.knowledge, answers, posterior, disputed),
        _conflicting_readings(inference, answers, diagnostics),
        _conflicting_answers(inference, answers, posterior),
        _violated_rules(inference.knowledge, posterior),
    )
    seen = answers.keeping(looking(inference.knowledge, answers))
    looked = {name: _items_reporting(seen, name) for name in _levelled(inference.knowledge)}
    for item, contradiction in (pair for part in parts for pair in part):
        if names := tuple(name for name in contradiction.variables if looked[name][item]):
            by_item[item].append(replace(contradiction, variables=names))
    return tuple(map(tuple, by_item))


def checks_of(
    inference: Inference, answers: Answers, posterior: Posterior, standing: ByItem
) -> tuple[tuple[CheckEffect, ...], ...]:
    """Return for each item what its answers to questions about one variable changed, by variable.

    standing: the contradictions with all answers. They are compared with all other answers of the item; one
    without any has no check.
    """
    base = inference.knowledge
    about_one = np.array([question.about_one for question in base.questions.values()], dtype=bool)
    checking = np.asarray(about_one[answers.reading_question])
    size = len(answers.items)
    both = np.zeros(size, dtype=bool)
    both[answers.reading_item[checking]] = True
    both &= np.bincount(answers.reading_item[~checking], minlength=size) > 0
    checks: list[list[CheckEffect]] = [[] for _ in range(size)]
    if not both.any():
        return tuple(map(tuple, checks))
    places = np.flatnonzero(both)
    without = answers.keeping(~checking).only(both)
    earlier = inference.posterior(without)
    diagnostics, disputed = diagnose(inference, without, earlier), disputed_labels(inference, without)
    before = contradictions_of(inference, without, earlier, diagnostics, disputed)
    for name in _levelled(base):
        variable = base.variables[name]
        checked = np.zeros(size, dtype=bool)
        checked[answers.reading_item[reports_of(answers, name) & checking]] = True
        values = [
            risk_of(variable, p, base.policy)
            for p in (earlier.marginals[name], posterior.marginals[name][places])
        ]
        for row in np.flatnonzero(checked[places]).tolist():
            item = int(places[row])
            (value_without, risk_without), (value, risk) = ((v[row].item(), r[row].item()) for v, r in values)
            names = (_naming(before[row], name), _naming(standing[item], name))
            checks[item].append(CheckEffect(name, value_without, value, risk_without, risk, *names))
    return tuple(map(tuple, checks))


def _naming(contradictions: Collection[Contradiction], variable: str) -> tuple[str, ...]:
    """Return in words the contradictions that name a variable."""
    return tuple(c.text for c in contradictions if variable in c.variables)


def _levelled(base: Knowledge) -> list[str]:
    """Return the variables of all levels, each once."""
    return list(dict.fromkeys(name for names in base.levels.values() for name in names))


def _disputed(
    base: Knowledge, answers: Answers, posterior: Posterior, disputed: Sequence[Mapping[str, str]]
) -> Iterator[tuple[int, Contradiction]]:
    """Yield the labels of data sets that observers dispute."""
    labels = labels_of(base, answers) if any(disputed) else {}
    for item, observers in enumerate(disputed):
        for name, observer in observers.items():
            probability = float(posterior.marginals[name][item, int(labels[name][item])])
            yield item, Contradiction("label", observer, (name,), probability)


def _conflicting_readings(
    inference: Inference, answers: Answers, diagnostics: Diagnostics
) -> Iterator[tuple[int, Contradiction]]:
    """Yield the readings most at odds with all others, of items whose readings contradict one another."""
    items = np.flatnonzero(diagnostics.conflict_bits > LEAST_BITS)
    if not items.size:
        return
    # One reading of each item, in the order of the items.
    order = items[np.argsort(diagnostics.reading[items])]
    chosen = np.zeros(len(answers.reading_item), dtype=bool)
    chosen[diagnostics.reading[items]] = True
    places = _differing(inference, answers.each_reading(chosen), answers.without_each(chosen))
    for item, names in zip(order.tolist(), places, strict=True):
        probability = float(diagnostics.conflict[item])
        yield item, Contradiction("reading", diagnostics.at_odds[item], names, probability)


def _conflicting_answers(
    inference: Inference, answers: Answers, posterior: Posterior
) -> Iterator[tuple[int, Contradiction]]:
    """Yield where what those who look call an item contradicts what they see of it."""
    base = inference.knowledge
    looks = looking(base, answers)
    seen = answers.keeping(looks)
    about_root, about_rest = _about(seen, {base.root}), _about(seen, set(base.variables) - {base.root})
    counts = [np.bincount(a.reading_item, minlength=len(answers.items)) for a in (about_root, about_rest)]
    both = (counts[0] > 0) & (counts[1] > 0)
    if not both.any():
        return
    about_root, about_rest = about_root.only(both), about_rest.only(both)
    apart = inference.log_evidence(about_root) + inference.log_evidence(about_rest)
    together = posterior.log_evidence.copy()
    labelled = np.zeros(len(both), dtype=bool)
    labelled[answers.reading_item[~looks]] = True
    if (both & labelled).any():
        together[both & labelled] = inference.log_evidence(seen.only(both & labelled))
    surprise = apart - together[both]
    alarm = surprise > LEAST_SURPRISE
    if not alarm.any():
        return
    places = _differing(inference, about_root.only(alarm), about_rest.only(alarm))
    for row, item in enumerate(np.flatnonzero(both)[alarm].tolist()):
        yield item, Contradiction("answers", base.root, places[row], float(np.exp(-surprise[alarm][row])))


def _violated_rules(base: Knowledge, posterior: Posterior) -> Iterator[tuple[int, Contradiction]]:
    """Yield the rules that are violated with a higher probability than they allow, the likeliest first."""
    rules, levelled = {rule.name: rule for rule in base.rules}, _levelled(base)
    compiled = [rules[name] for name in posterior.rules]
    allowed = np.array([1 - rule.confidence for rule in compiled])
    violated = posterior.violations > allowed + TIE
    for item in np.flatnonzero(violated.any(1)).tolist():
        for place in np.argsort(-posterior.violations[item], kind="stable").tolist():
            if violated[item, place]:
                rule, probability = compiled[place], float(posterior.violations[item, place])
                members = rule.condition.variables() | rule.then.variables()
                names = tuple(name for name in levelled if name in members)
                yield item, Contradiction("rule", rule.name, names, probability)


def _about(answers: Answers, names: Collection[str]) -> Answers:
    """Return the answers about some variables, in the readings that have any."""

    def chosen(columns: Mapping[str, Any]) -> Mapping[str, Any]:
        return {name: column for name, column in columns.items() if name in names}

    columns: dict[str, Any] = {which: chosen(getattr(answers, which)) for which in COLUMNS}
    part = replace(answers, **columns)
    has_any = np.zeros(len(answers.reading_item), dtype=bool)
    for name in (*part.labels, *part.numbers):
        has_any |= reports_of(part, name)
    return part.keeping(has_any)


def _differing(inference: Inference, first: Answers, second: Answers) -> list[tuple[str, ...]]:
    """Return for each item the variables of which two parts of its answers, each taken alone, differ.

    Only what one of them reports; of intervals beyond the tolerance.
    """
    base = inference.knowledge
    posteriors = inference.posterior(first), inference.posterior(second)
    differing: list[list[str]] = [[] for _ in first.items]
    for name in _levelled(base):
        variable = base.variables[name]
        values = [risk_of(variable, posterior.marginals[name], base.policy)[0] for posterior in posteriors]
        reported = _items_reporting(first, name) | _items_reporting(second, name)
        for item in np.flatnonzero(reported & overrules(variable, base.policy, *values)).tolist():
            differing[item].append(name)
    return [tuple(names) for names in differing]


def _items_reporting(answers: Answers, name: str) -> Bools:
    """Return which items have an answer about a variable, (N,)."""
    reported = np.zeros(len(answers.items), dtype=bool)
    reported[answers.reading_item[reports_of(answers, name)]] = True
    return reported
