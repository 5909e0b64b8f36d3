"""Real input: GPT-4V's rankings of AffectNet and SFEW faces through `seke infer` as shipped.

    pytest tests/benchmarks/test_gpt4v_rankings.py -m slow -s

Data: results published with Lian et al. 2023 (arXiv 2312.04293), in ../shared/data; the test skips where
that folder is absent. The shipped one-answer table was counted on these very pictures, so the figures
of the shipped defaults are in-sample; `first choice` and `first choice, shipped table` are the peers.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import seke

DATA = Path(__file__).parents[3] / "shared" / "data" / "gpt4v_rankings.csv"
SPLITS = 20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here"),
]


def read(name):
    with DATA.open() as file:
        return [row for row in csv.DictReader(file) if row["set"] == name]


def samples(rows, length):
    for row in rows:
        ranking = row["ranking"].split("|")[:length]
        yield {
            "item": row["item"],
            "observer": "gpt-4o",
            "question": "expression",
            "draw": 0,
            "expression": ranking,
        }


def ece(p, truth, bins=15):
    top, right = p.max(1), p.argmax(1) == truth
    place = np.minimum((top * bins).astype(int), bins - 1)
    return sum(
        abs(right[place == b].mean() - top[place == b].mean()) * (place == b).mean()
        for b in range(bins)
        if (place == b).any()
    )


def figures(p, truth):
    chosen = p[np.arange(len(truth)), truth]
    return (p.argmax(1) == truth).mean(), -np.log(chosen).mean(), ece(p, truth)


def first_choice(first, truth, states, rng):
    """Add-one confusion of the first choice, learned on one half and scored on the other."""
    order = rng.permutation(len(truth))
    learn, score = order[: len(order) // 2], order[len(order) // 2 :]
    table = np.ones((states, states))
    np.add.at(table, (truth[learn], first[learn]), 1)
    table /= table.sum(1, keepdims=True)
    prior = np.bincount(truth[learn], minlength=states) + 1
    p = prior[:, None] * table
    p = (p / p.sum(0)).T[first[score]]
    return figures(p, truth[score])


@pytest.mark.parametrize(("name", "remove"), [("affectnet", ""), ("sfew2", "contempt")])
def test_rankings_through_the_shipped_base(name, remove, tmp_path, capsys):
    rows = read(name)
    knowledge = None
    if remove:
        knowledge = tmp_path / "overlay.yaml"
        lines = [
            "extends: shipped",
            f"remove: [variables.expression.states.{remove}, rules.contempt-in-a-lip-corner]",
        ]
        knowledge.write_text("\n".join(lines) + "\n")
    base = seke.knowledge(knowledge)
    states = base.variables["expression"].states
    truth = np.array([states.index(row["label"]) for row in rows])
    lines = [f"{name}: {len(rows)} pictures, {len(states)} classes"]
    for title, length in (("ranking", 5), ("first choice, shipped table", 1)):
        records = list(seke.infer(samples(rows, length), base))
        p = np.array([[r["expression"][s] for s in states] for r in records]).clip(1e-6)
        accuracy, loss, error = figures(p / p.sum(1, keepdims=True), truth)
        lines.append(f"  {title:28} accuracy {accuracy:.3f}  log loss {loss:.3f}  ECE {error:.3f}")
        accepted = np.array([r["decision"]["levels"]["expression"]["decision"] == "accept" for r in records])
        wrong = p.argmax(1) != truth
        risk = wrong[accepted].mean() if accepted.any() else float("nan")
        stated = 1 - p[accepted].max(1).mean() if accepted.any() else float("nan")
        lines.append(
            f"  {'':28} accepted {accepted.mean():.3f}  error among them {risk:.3f}  stated {stated:.3f}"
        )
        for limit in (0.3, 0.2, 0.1):
            inside = p.max(1) >= 1 - limit
            shown = wrong[inside].mean() if inside.any() else float("nan")
            lines.append(f"  {'':28} risk limit {limit}: coverage {inside.mean():.3f}, error {shown:.3f}")
    rng = np.random.default_rng(0)
    first = np.array(
        [
            states.index(row["ranking"].split("|")[0]) if row["ranking"].split("|")[0] in states else -1
            for row in rows
        ]
    )
    known = first >= 0
    peers = np.array(
        [first_choice(first[known], truth[known], len(states), rng) for _ in range(SPLITS)]
    ).mean(0)
    lines.append(
        f"  {'first choice, learned halves':28} accuracy {peers[0]:.3f}  log loss {peers[1]:.3f}  "
        f"ECE {peers[2]:.3f}"
    )
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert len(records) == len(rows)
    assert accuracy > 1 / len(states)
