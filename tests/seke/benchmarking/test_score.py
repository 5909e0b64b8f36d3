"""`seke bench score`: against scikit-learn on the same files, laws of resamples and pairs, and bad input."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn import metrics

import seke
from engine import AnswerError, Misfit, SekeError
from seke.benchmarking import text as score_text
from seke.benchmarking.predictions import read_predictions
from seke.cli.main import main
from seke.tables.record_writer import Writer
from tests.small_study import SMALL_FACES

ROOT = Path(__file__).parents[3]
PLANTS = ROOT / "examples" / "plants" / "knowledge"
BASE = seke.knowledge()
UNITS = BASE.levels["action_units"]
QUICK = {"bootstrap": 60}


def run(*args):
    return CliRunner(catch_exceptions=False).invoke(main, ["bench", "score", *map(str, args)])


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Posterior records in every format, their truth, and those of observers that misfit."""
    folder = tmp_path_factory.mktemp("bench")
    (part,) = seke.simulate(items=250, draws=2, questions=["joint"], seed=5)
    samples = [*part.samples]
    for sample in samples[::40]:
        kept = ("item", "observer", "question", "draw")
        refused = {key: sample[key] for key in kept} | {"status": "refused"}
        samples[samples.index(sample)] = refused
    records = list(seke.infer(samples))
    (worse,) = seke.simulate(items=250, draws=2, questions=["joint"], seed=5, misfit=Misfit(drift=1.0))
    worse_records = list(seke.infer(worse.samples))
    few = [{key: row[key] for key in ("item", "expression", "valence", "AU1", "AU12")} for row in part.truth]
    files = {"p.jsonl": records, "p.csv.gz": records, "p.parquet": records, "worse.jsonl": worse_records}
    for name, rows in (files | {"truth.csv": part.truth, "few.csv": few}).items():
        with Writer(folder / name) as writer:
            writer.write(rows)
    return folder


def truth_of(bench, name="truth.csv"):
    with (bench / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def records_of(bench, name="p.jsonl"):
    return [json.loads(line) for line in (bench / name).read_text("utf-8").splitlines()]


def only(report):
    (card,) = report.facts["predictions"]
    return card


def value(card, variable, score):
    return card["variables"][variable]["scores"][score]["value"]


def test_scores_are_those_of_scikit_learn_on_the_same_files(bench):
    card = only(seke.score(bench / "p.jsonl", bench / "truth.csv", **QUICK))
    truth, records = truth_of(bench), records_of(bench)
    states = BASE.variables["expression"].states
    gold = [states.index(row["expression"]) for row in truth]
    p = np.array([list(record["expression"].values()) for record in records])
    assert list(records[0]["expression"]) == list(states)
    predicted = p.argmax(1)
    near = pytest.approx
    assert value(card, "expression", "accuracy") == near(metrics.accuracy_score(gold, predicted), abs=1e-6)
    assert value(card, "expression", "balanced_accuracy") == near(
        metrics.balanced_accuracy_score(gold, predicted), abs=1e-6
    )
    assert value(card, "expression", "macro_f1") == near(
        metrics.f1_score(gold, predicted, average="macro"), abs=1e-6
    )
    shares = np.maximum(p[np.arange(len(p)), gold], 1e-6)
    assert value(card, "expression", "log_loss") == near(-np.log(shares).mean(), abs=1e-6)
    assert value(card, "expression", "brier") == near(
        np.mean(((p - np.eye(len(states))[gold]) ** 2).sum(1)), abs=1e-6
    )
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        gold, predicted, labels=range(len(states)), zero_division=np.nan
    )
    for k, of_class in enumerate(card["variables"]["expression"]["classes"]):
        assert of_class["gold"] == support[k]
        for key, wanted in (("precision", precision), ("recall", recall), ("f1", f1)):
            assert (math.nan if of_class[key] is None else of_class[key]) == near(
                wanted[k], abs=1e-6, nan_ok=True
            )
    table = metrics.confusion_matrix(gold, predicted, labels=range(len(states)))
    assert card["variables"]["expression"]["confusion"] == table.tolist()
    f1s = []
    for unit in UNITS:
        y = [int(row[unit]) for row in truth]
        z = [int(record["decision"]["levels"][unit]["value"]) for record in records]
        f1s.append(metrics.f1_score(y, z))
        assert value(card, unit, "f1") == near(f1s[-1], abs=1e-6)
        stated = [record["action_units"][unit] for record in records]
        assert value(card, unit, "log_loss") == near(metrics.log_loss(y, np.clip(stated, 1e-6, 1)), abs=1e-4)
    assert card["levels"]["action_units"]["mean_f1"]["value"] == near(np.mean(f1s), abs=1e-6)


