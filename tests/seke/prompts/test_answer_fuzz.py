"""Mutated answers: another spelling has the same meaning; other content is what it says, or is not read.

The whole number of mutations is marked slow; the inner loop tries some of each kind, from the same seeds.
"""

from __future__ import annotations

import json
import random

import pytest
from answer_mutations import (
    QUESTIONS,
    STATES,
    UNITS,
    framed,
    good_answer,
    may_mark,
    may_say,
    meaning,
    meaning_of_record,
    spelled_values,
    written,
)

import seke
from seke.prompts import Context, Questions
from seke.samples import answers_from
from seke.sampling.loop import Request
from seke.vision.messages import Choice

SEED = 31
SOME, ALL = 100, 5_000
many = pytest.mark.parametrize("count", [SOME, pytest.param(ALL, marks=pytest.mark.slow)])


@pytest.fixture(scope="module")
def questions():
    return Questions(seke.knowledge())


def request(question):
    return Request("face-1", "gpt-4o", question, "AU4" if question == "verify" else None, "face", 0, 1)


def read(questions, text, question, finish="stop"):
    record = questions.read(request(question), Choice(0, text, finish))
    list(answers_from([record], questions.base))
    return record


def test_the_good_answers_are_read_whole(questions):
    rng = random.Random(SEED)
    for _ in range(20):
        for question in QUESTIONS:
            answer = good_answer(rng, question)
            record = read(questions, json.dumps(answer), question)
            assert meaning_of_record(record) == meaning(answer)
            assert "unread" not in record.get("extra", {})


@many
def test_another_spelling_has_the_same_meaning(questions, count):
    rng = random.Random(SEED)
    for _ in range(count):
        question = rng.choice(QUESTIONS)
        answer, draft = good_answer(rng, question), json.dumps(good_answer(rng, question))
        text = framed(rng, written(rng, spelled_values(rng, answer, question)), draft)
        record = read(questions, text, question)
        assert meaning_of_record(record) == meaning(answer), text
        assert "unread" not in record.get("extra", {}), text


def mutated(rng, text):
    """A text with one to three of its signs deleted, doubled, replaced or swapped."""
    signs = list(text)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(signs) - 1)
        new = rng.choice([*"\"',:{}[]0123456789.-+_ \n#/", rng.choice(text)])
        match rng.randrange(5):
            case 0:
                del signs[place]
            case 1:
                signs.insert(place, signs[place])
            case 2:
                signs[place] = new
            case 3:
                signs.insert(place, new)
            case _:
                signs[place : place + 2] = reversed(signs[place : place + 2])
    return "".join(signs)


@many
def test_other_content_is_what_it_says_or_unread(questions, count):
    rng = random.Random(SEED + 1)
    form = questions.form(request("joint"), Context())
    for _ in range(count):
        answer = good_answer(rng, "joint")
        as_written = rng.choice([json.dumps, lambda given: json.dumps(given, indent=1), repr])
        text = mutated(rng, as_written(answer))
        record = read(questions, text, "joint")
        assert not may_say(text, record), text
        unread = record.get("extra", {}).get("unread", [])
        for key in form.values:
            assert (
                key.name in record or "status" in record or any(part.startswith(key.name) for part in unread)
            ), text


@many
def test_marks_of_other_content_are_what_they_say_or_unread(questions, count):
    rng = random.Random(SEED + 4)
    for _ in range(count):
        answer = good_answer(rng, "action_units")
        answer["action_units"] = {
            unit: answer["action_units"][unit] for unit in rng.sample(UNITS, rng.randint(1, 6))
        }
        text = mutated(rng, rng.choice([json.dumps, repr])(answer))
        record = read(questions, text, "action_units")
        assert not may_mark(text, record), text


def test_no_cut_is_ever_read(questions):
    """Of every kind of answer, at a third of its signs; finish says that it is whole, as some servers do."""
    rng = random.Random(SEED + 2)
    for question in QUESTIONS:
        # The other kinds, and signs, have their turn in the long test.
        for text in cut_texts(rng, question)[: 2 if question == "joint" else 1]:
            end = max(text.rfind("}"), text.rfind("]"))
            for stop in {*range(rng.randrange(3), end, 3), end - 1}:
                assert read(questions, text[:stop], question).get("status") == "unreadable", text[:stop]


