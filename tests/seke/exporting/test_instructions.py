"""The words of an export: their faults with places, overlays, languages, and seeded choice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from made_run import made_records

import seke
from engine import KnowledgeError, SekeError
from seke.cli.main import main
from seke.exporting.accepted_labels import AcceptedLabels, Grounds
from seke.exporting.grammar import seeded
from seke.exporting.instruction_templates import HERE, languages, read_instructions
from seke.exporting.instruction_texts import COMPOSED, KINDS, TASKS
from seke.exporting.instruction_writer import InstructionWriter
from seke.exporting.wording import Wording

OVERLAYS = Path(__file__).parents[3] / "examples" / "overlay"


@pytest.fixture(scope="module")
def base():
    return seke.knowledge()


def faults_of(base, tmp_path, text, language="en"):
    path = tmp_path / "words.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(KnowledgeError) as error:
        read_instructions(base, language, [path])
    return [str(fault).replace(f"{path}:", "") for fault in error.value.faults]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("taskss: {}\n", "1:9: taskss: no such key; did you mean tasks?"),
        ("tasks:\n  joy: {}\n", "2:8: tasks.joy: no such key; allowed are"),
        ("tasks:\n  affect:\n    hard: []\n", "3:11: tasks.affect.hard: no such key"),
        ("tasks: {affect: {plain: []}}\n", "1:25: tasks.affect.plain: a list of phrasings"),
        ("tasks: {affect: {plain: text}}\n", "1:25: tasks.affect.plain: a list of phrasings"),
        (
            "tasks: {affect: {plain: [text]}}\n",
            "1:26: tasks.affect.plain[0]: is a text; a mapping with ask and",
        ),
        (
            'tasks:\n  affect:\n    plain:\n      - ask: "{asked}"\n',
            "4:9: tasks.affect.plain[0].answer: is missing; a text belongs here",
        ),
        (
            'tasks:\n  affect:\n    plain:\n      - {ask: "{asked}", answer: "{json}", anser: x}\n',
            "4:51: tasks.affect.plain[0].anser: no such key; did you mean answer?",
        ),
        (
            'tasks:\n  affect:\n    plain:\n      - {ask: "How?", answer: "{numbers}"}\n',
            "4:15: tasks.affect.plain[0].ask: says nothing; it must use {asked}",
        ),
        (
            "tasks: {expression: {plain: [{ask: Which, answer: A smile.}]}}\n",
            "answer: says nothing; it must use {expression} or {phrase} or {shown} or {json}",
        ),
        (
            'tasks: {expression: {plain: [{ask: Which, answer: "{expresion}"}]}}\n',
            "no such fact here: 'expresion'; did you mean expression?",
        ),
        (
            'tasks: {expression: {plain: [{ask: Which, answer: "{expression} {p:.2f}"}]}}\n',
            "no such fact here: 'p'",
        ),
        (
            'tasks: {expression: {plain: [{ask: Which, answer: "{expression.__class__}"}]}}\n',
            "no such fact here: 'expression.__class__'",
        ),
        (
            'tasks: {expression: {plain: [{ask: Which, answer: "{expression"}]}}\n',
            "a brace that is meant as one is written twice",
        ),
        ('number: "{name} {value:+.2q}"\n', "1:9: number: cannot be filled in"),
        ('unit: "{name} <image>"\n', "1:7: unit: '<image>' may not stand in it"),
        ('unit: "{name} <|im_end|>"\n', "1:7: unit: '<|' may not stand in it"),
        ('unit: "{name} \\x1b"\n', "1:7: unit: '\\x1b' may not stand in it"),
        (
            'tasks: {expression: {plain: [{ask: Which, answer: "[{expression}|A smile.]"}]}}\n',
            "tasks.expression.plain[0].answer: says nothing",
        ),
        ('reasons: {nothing: "[a|b"}\n', "1:20: reasons.nothing: has a [ that nothing closes"),
        ('reasons: {nothing: "[a|{step}]"}\n', "no such fact here: 'step'"),
        ("signs: {AU99: x}\n", "1:15: signs.AU99: the base has nothing of that name"),
        ("steps: {weight: {words: [2 a, 1 b]}}\n", "steps.weight.words: a list as"),
        ("steps: {weight: {words: [much a]}}\n", "1:25: steps.weight.words: a list as"),
        ("anchors: {valence: {least: low}}\n", "anchors.valence.least: is no point of a scale"),
        ("regions: {brows: {name: brows, of: brows}}\n", "regions.brows.of: a list of regions"),
        ("turns: {why: []}\n", "1:14: turns.why: a list of phrasings"),
        ("unit: [a]\n", "1:7: unit: is a list; a text belongs here"),
        ('unit: ""\n', "1:7: unit: is empty; a text belongs here"),
        ("lists: {last: x, lst: y}\n", "1:23: lists.lst: no such key; did you mean last?"),
        (
            "names: {hapiness: joy}\n",
            "1:19: names.hapiness: the base has nothing of that name; did you mean happiness?",
        ),
        ("statements: {afraid-brow: x}\n", "the base has nothing of that name; did you mean afraid-brows?"),
        ("names: [a]\n", "1:8: names: is a list; a mapping belongs here"),
        ("- a\n", "1:1: is a list; a mapping with language, lists, unit, ... belongs here"),
        ("unit: a\nunit: b\n", "2:1: unit: is there twice"),
        ("unit: &a x\nbox: *a\n", "2:6: cannot be read (aliases (*) are not read; write the text out)"),
        ("unit: [\n", "2:1: is no YAML"),
        ("language: en-GB\n", "1:1: lists.between: is missing; a text belongs here"),
    ],
)
def test_faults_have_their_place(base, tmp_path, text, fault):
    faults = faults_of(base, tmp_path, text)
    assert any(message.startswith(fault) or fault in message for message in faults), faults


def test_all_faults_come_at_once_and_by_the_command_line(tmp_path):
    path = tmp_path / "words.yaml"
    path.write_text("unit: <image>\nnames: {fera: x}\n")
    run = tmp_path / "run"
    example = Path(__file__).parents[3] / "examples" / "annotate"
    args = ["--run", run, "--model", "gpt-4o", "--recorded", example / "answers.jsonl"]
    CliRunner().invoke(main, ["annotate", str(example), *map(str, args)])
    arguments = ["export", run, "-o", tmp_path / "data", "--templates", path]
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 2
    assert "words.yaml:1:7: unit" in result.stderr
    assert "words.yaml:2:15: names.fera" in result.stderr
    assert "2 faults" in result.stderr
    assert not (tmp_path / "data").exists()


def test_files_that_cannot_be_read_are_named(base, tmp_path):
    deep, wide, long = "is nested more than 30 deep", "has more than 50,000 keys", "has more than 1,000,000"
    for name, text, fault in (
        ("gone.yaml", None, "1:1: cannot be read"),
        ("latin.yaml", b"unit: \xe4\n", "1:7: not UTF-8 text: met the byte 0xe4"),
        ("deep.yaml", b"[" * 900_000, f"1:31: {deep}"),
        ("wide.yaml", b"[" + b"a," * 450_000 + b"]", f"1:100000: {wide}"),
        ("long.yaml", b"#" * 1_000_001, f"1:1: {long}"),
    ):
        path = tmp_path / name
        if text is not None:
            path.write_bytes(text)
        with pytest.raises(KnowledgeError, match=f"{name}:{fault}"):
            read_instructions(base, "en", [path])


def test_layers_lie_upon_one_another(base, tmp_path):
    lower, upper = tmp_path / "one.yaml", tmp_path / "two.yaml"
    lower.write_text("names: {fear: dread, anger: wrath}\nlists: {last: ' & '}\n")
    upper.write_text(
        "names: {fear: terror}\ntasks: {expression: {plain: [{ask: Which, answer: '{json}'}]}}\n"
    )
    layered, usual = read_instructions(base, "en", [lower, upper]), read_instructions(base)
    assert (layered.names["fear"], layered.names["anger"]) == ("terror", "wrath")
    assert (layered.texts["lists.last"], layered.texts["lists.between"]) == (" & ", ", ")
    assert len(layered.phrasings["expression", "plain"]) == 1
    assert layered.phrasings["expression", "soft"] == usual.phrasings["expression", "soft"]
    assert layered.digest != usual.digest


def test_another_language_keeps_no_word_of_the_one_below(base, tmp_path):
    """A layer in Dutch that says all but one thing is told of that one, and not completed in English."""
    whole = (HERE / "instructions.yaml").read_text("utf-8").replace("language: en", "language: nl")
    tree = yaml.safe_load(whole)
    del tree["reasons"]["absent"], tree["anchors"]
    faults = faults_of(base, tmp_path, yaml.safe_dump(tree))
    assert faults == ["1:1: reasons.absent: is missing; a text belongs here"]


def test_every_shipped_language_says_everything_and_names_the_base(base):
    assert languages() == ("de", "en")
    for language in languages():
        instructions = read_instructions(base, language)
        assert instructions.language == language
        assert {*instructions.phrasings} == {
            (task, kind) for task in TASKS if task not in COMPOSED for kind in KINDS
        }
        assert all(instructions.phrasings.values())
    german = read_instructions(base, "de")
    states = base.variables["expression"].states
    assert {*states, *base.cells, *base.intervals, *base.levels} - german.names.keys() == set()
    about = {
        rule.name for rule in base.rules if "expression" in rule.condition.variables() | rule.then.variables()
    }
    assert about <= german.statements.keys()
    assert {*base.cells} == german.signs.keys() == german.descriptions.keys()
    assert {name: len(anchors) for name, anchors in german.anchors.items()} == {"valence": 5, "arousal": 5}


def test_both_languages_have_the_same_forms(base):
    """Nothing can be said in one language that cannot be said in the other."""
    english, german = (read_instructions(base, language) for language in ("en", "de"))
    assert english.regions.keys() != german.regions.keys()
    assert [*english.regions.values()] == [*german.regions.values()]
    for kind, steps in english.steps.items():
        assert [least for least, _ in steps] == [least for least, _ in german.steps[kind]]
    for words in (english, german):
        for path, form in words.forms.items():
            may, _ = form.fields()
            assert may or path in ("verdicts.open", "reasons.nothing"), path
        assert words.forms["reasons.sign"].count() * words.signs["AU12"].count() > 10


def test_a_base_with_fewer_names_takes_the_shipped_words(tmp_path):
    smaller = seke.knowledge(OVERLAYS / "seven-classes.yaml")
    assert "contempt" not in read_instructions(smaller, "de").names
    faults = faults_of(smaller, tmp_path, "names: {contempt: scorn}\n")
    assert len(faults) == 1
    assert "names.contempt: the base has nothing of that name" in faults[0]


def speaker(base, language="en", *, soft=False, seed=0):
    return InstructionWriter(base, read_instructions(base, language), "uniform", soft=soft, seed=seed)


def labels_of(record, expression=None, numbers=None, units=None):
    """Accepted labels with these values, all of them seen."""
    numbers, units = numbers or {}, units or {}
    levels = {name: {"origin": "seen"} for name in (*numbers, *units)}
    record = {**record, "decision": {**record["decision"], "levels": levels}}
    return AcceptedLabels(record["item"], expression, numbers, units, record)


def test_phrasings_are_chosen_by_the_seed(base):
    records = [AcceptedLabels.of(record, base, Grounds(uncalibrated=True)) for record in made_records(300)]
    asks_by_seed = {}
    for seed in (0, 1):
        writer = speaker(base, seed=seed)
        rows = [row for labels in records for row in writer.rows(labels, ["expression"])]
        asks_by_seed[seed] = [row.turns[0][0] for row in rows]
    phrasings = read_instructions(base).phrasings["expression", "plain"]
    assert len({*asks_by_seed[0]}) == sum(phrasing.ask.count() for phrasing in phrasings)
    assert asks_by_seed[0] != asks_by_seed[1]


def test_a_unit_that_the_words_do_not_know_is_named_by_its_label(base, tmp_path):
    words = tmp_path / "words.yaml"
    words.write_text(
        "language: nl\n" + (HERE / "instructions.yaml").read_text("utf-8").replace("language: en", "")
    )
    text = words.read_text("utf-8")
    words.write_text(text[: text.index("signs:")] + text[text.index("# What a unit looks like") :])
    facts = Wording(base, read_instructions(base, "en", [words])).unit_facts("AU12", seeded(0))
    assert facts["clause"] == facts["description"] == "lip corner puller can be seen"


def test_names_and_labels_come_from_the_base(base, tmp_path):
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("extends: shipped\nvariables:\n  AU12: {label: corner lifter}\n")
    overlaid = seke.knowledge(overlay)
    assert speaker(overlaid).wording.units["AU12"] == "AU12 (corner lifter)"
    overlay.write_text('extends: shipped\nvariables:\n  AU12: {label: "corner <image> lifter"}\n')
    with pytest.raises(SekeError, match="AU12: 'corner <image> lifter' holds '<image>'"):
        speaker(seke.knowledge(overlay))


def test_german_reasons_are_german(base):
    (record,) = made_records(1)
    labels = labels_of(record, "fear", {}, {"AU1": True, "AU2": True, "AU4": True, "AU12": False})
    ((_, answer),) = next(iter(speaker(base, "de").rows(labels, ["reasoned"]))).turns
    assert "Gehobene und zugleich zusammengezogene Brauen gehören zur Angst" in answer
    assert "Brauen sind" in answer
    assert "AU4" in answer
    assert "brow" not in answer


@pytest.mark.parametrize(
    ("language", "label", "sentence", "reason"),
    [
        ("en", "neutral", "The face shows a neutral expression.", "for a neutral expression: AU"),
        ("en", "fear", "The face shows fear.", "for fear."),
        ("de", "neutral", "Das Gesicht zeigt einen neutralen Ausdruck.", "für einen neutralen Ausdruck"),
        ("de", "fear", "Das Gesicht zeigt Angst.", "für Angst"),
    ],
)
def test_a_state_is_said_by_its_phrase_where_a_sentence_needs_one(base, language, label, sentence, reason):
    """Of `neutral` the name alone makes no object of a sentence."""
    (record,) = made_records(1)
    record = {**record, "expression": {state: float(state == label) for state in record["expression"]}}
    units = dict.fromkeys(("AU6", "AU12", "AU9", "AU25"), False) | {"AU5": label == "fear"}
    accepted = labels_of(record, label, {}, units)
    writer = speaker(base, language)
    answers = set()
    assert next(writer.prepared([accepted], ["reasoned"])) is accepted
    for seed in range(60):
        writer.seed = seed
        answers |= {
            answer for row in writer.rows(accepted, ["expression", "reasoned"]) for _, answer in row.turns
        }
    assert sentence in answers
    assert any(reason in answer for answer in answers)


def test_a_phrase_can_be_given_and_a_renamed_state_loses_the_shipped_one(base, tmp_path):
    path = tmp_path / "words.yaml"

    def phrase(text):
        path.write_text(text, encoding="utf-8")
        words = read_instructions(base, "en", [path])
        return Wording(base, words).phrase("neutral"), words.digest

    shipped, digest = phrase("{}")
    assert shipped == "a neutral expression"
    assert phrase("names: {neutral: calm}")[0] == "calm"
    given, other = phrase("names: {neutral: calm}\nphrases: {neutral: a calm face}")
    assert given == "a calm face"
    assert other != digest
    (fault,) = faults_of(base, tmp_path, "phrases: {AU1: raised brows}\n")
    assert fault.startswith("1:16: phrases.AU1: the base has nothing of that name")


def test_lists_by_hand(base):
    (record,) = made_records(1)
    writer = speaker(base)

    def answer(units):
        facts = writer.facts_of("action_units", writer.draft(labels_of(record, units=units), "action_units"))
        return facts["units"], json.loads(facts["json"])

    inner_brow, outer_brow = "AU1 (inner brow raiser)", "AU2 (outer brow raiser)"
    lip_corner = "AU12 (lip corner puller)"
    assert answer({"AU1": True})[0] == inner_brow
    assert answer({"AU1": True, "AU2": True, "AU4": False})[0] == f"{inner_brow} and {outer_brow}"
    assert (
        answer({"AU1": True, "AU2": True, "AU12": True})[0] == f"{inner_brow}, {outer_brow} and {lip_corner}"
    )
    assert answer({"AU1": False}) == ("none", {"action_units": {"AU1": False}})
