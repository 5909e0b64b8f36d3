"""Real input: what raters read from faces whose action units are known, against what the shipped base reads.

    pytest tests/benchmarks/test_au_ratings.py -m slow -s

Data: 376 synthetic faces with random action units, six-choice votes and ratings of 13 raters, in
../shared/data (origin and licence in its README); the tests skip where that folder is absent. The units
go through `seke infer` as labels of a data set: a unit counts as present at any intensity, as the base's
units are defined. AU27 counts as the dropped jaw that it hides, and lips are parted wherever the face
was made with an open mouth (units 10, 16, 26 and 27). Log loss is in nats a vote over the six
expressions that could be voted for. AU23 was not moved, so it is unknown. Beside it: the votes' base
rate, and logistic regression on the intensities of all 22 units by cross-validation over faces.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import seke

DATA = Path(__file__).parents[3] / "shared" / "data" / "au_ratings.csv"
VOTED = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
JAW, LIPS = "AU26", "AU25"
OPEN_MOUTH = ("AU10", "AU16", "AU26", "AU27")
FOLDS = 10
# What the base has to reach without a number fitted to these faces.
MOST_LOG_LOSS, LEAST_VALENCE_R = 1.70, 0.40
# Correlation of each unit with positive less negative affect of people who react to pictures (haines2019,
# 4,648 clips).
SOURCED_SIGNS = {
    "AU1": -0.08,
    "AU2": 0.16,
    "AU4": -0.5,
    "AU5": -0.21,
    "AU6": 0.3,
    "AU7": -0.09,
    "AU9": -0.15,
    "AU10": 0.08,
    "AU12": 0.54,
    "AU14": 0.25,
    "AU15": -0.06,
    "AU17": -0.1,
    "AU20": 0.22,
    "AU23": 0.0,
    "AU24": 0.03,
    "AU25": 0.2,
    "AU26": 0.19,
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here"),
]


@cache
def rows():
    with DATA.open() as file:
        return list(csv.DictReader(file))


def votes():
    """Votes for each of the six expressions, (faces, 6)."""
    return np.array([[float(row[f"votes_{name}"]) for name in VOTED] for row in rows()])


def log_loss(p):
    counts = votes()
    return -(counts * np.log(p)).sum() / counts.sum()


def units_of(row, names):
    """Units that the face shows, of those that the base knows."""
    shown = {name for name, cell in row.items() if name.startswith("AU") and float(cell) > 0}
    if shown & set(OPEN_MOUTH):
        shown.add(LIPS)
    if "AU27" in shown:
        shown.add(JAW)
    return [name for name in names if name in shown]


@cache
def read_by_the_base():
    """P(vote | units), (faces, 6), and the posterior means of valence and arousal, (faces,)."""
    base = seke.knowledge()
    names = base.levels["action_units"]
    samples = [
        {
            "item": row["item"],
            "observer": "dataset-label",
            "question": "action_units",
            "draw": 0,
            "action_units": {name: name in units_of(row, names) for name in names if name in row},
        }
        for row in rows()
    ]
    records = list(seke.infer(samples, base))
    p = np.array([[record["expression"][name] for name in VOTED] for record in records]).clip(1e-6)
    affect = [np.array([record[name]["mean"] for record in records]) for name in ("valence", "arousal")]
    return p / p.sum(1, keepdims=True), *affect


def logistic(seed=0):
    """Cross-validated P(vote | intensities of all units), (faces, 6)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import KFold

    units = [name for name in rows()[0] if name.startswith("AU")]
    x = np.array([[float(row[name]) / 100 for name in units] for row in rows()])
    counts, p = votes(), np.empty((len(rows()), len(VOTED)))
    for fit, score in KFold(FOLDS, shuffle=True, random_state=seed).split(x):
        model = LogisticRegression(max_iter=1000)
        label = np.tile(np.arange(len(VOTED)), len(fit))
        model.fit(np.repeat(x[fit], len(VOTED), axis=0), label, sample_weight=counts[fit].ravel())
        p[score] = model.predict_proba(x[score])
    return p


def sourced_valence():
    """Sum of the published correlations of the units that each face shows, (faces,)."""
    return [sum(SOURCED_SIGNS[name] for name in units_of(row, SOURCED_SIGNS)) for row in rows()]


def correlation(means, name):
    return np.corrcoef(means, [float(row[name]) for row in rows()])[0, 1]


def test_the_base_beside_base_rate_and_logistic_regression(capsys):
    counts = votes()
    p, valence, arousal = read_by_the_base()
    base_rate = log_loss(np.broadcast_to(counts.sum(0) / counts.sum(), counts.shape))
    fitted = log_loss(logistic())
    right = (p.argmax(1) == counts.argmax(1)).mean()
    signs = correlation(sourced_valence(), "valence")
    lines = [
        f"{len(rows())} faces, {counts.sum():.0f} votes; log loss in nats a vote",
        f"  shipped base               {log_loss(p):.3f}   the most votes in {right:.2f}",
        f"  votes' base rate           {base_rate:.3f}",
        f"  logistic, {FOLDS}-fold          {fitted:.3f}",
        f"  valence r {correlation(valence, 'valence'):.3f} (published signs of units: {signs:.3f}),"
        f" arousal r {correlation(arousal, 'arousal'):.3f}",
    ]
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    # What the votes allow at best is under what a model of them reaches, and that under no model at all.
    ceiling = log_loss(np.where(counts > 0, counts, 1) / counts.sum(1, keepdims=True))
    assert ceiling < fitted < base_rate
    assert correlation(arousal, "arousal") > 0.4
    assert correlation(valence, "valence") > signs


def test_the_base_tells_the_votes():
    p, _, _ = read_by_the_base()
    assert log_loss(p) <= MOST_LOG_LOSS


@pytest.mark.xfail(
    reason="units alone say too little of valence; their published signs less",
    strict=True,
)
def test_the_base_tells_valence():
    _, valence, _ = read_by_the_base()
    assert correlation(valence, "valence") >= LEAST_VALENCE_R
