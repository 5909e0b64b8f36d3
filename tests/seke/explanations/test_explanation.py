"""Why this label: the facts, their words, and the command that prints them."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

import seke
from engine import Basis, Origin
from seke.cli.main import main
from seke.explanations.facts import explain_in_session, inferred_facts
from seke.explanations.text import head_sentences, render
from seke.inference.session import Session
from seke.sampling.infer import batches, mark_off_policy, on_samples
from seke.sampling.loop import Loop

ROOT = Path(__file__).parents[3]
FACES = ROOT / "examples" / "faces" / "samples.jsonl"
PLANTS = ROOT / "examples" / "plants"
SPRINKLER = ROOT / "examples" / "sprinkler"
ITEMS = [
    "afraid-brows",
    "set-label-alone",
    "all-refused",
    "same-answer-fifty-times",
    "ranking",
]


@cache
def quick(item):
    """The explanation of an item by a base that was not read: no number of it is tried for its say."""
    return explain_in_session(ready()[0], FACES, item)


def unread(base=None, **policy):
    """The shipped base, or another, as if it had been made in Python, its policy changed."""
    knowledge = seke.knowledge(base)
    return replace(knowledge, yaml=None, policy=replace(knowledge.policy, **policy))


@pytest.fixture(scope="module")
def explained():
    """The explanations of all items; no number is tried for its say."""
    return {item: quick(item) for item in ITEMS}


@pytest.fixture(scope="module")
def tried():
    """The explanation of an item of a small base whose numbers are tried for their say."""
    return seke.explain(PLANTS / "samples.jsonl", "bed-2", PLANTS / "knowledge")


@pytest.fixture(scope="module")
def records():
    return {record["item"]: record for record in seke.infer(FACES)}


@cache
def ready(base=None, **policy):
    """A session of a base (default: the shipped one), its policy changed, and the example's answers."""
    session = mark_off_policy(on_samples(Session.open(unread(base, **policy)), FACES), FACES)
    (answers,) = batches(FACES, session.knowledge)
    return session, answers


def inferred(item, base=None, **policy):
    """What is inferred and decided about an item, nothing tried otherwise."""
    session, answers = ready(base, **policy)
    place = answers.items.index(item)
    return json.loads(json.dumps(inferred_facts(session, answers.part(place, place + 1))))


def verdict(facts):
    """What is said first, as one line."""
    return " ".join(" ".join(head_sentences(facts)).split())


def log_odds(p, label):
    return math.log2(p[label] / sum(value for name, value in p.items() if name != label))


@pytest.mark.parametrize("item", ITEMS)
def test_the_facts_are_those_of_the_record(explained, records, item):
    facts, record = explained[item].facts, records[item]
    assert json.loads(json.dumps(facts)) == facts
    assert facts["posterior"] == pytest.approx(record["expression"], abs=1e-6)
    label, level = facts["label"], record["decision"]["levels"]["expression"]
    assert label["value"] == level["value"]
    assert label["bits"] == pytest.approx(log_odds(facts["posterior"], label["value"]), abs=1e-3)
    assert facts["decision"]["risk"] == level["risk"]
    assert facts["decision"]["accepted"] == (level["decision"] == "accept")
    assert facts["decision"]["item"] == record["decision"]["item"]
    assert (facts["decision"]["origin"], facts["decision"]["basis"]) == (level["origin"], level["basis"])
    assert facts["conflict"]["bits"] == record["diagnostics"]["conflict_bits"]
    assert facts["conflict"]["probability"] == record["diagnostics"]["conflict"]
    assert facts["prior"]["population"] == "uniform"
    assert facts["prior"]["place"] == "shipped/priors.yaml:7:10"


def test_a_reading_left_out_weighs_what_it_says(explained):
    """Against the samples with that reading's lines taken out."""
    item = "afraid-brows"
    lines = [json.loads(line) for line in FACES.read_text().splitlines() if line.strip()]
    samples = [line for line in lines if line["item"] == item]
    facts = explained[item].facts
    for reading in facts["readings"]:
        without_reading = [line for line in samples if line["question"] != reading["question"]]
        (record,) = seke.infer(without_reading)
        label = facts["label"]["value"]
        bits = facts["label"]["bits"] - log_odds(record["expression"], label)
        assert reading["bits"] == pytest.approx(bits, abs=1e-3)


