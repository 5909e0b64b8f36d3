"""Why an item got its label: the facts, as plain JSON values.

Bits are of the log-odds of the label against all other states of the root (for it above 0, against it below).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine import Knowledge, Preposterior, SekeError, Sensitivity, diagnose, did_you_mean, weigh_parts
from seke.console.plain_text import near
from seke.explanations.text import render
from seke.files.shipped import knowledge as read_knowledge
from seke.files.text_report import TextReport
from seke.inference.session import Judged, Session
from seke.sampling.infer import batches, on_samples, read_once, source_list
from seke.sampling.replay import mark_off_policy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine import Answers, Counterfactual, FactorContribution, Option, Outcome, Weights
    from seke.files.frames import Samples

    Facts = dict[str, Any]

# Decimal places of numbers in the facts.
DIGITS = 6
# Names of items kept to suggest one where an item is not found.
MOST_NAMES = 10_000
# Questions listed beside the best one.
MOST_OPTIONS = 6
# A root that belongs to no level, about which nothing is decided.
_UNDECIDED = {"decision": "reject", "value": None, "risk": None, "origin": None, "basis": None}


@dataclass(frozen=True, repr=False)
class Explanation(TextReport):
    """Why an item got its label. facts: JSON values; as text it fits a terminal of 90 columns."""

    facts: Mapping[str, Any]

    def __str__(self) -> str:
        return render(self.facts)


def explain(
    samples: Samples,
    item: str,
    knowledge: Knowledge | str | Path | None = None,
    *,
    population: str | None = None,
    in_order: bool = False,
    seed: int = 0,
) -> Explanation:
    """Explain one item among samples; the arguments are those of `infer`.

    Raises:
        engine.SekeError: bad knowledge or samples, with their places; an item that the samples do not have.
    """
    base = read_knowledge(knowledge)
    samples = source_list(samples)
    session = Session.open(base, population, seed)
    if not in_order:
        session = on_samples(session, samples)
    return explain_in_session(session, samples, item, in_order=in_order, seed=seed)


def explain_in_session(
    session: Session,
    samples: Samples,
    item: str,
    *,
    in_order: bool = False,
    seed: int = 0,
) -> Explanation:
    """Explain one item among samples, in a session that is ready.

    Of files that can be read again only what is about the item is read at first; what is wrong with others'
    samples may go unsaid. In files in order nothing is read beyond the item's batch.
    """
    sources = source_list(samples)
    session = mark_off_policy(session, sources, item)
    seen_items: list[str] = []
    if not in_order and not read_once(sources):
        for answers in batches(sources, session.knowledge, item=item):
            if item in answers.items:
                place = answers.items.index(item)
                return Explanation(facts_of(session, answers.part(place, place + 1), seed))
    for answers in batches(sources, session.knowledge, in_order=in_order):
        if item in answers.items:
            place = answers.items.index(item)
            return Explanation(facts_of(session, answers.part(place, place + 1), seed))
        seen_items += answers.items[: MOST_NAMES - len(seen_items)]
    raise SekeError(f"no item is called {item!r}{did_you_mean(item, seen_items)}")


def facts_of(session: Session, answers: Answers, seed: int = 0) -> Facts:
    """Return all facts about one item's label."""
    base, sensitivity = session.knowledge, Sensitivity(session.inference, answers)
    read = bool(len(answers.reading_item))
    tried: Facts = _round_numbers(
        {
            "rules": [_pull(base, pull) for pull in sensitivity.contributions()] if read else [],
            "least_pull": sensitivity.least_pull,
            "next": _next(session, answers, seed) if read else _first(session, answers),
            "numbers": [_flip(base, flip) for flip in sensitivity.counterfactuals()],
            "farthest": sensitivity.farthest,
        }
    )
    return inferred_facts(session, answers) | tried


