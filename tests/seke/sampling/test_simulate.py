"""`seke simulate`: what it writes, and that inference is right about items made up as it believes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import seke
from engine import Misfit, SekeError
from seke.cli.main import main
from seke.sampling.simulate import simulate

PLANTS = Path(__file__).parents[3] / "examples" / "plants" / "knowledge"
FAR = 5.0


def run(*args):
    return CliRunner(catch_exceptions=False).invoke(main, ["simulate", *map(str, args)])


def truth_and_records(parts, base, **options):
    parts = list(parts)
    truth = [row for part in parts for row in part.truth]
    samples = [sample for part in parts for sample in part.samples]
    return truth, list(seke.infer(samples, base, **options))


def test_samples_and_truth_are_written_and_read_back(tmp_path):
    result = run("--items", 30, "--draws", 2, "--view", "face", "--view", "grey", "-o", tmp_path / "s.jsonl",
                "--truth", tmp_path / "t.csv")  # fmt: skip
    assert (result.exit_code, result.stdout) == (0, "")
    lines = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text("utf-8").splitlines()]
    questions = [name for name, question in seke.knowledge().questions.items() if not question.about_one]
    assert result.stderr == f"{len(lines)} samples of 30 items\n"
    keys = [tuple(line.get(key, "face") for key in ("item", "question", "view", "draw")) for line in lines]
    assert len(set(keys)) == len(lines) == 30 * len(questions) * 2 * 2
    records = list(seke.infer(tmp_path / "s.jsonl"))
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["item"] for row in rows] == [record["item"] for record in records]
    assert list(rows[0])[:4] == ["item", "expression", "valence", "arousal"]
    assert {row["AU12"] for row in rows} <= {"0", "1"}
    assert all(-1 <= float(row["valence"]) <= 1 for row in rows)
    again = run("--items", 30, "--draws", 2, "--view", "face", "--view", "grey")
    assert again.stdout == (tmp_path / "s.jsonl").read_text("utf-8")
    assert (
        run("--items", 30, "--draws", 2, "--view", "face", "--view", "grey", "--seed", 1).stdout
        != again.stdout
    )


@pytest.mark.parametrize("base", [None, PLANTS], ids=["faces", "plants"])
def test_inference_is_right_about_items_made_up_as_it_believes(base):
    """The stated probability of the truth is on average the sum of squares, and shares are those stated."""
    questions = ["joint"] if base is None else ["photo"]
    truth, records = truth_and_records(simulate(base, 600, draws=3, questions=questions, seed=11), base)
    root = seke.knowledge(base).root
    p = [record[root] if base is None else record["posteriors"][root] for record in records]
    table = np.array([list(beliefs.values()) for beliefs in p])
    right = np.array([list(beliefs).index(row[root]) for beliefs, row in zip(p, truth, strict=True)])
    gap = table[np.arange(len(p)), right] - (table**2).sum(1)
    assert abs(gap.mean()) < FAR * gap.std() / np.sqrt(len(gap))
    for state in range(table.shape[1]):
        gap = (right == state) - table[:, state]
        assert abs(gap.mean()) < FAR * gap.std() / np.sqrt(len(gap)) + 1e-3


def test_a_wrong_prior_and_wrong_observers_are_seen():
    """Of what was made up otherwise more is claimed than is right."""
    faces = {"questions": ["joint"], "draws": 5, "seed": 12}
    for made, options in (
        (simulate(items=150, misfit=Misfit(halo=0.95), **faces), {}),
        (simulate(items=150, misfit=Misfit(drift=1.0), **faces), {}),
        (simulate(items=150, population="uniform", **faces), {"population": "in-the-wild"}),
    ):
        truth, records = truth_and_records(made, None, **options)
        stated = np.array([max(record["expression"].values()) for record in records])
        right = [
            max(record["expression"], key=record["expression"].get) == row["expression"]
            for record, row in zip(records, truth, strict=True)
        ]
        gap = stated - np.array(right)
        assert gap.mean() > 2 * gap.std() / np.sqrt(len(gap))


def test_a_question_about_one_variable_is_asked_about_one():
    (part,) = simulate(items=20, draws=1, questions=["verify"])
    assert all(len(sample["action_units"]) == 1 for sample in part.samples)
    assert len({unit for sample in part.samples for unit in sample["action_units"]}) > 3


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--question", "jont"), "no question is called 'jont'; did you mean joint?"),
        (("--observer", "gpt4o"), "no observer is called 'gpt4o'; declare it under `observers`"),
        (("--population", "wild"), "no population is called 'wild'"),
        (
            ("--observer", "au-detector", "--question", "affect"),
            "au-detector answers none of the questions affect",
        ),
        (("-o", "x.jsonl", "--truth", "x.jsonl"), "is named for both samples and truth"),
        (("-o", "x.csv"), "samples are written as .jsonl or .jsonl.gz"),
        (("--truth", "no/such/t.csv"), "no such directory"),
    ],
)
def test_what_cannot_be_asked_is_refused(args, words):
    result = run("--items", 2, *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


@pytest.mark.parametrize("fewer", ["items", "draws"])
def test_fewer_than_one_is_refused_at_the_call(fewer):
    with pytest.raises(SekeError, match=f"^{fewer}: met -3; allowed are numbers from 1"):
        seke.simulate(**{fewer: -3})


def test_what_is_named_twice_is_asked_once():
    plain = run("--items", 2, "--question", "joint")
    twice = run(
        "--items", 2, *("--question", "joint") * 2, *("--view", "face") * 2, *("--observer", "gpt-4o") * 2
    )
    assert plain.stdout == twice.stdout
