"""seke export: what is accepted, all of it and nothing else, in every format; or a fault and no folder."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from made_run import made_records, made_run, picture

import seke
from engine import SekeError
from seke.cli.main import main
from seke.exporting.instruction_templates import read_instructions
from seke.exporting.instruction_texts import REASON_FREE, TASKS
from seke.exporting.wording import Wording

EXAMPLE = Path(__file__).parents[3] / "examples" / "annotate"
FORMATS = ("messages", "trl", "llava", "imagefolder", "parquet")
ONLY_JSON = {
    "tasks": {
        task: {
            kind: [
                {"ask": "{asked}" if task in ("affect", "action_units", "joint") else "?", "answer": "{json}"}
            ]
            for kind in ("plain", "soft")
        }
        for task in TASKS[:4]
    }
}


def run(*args, status=0, uncalibrated=True, scripted=True):
    """Export; no run here has a calibration or a real answer, so all but tests of that take what there is."""
    more = ["--uncalibrated"] * uncalibrated + ["--allow-scripted"] * scripted
    result = CliRunner().invoke(main, ["export", *map(str, args), *more])
    assert result.exit_code == status, result.output
    return result


def rows(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    """The offline example as `seke annotate` leaves it, from a manifest with persons and sources."""
    folder = tmp_path_factory.mktemp("annotated")
    images = folder / "faces"
    images.mkdir()
    names = sorted(path.name for path in EXAMPLE.glob("*.png"))
    with (images / "faces.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "item", "group", "source", "expression"])
        for number, name in enumerate(names):
            shutil.copy(EXAMPLE / name, images / name)
            known = {"smile.png": "happiness"}.get(name, "")
            table.writerow([name, name.removesuffix(".png"), f"person {number // 2}", "drawn", known])
    args = ["--model", "gpt-4o", "--recorded", EXAMPLE / "answers.jsonl", "--run", folder / "run"]
    result = CliRunner().invoke(main, ["annotate", str(images / "faces.csv"), *map(str, args)])
    assert result.exit_code == 0, result.output
    return folder / "run"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Forty-five made-up items with half of their values accepted, by three persons of two sources."""
    folder = tmp_path_factory.mktemp("made")
    records = list(made_records(45))
    items = [
        {
            "path": str(picture(folder / "faces" / f"{n}.png", n)),
            "group": f"person {n % 9}",
            "source": ["Set A", "Set B"][n % 9 % 2],
            "labels": {"expression": "fear"} if n % 5 == 0 else {},
            "picture": f"{n:064x}",
        }
        for n, _ in enumerate(records)
    ]
    return made_run(folder / "run", records, items)


def accepted(folder):
    """Return item -> variable -> accepted value, read from the records of the run."""
    by_item = {}
    for record in rows(folder / "posteriors.jsonl"):
        levels = record["decision"]["levels"]
        by_item[record["item"]] = {
            n: level["value"] for n, level in levels.items() if level["decision"] == "accept"
        }
    return {item: values for item, values in by_item.items() if values}


def test_what_nobody_measured_is_told_only_when_asked_for(annotated, tmp_path):
    message = run(annotated, "-o", tmp_path / "data", status=2, uncalibrated=False).stderr
    assert "--uncalibrated" in message
    message = run(annotated, "-o", tmp_path / "data", status=2, scripted=False).stderr
    assert "all answers are made up (scripted)" in message
    assert "--allow-scripted" in message
    assert not (tmp_path / "data").exists()
    exported = run(annotated, "-o", tmp_path / "data")
    assert "all answers are made up" in exported.stderr
    card = (tmp_path / "data" / "README.md").read_text("utf-8")
    assert "**All answers behind these labels are made up (scripted).**" in card
    assert "made-up-answers" in card.partition("tags: ")[2].splitlines()[0]
    answers = json.loads((annotated / "summary.json").read_text())["totals"]["answers"]
    assert json.loads((tmp_path / "data" / "export.json").read_text())["scripted"] == answers
    assert all(row["scripted"] for row in rows(annotated / "answers.jsonl"))
    asked = [row for row in rows(annotated / "samples.jsonl") if row["observer"] == "gpt-4o"]
    assert {row["extra"].get("scripted") for row in asked} == {True}


