"""Guarantees for items that are asked as the policy asks: recorded answers replayed, and told from others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import seke
from engine import Inference, SekeError, prior_truth
from seke.cli.main import main
from seke.files.networks import network_of
from seke.inference.session import Session
from seke.samples import single_samples
from seke.sampling.answerers import RecordedSource, SimulatedSource
from seke.sampling.loop import Loop, run_to_completion
from seke.sampling.replay import replay
from seke.vision.fake import ScriptedModel
from seke.vision.messages import Settings

PLANTS = Path(__file__).parents[2] / "few_plants.yaml"
OVERLAY = """
extends: {plants}
remove: [variables.humidity, observers.gauge]
policy:
  budget: 6
  batches: [1, 2]
  others: []
  worth: {{diagnosis: 20, signs: 0}}
  source: judgement
  note: Photos alone are to be asked for here.
questions:
  photo: {{cost: 0.2, prompt: "What ails this plant? {{{{ answer }}}}"}}
  check: {{cost: 1000, prompt: "Is {{{{ about.name }}}} to be seen? {{{{ answer }}}}"}}
  source: judgement
  note: Checks cost too much.
"""
ITEMS = 400
PICTURES = Path(__file__).parents[3] / "examples" / "annotate"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A base, samples drawn to its budget with their gold, and what is certified of the policy's pipeline."""
    place = tmp_path_factory.mktemp("replay")
    (place / "base.yaml").write_text(OVERLAY.format(plants=PLANTS))
    given = ["--items", str(ITEMS), "--question", "photo", "--draws", "6", "--seed", "8"]
    run("simulate", "-k", str(place / "base.yaml"), *given, "-o", str(place / "s.jsonl"),
        "--truth", str(place / "gold.csv"))  # fmt: skip
    sure = ["-k", str(place / "base.yaml"), "--gold", str(place / "gold.csv"), "--alpha", "0.2"]
    run("calibrate", str(place / "s.jsonl"), *sure, "--adaptive", "-o", str(place / "sure.yaml"))
    return place


def run(*args, status=0):
    result = CliRunner().invoke(main, list(args))
    assert result.exit_code == status, result.output
    return result


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def asked_by_policy(base, rows):
    """Those of recorded samples that the policy asks for, by its loop."""
    source = RecordedSource(single_samples(rows, base))
    standing = run_to_completion(Loop(Session.open(base)), source.items, source)
    counts = {line[:3] + line[4:]: count for line, count in standing.given.items()}
    keys = [(row["item"], row["observer"], row["question"], row.get("view", "face")) for row in rows]
    return [row for row, key in zip(rows, keys, strict=True) if row["draw"] < counts.get(key, 0)]


@pytest.fixture(scope="module")
def asked(folder):
    """Those of the samples that the certified policy asks for."""
    return asked_by_policy(seke.knowledge(folder / "sure.yaml"), lines(folder / "s.jsonl"))


def test_the_certificate_says_how_items_were_asked(folder):
    guarantee = seke.knowledge(folder / "sure.yaml").guarantee
    assert guarantee.design.adaptive
    assert guarantee.certified
    assert guarantee.design.least < guarantee.design.most
    assert any("those that this policy asked for" in assumption for assumption in guarantee.assumptions)


def test_items_asked_as_the_policy_asks_are_covered_and_err_as_promised(folder, tmp_path):
    base = seke.knowledge(folder / "sure.yaml")
    inference = Inference(network_of(base), base)
    names = [f"new-{i}" for i in range(400)]
    truth = prior_truth(inference, len(names), np.random.default_rng(5))
    loop = Loop(Session.open(base))
    standing = run_to_completion(loop, names, SimulatedSource(inference, names, truth, seed=6))
    records = loop.records(standing)
    assert all(record["decision"]["guarantee"]["holds"] for record in records)
    states = base.variables[base.root].states
    accepted = [
        (record["decision"]["levels"][base.root]["value"], states[int(truth[base.root][i])])
        for i, record in enumerate(records)
        if record["decision"]["levels"][base.root]["decision"] == "accept"
    ]
    assert len(accepted) > 40
    wrong = sum(value != true for value, true in accepted) / len(accepted)
    assert wrong < 0.2 + 3 * np.sqrt(0.2 * 0.8 / len(accepted))


def test_recorded_items_are_told_from_those_that_were_asked_otherwise(folder, asked, tmp_path):
    rows = lines(folder / "s.jsonl")
    assert 0 < len(asked) < len(rows)
    sure = ["-k", str(folder / "sure.yaml"), "--json"]
    result = run("infer", write_rows(tmp_path / "asked.jsonl", asked), *sure)
    guarantees = [json.loads(line)["decision"]["guarantee"] for line in result.stdout.splitlines()]
    assert len(guarantees) == ITEMS
    assert all(guarantee["holds"] for guarantee in guarantees)
    # All six answers of everything: more than the policy asks for of most.
    result = run("infer", str(folder / "s.jsonl"), *sure, status=1)
    held = [json.loads(line)["decision"]["guarantee"] for line in result.stdout.splitlines()]
    per_item = {row["item"]: 0 for row in rows}
    for row in asked:
        per_item[row["item"]] += 1
    assert [guarantee["holds"] for guarantee in held] == [count == 6 for count in per_item.values()]
    assert {guarantee["why"] for guarantee in held if not guarantee["holds"]} <= {
        f"{n} answer{'s' * (n > 1)} that the policy would not have asked for" for n in range(1, 6)
    }


