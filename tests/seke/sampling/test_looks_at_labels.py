"""How often those who looked contradict a data set's labels, against how often they would as declared."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy.stats import binom

import seke
from engine import Inference, compile_network, prior_truth
from engine.decision.looks_at_labels import ALARM, LabelLooks, looks_at_labels, tail_of_sum
from seke.cli.main import main
from seke.samples import answers_from
from seke.sampling.answerers import SimulatedSource
from seke.sampling.loop import Request
from seke.vision.fake import ScriptedModel

GARDEN = Path(__file__).parents[3] / "examples" / "sprinkler" / "knowledge"
FEW_FACES = Path(__file__).parents[2] / "few_faces.yaml"
# A set's label, and an eye that looks; the sky has two states and is cloudy in half of cases.
OVERLAY = """
extends: {garden}
observers:
  source: judgement
  note: Made up for the tests.
  tag: {{origin: label, categorical: {{sky: {{accuracy: {accuracy}, repeat: 0.9, strength: 8}}}}}}
  eye: {{askable: true, categorical: {{sky: {{accuracy: 0.8, repeat: 0.9, strength: 8}}}}}}
{more}
"""
# The two err together: the tag follows what the sky looks like, and so does the eye.
TOGETHER = """
dependence:
  source: judgement
  note: Made up for the tests.
  clear: {right: 0.9, seen: 0.95}
  ambiguous: {right: 0.2, seen: 0.7}
  n: 20
  look_n: 5
  seen_n: 8
  default: any
  kinds: {any: {follows: 0.6}}
