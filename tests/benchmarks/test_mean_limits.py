"""Limits of the mean on a real observer, with the loop closed: what is accepted errs no more than promised.

    pytest tests/benchmarks/test_mean_limits.py -m slow -s

Ten answers of an ensemble of three expression networks about each of 56 posed faces of six people
(../shared/data/network_draws.jsonl). Two people are left out in each of 15 splits. The others' faces, five
draws of each, calibrate the shipped base (`seke.calibrate`, population learned), whose policy has a limit of
the mean; the thresholds that keep it are found on these faces and frozen in the section `fits`. Then the
faces left out are decided with them after 3, 5 and 10 draws, and as the policy asks (its own thresholds, up
to ten draws). Beside these, in the same run: limits of each risk on the same fit, and plain rules: K of N
draws agree. The base's only question is the one that was put, with the shipped prices of a first and a
further answer.

The policy and five draws of each are compared at equal coverage and error: the policy asks under each of
POLICY_LIMITS and WORTHS, its two dials, and of the settings that accept no less at no higher price, with at
most MOST_ANSWERS of the answers, the one that errs least is taken; it may err EQUAL more. One face is .02 of
those accepted here; test_asking_skill.py holds the same on thousands of faces.

Figures are pooled over splits, in which each face stands several times; the standard error of an error is a
jackknife over people. A limit of the mean that finds too few faces to keep it on caps each risk instead.
"""

from __future__ import annotations

import csv
import itertools
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import seke
from engine import Answers
from seke.annotation.stopping_rules import rule_of
from seke.inference.session import Session
from seke.samples import answers_from, single_samples
from seke.sampling.answerers import RecordedSource
from seke.sampling.loop import Loop, run_to_completion

DATA = Path(__file__).parents[3] / "shared" / "data"
BUDGET, LEARNED_DRAWS, SPLITS = 10, 5, 15
NUMBERS = (3, 5, 10)
LIMITS = (0.05, 0.1)
RULES = ("agree:4/5", "agree:7/10", "agree:8/10")
# How much the error of what is accepted may exceed its limit.
TOLERANCE = 0.03
# Settings of the policy that are compared with five draws of each: limits of each risk, and what an accepted
# expression is worth (the first is the shipped worth).
POLICY_LIMITS, WORTHS = (0.05, 0.06, 0.07, 0.08, 0.1), (20, 5, 2)
# What the policy may use of the answers of five draws of each, and how much error counts as equal, in shares.
MOST_ANSWERS, EQUAL = 0.75, 0.02
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DATA / "network_draws.jsonl").exists(), reason="the data are not here"),
]

BASE = """
extends: shipped
remove: [questions.joint, questions.affect, questions.action_units, questions.verify]
policy:
  source: judgement
  note: For a benchmark.
  required: [expression]
  limits: {{expression: {{mean: {limit}}}}}
  budget: {budget}
  ask: generic-vlm
"""


@dataclass(frozen=True)
class Outcome:
    """What a way of deciding makes of N faces: (N,) each. cost: in the unit of the questions' cost."""

    person: np.ndarray
    accepted: np.ndarray
    right: np.ndarray
    risk: np.ndarray
    answers: np.ndarray
    cost: np.ndarray

    @classmethod
    def pooled(cls, parts):
        return cls(*(np.concatenate([getattr(part, key) for part in parts]) for key in cls.__annotations__))

    @property
    def coverage(self):
        return self.accepted.mean()

    @property
    def error(self):
        return (~self.right)[self.accepted].mean() if self.accepted.any() else 0.0

    @property
    def error_se(self):
        """The standard error of the error, people left out one at a time."""
        people = sorted(set(self.person[self.accepted]))
        if len(people) < 2:
            return float("nan")
        errors = [(~self.right)[self.accepted & (self.person != person)].mean() for person in people]
        return np.sqrt((len(people) - 1) * np.var(errors))

    def line(self, title):
        stated = self.risk[self.accepted].mean() if self.accepted.any() else float("nan")
        return (
            f"{title:20} accepted {self.coverage:.3f}, wrong {self.error:.3f} ± {self.error_se:.3f}, stated "
            f"{stated:.3f}; {self.answers.mean():5.2f} answers, cost {self.cost.mean():.3f}"
        )