def test_what_is_asked_is_what_the_record_asks(explained, records):
    asked = 0
    for item in ITEMS:
        following, step = records[item]["decision"]["next"], explained[item].facts["next"]
        if following is not None:
            same = {key: step["asked"][key] for key in ("observer", "question", "about", "view", "samples")}
            assert same == {key: following[key] for key in same}
            assert step["why"] in ("ask", "doubtful")
            asked += 1
        else:
            assert step["why"] not in ("ask", "doubtful")
        for name in {outcome["variable"] for outcome in step.get("outcomes", ())}:
            outcomes = [outcome for outcome in step["outcomes"] if outcome["variable"] == name]
            assert sum(outcome["probability"] for outcome in outcomes) == pytest.approx(1, abs=0.02)
    assert asked


AIMED = """extends: {base}
policy: {{source: judgement, note: a trial, limits: {{diagnosis: {{mean: 0.1}}}}, worth: {{signs: 0}}}}
fits:
  fit-1:
    source: judgement
    note: a trial
    made: "2025-01-31"
    population: {population}
    persons: 1
    observers: {{}}
    readings: []
    thresholds: {{disease: {{any: {{{found}}}}}}}
    adaptive_thresholds: {{disease: {{any: {{{found}, aim: {aim}}}}}}}
"""


@pytest.mark.parametrize("aim", [0.002, 0.3])
def test_a_run_asks_on_down_to_its_aim_and_the_explanation_says_what(tmp_path, aim):
    """An item that is accepted between an aim and the threshold: explained is what the policy's loop asks."""
    found = "limit: 0.1, risk: 0.3, items: 40, accepted: 30, mean: 0.09"
    population = seke.knowledge(PLANTS / "knowledge").reference
    overlay, samples = tmp_path / "aimed.yaml", PLANTS / "samples.jsonl"
    text = AIMED.format(base=PLANTS / "knowledge", population=population, found=found, aim=aim)
    overlay.write_text(text, encoding="utf-8")
    session = Session.open(seke.knowledge(overlay))
    (answers,) = batches(samples, session.knowledge)
    requests = {request.item: request for request in Loop(session.asking()).begin(answers).requests}
    by_item = {record["item"]: record["decision"] for record in seke.infer(samples, overlay)}
    item = "bed-2"
    assert by_item[item]["levels"]["disease"]["decision"] == "accept"
    assert 0.002 < by_item[item]["levels"]["disease"]["risk"] < 0.3
    assert by_item[item]["next"] is None
    facts = [seke.explain(samples, item, unread(overlay)).facts]
    if item in requests:
        # With the numbers that were tried, as the command prints it.
        command = ["infer", str(samples), "-k", str(overlay), "--json", "--explain", item]
        facts.append(json.loads(CliRunner().invoke(main, command).stdout))
    for following in (explanation["next"] for explanation in facts):
        if item in requests:
            keys = ("observer", "question", "about", "view", "samples")
            assert [following["asked"][key] for key in keys] == [getattr(requests[item], key) for key in keys]
        assert following["why"] == ("ask" if item in requests else "settled")
    assert (item in requests) == (aim < 0.3)


def test_a_number_said_to_change_the_decision_does(tried, tmp_path):
    """As a user would try it: an overlay of one number."""
    facts, text = tried.facts, str(tried)
    assert len(facts["numbers"]) == 3
    # Some are one of a distribution, in which the others make room, and some stand alone.
    assert {flip["shared"] for flip in facts["numbers"]} == {False, True}
    lines = [json.loads(line) for line in (PLANTS / "samples.jsonl").read_text().splitlines() if line]
    for flip in facts["numbers"]:
        assert flip["path"] in text
        assert re.search(rf"{re.escape(flip['path'])}:\s+{flip['value']:g} -> {flip['to']:g}", text)
        *above, last = flip["path"].removesuffix("[0]").split(".")
        # Lists of this base have one number.
        value = [flip["to"]] if flip["path"].endswith("]") else flip["to"]
        tree = {last: value, "source": "judgement", "note": "a trial"}
        if flip["shared"]:
            tree = _row(flip, last)
        for name in reversed(above):
            tree = {name: tree}
        overlay = tmp_path / "overlay.yaml"
        overlay.write_text(yaml.safe_dump({"extends": str(PLANTS / "knowledge"), **tree}))
        (record,) = seke.infer([line for line in lines if line["item"] == "bed-2"], overlay)
        level = record["decision"]["levels"]["disease"]
        assert level["value"] == flip["label"]
        assert (level["decision"] == "accept") == flip["accepted"]
        assert record["posteriors"]["disease"][flip["label"]] == pytest.approx(flip["p"], abs=1e-4)