def test_a_run_tells_where_its_items_are(annotated):
    by_item = {line["item"]: line for line in rows(annotated / "items.jsonl")}
    smile = by_item["smile"]
    assert (smile["group"], smile["source"], smile["labels"]) == (
        "person 2",
        "drawn",
        {"expression": "happiness"},
    )
    assert Path(smile["path"]).samefile(annotated.parent / "faces" / "smile.png")
    sent = {
        row["item"]: row["extra"]["picture"] for row in rows(annotated / "samples.jsonl") if "extra" in row
    }
    assert {item: line["picture"][:16] for item, line in by_item.items()} == sent


# Round trips --------------------------------------------------------------------------------------------


def answers(folder, name, split="train"):
    """Yield item, task, question and answer of the rows of a format."""
    if name == "llava":
        for row in json.loads((folder / "llava" / f"{split}.json").read_text("utf-8")):
            human, gpt = (turn["value"] for turn in row["conversations"])
            assert human.startswith("<image>\n")
            yield *row["id"].rsplit("/", 1), human.removeprefix("<image>\n"), gpt
        return
    for row in rows(folder / name / f"{split}.jsonl"):
        if name == "trl":
            parts = row["prompt"][0]["content"]
            assert [part["type"] for part in parts] == ["image", "text"]
            ask, answer = parts[1]["text"], row["completion"][0]["content"][0]["text"]
        else:
            texts = [turn["content"] for turn in row["messages"]]
            assert texts[0].startswith("<image>" * len(row["images"]))
            ask, answer = (" ".join(texts[place::2]) for place in (0, 1))
            ask = ask.replace("<image>", "", len(row["images"]))
        yield row["item"], row["task"], ask, answer


@pytest.mark.parametrize("name", ["messages", "trl", "llava"])
def test_instructions_hold_what_was_accepted_and_nothing_else(made, tmp_path, name):
    words = tmp_path / "words.yaml"
    words.write_text(yaml.safe_dump(ONLY_JSON))
    tasks = [part for task in TASKS[:4] for part in ("--task", task)]
    run(made, "-o", tmp_path / "data", "-f", name, "--templates", words, *tasks)
    truth, units = accepted(made), seke.knowledge().levels["action_units"]
    by_item: dict[str, dict] = {}
    for item, task, _, answer in answers(tmp_path / "data", name):
        by_item.setdefault(item, {})[task] = json.loads(answer)
    assert set(by_item) == set(truth)
    for item, values in truth.items():
        expected = {
            "expression": {k: v for k, v in values.items() if k == "expression"},
            "affect": {k: round(v, 2) for k, v in values.items() if k in ("valence", "arousal")},
            "action_units": {"action_units": {k: v for k, v in values.items() if k in units}},
        }
        expected = {task: part for task, part in expected.items() if part and part != {"action_units": {}}}
        if len(expected) > 1:
            expected["joint"] = {k: v for part in list(expected.values()) for k, v in part.items()}
        assert by_item[item] == expected


def test_the_image_folder_and_parquet_hold_the_same(made, tmp_path):
    run(made, "-o", tmp_path / "data", "-f", "imagefolder", "-f", "parquet")
    truth = accepted(made)
    by_item = {row["item"]: row for row in rows(tmp_path / "data" / "images" / "train" / "metadata.jsonl")}
    assert set(by_item) == set(truth)
    for item, values in truth.items():
        row = by_item[item]
        read_values = {name: row[name] for name in ("valence", "arousal") if row[name] is not None}
        read_values |= {"expression": row["expression"]} if row["expression"] else {}
        read_values |= dict.fromkeys(row["present"].split(), True) | dict.fromkeys(
            row["absent"].split(), False
        )
        assert read_values == values
        assert (tmp_path / "data" / "images" / "train" / row["file_name"]).is_file()
    table = pq.read_table(tmp_path / "data" / "parquet" / "train.parquet").to_pylist()
    records = {record["item"]: record for record in rows(made / "posteriors.jsonl")}
    assert {row["item"] for row in table} == set(truth)
    for row in table:
        assert row["expression"] == records[row["item"]]["expression"]
        assert row["action_units"] == records[row["item"]]["action_units"]
        assert row["decision"]["levels"]["AU4"]["decision"] in ("accept", "reject")
        assert (tmp_path / "data" / row["image"]).is_file()


