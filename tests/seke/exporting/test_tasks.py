"""The tasks of an export: what they ask, what they answer, in which format; and measures of their texts."""

from __future__ import annotations

import json
import random
import re
from collections import Counter

import pytest
from click.testing import CliRunner
from made_run import made_records, made_run, picture

import seke
from seke.cli.main import main
from seke.exporting.accepted_labels import AcceptedLabels, Grounds
from seke.exporting.instruction_row import InstructionRow
from seke.exporting.instruction_templates import read_instructions
from seke.exporting.instruction_texts import REASON_FREE
from seke.exporting.instruction_writer import InstructionWriter
from seke.exporting.text_measures import TextMeasures, probe

RIGHT = ("Yes", "That is correct", "True", "Correct")
WRONG = ("No", "That is wrong", "False")


@pytest.fixture(scope="module")
def base():
    return seke.knowledge()


@pytest.fixture(scope="module")
def faces(base, tmp_path_factory):
    """Accepted labels of simulated faces that are happy, and of 30 others, as a run would decide."""
    samples = tmp_path_factory.mktemp("faces") / "samples.jsonl"
    (batch,) = seke.simulate(items=150, draws=8, seed=3, population="in-the-wild")
    samples.write_text("".join(f"{json.dumps(row)}\n" for row in batch.samples))
    records = list(seke.infer(samples, population="in-the-wild"))
    labels = [AcceptedLabels.of(record, base, Grounds(uncalibrated=True)) for record in records]
    happy = [accepted for accepted in labels if accepted.expression == "happiness"]
    return happy, [accepted for accepted in labels if accepted.expression not in (None, "happiness")][:30]


def writer_of(base, language="en", seed=0, *, soft=False):
    return InstructionWriter(base, read_instructions(base, language), "uniform", soft=soft, seed=seed)


@pytest.mark.parametrize("language", ["en", "de"])
def test_thirty_faces_of_one_class_have_thirty_texts(base, faces, language):
    writer, (happy, _) = writer_of(base, language), faces
    texts = [
        row.turns[0][1]
        for labels in writer.prepared(happy, ["reasoned"])
        for row in writer.rows(labels, ["reasoned"])
    ]
    assert len(texts) >= 30
    assert len(set(texts[:30])) == 30
    # Nor do they only differ in what they end with.
    assert len({re.split(r"[.;:(]", text)[0] for text in texts[:30]}) > 5


def test_statements_are_balanced_and_verdicts_right(base, faces):
    writer, labels = writer_of(base), [*faces[0][:30], *faces[1]]
    counts = Counter()
    for accepted in labels:
        rows = list(writer.rows(accepted, ["check"]))
        assert [row.number for row in rows] == [1, 2]
        verdicts = [row.turns[0][1].startswith(RIGHT) for row in rows]
        assert all(
            row.turns[0][1].startswith(RIGHT if right else WRONG)
            for row, right in zip(rows, verdicts, strict=True)
        )
        assert sum(verdicts) == 1
        for row, right in zip(rows, verdicts, strict=True):
            ask = row.turns[0][0]
            unit = re.search(r"AU\d+", ask)
            kind = "unit" if unit else "number" if re.search("scale|looks rather", ask) else "expression"
            counts[kind, right] += 1
            if unit:
                says_visible = not re.search(r"not visible|cannot be seen|not show|There is no", ask)
                assert (says_visible == accepted.units[unit[0]]) == right, ask
            elif kind == "expression":
                assert (f" {writer.wording.phrase(accepted.expression)}." in ask) == right, ask
    assert {kind for kind, _ in counts} == {"unit", "number", "expression"}
    for kind in ("unit", "number", "expression"):
        assert counts[kind, True] == counts[kind, False]


def test_a_split_posterior_is_said_and_has_a_soft_target(base):
    (record,) = made_records(1)
    states = list(record["expression"])
    accepted = {}
    for p_next in (0.1, 0.2, 0.4):
        p = dict.fromkeys(states, 0.0) | {"surprise": 1 - p_next, "fear": p_next}
        split = {**record, "expression": p}
        accepted[p_next] = AcceptedLabels("x", "surprise", {}, {}, split)
    rows, writer = {}, writer_of(base)
    for seed in range(40):
        writer.seed = seed
        for p_next, labels in accepted.items():
            (row,) = writer.rows(labels, ["expression"])
            rows.setdefault(p_next, []).append(row)
    said = {p_next: {row.turns[0][1] for row in group} for p_next, group in rows.items()}
    assert "The face shows surprise." in said[0.1]
    assert "The face shows surprise, perhaps fear." in said[0.2]
    assert "The face shows surprise, or almost as probably fear." in said[0.4]
    # A question for one word is answered with one.
    assert "surprise" in said[0.4]
    assert {row.soft for row in rows[0.1]} == {""}
    (target,) = {row.soft for row in rows[0.4]}
    assert json.loads(target)["fear"] == 0.4


