"""Why an item got its label: the facts, as plain JSON values.

Bits are of the log-odds of the label against all other states of the root (for it above 0, against it below).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import Knowledge, Preposterior, SekeError, Sensitivity, diagnose, did_you_mean, weigh_parts
from seke.explanations.text import worded
from seke.files.shipped import knowledge as read_knowledge
from seke.inference.session import Session
from seke.sampling.infer import batches, on_samples
from seke.sampling.replay import mark_off_policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine import Answers, Flip, Option, Outcome, Pull, Weights

    Facts = dict[str, Any]

DIGITS = 6
MOST_NAMES = 10_000
MOST_OPTIONS = 6
# A root that belongs to no level, about which nothing is decided.
_UNDECIDED = {"decision": "reject", "value": None, "risk": None, "origin": None, "basis": None}


@dataclass(frozen=True)
class Explanation:
    """Why an item got its label. facts: JSON values; as text it fits a terminal of 90 columns."""

    facts: Mapping[str, Any]

    def __str__(self) -> str:
        return worded(self.facts)


def explain(
    samples: str | Path | Iterable[str | Path] | Iterable[Mapping[str, Any]],
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
    base = knowledge if isinstance(knowledge, Knowledge) else read_knowledge(knowledge)
    samples = samples if isinstance(samples, str | Path) else list(samples)  # type: ignore[assignment]
    session = Session.open(base, population, seed)
    if not in_order:
        session = on_samples(session, samples)
    return explained(session, samples, item, in_order=in_order, seed=seed)


def explained(
    session: Session,
    samples: str | Path | Iterable[str | Path] | Iterable[Mapping[str, Any]],
    item: str,
    *,
    in_order: bool = False,
    seed: int = 0,
) -> Explanation:
    """Explain one item among samples, in a session that is ready."""
    session = mark_off_policy(session, samples)
    met: list[str] = []
    for answers in batches(samples, session.network.knowledge, in_order=in_order):
        if item in answers.items:
            place = answers.items.index(item)
            return Explanation(facts_of(session, answers.part(place, place + 1), seed))
        met += answers.items[: MOST_NAMES - len(met)]
    raise SekeError(f"no item is called {item!r}{did_you_mean(item, met)}")


def facts_of(session: Session, one: Answers, seed: int = 0) -> Facts:
    """Return all facts about one item's label."""
    inference = session.inference
    base = session.network.knowledge
    (record,) = session.records(one)
    at_odds = diagnose(inference, one, inference.posterior(one)).at_odds[0]
    weights, sensitivity = weigh_parts(inference, one), Sensitivity(inference, one)
    read = bool(len(one.reading_item))
    facts: Facts = _rounded(
        {
            "item": one.items[0],
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
                    "observer": one.observer,
                    "question": one.question,
                    "view": one.view,
                    "said": one.said,
                    **vars(one.weight),
                }
                for one in weights.readings
            ],
            "variables": _variables(base, weights),
            "rules": [_pull(base, pull) for pull in sensitivity.pulls()] if read else [],
            "least_pull": sensitivity.least_pull,
            "conflict": _conflict(session, record, weights, at_odds),
            "next": _next(session, one, record, seed) if read else {"why": "unread"},
            "numbers": [_flip(base, flip) for flip in sensitivity.flips()],
            "farthest": sensitivity.farthest,
        }
    )
    return facts


def _decision(base: Knowledge, record: Facts, weights: Weights) -> Facts:
    """Return what is decided about the root, on what that rests, and which limit it is held against."""
    policy, variable = base.policy, base.variables[base.root]
    level = record["decision"]["levels"].get(base.root, _UNDECIDED)
    promised = record["decision"].get("guarantee")
    held = promised is not None and promised["holds"]
    limit = policy.limits.get(base.root)
    highest = dict(zip(variable.values, policy.highest_risks(variable), strict=True)) if limit else {}
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
        "item": record["decision"]["item"],
        "reasons": record["decision"]["reasons"],
    }


def _state(value: Any) -> Any:
    """Return a decided value as its state is called: of a binary variable true and false."""
    return str(value).lower() if isinstance(value, bool) else value


def _prior(session: Session, weights: Weights) -> Facts:
    population = session.network.knowledge.populations[session.inference.population]
    return {
        "population": population.name,
        "p": dict(weights.prior),
        "bits": weights.prior_bits,
        **_cited(session.network.knowledge, population),
    }