def test_numbers_and_decisions_are_those_worked_from_the_records(bench):
    card = only(seke.score(bench / "p.parquet", bench / "truth.csv", **QUICK))
    truth, records = truth_of(bench), records_of(bench)
    for name in ("valence", "arousal"):
        x = np.array([float(row[name]) for row in truth])
        y = np.array([record[name]["mean"] for record in records])
        cov = np.cov(x, y, bias=True)
        ccc = 2 * cov[0, 1] / (cov[0, 0] + cov[1, 1] + (x.mean() - y.mean()) ** 2)
        assert value(card, name, "ccc") == pytest.approx(ccc, abs=1e-5)
        inside = [r[name]["q05"] <= v <= r[name]["q95"] for r, v in zip(records, x, strict=True)]
        assert value(card, name, "inside") == pytest.approx(np.mean(inside), abs=1e-6)
        levels = [record["decision"]["levels"][name] for record in records]
        kept = np.array([level["decision"] == "accept" for level in levels])
        wrong = np.abs(x - y) > BASE.policy.tolerance[name]
        assert value(card, name, "coverage") == pytest.approx(kept.mean(), abs=1e-6)
        assert value(card, name, "accepted_error") == pytest.approx(wrong[kept].mean(), abs=1e-6)
        risk = np.array([level["risk"] for level in levels])
        assert value(card, name, "accepted_risk") == pytest.approx(risk[kept].mean(), abs=1e-6)


def test_every_format_scores_the_same(bench):
    wanted = only(seke.score(bench / "p.jsonl", bench / "truth.csv", **QUICK))
    for source in (bench / "p.csv.gz", bench / "p.parquet", records_of(bench)):
        card = only(seke.score(source, bench / "truth.csv", **QUICK))
        assert card | {"path": ""} == wanted | {"path": ""}


def test_the_order_of_predictions_does_not_matter(bench):
    wanted = only(seke.score(bench / "p.jsonl", bench / "truth.csv", **QUICK))
    card = only(seke.score(records_of(bench)[::-1], bench / "truth.csv", **QUICK))
    assert card["variables"] == wanted["variables"]


def test_probabilities_without_decisions_are_enough(bench):
    full = only(seke.score(bench / "p.jsonl", bench / "truth.csv", bootstrap=0))
    bare = [
        {key: record[key] for key in ("item", "expression", "valence")}
        | {"action_units": record["action_units"]}
        for record in records_of(bench)
    ]
    card = only(seke.score(bare, bench / "truth.csv", bootstrap=0))
    assert set(card["variables"]) == {"expression", "valence", *UNITS}
    for score in ("accuracy", "log_loss", "ece"):
        assert value(card, "expression", score) == value(full, "expression", score)
    assert value(card, "expression", "aurc") == pytest.approx(value(full, "expression", "aurc"), abs=1e-3)
    assert "coverage" not in card["variables"]["expression"]["scores"]
    assert card["variables"]["valence"]["scores"]["aurc"]["reason"] == "no risks are predicted"
    assert "accept" not in card["refusals"]["classes"][0]


def test_hard_labels_have_no_probabilities(bench):
    labels = [
        {"item": r["item"], "expression": r["decision"]["levels"]["expression"]["value"]}
        for r in records_of(bench)
    ]
    labels[3]["expression"] = None
    report = seke.score(labels, bench / "truth.csv", **QUICK)
    scores = only(report)["variables"]["expression"]["scores"]
    assert scores["log_loss"] == {
        "value": None,
        "low": None,
        "high": None,
        "reason": "hard labels have no probabilities",
    }
    assert only(report)["variables"]["expression"]["items"] == 249
    assert only(report)["variables"]["expression"]["unpredicted"] == 1
    assert "hard labels have no probabilities" in str(report)


