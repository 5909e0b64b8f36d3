"""Scores by the protocol of FEAB: definitions by hand, what is refused, digests, pairs."""

from __future__ import annotations

import csv
import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy.stats import binomtest
from sklearn.metrics import f1_score

import seke
from engine import SekeError
from seke.cli.main import main
from seke.datasets.registry import source_sets

if TYPE_CHECKING:
    from pathlib import Path

PERSONS = sorted(source_sets()["ckplus"].feab.persons)


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


def face(item: str, source: str, group: str = "", **labels: object) -> dict[str, object]:
    return {"path": f"{item}.png", "item": item, "source": source, "group": group, **labels}


def scores_of(report, variable: str, part: int | None = None, system: int = 0) -> dict[str, float]:
    card = report.facts["predictions"][system]
    card = card if part is None else card["sources"][part]
    return {name: score["value"] for name, score in card["variables"][variable]["scores"].items()}


def test_every_item_counts_by_the_declared_definitions(tmp_path):
    gold = written(tmp_path / "faces.csv", [
        face("a", "affwild2", "1", expression="happiness", valence=0.5, AU12=1),
        face("b", "affwild2", "1", expression="happiness", valence=-0.5, AU12=1),
        face("c", "affwild2", "2", expression="sadness", valence=0.2, AU12=0),
        face("d", "affwild2", "2", expression="anger", valence=0.8, AU12=0),
    ])  # fmt: skip
    answers = written(tmp_path / "model.csv", [
        {"item": "a", "expression": "happiness", "valence": 0.5, "AU12": 1},
        {"item": "b", "expression": "refused", "valence": "refused", "AU12": "refused"},
        {"item": "d", "expression": "anger", "valence": 0.4, "AU12": 1},
        {"item": "of another set", "expression": "fear", "valence": 0, "AU12": 0},
    ])  # fmt: skip
    report = seke.feab(answers, gold, bootstrap=200)
    # Of four items two are right; happiness has one hit, one miss; sadness none; anger one hit.
    expression = scores_of(report, "expression")
    assert expression["accuracy"] == pytest.approx(0.5)
    assert expression["macro_f1"] == pytest.approx((2 / 3 + 0 + 1) / 3, abs=1e-6)
    # The refused and the missing answer are 0, the middle of the range.
    truth, said = np.array([0.5, -0.5, 0.2, 0.8]), np.array([0.5, 0, 0, 0.4])
    valence = scores_of(report, "valence")
    assert valence["rmse"] == pytest.approx(np.sqrt(((truth - said) ** 2).mean()), abs=1e-6)
    cov = ((truth - truth.mean()) * (said - said.mean())).mean()
    spread = truth.var() + said.var() + (truth.mean() - said.mean()) ** 2
    assert valence["ccc"] == pytest.approx(2 * cov / spread, abs=1e-6)
    # AU12: a hit, a refused one counts as absent, a missing one as present, and d is wrong.
    assert scores_of(report, "AU12")["f1"] == pytest.approx(f1_score([1, 1, 0, 0], [1, 0, 1, 1]), abs=1e-6)
    assert report.facts["systems"][0]["not_answered"] == {"expression": 1, "valence": 1, "AU12": 1}
    assert report.facts["predictions"][0]["variables"]["expression"]["void"] == {
        "refused": 1,
        "unreadable": 1,
    }
    assert "1 item without an answer, counted as wrong" in str(report)
    assert "FEAB's test items are not known; these are the manifest's own" in str(report)


@pytest.fixture(scope="module")
def two_sets(tmp_path_factory):
    """Manifests of CK+ (test and training part) and DISFA, and the predictions of two models."""
    folder = tmp_path_factory.mktemp("feab")
    rng = np.random.default_rng(3)
    states = ["happiness", "sadness", "anger", "fear"]
    faces = [
        face(f"ck{i}", "CK+", PERSONS[i % 10], split="test", expression=states[rng.integers(4)])
        for i in range(34)
    ]
    train = face("ck-train", "CK+", "S010", split="train", expression="fear")
    written(folder / "ck.csv", [train, *faces])
    units = [
        face(f"d{i}", "disfa", f"SN{i % 5}", AU1=rng.integers(2), AU12=rng.integers(2)) for i in range(30)
    ]
    written(folder / "disfa.csv", units)
    for name, right in (("weak", 0.4), ("strong", 0.8)):
        rows = []
        for row in (*faces, *units):
            known = {key: row[key] for key in ("expression", "AU1", "AU12") if key in row}
            wrong = {
                key: states[(states.index(value) + 1) % 4] if key == "expression" else 1 - value
                for key, value in known.items()
            }
            blank = {"expression": "", "AU1": "", "AU12": ""}
            rows.append({"item": row["item"], **blank, **(known if rng.random() < right else wrong)})
        written(folder / f"{name}.csv", rows)
    return folder