@pytest.mark.parametrize("language", ["en", "de"])
def test_no_word_is_said_of_what_was_not_accepted(made, tmp_path, language):
    """In the shipped words: no row names a unit that was not accepted, and reasons none that was not seen."""
    tasks = [part for task in TASKS for part in ("--task", task)]
    run(made, "-o", tmp_path / "data", *tasks, "--language", language)
    truth, base = accepted(made), seke.knowledge()
    words = read_instructions(base, language)
    wording = Wording(base, words)
    origins = {
        record["item"]: {name: level["origin"] for name, level in record["decision"]["levels"].items()}
        for record in rows(made / "posteriors.jsonl")
    }
    seen = Counter()
    for item, task, ask, answer in answers(tmp_path / "data", "messages"):
        seen[task] += 1
        mentioned = set(re.findall(r"\bAU\d+\b", f"{ask} {answer}"))
        mentioned |= {name for name, label in wording.labels.items() if f"({label})" in answer}
        assert all(name in truth[item] for name in mentioned), (item, task, mentioned)
        if task not in (*REASON_FREE, "expression_to_units"):
            told = mentioned if task != "conversation" else ()
            assert all(origins[item][name] == "seen" for name in told), (item, task, mentioned)
        if task in ("expression", "reasoned") and not answer.startswith("{"):
            label = truth[item]["expression"]
            assert wording.states[label] in answer or wording.phrase(label) in answer
        for name, number in wording.numbers.items():
            if task in ("affect", "joint", "reasoned_affect"):
                said = re.search(rf'({name}|{number})("?:| )[-+]?\d', answer) is not None
                assert said == (name in truth[item]), (task, answer)
        if task == "action_units":
            assert mentioned == wording.labels.keys() & truth[item].keys()
        assert not re.search(r"[\[\]{}|]|  ", re.sub(r"\{.*\}", "", answer)), answer
    assert set(seen) == set(TASKS) - {"not_judged"}


def test_soft_answers_are_the_posterior_of_what_was_accepted(made, tmp_path):
    words = tmp_path / "words.yaml"
    words.write_text(yaml.safe_dump(ONLY_JSON))
    run(made, "-o", tmp_path / "data", "--templates", words, "--task", "joint", "--soft")
    truth = accepted(made)
    records = {line["item"]: line for line in rows(made / "posteriors.jsonl")}
    for item, _, _, answer in answers(tmp_path / "data", "messages"):
        probabilities, record = json.loads(answer), records[item]
        assert set(probabilities) - {"action_units"} == set(truth[item]) & {
            "expression",
            "valence",
            "arousal",
        }
        if "expression" in probabilities:
            assert probabilities["expression"] == pytest.approx(record["expression"], abs=5.1e-4)
        if "valence" in probabilities:
            kept = {key: record["valence"][key] for key in ("mean", "q05", "q95")}
            assert probabilities["valence"] == pytest.approx(kept, abs=5.1e-3)
        for name, p in probabilities.get("action_units", {}).items():
            assert p == pytest.approx(record["action_units"][name], abs=5.1e-4)
            assert name in truth[item]


# Determinism, splits, duplicates, balance ------------------------------------------------------------------


def contents(folder):
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_the_same_seed_gives_the_same_bytes(made, tmp_path):
    forms = [part for name in FORMATS for part in ("-f", name)]
    args = ["--split", "train:.8,test:.2", "--soft"]
    args += [part for task in TASKS if task != "compare" for part in ("--task", task)]
    for name in ("a", "b"):
        run(made, "-o", tmp_path / name, *forms, *args, "--seed", 7)
    run(made, "-o", tmp_path / "c", "-f", "messages", *args, "--seed", 8)
    first, repeated, reseeded = (contents(tmp_path / name) for name in "abc")
    assert first == repeated
    assert first["messages/train.jsonl"] != reseeded["messages/train.jsonl"]


