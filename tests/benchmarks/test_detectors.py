"""Two real detectors on posed faces: what is stated of them and how often it is true, by people apart.

    pytest tests/benchmarks/test_detectors.py -m slow -s

AFFDEX (a score from 0 to 100 of each class but neutral) and FACET (log10 odds of eight classes), as their
users have them: tables are converted (`seke.convert`), GOLD of one half's faces have gold, `seke.calibrate`
begins from observers that are right in .64, and the other half's posteriors are exact. Halves have
different people; SPLITS times. Beside it logistic regression (scikit-learn) on the same scores of the same
faces.

Stated less true (its sd over splits; log loss, nats):

    declared weight       AFFDEX               FACET                both
    6 (as shipped)        -.021 (.045; .76)    -.007 (.007; .09)    -.003 (.005; .08)
    1                     -.165 (.074; .85)    -.051 (.010; .12)    -.027 (.007; .09)
    logistic regression   -.058 (.049; .68)    -.171 (.024; .31)    -.095 (.021; .26)

The weight is chosen by gold, each item foretold by the others (`learning.graded_weight`), around the declared
one. Left as declared, 6 stated -.019 of AFFDEX, 3 -.049, and 1 -.303; of FACET 3 stated -.023 and 1 -.193; of
both -.010 and -.095. Chosen around 3 with an sd of .5 (of 1) it stated -.065 (-.067) of AFFDEX: gold of 60
faces hardly tells 2 from 10. The shipped 6 was chosen on these same data, so that this is no proof of it.

Accepted at the shipped limit (a mean risk of .05), wrong of these (stated):

    declared weight       AFFDEX               FACET                both
    6 (as shipped)        .04, .060 (.050)     .97, .018 (.023)     .98, .016 (.018)
    1                     .00                  .90, .008 (.046)     .95, .012 (.035)
    plain rule            .67, .143            .98, .010            .66, .006

The plain rule takes a tool's top class from a score of .9 on, of both tools what both name. AFFDEX is refused
nearly everything, where the rule errs in a seventh; of FACET the rule is as good; only both together take
nearly all at the error that is stated.

Data: outputs of both on 487 posed stills, in ../shared/data; skips where absent.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import seke
from seke.files.shipped import knowledge

DATA = Path(__file__).parents[3] / "shared" / "data" / "detectors.csv"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here"),
]

SPLITS = 8
GOLD = 60
# For how many answers graded ones are declared to count: as shipped, and where nothing is declared.
WEIGHTS = (6.0, 1.0)
# The bound that is promised.
LARGEST_GAP = 0.05
# Log loss, nats, beyond that of logistic regression: AFFDEX's scores of other classes than the first tell
# more than their distribution does.
LARGEST_LOSS = 0.15
AFFDEX = ("Anger", "Sadness", "Disgust", "Joy", "Surprise", "Fear", "Contempt")
FACET = ("Joy", "Anger", "Surprise", "Fear", "Contempt", "Disgust", "Sadness", "Neutral")
SETS = {"affdex": ("affdex",), "facet": ("facet",), "both": ("affdex", "facet")}


def faces():
    """The faces that both tools found, each a row."""
    with DATA.open() as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if row["affdex_anger"] and row["facet_joy"]]


def overlay(folder, weight):
    """An overlay in which both tools are observers nobody has measured: right in .64, errors alike."""
    lines = ["extends: shipped", "remove: [observers.affdex, observers.facet]"]
    lines.append("observers:")
    for name in ("affdex", "facet"):
        lines += [
            f"  {name}:",
            f"    label: {name}",
            "    source: judgement",
            "    note: For a benchmark.",
            "    kind: detector",
            "    carry: 0.95",
            "    follows_only: true",
            "    categorical:",
            "      expression:",
            f"        {{accuracy: 0.64, repeat: 0.98, strength: 50, distribution: {{weight: {weight}}}}}",
        ]
    path = folder / "base.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def tables(folder, rows):
    """Write the tables of the tools as iMotions has them, convert them, and return the samples by tool."""
    samples = {}
    for tool, classes, suffix in (("affdex", AFFDEX, ""), ("facet", FACET, " Evidence")):
        table = folder / f"{tool}.csv"
        with table.open("w", newline="") as file:
            writer = csv.writer(file)
            extra = ["Engagement"] if tool == "affdex" else []
            writer.writerow(["StimulusName", *(name + suffix for name in classes), *extra])
            for row in rows:
                scores = [row[f"{tool}_{name.lower()}"] for name in classes]
                writer.writerow([f"{row['item']}.jpg", *scores, *([0] * len(extra))])
        output = folder / f"{tool}.jsonl"
        seke.convert("auto", table, output)
        samples[tool] = output.read_text().splitlines()
    return samples


def expression(row):
    return "happiness" if row["expression"] == "joy" else row["expression"]


def features(rows, tools):
    names = {"affdex": AFFDEX, "facet": FACET}
    columns = [f"{tool}_{name.lower()}" for tool in tools for name in names[tool]]
    return np.array([[float(row[column]) for column in columns] for row in rows])


def scored(p, truth):
    """Stated less true, share that is right, log loss (nats); p: (N, 8), truth: (N,)."""
    right = p.argmax(1) == truth
    loss = -np.log(np.clip(p[np.arange(len(truth)), truth], 1e-12, None)).mean()
    return np.array([p.max(1).mean() - right.mean(), right.mean(), loss])


def splits(rows):
    """Yield faces with gold and faces that are tested, of different people."""
    people = sorted({row["person"] for row in rows})
    for seed in range(SPLITS):
        rng = np.random.default_rng(seed)
        half = set(rng.permutation(people)[: len(people) // 2])
        training = [number for number, row in enumerate(rows) if row["person"] in half]
        tested = [number for number, row in enumerate(rows) if row["person"] not in half]
        yield sorted(rng.choice(training, GOLD, replace=False)), tested


def regression(rows, gold, tested, tools, states):
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    x = features(rows, tools)
    labels = np.array([states.index(expression(row)) for row in rows])
    model.fit(x[gold], labels[gold])
    p = np.zeros((len(tested), len(states)))
    p[:, model.classes_] = model.predict_proba(x[tested])
    return scored(p, labels[tested])


def ours(folder, rows, samples, base, gold, tested, states):
    """Scores by set of tools, of a base calibrated on the gold, and what is accepted by it."""
    fitted = folder / "fitted.yaml"
    training, answers = folder / "training.jsonl", folder / "tested.jsonl"
    training.write_text("\n".join(samples[tool][number] for tool in samples for number in gold) + "\n")
    labels = [{"item": rows[number]["item"], "expression": expression(rows[number])} for number in gold]
    calibration = seke.calibrate(training, base, labels, output=fitted, extends=str(base), with_checks=False)
    fitted.write_text(calibration.overlay)
    calibrated = knowledge(fitted)
    truth = np.array([states.index(expression(rows[number])) for number in tested])
    scores, accepted = {}, {}
    for name, tools in SETS.items():
        answers.write_text("\n".join(samples[tool][number] for tool in tools for number in tested) + "\n")
        by_item = {record["item"]: record for record in seke.infer(answers, calibrated)}
        records = [by_item[rows[number]["item"]] for number in tested]
        p = np.array([[record["expression"][state] for state in states] for record in records])
        scores[name] = scored(p, truth)
        levels = [record["decision"]["levels"]["expression"] for record in records]
        taken = np.array([level["decision"] == "accept" for level in levels])
        values = np.array([states.index(level["value"]) for level in levels])
        accepted[name] = *counted(taken, values, truth), sum(np.array([x["risk"] for x in levels])[taken])
    return scores, accepted


def counted(taken, values, truth):
    """How many are asked about, accepted, and wrong of these."""
    return len(truth), taken.sum(), (taken & (values != truth)).sum()


def plain_rule(rows, tested, tools, states):
    """What a user would write: a tool's top class from a score of .9 on; of two the one that both name."""
    truth = np.array([states.index(expression(rows[number])) for number in tested])
    tops, sure = [], np.ones(len(tested), dtype=bool)
    for tool in tools:
        x = features([rows[number] for number in tested], [tool])
        p = x / 100 if tool == "affdex" else 1 / (1 + 10.0**-x)
        names = [name.lower().replace("joy", "happiness") for name in (AFFDEX if tool == "affdex" else FACET)]
        tops.append(np.array([states.index(names[k]) for k in p.argmax(1)]))
        sure &= p.max(1) >= 0.9
    agree = np.all([top == tops[0] for top in tops], axis=0)
    return *counted(agree if len(tools) > 1 else sure, tops[0], truth), np.nan