def inferred_facts(session: Session, answers: Answers) -> Facts:
    """Return what is inferred and decided about one item's label, and what its answers weigh.

    Nothing is tried otherwise: no rule is left out, no number changed and no answer to come imagined, which
    takes nearly all of the time of `facts_of`.
    """
    inference = session.inference
    base = session.knowledge
    (record,) = session.records(answers)
    at_odds = diagnose(inference, answers, inference.posterior(answers)).at_odds[0]
    weights = weigh_parts(inference, answers)
    facts: Facts = _round_numbers(
        {
            "item": answers.items[0],
            "knowledge": {"name": base.name, "digest": base.digest},
            "label": {
                "variable": base.root,
                "value": weights.label,
                "p": weights.p[weights.label],
                "runner_up": weights.runner_up,
                "p_runner_up": weights.p[weights.runner_up],
                "bits": weights.bits,
            },
            "decision": _decision(base, record, weights),
            "prior": _prior(session, weights),
            "posterior": dict(weights.p),
            "readings": [
                {
                    "observer": reading.observer,
                    "question": reading.question,
                    "view": reading.view,
                    "said": reading.counts,
                    **vars(reading.weight),
                }
                for reading in weights.readings
            ],
            "variables": _variables(base, weights),
            "conflict": _conflict(session, record, weights, at_odds),
        }
    )
    return facts


def _decision(base: Knowledge, record: Facts, weights: Weights) -> Facts:
    """Return the decision about the root, its basis, and the limit that its risk is compared with."""
    policy, variable = base.policy, base.variables[base.root]
    level = record["decision"]["levels"].get(base.root, _UNDECIDED)
    promised = record["decision"].get("guarantee")
    held = promised is not None and promised["holds"]
    limit = policy.limits.get(base.root)
    highest = dict(zip(variable.values, policy.highest_risks(variable), strict=True)) if limit else {}
    covering = [
        certificate.name
        for certificate in (base.guarantee.certified if held and base.guarantee else ())
        if weights.label in certificate.values_of(variable)
    ]
    return {
        "accepted": level["decision"] == "accept",
        "value": _state(level["value"]),
        "risk": 1 - weights.p[weights.label] if level["risk"] is None else level["risk"],
        "limit": level.get("threshold") if held else highest.get(weights.label, limit),
        "limit_of": "mean" if base.root in policy.mean_limits else "each",
        "declared_limit": limit,
        "threshold_found": base.root in policy.thresholds,
        "origin": level["origin"],
        "basis": level["basis"],
        "lacking_evidence": base.root in record["diagnostics"]["lacking_evidence"],
        "guarantee": promised,
        "certificate": covering[0] if covering else None,
        "item": record["decision"]["item"],
        "reasons": record["decision"]["reasons"],
    }


def _state(value: Any) -> Any:
    """Return the name of the state of a decided value: true or false for a binary variable."""
    return str(value).lower() if isinstance(value, bool) else value


def _prior(session: Session, weights: Weights) -> Facts:
    population = session.knowledge.populations[session.inference.population]
    return {
        "population": population.name,
        "p": dict(weights.prior),
        "bits": weights.prior_bits,
        **_citation(session.knowledge, population),
    }


def _citation(base: Knowledge, declared: Any) -> Facts:
    """Return the place of a declared value, and its source."""
    source = base.sources.get(declared.source)
    return {
        "place": near(declared.place),
        "source": declared.source,
        "cite": source.cite if source else declared.note,
    }


def _variables(base: Knowledge, weights: Weights) -> list[Facts]:
    return [
        {
            "variable": contribution.variable,
            "said": contribution.counts,
            **vars(contribution.weight),
            "given": contribution.given,
            "declared": {state: _citation(base, cited) for state, cited in contribution.declared.items()},
        }
        for contribution in sorted(weights.variables, key=lambda contribution: -abs(contribution.weight.bits))
    ]


def _pull(base: Knowledge, pull: FactorContribution) -> Facts:
    kind = "rule" if pull.declared in base.rules else "coupling"
    return {
        "kind": kind,
        "name": pull.declared.name,
        "statement": pull.declared.statement,
        "bits": pull.bits,
        "moved": {"variable": pull.moved, "without": pull.without, "with": pull.with_it},
        "violated": pull.violated,
        **_citation(base, pull.declared),
    }


def _conflict(session: Session, record: Facts, weights: Weights, at_odds: str) -> Facts:
    """Return how far readings contradict one another; at_odds: the observer that contradicts most."""
    base = session.knowledge
    names = [f"{reading.observer}, {reading.question}, {reading.view}" for reading in weights.readings]
    places = {rule.name: near(rule.place) for rule in base.rules}
    pairs = [
        {"one": names[pair.first], "other": names[pair.second], "bits": pair.bits}
        for pair in sorted(weights.pairs, key=lambda pair: -pair.bits)
    ]
    return {
        "bits": record["diagnostics"]["conflict_bits"],
        "probability": record["diagnostics"]["conflict"],
        "least": base.policy.conflict,
        "at_odds": at_odds,
        "pairs": pairs,
        "violations": [
            {**violation, "place": places[violation["rule"]]}
            for violation in record["diagnostics"]["violations"]
        ],
        "contradictions": record["diagnostics"]["contradictions"],
        "checks": record["diagnostics"]["checks"],
    }


