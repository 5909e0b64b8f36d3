"""The whole way on the shipped example: pictures -> a run -> instruction data, read back -> the benchmark."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from seke.cli.main import main

EXAMPLE = Path(__file__).parents[1] / "examples" / "annotate"
PICTURES, ANSWERS = EXAMPLE / "faces.csv", EXAMPLE / "answers.jsonl"
FORMATS = ("messages", "trl", "llava", "imagefolder", "parquet")
# What the loaders of datasets and TRL warn of when they are imported is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")


def seke(*args, status=0):
    cli_result = CliRunner().invoke(main, list(map(str, args)))
    assert cli_result.exit_code == status, cli_result.output
    return cli_result.stderr if status else cli_result.stdout


def scored(predictions):
    """Return how many items have gold of the expression, and how many of them are right."""
    (scored_file,) = json.loads(
        seke("bench", "score", predictions, PICTURES, "--keep-gold-evidence", "--json")
    )["predictions"]
    score = scored_file["variables"].get("expression")
    # Of a split of which nothing was accepted there is no accuracy.
    return (score["items"], score["items"] * (score["scores"]["accuracy"]["value"] or 0)) if score else (0, 0)


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# The readers take seconds to import; tests/seke/exporting/test_consumers.py has them read all formats anyway.
@pytest.mark.parametrize("read_back", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_annotate_export_verify_bench(tmp_path, read_back):
    run, data, asked = tmp_path / "run", tmp_path / "data", tmp_path / "asked"

    # A run that is recorded: the set's own labels and what a model answered become posteriors and decisions.
    annotated = json.loads(seke("annotate", PICTURES, "--run", run, "--recorded", ANSWERS, "--json"))
    assert annotated["finished"]
    accepted = {}
    for record in lines(run / "posteriors.jsonl"):
        levels = record["decision"]["levels"]
        accepted[record["item"]] = {
            name: level["value"] for name, level in levels.items() if level["decision"] == "accept"
        }
    assert len(accepted) == 6

    # Instruction data of it, which those who will train on it read back to the last row.
    options = [part for name in FORMATS for part in ("--format", name)]
    # Nothing of it is calibrated, and nobody's numbers are told as measured ones unasked.
    options += ["--task", "joint", "--task", "reasoned", "--split", "train:.5,test:.5"]
    assert "--uncalibrated" in seke("export", run, "-o", data, *options, "--allow-scripted", status=2)
    options.append("--uncalibrated")
    # The answers are made up, which an export has to be told, too.
    assert "--allow-scripted" in seke("export", run, "-o", data, *options, status=2)
    options.append("--allow-scripted")
    there = all(map(importlib.util.find_spec, ("datasets", "trl")))
    verify = ["--verify"] if read_back and there else []
    exported = json.loads(seke("export", run, "-o", data, *options, *verify, "--json"))
    if verify:
        assert exported["verified"]["rows"] == exported["rows"]
        assert not exported["verified"]["faults"]
    labels = {}
    for split in ("train", "test"):
        for row in lines(data / "messages" / f"{split}.jsonl"):
            (picture,) = row["images"]
            assert (data / picture).resolve() == (EXAMPLE / f"{row['item']}.png").resolve()
        for row in lines(data / "images" / split / "metadata.jsonl"):
            labels[row["item"]] = row["expression"]
    assert labels == {item: labels_of_item.get("expression", "") for item, labels_of_item in accepted.items()}

    # The export is scored as what it is: predictions, here against the labels that the set had.
    with PICTURES.open(encoding="utf-8", newline="") as file:
        gold = {row["item"]: row["expression"] for row in csv.DictReader(file) if row["expression"]}
    parts = [scored(data / "parquet" / f"{split}.parquet") for split in ("train", "test")]
    right = sum(labels[item] == label for item, label in gold.items())
    assert tuple(map(sum, zip(*parts, strict=True))) == pytest.approx((len(gold), right))

    # Any model is asked the benchmark's own questions, and scored against the same gold.
    seke("bench", "run", "--images", PICTURES, "--run", asked, "--scripted")
    with (asked / "predictions.csv").open(encoding="utf-8", newline="") as file:
        predicted = {row["item"]: row["expression"] for row in csv.DictReader(file)}
    right = sum(predicted[item] == label for item, label in gold.items())
    assert scored(asked / "predictions.csv") == pytest.approx((len(gold), right))
