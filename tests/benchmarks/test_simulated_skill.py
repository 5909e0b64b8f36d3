"""Simulated observers of known skill: is what is stated true, by number of draws and by gold?

    pytest tests/benchmarks/test_simulated_skill.py -m slow -s          # TESTED_SEEDS observers a cell
    python tests/benchmarks/test_simulated_skill.py --seeds 20          # the whole proof; 80 s of CPU a row

An observer settles on m ~ C[x, :], C = (1 - w) C0' + w I with rows Dirichlet(DEVIATION) around it; its draws
scatter by θ ~ Dirichlet(s R[m, :]), R = ρ I + (1 - ρ) H, H the confusions of m. C0' is counted from GPT-4V's
first choices on AffectNet; the base declares another table: those on SFEW ("other set"), or accuracy .5 and
nothing else ("flat"). GOLD faces with five draws each calibrate (`seke.calibrate`, population learned), and
TESTED others are inferred (`engine.Inference`) at 1, 2, 3, 5 and 10 draws. Faces are as many of each
expression or as in the shipped population `in-the-wild`.

Of each cell, pooled over observers with the standard error between them: log loss, P(likeliest) less how
often that is right, and, at five draws and a risk of at most LIMIT each, what is accepted and how much of
that is wrong. Goals: |stated - true| at most .03 (skill .3 and more) and .06 (skill 0) from 56 gold faces; of
what is accepted at most LIMIT + .03 wrong at 56 and 156.

Of 20 observers balanced and 10 in the wild ("other set"), stated - true at 5 draws with 8 / 30 / 56 / 156
gold faces, and what is accepted at 56 and how much of that is wrong:

    skill 0    +.106 +.078 +.046 +.021   0              in the wild   -.040 +.011 +.002 -.007   0
    skill .3   +.006 -.001 -.009 -.007   .021, .080                   -.107 -.062 -.021 -.017   .157, .045
    skill .6   -.065 -.020 -.022 -.003   .105, .037                   -.141 -.073 -.033 -.014   .132, .012
    skill .9   -.095 -.023 -.004 -.001   .545, .015                   -.143 -.043 -.020 -.006   .567, .013

The standard error between observers at 56 is .005 to .013; other numbers of draws differ by .01 or so, by .03
at .3 in the wild, where one draw is stated high. Missed at 56 is .03 at skill .6 in the wild (-.037 ± .011 at
ten draws), too unsure. How far the skill is below its mean, and the weight of the declared table, are chosen
by this (`engine.learning.skill`): a whole standard deviation below the mean of a uniform prior stated .040
too little at skill .6 and .041 in the wild at .9; that mean itself .062 too much at skill 0 and .015 too
little at .6.

Data: rankings published with Lian et al. 2023 (arXiv 2312.04293), in ../shared/data; skips where absent.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from small_bases import record, small_base

import seke
from engine import Inference, compile_network
from engine.inference.choice import choose
from engine.inference.simulation import propensities
from engine.model.confusion import confused_scatter
from seke.files.shipped import shipped_folder
from seke.samples import answers_from

DATA = Path(__file__).parents[3] / "shared" / "data" / "gpt4v_rankings.csv"
STATES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
SKILLS = (0.0, 0.3, 0.6, 0.9)
GOLD = (8, 30, 56, 156)
NUMBERS = (1, 2, 3, 5, 10)
LEARNED_DRAWS, TESTED = 5, 2000
# Pseudo-counts of a simulated row around (1 - w) C0' + w I, and how draws scatter.
DEVIATION, REPEAT, STRENGTH = 8.0, 0.8, 10.0
LIMIT = 0.05
TESTED_SEEDS = 4
# A goal is held against the mean over few observers: beyond it by this many standard errors is a miss.
STANDARD_ERRORS = 2.0
# Where goals are missed by the first TESTED_SEEDS observers: -.066 ± .01 at 56 faces, of twenty -.022 ± .01.
MISSED = {(0.6, "balanced")}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here"),
]

OBSERVER = """carry: 0.9
categorical:
  expression: {{{table}, repeat: 0.9, strength: 8}}"""


def counted_table(name):
    """P(first choice | label) of a set, add-one, (states, states): flat of an expression without faces."""
    counts = np.ones((len(STATES), len(STATES)))
    with DATA.open() as file:
        for row in csv.DictReader(file):
            first = row["ranking"].split("|")[0]
            if row["set"] == name and first in STATES and row["label"] in STATES:
                counts[STATES.index(row["label"]), STATES.index(first)] += 1
    return counts / counts.sum(1, keepdims=True)


def declared_table(kind):
    """The table that the base declares of the observer, as YAML."""
    if kind == "flat":
        return "accuracy: 0.5"
    rows = []
    for state, row in zip(STATES, counted_table("sfew2"), strict=True):
        cells = ", ".join(f"{answer}: {value:.9f}" for answer, value in zip(STATES, row, strict=True))
        rows.append(f"{state}: {{{cells}}}")
    return f"confusion: {{{', '.join(rows)}}}"


def write_base(folder, kind):
    path = folder / "base.yaml"
    observers = {"model": OBSERVER.format(table=declared_table(kind))}
    asked = {"question": "expression", "limit": LIMIT, "budget": 10}
    path.write_text(small_base("simulated", "expression", STATES, observers, **asked))
    return path


def populations():
    base = seke.knowledge(shipped_folder())
    wild = base.populations["in-the-wild"].p
    shares = np.array([wild[state] if isinstance(wild, dict) else wild[i] for i, state in enumerate(STATES)])
    return {"balanced": np.full(len(STATES), 1 / len(STATES)), "in the wild": shares / shares.sum()}


def simulated(skill, shares, faces, draws, rng):
    """Truth (faces,) and answers (faces, draws) of a new observer of this skill, all by state index."""
    around = (1 - skill) * counted_table("affectnet") + skill * np.eye(len(STATES))
    settled = propensities(DEVIATION * around, rng)
    truth = rng.choice(len(STATES), faces, p=shares)
    scatter = STRENGTH * confused_scatter(settled, np.eye(len(STATES)), np.float64(REPEAT))
    theta = propensities(scatter[choose(settled[truth], rng.random(faces))], rng)
    return truth, np.stack([choose(theta, rng.random(faces)) for _ in range(draws)], axis=1)


def samples(answers, faces, draws):
    for face in faces:
        for draw, answer in enumerate(answers[face, :draws]):
            yield record(f"{face:05d}", {"expression": STATES[answer]}, question="expression", draw=draw)


@dataclass(frozen=True)
class Scores:
    """Of one observer.

    loss, stated, right: by number of draws, as NUMBERS. coverage, wrong, risk: shares of all faces that are
    accepted at five draws, that are accepted and wrong, and stated to be.
    """

    loss: np.ndarray
    stated: np.ndarray
    right: np.ndarray
    coverage: float
    wrong: float
    risk: float


def scores_of(posteriors, truth):
    """posteriors: (NUMBERS, faces, states)."""
    rows = np.arange(len(truth))
    chosen = np.array([p[rows, truth] for p in posteriors])
    stated, right = posteriors.max(2), posteriors.argmax(2) == truth
    five = NUMBERS.index(5)
    accepted = stated[five] >= 1 - LIMIT
    wrong = (~right[five][accepted]).sum()
    loss = -np.log(chosen.clip(1e-12)).mean(1)
    risk = (1 - stated[five][accepted]).sum()
    return Scores(loss, stated.mean(1), right.mean(1), accepted.mean(), wrong / len(truth), risk / len(truth))


def measure(kind, skill, shares, sizes, seed, folder):
    """Yield size of gold and the scores of one simulated observer."""
    path = write_base(folder, kind)
    base = seke.knowledge(path)
    rng = np.random.default_rng([seed, round(100 * skill)])
    truth, answers = simulated(skill, shares, TESTED + max(sizes), max(NUMBERS), rng)
    faces = range(TESTED)
    tested = [list(answers_from(samples(answers, faces, draws), base)) for draws in NUMBERS]
    for size in sizes:
        known = range(TESTED, TESTED + size)
        gold = [{"item": f"{face:05d}", "expression": STATES[truth[face]]} for face in known]
        seen = list(samples(answers, known, LEARNED_DRAWS))
        fit = seke.calibrate(seen, base, gold, learn_population=True, extends=str(path))
        (folder / "fit.yaml").write_text(fit.overlay)
        fitted = seke.knowledge(folder / "fit.yaml")
        learned = [name for name in fitted.populations if name != "uniform"]
        inference = Inference(compile_network(fitted), fitted, learned[0] if learned else None)
        posteriors = np.array([
            np.concatenate([inference.posterior(part).marginals["expression"] for part in parts])
            for parts in tested
        ])  # fmt: skip
        yield size, scores_of(posteriors, truth[:TESTED])


def standard_error(values):
    return (
        np.std(values, axis=0, ddof=1) / np.sqrt(len(values))
        if len(values) > 1
        else np.zeros(np.shape(values[0]))
    )


def line(size, cell_scores):
    gaps = np.array([score.stated - score.right for score in cell_scores])
    loss = np.mean([score.loss for score in cell_scores], axis=0)
    coverage, risk = (
        np.array([getattr(score, key) for score in cell_scores]) for key in ("coverage", "risk")
    )
    wrong, error = wrong_of_accepted(cell_scores)
    five = NUMBERS.index(5)
    errors = standard_error(gaps)
    text = " ".join(f"{gap:+.3f}" for gap in gaps.mean(0))
    return (
        f"    gold {size:3d}: stated - true {text} (± {errors[0]:.3f} to {errors[-1]:.3f})  "
        f"log loss {loss[five]:.3f}  right {np.mean([score.right[five] for score in cell_scores]):.3f}  "
        f"accepted {coverage.mean():.3f}, "
        f"wrong {wrong:.3f} ± {error:.3f}, stated {risk.sum() / max(coverage.sum(), 1e-12):.3f}"
    )


def missed_goals(skill, size, cell_scores):
    """The goals that are missed, each a text."""
    if size < 56:
        return []
    most, faults = (0.03 if skill >= 0.3 else 0.06), []
    gaps = np.array([score.stated - score.right for score in cell_scores])
    for draws, gap, error in zip(NUMBERS, gaps.mean(0), standard_error(gaps), strict=True):
        if abs(gap) > most + STANDARD_ERRORS * error:
            faults.append(f"{draws} draws: stated - true {gap:+.3f} ± {error:.3f}")
    wrong, error = wrong_of_accepted(cell_scores)
    if wrong > LIMIT + 0.03 + STANDARD_ERRORS * error:
        faults.append(f"{wrong:.3f} ± {error:.3f} of what is accepted is wrong")
    return faults


def wrong_of_accepted(cell_scores):
    """The share of what is accepted that is wrong, pooled over observers, and the ratio's standard error."""
    coverage, wrong = (
        np.array([getattr(score, key) for score in cell_scores]) for key in ("coverage", "wrong")
    )
    share = wrong.sum() / max(coverage.sum(), 1e-12)
    return share, standard_error(wrong - share * coverage) / max(coverage.mean(), 1e-12)


