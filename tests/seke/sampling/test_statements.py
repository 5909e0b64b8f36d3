"""What prompts of made-up answers state, and that such answers follow or repeat it as declared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import seke
from engine import prior_truth
from seke.cli.main import main
from seke.inference.session import Session
from seke.sampling.answerers import SimulatedSource
from seke.sampling.loop import Loop, Request, run_to_completion

EXAMPLES = Path(__file__).parents[3] / "examples"
COMPLETE = EXAMPLES / "completion" / "complete.yaml"
SELF_CHECK = EXAMPLES / "checks" / "self_check.yaml"
# Deviations of a mean, in standard errors, that chance brings about once in a million.
FAR = 5.0


def simulated(*args):
    result = CliRunner(catch_exceptions=False).invoke(main, ["simulate", *map(str, args)])
    assert result.exit_code == 0
    return [json.loads(line) for line in result.stdout.splitlines()]


def told_always(base):
    """Return the base with answers of gpt-4o to `complete` that always follow what they were told."""
    observer = base.observers["gpt-4o"]
    halo = {"complete": replace(observer.halo_of_given["complete"], probability=1.0)}
    return replace(base, observers={**base.observers, "gpt-4o": replace(observer, halo_of_given=halo)})


def test_a_made_up_answer_that_is_always_told_adds_nothing():
    base = told_always(seke.knowledge(COMPLETE))
    session = Session.open(base)
    names = [f"i{i}" for i in range(60)]
    truth = prior_truth(session.inference, len(names), np.random.default_rng(1))
    known = {name: {"expression": "fear", "valence": -0.5} for name in names[:40]}
    source = SimulatedSource(session.inference, names, truth, 2, known=known)

    def ask(question):
        return source.ask([Request(name, "gpt-4o", question, None, "face", 0, 2) for name in names])

    told, looked = ask("complete"), ask("joint")
    assert {dict(given)["valence"] for given in told.givens} == {-0.5}
    assert (told.reading_given >= 0).tolist() == [name in known for name in names]
    # What is known is not asked for; who is told nothing tells everything.
    fear = np.unique(told.labels["expression"].reading)
    assert set(fear.tolist()) == set(range(40, 60))
    blind = session.inference.posterior(looked)
    both = session.inference.posterior(looked.joined(told))
    for name, p in blind.marginals.items():
        np.testing.assert_allclose(both.marginals[name][:40], p[:40], atol=1e-12)
    assert np.abs(both.marginals["expression"][40:] - blind.marginals["expression"][40:]).max() > 0.01


def test_made_up_labels_are_told_to_the_question_that_tells_them():
    records = simulated("-k", COMPLETE, "--items", 40, "--draws", 1, "--observer", "gpt-4o", "--observer",
                        "dataset-label", "--question", "expression", "--question", "complete")  # fmt: skip
    labels = {record["item"]: record for record in records if record["observer"] == "dataset-label"}
    told = [record for record in records if record["question"] == "complete"]
    assert {record["observer"] for record in told} == {"gpt-4o"}
    assert len(told) == len(labels) == 40
    for record in told:
        label = labels[record["item"]]
        assert record["given"] == {"expression": label["expression"]}
        assert "expression" not in record
        assert "given" not in label
    assert len(list(seke.infer(records, COMPLETE))) == 40
    # Without labels there is nothing to tell.
    blind = simulated("-k", COMPLETE, "--items", 3, "--question", "complete")
    assert not any("given" in record for record in blind)


@pytest.mark.parametrize("echo", [0.0, 0.8])
def test_made_up_self_checks_repeat_what_was_answered_before(tmp_path, echo):
    overlay = tmp_path / "echo.yaml"
    overlay.write_text(
        SELF_CHECK.read_text().replace("echo: {self_check: 0.8}", f"echo: {{self_check: {echo}}}")
    )
    records = simulated("-k", overlay, "--items", 400, "--draws", 1, "--question", "joint", "--question",
                        "self_check")  # fmt: skip
    joint = {record["item"]: record for record in records if record["question"] == "joint"}
    checks = [record for record in records if record["question"] == "self_check"]
    same = []
    for record in checks:
        ((name, value),) = record["given"].items()
        first = joint[record["item"]]
        assert value == (first["action_units"][name] if name.startswith("AU") else first[name])
        again = record["action_units"][name] if name.startswith("AU") else record[name]
        if not name.startswith("AU"):
            same.append(again == value)
    # Without an echo a second look at numbers is another one as often as not.
    repeats = np.mean(same)
    assert len(same) > 30
    assert (repeats > 0.8 - FAR * np.sqrt(0.16 / len(same))) if echo else (repeats < 0.7)
    first = {f"item-{i:06}" for i in range(40)}
    assert len(list(seke.infer([record for record in records if record["item"] in first], overlay))) == 40


def test_a_loop_says_in_its_requests_what_was_answered_before():
    """So that the answers that it reads were made up as they are read."""
    base = seke.knowledge(SELF_CHECK)
    session = Session.open(base)
    names = [f"i{i}" for i in range(12)]
    truth = prior_truth(session.inference, len(names), np.random.default_rng(3))
    source = SimulatedSource(session.inference, names, truth, 4)
    state = run_to_completion(Loop(session), names, source)
    check = list(base.questions).index("self_check")
    checked = np.flatnonzero(state.answers.reading_question == check)
    assert checked.size
    for reading in checked.tolist():
        ((name, value),) = state.answers.givens[state.answers.reading_given[reading]]
        item = state.answers.reading_item[reading]
        (earlier,) = {
            line
            for line in state.given
            if line[0] == names[item] and line[2] == "self_check" and line[3] == name
        }
        assert state.given[earlier] >= 1
        column = state.answers.labels.get(name) or state.answers.numbers[name]
        before = state.answers.reading_item[column.reading] == item
        assert before.sum() > 1
        assert np.isfinite(value)