def test_phrasings_depend_on_neither_order_nor_company(made, tmp_path):
    records = rows(made / "posteriors.jsonl")
    known = {line["item"]: line for line in rows(made / "items.jsonl")}
    few = records[::-1][:20]
    part = made_run(
        tmp_path / "run", few, [{k: v for k, v in known[r["item"]].items() if k != "item"} for r in few]
    )
    tasks = [part for task in TASKS if task not in ("compare", "check") for part in ("--task", task)]
    run(made, "-o", tmp_path / "all", *tasks)
    run(part, "-o", tmp_path / "few", *tasks)
    every = {(item, task): texts for item, task, *texts in answers(tmp_path / "all", "messages")}
    some = {(item, task): texts for item, task, *texts in answers(tmp_path / "few", "messages")}
    assert some
    assert every | some == every


@pytest.mark.parametrize("column", ["group", "source"])
def test_groups_are_not_parted(made, tmp_path, column):
    run(made, "-o", tmp_path / "data", "-f", "parquet", "--group", column, "--split", "train:.7,test:.3")
    seen = {}
    for split in ("train", "test"):
        for row in pq.read_table(tmp_path / "data" / "parquet" / f"{split}.parquet").to_pylist():
            assert seen.setdefault(row[column], split) == split
    assert set(seen.values()) == {"train", "test"}


def test_balance_and_duplicates_are_told(made, tmp_path):
    records = rows(made / "posteriors.jsonl")
    items = [{k: v for k, v in line.items() if k != "item"} for line in rows(made / "items.jsonl")]
    for manifest_line in items[:10]:
        manifest_line["picture"] = "same"
    twins = made_run(tmp_path / "run", records, items)
    facts = json.loads(run(twins, "-o", tmp_path / "data", "--balance", 2, "--json").stdout)
    counts = Counter(
        values["expression"] for item, values in accepted(twins).items() if "expression" in values
    )
    assert (
        facts["left_out"]["duplicate picture"] == sum(r["item"] in accepted(twins) for r in records[:10]) - 1
    )
    kept = Counter(a for _, task, _, a in answers(tmp_path / "data", "messages") if task == "expression")
    assert sum(kept.values()) < sum(counts.values())
    card = (tmp_path / "data" / "README.md").read_text("utf-8")
    assert "each expression keeps at most 2.0 times as many items as the rarest one" in card


# Pictures ------------------------------------------------------------------------------------------------


def test_pictures_are_referred_to_and_not_copied(made, tmp_path):
    run(made, "-o", tmp_path / "data", *[part for name in FORMATS for part in ("-f", name)])
    for path in (tmp_path / "data").rglob("*.png"):
        assert path.is_symlink()
        assert not os.path.isabs(os.readlink(path))
    for row in rows(tmp_path / "data" / "messages" / "train.jsonl"):
        assert (tmp_path / "data" / row["images"][0]).is_file()
    assert "**No picture is shipped.**" in (tmp_path / "data" / "README.md").read_text("utf-8")


