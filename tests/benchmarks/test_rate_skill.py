"""One skill behind all sensitivities and specificities: what it gains where gold is scarce.

    pytest tests/benchmarks/test_rate_skill.py -m slow -s

OBSERVERS simulated observers of each skill w report eight binary signs of made-up items, one answer an item.
Each cell is Beta(DEVIATION) around (1 - w) OTHER + w; the base declares other cells (DECLARED). Items with
gold of the signs calibrate (`seke.calibrate`), and TESTED others are inferred. Peers: the cells as declared;
each cell learned alone, (n p + hits) / (n + answers), n = 8 (what the fit did before skill); the true cells.

Figures: log loss of the signs, averaged, less that of the true cells; what is stated less what is true. Fit
less alone came to +.002, +.001, .000 (skill 0; gold 8, 30, 100), -.004, -.001, .000 (.3), -.027, -.009, -.002
(.6), -.087, -.039, -.011 (.9). Of six observers -.005 ± .003 at .6 and 30 could not be told from nothing.
"""

from __future__ import annotations

import numpy as np
import pytest
from small_bases import record, small_base

import seke
from engine import Inference, compile_network
from engine.inference.choice import choose
from engine.inference.simulation import prior_truth
from seke.samples import answers_from

pytestmark = pytest.mark.slow

SKILLS = (0.0, 0.3, 0.6, 0.9)
GOLD = (8, 30, 100)
OBSERVERS, TESTED = 12, 1000
DEVIATION, COUNT = 8.0, 8.0
SIGNS = tuple(f"sign{k}" for k in range(8))
# Sensitivity and specificity of each sign that the base declares, and those that observers deviate from.
DECLARED = dict(zip(SIGNS, [(s, p) for s in (0.4, 0.5, 0.6, 0.7) for p in (0.8, 0.9)], strict=True))
OTHER = (0.5, 0.8)
# The most log loss, a sign, that skill may cost where there is none.
MOST_LOST = 0.004

CELLS = """activations:
  source: judgement
  note: For a benchmark.
  background: {p: 0.15, n: 5}
  cells:
    a: {sign0: {p: 0.7, n: 10}, sign1: {p: 0.5, n: 10}, sign2: {p: 0.4, n: 10}}
    b: {sign2: {p: 0.6, n: 10}, sign3: {p: 0.8, n: 10}, sign4: {p: 0.4, n: 10}}
    c: {sign4: {p: 0.6, n: 10}, sign5: {p: 0.5, n: 10}, sign6: {p: 0.6, n: 10}}
    d: {sign6: {p: 0.3, n: 10}, sign7: {p: 0.7, n: 10}}
"""


def base_text(cells):
    rates = ", ".join(
        f"{name}: {{sensitivity: {s:.6f}, specificity: {p:.6f}}}" for name, (s, p) in cells.items()
    )
    model = f"carry: 0.9\nbinary: {{repeat: 0.98, strength: 8, cells: {{{rates}}}}}"
    below = "signs", dict.fromkeys(SIGNS, "kind: binary")
    asked = {"question": "look", "limit": 0.05, "budget": 10}
    return small_base("signs", "kind", "abcd", {"model": model}, **asked, below=below, sections=CELLS)


def drawn_cells(skill, rng):
    """Sensitivity and specificity of a new observer, which add up to 1 or more."""
    means = np.minimum((1 - skill) * np.array(OTHER) + skill, 0.985)
    cells = {}
    for name in SIGNS:
        while True:
            pair = np.clip(rng.beta(DEVIATION * means, DEVIATION * (1 - means)), 0.02, 0.985)
            if pair.sum() >= 1.02:
                break
        cells[name] = tuple(pair)
    return cells


def learned_alone(truth, answers):
    """Each cell's own posterior mean around what is declared."""
    cells = {}
    for name in SIGNS:
        means = []
        for state, declared in zip((1, 0), DECLARED[name], strict=True):
            hits = (answers[name] == state)[truth[name] == state]
            means.append((COUNT * declared + hits.sum()) / (COUNT + len(hits)))
        specificity = means[1]
        cells[name] = max(means[0], 1.02 - specificity), specificity
    return cells