def cell(kind, skill, shares, sizes, seeds, folder):
    scores_by_size = {size: [] for size in sizes}
    for seed in seeds:
        for size, scores in measure(kind, skill, shares, sizes, seed, folder):
            scores_by_size[size].append(scores)
    return scores_by_size


@pytest.mark.parametrize("population", ["balanced", "in the wild"])
@pytest.mark.parametrize("skill", SKILLS)
def test_what_is_stated_of_simulated_observers_is_true(skill, population, tmp_path, capsys):
    scores_by_size = cell("other set", skill, populations()[population], GOLD, range(TESTED_SEEDS), tmp_path)
    with capsys.disabled():
        print(f"\n  skill {skill}, {population}, {TESTED_SEEDS} observers; draws {NUMBERS}")
        for size, cell_scores in scores_by_size.items():
            print(line(size, cell_scores))
    missed = {
        size: faults
        for size, cell_scores in scores_by_size.items()
        if (faults := missed_goals(skill, size, cell_scores))
    }
    if missed and (skill, population) in MISSED:
        pytest.xfail(f"missed: {missed}")
    assert missed == {}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--tables", nargs="+", default=["other set", "flat"])
    parser.add_argument("--populations", nargs="+", default=["balanced", "in the wild"])
    parser.add_argument("--skills", nargs="+", type=float, default=SKILLS)
    chosen = parser.parse_args()
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    for kind, name, skill in itertools.product(chosen.tables, chosen.populations, chosen.skills):
        with tempfile.TemporaryDirectory() as folder:
            scores_by_size = cell(kind, skill, populations()[name], GOLD, seeds, Path(folder))
        print(f"  {kind}, {name}, skill {skill}, {len(seeds)} observers; draws {NUMBERS}", flush=True)
        for size, cell_scores in scores_by_size.items():
            print(line(size, cell_scores), missed_goals(skill, size, cell_scores) or "", flush=True)


if __name__ == "__main__":
    main()
