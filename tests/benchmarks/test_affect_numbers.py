"""Numbers of a real vision model and of people: GPT-4V about 223 film frames, ten raters each, 24 features.

    pytest tests/benchmarks/test_affect_numbers.py -m slow -s

What is foretold is the raters' mean of a frame and feature, from one, three or five runs of the model, or
from one, three or ten raters, by `seke.calibrate` on half of the frames, all features together, SPLITS
times. The prior of the mean is that of the frames of the fit, in CLASSES classes of equal size. Beside it a
linear regression, with normal residuals, on the means of the same answers, fitted anew for every number of
them. Scores: log P of the mean's bin, nats; share of means within the 90 % interval. Of one and three raters
the mean is that of the others, for the fit as well; ten raters are their mean, which a regression on them
knows exactly and which the model still takes for ten readings of a truth: its log score is no comparison.

Measured, log score and coverage, beside the regression: one run -2.560 and .90 (-2.583, .87), three -2.498
and .90 (-2.524, .88), five -2.508 and .89 (-2.521, .87); one rater -2.501 and .90 (-2.518, .88), three -2.349
and .88 (-2.342, .87); ten .98. Without `blank` and `stray` runs have -2.576, -2.532 and -2.536, raters the
same. Five runs tell a little less than three: repeats share more than what one reading brings out.

Which keys the observers declare (`blank`, `stray`) was chosen after a look at the first six of these splits,
and NEAR after one: only the fits have not seen what they are tested on. Splits overlap, so that the errors
printed are too small.

Data: github santavis/GPT-4V-social-perception (commit 0e8d3a8, MIT), in ../shared/data; skips where absent.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr
from small_bases import record, small_base

import seke
from engine import Answers, Inference, compile_network
from seke.sampling.infer import batches, source_list

DATA = Path(__file__).parents[3] / "shared" / "data" / "vlm_numbers.csv"
SPLITS = 10
CLASSES = 8
EDGES = np.linspace(0, 100, 21)
# What is asked: runs of the model, raters.
ASKED = ((1, 0), (3, 0), (5, 0), (0, 1), (0, 3), (0, 10))
# Rows of a fit at most, drawn by chance, so that all splits take minutes.
MOST_FITTED = 700
# Standard deviation of a class at least: with less a mean between two bins of 5 could not be had.
LEAST_SD = 3.0
# How near to an end of the scale the mean of a class may be, for the same reason.
NEAREST = 3.5
# Nats by which raters may foretell the others' mean worse than a line that is fitted for their number alone.
NEAR = 0.02
# Share of the raters' means within a 90 % interval (the goal).
COVERED = (0.87, 0.93)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason="no shared data here"),
]

MOMENTS = """affect:
  variables: [score]
  source: judgement
  note: Of the frames with gold.
  moments:
{moments}
"""
# A vision model, and people, each a view of one observer.
OBSERVERS = {
    "model": "carry: 0.9\ninterval: {{score: {{perception: 20, noise: 10, grid: 5{keys}}}}}",
    "rater": "carry: 0.05\ninterval: {{score: {{perception: 20, noise: 5, grid: 1{keys}}}}}",
}


def read():
    """(N,) frames and features as items' names, the frames, runs (N, 5), and raters (N, 10)."""
    with DATA.open() as file:
        rows = list(csv.DictReader(file))
    raters = [[float(v) for v in row["raters"].split() if float(v) >= 0][:10] for row in rows]
    kept = [i for i, given in enumerate(raters) if len(given) == 10]
    runs = np.array([[float(rows[i][f"run{run}"]) for run in range(1, 6)] for i in kept])
    items = [rows[i]["item"] + rows[i]["feature"] for i in kept]
    return items, np.array([rows[i]["item"] for i in kept]), runs, np.array([raters[i] for i in kept])


def base_at(path, truth, keys):
    """A base whose classes are those of these means: equal in size, with their moments on the bins."""
    order = np.array_split(np.sort(truth), CLASSES)
    moments = []
    for number, part in enumerate(order):
        centres = EDGES[bins_of(part)] + 2.5
        mean = min(max(centres.mean(), NEAREST), 100 - NEAREST)
        sd = max(math.sqrt(centres.var() + 25 / 12), LEAST_SD)
        moments.append(f"    c{number}: {{mean: [{mean:.3f}], sd: [{sd:.3f}], n: 20}}")
    states = [f"c{number}" for number in range(CLASSES)]
    observers = {name: text.format(keys=keys) for name, text in OBSERVERS.items()}
    below = "score", {"score": "kind: interval, range: [0, 100], bins: 20"}
    asked = {"question": "ask", "limit": 0.2, "budget": 5, "below": below, "tolerance": "score: 15"}
    sections = MOMENTS.format(moments="\n".join(moments))
    path.write_text(small_base("numbers", "level", states, observers, **asked, sections=sections))
    return seke.knowledge(path)


