"""Is the promise kept? Calibrated again and again on made-up items, of which all errors are known.

    pytest tests/benchmarks/test_guarantee.py -m slow -s

A large set of items is the population; each of 300 splits draws its gold from it with replacement, so that
the true share of errors at any threshold is known exactly. What is decided about them is overconfident on
purpose: each answer shows the truth with noise and with an error of the item that all its answers share (or
all answers about its subject), and the posterior knows nothing of that error. A promise is broken in a split
where any certified value errs more than alpha; that may be in at most delta of the splits, and what is
asserted is that this is not rejected at one in a thousand.

For contrast thresholds chosen without a test: the loosest at which the gold at hand errs at most alpha.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import binomtest

from engine import Basis, Design, Gold, LevelDecision, Origin, Policy, Variable, certify, split
from engine.model.guarantee import PARTS
from engine.model.knowledge import Knowledge

SPLITS, DELTA = 300, 0.1
ALPHAS = (0.1, 0.05, 0.02)
REJECTED = 1e-3
DESIGN = Design(adaptive=False, least=1, most=1, readings=())


@dataclass(frozen=True)
class Population:
    """Items: variable -> value (N,), risk (N,), truth (N,); subject (N,), or each its own."""

    base: Knowledge
    value: dict[str, np.ndarray]
    risk: dict[str, np.ndarray]
    truth: dict[str, np.ndarray]
    subject: np.ndarray | None = None

    def drawn(self, count, rng):
        """Draw items, or with subjects so many of them whole: places in the population, and new subjects."""
        if self.subject is None:
            return rng.integers(0, len(next(iter(self.risk.values()))), count), None
        size = int((self.subject == 0).sum())
        chosen = rng.integers(0, self.subject.max() + 1, count)
        return (chosen[:, None] * size + np.arange(size)).ravel(), np.repeat(np.arange(count), size)

    def error(self, name, value, threshold, *, by_subject):
        """Return the true share of errors at a threshold: of items, or of a random one of each subject."""
        accepted = (self.risk[name] <= threshold) & (self.value[name] == value)
        wrong = accepted & (self.truth[name] != value)
        if not by_subject:
            return wrong.sum() / max(accepted.sum(), 1)
        accepted_of_subject = np.bincount(self.subject, accepted)
        return (
            np.bincount(self.subject, wrong)[accepted_of_subject > 0]
            / accepted_of_subject[accepted_of_subject > 0]
        ).mean()


def base_of(variables):
    names = {variable.name: variable for variable in variables}
    empty = ({}, {"all": tuple(names)}, variables[0].name, "here", {}, {}, (), (), (), (), {}, {})
    return Knowledge("made", "", {}, names, *empty, Policy(), "", dict.fromkeys(PARTS, "0"))


def answered(rng, shape, states, draws, sharing, subject=None, misled=0.0, limit=None):
    """Decide (items, variables) of so many states; with a limit, ask until the risk is under it."""
    truth = rng.integers(0, states, shape)
    if subject is None:
        shared = sharing * rng.standard_normal((*shape, states))
    else:  # Some subjects mislead about all their items.
        misleads = rng.random(subject.max() + 1) < misled
        shared = (sharing * misleads[:, None] * rng.standard_normal((len(misleads), states)))[subject][
            :, None
        ]
    signal = np.eye(states)[truth] + shared
    total = np.zeros((*shape, states))
    value, risk, going = np.zeros(shape, int), np.ones(shape), np.ones(shape, bool)
    for _ in range(draws):
        total += going[..., None] * (signal + rng.normal(0, 1.2, total.shape))
        p = np.exp(total / 1.2**2 - (total / 1.2**2).max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        value, risk = p.argmax(-1), p.sum(-1) - p.max(-1)
        going = risk > limit if limit is not None else going
    return truth, value, risk


def population(kind, rng):
    if kind == "twenty levels":
        variables = [Variable(f"v{i}", "binary", ("false", "true"), "") for i in range(20)]
        truth_and_answers = answered(rng, (40_000, 20), 2, 8, 0.4)
    else:
        variables = [Variable("v0", "categorical", ("a", "b", "c"), "")]
        settings = {
            "one level": {"draws": 10, "sharing": 0.35},
            "adaptive": {"draws": 12, "sharing": 0.32, "limit": 0.00002},
            "clustered": {"draws": 5, "sharing": 1.5, "misled": 0.04},
            "some mislead": {"draws": 10, "sharing": 1.5, "misled": 0.15},
        }[kind]
        clusters = "misled" in settings
        subject = np.repeat(np.arange(5_000), 12) if clusters else None
        truth_and_answers = answered(rng, (60_000, 1), 3, subject=subject, **settings)
        return _as_population(variables, truth_and_answers, subject)
    return _as_population(variables, truth_and_answers)


def _as_population(variables, columns, subject=None):
    truth, value, risk = (
        {variable.name: column[:, i].astype(float) for i, variable in enumerate(variables)}
        for column in columns
    )
    return Population(base_of(variables), value, risk, truth, subject)


@dataclass
class Outcome:
    """Of all splits: in how many a promise was broken; the certified values; the share of items accepted."""

    broken: int = 0
    certified: int = 0
    accepted: float = 0.0


def _looked_at(value, risk):
    """Return decisions about a variable that was looked at in every item."""
    count = len(risk)
    every, none = np.ones(count, bool), np.zeros(count, bool)
    ground = np.full(count, Origin.SEEN, np.int8), none, np.full(count, Basis.DECLARED, np.int8)
    return LevelDecision(none, np.array(value, float), risk, every, *ground)


def certified_splits(people, count, alpha, rng, *, by_subject):
    """Certify in every split and look up the true errors; without by_subject, subjects are passed over."""
    outcome = Outcome()
    for _ in range(SPLITS):
        places, groups = people.drawn(count, rng)
        risk = {name: column[places] for name, column in people.risk.items()}
        levels = {name: _looked_at(people.value[name][places], risk[name]) for name in risk}
        gold = Gold({name: column[places] for name, column in people.truth.items()})
        groups = groups if by_subject else None
        guarantee = certify(
            people.base,
            levels,
            np.ones(len(places), bool),
            gold,
            split(len(places), groups, 1 / 3, rng),
            alpha=alpha,
            delta=DELTA,
            population="here",
            design=DESIGN,
            made="2025-11-25",
            groups=groups,
            rng=rng,
        )
        wrong = False
        for certificate in guarantee.certified:
            value = people.base.variables[certificate.variable].states.index(certificate.value)
            wrong |= (
                people.error(certificate.variable, value, certificate.threshold, by_subject=by_subject)
                > alpha
            )
            outcome.accepted += (
                certificate.coverage * certificate.predicted / (guarantee.items * len(levels)) / SPLITS
            )
        outcome.broken += wrong
        outcome.certified += len(guarantee.certified)
    return outcome


def naive_splits(people, count, alpha, rng):
    """Take the loosest threshold at which the gold at hand errs at most alpha; no split, no test."""
    broken = 0
    for _ in range(SPLITS):
        places, _ = people.drawn(count, rng)
        wrong = False
        for name in people.risk:
            value, risk, truth = (part[name][places] for part in (people.value, people.risk, people.truth))
            for state in range(len(people.base.variables[name].states)):
                order = np.argsort(np.where(value == state, risk, np.inf))[: (value == state).sum()]
                errors = np.cumsum(truth[order] != state)
                within = np.flatnonzero(errors <= alpha * np.arange(1, len(order) + 1))
                if len(within):
                    threshold = risk[order[within[-1]]]
                    wrong |= people.error(name, state, threshold, by_subject=False) > alpha
        broken += wrong
    return broken


CASES = {"one level": 3_000, "twenty levels": 3_000, "adaptive": 6_000, "clustered": 900}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CASES)
def test_the_promise_is_kept(kind):
    rng = np.random.default_rng(20)
    people = population(kind, rng)
    print(f"\n{kind}: {CASES[kind]} of gold, {SPLITS} splits, delta {DELTA}")
    print("alpha  broken  values certified  items accepted  naive broken")
    for alpha in ALPHAS:
        outcome = certified_splits(people, CASES[kind], alpha, rng, by_subject=kind == "clustered")
        naive = naive_splits(people, CASES[kind], alpha, rng)
        print(
            f"{alpha:5.2f} {outcome.broken / SPLITS:7.3f} {outcome.certified / SPLITS:17.2f} "
            f"{outcome.accepted:15.3f} {naive / SPLITS:13.2f}"
        )
        assert binomtest(outcome.broken, SPLITS, DELTA, "greater").pvalue > REJECTED
        assert naive > 0.5 * SPLITS
        # A guarantee that certifies nothing is never broken.
        assert outcome.certified > SPLITS / 10


@pytest.mark.slow
def test_whoever_passes_over_the_subjects_breaks_it():
    rng = np.random.default_rng(21)
    people, alpha = population("some mislead", rng), 0.1
    print("\nsubjects of 12 items, some of whom mislead about all of theirs, alpha 0.1")
    print("subjects  broken, each item for itself  one of each subject  values certified")
    for count in (60, 120, 240):
        items, subjects = (certified_splits(people, count, alpha, rng, by_subject=by) for by in (False, True))
        print(
            f"{count:8} {items.broken / SPLITS:29.3f} {subjects.broken / SPLITS:20.3f} "
            f"{subjects.certified / SPLITS:17.2f}"
        )
        assert binomtest(items.broken, SPLITS, DELTA, "greater").pvalue < REJECTED
        assert binomtest(subjects.broken, SPLITS, DELTA, "greater").pvalue > REJECTED
    assert subjects.certified > SPLITS / 10