def test_the_class_cannot_be_told_from_the_wording_alone(base, faces):
    """Of tasks without reasons; a question that lists what was accepted gives it away, and is found out."""
    writer = writer_of(base)
    records = [labels for group in faces for labels in group[:30]]
    # Each face under many names, each of which draws its own phrasing.
    rng = random.Random(5)
    measures, leaking = TextMeasures(), []
    for number in range(900):
        labels = rng.choice(records)
        named = AcceptedLabels(f"{number}", labels.expression, labels.numbers, labels.units, labels.record)
        for row in writer.rows(named, REASON_FREE):
            measures.add(row, named.expression)
        leaking.append((named.expression, f"Which of these are visible: {', '.join(named.units)}?"))
    for task, texts in measures.facts().items():
        found = texts["probe"]
        assert found["classes"] >= 4
        assert found["recall"] <= found["highest"], (task, found)
        assert found["highest"] < 2 * found["chance"]
    found = probe(leaking)
    assert found["recall"] > found["highest"]


def test_measures_by_hand():
    measures = TextMeasures()
    for answer in ("a b a", "a b a", "c"):
        measures.add(InstructionRow("describe", (("?", answer),)), "fear")
    facts = measures.facts()["describe"]
    # a, b, c of seven words; "a b" and "b a" of four pairs; one of two triples.
    assert (facts["distinct_1"], facts["distinct_2"], facts["distinct_3"]) == (0.4286, 0.5, 0.5)
    assert facts["duplicates"] == 0.3333
    assert facts["words"] == {"mean": 2.3, "least": 1, "most": 3}
    assert facts["probe"] is None
    told = probe([(label, label) for label in ("fear", "anger") for _ in range(10)])
    assert (told["recall"], told["chance"]) == (1.0, 0.5)


