"""The policy beside five draws of each, on simulated observers of known skill: cheaper for the same?

    pytest tests/benchmarks/test_asking_skill.py -m slow -s

Observers are those of test_simulated_skill: around a table that the base does not declare. GOLD faces with
five draws each calibrate (`seke.calibrate`, population learned). Then TESTED others are decided under a limit
of each risk after five draws, and as the policy asks them, up to ten draws; a request costs FIRST, each
further answer of it FURTHER, as the shipped question about the expression does.

They are compared at equal coverage and error. The policy has two dials, its limit and what an accepted face
is worth; it asks under each of POLICY_LIMITS and WORTHS. Of the settings that accept no less than five draws
of each do, at no higher price and with at most MOST_ANSWERS of the answers, the one that errs least is taken;
it may err EQUAL more. Errors are shares of what is accepted, pooled over observers, with the standard error
between them. Of skill .3 so little is accepted that there is nothing to compare.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest
from test_simulated_skill import DATA, LEARNED_DRAWS, STATES, populations, samples, simulated, write_base

import seke
from engine import Answers
from seke.inference.session import Session
from seke.samples import answers_from, single_samples
from seke.sampling.answerers import RecordedSource
from seke.sampling.loop import Loop, run_to_completion

SKILLS, GOLD, LIMITS = (0.6, 0.9), (56, 156), (0.05, 0.1)
TESTED, BUDGET, SEEDS = 400, 10, 8
FIRST, FURTHER = 0.4, 0.06
POLICY_LIMITS, WORTHS = (0.04, 0.05, 0.06, 0.07, 0.08, 0.1), (20, 5, 2, 1.5, 1.2)
# How much error counts as equal, and what share of the answers of five draws of each the policy may use.
EQUAL, MOST_ANSWERS = 0.02, 0.75
FIXED = "five draws of each"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here"),
]


@dataclass(frozen=True)
class Outcome:
    """Means over the faces of one observer: accepted, accepted and wrong, answers, and price."""

    coverage: float
    wrong: float
    answers: float
    price: float

    @classmethod
    def of(cls, items, level, truth, answers, price):
        right = level.value.astype(int) == truth[np.array(items, dtype=int)]
        wrong = level.accepted & ~right
        return cls(level.accepted.mean(), wrong.mean(), np.mean(answers), np.mean(price))


def pooled(outcomes):
    """Coverage, error, answers and price over observers; and each one's part in the error's spread."""
    coverage, wrong, answers, price = np.array([list(vars(outcome).values()) for outcome in outcomes]).T
    error = wrong.sum() / max(coverage.sum(), 1e-12)
    parts = (wrong - error * coverage) / max(coverage.mean(), 1e-12)
    return coverage.mean(), error, answers.mean(), price.mean(), parts


def opened(skill, shares, size, seed, folder):
    """A session with the fit to one observer's gold, the others' truth, and their samples."""
    path = write_base(folder, "other set")
    text = path.read_text().replace("cost: 1,", f"cost: {FIRST}, further: {FURTHER},")
    path.write_text(text.replace("batches: [1]", "batches: [1, 2, 4, 8]"))
    rng = np.random.default_rng([seed, round(100 * skill)])
    truth, draws = simulated(skill, shares, TESTED + size, BUDGET, rng)
    known, overlay = range(TESTED, TESTED + size), folder / "fit.yaml"
    labels = [{"item": f"{face:05d}", "expression": STATES[truth[face]]} for face in known]
    learned = list(samples(draws, known, LEARNED_DRAWS))
    fit = seke.calibrate(learned, path, labels, learn_population=True, output=overlay)
    overlay.write_text(fit.overlay)
    rows = list(samples(draws, range(TESTED), BUDGET))
    return Session.open(seke.knowledge(overlay)), truth, rows


def outcomes_of(session, truth, rows):
    """Yield (limit, way of asking) and the Outcome: five draws of each, and the policy by its worth."""
    base = session.knowledge
    single = single_samples(rows, base)
    five = Answers.stacked(list(answers_from([row for row in rows if row["draw"] < 5], base)))
    price = FIRST + 4 * FURTHER
    for limit in LIMITS:
        policy = replace(base.policy, limits={"expression": limit})
        level = session.under(policy).levels(five)["expression"]
        yield (limit, FIXED), Outcome.of(five.items, level, truth, 5, price)
    for limit, worth in itertools.product(POLICY_LIMITS, WORTHS):
        policy = replace(base.policy, limits={"expression": limit}, worth={"expression": worth})
        source = RecordedSource(single)
        standing = run_to_completion(Loop(session.under(policy).asking()), source.items, source)
        level = standing.decisions.levels["expression"]
        yield (limit, worth), Outcome.of(source.items, level, truth, standing.calls, standing.cost)


def best_setting(outcomes, limit):
    """The setting of the policy that errs least of those that accept and cost what five draws of each do."""
    coverage, _, answers, price, _ = pooled(outcomes[limit, FIXED])
    cheaper = {}
    for key, ways in outcomes.items():
        if key[1] != FIXED:
            accepted, error, used, cost, _ = pooled(ways)
            if accepted >= coverage and cost <= price and used <= MOST_ANSWERS * answers:
                cheaper[key] = error
    return min(cheaper, key=cheaper.get, default=None)


@pytest.mark.parametrize("size", GOLD)
@pytest.mark.parametrize("population", ["balanced", "in the wild"])
@pytest.mark.parametrize("skill", SKILLS)
def test_the_policy_is_cheaper_than_five_draws_of_each(skill, population, size, tmp_path, capsys):
    outcomes = {}
    for seed in range(SEEDS):
        session, truth, rows = opened(skill, populations()[population], size, seed, tmp_path)
        for key, outcome in outcomes_of(session, truth, rows):
            outcomes.setdefault(key, []).append(outcome)
    lines, faults = [f"  skill {skill}, {population}, gold {size}, {SEEDS} observers"], []
    for limit in LIMITS:
        key = best_setting(outcomes, limit)
        assert key is not None
        coverage, error, answers, price, parts = pooled(outcomes[limit, FIXED])
        ours = pooled(outcomes[key])
        difference_se = np.std(ours[-1] - parts, ddof=1) / np.sqrt(len(parts))
        lines.append(
            f"    each {limit}: the policy (each {key[0]}, worth {key[1]}) uses {ours[2] / answers:.2f} of "
            f"the answers at {ours[3] / price:.2f} of the price; accepted {ours[0]:.3f} against "
            f"{coverage:.3f}, wrong {ours[1]:.3f} against {error:.3f}, difference ± {difference_se:.3f}"
        )
        if ours[1] > error + EQUAL:
            faults.append(lines[-1])
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert faults == []