def test_copies_need_the_licence_of_every_source(made, tmp_path):
    table, data = tmp_path / "sources.csv", tmp_path / "data"
    ask = [made, "-o", data, "--copy-images"]
    assert "no licence is stated of Set A, Set B" in run(*ask, status=2).stderr
    table.write_text("source,licence,copy\nSet A,research only,\n")
    assert "no licence is stated of Set B" in run(*ask, "--sources", table, status=2).stderr
    table.write_text("source,licence,copy\nSet A,research only,no\n")
    result = run(*ask, "--sources", table, "--licence", "CC BY 4.0", status=2)
    assert "the terms of Set A do not allow it" in result.stderr
    assert list(tmp_path.iterdir()) == [table]
    table.write_text("source,licence,note\nSet A,research | <b>only</b>,signed\n")
    run(*ask, "--sources", table, "--licence", "CC BY 4.0", "-f", "messages", "-f", "imagefolder")
    card = (data / "README.md").read_text("utf-8")
    assert "| Set A | research \\| \\<b\\>only\\</b\\> |  | signed |" in card
    assert "| Set B | CC BY 4.0 |  |  |" in card
    known = {line["item"]: Path(line["path"]) for line in rows(made / "items.jsonl")}
    for row in rows(data / "messages" / "train.jsonl"):
        (image,) = row["images"]
        assert not (data / image).is_symlink()
        assert (data / image).read_bytes() == known[row["item"]].read_bytes()
        assert (data / image).resolve().is_relative_to(data.resolve())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("source,license\n", "1: license: no such column; did you mean licence?"),
        ("source\n", "1: licence: no such column"),
        ("source,licence\nA,x\nA,y\n", "3: source: 'A' is there twice"),
        ("source,licence\nA,\n", "2: licence: is blank"),
        ("source,licence,copy\nA,x,maybe\n", "2: copy: 'maybe'; allowed are yes, no or nothing"),
        ('source,licence\n"A,x\n', "is no CSV"),
    ],
)
def test_bad_tables_of_licences_are_refused(made, tmp_path, table, message):
    path = tmp_path / "sources.csv"
    path.write_text(table)
    result = run(made, "-o", tmp_path / "data", "--sources", path, status=2)
    assert f"{path}:" in result.stderr
    assert message in result.stderr
    assert not (tmp_path / "data").exists()


def test_a_box_is_told_of_and_two_faces_of_a_picture_stay_together(tmp_path):
    records = list(made_records(40))
    shared = str(picture(tmp_path / "faces" / "two.png"))
    items = [{"path": str(picture(tmp_path / "faces" / f"{n}.png", n)), "picture": str(n)} for n in range(40)]
    items[0] |= {"path": shared, "box": [1.0, 2.0, 10.0, 12.0]}
    items[1] |= {"path": shared, "box": [12.0, 2.0, 10.0, 12.0]}
    for record in records[:2]:
        record["decision"]["levels"]["expression"]["decision"] = "accept"
    folder = made_run(tmp_path / "run", records, items)
    run(folder, "-o", tmp_path / "data", "--task", "expression", "--split", "train:.5,test:.5")
    asks = {}
    for split in ("train", "test"):
        for item, _, ask, _ in answers(tmp_path / "data", "messages", split):
            asks[item] = (split, ask)
    (first_split, first), (second_split, second) = asks["face-000000"], asks["face-000001"]
    assert first_split == second_split
    assert "in the box from (1, 2) to (11, 14)" in first
    assert "in the box from (12, 2) to (22, 14)" in second
    assert not any("box" in ask for item, (_, ask) in asks.items() if item > "face-000001")


# Names from outside --------------------------------------------------------------------------------------

HOSTILE = [
    "<image>",
    "a\nb",
    'quote" and \\',
    "| cell | <script>alert(1)</script>",
    "\x1b[31mred\x07",
    "--- \n: [yaml",
    "../../up",
    "<|im_end|>",
    "Ä\u202eñ",
]


def test_hostile_names_stay_names(tmp_path):
    records = list(made_records(len(HOSTILE)))
    items = []
    for number, (record, name) in enumerate(zip(records, HOSTILE, strict=True)):
        record["item"] = name
        safe = name.replace("/", "_")
        path = str(picture(tmp_path / "faces" / f"{safe}.png", number))
        items.append({"path": path, "source": name, "group": name, "picture": str(number)})
    folder = made_run(tmp_path / "run", records, items, promises=["of <b>AU1</b>\n# at most 5 % wrong"])
    formats = [part for name in FORMATS for part in ("-f", name)]
    result = run(folder, "-o", tmp_path / "data", *formats)
    assert "\x1b" not in result.output
    data = tmp_path / "data"
    truth = accepted(folder)
    for name in ("messages", "trl", "llava"):
        instructions = list(answers(data, name))
        assert {item for item, *_ in instructions} == set(truth)
        assert not any("<image>" in f"{ask}{answer}" for _, _, ask, answer in instructions)
    for row in rows(data / "messages" / "train.jsonl"):
        assert (data / row["images"][0]).is_file()
    names = {path.name for path in (data / "images").rglob("*.png")}
    assert all(name.removesuffix(".png").isalnum() for name in names)
    assert not [path for path in tmp_path.iterdir() if path.name not in ("faces", "run", "data")]
    card = (data / "README.md").read_text("utf-8")
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["license"] == "other"
    assert "<script>" not in card
    assert "\n# at most" not in card
    table = [line for line in card.splitlines() if "alert" in line]
    assert table
    assert all(line.startswith("| ") for line in table)


