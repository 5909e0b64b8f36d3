"""How little gold is enough: GPT-4V's rankings with 30, 100, 300 and half of the labels.

    pip install -e '.[peers]'; pytest tests/benchmarks/test_gold_rankings.py -m slow -s

Half of the pictures are scored. Of the other half some have gold, chosen by chance, and `seke.calibrate`
learns from them, begun from an observer of whom nothing is known (accuracy .5); the prior stays uniform.
Peers, of the same gold, each with add-one counts: the first choice's table; the plain product of the tables
of places 1 to 3, also with one exponent fitted by cross-validation; logistic regression on the places
(scikit-learn); Dawid & Skene with the three places as workers (crowd-kit), gold given.

Data: results published with Lian et al. 2023 (arXiv 2312.04293), in ../shared/data; skips where absent.
"""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import numpy as np
import pytest

import seke

DATA = Path(__file__).parents[3] / "shared" / "data" / "gpt4v_rankings.csv"
SPLITS = 20
SIZES = (30, 100, 300, 0)
PLACES = 3
LIMITS = (0.3, 0.2, 0.1)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here"),
]

OVERLAY = """
extends: shipped
{remove}
observers:
  unknown-vlm:
    source: judgement
    note: Nothing is known of it.
    askable: true
    carry: 0.85
    categorical: {{expression: {{accuracy: 0.5, repeat: 0.9, strength: 8, ranking: {{bonus: 0.8}}}}}}
"""


def read(name):
    with DATA.open() as file:
        return [row for row in csv.DictReader(file) if row["set"] == name]


def samples(rows):
    for row in rows:
        yield {
            "item": row["item"],
            "observer": "unknown-vlm",
            "question": "expression",
            "draw": 0,
            "expression": row["ranking"].split("|")[:5],
        }


