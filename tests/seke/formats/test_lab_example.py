"""The lab's example: what its README says of each item, and what fusing gains in simulation."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

import seke

LAB = Path(__file__).parents[3] / "examples" / "lab"


def test_the_readme_says_what_is_decided(tmp_path):
    seke.convert("openface", sorted((LAB / "openface").glob("*.csv")), tmp_path / "openface.jsonl")
    files = [tmp_path / "openface.jsonl", LAB / "vlm.jsonl", LAB / "students.csv"]
    true = {}
    for record in seke.infer(files, LAB / "lab.yaml"):
        p = record["expression"]
        best = max(p, key=p.get)
        true[record["item"]] = (best, pytest.approx(p[best], abs=0.0101), record["decision"]["item"])
    lines = [line for line in (LAB / "README.md").read_text().splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    stated = {
        item.strip("`"): (answer.split()[0], float(answer.split()[1]), decision)
        for item, _, answer, decision in cells
    }
    assert stated == true


def test_fused_is_better_than_each_alone_and_than_a_vote():
    lab = runpy.run_path(str(LAB / "measure.py"))
    base = seke.knowledge(LAB / "lab.yaml")
    truth, samples = lab["simulated"](base, 200, 1)
    units = [name for name in base.levels["action_units"] if name in base.observers["openface"].labels]

    def scores(*names):
        chosen = [record for record in samples if record["observer"] in names]
        return lab["scores"](seke.infer(chosen, base), truth, units)

    right, gap, loss, f1 = scores(*lab["ASKED"])
    alone = [scores(name) for name in lab["ASKED"]]
    voted = np.mean([name == truth[item]["expression"] for item, name in lab["vote"](samples).items()])
    # Standard errors of a share of 200 are .035 at most.
    assert right > max(score[0] for score in alone) + 0.1
    assert right > voted + 0.1
    assert loss < min(score[2] for score in alone)
    assert f1 > max(score[3] for score in alone)
    assert abs(gap) < 0.05