def test_refusals_are_told_by_gold_class(bench):
    truth, records = truth_of(bench), records_of(bench)
    kept = [record for at, record in enumerate(records) if at % 10 != 3]
    card = only(seke.score(kept, bench / "truth.csv", bootstrap=0))
    by_item = {record["item"]: record for record in kept}
    assert card["without_prediction"]["count"] == 25
    assert card["refusals"]["variable"] == "expression"
    assert sum(counts["refused_answers"] for counts in card["refusals"]["classes"][:-1]) > 0
    for counts in card["refusals"]["classes"]:
        items = [row["item"] for row in truth if counts["class"] in ("all", row["expression"])]
        predicted = [by_item[item] for item in items if item in by_item]
        assert counts["gold"] == len(items)
        assert counts["without_prediction"] == len(items) - len(predicted)
        assert counts["refused_items"] == sum(r["diagnostics"]["refused"] > 0 for r in predicted)
        assert counts["refused_answers"] == sum(r["diagnostics"]["refused"] for r in predicted)
        assert counts["answers"] == sum(r["diagnostics"]["samples"] for r in predicted)
        for decision in ("accept", "requery", "reject"):
            assert counts[decision] == sum(r["decision"]["item"] == decision for r in predicted)


def intervals(card):
    scores = card["variables"]["expression"]["scores"] | {
        "ccc": card["variables"]["valence"]["scores"]["ccc"]
    }
    return {
        name: (scores[name]["low"], scores[name]["high"]) for name in ("accuracy", "log_loss", "brier", "ccc")
    }


def test_groups_are_resampled_whole(bench, tmp_path):
    """Every item told three times, as one group, is no more than told once."""
    truth, records = truth_of(bench, "few.csv"), records_of(bench)
    plain = only(seke.score(records, truth, **QUICK))
    thrice = [row | {"item": f"{row['item']}/{k}", "group": row["item"]} for row in truth for k in range(3)]
    copies = [record | {"item": f"{record['item']}/{k}"} for record in records for k in range(3)]
    grouped = only(seke.score(copies, thrice, groups="group", **QUICK))
    ungrouped = [{k: v for k, v in row.items() if k != "group"} for row in thrice]
    apart = only(seke.score(copies, ungrouped, **QUICK))
    # A table of near-duplicates does the same as the column.
    table = tmp_path / "clusters.csv"
    table.write_text("\n".join(["item,cluster", *(f"{row['item']},{row['group']}" for row in thrice)]))
    report = seke.score(copies, ungrouped, clusters=table, **QUICK)
    assert intervals(only(report)) == intervals(grouped)
    assert "250 groups by clusters" in str(report)
    table.write_text("item,cluster\nanother,1\n")
    with pytest.raises(SekeError, match="has none of the items; it names 'another', the gold"):
        seke.score(copies, ungrouped, clusters=table, **QUICK)
    assert (plain["units"], grouped["units"], apart["units"]) == (250, 250, 750)
    for name, (low, high) in intervals(plain).items():
        assert intervals(grouped)[name] == pytest.approx((low, high), abs=2e-6)
        narrow = intervals(apart)[name]
        assert narrow[1] - narrow[0] < 0.75 * (high - low)


def test_a_pair_is_compared_on_the_same_resamples(bench):
    paths = bench / "p.jsonl", bench / "worse.jsonl"
    (there,) = seke.score(paths, bench / "few.csv", **QUICK).facts["comparisons"]
    (back,) = seke.score(paths[::-1], bench / "few.csv", **QUICK).facts["comparisons"]
    cards = seke.score(paths, bench / "few.csv", **QUICK).facts["predictions"]
    for name, variable in there["variables"].items():
        for score, difference in variable["differences"].items():
            mirror = back["variables"][name]["differences"][score]
            if difference["value"] is not None:
                assert difference["value"] == pytest.approx(-mirror["value"], abs=2e-6)
                values = [value(card, name, score) for card in cards]
                assert difference["value"] == pytest.approx(values[1] - values[0], abs=2e-6)
            if difference["low"] is not None:
                assert (difference["low"], difference["high"]) == pytest.approx(
                    (-mirror["high"], -mirror["low"]), abs=2e-6
                )
    accuracy = there["variables"]["expression"]["differences"]["accuracy"]
    assert accuracy["low"] < accuracy["value"] < accuracy["high"] < 0
    test = there["variables"]["expression"]["mcnemar"]
    gap = (test["only_other_right"] - test["only_one_right"]) / 250
    assert gap == pytest.approx(accuracy["value"], abs=1e-6)
    assert test["p"] < 1e-4
    assert there["levels"]["action_units"]["mean_f1"]["value"] < 0
    (same,) = seke.score([paths[0]] * 2, bench / "few.csv", **QUICK).facts["comparisons"]
    for variable in same["variables"].values():
        assert {difference["value"] for difference in variable["differences"].values()} <= {0, None}
        assert variable.get("mcnemar", {"p": 1})["p"] == 1