"""
SETS, ITEMS = 300, 100


def base_with(tmp_path, accuracy, more=""):
    path = tmp_path / f"{accuracy}{bool(more)}.yaml"
    text = OVERLAY.format(garden=GARDEN, accuracy=accuracy, more=more)
    if more:
        # Who carries nothing over errs with nobody.
        text = text.replace("tag: {", "tag: {carry: 0.9, ").replace("eye: {", "eye: {carry: 0.9, ")
    path.write_text(text)
    return seke.knowledge(path)


def rows(labels_and_answers):
    """Sample records: a label, and the answers of a look."""
    for number, (label, answers) in enumerate(labels_and_answers):
        key = {"item": f"i{number}", "question": "look"}
        yield {**key, "observer": "tag", "draw": 0, "sky": label}
        for draw, answer in enumerate(answers):
            yield {**key, "observer": "eye", "draw": draw, "sky": answer}


def looks_of(base, labels_and_answers):
    (answers,) = answers_from(list(rows(labels_and_answers)), base)
    return looks_at_labels(Inference(compile_network(base), base), answers)


def test_by_hand(tmp_path):
    """Labels right in .95, looks in .8: contradicted in .95 * .2 + .05 * .8 = .23."""
    base = base_with(tmp_path, 0.95)
    pairs = [("cloudy", ["cloudy", "clear", "clear"]), ("clear", ["cloudy"]), ("clear", [])]
    (looks,) = looks_of(base, pairs).values()
    # Of the first item its first answer counts; the last one was not looked at.
    assert looks.contradicts.tolist() == [False, True]
    assert looks.probability == pytest.approx([0.23, 0.23])
    assert looks.reliability == pytest.approx([0.95, 0.95])
    assert looks.expected == pytest.approx(0.46)
    # One or more of two: 1 - .77².
    assert looks.tail == pytest.approx(1 - 0.77**2, abs=1e-5)
    assert not looks.alarms


@pytest.mark.parametrize("count", range(5))
def test_the_tail_of_unlike_events_by_enumeration(count):
    p = np.array([0.1, 0.35, 0.35, 0.8])
    total = sum(
        np.prod(np.where(outcome, p, 1 - p))
        for outcome in product((False, True), repeat=4)
        if sum(outcome) >= count
    )
    assert tail_of_sum(p, count) == pytest.approx(total, abs=1e-9)


def test_the_tail_of_many_like_events_is_the_binomial_one():
    for n, p, count in ((1000, 0.23, 270), (100_000, 0.57, 57_500)):
        assert tail_of_sum(np.full(n, p), count) == pytest.approx(binom.sf(count - 1, n, p), rel=1e-4)


def test_the_tail_of_many_different_events_is_that_of_one_after_another():
    p = np.random.default_rng(0).uniform(0.05, 0.4, 3001)
    total = np.ones(1)
    for probability in p:
        total = np.convolve(total, (1 - probability, probability))
    for count in (0, 640, 680, 710):
        assert tail_of_sum(p, count) == pytest.approx(total[count:].sum(), rel=1e-3, abs=1e-12)
    assert tail_of_sum(np.zeros(0), 1) == 0
    assert tail_of_sum(np.zeros(0), 0) == 1


def simulated(base, accuracy_base, count, seed):
    """The looks at labels that are as the second base says, weighed by the first."""
    inference = Inference(compile_network(accuracy_base), accuracy_base)
    names = [f"item-{number}" for number in range(count)]
    truth = prior_truth(inference, count, np.random.default_rng(seed))
    source = SimulatedSource(inference, names, truth, seed)
    answers = source.ask([Request(name, "tag", "look", None, "face", 0, 1) for name in names])
    answers = answers.joined(source.ask([Request(name, "eye", "look", None, "face", 0, 1) for name in names]))
    (looks,) = looks_at_labels(Inference(compile_network(base), base), answers).values()
    assert len(looks.contradicts) == count
    return looks


def alarms_of(looks):
    columns = (column.reshape(SETS, ITEMS) for column in vars(looks).values())
    return sum(LabelLooks(*parts).alarms for parts in zip(*columns, strict=True))


@pytest.mark.parametrize("more", ["", TOGETHER], ids=["independent", "erring together"])
def test_sets_as_declared_raise_no_more_false_alarms_than_stated_and_worse_ones_do(tmp_path, more):
    declared, worse = base_with(tmp_path, 0.95, more), base_with(tmp_path, 0.8, more)
    fine = simulated(declared, declared, SETS * ITEMS, 1)
    # What is expected is what comes, on average, and no more of those that err together.
    error = np.sqrt((fine.probability * (1 - fine.probability)).sum())
    deviation = (fine.contradicts.sum() - fine.expected) / error
    assert deviation < 4
    assert more or deviation > -4
    assert alarms_of(fine) <= ALARM * SETS
    planted = simulated(declared, worse, 1000, 2)
    assert planted.alarms
    assert planted.tail < 1e-4
    # The same labels, declared as good as they are.
    assert not simulated(worse, worse, 1000, 2).alarms


def test_the_command_says_so(tmp_path):
    base_with(tmp_path, 0.95)
    samples = tmp_path / "samples.jsonl"
    pairs = [("clear", ["cloudy" if i % 2 else "clear"]) for i in range(80)]
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows(pairs)))
    knowledge = str(tmp_path / "0.95False.yaml")
    result = CliRunner().invoke(main, ["infer", str(samples), "-k", knowledge, "--json"])
    assert result.exit_code == 0, result.output
    line = "40 of 80 looks contradict the set's labels of sky; about 18 would if the labels were as reliable "
    assert f"{line}as declared (0.95; p = 1e-07). The labels or the observers are worse" in result.stderr
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows([("clear", ["clear"])] * 80)))
    result = CliRunner().invoke(main, ["infer", str(samples), "-k", knowledge, "--json"])
    assert "looks contradict" not in result.stderr


def test_a_run_counts_the_looks_at_its_labels(tmp_path):
    names = [f"f{number}" for number in range(4)]
    for name in names:
        Image.new("RGB", (24, 24)).save(tmp_path / f"{name}.png")
    manifest = tmp_path / "set.csv"
    labels = ["anger", "happiness", "anger", "happiness"]
    lines = [f"{name}.png,{name},{label}" for name, label in zip(names, labels, strict=True)]
    manifest.write_text("\n".join(["path,item,expression", *lines]) + "\n")
    truths = {name: {"expression": "happiness"} for name in names}
    model = ScriptedModel(truths=truths, error=0.0)
    # The units that are made up contradict one another: what is asked first stays what says most.
    base = seke.knowledge(FEW_FACES)
    base = replace(base, policy=replace(base.policy, checks_first=False))
    summary = seke.annotate(manifest, tmp_path / "run", model, knowledge=base, observer="gpt-4o")
    counts = summary.as_facts()["contradicted_labels"]["expression"]
    assert (counts["looks"], counts["contradict"]) == (4, 2)
    assert counts["reliability"] == 0.8
    assert 0 < counts["expected"] < 4
    assert not counts["alarm"]
    assert not any("looks contradict" in note for note in summary.notes)