# The card ------------------------------------------------------------------------------------------------


def test_the_card_says_what_it_is_and_what_it_is_not(made, tmp_path):
    run(made, "-o", tmp_path / "data", "-f", "messages", "-f", "trl", "--split", "train:.8,test:.2")
    card = (tmp_path / "data" / "README.md").read_text("utf-8")
    front = yaml.safe_load(card.split("---\n")[1])
    assert [config["config_name"] for config in front["configs"]] == ["messages", "trl"]
    truth = accepted(made)
    known = {line["item"]: line for line in rows(made / "items.jsonl")}
    labels = {item: values.get("expression") for item, values in truth.items()}
    of_a = Counter(known[item]["source"] for item, label in labels.items() if label)
    sources = {line.split(" | ")[0]: line for line in card.splitlines() if line.startswith("| Set ")}
    assert sources["| Set A"].split(" | ")[2] == str(of_a["Set A"]) or f" {of_a['Set A']} |" in card
    differs = sum(label != "fear" for item, label in labels.items() if label and known[item]["labels"])
    both = sum(bool(label and known[item]["labels"]) for item, label in labels.items())
    assert f"| expression | {sum(map(bool, labels.values()))} | {both} | {differs} |" in card
    for sentence in (
        "**There is no certificate.**",
        "made-up-2026, fingerprint fp\\_1, 1 requests from 2026-05-28 to 2026-05-29",
        "Not to be used",
        "Art. 50(3)",
        "**No picture is shipped.**",
        "perceived expression",
        "AU12 lip corner puller",
    ):
        assert sentence in card, sentence
    for name, digest in json.loads((tmp_path / "data" / "export.json").read_text())["files"].items():
        import hashlib

        assert hashlib.sha256((tmp_path / "data" / name).read_bytes()).hexdigest() == digest


def test_a_certificate_is_told_with_how_much_it_covers(tmp_path):
    records = list(made_records(12))
    count = 0
    for record in records:
        for level in record["decision"]["levels"].values():
            level |= {"certified": level["decision"] == "accept", "threshold": 0.1}
            count += level["certified"]
    items = [{"path": str(picture(tmp_path / "f" / f"{n}.png", n)), "picture": str(n)} for n in range(12)]
    folder = made_run(tmp_path / "run", records, items, ["at most 5 % of each are wrong"])
    run(folder, "-o", tmp_path / "data")
    card = (tmp_path / "data" / "README.md").read_text("utf-8")
    assert f"A certificate covers {count} of the values:" in card
    assert "- at most 5 % of each are wrong" in card
    assert "There is no certificate" not in card


def test_dataset_info_names_the_files_and_their_roles(annotated, tmp_path):
    run(annotated, "-o", tmp_path / "data", "--split", "train:.5,val:.5")
    info = json.loads((tmp_path / "data" / "dataset_info.json").read_text())
    assert {name: dataset["file_name"] for name, dataset in info.items()} == {
        "seke_train": "messages/train.jsonl",
        "seke_val": "messages/val.jsonl",
    }
    for dataset in info.values():
        (row, *_) = rows(tmp_path / "data" / dataset["file_name"])
        assert {turn[dataset["tags"]["role_tag"]] for turn in row[dataset["columns"]["messages"]]} == {
            "user",
            "assistant",
        }
        assert row[dataset["columns"]["images"]]


# Bad input -----------------------------------------------------------------------------------------------