def _row(flip, last):
    """A whole distribution in which one number is another and the rest make room."""
    above = flip["path"].rpartition(".")[0]
    row = {
        path.rpartition(".")[2]: number.value
        for path, number in seke.knowledge(PLANTS / "knowledge").numbers.items()
        if path.rpartition(".")[0] == above
    }
    scaled = {
        name: value * (1 - flip["to"]) / (1 - flip["value"]) for name, value in row.items() if name != last
    }
    row = {name: round(value, 9) for name, value in scaled.items()}
    return {**row, last: round(1 - sum(row.values()), 9), "source": "judgement", "note": "a trial"}


@pytest.mark.parametrize("item", ITEMS)
def test_the_text_fits_a_terminal_and_says_what_the_facts_say(explained, item):
    text, facts = str(explained[item]), explained[item].facts
    assert max(map(len, text.splitlines())) <= 90
    assert "{" not in text
    # What is longer than a narrow terminal is a title, which wraps where it is printed.
    assert max(len(line) for line in render(facts, 70).splitlines() if line.startswith("  ")) <= 70
    value, p = facts["label"]["value"], facts["label"]["p"]
    inferred, decided = (" ".join(sentence.split()) for sentence in re.split(r"\n(?=The )", text)[:2])
    assert inferred.startswith(f"{item}: the expression is most probably {value} (probability {p:.3f}); ")
    assert inferred.endswith(").")
    assert decided.startswith("The expression is ")
    for reading in facts["readings"]:
        assert f"{reading['bits']:+.2f}" in text
        assert f"{reading['observer']}, {reading['question']}, {reading['view']}" in text
    if facts["readings"]:
        assert re.search(r"[\w.]+\.yaml:\d+", text)


def test_every_template_is_used_or_reachable():
    """A template that nothing asks for is sediment."""
    words = yaml.safe_load((ROOT / "seke" / "explanations" / "explanation.yaml").read_text())
    # What records say of a value has a wording, each of it, and nothing else has.
    assert tuple(words.pop("basis")) == Basis.words()
    assert set(words.pop("origin")) == set(Origin.words())
    code = "".join((ROOT / "seke" / "explanations" / f"{name}.py").read_text() for name in ("text", "facts"))
    names = [
        "basis",
        "origin",
        *words,
        *(key for wording in words.values() if isinstance(wording, dict) for key in wording),
    ]
    assert [name for name in names if f'"{name}"' not in code] == []


@pytest.mark.parametrize(
    ("base", "item", "words"),
    [
        (
            "posed",
            "afraid-brows",
            "The expression is accepted as fear: the risk that this is wrong, 0.027, is within 0.05,",
        ),
        (
            "posed",
            "afraid-brows",
            "which here caps each single risk. It rests on declared numbers that were not",
        ),
        (
            "posed",
            "afraid-brows",
            "not calibrated. An observer looked at it. Decision on the item: requery (open: affect",
        ),
        (None, "human-coder", "It rests on the declared reliability of people and labels. An observer"),
        (None, "set-label-alone", " is wrong, 0.200, is above 0.05, the limit of the mean risk"),
        (None, "set-label-alone", "Nobody looked at it: only a label states it."),
        (None, "units-only", "is not accepted, although the risk that "),
        (None, "units-only", " is wrong, 0.039, is within"),
        (None, "units-only", "Nobody looked at it: it was inferred from other answers."),
        (None, "affect-only", " is wrong, 0.604, is above 0.05, the limit of the mean risk"),
        (None, "all-refused", "The expression is not accepted: no answer can be read."),
    ],
)
def test_the_head_says_on_what_it_rests_and_who_looked(base, item, words):
    assert words in verdict(inferred(item, base))


def test_a_reading_that_contradicts_all_others_is_named():
    facts = inferred("observers-disagree")
    assert facts["decision"]["reasons"][0] == "conflict: human"
    # Were its risk low enough, that would stand in the way.
    facts["decision"]["risk"] = 0.01
    assert "is not accepted: human contradicts all other readings" in verdict(facts)


def test_an_explanation_begins_with_what_is_inferred_and_decided(explained):
    for item in ("ranking", "all-refused"):
        facts = inferred(item)
        assert facts.items() <= explained[item].facts.items()
        assert " ".join(str(explained[item]).split("\n\n")[0].split()) == verdict(facts)