def test_only_items_that_both_have_are_compared(bench):
    records = records_of(bench)
    (pair,) = seke.score([records[:150], records[100:]], bench / "truth.csv", **QUICK).facts["comparisons"]
    assert pair["items"] == 50
    with pytest.raises(SekeError, match="have no item of gold in common"):
        seke.score([records[:100], records[100:]], bench / "truth.csv", **QUICK)


def test_nothing_is_made_up_where_a_score_is_not_defined(bench):
    records = records_of(bench)[:6]
    gold = [
        {"item": r["item"], "expression": "fear", "valence": 0.5, "AU1": 0, "AU2": 0, "AU4": 1}
        for r in records
    ]
    report = seke.score(records, gold, **QUICK)
    card = only(report)
    for variable, score, reason in (
        ("expression", "balanced_accuracy", "all gold is of one class"),
        ("valence", "pearson", "all gold is the same number"),
        ("AU1", "f1", "no item is positive in gold"),
        ("AU4", "balanced_accuracy", "all gold is of one class"),
    ):
        interval = card["variables"][variable]["scores"][score]
        assert (interval["value"], interval["reason"]) == (None, reason)
    means = card["levels"]["action_units"]["mean_f1"]
    assert means["over"] == ["AU4"]
    assert means["left_out"] == dict.fromkeys(("AU1", "AU2"), "no item is positive in gold")
    assert "over 1 of 3\n  left out, no item is positive in gold: AU1 AU2" in str(report)
    blank = [row | {"valence": None} for row in gold]
    nothing = only(seke.score(records, blank, **QUICK))["variables"]["valence"]
    assert nothing["items"] == 0
    assert {score["value"] for score in nothing["scores"].values()} == {None}
    assert "low" in nothing["scores"]["ccc"]
    alone = only(seke.score(records[:1], gold, **QUICK))
    assert alone["variables"]["expression"]["scores"]["accuracy"]["low"] is None


def test_another_world_than_faces(tmp_path):
    (part,) = seke.simulate(PLANTS, 120, draws=2, questions=["photo"], seed=2)
    records = list(seke.infer(part.samples, PLANTS))
    card = only(report := seke.score(records, part.truth, PLANTS, **QUICK))
    right = [
        max(r["posteriors"]["disease"], key=r["posteriors"]["disease"].get) == row["disease"]
        for r, row in zip(records, part.truth, strict=True)
    ]
    assert value(card, "disease", "accuracy") == pytest.approx(np.mean(right), abs=1e-6)
    assert card["variables"]["humidity"]["scores"]["sign_agreement"]["value"] is None
    assert "signs: mean F1" in str(report)
    inferred, gold = tmp_path / "p.jsonl", tmp_path / "g.csv"
    inferred.write_text(json.dumps(records[0]) + "\n", "utf-8")
    gold.write_text("item,disease\na,drought\n", "utf-8")
    with pytest.raises(AnswerError) as refused:
        seke.score(inferred, gold, **QUICK)
    first, second = str(refused.value).splitlines()
    assert re.fullmatch(r".*/p.jsonl: is about disease, .* base faces does not have; name .* \(-k\)", first)
    assert second.startswith(f"{gold}:1: disease: no such column")
    with pytest.raises(AnswerError, match=r"predicts no variable of the base faces .* \(-k\)"):
        seke.score(records, [{"item": "item-000000", "AU1": 1}])


