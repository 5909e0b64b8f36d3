"""examples/downstream: its plain rule, its scores, and the whole run on tables that are made up."""

from __future__ import annotations

import csv
import importlib
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "downstream"
CLASSES = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")


@pytest.fixture(scope="module")
def example():
    """The modules of the example, by name; they import one another as a script's neighbours do."""
    names = ("answers", "pictures", "students", "world", "run")
    sys.path.insert(0, str(EXAMPLE))
    try:
        yield {name: importlib.import_module(name) for name in names}
    finally:
        sys.path.remove(str(EXAMPLE))
        for name in names:
            sys.modules.pop(name)


def test_the_plain_rule_is_the_commonest_label_the_mean_and_units_named_twice(example):
    answers = [
        {"expression": "fear", "valence": -0.5, "arousal": 0.5, "action_units": ["AU1", "AU5"]},
        {"expression": "surprise", "valence": 0.2, "arousal": 0.5, "action_units": ["AU1"]},
        {"expression": "surprise", "valence": 0.0, "arousal": 0.8, "action_units": ["AU5", "AU26"]},
    ]
    label = example["run"].majority(answers, ["AU1", "AU5", "AU26"])
    assert (label["expression"], label["AU1"], label["AU5"], label["AU26"]) == ("surprise", True, True, False)
    assert (label["valence"], label["arousal"]) == pytest.approx((-0.1, 0.6))


def test_what_a_row_lacks_is_not_learned(example):
    targets = example["run"].hard_targets([{"expression": "fear", "AU1": True}], CLASSES, ["AU1", "AU2"])
    assert targets.expression[0].tolist() == [float(name == "fear") for name in CLASSES]
    known = {name: weights.tolist() for name, weights in targets.known.items()}
    assert known == {"expression": [1.0], "numbers": [0.0], "units": [[1.0, 0.0]]}
    twice = targets.after(targets)
    assert twice.units.tolist() == [[1.0, 0.0]] * 2
    assert twice.part(1, 2).known["units"].tolist() == [[1.0, 0.0]]


def test_concordance_and_intervals_by_hand(example):
    """1 for the same, 0 for a constant; 2 · 1 / (1 + 1 + 1) for numbers of variance 1 that are 1 too high."""
    truth = np.array([-1.0, 1.0])
    concordance = example["students"].concordance
    assert concordance(truth, truth) == 1
    assert concordance(truth, np.zeros(2)) == 0
    assert concordance(truth, truth + 1) == pytest.approx(2 / 3)
    # Student's quantile of two degrees of freedom is 4.303; the standard error of -1, 0, 1 is 1 / √3.
    assert example["run"].interval(np.array([-1.0, 0.0, 1.0])) == "+0.000  [-2.484, +2.484]"


@pytest.mark.slow
def test_the_whole_run_prints_scores_of_five_kinds_of_label(example, tmp_path, monkeypatch, capsys):
    made_up_answers(tmp_path / "data", np.random.default_rng(0))
    given = ["--answers", str(tmp_path / "data"), "--seeds", "2", "--budgets", "20,40", "--processes", "1"]
    monkeypatch.setattr(sys, "argv", ["run.py", *given, "-o", str(tmp_path / "table.json")])
    monkeypatch.setattr(example["students"], "STEPS", 30)
    for name, count in (("GOLD", 40), ("TEST", 40)):
        monkeypatch.setattr(example["run"], name, count)
    # Where there is one process to run in, it is this one.
    example["run"].main()
    lines = capsys.readouterr().out.splitlines()
    table = [line.split() for line in lines if line.startswith(("     0", "    20", "    40"))]
    # The gold faces alone, which all students learn, then five students for each budget.
    assert table.pop(0)[:5] == ["0", "0", "-", "-", "-"]
    assert [row[:3] for row in table] == [
        [faces, "0" if kind == "gold" else str(3 * int(faces)), kind]
        for faces, kind in itertools.product(
            ("20", "40"), ("gold", "majority", "accepted", "inferred", "soft")
        )
    ]
    assert all(row[4] == "1.00" for row in table if row[2] == "gold")
    assert sum("[" in line for line in lines) == 12


def made_up_answers(folder, rng):
    """Tables as they are read, of answers that are right in seven of ten."""
    folder.mkdir()

    def write(name, rows):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    rankings = []
    for label in CLASSES * 10:
        others = [name for name in rng.permutation(CLASSES).tolist() if name != label]
        place = 0 if rng.random() < 0.7 else 1
        ranking = [*others[:place], label, *others[place:]]
        rankings.append({"set": "affectnet", "label": label, "ranking": "|".join(ranking)})
    write("gpt4v_rankings.csv", rankings)
    tones = {"positive": "P", "neutral": "N", "negative": "G"}
    frames = []
    for gold, tone in list(tones.items()) * 20:
        first, second = (tone if rng.random() < 0.7 else rng.choice(list("PNG")) for _ in range(2))
        frames.append({"gold": gold, "gpt-4o|plain|t8": first * 3, "gemini-2.5|plain|t8": second * 3})
    write("vlm_repeats.csv", frames)
    numbers = []
    for item, feature in itertools.product(range(40), ("Pleasant", "Unpleasant", "Emotionally_aroused")):
        mean = rng.integers(0, 100)
        runs = {f"run{k}": int(np.clip(mean + rng.integers(-20, 20), 0, 100)) for k in range(1, 6)}
        numbers.append({"item": item, "feature": feature, "raters": f"{mean} {mean}", **runs})
    write("vlm_numbers.csv", numbers)