def test_conversations_comparisons_and_what_cannot_be_judged_in_every_format(tmp_path):
    records = list(made_records(40, seed=2))
    for record in records[:3]:
        for level in record["decision"]["levels"].values():
            level["decision"] = "reject"
        record["diagnostics"] = {**record["diagnostics"], "samples": 4, "not_judged": 4}
    items = [{"path": str(picture(tmp_path / "f" / f"{n}.png", n)), "picture": str(n)} for n in range(40)]
    items[7]["box"] = items[8]["box"] = [1.0, 2.0, 9.0, 9.0]
    folder = made_run(tmp_path / "run", records, items)
    options = {"uncalibrated": True, "split": "train:.7,test:.3", "near_duplicates": "no"}
    tasks = ("compare", "conversation", "not_judged", "check")
    export = seke.export(folder, tmp_path / "two", formats=("messages", "trl"), tasks=tasks, **options)
    seke.export(folder, tmp_path / "one", formats=("llava",), tasks=tasks[1:], **options)
    kinds, pictures = Counter(), {}
    for split in ("train", "test"):
        messages, trl = (
            [
                json.loads(line)
                for line in (tmp_path / "two" / name / f"{split}.jsonl").read_text().splitlines()
            ]
            for name in ("messages", "trl")
        )
        llava = json.loads((tmp_path / "one" / "llava" / f"{split}.json").read_text())
        assert len({row["id"] for row in llava}) == len(llava)
        for row, other in zip(messages, trl, strict=True):
            kinds[row["task"]] += 1
            turns = row["messages"]
            assert [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
            assert (
                turns[0]["content"].count("<image>") == len(row["images"]) == 1 + (row["task"] == "compare")
            )
            parts = [part for turn in (*other["prompt"], *other["completion"]) for part in turn["content"]]
            texts = [part["text"] for part in parts if part["type"] == "text"]
            assert texts == [turn["content"].replace("<image>", "") for turn in turns]
            assert [part["type"] for part in other["prompt"][0]["content"]] == [
                *["image"] * len(row["images"]),
                "text",
            ]
            assert len(other["completion"]) == 1
            if row["task"] == "compare":
                assert len(set(row["images"])) == 2
                for place in row["images"]:
                    assert pictures.setdefault(place, split) == split
            if row["task"] == "conversation":
                assert 4 <= len(turns) <= 8
            if row["task"] == "not_judged":
                assert "judged" in turns[1]["content"]
        single = [row for row in messages if row["task"] != "compare"]
        by_llava = [
            [turn["value"].replace("<image>\n", "") for turn in row["conversations"]] for row in llava
        ]
        assert by_llava == [
            [turn["content"].replace("<image>", "") for turn in row["messages"]] for row in single
        ]
    assert kinds["not_judged"] == 3
    assert min(kinds[task] for task in tasks) > 2
    assert export.facts["texts"].keys() == set(tasks)
    card = (tmp_path / "two" / "README.md").read_text()
    assert "| conversation | " in card.partition("How varied the texts are")[2]
    arguments = [
        "export",
        folder,
        "-o",
        tmp_path / "no",
        "-f",
        "llava",
        "--task",
        "compare",
        "--uncalibrated",
    ]
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 2
    assert "needs two pictures in a row" in result.stderr
    assert not (tmp_path / "no").exists()


def test_comparisons_are_right(base, faces):
    from seke.exporting.comparison import ComparedPicture, Comparer

    writer, pairs = writer_of(base), zip(*faces, strict=False)
    kinds = Counter()
    for first, second in pairs:
        comparer = Comparer(writer, ["compare"])
        assert list(comparer.rows("train", ComparedPicture(first, "a", None))) == []
        assert list(comparer.rows("test", ComparedPicture(second, "c", None))) == []
        (row,) = comparer.rows("train", ComparedPicture(second, "b", [1, 2, 3, 4]))
        ((ask, answer),) = row.turns
        assert row.pictures == ("a", "b")
        assert "In the second picture it is about the face in the box" in ask
        if unit := re.search(r"AU\d+", ask):
            kinds["unit"] += 1
            visible = first.units[unit[0]], second.units[unit[0]]
            places = {(True, True): r"[Bb]oth", (False, False): r"[Nn]either"}.get(visible)
            places = places or (r"first.*|Only in the first" if visible[0] else r"second|Only in the second")
            assert re.search(places, answer), (ask, answer)
        elif "same" in ask:
            kinds["expression"] += 1
            assert answer.startswith(("No", "They do not"))
            assert answer.index("happiness") < answer.index(writer.wording.phrase(second.expression))
        else:
            kinds["number"] += 1
            name = "valence" if "pleasant" in ask else "arousal"
            wants_more = not re.search("less|calmer", ask)
            says_first = "first" in answer.split(":")[0]
            assert says_first == ((first.numbers[name] > second.numbers[name]) == wants_more), (ask, answer)
    assert len(kinds) == 3


def test_an_expression_that_was_not_accepted_is_a_soft_target_on_request(base):
    (record,) = made_records(1)
    levels = {name: {**level, "basis": None} for name, level in record["decision"]["levels"].items()}
    levels["expression"] = {"decision": "reject", "value": "surprise", "origin": "seen", "basis": None}
    record = {**record, "decision": {**record["decision"], "levels": levels}}
    record["expression"] = dict.fromkeys(record["expression"], 0.0) | {"surprise": 0.6, "fear": 0.4}

    def labels(more=levels, p=record["expression"], **grounds):
        changed = {**record, "expression": p, "decision": {**record["decision"], "levels": more}}
        return AcceptedLabels.of(changed, base, Grounds(**grounds))

    assert labels(uncalibrated=True).leaning is None
    # Numbers that nobody has measured are no soft target either, nor is what nobody looked at.
    assert labels(undecided=True).leaning is None
    unseen = {**levels, "expression": {**levels["expression"], "origin": "inferred"}}
    assert labels(unseen, undecided=True, uncalibrated=True).leaning is None
    measured = {**levels, "AU4": {**levels["AU4"], "basis": "calibrated"}}
    assert labels(measured, undecided=True).leaning == "surprise"
    writer, split = writer_of(base), labels(undecided=True, uncalibrated=True)
    sure = labels(
        p=dict.fromkeys(record["expression"], 0.0) | {"fear": 1.0}, undecided=True, uncalibrated=True
    )
    answers = {"split": set(), "sure": set()}
    for seed in range(20):
        writer.seed = seed
        for name, accepted in (("split", split), ("sure", sure)):
            (row,) = writer.rows(accepted, ["expression"])
            answers[name].add(row.turns[0][1])
            assert row.decision == "not accepted"
            assert json.loads(row.soft)["fear"] == (0.4 if name == "split" else 1.0)
    # Each answer says its doubt: a question for one word is not among them.
    assert all(answer.endswith("surprise, or almost as probably fear.") for answer in answers["split"])
    assert all(re.search(r"fear, though .*certain\.$", answer) for answer in answers["sure"])
    # No other task takes it for a label.
    rows = list(writer.rows(split, ["check", "reasoned", "units_to_expression", "conversation"]))
    assert not [row for row in rows if "surprise" in str(row.turns)]


def test_regions_say_what_was_looked_for_and_no_more(base):
    (record,) = made_records(1)
    seen = {"AU12": True, "AU25": False, "AU4": False}
    levels = {name: {**level, "decision": "reject"} for name, level in record["decision"]["levels"].items()}
    for name, visible in {**seen, "AU9": False, "AU1": True}.items():
        origin = "seen" if name in seen else "inferred"
        levels[name] = {"decision": "accept", "value": visible, "origin": origin, "basis": "calibrated"}
    record = {**record, "decision": {**record["decision"], "levels": levels}}
    (row,) = writer_of(base).rows(AcceptedLabels.of(record, base, Grounds()), ["describe"])
    brows, mouth = row.turns[0][1].split("\n")
    assert re.fullmatch(r"Brows: .*AU4 \(brow lowerer\)\.", brows)
    assert re.fullmatch(r"Mouth and chin: .* \(AU12\); .* AU25 \(lips part\)\.", mouth)
    assert "AU9" not in row.turns[0][1]
