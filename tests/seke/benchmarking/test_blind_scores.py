"""Gold that is evidence, too: made-up answers beside a set's own labels are not scored as if they knew."""

from __future__ import annotations

import json
import random
import re

import pytest
from click.testing import CliRunner

import seke
from engine import SekeError
from seke.cli.main import main
from seke.tables.record_writer import Writer

STATES = seke.knowledge().variables["expression"].states
# Items of which the set's label, which is the gold, is among the answers; the last items have no answer.
ITEMS, LABELLED, LAST = 90, 60, 88


def run(*arguments, status=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write samples: answers by chance, then labels; gold; posteriors of all, and of the answers alone."""
    place, chance = tmp_path_factory.mktemp("evidence"), random.Random(7)
    names = [f"item-{number}" for number in range(ITEMS)]
    truth = {name: chance.choice(STATES) for name in names}
    key = {"question": "expression", "draw": 0}
    answers = [
        {"item": name, "observer": "gpt-4o", **key, "expression": chance.choice(STATES)}
        for name in names[:LAST]
    ]
    labelled = [*names[:LABELLED], *names[LAST:]]
    labels = [
        {"item": name, "observer": "dataset-label", **key, "expression": truth[name]} for name in labelled
    ]
    tables = {
        "answers.jsonl": answers,
        "samples.jsonl": answers + labels,
        "gold.csv": [{"item": name, "expression": truth[name]} for name in names],
        "blind.jsonl": list(seke.infer(answers)),
    }
    records = list(seke.infer(answers + labels))
    tables |= {f"p.{ending}": records for ending in ("jsonl", "csv", "parquet")}
    for name, rows in tables.items():
        with Writer(place / name) as writer:
            writer.write(rows)
    return place


def expression(report):
    (card,) = report.facts["predictions"]
    return card["variables"]["expression"]


def accuracy(report):
    return expression(report)["scores"]["accuracy"]["value"]


def test_a_record_names_the_variables_that_a_label_of_the_set_reports(folder):
    records = [json.loads(line) for line in (folder / "p.jsonl").read_text().splitlines()]
    labelled = [record["diagnostics"]["labelled"] for record in records]
    assert labelled == [["expression"]] * LABELLED + [[]] * (LAST - LABELLED) + [["expression"]] * 2


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_values_whose_gold_is_evidence_are_left_out_of_scores_and_counted(folder, ending):
    report = seke.score(folder / f"p.{ending}", folder / "gold.csv", bootstrap=0)
    assert (expression(report)["items"], expression(report)["gold_evidence"]) == (
        LAST - LABELLED,
        LABELLED + 2,
    )
    assert expression(report)["unpredicted"] == 0
    # Chance is right in one of eight; the labels' own gold is right nearly always.
    assert accuracy(report) < 0.4
    kept = seke.score(folder / f"p.{ending}", folder / "gold.csv", bootstrap=0, keep_gold_evidence=True)
    assert (expression(kept)["items"], expression(kept)["gold_evidence"]) == (ITEMS, 0)
    assert accuracy(kept) > 0.6
    part = {"item-" + str(n) for n in range(LABELLED, LAST)}
    others = [record for record in seke.infer(folder / "samples.jsonl") if record["item"] in part]
    assert accuracy(report) == accuracy(seke.score(others, folder / "gold.csv", bootstrap=0))


def test_the_command_says_what_it_left_out_and_how_to_score_it(folder, tmp_path):
    result = run("bench", "score", folder / "p.jsonl", folder / "gold.csv", "--bootstrap", 0)
    assert "expression, 28 items, 62 more left out, whose gold entered as evidence" in result.stdout
    assert "gold entered as evidence, too, as a data set's labels: expression (62 items)" in result.stderr
    assert "--blind-to GOLD" in result.stderr
    drawn = run("plot", "reliability", folder / "p.jsonl", folder / "gold.csv", "-o", tmp_path / "r.svg")
    assert "--blind-to GOLD" in drawn.stderr
    kept = run("bench", "score", folder / "p.jsonl", folder / "gold.csv", "--keep-gold-evidence", "--json")
    assert "evidence" not in kept.stderr
    assert json.loads(kept.stdout)["options"]["keep_gold_evidence"]


def test_records_that_are_all_evidence_have_no_scores_and_the_reason(folder):
    some = [record for record in seke.infer(folder / "samples.jsonl") if record["diagnostics"]["labelled"]]
    score = expression(seke.score(some, folder / "gold.csv"))["scores"]["macro_f1"]
    assert score["value"] is None
    assert score["reason"] == "all its gold entered as evidence, as labels of a data set"
    text = str(seke.score(some, folder / "gold.csv"))
    assert text.count(score["reason"]) == 1
    assert re.search(r"(?m)^  \d+ scores without a value, all its gold entered .*macro F1; ", text)
    # A table of classes without an item says nothing.
    assert "precision" not in text


def test_old_records_name_what_only_a_label_reports(folder):
    records = list(seke.infer(folder / "samples.jsonl"))
    for record in records:
        del record["diagnostics"]["labelled"]
    report = seke.score(records, folder / "gold.csv", bootstrap=0)
    assert expression(report)["gold_evidence"] == ITEMS - LAST
    assert not report.facts["predictions"][0]["labels_known"]


def test_a_pair_is_compared_where_neither_rests_on_its_gold(folder):
    report = seke.score([folder / "p.jsonl", folder / "blind.jsonl"], folder / "gold.csv", bootstrap=0)
    (pair,) = report.facts["comparisons"]
    assert pair["variables"]["expression"]["items"] == LAST - LABELLED


def test_what_is_named_as_labelled_must_be_names(folder):
    records = list(seke.infer(folder / "samples.jsonl"))
    records[3]["diagnostics"]["labelled"] = 7
    with pytest.raises(
        SekeError, match=r"diagnostics.labelled: met 7 .a number.; allowed is a list of variables"
    ):
        seke.score(records, folder / "gold.csv")


def test_records_made_blind_to_the_gold_are_those_of_the_answers_alone(folder, tmp_path):
    """A second way: inferring without the labels' lines."""
    blind = list(
        seke.infer(folder / "samples.jsonl", blind_to=seke.read_labels(folder / "gold.csv", seke.knowledge()))
    )
    assert blind == [json.loads(line) for line in (folder / "blind.jsonl").read_text().splitlines()]
    target = tmp_path / "b.jsonl"
    result = run("infer", folder / "samples.jsonl", "--blind-to", folder / "gold.csv", "-o", target)
    assert target.read_bytes() == (folder / "blind.jsonl").read_bytes()
    left_out = (
        "expression (62 items, 62 equal to the gold). It is left out, with 2 items that have no other answer"
    )
    assert left_out in result.stderr
    assert run("infer", folder / "answers.jsonl", "--blind-to", folder / "gold.csv").stdout
    refused = run(
        "infer", folder / "samples.jsonl", "--blind-to", folder / "gold.csv", "--explain", "item-1", status=2
    )
    assert "leave out --blind-to" in refused.stderr


def test_a_report_compares_with_gold_what_was_inferred_without_it(folder):
    options = {"samples": folder / "samples.jsonl", "gold": folder / "gold.csv"}
    with pytest.warns(UserWarning, match="62 equal to the gold.*was inferred without it"):
        mixed = seke.report(folder / "p.jsonl", **options)
    bare = seke.report(
        folder / "blind.jsonl", samples=folder / "answers.jsonl", gold=folder / "gold.csv"
    ).facts
    facts = mixed.facts
    assert facts["overview"]["reliability"] == bare["overview"]["reliability"]
    assert facts["overview"]["levels"][0]["known"] == bare["overview"]["levels"][0]["known"]
    assert [curve["true"] for curve in facts["overview"]["curves"]] == [
        curve["true"] for curve in bare["overview"]["curves"]
    ]
    by_name = {observer["name"]: observer for observer in facts["observers"]["observers"]}
    assert by_name["dataset-label"]["answers"] == LABELLED + 2
    assert by_name["dataset-label"]["confusion"] is None
    assert (
        by_name["gpt-4o"]["confusion"]["observed"]
        == (bare["observers"]["observers"][0]["confusion"]["observed"])
    )
    assert "inferred without it" in facts["overview"]["gold_evidence"]
    assert bare["overview"]["gold_evidence"] == ""


def test_a_report_without_samples_leaves_such_values_out(folder):
    with pytest.warns(UserWarning, match="62 items.*name the --samples"):
        facts = seke.report(folder / "p.jsonl", gold=folder / "gold.csv").facts
    (reliability,) = facts["overview"]["reliability"]
    assert sum(reliability["count"]) == LAST - LABELLED


def test_a_report_keeps_them_where_that_is_asked_for(folder, tmp_path):
    given = [
        "report",
        folder / "p.jsonl",
        "--samples",
        folder / "samples.jsonl",
        "--gold",
        folder / "gold.csv",
    ]
    result = run(*given, "--keep-gold-evidence", "-o", tmp_path / "r.html")
    assert "It is kept, so comparisons rest on it" in result.stderr
    assert "inferred without it" in run(*given, "-o", tmp_path / "s.html").stderr