def samples(answers, items):
    for item in items:
        reports = {name: bool(answers[name][item]) for name in SIGNS}
        yield record(f"{item:05d}", reports, question="look")


def inferred(path, records):
    """P(present) of each sign, (items, signs)."""
    base = seke.knowledge(path)
    inference = Inference(compile_network(base), base)
    parts = [inference.posterior(part).marginals for part in answers_from(records, base)]
    return np.concatenate([np.stack([part[name][:, 1] for name in SIGNS], axis=1) for part in parts])


def scores(p, truth):
    """Log loss and stated - true."""
    right = np.where(truth, p, 1 - p)
    stated = np.maximum(p, 1 - p)
    return -np.log(right.clip(1e-9)).mean(), (stated - (right > 0.5)).mean()


def measured(skill, seed, folder):
    """Yield gold, method and scores for one simulated observer."""
    rng = np.random.default_rng([seed, round(100 * skill)])
    declared = folder / "declared.yaml"
    declared.write_text(base_text(DECLARED))
    base = seke.knowledge(declared)
    truth = prior_truth(Inference(compile_network(base), base), TESTED + max(GOLD), rng)
    cells = drawn_cells(skill, rng)
    answers = {}
    for name, (sensitivity, specificity) in cells.items():
        table = np.array([[specificity, 1 - specificity], [1 - sensitivity, sensitivity]])
        answers[name] = choose(table[truth[name]], rng.random(len(truth[name])))
    tested = list(samples(answers, range(TESTED)))
    true = np.stack([truth[name][:TESTED] == 1 for name in SIGNS], axis=1)
    true_cells = folder / "true.yaml"
    true_cells.write_text(base_text(cells))
    for title, path in (("declared", declared), ("true cells", true_cells)):
        yield 0, title, scores(inferred(path, tested), true)
    for size in GOLD:
        items = range(TESTED, TESTED + size)
        gold = [{"item": f"{i:05d}", **{name: int(truth[name][i]) for name in SIGNS}} for i in items]
        fit = seke.calibrate(list(samples(answers, items)), base, gold, extends=str(declared))
        (folder / "fit.yaml").write_text(fit.overlay)
        known = slice(TESTED, TESTED + size)
        alone = learned_alone(*({n: columns[n][known] for n in SIGNS} for columns in (truth, answers)))
        (folder / "alone.yaml").write_text(base_text(alone))
        for title in ("fit", "alone"):
            yield size, title, scores(inferred(folder / f"{title}.yaml", tested), true)


@pytest.mark.parametrize("skill", SKILLS)
def test_skill_gains_where_gold_is_scarce(skill, tmp_path, capsys):
    figures_by_method = {}
    for seed in range(OBSERVERS):
        for size, title, figures in measured(skill, seed, tmp_path):
            figures_by_method.setdefault((size, title), []).append(figures)
    best = np.array(figures_by_method[0, "true cells"])[:, 0]
    gains = {}
    lines = [
        f"skill {skill}, {OBSERVERS} observers; log loss of the true cells {best.mean():.4f}; what is beyond "
        "it, and stated - true",
    ]
    for (size, title), seed_figures in figures_by_method.items():
        loss, gap = np.array(seed_figures).T
        lines.append(f"  gold {size:3d} {title:10} {(loss - best).mean():+.4f}  {gap.mean():+.3f}")
        if title == "alone":
            less = np.array(figures_by_method[size, "fit"])[:, 0] - loss
            error = less.std(ddof=1) / np.sqrt(len(less))
            gains[size] = less.mean(), error
            lines.append(f"    fit less alone {less.mean():+.4f} ± {error:.4f}")
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert all(gain < MOST_LOST for gain, _ in gains.values())
    if skill >= 0.3:
        assert gains[8][0] < -2 * gains[8][1]
    if skill >= 0.6:
        assert gains[30][0] < -2 * gains[30][1]
