"""The loop through people: exported, answered by a scripted person who follows what she is shown, imported.

pytest tests/benchmarks/test_review_loop.py -m slow -s
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import seke

sys.path.append(str(Path(__file__).parents[1] / "seke" / "review"))
from review_runs import made_faces, run_of, scripted_answers, write_answers

from seke.review.tasks import read_tasks

pytestmark = pytest.mark.slow
# Made-up faces of a run, runs of each setting, and the share of tasks that show nothing.
COUNT, RUNS, BLIND = 200, 3, 0.3


def accepted_values(path, truth):
    """Return accepted values by level: (stated risk, whether wrong)."""
    base, values = seke.knowledge(), {"expression": [], "affect": [], "action_units": []}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        for level, names in base.levels.items():
            for name in names if level in values else ():
                decided, right = record["decision"]["levels"][name], truth[record["item"]][name]
                if decided["decision"] != "accept":
                    continue
                kind, value = base.variables[name].kind, decided["value"]
                wrong = value != right
                if kind == "binary":
                    wrong = bool(value) != bool(right)
                elif kind == "interval":
                    wrong = abs(value - right) > base.policy.tolerance[name]
                values[level].append((decided["risk"], wrong))
    return values


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs with their exported tasks, a person's looks and the truth."""
    folder, made = tmp_path_factory.mktemp("runs"), []
    for seed in range(RUNS):
        samples, looks, truth = made_faces(COUNT, seed)
        run = run_of(folder / str(seed), samples)
        seke.review_export(run, folder / f"{seed}.csv", "csv", blind=BLIND)
        made.append((run, read_tasks(run / "review" / "tasks.jsonl"), looks, truth))
    return made


@pytest.mark.parametrize("anchoring", [0.0, 0.3, 0.6])
def test_errors_of_accepted_values_are_as_stated_where_anchoring_is_modelled(runs, anchoring, tmp_path):
    """Stated and true share of wrong values, with the model of anchoring and with answers taken as looks."""
    gathered, learned = {True: {}, False: {}}, []
    for number, (run, tasks, looks, truth) in enumerate(runs):
        answers = list(scripted_answers(tasks.values(), looks, "anna", anchoring=anchoring, seed=number))
        for modelled in (True, False):
            copy = tmp_path / f"{number}-{modelled}"
            shutil.copytree(run, copy)
            shown = answers if modelled else [{**answer, "shown": False} for answer in answers]
            imported = seke.review_import([write_answers(tmp_path / "anna.jsonl", shown)], copy)
            if modelled:
                learned.append(imported.people["annotator-anna"]["repeats"])
            for level, values in accepted_values(copy / "review" / "posteriors.jsonl", truth).items():
                gathered[modelled].setdefault(level, []).extend(values)
    print(f"\nanchoring {anchoring}: learned {', '.join(f'{share:.2f}' for share in learned)}")
    excess = {}
    for modelled, levels in gathered.items():
        for level, values in levels.items():
            stated, wrong = np.mean(values, axis=0) if values else (np.nan, np.nan)
            excess[modelled, level] = wrong - stated
            how = "modelled" if modelled else "taken as looks"
            print(f"  {how:14} {level:12} {len(values):5} accepted, stated {stated:.3f}, wrong {wrong:.3f}")
    assert np.mean(learned) == pytest.approx(anchoring, abs=0.15)
    if anchoring >= 0.3:
        assert excess[True, "expression"] < excess[False, "expression"] - 0.03
        assert excess[True, "action_units"] < excess[False, "action_units"]
