"""A run asks a model about what contradicts itself: afresh, or by what it answered itself, as declared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

import seke
from engine import AnswerError, KnowledgeError
from seke.vision.errors import FatalError
from seke.vision.messages import Choice, Reply

OVERLAY = Path(__file__).parents[3] / "examples" / "checks" / "self_check.yaml"
DISGUST = ["AU9", "AU10", "AU17"]
# A wrinkled nose that is called happy and pleasant.
JOINT = {
    "face": "clear",
    "not_visible": [],
    "expression": ["happiness", "disgust", "neutral"],
    "valence": 0.8,
    "arousal": 0.4,
    "action_units": DISGUST,
}


class Contradicting:
    """A model that contradicts itself in a joint answer, and mends that when it is asked about one thing.

    after: how many requests it answers before the connection is lost.
    """

    def __init__(self, after=100):
        self.after, self.calls = after, []

    async def ask(self, call, journal):
        if len(self.calls) >= self.after:
            raise FatalError("the connection is lost")
        self.calls.append(call)
        request = call.request
        draws = tuple(range(request.first, request.first + request.samples))
        number = await journal.sent(call, draws, 0.0)
        text = json.dumps(
            {name: self.value(name, shape) for name, shape in call.prompt.schema["properties"].items()}
        )
        reply = Reply(tuple(Choice(draw, text, "stop") for draw in draws), "m", price=0.0)
        await journal.answered(number, reply)
        return reply.choices

    def value(self, name, schema):
        if schema["type"] == "object":
            return {unit: unit in DISGUST for unit in schema["properties"]}
        if name in ("expression", "valence", "arousal") and len(self.calls) > 1:
            return (
                {"expression": "disgust", "valence": -0.7, "arousal": 0.4}[name]
                if "array" not in schema["type"]
                else ["disgust", "anger", "fear"]
            )
        return JOINT[name]


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "face.png")
    return tmp_path / "face.png"


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_checks_the_place_afresh(picture, tmp_path):
    model = Contradicting()
    seke.annotate(picture, tmp_path / "run", model, observer="gpt-4o")
    first, check = model.calls[:2]
    assert first.request.question == "joint"
    assert (check.request.question, check.request.about) == ("check_affect", "valence")
    # Nothing of what was answered, or of what would fit, is in its prompt.
    base = seke.knowledge()
    scale = [f"- {text}" for text in base.variables["valence"].about.values()]
    offered = check.prompt.text.partition("Say first")[0]
    # In the declared order or the reversed one, by turns of the items.
    assert [line for line in offered.splitlines() if line.startswith("- ")] in (scale, scale[::-1])
    assert not any(
        word in check.prompt.text for word in ("0.8", "happiness", "AU9", "nose is", "earlier", "before")
    )
    samples = rows(tmp_path / "run" / "samples.jsonl")
    (record,) = rows(tmp_path / "run" / "posteriors.jsonl")
    (valence,) = (c for c in record["diagnostics"]["checks"] if c["about"] == "valence")
    unchecked = [sample for sample in samples if not base.questions[sample["question"]].about_one]
    (without,) = seke.infer(unchecked)
    for side, whole in (("without", without), ("with", record)):
        level = whole["decision"]["levels"]["valence"]
        assert (valence[side]["value"], valence[side]["risk"]) == (level["value"], level["risk"])
    assert valence["with"]["value"] < valence["without"]["value"]
    assert all("given" not in sample for sample in samples)


def test_a_run_with_self_checks_states_the_earlier_answer_and_records_it(picture, tmp_path):
    model = Contradicting()
    seke.annotate(picture, tmp_path / "run", model, knowledge=OVERLAY, observer="gpt-4o")
    (check,) = (call for call in model.calls if call.request.question == "self_check")
    assert check.request.about == "valence"
    assert "You answered that valence (valence) is 0.8.\n" in check.prompt.text
    assert "This does not fit what mostly holds: " in check.prompt.text
    samples = rows(tmp_path / "run" / "samples.jsonl")
    given = {sample["question"]: sample["given"] for sample in samples if "given" in sample}
    assert given == {"self_check": {"valence": 0.8}}
    # Read again, the samples give the posterior of the run.
    (record,) = rows(tmp_path / "run" / "posteriors.jsonl")
    (again,) = seke.infer(tmp_path / "run" / "samples.jsonl", OVERLAY)
    assert again["valence"] == record["valence"]


def test_a_run_that_is_resumed_records_the_same_given_values(picture, tmp_path):
    whole, part = tmp_path / "whole", tmp_path / "part"
    model = Contradicting()
    given = {"knowledge": OVERLAY, "observer": "gpt-4o", "max_samples": 4}
    seke.annotate(picture, whole, model, **given)
    for after in range(1, len(model.calls) + 1):
        again = Contradicting(after)
        again.calls = list(model.calls[: after - 1])
        seke.annotate(picture, part, again, **given)
    assert [row["given"] for row in rows(whole / "samples.jsonl") if "given" in row] == [{"valence": 0.8}]
    assert rows(part / "samples.jsonl") == rows(whole / "samples.jsonl")


def self_checked(**given):
    """A joint answer and, if given, an answer to a question that stated it."""
    key = {"item": "a", "observer": "gpt-4o", "draw": 0}
    units = {"valence": 0.8, "arousal": 0.4, "expression": "happiness", "action_units": DISGUST}
    again = {**key, "question": "self_check", "expression": "happiness", **given}
    return [{**key, "question": "joint", **units}, again]


def test_an_answer_that_stays_with_what_was_stated_counts_for_less():
    alone, told, blind = (
        next(iter(seke.infer(records, OVERLAY)))["expression"]["happiness"]
        for records in (self_checked()[:1], self_checked(given={"expression": "happiness"}), self_checked())
    )
    assert alone < told < blind


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"expression": 0.5}, "given.expression: met 0.5 .*; allowed is neutral, happiness, "),
        ({"expression": "glee"}, "given.expression: met 'glee' .*; allowed is neutral, happiness, "),
        ({"valence": 3.0}, r"given.valence: met 3.0 .*; allowed is -1 to 1"),
        ({"AU12": "yes"}, "given.AU12: met 'yes' .*; allowed is true or false"),
        ({"mood": "good"}, "given: no such variable: 'mood'"),
        (
            ["happiness"],
            "given: met .*; allowed is a mapping from variable to the value that the prompt stated",
        ),
        ({"expression": []}, "given.expression: met .*; allowed is a mapping from variable"),
    ],
)
def test_faults_of_what_is_said_to_be_given(given, fault):
    with pytest.raises(AnswerError, match=f"record 2: {fault}"):
        list(seke.infer(self_checked(given=given), OVERLAY))


def test_a_refused_answer_may_have_had_something_stated():
    records = self_checked()[:1]
    key = {"item": "a", "observer": "gpt-4o", "question": "self_check", "draw": 0, "status": "refused"}
    (plain,) = seke.infer(records, OVERLAY)
    (refused,) = seke.infer([*records, {**key, "given": {"expression": "happiness"}}], OVERLAY)
    assert refused["expression"] == plain["expression"]
    assert refused["diagnostics"]["refused"] == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "observers: {gpt-4o: {echo: {joint: 0.5}, source: judgement, note: A test.}}",
            "joint states no earlier answer",
        ),
        ("questions: {joint: {recall: true}}", "recall: needs `about: one`"),
    ],
)
def test_what_recalls_is_about_one_variable_and_what_echoes_recalls(tmp_path, text, fault):
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(f"extends: shipped\n{text}\n")
    with pytest.raises(KnowledgeError, match=fault):
        seke.knowledge(overlay)