def test_nothing_is_left_behind_where_it_goes_wrong(made, tmp_path, monkeypatch):
    monkeypatch.setattr("seke.exporting.formats.BUFFER_BYTES", 1 << 20)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    result = run(made, "-o", tmp_path / "data", "--copy-images", "--licence", "mine", status=2)
    assert "cannot be written (No space left on device)" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_has_anything_in_it_is_refused(made, tmp_path):
    (tmp_path / "data").mkdir()
    run(made, "-o", tmp_path / "data")
    before = contents(tmp_path / "data")
    assert "exists already" in run(made, "-o", tmp_path / "data", status=2).stderr
    assert contents(tmp_path / "data") == before
    assert "its folder does not exist" in run(made, "-o", tmp_path / "no" / "data", status=2).stderr


def test_pictures_that_are_gone_are_named(made, tmp_path):
    records = rows(made / "posteriors.jsonl")
    items = [
        {**line, "path": str(tmp_path / f"gone{n}.png")} for n, line in enumerate(rows(made / "items.jsonl"))
    ]
    for line in items:
        del line["item"]
    folder = made_run(tmp_path / "run", records, items)
    result = run(folder, "-o", tmp_path / "data", status=2)
    assert f"{tmp_path / 'gone0.png'}: no such file; where pictures have moved, give" in result.stderr
    assert f"... and {len(accepted(folder)) - 20} more" in result.stderr


def test_another_base_is_refused(made, tmp_path):
    overlay = EXAMPLE.parent / "overlay" / "one-cell.yaml"
    result = run(made, "-o", tmp_path / "data", "-k", overlay, status=2)
    assert "was made with knowledge faces" in result.stderr


def test_a_folder_that_is_no_run_is_refused(made, tmp_path):
    assert "is no run" in run(tmp_path, "-o", tmp_path / "data", status=2).stderr
    half = tmp_path / "half"
    shutil.copytree(made, half)
    (half / "items.jsonl").unlink()
    assert (
        "has no items.jsonl; give the same `seke annotate`"
        in run(half, "-o", tmp_path / "data", status=2).stderr
    )
    (half / "items.jsonl").write_text('{"item": "face-000000", "path": 3}\n')
    assert "items.jsonl:1: cannot be read" in run(half, "-o", tmp_path / "data", status=2).stderr
    (half / "items.jsonl").write_text('{"item": "another", "path": "x"}\n')
    assert "is not in items.jsonl" in run(half, "-o", tmp_path / "data", status=2).stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"formats": "csv"}, "--format: 'csv' is not known; allowed are"),
        ({"formats": ()}, "--format: nothing; name each once"),
        ({"tasks": ["joint", "joint"]}, "--task: joint, joint; name each once"),
        ({"group": "groups"}, "--group: 'groups' is not known; did you mean group?"),
        ({"tasks": "compare", "formats": ["messages", "llava"]}, "a row of llava holds one; leave out"),
        ({"balance": 0.5}, "--balance: 0.5; allowed is a ratio of at least 1"),
        ({"balance": float("nan")}, "--balance: nan"),
        ({"language": "fr"}, "no instructions in 'fr'"),
    ],
)
def test_bad_settings_are_refused_in_python_too(made, tmp_path, given, message):
    with pytest.raises(SekeError, match=message):
        seke.export(made, tmp_path / "data", **given)
    assert not (tmp_path / "data").exists()


def test_nothing_accepted_is_nothing_to_export(tmp_path):
    (record,) = made_records(1)
    for level in record["decision"]["levels"].values():
        level["decision"] = "reject"
    folder = made_run(tmp_path / "run", [record], [{"path": str(picture(tmp_path / "f.png"))}])
    assert "no accepted value can be exported" in run(folder, "-o", tmp_path / "data", status=2).stderr


def test_python_and_the_command_line_are_one(annotated, tmp_path):
    export = seke.export(
        annotated,
        tmp_path / "a",
        formats=["messages", "llava"],
        tasks="joint",
        language="de",
        uncalibrated=True,
        allow_scripted=True,
    )
    result = run(
        annotated,
        "-o",
        tmp_path / "b",
        "-f",
        "messages",
        "-f",
        "llava",
        "--task",
        "joint",
        "--language",
        "de",
    )
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert f"{export.items} items (train {export.items})" in result.stdout
    assert export.rows == {"messages": export.items, "llava": export.items}
    assert "Ausdruck: Freude" in (tmp_path / "a" / "messages" / "train.jsonl").read_text("utf-8")