def normal(logs):
    p = np.exp(logs - logs.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def tables(places, truth, states):
    """log P(place k | truth), add-one, (PLACES, states, states + 1), and the log prior."""
    counts = np.ones((PLACES, states, states + 1))
    for k in range(PLACES):
        np.add.at(counts[k], (truth, places[:, k]), 1)
    prior = np.bincount(truth, minlength=states) + 1.0
    return np.log(counts / counts.sum(2, keepdims=True)), np.log(prior / prior.sum())


def product(known, places, used, exponent=1.0):
    logs, prior = known
    return normal(prior + exponent * sum(logs[k][:, places[:, k]].T for k in range(used)))


def tempered(places, truth, states):
    """The exponent with the best log loss in four folds."""
    fold = np.arange(len(truth)) % 4
    best = []
    for exponent in np.linspace(0.1, 1.2, 23):
        loss = 0.0
        for k in range(4):
            inside = fold != k
            p = product(tables(places[inside], truth[inside], states), places[~inside], PLACES, exponent)
            loss -= np.log(p[np.arange((~inside).sum()), truth[~inside]]).sum()
        best.append((loss, exponent))
    return min(best)[1]


def one_hot(places, states):
    return np.concatenate([np.eye(states + 1)[places[:, k]] for k in range(PLACES)], axis=1)


def logistic(places, truth, other, states):
    from sklearn.linear_model import LogisticRegressionCV

    counts = np.bincount(truth, minlength=states)
    folds = int(max(2, min(4, counts[counts > 0].min())))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegressionCV(Cs=6, cv=folds, scoring="neg_log_loss", max_iter=500)
        model.fit(one_hot(places, states), truth)
        p = np.full((len(other), states), 1e-4)
        p[:, model.classes_] += model.predict_proba(one_hot(other, states))
    return p / p.sum(1, keepdims=True)


def crowd(places, truth, other, states):
    import pandas as pd
    from crowdkit.aggregation import DawidSkene

    both = np.concatenate([places, other])
    rows = [(i, k, int(both[i, k])) for i in range(len(both)) for k in range(PLACES) if both[i, k] < states]
    data = pd.DataFrame(rows, columns=["task", "worker", "label"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        p = DawidSkene().fit_predict_proba(data, true_labels=pd.Series(truth, index=range(len(truth))))
    shares = np.full((len(other), states), 1e-4)
    index = range(len(truth), len(both))
    shares[:, list(p.columns)] += p.reindex(index).fillna(0).to_numpy()
    return shares / shares.sum(1, keepdims=True)


def ours(rows, gold, test, base, folder, states):
    """Posteriors of the test pictures under the overlay of a fit."""
    labels = [{"item": rows[i]["item"], "expression": rows[i]["label"]} for i in gold]
    seen = [rows[i] for i in gold]
    fit = seke.calibrate(samples(seen), base, labels, extends=str(folder / "base.yaml"))
    (folder / "fit.yaml").write_text(fit.overlay)
    fitted = seke.knowledge(folder / "fit.yaml")
    records = seke.infer(samples([rows[i] for i in test]), fitted)
    return np.array([[r["expression"][s] for s in states] for r in records])


def ece(p, truth, bins=15):
    top, right = p.max(1), p.argmax(1) == truth
    parts = np.array_split(np.argsort(top), bins)
    return sum(abs(right[part].mean() - top[part].mean()) * len(part) for part in parts) / len(top)


def paired(differences):
    """Mean of differences over splits, and its standard error; splits overlap, so that it is a little low."""
    return f"{differences.mean():+.3f} ± {differences.std(ddof=1) / np.sqrt(len(differences)):.3f}"


def figures(p, truth):
    p = p.clip(1e-6)
    p = p / p.sum(1, keepdims=True)
    right, top = p.argmax(1) == truth, p.max(1)
    chosen = p[np.arange(len(truth)), truth]
    coverage = [(top >= 1 - limit).mean() for limit in LIMITS]
    return [-np.log(chosen).mean(), ece(p, truth), right.mean(), *coverage]


@pytest.mark.parametrize(("name", "remove"), [("affectnet", ""), ("sfew2", "contempt")])
def test_gold_is_scarce(name, remove, tmp_path, capsys):
    rows = read(name)
    gone = f"remove: [variables.expression.states.{remove}, rules.contempt-in-a-lip-corner]" if remove else ""
    (tmp_path / "base.yaml").write_text(OVERLAY.format(remove=gone))
    base = seke.knowledge(tmp_path / "base.yaml")
    states = base.variables["expression"].states
    rows = [row for row in rows if all(label in states for label in row["ranking"].split("|"))]
    # A place that is missing is one more answer.
    places = np.full((len(rows), PLACES), len(states))
    for i, row in enumerate(rows):
        for k, label in enumerate(row["ranking"].split("|")[:PLACES]):
            places[i, k] = states.index(label)
    truth = np.array([states.index(row["label"]) for row in rows])
    k = len(states)
    lines = [f"{name}: {len(rows)} pictures; log loss, ECE, accuracy, coverage at {LIMITS}"]
    half = len(rows) // 2
    for size in (size for size in SIZES if size < half):
        figures_by_title = {}
        for split in range(SPLITS):
            order = np.random.default_rng(split).permutation(len(rows))
            gold, test = order[: size or half], order[half:]
            known = tables(places[gold], truth[gold], k)
            exponent = tempered(places[gold], truth[gold], k)
            made = {
                "seke": ours(rows, gold, test, base, tmp_path, states),
                "first choice": product(known, places[test], 1),
                "plain product": product(known, places[test], PLACES),
                "with exponent": product(known, places[test], PLACES, exponent),
                "logistic regression": logistic(places[gold], truth[gold], places[test], k),
                "crowd-kit": crowd(places[gold], truth[gold], places[test], k),
            }
            for title, p in made.items():
                figures_by_title.setdefault(title, []).append(figures(p, truth[test]))
        lines.append(f"  gold {size or half}")
        for title, split_figures in figures_by_title.items():
            lines.append(f"    {title:20}" + "".join(f" {x:7.3f}" for x in np.mean(split_figures, axis=0)))
        loss = {title: np.array(split_figures)[:, 0] for title, split_figures in figures_by_title.items()}
        best = min((title for title in loss if title != "seke"), key=lambda title: loss[title].mean())
        lines.append(f"    log loss less {best}'s: {paired(loss['seke'] - loss[best])}")
        with capsys.disabled():
            print("\n".join(lines))
        lines = []
    assert loss["seke"].mean() < np.log(k)