def bins_of(values):
    return np.clip((values // 5).astype(int), 0, 19)


def samples(items, runs, raters):
    for item, of_model, of_raters in zip(items, runs, raters, strict=True):
        for draw, value in enumerate(of_model):
            yield record(item, {"score": float(value)}, question="ask", draw=draw)
        for place, value in enumerate(of_raters):
            rater = {"observer": "rater", "view": f"rater {place}"}
            yield record(item, {"score": float(value)}, question="ask", **rater)


def fitted(folder, items, runs, raters, truth, keys):
    base = base_at(folder / "base.yaml", truth, keys)
    chosen = np.random.default_rng(0).permutation(len(items))[:MOST_FITTED]
    names = [items[i] for i in chosen]
    gold = [{"item": item, "score": y} for item, y in zip(names, truth[chosen], strict=True)]
    answers = list(samples(names, runs[chosen], raters[chosen]))
    fit = seke.calibrate(answers, base, gold=gold, extends=str(folder / "base.yaml"), with_checks=False)
    (folder / "fit.yaml").write_text(fit.overlay)
    return seke.knowledge(folder / "fit.yaml")


def posterior(base, items, runs, raters):
    sources = source_list(list(samples(items, runs, raters)))
    answers = Answers.stacked(list(batches(sources, base)))
    p = Inference(compile_network(base), base).posterior(answers).marginals["score"]
    place = {item: row for row, item in enumerate(answers.items)}
    return p[[place[item] for item in items]]


def regression(x, y, told):
    """P(bin) from a least-squares line of y on x, (n, 20)."""
    ones = np.column_stack([np.ones(len(x)), x])
    slope, *_ = np.linalg.lstsq(ones, y, rcond=None)
    sd = math.sqrt(((y - ones @ slope) ** 2).sum() / (len(y) - 2))
    edges = np.concatenate([[-np.inf], EDGES[1:-1], [np.inf]])
    middle = slope[0] + slope[1] * told
    return np.diff(ndtr((edges - middle[:, None]) / max(sd, 1e-3)), axis=1)


def scored(p, truth):
    """Mean log P of the bin, and the share within the middle 90 %."""
    log = np.log(np.maximum(p[np.arange(len(p)), bins_of(truth)], 1e-12)).mean()
    below = np.concatenate([np.zeros((len(p), 1)), p.cumsum(1)], 1)
    ends = np.array([[np.interp(share, row, EDGES) for share in (0.05, 0.95)] for row in below])
    within = (ends[:, 0] <= truth + 1e-9) & (truth <= ends[:, 1] + 1e-9)
    return log, within.mean()


def split_scores(data, split, folder, keys):
    """Scores of the model and of the regression, for each of ASKED, (6, 4)."""
    items, frames, runs, raters = data
    rng = np.random.default_rng(split)
    every = sorted(set(frames.tolist()))
    half = set(rng.permutation(every)[: len(every) // 2].tolist())
    train = np.array([frame in half for frame in frames])
    test, rows, bases = ~train, [], {}
    named = [[item for item, kept in zip(items, mask, strict=True) if kept] for mask in (train, test)]
    for count_runs, count_raters in ASKED:
        truth = raters[:, count_raters if count_raters < 10 else 0 :].mean(1)
        used = 3 if 0 < count_raters < 10 else 10
        known = raters[:, :used] if count_raters else raters[:, :0]
        key = (count_raters > 0, count_raters)
        if key not in bases:
            told = runs if not count_raters else runs[:, :0]
            part = known[:, :count_raters] if count_raters else known
            bases[key] = fitted(folder, named[0], told[train], part[train], truth[train], keys)
        asked = runs[:, :count_runs], raters[:, :count_raters]
        p = posterior(bases[key], named[1], asked[0][test], asked[1][test])
        mean = np.concatenate(asked, axis=1).mean(1)
        line = regression(mean[train], truth[train], mean[test])
        rows.append((*scored(p, truth[test]), *scored(line, truth[test])))
    return rows


def test_the_mean_of_raters_is_foretold_as_well_as_by_regression(tmp_path, capsys):
    data = read()
    lines, means = [f"{len(data[0])} rows, {SPLITS} splits"], {}
    for title, keys in (("blank and stray", ", blank: 0.1, stray: 0.03"), ("neither", "")):
        scores = np.array([split_scores(data, split, tmp_path, keys) for split in range(SPLITS)])
        means[title] = scores.mean(0)
        lines.append(f"  {title}: log score and coverage of 90 % intervals; of the regression")
        for (count_runs, count_raters), row, error in zip(
            ASKED, means[title], scores.std(0) / math.sqrt(SPLITS), strict=True
        ):
            asked = f"{count_runs} runs" if count_runs else f"{count_raters} raters"
            lines.append(
                f"    {asked:10} {row[0]:.3f} ± {error[0]:.3f}  {row[1]:.3f}   {row[2]:.3f}  {row[3]:.3f}"
            )
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    ours = means["blank and stray"]
    assert (ours[:3, 0] > ours[:3, 2]).all()
    assert (ours[3:5, 0] > ours[3:5, 2] - NEAR).all()
    assert ((COVERED[0] <= ours[:5, 1]) & (ours[:5, 1] <= COVERED[1])).all()
    assert ours[5, 1] > COVERED[0]
    # A number that says little is known to say little.
    assert (ours[:3, 0] > means["neither"][:3, 0]).all()