@pytest.mark.slow
def test_no_cut_of_a_thousand_answers_is_ever_read(questions):
    rng = random.Random(SEED + 3)
    for _ in range(25):
        for question in QUESTIONS:
            for text in cut_texts(rng, question):
                places = range(max(text.rfind("}"), text.rfind("]")))
                for stop in rng.sample(places, min(len(places), 40)):
                    assert read(questions, text[:stop], question).get("status") == "unreadable", text[:stop]


def cut_texts(rng, question):
    answer = good_answer(rng, question)
    plain = json.dumps(answer)
    return (
        plain,
        repr(answer),
        plain[:-1] + ",}",
        json.dumps({"answer": plain}),
        f"<think>{plain}</think>{plain}",
        f"```json\n{plain}\n```",
        plain.replace('"', "\u201c"),
        plain.replace("{", "{ // {\n", 1),
    )


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_thought_that_the_limit_ends_is_no_answer(questions, question):
    draft = f"I think {json.dumps(good_answer(random.Random(SEED), question))} would do, but"
    assert read(questions, draft, question, finish="length")["status"] == "unreadable"
    assert read(questions, "no", question, finish="length")["status"] == "unreadable"


@pytest.mark.parametrize(
    "form", ["{a} {b}", "```json\n{a}\n```\nNo: {b}", "[{a}, {b}]", '{{"x": {a}, "y": {b}}}']
)
def test_two_answers_are_none(questions, form):
    rng = random.Random(SEED)
    for question in QUESTIONS:
        answer = good_answer(rng, question)
        other = json.loads(json.dumps(answer))
        if question == "verify":
            other["action_units"]["AU4"] = not answer["action_units"]["AU4"]
        elif question == "action_units":
            other["action_units"]["AU1"] = (
                "present" if answer["action_units"]["AU1"] is not True else "absent"
            )
        elif question == "affect":
            other["valence"] = -0.35
        else:
            other["expression"] = STATES[:3] if answer["expression"] != STATES[:3] else STATES[1:4]
        text = form.format(a=json.dumps(answer), b=json.dumps(other))
        assert read(questions, text, question)["status"] == "unreadable", text


JOINT = {"action_units": ["AU6", "AU12"], "valence": 0.5, "arousal": 0.2, "expression": STATES[:3]}


@pytest.mark.parametrize(
    ("change", "unread"),
    [
        # Places, points, and two that are likeliest are no order of probabilities.
        ({"expression": {"fear": 1, "surprise": 2, "anger": 3}}, {"expression"}),
        ({"expression": {"fear": 9, "surprise": 3}}, {"expression"}),
        ({"expression": {"fear": 0.4, "surprise": 0.4, "anger": 0.2}}, {"expression"}),
        ({"expression": {"fear": True, "surprise": False}}, {"expression"}),
        ({"expression": {"label": "fear", "confidence": 0.9}}, {"expression"}),
        ({"expression": True}, {"expression"}),
        ({"expression": "fear or anger"}, {"expression"}),
        ({"expression": "not happiness"}, {"expression"}),
        ({"valence": "60%"}, {"valence"}),
        ({"valence": "1,000"}, {"valence"}),
        ({"valence": "0.5-0.7"}, {"valence"}),
        ({"valence": "n/a"}, {"valence"}),
        ({"valence": {"value": 0.5, "confidence": 0.9}}, {"valence"}),
        ({"valence": [0.5]}, {"valence"}),
        ({"action_units": "AU6, AU12"}, {"action_units"}),
        ({"action_units": ["AU6: 3", "AU12: 2"]}, {"action_units"}),
        ({"action_units": ["no AU6", "AU12 (absent)"]}, {"action_units"}),
        ({"action_units": ["AU6+12", "AU1-2"]}, {"action_units"}),
        ({"action_units": ["AU1\N{SUPERSCRIPT TWO}"]}, {"action_units"}),
        ({"action_units": ["AU12A"]}, {"action_units"}),
        ({"action_units": [12.5]}, {"action_units"}),
        ({"action_units": [True, False]}, {"action_units"}),
        ({"action_units": {"AU6": 3, "AU12": 5}}, {"action_units"}),
        ({"action_units": {"AU6": 0.9, "AU12": 0.2}}, {"action_units"}),
        ({"action_units": {"AU6": "not visible", "AU12": "none"}}, {"action_units"}),
    ],
)
def test_what_could_mean_two_things_is_unread(questions, change, unread):
    record = read(questions, json.dumps({**JOINT, **change}), "joint")
    assert set(record["extra"]["unread"]) == unread
    assert set(JOINT) - set(record) == unread