def _next(session: Session, answers: Answers, seed: int) -> Facts:
    """Return the question that a run would ask next, the reason for it or for none, and its effects.

    A run may ask on about what is accepted already, down to the policy's aims.
    """
    asking = session.asking()
    judged = asking.judge(answers)
    if judged.scope is not None and judged.scope.inside.all():
        asking = asking.certified
    base, exact = asking.knowledge, Preposterior(asking.inference, seed)
    named = {name for c in judged.diagnostics.contradictions[:1] for part in c for name in part.variables}
    options, quick = exact.options(answers, 0, named), judged.decisions.next[0]
    chosen = next((o for o in options if quick and _place_of(o) == _place_of(quick)), None)
    if chosen is not None and quick is not None:
        chosen = replace(chosen, check=quick.check)
    best = chosen or next(iter(options), None)
    place = _place_of(best) if best else None
    shown: dict[tuple[Any, ...], Option] = {}
    for option in options:
        shown.setdefault((option.observer, option.question, option.about, option.view), option)
    return {
        "why": _next_reason(asking, answers, judged, options, chosen),
        "budget": base.policy.budget,
        "asked": _option(best) if best else None,
        "quick_gain": quick.gain if quick else None,
        "outcomes": [_outcome(session, o) for o in exact.outcomes(answers, 0, best)] if best else [],
        "options": [_option(o) for o in shown.values() if _place_of(o) != place][:MOST_OPTIONS],
    }


def _first(session: Session, answers: Answers) -> Facts:
    """Return what a run would ask next of an item about which no answer judges anything."""
    option = session.asking().judge(answers).decisions.next[0]
    return {"why": "unread"} if option is None else {"why": "first", "asked": _option(option)}


def _next_reason(
    asking: Session, answers: Answers, judged: Judged, options: tuple[Option, ...], chosen: Option | None
) -> str:
    """Return the key of the sentence that says why a question is asked, or none is."""
    if chosen is not None and chosen.check and chosen.rate > 1:
        return "check"
    if chosen is not None:
        return "ask" if chosen.rate > 1 else "doubtful"
    if asking.look_ahead.settled(judged.decisions.levels, 1)[0]:
        return "settled"
    if answers.asked[0] >= asking.knowledge.policy.budget:
        return "budget"
    if not options:
        return "none"
    return "overlooked" if options[0].rate > 1 else "nothing"


def _place_of(option: Option) -> tuple[str, str, str | None, str, int]:
    """Return who is asked what, and how often, whatever that gains."""
    return option.observer, option.question, option.about, option.view, option.samples


def _option(option: Option) -> Facts:
    return {**vars(option), "rate": option.rate}


def _outcome(session: Session, outcome: Outcome) -> Facts:
    base, states = session.knowledge, session.network.root_states
    p = dict(zip(states, outcome.root.tolist(), strict=True))
    label = max(p, key=lambda state: p[state])
    return {
        "variable": outcome.variable,
        "said": outcome.counts,
        "probability": outcome.probability,
        "label": label,
        "p": p[label],
        "accepted": 1 - p[label] <= (base.policy.highest_risk(base.variables[base.root]) or 0.0),
    }


def _flip(base: Knowledge, flip: Counterfactual) -> Facts:
    number = flip.number
    return {
        "path": number.path,
        "value": number.value,
        "to": flip.value,
        "allowed": [number.low, number.high],
        "distance": flip.distance,
        "shared": flip.shared,
        "label": flip.label,
        "p": flip.p,
        "accepted": flip.accepted,
        **_citation(base, number),
    }


def _round_numbers(value: Any) -> Any:
    """Return facts as plain JSON values, with numbers rounded to DIGITS."""
    if isinstance(value, float):
        return round(value, DIGITS) + 0.0
    if isinstance(value, dict):
        return {key: _round_numbers(member) for key, member in value.items()}
    if hasattr(value, "items"):
        return _round_numbers(dict(value))
    if isinstance(value, list | tuple):
        return [_round_numbers(member) for member in value]
    return value