def test_pairs_are_compared_set_by_set(two_sets):
    gold = [two_sets / "ck.csv", two_sets / "disfa.csv"]
    report = seke.feab([two_sets / "weak.csv", two_sets / "strong.csv"], gold, bootstrap=300)
    assert report.facts["gold"]["items"] == 64  # the row of the training part is none
    assert [part["source"] for part in report.facts["comparisons"]] == ["all", "CK+", "DISFA"]
    ck = report.facts["comparisons"][1]["variables"]["expression"]
    before, after = (scores_of(report, "expression", 0, system)["accuracy"] for system in (0, 1))
    assert ck["differences"]["accuracy"]["value"] == pytest.approx(after - before, abs=1e-6)
    only = ck["mcnemar"]["only_one_right"], ck["mcnemar"]["only_other_right"]
    assert ck["mcnemar"]["p"] == pytest.approx(binomtest(only[0], sum(only)).pvalue, rel=1e-3)
    assert report.facts["comparisons"][2]["levels"]["action_units"]["mean_f1"]["low"] > 0
    assert report.facts["protocol"]["sets"][0]["split"] == "FEAB's 34 items of 10 persons"
    assert report.facts["predictions"][0]["sources"][0]["units"] == 10
    # Published figures are marked in the page, which has the pairs, too, and no score beyond the protocol's.
    page = report.html()
    assert "other protocol: 981 pictures" in page
    assert "strong.csv against weak.csv" in page
    assert "balanced accuracy" not in page


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with two runs about the same items, one picture of which differs between them."""
    folder = tmp_path_factory.mktemp("runs")
    rows = [face(f"f{i}", "rafdb", expression="fear") for i in range(3)]
    gold = written(folder / "faces.csv", rows)
    for name, shift in (("one", 0), ("other", 1)):
        for i in range(3):
            shade = 40 * i + (9 if i == 0 else 0) * shift
            Image.new("RGB", (16, 16), (shade, 80, 120)).save(folder / f"f{i}.png")
        arguments = ["bench", "run", "--images", str(gold), "--run", str(folder / name), "--scripted"]
        assert CliRunner().invoke(main, arguments).exit_code == 0
    return folder


def test_a_run_names_its_prompts_and_pictures(runs, tmp_path):
    arguments = ["bench", "feab", str(runs / "one"), str(runs / "other"), "--images", str(runs / "faces.csv")]
    done = CliRunner().invoke(main, [*arguments, "-o", str(tmp_path / "out"), "--bootstrap", "50", "--json"])
    assert done.exit_code == 0, done.output
    facts = json.loads((tmp_path / "out" / "results.json").read_text())
    assert facts == json.loads(done.stdout)
    one, other = facts["systems"]
    assert one["models"] == ["scripted"]
    assert one["scripted"]
    assert one["prompts"] == other["prompts"]
    assert list(one["prompts"]) == ["expression"]
    with (tmp_path / "out" / "pictures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = sorted(f"{row['item']}\t{row['picture of one']}\n" for row in rows)
    assert one["pictures"] == {"count": 3, "digest": hashlib.sha256("".join(lines).encode()).hexdigest()}
    assert facts["other_pictures"] == {"count": 1, "examples": ["f0"]}
    text = (tmp_path / "out" / "feab.txt").read_text()
    assert "1 item seen as other pictures, such as 'f0'" in text
    assert "its answers are made up (scripted): they say nothing about a model" in text
    # A file of the run is known as the run's.
    alone = seke.feab(runs / "one" / "predictions.csv", runs / "faces.csv", bootstrap=0)
    assert alone.facts["systems"][0]["prompts"] == one["prompts"]


REFUSED = {
    "of no set": (
        {"source": "rafd"},
        "item 'x': source: met 'rafd'; allowed are the sets of FEAB: ckplus, rafdb, ",
    ),
    "of a person that FEAB trains on": (
        {"source": "ckplus", "group": "S010"},
        "item 'x' of CK+ shows S010, whom FEAB trains on; its test persons are S022, ",
    ),
    "of no test part": ({"split": "train"}, "split: no row says 'test'; met train"),
    "that nobody answered": ({"item": "y"}, "have no item in common: 'x' in the one, 'y' in the other"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_gold_is_refused(tmp_path, what):
    changes, message = REFUSED[what]
    gold = written(tmp_path / "faces.csv", [face("x", "rafdb", expression="fear", split="test") | changes])
    answers = written(tmp_path / "model.csv", [{"item": "x", "expression": "fear"}])
    done = CliRunner().invoke(
        main, ["bench", "feab", str(answers), "--images", str(gold), "-o", str(tmp_path / "out")]
    )
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()


def test_what_names_nothing_to_score_is_refused(tmp_path):
    gold = written(tmp_path / "faces.csv", [face("x", "rafdb", expression="fear")])
    plain = written(tmp_path / "plain.csv", [{"item": "x", "expression": "fear"}])
    with pytest.raises(SekeError, match=r"has neither predictions\.csv .* nor posteriors\.jsonl"):
        seke.feab(tmp_path, gold)
    with pytest.raises(SekeError, match="is named twice"):
        seke.feab([plain, plain], gold)
    with pytest.raises(SekeError, match="source: no such column; there are item, expression"):
        seke.feab(plain, plain)
    with pytest.raises(SekeError, match=r"item 'x' is in .*faces.csv already"):
        seke.feab(plain, [gold, gold])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(SekeError, match="is not empty"):
        seke.feab(plain, gold, bootstrap=0).write(tmp_path / "full")