def test_nothing_is_accepted_of_an_item_of_which_more_would_be_asked(folder, asked, tmp_path):
    last = {row["item"]: row["draw"] for row in asked}
    cut = [row for row in asked if last[row["item"]] == 0 or row["draw"] < last[row["item"]]]
    path = write_rows(tmp_path / "cut.jsonl", cut)
    result = CliRunner().invoke(main, ["infer", path, "-k", str(folder / "sure.yaml"), "--json"])
    records = [json.loads(line) for line in result.stdout.splitlines()]
    open_items = [record for record in records if last[record["item"]]]
    assert len(open_items) > 20
    ways = set()
    for record in open_items:
        decision = record["decision"]
        ways.add(decision["guarantee"]["why"])
        if decision["guarantee"]["holds"]:
            assert decision["next"] is not None
            assert all(level["decision"] != "accept" for level in decision["levels"].values())
    # Where two were to be asked at once and one is there, the policy never stood where the item stands.
    assert ways == {"", "fewer answers per request than the policy asks for"}


def test_what_the_policy_would_not_ask_for_is_counted(folder):
    base, rows = seke.knowledge(folder / "base.yaml"), lines(folder / "s.jsonl")[:60]
    samples = single_samples(rows, base)
    replayed = replay(Session.open(base), samples)
    assert (replayed.answers.samples + replayed.surplus == 6).all()
    alone = replay(Session.open(base), samples.about(samples.items[3:5]))
    assert alone.answers.items == samples.items[3:5]
    np.testing.assert_array_equal(alone.surplus, replayed.surplus[3:5])


def test_a_check_says_whether_certificates_hold(folder, tmp_path):
    assert "holds for this base" in run("knowledge", "check", str(folder / "sure.yaml")).output
    (tmp_path / "o.yaml").write_text(
        f"extends: {folder / 'sure.yaml'}\npolicy: {{budget: 5, source: judgement, note: Fewer.}}\n"
    )
    output = run("knowledge", "check", str(tmp_path / "o.yaml"), "--strict", status=1).output
    assert "refused: policy changed since it was made" in output
    facts = seke.check(tmp_path / "o.yaml").facts["guarantee"]
    assert len(facts["refused"]) == 1
    assert seke.check(folder / "base.yaml").facts["guarantee"] is None


def test_too_few_recorded_answers_are_refused(folder, tmp_path):
    rows = [row for row in lines(folder / "s.jsonl")[:240] if row["draw"] < 1]
    few = write_rows(tmp_path / "few.jsonl", rows)
    given = ["-k", str(folder / "base.yaml"), "--gold", str(folder / "gold.csv"), "--alpha", "0.2"]
    result = run("calibrate", few, *given, "--adaptive", "-o", str(tmp_path / "o.yaml"), status=2)
    assert "record as many as its budget (6)" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["few.jsonl"]


def test_samples_that_are_read_once_cannot_be_checked(folder):
    result = CliRunner().invoke(main, ["infer", "-", "-k", str(folder / "sure.yaml")], input="")
    assert result.exit_code == 2
    assert "read twice, so give a file" in result.output


def test_without_alpha_there_is_nothing_adaptive(folder):
    with pytest.raises(SekeError, match="needs alpha"):
        seke.calibrate([folder / "s.jsonl"], folder / "base.yaml", folder / "gold.csv", adaptive=True)


def test_answers_of_somebody_whom_the_policy_does_not_ask_are_refused(tmp_path):
    samples = [
        {"item": f"i{i}", "observer": "human", "question": "expression", "draw": 0, "expression": "fear"}
        for i in range(6)
    ]
    gold = tmp_path / "gold.csv"
    gold.write_text("item,expression\n" + "".join(f"i{i},fear\n" for i in range(6)))
    words = "it asks gpt-4o, the samples are of human"
    with pytest.raises(SekeError, match=words):
        seke.calibrate(samples, None, gold, alpha=0.1, adaptive=True, output=tmp_path / "o.yaml")
    assert not (tmp_path / "o.yaml").exists()


def test_what_is_asked_first_is_part_of_the_policy(folder, tmp_path):
    base = seke.knowledge(folder / "base.yaml")
    (tmp_path / "first.yaml").write_text(
        f"extends: {folder / 'base.yaml'}\npolicy: {{first: {{question: photo, samples: 2}}, "
        "source: judgement, note: Two at once.}\n"
    )
    other = seke.knowledge(tmp_path / "first.yaml")
    assert base.digests["policy"] != other.digests["policy"]
    assert base.digests["observers"] == other.digests["observers"]


def test_annotation_goes_by_the_certificates_and_says_so(folder, tmp_path):
    given = {"knowledge": folder / "sure.yaml", "settings": Settings("app")}
    summary = seke.annotate(PICTURES, tmp_path / "r", ScriptedModel(), **given)
    assert summary.refused == ()
    assert any(
        line.startswith("guaranteed with 90 % confidence: at most 20 % wrong") for line in summary.promises
    )
    records = lines(tmp_path / "r" / "posteriors.jsonl")
    assert all(record["decision"]["guarantee"]["holds"] for record in records)
    # What was asked is what the policy asks: inferred from the samples, all is the same.
    assert list(seke.infer(tmp_path / "r" / "samples.jsonl", folder / "sure.yaml")) == records
    summary = seke.annotate(PICTURES, tmp_path / "s", ScriptedModel(), **given, max_samples=2)
    assert summary.promises == ()
    assert summary.refused == ("it was made for the declared policy, but this run asks by another one",)


def test_a_question_without_words_is_met_before_anything_is_asked(tmp_path):
    with pytest.raises(SekeError, match="question photo has no `prompt`, so app cannot be asked"):
        seke.annotate(PICTURES, tmp_path / "r", ScriptedModel(), knowledge=PLANTS, observer="app")
    assert not (tmp_path / "r").exists()