def _cited(base: Knowledge, declared: Any) -> Facts:
    """Return where a declared value stands, and its source."""
    source = base.sources.get(declared.source)
    return {
        "place": str(declared.place),
        "source": declared.source,
        "cite": source.cite if source else declared.note,
    }


def _variables(base: Knowledge, weights: Weights) -> list[Facts]:
    return [
        {
            "variable": one.variable,
            "said": one.said,
            **vars(one.weight),
            "given": one.given,
            "declared": {state: _cited(base, cited) for state, cited in one.declared.items()},
        }
        for one in sorted(weights.variables, key=lambda one: -abs(one.weight.bits))
    ]


def _pull(base: Knowledge, pull: Pull) -> Facts:
    kind = "rule" if pull.declared in base.rules else "coupling"
    return {
        "kind": kind,
        "name": pull.declared.name,
        "statement": pull.declared.statement,
        "bits": pull.bits,
        "moved": {"variable": pull.moved, "without": pull.without, "with": pull.with_it},
        "violated": pull.violated,
        **_cited(base, pull.declared),
    }


def _conflict(session: Session, record: Facts, weights: Weights, at_odds: str) -> Facts:
    """Return how far readings contradict one another; at_odds: the observer most so."""
    base = session.network.knowledge
    names = [f"{one.observer}, {one.question}, {one.view}" for one in weights.readings]
    places = {rule.name: str(rule.place) for rule in base.rules}
    pairs = [
        {"one": names[pair.one], "other": names[pair.other], "bits": pair.bits}
        for pair in sorted(weights.pairs, key=lambda pair: -pair.bits)
    ]
    return {
        "bits": record["diagnostics"]["conflict_bits"],
        "probability": record["diagnostics"]["conflict"],
        "least": base.policy.conflict,
        "at_odds": at_odds,
        "pairs": pairs,
        "violations": [{**one, "place": places[one["rule"]]} for one in record["diagnostics"]["violations"]],
    }


def _next(session: Session, one: Answers, record: Facts, seed: int) -> Facts:
    """Return what would be asked, why or why not, and what its answers would change."""
    base = session.network.knowledge
    exact = Preposterior(session.inference, seed)
    options = exact.options(one, 0)
    quick = record["decision"]["next"]
    keys = ("observer", "question", "about", "view", "samples")
    chosen = next((o for o in options if quick and all(getattr(o, k) == quick[k] for k in keys)), None)
    best = chosen or next(iter(options), None)
    shown: dict[tuple[Any, ...], Option] = {}
    for option in options:
        shown.setdefault((option.observer, option.question, option.about, option.view), option)
    return {
        "why": _why(base, one, record, options, chosen),
        "budget": base.policy.budget,
        "asked": _option(best) if best else None,
        "quick_gain": quick["gain"] if quick else None,
        "outcomes": [_outcome(base, session, o) for o in exact.outcomes(one, 0, best)] if best else [],
        "options": [_option(o) for o in shown.values() if o is not best][:MOST_OPTIONS],
    }


def _why(
    base: Knowledge, one: Answers, record: Facts, options: tuple[Option, ...], chosen: Option | None
) -> str:
    """Return which sentence tells why something is asked or nothing is."""
    if chosen is not None:
        return "ask" if chosen.rate > 1 else "doubtful"
    levels = record["decision"]["levels"]
    if all(level["decision"] == "accept" for name, level in levels.items() if base.policy.worth[name] > 0):
        return "settled"
    if one.asked[0] >= base.policy.budget:
        return "budget"
    if not options:
        return "none"
    return "overlooked" if options[0].rate > 1 else "nothing"


def _option(option: Option) -> Facts:
    return {**vars(option), "rate": option.rate}


def _outcome(base: Knowledge, session: Session, outcome: Outcome) -> Facts:
    states = session.network.root_states
    p = dict(zip(states, outcome.root.tolist(), strict=True))
    label = max(p, key=lambda state: p[state])
    return {
        "variable": outcome.variable,
        "said": outcome.said,
        "probability": outcome.probability,
        "label": label,
        "p": p[label],
        "accepted": 1 - p[label] <= (base.policy.highest_risk(base.variables[base.root]) or 0.0),
    }


def _flip(base: Knowledge, flip: Flip) -> Facts:
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
        **_cited(base, number),
    }


def _rounded(value: Any) -> Any:
    """Return the facts as plain JSON values, numbers rounded."""
    if isinstance(value, float):
        return round(value, DIGITS) + 0.0
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if hasattr(value, "items"):
        return _rounded(dict(value))
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value
