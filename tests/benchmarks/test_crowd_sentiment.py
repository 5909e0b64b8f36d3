"""Truth from crowd answers: face sentiment, 584 pictures, 9 answers each, four classes; 27 workers.

    pip install -e '.[peers]'; pytest tests/benchmarks/test_crowd_sentiment.py -m slow -s

Ours: `seke.calibrate` on workers as views of one observer (a pooled table), then on every worker as an
observer of its own whose prior is the pooled table with WORKER pseudo-counts, then `seke.infer`; without
gold, and with gold of a tenth, chosen by chance (SPLITS times; what has gold is not scored). Peers: majority,
and crowd-kit's DawidSkene, with the same gold. Accuracy beside its paired bootstrap against majority, ECE
beside its null interval.

Data: truth-inference benchmark (Zheng et al. 2017), in ../shared/data; skips where absent.
"""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import numpy as np
import pytest
from small_bases import record, small_base

import seke
from engine import Reliability, null_intervals
from engine.model.parameter_key import ParameterKey

DATA = Path(__file__).parents[3] / "shared" / "data"
SPLITS = 5
WORKER = 12
STATES = ("neutral", "happiness", "sadness", "anger")
BOOTSTRAP = 2000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DATA / "crowd_face_sentiment_truth.csv").exists(), reason="no shared data here"),
]

OBSERVER = "carry: {carry}\ncategorical: {{sentiment: {{{table}, n: {n}, repeat: 0.97, strength: 20}}}}"


def read(name):
    with (DATA / name).open() as file:
        return list(csv.DictReader(file))


def samples(rows, *, pooled):
    for row in rows:
        view = {"view": row["worker"]} if pooled else {}
        observer = "crowd" if pooled else row["worker"]
        reports = {"sentiment": row["label"]}
        yield record(row["item"], reports, observer=observer, question="ask", **view)


def base_of(folder, name, observers):
    asked = {"question": "ask", "limit": 0.1, "budget": 9}
    (folder / name).write_text(small_base("sentiment", "sentiment", STATES, observers, **asked))
    return seke.knowledge(folder / name)


def ours(rows, gold, folder):
    """Posteriors of all items, (N, states), in the order of first appearance, and the items."""
    crowd = OBSERVER.format(carry=0.3, table="accuracy: 0.6", n=8)
    base = base_of(folder, "pooled.yaml", {"crowd": crowd})
    # Workers are many and each is seen little of: items without gold teach how they answer, too.
    # In this base they are independent given the truth, which an exponent has to make up for.
    learned = {"gold": gold, "unlabelled": True, "exponent": True}
    pooled = list(samples(rows, pooled=True))
    pooled_fit = seke.calibrate(pooled, base, extends=str(folder / "pooled.yaml"), **learned)
    place = ParameterKey("crowd", "settled", "categorical", "sentiment")
    table = pooled_fit.fit.point[place]
    cells = ", ".join(
        f"{state}: {{{', '.join(f'{answer}: {p:.5f}' for answer, p in zip(STATES, row, strict=True))}}}"
        for state, row in zip(STATES, table / table.sum(1, keepdims=True), strict=True)
    )
    workers = sorted({row["worker"] for row in rows})
    worker = OBSERVER.format(carry=0.3, table=f"settled: {{{cells}}}", n=WORKER)
    base = base_of(folder, "workers.yaml", dict.fromkeys(workers, worker))
    single = list(samples(rows, pooled=False))
    worker_fit = seke.calibrate(single, base, extends=str(folder / "workers.yaml"), **learned)
    (folder / "fit.yaml").write_text(worker_fit.overlay)
    records = list(seke.infer(list(samples(rows, pooled=False)), seke.knowledge(folder / "fit.yaml")))
    items = [r["item"] for r in records]
    return np.array([[r["posteriors"]["sentiment"][s] for s in STATES] for r in records]), items


def dawid_skene(rows, gold, items):
    import pandas as pd
    from crowdkit.aggregation import DawidSkene

    data = pd.DataFrame(
        [(r["item"], r["worker"], r["label"]) for r in rows], columns=["task", "worker", "label"]
    )
    known = pd.Series({g["item"]: g["sentiment"] for g in gold}) if gold else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        p = DawidSkene().fit_predict_proba(data, true_labels=known)
    return p.reindex(index=items, columns=list(STATES)).fillna(0).to_numpy()


def majority(rows, items):
    order = {item: i for i, item in enumerate(items)}
    counts = np.zeros((len(items), len(STATES)))
    for row in rows:
        counts[order[row["item"]], STATES.index(row["label"])] += 1
    return counts / counts.sum(1, keepdims=True)


def described(title, p, truth, best):
    right = p.argmax(1) == truth
    rng = np.random.default_rng(0)
    picks = rng.integers(0, len(truth), (BOOTSTRAP, len(truth)))
    less = (right.astype(float) - best)[picks].mean(1)
    stated = Reliability.of(p.max(1).clip(0, 1), right, 15)
    (null,) = null_intervals([stated], seed=0)
    return (
        f"    {title:10} accuracy {right.mean():.3f} (majority's {less.mean():+.3f} ± {less.std():.3f})  "
        f"ECE {stated.ece():.3f}, calibrated {null.low:.3f} to {null.high:.3f}"
    )


def test_crowd_answers_with_and_without_gold(tmp_path, capsys):
    rows = read("crowd_face_sentiment_answers.csv")
    truths = {row["item"]: row["truth"] for row in read("crowd_face_sentiment_truth.csv")}
    rows = [row for row in rows if row["item"] in truths]
    names = list(dict.fromkeys(row["item"] for row in rows))
    lines = [f"{len(names)} pictures"]
    accuracies = []
    for split in range(SPLITS + 1):
        rng = np.random.default_rng(split)
        chosen = set(rng.choice(names, len(names) // 10, replace=False).tolist()) if split else set()
        gold = [{"item": item, "sentiment": truths[item]} for item in sorted(chosen)]
        p, items = ours(rows, gold or None, tmp_path)
        keep = np.array([item not in chosen for item in items])
        truth = np.array([STATES.index(truths[item]) for item in items])[keep]
        votes = majority(rows, items)[keep]
        best = (votes.argmax(1) == truth).astype(float)
        lines.append(f"  gold of {len(gold)}")
        for title, predicted in (("seke", p[keep]), ("majority", votes)):
            lines.append(described(title, predicted, truth, best))
        lines.append(described("crowd-kit", dawid_skene(rows, gold, items)[keep], truth, best))
        accuracies.append((p[keep].argmax(1) == truth).mean())
    lines.append(f"  with gold, mean of {SPLITS}: {np.mean(accuracies[1:]):.3f}")
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert min(accuracies) > 0.5