def test_of_intensities_none_is_a_mark(questions):
    """A 1 beside a 3 is a trace, and a 0 beside a .9 a probability; words beside them stay."""
    given = {"AU1": 0, "AU4": 1, "AU6": 3, "AU12": "present"}
    record = read(questions, json.dumps({"action_units": given}), "action_units")
    assert record["action_units"] == {"AU12": True}
    assert record["extra"]["unread"] == ["action_units: AU1", "action_units: AU4", "action_units: AU6"]


def test_marks_in_the_place_of_a_list_and_a_list_in_the_place_of_marks(questions):
    record = read(questions, json.dumps({**JOINT, "action_units": {"AU6": True, "AU1": False}}), "joint")
    assert record["action_units"] == {"AU6": True, "AU1": False}
    record = read(questions, json.dumps({"action_units": ["AU6"]}), "action_units")
    assert record["action_units"] == {"AU6": True}
    assert record["extra"]["unread"] == ["action_units: what it does not list"]


def test_flat_marks_and_marks_under_their_key_have_to_agree(questions):
    text = json.dumps({"action_units": {"AU6": True}, "AU6": False, "AU12": True})
    assert read(questions, text, "action_units")["status"] == "unreadable"
    text = json.dumps({"action_units": {"AU6": True}, "AU12": True, "AU99": True})
    record = read(questions, text, "action_units")
    assert record["action_units"] == {"AU6": True, "AU12": True}
    assert record["extra"]["unread"] == ["action_units: AU99"]


@pytest.mark.parametrize("text", ['{"action_units": ["1" "2"]}', "{'action_units': ['AU1' '2', 'AU6']}"])
def test_a_missing_comma_makes_no_other_unit(questions, text):
    assert read(questions, text, "joint")["status"] == "unreadable"


@pytest.mark.parametrize(
    "text",
    [
        '{"valence": 0, "valence": false, "arousal": 0.1}',
        '{"action_units": ["AU6"], "Action_Units": ["AU12"]}',
        '{"answer": {"valence": 0.1, "valence": 0.2}}',
        "{'action_units': {'AU6': True, 'AU6': False}}",
        'Draft: {"valence": 0.1, "arousal": 0.2}. Final: {"valence": 0.9 "arousal": 0.1}',
        "{} " * 70 + '{"valence": 0.1}',
    ],
)
def test_a_key_with_two_values_and_a_last_object_that_is_broken_are_none(questions, text):
    assert read(questions, text, "joint")["status"] == "unreadable"


def test_a_long_thought_before_an_answer_is_passed_over(questions):
    text = f"<think>{'Let me see. ' * 20_000}</think>{json.dumps(JOINT)}"
    assert read(questions, text, "joint")["valence"] == 0.5


BOMBS = {
    "a million letters": "x" * 1_000_000,
    "a million braces": "{" * 1_000_000,
    "a long text within": '{"a": "' + "x" * 1_000_000 + '"}',
    "nested objects": '{"a":' * 16_000 + "1" + "}" * 16_000,
    "nested lists": '{"a": ' + "[" * 4_900 + "]" * 4_900 + "}",
    "signs": "{'a': " + "-" * 9_000 + "1}",
    "sums": "{'a': " + "1+" * 4_900 + "1}",
    "a number of digits": '{"valence": ' + "1" * 90_000 + "}",
    "a name of separators": json.dumps({"action_units": ["- " * 45_000]}),
    "spelling to mend": ("{" + ",".join(f"a{i}: +{i}" for i in range(900)) + ",} ") * 9,
    "thoughts": "<think>" * 140_000,
    "backslashes": '{"' + "\\" * 90_000,
    "many units": json.dumps({"action_units": dict.fromkeys(map(str, range(9_000)), True)}),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_text_that_would_take_long_is_bounded(questions, name):
    import time
    import tracemalloc

    began = time.process_time()
    record = read(questions, BOMBS[name], "joint")
    assert time.process_time() - began < 3  # seconds
    tracemalloc.start()
    read(questions, BOMBS[name], "joint")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6  # bytes
    assert record["status"] == "unreadable" or set(record["action_units"]) <= set(UNITS) | {"AU27", "AU28"}
