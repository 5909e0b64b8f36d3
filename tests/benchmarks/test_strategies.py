"""What the policy asks for an accepted item, beside baselines, at equal error.

    pytest tests/benchmarks/test_strategies.py -m slow -s

Items and answers are made up from the shipped base. Every strategy of `seke annotate` sees the same answers
and infers with the same base; only what it asks for is its own: five joint answers of every item, joint
answers until the labels agree (Adaptive-Consistency, arXiv 2305.11860; early-stopping self-consistency, arXiv
2401.10480; at most the budget), or what the policy asks. The policy accepts by its limits. The others have a
curve of answers for an accepted item against the share of accepted items with a required value wrong, by
limits that are scaled, and by a limit of the risk that anything required is wrong; the better one is read
where the policy errs. Required are the expression and affect, as shipped, or the expression alone. The
observers are as declared, and otherwise in five ways.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_asking import misspecified

import seke
from engine import Inference, Misfit, all_required, compiled, prior_truth
from seke.annotation.stopping_rules import rule_of
from seke.inference.session import Session
from seke.planning.plan import gold_of, wrong_of
from seke.sampling.answerers import SimulatedSource
from seke.sampling.loop import Loop, Request, run_to_completion

pytestmark = pytest.mark.slow
ITEMS, SEED = 1500, 3
FACTORS = np.geomspace(0.02, 3.5, 120)
RISKS = np.geomspace(0.001, 0.9, 120)
RULES = ("fixed:5", "agree:4/5", "adaptive-consistency", "esc")
WORLDS = {
    "as declared": {},
    "errs and repeats itself more, twice the halo": {"other": True},
    "halo .6": {"misfit": Misfit(halo=0.6)},
    "independent draws": {"misfit": Misfit(independent=True)},
    "a third of the answers drift to anything": {"misfit": Misfit(drift=0.33)},
    "truth in the wild": {"population": "in-the-wild"},
}


class World:
    """Items of known truth, and who answers about them, perhaps otherwise than declared."""

    def __init__(self, required, other=False, misfit=None, population=None):
        base = seke.knowledge()
        if required != base.policy.required:
            inside = {name for level in required for name in base.levels[level]}
            worth = {name: value * (name in inside) for name, value in base.policy.worth.items()}
            base = replace(base, policy=replace(base.policy, required=required, worth=worth))
        self.session = Session.open(base)
        self.base = self.session.knowledge
        nature = self.session.inference
        if population:
            nature = Inference(self.session.network, self.base, population)
        self.names = [f"i{i}" for i in range(ITEMS)]
        truth = prior_truth(nature, ITEMS, np.random.default_rng([SEED, 1]))
        self.gold = gold_of(self.base, truth, np.random.default_rng([SEED, 2]))
        answering = self.session.inference
        if other:
            other_base = misspecified(self.base)
            answering = Inference(compiled(other_base, None), other_base)
        self.source = SimulatedSource(answering, self.names, truth, SEED, *([misfit] if misfit else []))

    def wrong(self, levels):
        """Which items have a required value wrong."""
        variables, policy = self.base.variables, self.base.policy
        slips = {
            name: wrong_of(variables[name], level.value, self.gold.values[name], policy)
            for name, level in levels.items()
        }
        return ~all_required(self.base, {name: ~is_wrong for name, is_wrong in slips.items()})

    def policy(self):
        """The policy's point."""
        standing = run_to_completion(Loop(self.session), self.names, self.source)
        accepted = np.array([decision == "accept" for decision in standing.decisions.item])
        slips = self.wrong(standing.decisions.levels) & accepted
        return point(accepted, slips, standing.calls.sum(), standing.cost.sum())

    def rule(self, name):
        """Two curves of a rule, which asks the same whatever is accepted then."""
        policy, budget = self.base.policy, self.base.policy.budget
        rule = rule_of(name, budget)
        draws = self.source.ask(self._requests(np.full(ITEMS, budget)))
        words = self.base.observers[policy.ask].labels[self.base.root].answers
        labels = np.array(words)[draws.labels[self.base.root].answer.reshape(ITEMS, budget)].tolist()
        counts, cost = np.zeros(ITEMS, dtype=int), 0.0
        for i, item_labels in enumerate(labels):
            while more := rule(item_labels[: counts[i]]):
                counts[i] += more
                cost += self.base.questions["joint"].price(more)
        answers = self.source.ask(self._requests(counts))
        worth = dict.fromkeys(policy.worth, 0.0)
        judged = self.session.under(replace(policy, worth=worth)).judge(answers)
        levels = judged.decisions.levels
        slip = self.wrong(levels)
        agreed = judged.diagnostics.conflict >= policy.conflict
        required = [name for level in policy.required for name in self.base.levels[level]]
        risk = 1 - np.prod([1 - levels[name].risk for name in required], axis=0)
        ways = [
            all_required(
                self.base, {n: level.risk <= policy.limits[n] * factor for n, level in levels.items()}
            )
            for factor in FACTORS
        ]
        for accepted_by_setting in (ways, [risk <= limit for limit in RISKS]):
            yield [
                point(within & agreed, slip & within & agreed, counts.sum(), cost)
                for within in accepted_by_setting
            ]

    def _requests(self, counts):
        line = self.base.policy.ask, "joint", None, "face"
        return [Request(name, *line, 0, int(n)) for name, n in zip(self.names, counts, strict=True)]


def point(accepted, slips, calls, cost):
    """Share wrong of what is accepted; answers and cost for an accepted item; share accepted."""
    count = max(accepted.sum(), 1)
    return slips.sum() / count, calls / count, cost / count, accepted.mean()


def at(curves, error):
    """The best point of curves at an error, neighbours mixed; None where they never err so little."""
    best_points = []
    for points in curves:
        curve = np.array(sorted(point for point in points if point[3] > 0))
        # Of all settings that err at most so much the cheapest is taken: a curve that only falls.
        curve[:, 1:3] = np.minimum.accumulate(curve[:, 1:3], axis=0)
        curve[:, 3] = np.maximum.accumulate(curve[:, 3])
        if error >= curve[0, 0]:
            best_points.append([np.interp(error, curve[:, 0], column) for column in curve.T])
    return min(best_points, key=lambda best_point: best_point[1], default=None)


@pytest.mark.parametrize("required", [("expression", "affect"), ("expression",)], ids="+".join)
@pytest.mark.parametrize("name", WORLDS)
def test_answers_for_an_accepted_item_at_equal_error(name, required, capsys):
    world = World(required, **WORLDS[name])
    policy_point = world.policy()
    lines = [f"{' and '.join(required)}, {name}: the policy errs in {policy_point[0]:.1%} of what it accepts"]
    lines += [
        "                         answers and cost an accepted item   accepted   of these the policy takes"
    ]
    lines += [f"  {'policy':22} {policy_point[1]:10.2f} {policy_point[2]:10.2f} {policy_point[3]:20.1%}"]
    ratios = {}
    for rule in RULES:
        rule_point = at(world.rule(rule), policy_point[0])
        line = f"  {rule:22} errs more, however few it accepts"
        if rule_point:
            line = f"  {rule:22} {rule_point[1]:10.2f} {rule_point[2]:10.2f} {rule_point[3]:20.1%}"
            line += f"   {policy_point[1] / rule_point[1]:.2f} and {policy_point[2] / rule_point[2]:.2f}"
            ratios[rule] = policy_point[1] / rule_point[1]
        lines += [line]
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert policy_point[3] > 0
    assert all(ratio < 0.5 for ratio in ratios.values())
