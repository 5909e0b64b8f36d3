"""Copies of an observer: a second run of the same instrument under another name changes no posterior."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

import seke
from engine import AnswerError, Inference, compile_network
from seke.cli.main import main
from seke.samples import answers_from, single_samples

GARDEN = Path(__file__).parents[3] / "examples" / "sprinkler" / "knowledge"
FEW = settings(max_examples=examples(25), deadline=None, derandomize=True, database=None)


@pytest.fixture(scope="module")
def doubled(tmp_path_factory):
    """The shipped base with two copies of the network and one of a model."""
    path = tmp_path_factory.mktemp("copies") / "copies.yaml"
    names = {"again": "expression-network", "once-more": "expression-network", "mirror": "gpt-4o"}
    observers = "".join(f"  {name}: {{copy_of: {original}}}\n" for name, original in names.items())
    path.write_text(f"extends: shipped\nobservers:\n{observers}", "utf-8")
    return path


def sample(observer, draw=0, question="expression", item="face", **reports):
    return {"item": item, "observer": observer, "question": question, "draw": draw, **reports}


def answers_of(records, base):
    (answers,) = answers_from(records, base)
    return answers


def posterior_of(records, base, inference):
    return inference.posterior(answers_of(records, base))


def same(posterior, other):
    for name, p in posterior.marginals.items():
        np.testing.assert_array_equal(other.marginals[name], p, err_msg=name)
    np.testing.assert_array_equal(other.log_evidence, posterior.log_evidence)


@pytest.fixture(scope="module")
def base(doubled):
    return seke.knowledge(doubled)


@pytest.fixture(scope="module")
def inference(base):
    return Inference(compile_network(base), base)


SOFTMAX = {"fear": 0.5, "surprise": 0.375, "neutral": 0.125}


@pytest.mark.parametrize(
    "reports",
    [
        {"expression": "fear"},
        {"expression": SOFTMAX},
        {"question": "joint", "expression": SOFTMAX, "valence": -0.42, "arousal": 0.6},
        {"question": "affect", "valence": 0.1},
    ],
)
def test_a_second_run_that_answers_the_same_changes_nothing(reports, base, inference):
    """Not one bit, of labels, distributions and numbers, nor of what is recorded of them."""
    other = sample("human", expression="surprise")
    run = [sample(name, **reports) for name in ("expression-network", "again", "once-more")]
    alone = posterior_of([run[0], other], base, inference)
    for several in ([run[0], run[1], other], [*run, other], [run[2], other, run[0]], [run[1], other]):
        same(alone, posterior_of(several, base, inference))
    records = [list(seke.infer(records, base)) for records in ([run[0], other], [*run, other])]
    assert records[0] == records[1]


def test_joint_answers_of_a_model_under_halo_count_once(base, inference):
    reports = {
        "question": "joint",
        "expression": "happiness",
        "action_units": ["AU6", "AU12"],
        "valence": 0.6,
    }
    run = [sample("gpt-4o", **reports), sample("mirror", **reports)]
    same(posterior_of(run[:1], base, inference), posterior_of(run, base, inference))


def test_another_answer_of_a_copy_is_a_further_draw(base, inference):
    """As often as one name gave it; what is said otherwise is one more answer of the reading."""

    def runs(*labels):
        return [sample(name, draw, expression=y) for name, states in labels for draw, y in enumerate(states)]

    several = runs(("gpt-4o", ("fear", "fear", "anger")), ("mirror", ("anger", "anger", "neutral")))
    whole = runs(("gpt-4o", ("fear", "fear", "anger", "anger", "neutral")))
    given_several, given_whole = (posterior_of(records, base, inference) for records in (several, whole))
    for name, p in given_whole.marginals.items():
        np.testing.assert_allclose(given_several.marginals[name], p, atol=1e-12)
    answers = answers_of(several, base)
    assert len(answers.reading_item) == 1
    assert answers.samples.tolist() == [5]


def test_other_questions_and_views_of_a_copy_are_readings_of_the_original(base):
    records = [
        sample("gpt-4o", expression="fear"),
        sample("mirror", expression="fear", view="grey"),
        sample("mirror", question="joint", expression="fear"),
    ]
    answers = answers_of(records, base)
    named = [list(base.observers)[index] for index in answers.reading_observer]
    assert named == ["gpt-4o"] * 3


@FEW
@given(data=st.data())
def test_whoever_gave_an_answer_and_in_which_order_changes_nothing(data, base, inference):
    names = ("gpt-4o", "mirror")
    some_labels = st.lists(st.sampled_from(["fear", "anger", "neutral"]), max_size=4)
    by_observer = {name: data.draw(some_labels) for name in names}
    records = [
        sample(name, draw, expression=label)
        for name, labels in by_observer.items()
        for draw, label in enumerate(labels)
    ]
    if not records:
        return
    union = [
        label
        for label in ("fear", "anger", "neutral")
        for _ in range(max(labels.count(label) for labels in by_observer.values()))
    ]
    expected = posterior_of(
        [sample("gpt-4o", draw, expression=label) for draw, label in enumerate(union)], base, inference
    )
    posterior = posterior_of(data.draw(st.permutations(records)), base, inference)
    for name, p in expected.marginals.items():
        np.testing.assert_allclose(posterior.marginals[name], p, atol=1e-12)


def test_refusals_of_a_copy_count_once(base):
    records = [sample(name, status="refused") for name in ("gpt-4o", "mirror")]
    answers = answers_of([*records, sample("mirror", 1, status="unreadable")], base)
    assert (answers.samples.tolist(), answers.refused.tolist(), answers.unreadable.tolist()) == (
        [2],
        [1],
        [1],
    )


def test_a_draw_given_twice_by_a_copy_is_still_a_fault(base):
    with pytest.raises(AnswerError, match=r"observer 'mirror'.*was given already"):
        answers_of([sample("mirror", expression="fear"), sample("mirror", expression="fear")], base)


def test_samples_one_by_one_have_no_answer_twice(base):
    records = [
        sample("gpt-4o", expression="fear"),
        sample("mirror", expression="fear"),
        sample("mirror", 1, expression="anger"),
    ]
    singles = single_samples(records, base)
    assert {line[1] for line in singles.line} == {"gpt-4o"}
    assert len(singles.line) == 2


def test_a_copy_that_is_declared_changes_no_look(base):
    """Nor any number: posteriors of others are those of the base without it."""
    plain = seke.knowledge()
    records = [sample("gpt-4o", expression="fear"), sample("human", expression="fear")]
    same(
        posterior_of(records, plain, Inference(compile_network(plain), plain)),
        posterior_of(records, base, Inference(compile_network(base), base)),
    )


def test_a_fit_learns_from_the_original(tmp_path, doubled):
    """The same overlay whether or not the second run is there, and it goes on without it being fitted."""
    rng = np.random.default_rng(3)
    labels = ["fear", "anger", "happiness", "neutral"]
    gold = [{"item": f"f{i}", "expression": labels[i % 4]} for i in range(24)]
    answers = [label["expression"] if rng.random() < 0.7 else "sadness" for label in gold]
    runs = {
        name: [sample(name, item=g["item"], expression=y) for g, y in zip(gold, answers, strict=True)]
        for name in ("expression-network", "again")
    }
    fits = [
        seke.calibrate(samples, doubled, gold, extends=str(doubled), with_checks=False)
        for samples in (runs["expression-network"], [*runs["expression-network"], *runs["again"]])
    ]
    assert fits[0].overlay == fits[1].overlay
    fitted = tmp_path / "fitted.yaml"
    fitted.write_text(fits[1].overlay, "utf-8")
    (record,) = seke.infer(runs["again"][:1], fitted)
    (other,) = seke.infer(runs["expression-network"][:1], fitted)
    assert record == other


def test_who_is_a_copy_is_shown_and_compared(doubled, tmp_path):
    shown = CliRunner().invoke(main, ["knowledge", "show", "again", "-k", str(doubled)])
    assert shown.exit_code == 0
    assert "copy" in shown.stdout
    assert "expression-network" in shown.stdout
    result = CliRunner().invoke(main, ["knowledge", "diff", "shipped", str(doubled), "--json"])
    assert {change["path"] for change in json.loads(result.stdout)["changes"]} >= {"observers.again"}
    whole = tmp_path / "whole.yaml"
    whole.write_text(CliRunner().invoke(main, ["knowledge", "resolve", str(doubled)]).stdout, "utf-8")
    assert seke.knowledge(whole).copies == seke.knowledge(doubled).copies
