"""Texts read for what they claim: a rewording that claims the same is taken, all else is dropped."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from made_run import made_records

import seke
from engine import KnowledgeError, SekeError
from seke.exporting.accepted_labels import AcceptedLabels, Grounds
from seke.exporting.instruction_templates import read_instructions
from seke.exporting.instruction_texts import TASKS
from seke.exporting.instruction_writer import InstructionWriter
from seke.exporting.text_claims import ClaimReader
from seke.exporting.unit_evidence import EvidenceFinder
from seke.exporting.wording import Wording

ORIGINAL = (
    "The lip corners are pulled back and up (AU12); this speaks clearly for happiness. Besides, the lips are "
    "parted (AU25); this adds to it slightly. Without AU25 these signs would rather be read as contempt "
    "(0.55). All in all, the face shows happiness, perhaps surprise."
)
SAME = (
    "The lip corners are raised and drawn back (AU12), and that clearly points to happiness. The parted lips "
    "(AU25) add to this slightly. Without AU25, the signs would be read as contempt (0.55). Taken together, "
    "the expression is happiness, perhaps surprise."
)
# What is changed in it, and why it is dropped then.
CHANGES = [
    ("AU12", "AU14", "other units"),
    ("(AU12)", "(AU12), with the cheeks lifted (AU6)", "other units"),
    (" (AU25) add", " add", "other units"),
    ("(AU12)", "(AU12), with the cheeks lifted", "signs of no unit"),
    ("(AU12)", "(AU12 (nose wrinkler))", "signs of no unit"),
    ("raised and drawn back", "drawn down", "signs of no unit"),
    ("The parted lips", "The pressed lips", "signs of no unit"),
    ("The lip corners are raised and drawn back", "There is no smile", "there or not"),
    ("The parted lips (AU25) add", "That the lips are not parted (AU25) adds", "there or not"),
    ("that clearly points", "that does not clearly point", "denied"),
    ("The parted lips", "No lips that are not parted", "unclear"),
    ("0.55", "0.45", "other numbers"),
    ("0.55", "55%", "other numbers"),
    ("0.55", "-0.55", "other numbers"),
    ("contempt", "disgust", "other expressions"),
    ("happiness, perhaps surprise", "surprise, perhaps happiness", "other expressions"),
    (", perhaps surprise", "", "other expressions"),
    ("perhaps", "", "strength"),
    ("clearly", "strongly", "strength"),
    ("clearly points", "may clearly point", "doubt"),
    ("would be", "are", "doubt"),
    ("points to", "speaks against", "for and against"),
    ("Taken together, the", "If the", "doubt"),
    (". The parted", ", and the parted", "other sentences"),
    (" The parted lips (AU25) add to this slightly.", "", "other sentences"),
    ("surprise.", "surprise?", "a question"),
    ("The lip corners", "The woman's lip corners", "not known (woman)"),
    ("the expression is", "she feels", "not known (she)"),
    ("The lip corners are", "The left lip corner is", "doubt"),
    ("(AU12)", "(AU12) in a broad smile", "not known (broad)"),
    ("to happiness", "to some happiness", "doubt"),
    ("points to", "considerably points to", "not known"),
    ("The parted lips (AU25) add", "Apart from AU25 other signs add", "there or not"),
    ("surprise.", "surprise. <image>", "other marks"),
    ("surprise.", "surprise **.", "other marks"),
]
# Wrong rewordings of sentences of every kind, in words that are all known; nearly all were taken once.
LIP = "The lip corners are pulled up (AU12), which speaks clearly for happiness."
WRONG = [
    (LIP, "The lip corners are pulled up (AU12), which clearly points away from happiness."),
    (
        LIP,
        "The lip corners are pulled up (AU12), which speaks clearly for another expression than happiness.",
    ),
    (LIP, "The lip corners are out of view (AU12), which speaks clearly for happiness."),
    (LIP, "The lip corner falls (AU12), which speaks clearly for happiness."),
    (LIP, "The lip corners are pulled up (AU12), which speaks clearly for all but happiness."),
    (LIP, "The lip corners are pulled up (AU12), which clearly takes happiness out."),
    (LIP, "The lip corners are pulled up (AU12), which speaks clearly for “happiness”."),
    (LIP, "The lip corners of another face are pulled up (AU12), which speaks clearly for happiness."),
    (LIP, "Most faces show lip corners that are pulled up (AU12), which speaks clearly for happiness."),
    (
        "If AU12 were absent, a neutral expression would be the better reading of the signs (0.43).",
        "AU12 is absent, and a neutral expression would be the better reading of the signs (0.43).",
    ),
    (
        "Had AU4 (brow lowerer) been visible, fear would be the better reading (0.80).",
        "AU4 (brow lowerer) is visible, and fear would be the better reading (0.80).",
    ),
    ("AU1 and AU4 are not visible.", "AU1 is there, not AU4."),
    ("Not visible: AU1 and AU4.", "Nothing else than AU1 and AU4 is visible."),
    ("Nose: no sign of AU9.", "Nose: no other sign than AU9."),
    ("Visible: AU12.", "Looked for: AU12."),
    ("Affect: valence +0.75 and arousal +0.36.", "Affect: valence –0.75 and arousal +0.36."),
    ("Affect: valence +0.75 and arousal +0.36.", "Affect: valence (-)0.75 and arousal +0.36."),
    ("Affect: valence +0.75 and arousal +0.36.", "Affect: valence over +0.75 and arousal +0.36."),
    ("AU1 0.97, AU12 0.03, AU25 0.99.", "AU25 0.97, AU12 0.03, AU1 0.99."),
    ("Fear is now at 0.55, in place of 0.30.", "Fear is now, instead of 0.55, at 0.30."),
    ("The first shows AU4, the second does not.", "The first does not show AU4, the second does."),
    ("Both faces show AU4.", "One of both faces shows AU4."),
    ("The face shows happiness, perhaps contempt.", "The face shows perhaps happiness, or contempt."),
    ("It could also be surprise (0.25).", "It is probably surprise (0.25)."),
    ("The face shows sadness.", "The face shows more than sadness."),
]
OTHERS = [
    ("Die Mundwinkel sind gehoben (AU12), was deutlich für Freude spricht.", "not known"),
    ("Уголки губ приподняты (AU12).", "not known"),
    ("I'm sorry, but I can't help with that.", "not known"),
    ("", "other sentences"),
    (SAME * 40, "too long"),
]


@pytest.fixture(scope="module")
def base():
    return seke.knowledge()


@pytest.fixture(scope="module")
def finder(base):
    return EvidenceFinder(base, "uniform")


@pytest.fixture(scope="module")
def reader(base):
    return ClaimReader(Wording(base, read_instructions(base)))


def test_what_claims_the_same_is_taken(reader):
    smiling = "A smile can be seen, with the corners of the mouth lifted back (AU12), which clearly favours"
    assert reader.difference(ORIGINAL, SAME) is None
    assert reader.difference(ORIGINAL, re.sub("^The lip.* points to", smiling, SAME)) is None
    assert reader.difference("No. The face shows fear.", "That is wrong. This face expresses fear.") is None
    hidden = (
        "Not visible, which speaks strongly for anger: AU1 (inner brow raiser) and AU12 (lip corner puller)."
    )
    assert reader.difference(hidden, "The absence of AU1 and AU12 strongly supports anger.") is None
    assert reader.difference("Nose: no sign of AU9 (nose wrinkler).", "Nose: AU9 is not visible.") is None


@pytest.mark.parametrize(("before", "after", "reason"), CHANGES)
def test_what_claims_anything_else_is_dropped(reader, before, after, reason):
    difference = reader.difference(ORIGINAL, SAME.replace(before, after, 1))
    assert reason in str(difference)
    assert difference is not None


@pytest.mark.parametrize(("original", "wrong"), WRONG)
def test_known_words_put_otherwise_are_dropped(reader, original, wrong):
    assert reader.is_clear(original)
    assert reader.difference(original, original) is None
    assert reader.difference(original, wrong) is not None


@pytest.mark.parametrize(("text", "reason"), OTHERS)
def test_what_is_no_rewording_is_dropped(reader, text, reason):
    assert reason in str(reader.difference(ORIGINAL, text))


def test_a_question_must_ask_for_the_same(reader):
    ask = "Which facial expression does this face show, and which visible signs support that?"
    same = "What facial expression can be seen on this face, and which visible signs support it?"
    assert reader.difference(ask, same, asked=True) is None
    for before, after, reason in (
        ("facial expression", "action units", "something else asked for"),
        (", and which visible signs support it", "", "something else asked for"),
        ("can be", "can not be", "denied"),
        ("?", ".", "a question"),
    ):
        assert reason in str(reader.difference(ask, same.replace(before, after), asked=True))
    ask, same = "AU12 is visible. Is that right?", "AU12 can be seen. Is this correct?"
    assert reader.difference(ask, same, asked=True) is None
    assert "denied" in str(reader.difference(ask, same.replace("correct", "wrong"), asked=True))
    assert reader.is_clear(ask)


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_answer_is_read_and_every_change_of_its_facts_is_seen(base, finder, language):
    instructions = read_instructions(base, language)
    writer = InstructionWriter(base, instructions, "uniform", soft=False, seed=1)
    writer.finder = finder
    reader = ClaimReader(writer.wording)
    labels = [AcceptedLabels.of(record, base, Grounds(uncalibrated=True)) for record in made_records(3, 3)]
    rows = [row for accepted in writer.prepared(labels, TASKS) for row in writer.rows(accepted, TASKS)]
    answers = {answer for row in rows for _, answer in row.turns if answer.endswith(".")}
    states, denial = [*writer.wording.states.values()], {"en": "not", "de": "nicht"}[language]
    steps = [step for kind in instructions.steps.values() for _, step in kind]
    changed = 0
    for answer in answers:
        assert reader.is_clear(answer)
        changes = [
            *(
                answer.replace(unit, "AU2" if unit != "AU2" else "AU1", 1)
                for unit in re.findall(r"AU\d+", answer)
            ),
            *(
                answer.replace(p, f"{float(p) + 0.01:.2f}", 1)
                for p in re.findall(r"(?<=[( ])\d\.\d\d", answer)
            ),
            *(re.sub(rf"\b{s}\b", states[i - 1], answer, count=1) for i, s in enumerate(states)),
            *(re.sub(rf"\b{step}\b", "", answer, count=1) for step in steps),
            *(answer.replace("(AU", f"{denial} (AU", 1) for _ in range(1)),
        ]
        for text in changes:
            if text != answer:
                changed += 1
                assert reader.difference(answer, text), text
    assert len(answers) > 15
    assert changed > 60


def test_a_users_words_are_known_and_checked(base, tmp_path):
    changed = SAME.replace("The lip", "Notably, the lip").replace("AU12), and", "AU12); a grin;")
    file = tmp_path / "words.yaml"
    file.write_text("rewording: {words: {mine: [notably, a]}, signs: {AU12: [grin*]}}\n")
    reader = ClaimReader(Wording(base, read_instructions(base, "en", [file])))
    assert reader.difference(ORIGINAL, changed) is None
    assert "signs of no unit" in str(
        reader.difference(ORIGINAL, SAME.replace("Taken together", "With a grin"))
    )
    file.write_text("rewording:\n  negation: none\n  labels: {joy: [glad]}\n  sings: {}\n")
    with pytest.raises(KnowledgeError) as caught:
        read_instructions(base, "en", [file])
    message = str(caught.value)
    for part in (
        "words.yaml:2:",
        "a list of words belongs here",
        "words.yaml:3:",
        "no such key; did you mean",
    ):
        assert part in message, message


def test_words_that_do_not_say_how_are_refused(base):
    wording = Wording(base, replace(read_instructions(base), rewording=None))
    with pytest.raises(SekeError, match="do not say how a rewording is read"):
        ClaimReader(wording)
