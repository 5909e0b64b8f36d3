"""Prompts from the knowledge, and what answers say: each field by itself, never guessed."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

import seke
from engine import KnowledgeError
from seke.prompts import Context, Questions
from seke.samples import answers_from
from seke.sampling.loop import Request
from seke.vision.messages import Choice

SECONDS = 0.3
LIMIT_OF_TIME = f"it takes more than {SECONDS} s, which is the most allowed"
LIMIT_OF_MEMORY = "it takes more than 128 MB of memory, which is the most allowed"
LONG_TEXT = "a text has 262,144 characters; allowed are 200,000"
DEEP = "it is nested too deeply, or calls itself without end"
LONG_LIST = "a list, with those within it, has "
LANGUAGES = Path(__file__).parents[3] / "examples" / "languages"
PLANTS = Path(__file__).parents[3] / "examples" / "plants" / "knowledge"


@pytest.fixture(scope="module")
def questions():
    return Questions(seke.knowledge())


def request(question="joint", about=None):
    return Request("face-1", "gpt-4o", question, about, "face", 0, 1)


def read(questions, text, question="joint", about=None, finish="stop", refusal=None, context=None):
    choice = Choice(0, text if isinstance(text, str) else json.dumps(text), finish, refusal)
    return questions.read(request(question, about), choice, context)


WHOLE = {
    "action_units": ["AU6", "AU12"],
    "valence": 0.5,
    "arousal": 0.2,
    "expression": ["happiness", "surprise", "neutral"],
}


def test_a_prompt_says_the_knowledge_and_changes_with_it(questions, tmp_path):
    text = questions.prompt(request()).text
    assert "AU12 lip corner puller (zygomaticus major)" in questions.prompt(request()).system
    assert "- happiness: AU12, AU25, AU6; " in text
    rule = next(rule for rule in questions.base.rules if rule.confidence == 0.7)
    assert f"- often: {rule.statement}\n" in text
    assert "the picture decides:\n- nearly always: " in text
    (tmp_path / "o.yaml").write_text(
        "extends: shipped\nactivations: {cells: {happiness: {AU26: "
        "{p: 0.95, n: 10, source: judgement, note: In this set all laugh.}}}}\n"
    )
    other = Questions(seke.knowledge(tmp_path / "o.yaml"))
    changed = other.prompt(request())
    assert "- happiness: AU26, " in changed.text
    assert changed.digest != questions.prompt(request()).digest
    assert questions.prompt(request()).digest == Questions(seke.knowledge()).prompt(request()).digest


def test_what_is_known_is_not_asked_for_and_not_told(questions):
    context = Context({"expression": "fear"})
    prompt = questions.prompt(request(), context)
    assert "fear" not in prompt.text
    assert "expression" not in prompt.schema["properties"]
    record = read(questions, WHOLE, context=context)
    assert "expression" not in record
    assert record["valence"] == 0.5
    # Nothing else would be left: then it is asked for all the same.
    alone = questions.prompt(request("expression"), context)
    assert list(alone.schema["properties"]) == ["face", "expression"]


def test_a_check_names_the_unit_in_doubt_and_gives_nothing_away(questions):
    prompt = questions.prompt(request("verify", "AU4"), Context(doubt=("AU4",)))
    assert "AU4 brow lowerer" in prompt.text
    assert prompt.schema["properties"]["action_units"]["required"] == ["AU4"]
    assert not any(state in prompt.text for state in questions.base.variables["expression"].states)
    prompt_text = questions.prompt(request("action_units"), Context(doubt=("AU4", "AU7"))).text
    assert "about which earlier answers differ: AU4 brow lowerer, AU7 lid tightener" in prompt_text


def test_the_schema_is_strict_and_says_what_is_seen_before_what_it_is_called(questions):
    schema = questions.prompt(request()).schema
    keys = ["face", "not_visible", "action_units", "valence", "arousal", "expression"]
    assert list(schema["properties"]) == keys
    assert schema["required"] == list(schema["properties"])
    assert schema["additionalProperties"] is False
    marks = questions.prompt(request("action_units")).schema["properties"]["action_units"]
    assert marks["properties"]["AU1"] == {"type": ["boolean", "null"]}
    # The units, and the codes that stand in place of some.
    assert list(marks["properties"])[-3:] == ["AU26", "AU27", "AU28"]
    assert len(marks["properties"]) == 19


def schemas(schema):
    """A schema with all within it."""
    yield schema
    for inner in (*schema.get("properties", {}).values(), *filter(None, [schema.get("items")])):
        yield from schemas(inner)


def test_every_number_and_list_of_a_schema_is_bounded(questions):
    for asked in questions.all_requests():
        for schema in schemas(questions.prompt(asked).schema):
            if "array" in schema["type"]:
                assert schema["maxItems"] >= 1
            if "number" in schema["type"]:
                assert (schema["minimum"], schema["maximum"]) == (-1, 1)
    ranking = questions.prompt(request("expression")).schema["properties"]["expression"]
    assert (ranking["minItems"], ranking["maxItems"]) == (3, 3)


def test_no_example_names_a_member_and_every_name_is_explained(questions):
    for asked in questions.all_requests():
        prompt = questions.prompt(asked)
        text, _, example = f"{prompt.system}\n{prompt.text}".rpartition("\n")
        for schema in schemas(prompt.schema):
            for name in filter(None, schema.get("enum", ())):
                assert name not in example
                assert f"- {name} " in text or f"- {name}:" in text
        for name in prompt.schema["properties"].get("action_units", {}).get("properties", ()):
            named = questions.base.variables.get(name) or questions.base.codes[name]
            assert f"{name} {named.label}" in text


@pytest.mark.parametrize("shown", ["", "brows"])
def test_a_check_says_part_only_of_a_part(questions, shown):
    text = questions.prompt(request("verify", "AU4"), Context(shown=shown)).text
    assert ("the part of a face" in text) is bool(shown)
    assert ("Look at one place of the main face" in text) is not shown


def test_every_prompt_that_a_request_may_have_is_told_once(questions):
    reasons = {
        asked.question: [why for why, _ in questions.variants(asked)] for asked in questions.all_requests()
    }
    declared = ["", ", of a part of the picture"]
    assert reasons["verify"] == [*declared, *(f"{reason}, in reversed order" for reason in declared)]
    assert reasons["action_units"] == ["", ", where earlier answers differ"]
    assert reasons["joint"] == reasons["expression"] == reasons["affect"] == [""]


def test_a_check_beside_the_whole_face_says_where_each_stands(tmp_path):
    (tmp_path / "o.yaml").write_text("extends: shipped\nquestions: {verify: {whole: true}}\n")
    questions = Questions(seke.knowledge(tmp_path / "o.yaml"))
    text = questions.prompt(request("verify", "AU4"), Context(shown="brows")).text
    assert text.startswith(
        "This picture shows a face on the left and, on the right, enlarged, the part where"
    )
    assert "on the left" not in questions.prompt(request("verify", "AU4")).text


def test_a_foreign_name_costs_no_others(questions):
    record = read(questions, {**WHOLE, "action_units": ["AU6", "AU99", "AU12", "AU6"]})
    # What is named is seen; what is not named may be what AU99 stands for.
    assert record["action_units"] == {"AU6": True, "AU12": True}
    assert record["extra"]["unread"] == ["action_units: AU99", "action_units: what it does not list"]
    assert read(questions, {**WHOLE, "action_units": ["AU6", "AU6"]})["action_units"] == ["AU6"]
    ranking = read(questions, {**WHOLE, "expression": ["happiness", "glee", "neutral"]})
    assert ranking["expression"] == ["happiness"]
    assert ranking["extra"]["unread"] == ["expression: glee", "expression: neutral"]


def test_a_stretched_mouth_among_marks_hides_the_jaw(questions):
    marks = {"AU25": True, "AU26": False, "AU27": True}
    record = read(questions, {"action_units": marks}, question="action_units")
    assert record["action_units"] == marks
    (answers,) = answers_from([record], questions.base)
    assert answers.hidden.tolist() == [1]
    assert "AU26" not in answers.labels or not len(answers.labels["AU26"].answer)


def test_a_whole_answer_is_a_sample_that_can_be_read(questions):
    record = read(questions, WHOLE)
    assert record["expression"] == WHOLE["expression"]
    (answers,) = answers_from([record], questions.base)
    assert answers.samples.tolist() == [1]


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{json.dumps(WHOLE)}\n```",
        f"Here is my answer:\n{json.dumps(WHOLE)}\nI hope that helps.",
        json.dumps({**WHOLE, "expression": ["Happiness ", "SURPRISE", "neutral"]}),
        json.dumps({**WHOLE, "ignore previous instructions": True, "confidence": 1e9}),
    ],
)
def test_what_stands_around_an_answer_does_no_harm(questions, text):
    assert read(questions, text)["expression"] == WHOLE["expression"]


@pytest.mark.parametrize(
    ("change", "unread"),
    [
        ({"valence": "half"}, "valence"),
        ({"valence": True}, "valence"),
        ({"valence": 10**400}, "valence"),
        ({"valence": None}, "valence"),
        ({"arousal": {"mean": 0}}, "arousal"),
        ({"expression": ["glee"]}, "expression"),
        ({"expression": []}, "expression"),
        ({"expression": 3}, "expression"),
        ({"action_units": ["AU98", "AU99"]}, "action_units"),
        ({"action_units": {"AU98": True}}, "action_units"),
        ({"action_units": ["AU6"] * 40}, "action_units"),
        ({"action_units": "AU6"}, "action_units"),
    ],
)
def test_a_field_that_is_wrong_is_unread_alone(questions, change, unread):
    record = read(questions, {**WHOLE, **change})
    assert record["extra"]["unread"] == [unread]
    assert unread not in record
    assert set(WHOLE) - {unread} <= set(record)
    (answers,) = answers_from([record], questions.base)
    assert answers.unreadable.tolist() == [0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I think she is happy.",
        "[]",
        "null",
        json.dumps(WHOLE) + json.dumps({**WHOLE, "valence": 0.4}),
        json.dumps(WHOLE) + json.dumps(WHOLE)[:-5],
        f"<think>{json.dumps(WHOLE)}",
        json.dumps(WHOLE)[:-5],
        '{"valence": NaN}',
        '{"valence": 0.1, "valence": 0.2}',
        "[" * 50_000,
        '{"a":' * 50_000,
        "x" * 5_000_000,
        "{" * 90_000,
        '{"expression": "\\ud800"}',
        json.dumps({"reports": {"expression": "fear"}}),
    ],
)
def test_what_is_no_answer_is_unreadable(questions, text):
    record = read(questions, text)
    assert record["status"] == "unreadable"
    (answers,) = answers_from([record], questions.base)
    assert answers.unreadable.tolist() == [1]


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_costs_its_field_alone(questions, constant):
    record = read(
        questions, json.dumps(WHOLE).replace(f'"valence": {WHOLE["valence"]}', f'"valence": {constant}')
    )
    assert record["extra"]["unread"] == ["valence"]
    assert set(WHOLE) - {"valence"} <= set(record)


def test_refusals_are_no_answers(questions):
    assert read(questions, "", refusal="no")["status"] == "refused"
    assert read(questions, json.dumps(WHOLE), finish="content_filter")["status"] == "refused"
    assert read(questions, json.dumps(WHOLE)[:30], finish="length")["status"] == "unreadable"


def test_marks_are_read_one_by_one(questions):
    answer = {
        "action_units": {"AU1": True, "au2": False, "AU4": None, "AU5": "yes", "AU6": "maybe", "AU99": True}
    }
    record = read(questions, answer, "action_units")
    assert record["action_units"] == {"AU1": True, "AU2": False, "AU4": None, "AU5": True}
    assert record["extra"]["unread"] == ["action_units: AU6", "action_units: AU99"]
    assert read(questions, {"action_units": {"AU1": True, "AU4": True}}, "verify", "AU4")["action_units"] == {
        "AU4": True
    }


SPELLINGS = {
    "thoughts": '<think>Maybe {"valence": 0.1}, no.</think>\n' + json.dumps(WHOLE),
    "thoughts without a beginning": 'Perhaps {"valence": 0.1}?\n</think>\n' + json.dumps(WHOLE),
    "said twice": f"{json.dumps(WHOLE)}\n\n{json.dumps(WHOLE)}",
    "trailing commas": json.dumps(WHOLE).replace("]}", "],}").replace('"AU12"]', '"AU12",]'),
    "comment": json.dumps(WHOLE).replace('["AU6"', '// a smile\n["AU6"'),
    "sign": json.dumps(WHOLE).replace("0.5", "+0.5"),
    "Python": repr(WHOLE),
    "line break within a text": json.dumps(WHOLE).replace("happiness", "happiness\n"),
    "wrapped": json.dumps({"answer": WHOLE}),
    "call": json.dumps({"name": "answer", "arguments": WHOLE}),
    "encoded twice": json.dumps({"answer": json.dumps(WHOLE)}),
    "list of one": json.dumps([WHOLE]),
    "other case": json.dumps({key.capitalize(): value for key, value in WHOLE.items()}),
    "number as text": json.dumps({**WHOLE, "valence": "0.5"}),
    "zeros": json.dumps({**WHOLE, "action_units": ["AU06", "au 12"]}),
    "numbers": json.dumps({**WHOLE, "action_units": [6, "12"]}),
    "labels": json.dumps({**WHOLE, "action_units": ["Cheek Raiser", "AU12 (lip corner puller)"]}),
    "twice": json.dumps({**WHOLE, "action_units": ["AU6", "AU12", "AU6"]}),
    "stops": json.dumps({**WHOLE, "expression": ["Happiness.", "Surprise.", "Neutral."]}),
    "probabilities": json.dumps(
        {**WHOLE, "expression": {"surprise": 0.2, "happiness": 0.7, "neutral": 0.1, "fear": 0}}
    ),
    "names in a text": json.dumps({**WHOLE, "expression": "happiness, surprise, neutral"}),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_another_spelling_is_the_same_answer(questions, name):
    record = read(questions, SPELLINGS[name])
    assert {key: record.get(key) for key in WHOLE} == WHOLE
    assert "extra" not in record


def test_units_keys_and_marks_have_other_names_too(tmp_path):
    chinese = Questions(seke.knowledge(LANGUAGES / "zh.yaml"))
    answer = {
        "动作单元": ["脸颊上扬", "AU12（嘴角上扬）"],
        "效价": 0.5,
        "唤醒度": "０.2",
        "表情": ["高兴", "惊讶", "中性"],
    }
    assert {key: read(chinese, answer).get(key) for key in WHOLE} == WHOLE
    marks = read(chinese, {"动作单元": {"皱眉": "有", "AU6": "无"}}, "action_units")
    assert marks["action_units"] == {"AU4": True, "AU6": False}
    assert read(chinese, "是", "verify", "AU4")["action_units"] == {"AU4": True}
    german = Questions(seke.knowledge(LANGUAGES / "de.yaml"))
    answer = {"Aktionseinheiten": ["Wangenheber (AU6)", "Mundwinkel hochgezogen"], "Valenz": "0,5"}
    answer |= {"Erregung": 0.2, "Ausdruck": ["Freude", "überrascht", "ausdruckslos"]}
    assert {key: read(german, answer).get(key) for key in WHOLE} == WHOLE
    assert read(german, "nein", "verify", "AU4")["action_units"] == {"AU4": False}
    (tmp_path / "o.yaml").write_text(
        "extends: shipped\nquestions: {joint: {also: {clear: [good view], face: [sight], affect: [mood]}}}\n"
    )
    sighted = Questions(seke.knowledge(tmp_path / "o.yaml"))
    assert read(sighted, {**WHOLE, "Sight": "Good view."})["extra"] == {"face": "clear"}


def test_the_shipped_units_are_called_by_their_facs_names_in_their_usual_forms(questions):
    answer = {**WHOLE, "action_units": ["cheeks raised", "Lip Corner Pull (AU12)"]}
    assert read(questions, answer)["action_units"] == ["AU6", "AU12"]
    # A name with the number of another unit is neither.
    unread = read(questions, {**WHOLE, "action_units": ["cheeks raised (AU12)", "AU6"]})
    assert unread["action_units"] == {"AU6": True}


@pytest.mark.parametrize(
    ("scale", "numbers", "anchor"),
    [("[1, 9]", (7, 5.8), "1 very unpleasant"), ("[0, 100]", ("75", 60), "0 very unpleasant")],
)
def test_a_question_may_declare_the_scale_of_its_numbers(questions, tmp_path, scale, numbers, anchor):
    path = tmp_path / "o.yaml"
    path.write_text(
        f"extends: shipped\nquestions: {{affect: {{scale: {scale}}}, joint: {{scale: {scale}}}}}\n"
    )
    scaled = Questions(seke.knowledge(path))
    for question in ("affect", "joint"):
        prompt = scaled.prompt(request(question))
        low, high = json.loads(scale)
        schema = prompt.schema["properties"]["valence"]
        assert (schema["minimum"], schema["maximum"]) == (low, high)
        assert schema["description"] == f"from {low} to {high}"
        told = prompt.system + prompt.text
        assert f"valence: {anchor}" in told
        assert f"; {(low + high) / 2:g} neither" in told
        assert "-0.5 " not in told
        assert prompt.digest != questions.prompt(request(question)).digest
    answer = {"face": "clear", "valence": numbers[0], "arousal": numbers[1]}
    record = read(scaled, answer, "affect")
    assert (record["valence"], record["arousal"]) == (0.5, 0.2)
    outside = read(scaled, {**WHOLE, "valence": high + 1, "arousal": low})
    assert outside["extra"] == {"unread": ["valence", "arousal"], "off_scale": {"valence": high + 1}}
    path.write_text(f"extends: shipped\nquestions: {{check_affect: {{scale: {scale}}}}}\n")
    check = Questions(seke.knowledge(path)).prompt(request("check_affect", about="valence"))
    assert f"- {anchor}" in check.text
    # The variable's own range is no other scale: nothing changes.
    path.write_text("extends: shipped\nquestions: {affect: {scale: [-1, 1]}}\n")
    plain = Questions(seke.knowledge(path)).prompt(request("affect"))
    assert plain.digest == questions.prompt(request("affect")).digest


def test_other_words_for_a_state_are_declared(questions):
    answer = {**WHOLE, "expression": ["Happy", "surprised.", "no expression"]}
    assert read(questions, answer)["expression"] == WHOLE["expression"]
    chinese = Questions(seke.knowledge(LANGUAGES / "zh.yaml"))
    answer = {**WHOLE, "expression": ["高兴", "惊讶", "中性"]}
    assert read(chinese, answer)["expression"] == WHOLE["expression"]
    german = Questions(seke.knowledge(LANGUAGES / "de.yaml"))
    assert read(german, {"expression": ["wütend", "Ekel", "Angst"]}, "expression")["expression"] == [
        "anger",
        "disgust",
        "fear",
    ]


@pytest.mark.parametrize("name", ["plain", "comment", "Python", "wrapped", "encoded twice", "other case"])
def test_no_answer_that_is_cut_off_is_read(questions, name):
    text = {"plain": json.dumps(WHOLE), **SPELLINGS}[name]
    for stop in range(len(text)):
        assert read(questions, text[:stop])["status"] == "unreadable", text[:stop]


@pytest.mark.parametrize(
    "text",
    [
        "{'valence': 0.1, 'valence': 0.2}",
        '{"valence": 0.1, "Valence": 0.2}',
        '{"valence": 0.1, valence: 0.2}',
        "{'valence': Infinity}",
        "{'valence': {0.1}}",
    ],
)
def test_nothing_is_mended_but_spelling(questions, text):
    assert read(questions, text)["status"] == "unreadable"


def test_a_number_out_of_range_says_that_all_are_on_another_scale(questions):
    record = read(questions, {**WHOLE, "valence": 1, "arousal": 4})
    assert record["extra"]["unread"] == ["valence", "arousal"]
    assert record["expression"] == WHOLE["expression"]


def test_a_probability_of_nothing_is_no_place(questions):
    certain = {"fear": 0, "happiness": 1.0, "neutral": 0}
    assert read(questions, {**WHOLE, "expression": certain})["expression"] == ["happiness"]
    assert "expression" not in read(questions, {**WHOLE, "expression": {"fear": -1, "happiness": 2}})


def test_a_known_code_among_others_leaves_the_list_closed(questions):
    record = read(questions, {**WHOLE, "action_units": ["AU6", "AU12", "AU18"]})
    assert record["action_units"] == ["AU6", "AU12"]
    assert record["extra"]["unread"] == ["action_units: AU18"]
    assert read(questions, {**WHOLE, "action_units": ["none"]})["action_units"] == []
    # A number with the label of another unit is neither.
    assert read(questions, {**WHOLE, "action_units": ["AU6 (brow lowerer)"]})["extra"]["unread"] == [
        "action_units"
    ]


@pytest.mark.parametrize(
    ("text", "question", "about", "levels"),
    [
        ("true", "verify", "AU4", {"action_units": {"AU4": True}}),
        ("No.", "verify", "AU4", {"action_units": {"AU4": False}}),
        ("null", "verify", "AU4", {"action_units": {"AU4": None}}),
        ('{"AU4": 0}', "verify", "AU4", {"action_units": {"AU4": False}}),
        (
            '{"AU04": "absent", "AU1": 1}',
            "action_units",
            None,
            {"action_units": {"AU4": False, "AU1": True}},
        ),
        ("Happiness.", "expression", None, {"expression": "happiness"}),
        ('["fear", "surprise", "anger"]', "expression", None, {"expression": ["fear", "surprise", "anger"]}),
    ],
)
def test_a_form_of_one_key_may_be_answered_by_its_value(questions, text, question, about, levels):
    record = read(questions, text, question, about)
    assert {key: record.get(key) for key in levels} == levels


@pytest.mark.parametrize(
    "text", ["happ", '["happiness", "surpr', "happiness, surprise", "0.6", "The face is sad"]
)
def test_a_value_alone_is_whole_or_unread(questions, text):
    assert read(questions, text, "expression")["status"] == "unreadable"


leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["AU6", "fear"])
)
keys = st.text() | st.sampled_from(["expression", "AU12"])
values = leaves
for _ in range(3):
    values = leaves | st.lists(values, max_size=4) | st.dictionaries(keys, values, max_size=4)


def hostile(questions, answer, question):
    """Whatever is said is a sample that the base can read, with nothing in it that was not asked for."""
    about = "AU4" if question == "verify" else None
    text = answer if isinstance(answer, str) else json.dumps(answer)
    record = read(questions, text, question, about)
    list(answers_from([record], questions.base))
    allowed = {"item", "observer", "question", "view", "draw", "status", "extra", *WHOLE}
    assert set(record) <= allowed


@settings(max_examples=examples(25), deadline=None)
@given(answer=st.dictionaries(st.sampled_from([*WHOLE, "reports", "extra", "status"]), values) | st.text())
@pytest.mark.parametrize("question", ["joint", "action_units", "verify"])
def test_hostile_answers(questions, question, answer):
    hostile(questions, answer, question)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(answer=st.dictionaries(st.sampled_from([*WHOLE, "reports", "extra", "status"]), values) | st.text())
def test_ten_thousand_hostile_answers(questions, answer):
    hostile(questions, answer, "joint")


def test_a_base_without_faces_is_asked_in_its_own_words(tmp_path):
    (tmp_path / "o.yaml").write_text(
        f"extends: {PLANTS}\nquestions: {{photo: {{prompt: 'What ails it? {{{{ answer }}}}'}}, "
        "source: judgement, note: Mine.}\n"
    )
    base = seke.knowledge(tmp_path / "o.yaml")
    questions = Questions(base)
    asked = questions.all_requests()[0]
    assert questions.prompt(asked).text.startswith('What ails it? {"')
    answer = dict.fromkeys(questions.prompt(asked).schema["properties"])
    states = base.variables[base.root].states
    key = next(key for key in questions.form(asked, Context()).keys if key.members == (base.root,))
    record = questions.read(asked, Choice(0, json.dumps({**answer, key.name: [states[0]]}), "stop"))
    (answers,) = answers_from([record], base)
    assert answers.samples.tolist() == [1]


@pytest.mark.parametrize(
    ("prompt", "message", "line"),
    [
        ("Look. {{ nowledge.expression }}", "'nowledge' is undefined; did you mean knowledge", 4),
        ("|-\n      Look at it.\n      {% for x in knowledge.expression %}", "line 2 of the template", 6),
        ("Look. {{ 1 / 0 }}", "division by zero", 4),
        ("Look. {{ ''.__class__.__mro__ }}", "unsafe", 4),
    ],
)
def test_a_faulty_template_is_a_fault_at_its_place(tmp_path, prompt, message, line):
    path = tmp_path / "o.yaml"
    text = prompt if prompt.startswith("|") else f'"{prompt}"'
    path.write_text(f"extends: shipped\nquestions:\n  expression:\n    prompt: {text}\n")
    with pytest.raises(KnowledgeError, match=message) as error:
        Questions(seke.knowledge(path)).check()
    assert str(error.value).startswith(f"{path}:{line}:")
    assert "questions.expression.prompt" in str(error.value)
    with pytest.raises(KnowledgeError):
        seke.check(path)


RAISED = {
    "{{ ('abc').index('z') }}": "substring not found",
    "{{ [].pop() }}": "unsafe",
    "{{ asks[0][0][0][0][9] }}": "no element 9",
    "{{ '{a}'.format() }}": "'a'",
    "{{ '{0.x}'.format(1) }}": "no attribute 'x'",
    "{{ 'a'.encode('x') }}": "unknown encoding: x",
    "{{ cycler().next() }}": "at least one item has to be provided",
    "{{ 'x'|truncate(-1, leeway='a') }}": "expected length >= 3, got -1",
    "{{ 1 is divisibleby 0 }}": "by zero",
    "{{ 1 < 'a' }}": "not supported between",
    "{{ (1e308 * 10) | int }}": "",
    "{{ 'inf'|float|round(2, 'ceil') }}": "cannot convert float infinity",
    "{{ '\\ud800' }}": "surrogates not allowed",
    "{% include 'x' %}": "no loader for this environment",
    "{% for k, v in [1] %}{% endfor %}": "cannot unpack",
}


@pytest.mark.parametrize("template", RAISED)
def test_whatever_an_expression_raises_is_a_fault_at_its_line(tmp_path, template):
    path = tmp_path / "o.yaml"
    path.write_text(
        "extends: shipped\nquestions:\n  expression:\n    prompt: |-\n      Look.\n      " + template + "\n"
    )
    with pytest.raises(KnowledgeError) as error:
        Questions(seke.knowledge(path)).check()
    assert str(error.value).startswith(f"{path}:")
    assert "questions.expression.prompt: " in str(error.value)
    assert RAISED[template] in str(error.value)


DOUBLED = "{% set n = namespace(x=START) %}{% for i in range(60) %}{% set n.x = MORE %}{% endfor %}{{ n.x }}"


def doubled(start, more):
    return DOUBLED.replace("START", start).replace("MORE", more)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", LIMIT_OF_TIME),
        ("{% for i in range(99999) if not range(99999)|select('lt', 0)|list %}{% endfor %}", LIMIT_OF_TIME),
        ("{{ 'x' * 10**10 }}", "a product has 10,000,000,000 characters; allowed are 200,000"),
        ("{{ 10**(10**8) }}", "a power has 400,000,000 bits; allowed are 10,000"),
        (doubled("9", "n.x * n.x"), "a number has "),
        (doubled("'x'", "n.x ~ n.x"), LONG_TEXT),
        (doubled("'x'", "n.x + n.x"), LONG_TEXT),
        (doubled("[1]", "n.x + n.x"), LONG_LIST),
        (doubled("[1]", "[n.x, n.x]"), LONG_LIST),
        (doubled("{}", "{'a': n.x, 'b': n.x}"), LONG_LIST),
        (doubled("(1, 2)", "(n.x, n.x)"), LONG_LIST),
        ("{{ 'x'|center(10**10) }}", LIMIT_OF_MEMORY),
        ("{{ 'x'.ljust(600000000) }}", LIMIT_OF_MEMORY),
        ("{{ '%1000000000d' % 1 }}", LIMIT_OF_MEMORY),
        ("{{ '{:>1000000000}'.format(1) }}", LIMIT_OF_MEMORY),
        ("{{ range(99999)|join('x' * 100000) }}", LIMIT_OF_MEMORY),
        ("{{ ('x' * 99999).replace('x', 'y' * 99999) }}", LIMIT_OF_MEMORY),
        ("{{ ('<' * 99999)|escape }}", "a text has 399,996 characters; allowed are 200,000"),
        ("{{ 5|round(-100000000) }}", "a precision has -100,000,000 digits; allowed are 15"),
        (
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "it is nested too deeply, or calls itself without",
        ),
        ("{{ " + "(" * 20000 + " }}", DEEP),
        ("{% for i in range(100000) %}two {% endfor %}", "the prompt has 200,"),
        ("{% include 'x' %}", "no loader for this environment specified"),
        ("{{ 'a'|wordwrap(1) }}", "No filter named 'wordwrap'"),
        ("{{ lipsum() }}", "'lipsum' is undefined"),
    ],
)
def test_a_template_without_end_is_a_fault(questions, template, message, monkeypatch):
    # Where another bound is tried, that of time does not come first, whatever else the machine does.
    seconds = SECONDS if message == LIMIT_OF_TIME else 600.0
    monkeypatch.setattr("seke.prompts.bounded_template.MOST_SECONDS", seconds)
    base, began = questions.base, time.process_time()
    asked = replace(base.questions["joint"], prompt=f"Look.\n{template}")
    hostile = Questions(replace(base, questions={**base.questions, "joint": asked}))
    traced = sys.gettrace()
    with pytest.raises(KnowledgeError) as caught:
        hostile.prompt(request())
    (fault,) = caught.value.faults
    assert fault.path == "questions.joint.prompt"
    assert fault.place.file == asked.prompt_place.file
    assert message in fault.message
    assert sys.gettrace() is traced
    assert time.process_time() - began < 8


def test_what_templates_usually_do_is_allowed(questions):
    text = "{% for a, b in [(1, 2)] %}{% set c, d = 3, 4 %}{{ {'a': [a, b]}.a|join(', ') }}"
    text += "{{ c ~ d }}{% endfor %}"
    base = questions.base
    asked = replace(base.questions["joint"], prompt=text + "{{ 1.25|round(1) }}{{ 'a'|upper * 2 }}")
    prompt = Questions(replace(base, questions={**base.questions, "joint": asked})).prompt(request())
    assert prompt.text == "1, 2341.2AA"