def difference_se(policy, fixed):
    """The standard error of the difference of two errors, people left out one at a time."""
    people = sorted(set(policy.person))
    differences = [
        np.subtract(*((~way.right)[way.accepted & (way.person != person)].mean() for way in (policy, fixed)))
        for person in people
    ]
    return np.sqrt((len(people) - 1) * np.var(differences))


@pytest.fixture(scope="module")
def samples():
    return list(map(json.loads, (DATA / "network_draws.jsonl").read_text().splitlines()))


@pytest.fixture(scope="module")
def gold():
    with (DATA / "network_draws_gold.csv").open(newline="") as file:
        return {row["item"]: row for row in csv.DictReader(file)}


class Split:
    """The faces of two people, decided by fits to those of the others."""

    def __init__(self, samples, gold, tested):
        self.gold, self.tested = gold, tested
        inside = [gold[sample["item"]]["group"] in tested for sample in samples]
        self.rest = [sample for sample, chosen in zip(samples, inside, strict=True) if chosen]
        self.learned = [
            sample
            for sample, chosen in zip(samples, inside, strict=True)
            if not chosen and sample["draw"] < LEARNED_DRAWS
        ]

    def session(self, limit, folder):
        """Calibrate with a limit of the mean, and return a session with the overlay as it is read."""
        base, overlay = folder / f"base-{limit}.yaml", folder / f"fit-{'-'.join(self.tested)}-{limit}.yaml"
        base.write_text(BASE.format(limit=limit, budget=BUDGET))
        items = dict.fromkeys(sample["item"] for sample in self.learned)
        labels = [{"item": item, "expression": self.gold[item]["expression"]} for item in items]
        fit = seke.calibrate(self.learned, base, labels, output=overlay, learn_population=True)
        overlay.write_text(fit.overlay)
        return Session.open(seke.knowledge(overlay))

    def outcome(self, session, items, level, answers, cost):
        states = session.knowledge.variables["expression"].states
        value = np.array([states[int(index)] for index in level.value])
        right = value == np.array([self.gold[item]["expression"] for item in items])
        person = np.array([self.gold[item]["group"] for item in items])
        return Outcome(person, level.accepted, right, level.risk, answers, cost)

    def fixed(self, session, draws):
        used = [sample for sample in self.rest if sample["draw"] < draws]
        answers = Answers.stacked(list(answers_from(used, session.knowledge)))
        price = session.knowledge.questions["expression"].price(draws)
        counts = np.full(len(answers.items), draws)
        level = session.levels(answers)["expression"]
        return self.outcome(session, answers.items, level, counts, price + 0.0 * counts)

    def policy(self, session):
        source = RecordedSource(single_samples(self.rest, session.knowledge))
        standing = run_to_completion(Loop(session.asking()), source.items, source)
        level = standing.decisions.levels["expression"]
        return self.outcome(session, source.items, level, standing.calls, standing.cost)

    def agreeing(self, name, question):
        """Faces asked by a plain rule, accepted where so many draws have the leading label; no risks."""
        wanted = int(name.removeprefix("agree:").split("/")[0])
        rule, rows = rule_of(name, BUDGET), []
        for item in dict.fromkeys(sample["item"] for sample in self.rest):
            drawn = [sample["expression"][0] for sample in self.rest if sample["item"] == item]
            count, cost = 0, 0.0
            while further := rule(drawn[:count]):
                count, cost = count + further, cost + question.price(further)
            votes = drawn[:count]
            leader = max(votes, key=votes.count)
            accepted, right = votes.count(leader) >= wanted, leader == self.gold[item]["expression"]
            rows.append((self.gold[item]["group"], accepted, right, np.nan, count, cost))
        return Outcome(*map(np.array, zip(*rows, strict=True)))


def of_each(session, limit, worth=WORTHS[0]):
    """The same fit with a limit of each risk, and another worth of an accepted expression."""
    policy = session.knowledge.policy
    limits = {**policy.limits, "expression": limit}
    worth = {**policy.worth, "expression": worth}
    means = policy.mean_limits - {"expression"}
    caps = {"thresholds": {}, "adaptive_thresholds": {}, "adaptive_aims": {}}
    return session.under(replace(policy, limits=limits, mean_limits=means, worth=worth, **caps))