def test_a_label_that_is_kept_is_not_called_the_likeliest():
    facts = inferred("set-label-doubted", labels_final=True)
    assert facts["label"]["value"] == "happiness"
    assert facts["decision"]["value"] == "anger"
    assert "is accepted as anger: the label of the data set is kept, whatever was seen." in verdict(facts)


@pytest.mark.parametrize(
    ("item", "changes", "words"),
    [
        ("contempt", {"mean_limits": frozenset()}, "is within the limit of 0.05. It rests"),
        (
            "afraid-brows",
            {"thresholds": {"expression": (0.0825,) * 8}},
            "is within the threshold of 0.0825, which keeps the mean risk within 0.05.",
        ),
    ],
)
def test_a_limit_says_whether_it_is_of_the_mean_or_of_each(item, changes, words):
    session, answers = ready()
    changed = session.under(replace(session.knowledge.policy, **changes))
    place = answers.items.index(item)
    assert words in verdict(inferred_facts(changed, answers.part(place, place + 1)))


@pytest.mark.parametrize("basis", Basis.words())
def test_every_basis_has_its_words(explained, basis):
    facts = json.loads(json.dumps(explained["same-answer-fifty-times"].facts))
    facts["decision"] |= {"accepted": True, "basis": basis}
    words = yaml.safe_load((ROOT / "seke" / "explanations" / "explanation.yaml").read_text())["basis"][basis]
    assert f" {words} An observer looked at it." in " ".join(render(facts).split())


def test_a_value_that_lacks_evidence_of_its_own_says_so(explained):
    facts = json.loads(json.dumps(explained["same-answer-fifty-times"].facts))
    facts["decision"] |= {"accepted": False, "risk": 0.01, "lacking_evidence": True}
    assert "the answers about the expression itself say too little" in " ".join(render(facts).split())


def test_a_base_without_faces_is_explained_too():
    explanation = seke.explain(SPRINKLER / "samples.jsonl", "wet", SPRINKLER / "knowledge")
    assert explanation.facts["label"]["variable"] not in ("expression", "")
    assert "expression" not in str(explanation)
    assert max(map(len, str(explanation).splitlines())) <= 90


def test_a_base_of_one_variable_is_explained_too():
    crowd = ROOT / "examples" / "crowd"
    explanation = seke.explain(crowd / "samples.csv", "clear-robin", crowd / "knowledge")
    assert explanation.facts["label"]["value"] == "robin"
    assert explanation.facts["rules"] == []
    assert {flip["path"].split(".")[0] for flip in explanation.facts["numbers"]} <= {
        "observers",
        "policy",
        "priors",
    }


def run(*args):
    return CliRunner(catch_exceptions=False).invoke(main, ["infer", str(FACES), *args])


def test_the_command_prints_text_or_facts(explained):
    result = run("--explain", "all-refused")
    assert result.exit_code == 0
    assert result.stdout.rstrip() == str(explained["all-refused"]).rstrip()
    assert result.stderr == ""
    facts = json.loads(run("--explain", "all-refused", "--json").stdout)
    assert facts == explained["all-refused"].facts


def test_an_item_that_is_not_there_is_named_with_the_nearest():
    result = run("--explain", "agrement")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "no item is called 'agrement'; did you mean agreement?\n"


def test_an_explanation_is_not_written_to_a_file(tmp_path):
    result = run("--explain", "agreement", "-o", str(tmp_path / "x.jsonl"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "--explain prints on the standard output; leave out -o\n"
    assert not list(tmp_path.iterdir())


def test_another_population_is_told(explained):
    facts = seke.explain(FACES, "all-refused", unread(), population="in-the-wild").facts
    assert facts["prior"]["population"] == "in-the-wild"
    assert facts["prior"]["bits"] != explained["all-refused"].facts["prior"]["bits"]
    assert np.isclose(sum(facts["prior"]["p"].values()), 1)


def test_what_nobody_was_asked_about_is_asked_first_as_its_record_says():
    """A detector found no face: whoever may be asked has not looked yet."""
    key = {"item": "wall", "observer": "face-landmarker", "question": "action_units", "draw": 0}
    samples = [{**key, "status": "not_judged"}]
    (record,) = seke.infer(samples)
    asked = record["decision"]["next"]
    explanation = seke.explain(samples, "wall")
    following = explanation.facts["next"]
    assert following["why"] == "first"
    assert {name: following["asked"][name] for name in ("observer", "question")} == {
        name: asked[name] for name in ("observer", "question")
    }
    assert "Ask joint of gpt-4o, view face, 1 answer: the first question of all." in str(explanation)