def test_the_command_prints_text_or_json_and_draws(bench, tmp_path):
    pictures = tmp_path / "png"
    result = run(
        *(bench / "p.jsonl", bench / "worse.jsonl", bench / "few.csv", "--bootstrap", 50),
        *("--pictures", pictures),
    )
    assert result.exit_code == 0
    assert "macro F1" in result.stdout
    assert "exact McNemar p" in result.stdout
    facts = seke.score([bench / "p.jsonl", bench / "worse.jsonl"], bench / "few.csv", bootstrap=50).facts
    assert score_text.text(facts) == result.stdout.rstrip("\n")
    tables = [line for line in score_text.text(facts, 72).splitlines() if re.search(r"\S {2,}\S", line)]
    assert max(map(len, tables)) <= 72
    names = {path.name for path in pictures.iterdir()}
    kinds = ("confusion-expression", "reliability-expression", "reliability-binary", "numbers")
    assert names == {f"{kind}-{n}.png" for kind in kinds for n in (1, 2)} | {"risk-coverage.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures.iterdir())
    # Without units, whose picture of many parts is the dearest.
    with (bench / "few.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            {name: value for name, value in row.items() if not name.startswith("AU")}
            for row in csv.DictReader(file)
        ]
    with (tmp_path / "plain.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    as_json, again = (
        run(
            bench / "p.jsonl",
            tmp_path / "plain.csv",
            *["--bootstrap", "50", "--json", "--format", "svg", "--pictures"],
            folder,
        )
        for folder in (tmp_path / "svg", tmp_path / "more")
    )
    facts = json.loads(as_json.stdout, parse_constant=pytest.fail)
    assert facts["predictions"][0]["items"] == 250
    assert "points" in facts["predictions"][0]["variables"]["valence"]
    assert (tmp_path / "svg" / "numbers.svg").read_text("utf-8").count(">gold<") == 1
    assert again.stdout == as_json.stdout
    for path in (tmp_path / "svg").iterdir():
        assert path.read_bytes() == (tmp_path / "more" / path.name).read_bytes()
    (tmp_path / "file").write_text("")
    refused = run(bench / "p.jsonl", bench / "truth.csv", "--bootstrap", 0, "--pictures", tmp_path / "file")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "file: cannot be made" in refused.stderr


def test_either_side_may_come_from_standard_input(bench):
    files = bench / "p.jsonl", bench / "few.csv"
    wanted = run(*files, "--bootstrap", 0).stdout.replace(str(files[0]), "-").replace(str(files[1]), "-")
    rows = "".join(json.dumps(row) + "\n" for row in labels_of(bench))
    for arguments, text in ((("-", files[1]), files[0].read_text("utf-8")), ((files[0], "-"), rows)):
        result = CliRunner().invoke(
            main, ["bench", "score", *map(str, arguments), "--bootstrap", "0"], input=text
        )
        assert result.exit_code == 0, result.stderr
        shown = result.stdout
        for name in ("<stdin>", *map(str, files)):
            shown = shown.replace(name, "-")
        assert shown == wanted


def labels_of(bench):
    """The rows of the small table of truth, as JSON has them."""
    for row in truth_of(bench, "few.csv"):
        bits = {name: int(row[name]) for name in ("AU1", "AU12")}
        yield row | bits | {"valence": float(row["valence"])}


def test_items_of_no_group_are_groups_of_their_own(bench):
    rows = [row | {"who": "s" if at < 100 else None} for at, row in enumerate(labels_of(bench))]
    report = seke.score(bench / "p.jsonl", rows, groups="who", **QUICK)
    assert (only(report)["units"], only(report)["ungrouped"]) == (151, 150)
    assert "151 groups by who, of which 150 are single items without one" in str(report)


def test_items_on_one_side_are_told(bench, tmp_path):
    gold = tmp_path / "gold.csv"
    gold.write_text("item,expression\nitem-000001,fear\nnobody,fear\nnowhere,anger\n")
    result = run(bench / "p.jsonl", gold)
    assert result.exit_code == 0
    assert result.stderr.replace(f"{bench}/", "").splitlines() == [
        "p.jsonl: lacks 2 items of gold, such as 'nobody', 'nowhere'",
        "p.jsonl: 249 items that gold lacks, such as 'item-000000', 'item-000002', 'item-000003'",
    ]


RECORD = {"item": "a", "expression": dict.fromkeys(BASE.variables["expression"].states, 0.125)}
FAULTY = {
    "gold first": (
        None,
        '{"item": "a", "expression": {"fear": 1}}',
        "gold.jsonl: holds predictions with prob",
    ),
    "no item in common": (
        RECORD | {"item": "x"},
        None,
        "p.jsonl and gold.jsonl have no item in common: 'x' in",
    ),
    "no variable in common": (
        RECORD,
        '{"item": "a", "AU1": 1}',
        "have no variable in common: 'expression' predicted",
    ),
    "another base": (
        {"item": "a", "posteriors": {"rain": 0.5}},
        None,
        "predicts no variable of the base faces",
    ),
    "samples": (
        {"item": "a", "observer": "gpt-4o", "question": "expression", "expression": "fear"},
        None,
        "p.jsonl: these are samples, not predictions; they are inferred first, by seke.infer or",
    ),
    "no item": ({"expression": RECORD["expression"]}, None, "p.jsonl:1: item: missing"),
    "a state": (
        {"item": "a", "expression": {"joy": 1}},
        None,
        "p.jsonl:1: expression: no such state of the base",
    ),
    "a state is missing": (
        {"item": "a", "expression": {"fear": 1}},
        None,
        "p.jsonl:1: expression: has no prob",
    ),
    "too much": (
        {"item": "a", "expression": dict.fromkeys(RECORD["expression"], 0.2)},
        None,
        "p.jsonl:1: expression: the probabilities sum to 1.6; allowed is 1",
    ),
    "a probability": (
        {"item": "a", "action_units": {"AU1": 1.5}},
        '{"item": "a", "AU1": 1}',
        "p.jsonl:1: action_units.AU1: met 1.5 (a number); allowed is a number from 0 to 1",
    ),
    "a null": (
        {"item": "a", "action_units": {"AU1": None}},
        '{"item": "a", "AU1": 1}',
        "p.jsonl:1: action_units.AU1: met None (null); allowed is a number from 0 to 1",
    ),
    "a text": (
        {"item": "a", "action_units": {"AU1": "x"}},
        '{"item": "a", "AU1": 1}',
        "p.jsonl:1: action_units.AU1: met 'x' (a text); allowed is a number from 0 to 1",
    ),
    "a decision": (
        RECORD | {"decision": {"item": "maybe"}},
        None,
        "p.jsonl:1: decision.item: met 'maybe' (a text); allowed are accept, requery, reject",
    ),
    "gold": (
        RECORD,
        '{"item": "a", "expression": "joyce"}',
        "gold.jsonl:1: expression: no such state: 'joyce'",
    ),
}


def test_predictions_without_gold_are_told_what_is_wanted():
    result = run("p.jsonl")
    assert result.exit_code == 2
    assert "PREDICTIONS and GOLD are wanted: one file or more, and the gold last." in result.stderr


@pytest.mark.parametrize("name", FAULTY)
def test_bad_input_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    record, gold, message = FAULTY[name]
    Path("p.jsonl").write_text(json.dumps(record or RECORD))
    Path("gold.jsonl").write_text(gold or '{"item": "a", "expression": "fear"}')
    result = run("p.jsonl", "gold.jsonl")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    report = json.loads(run("p.jsonl", "gold.jsonl", "--json").stdout)
    assert message in report["faults"][0]["message"]


def test_bad_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = json.dumps(RECORD)
    Path("gold.csv").write_text("item,expression\na,fear\n")
    for name, text, message in (
        ("p.jsonl", f"{line}\n\n{line}\n", "p.jsonl:3: item 'a' was predicted already at p.jsonl:1"),
        (
            "p.jsonl",
            f'{line}\n{{"item": "b"}}\n',
            "p.jsonl:2: expression: missing, unlike in the first record",
        ),
        ("p.jsonl", f"{line}\n{{\n", "p.jsonl:2:2: "),
        ("p.jsonl", "", "p.jsonl:1: the file is empty"),
        ("p.csv", "item,expression.fear\n", "p.csv:1: no predictions: there is no row"),
        ("p.csv", "item,expression.fear\na\n", "p.csv:2: met 1 cells; the header names 2 columns"),
        ("p.parquet", "PAR1", "p.parquet: not a parquet file that can be read"),
        ("none.jsonl", None, "none.jsonl: no such file"),
    ):
        if text is not None:
            Path(name).write_text(text)
        result = run(name, "gold.csv")
        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr
    # The folder of a run stands for its posteriors.
    Path("run").mkdir()
    assert "run: is a directory; name the files in it" in run("run", "gold.csv").stderr
    Path("run/posteriors.jsonl").write_text(line)
    assert run("run", "gold.csv").stdout == run("run/posteriors.jsonl", "gold.csv").stdout
    Path("p.jsonl").write_text(line)
    result = run("p.jsonl", "gold.csv", "--groups", "subject")
    assert (result.exit_code, result.stderr) == (
        2,
        "gold.csv:1: subject: no such column; there are item, expression\n",
    )


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_long_file_is_read_in_parts_as_one(tmp_path, monkeypatch, ending):
    """Longer than what is read at once: items in order, faults by their place in the whole file."""
    monkeypatch.chdir(tmp_path)
    p = np.random.default_rng(4).random(2_345).round(6)
    rows = [{"item": f"i{i}", "action_units": {"AU1": float(x)}} for i, x in enumerate(p)]
    place = {"jsonl": "p.jsonl:{}", "csv": "p.csv:{}", "parquet": "p.parquet: row {}"}[ending]
    first = 2 if ending == "csv" else 1

    def read(records):
        with Writer(Path(f"p.{ending}")) as writer:
            writer.write(records)
        return read_predictions(f"p.{ending}", BASE)

    predictions = read(rows)
    assert predictions.items == tuple(row["item"] for row in rows)
    np.testing.assert_array_equal(predictions.variables["AU1"].p, p)
    np.testing.assert_array_equal(predictions.variables["AU1"].value, p >= 0.5)
    with pytest.raises(AnswerError) as caught:
        read([*rows, rows[1_200]])
    earlier = place.format(1_200 + first)
    assert str(caught.value).endswith(f"item 'i1200' was predicted already at {earlier}")
    assert str(caught.value).startswith(place.format(2_345 + first) + ": ")
    with pytest.raises(
        AnswerError, match=r": action_units\.AU1: met .*1\.5.*; allowed is a number"
    ) as caught:
        read([*rows, {"item": "x", "action_units": {"AU1": 1.5}}])
    assert str(caught.value).startswith(place.format(2_345 + first) + ": ")


def test_labels_of_standard_input_are_read_to_their_end(monkeypatch):
    rows = [{"item": f"i{i}", "AU1": i % 2} for i in range(1_234)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    predictions = read_predictions("-", BASE)
    assert predictions.items == tuple(row["item"] for row in rows)
    np.testing.assert_array_equal(predictions.variables["AU1"].value, [row["AU1"] for row in rows])


@pytest.mark.slow
def test_a_thousand_resamples_of_a_large_set_take_seconds(tmp_path):
    """Measured in processor time, so that neighbours on the machine do not count."""
    import time

    items = 26_238
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(len(BASE.variables["expression"].states), 0.4), items).round(6)
    units = rng.beta(0.5, 1.5, (items, len(UNITS))).round(6)
    states = BASE.variables["expression"].states
    records = [
        {"item": str(i), "expression": dict(zip(states, p[i].tolist(), strict=True)),
         "action_units": dict(zip(UNITS, units[i].tolist(), strict=True)),
         "valence": {"mean": float(v), "q05": -1.0, "q95": 1.0}}
        for i, v in enumerate(rng.uniform(-1, 1, items).round(3))
    ]  # fmt: skip
    truth = [
        {"item": str(i), "expression": states[int(rng.integers(8))], "valence": 0.0}
        | {unit: int(u) for unit, u in zip(UNITS, rng.random(len(UNITS)) < units[i], strict=True)}
        for i in range(items)
    ]
    start = time.process_time()
    report = seke.score(records, truth)
    spent = time.process_time() - start
    print(f"\n{items:,} items, 1,000 resamples: {spent:.1f} s of processor time")
    assert only(report)["items"] == items
    assert spent < 60


def test_the_level_is_told_as_it_was_given(bench, tmp_path):
    page = tmp_path / "s.html"
    given = ["--bootstrap", 20, "--level", 0.975, "--html", page]
    result = run(bench / "p.jsonl", bench / "few.csv", *given)
    assert "intervals: 97.5%, 20 bootstrap resamples" in result.stdout
    assert "its 97.5% interval" in page.read_text("utf-8")


def test_a_value_that_is_only_inferred_is_read_and_is_not_accepted(bench, tmp_path):
    """In every format; it scores as any value that is open."""
    records = records_of(bench)
    names = ("AU1", "AU12")
    for word in ("inferred", "reject"):
        for record in records[::2]:
            for name in names:
                record["decision"]["levels"][name] |= {"decision": word, "basis": None}
        for ending in ("jsonl", "csv", "parquet"):
            with Writer(tmp_path / f"{word}.{ending}") as writer:
                writer.write(records)
    for ending in ("jsonl", "csv", "parquet"):
        inferred, opened = (
            read_predictions(tmp_path / f"{word}.{ending}", seke.knowledge())
            for word in ("inferred", "reject")
        )
        for name in names:
            accepted = inferred.variables[name].accepted
            assert not accepted[::2].any()
            assert accepted.tolist() == opened.variables[name].accepted.tolist()
            assert inferred.variables[name].value.tolist() == opened.variables[name].value.tolist()
    records[0]["decision"]["levels"]["AU1"]["decision"] = "guessed"
    with pytest.raises(AnswerError, match="allowed are accept, requery, reject, inferred"):
        read_predictions(records, seke.knowledge())


def test_macro_f1_is_over_the_classes_that_are_there_and_the_others_are_named():
    """Worked by hand: F1 of happiness 4/5, of fear 1/2; contempt is predicted once, and gold has none."""
    gold = ["happiness", "happiness", "happiness", "fear", "fear"]
    predicted = ["happiness", "happiness", "fear", "fear", "contempt"]
    gold_rows, rows = (
        [{"item": f"i{number}", "expression": state} for number, state in enumerate(states)]
        for states in (gold, predicted)
    )
    report = seke.score([rows], gold_rows, bootstrap=0)
    expression = only(report)["variables"]["expression"]
    assert value(only(report), "expression", "macro_f1") == pytest.approx((4 / 5 + 1 / 2) / 2, abs=1e-6)
    assert expression["absent"] == [state for state in expression["states"] if state not in gold]
    named = "no gold of neutral, sadness, surprise, disgust, anger, contempt: balanced accuracy and macro F1"
    assert f"{named} are over 2 classes" in str(report)
    (contempt,) = (row for row in expression["classes"] if row["state"] == "contempt")
    assert (contempt["gold"], contempt["predicted"], contempt["f1"]) == (0, 1, 0)


def test_class_means_are_of_the_other_items_of_the_gold_class():
    gold = [
        {"item": "a", "expression": "fear", "valence": -0.5},
        {"item": "b", "expression": "fear", "valence": -0.3},
        {"item": "c", "expression": "fear", "valence": -0.1},
        {"item": "d", "expression": "happiness", "valence": 0.6},
        {"item": "e", "expression": "happiness", "valence": 0.8},
        {"item": "f", "expression": "anger", "valence": 0.1},
        {"item": "g", "valence": -0.4},
    ]
    predictions = [{"item": row["item"], "expression": "fear", "valence": 0.2} for row in gold]
    report = seke.score(predictions, gold, **QUICK)
    valence = only(report)["variables"]["valence"]
    x = np.array([row["valence"] for row in gold])
    others = [x[1:3].mean(), x[[0, 2]].mean(), x[:2].mean(), 0.8, 0.6, np.delete(x, 5).mean(), x[:6].mean()]
    y = np.array(others)
    ccc = 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    means = valence["class_means"]
    assert set(means) == {"ccc", "pearson", "rmse", "mae", "sign_agreement"}
    assert means["ccc"] == pytest.approx(ccc, abs=1e-6)
    assert means["rmse"] == pytest.approx(math.sqrt(np.mean((x - y) ** 2)), abs=1e-6)
    assert f"means of gold's classes: {ccc:.3f}" in str(report)
    assert "means of gold&#39;s classes" in report.html() or "means of gold's classes" in report.html()


def test_without_gold_classes_there_are_no_class_means():
    gold = [{"item": item, "valence": v} for item, v in (("a", 0.1), ("b", 0.4), ("c", -0.2))]
    predictions = [{"item": item, "valence": 0.0} for item in "abc"]
    report = seke.score(predictions, gold, **QUICK)
    assert only(report)["variables"]["valence"]["class_means"] == {}
    assert "classes" not in str(report)


def test_scores_and_explanations_of_made_up_answers_say_so(tmp_path):
    folder, small = tmp_path / "run", ("-k", str(SMALL_FACES))
    invoke = CliRunner(catch_exceptions=False).invoke
    picture = str(ROOT / "examples" / "annotate" / "smile.png")
    made = ["annotate", picture, "--run", str(folder), "--model", "gpt-4o", "--scripted", *small]
    assert invoke(main, [*made, "--max-samples", "2"]).exit_code in (0, 1)
    (tmp_path / "gold.csv").write_text("item,expression\nsmile,happiness\n")
    records, copy = folder / "posteriors.jsonl", tmp_path / "posteriors.jsonl"
    copy.write_bytes(records.read_bytes())
    caution = "all answers are made up (scripted): the labels say nothing about the pictures"
    html = tmp_path / "page.html"
    scored = run(records, tmp_path / "gold.csv", *small, "--bootstrap", 0, "--html", html)
    assert f"\n  {caution}\n" in scored.stdout
    assert caution in html.read_text("utf-8")
    told = invoke(main, ["explain", str(folder), "smile", *small, "--text", "--html", str(html)])
    assert f"{caution.capitalize()}." in " ".join(told.stdout.split())
    assert f"{caution.capitalize()}." in html.read_text("utf-8")
    # A copy elsewhere does not know it.
    assert "made up" not in run(copy, tmp_path / "gold.csv", *small, "--bootstrap", 0).stdout