@pytest.fixture(scope="module")
def outcomes(samples, gold, tmp_path_factory):
    """(limit's kind, limit, way of asking) -> outcome of all splits.

    Plain rules stand under ("rule", 0, name), the policy's settings under ("setting", limit, worth).
    """
    folder = tmp_path_factory.mktemp("overlays")
    people = sorted({row["group"] for row in gold.values()})
    parts, without = {}, {}
    for tested in itertools.islice(itertools.combinations(people, 2), SPLITS):
        split = Split(samples, gold, tested)
        for limit in LIMITS:
            session = split.session(limit, folder)
            policy = session.knowledge.policy
            for name, thresholds in (("fixed", policy.thresholds), ("policy", policy.adaptive_thresholds)):
                without[limit, name] = without.get((limit, name), 0) + ("expression" not in thresholds)
            for kind, chosen in (("mean", session), ("each", of_each(session, limit))):
                for draws in NUMBERS:
                    parts.setdefault((kind, limit, f"fixed:{draws}"), []).append(split.fixed(chosen, draws))
                parts.setdefault((kind, limit, "policy"), []).append(split.policy(chosen))
        for limit, worth in itertools.product(POLICY_LIMITS, WORTHS):
            chosen = split.policy(of_each(session, limit, worth))
            parts.setdefault(("setting", limit, worth), []).append(chosen)
        for name in RULES:
            question = session.knowledge.questions["expression"]
            parts.setdefault(("rule", 0, name), []).append(split.agreeing(name, question))
    return {key: Outcome.pooled(some) for key, some in parts.items()}, without


def test_a_limit_of_the_mean_is_kept_on_other_people(outcomes, capsys):
    pooled, without = outcomes
    with capsys.disabled():
        print()
        for (kind, limit, name), outcome in pooled.items():
            print(outcome.line(name if kind == "rule" else f"{kind} {limit}, {name}"))
        for (limit, name), count in without.items():
            print(f"mean {limit}, {name}: {count} of {SPLITS} splits had too few faces for a threshold")
    faults = {
        key: f"{outcome.error:.3f}"
        for key, outcome in pooled.items()
        if key[0] == "mean" and outcome.error > key[1] + TOLERANCE
    }
    assert faults == {}
    # A limit that accepts nothing is kept, too; this one does not keep it so.
    assert all(pooled["mean", limit, "fixed:5"].coverage > 0.3 for limit in LIMITS)


def missed(kind, limit, reason):
    return pytest.param(kind, limit, marks=pytest.mark.xfail(strict=True, reason=f"missed: it {reason}"))


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        missed("mean", 0.05, "errs in .029, a face of one person, where fixed:5 errs in none"),
        missed("each", 0.05, "errs in .029, a face of one person, where fixed:5 errs in none"),
        missed(
            "mean", 0.1, "errs in .036 where fixed:5 errs in .004 (standard error of the difference .027)"
        ),
        ("each", 0.1),
    ],
)
def test_the_policy_is_no_dearer_than_five_draws_of_each(outcomes, kind, limit, capsys):
    pooled, _ = outcomes
    fixed = pooled[kind, limit, "fixed:5"]
    cheaper = {
        key: policy
        for key, policy in pooled.items()
        if key[0] == "setting" and policy.coverage >= fixed.coverage
        if policy.cost.mean() <= fixed.cost.mean()
        if policy.answers.mean() <= MOST_ANSWERS * fixed.answers.mean()
    }
    assert cheaper
    (_, used, worth), policy = min(cheaper.items(), key=lambda setting: setting[1].error)
    share, price = (
        policy.answers.mean() / fixed.answers.mean(),
        policy.cost.mean() / fixed.cost.mean(),
    )
    with capsys.disabled():
        print(
            f"\n{kind} {limit}: the policy (each {used}, worth {worth}) uses {share:.2f} of fixed:5's "
            f"answers at {price:.2f} of its cost; accepted {policy.coverage:.3f} against "
            f"{fixed.coverage:.3f}, wrong {policy.error:.3f} against {fixed.error:.3f}, "
            f"difference ± {difference_se(policy, fixed):.3f}"
        )
    assert policy.error <= fixed.error + EQUAL