def test_what_is_stated_of_detectors_is_true(tmp_path, capsys):
    rows = faces()
    samples = tables(tmp_path, rows)
    states = list(seke.knowledge().variables["expression"].states)
    results, accepted = {}, {}
    for gold, tested in splits(rows):
        for name, tools in SETS.items():
            score = regression(rows, gold, tested, tools, states)
            results.setdefault(("logistic regression", name), []).append(score)
            accepted.setdefault(("plain rule", name), []).append(plain_rule(rows, tested, tools, states))
        for weight in WEIGHTS:
            base = overlay(tmp_path, weight)
            scores, decided = ours(tmp_path, rows, samples, base, gold, tested, states)
            for name, score in scores.items():
                results.setdefault((f"weight {weight:g}", name), []).append(score)
                accepted.setdefault((f"weight {weight:g}", name), []).append(decided[name])
    with capsys.disabled():
        print(f"\n{len(rows)} faces, {GOLD} with gold, {SPLITS} splits by people")
        print(f"  {'':28} stated - true  right  log loss")
        for (model, name), scores in results.items():
            gap, right, loss = np.mean(scores, 0)
            spread = np.std(scores, 0)[0]
            print(f"  {model:20} {name:7} {gap:+.3f} ({spread:.3f})  {right:.3f}  {loss:.3f}")
        print(f"  {'':28} accepted   wrong  stated")
        for (model, name), counts in accepted.items():
            items, taken, wrong, risk = np.sum(counts, 0)
            shares = f"{wrong / max(taken, 1):.3f}  {risk / max(taken, 1):.3f}"
            print(f"  {model:20} {name:7} {taken / items:9.2f}  {shares}")
    for name in SETS:
        gap, _, loss = np.mean(results["weight 6", name], 0)
        assert abs(gap) < LARGEST_GAP, name
        # No worse than what has only the scores and the gold, but for what a table of labels cannot say.
        assert loss < np.mean(results["logistic regression", name], 0)[2] + LARGEST_LOSS, name
