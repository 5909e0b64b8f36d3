"""Label Studio: config and tasks as it validated them, its exports as it wrote them; slow: itself.

Files in `label_studio` were validated or written by Label Studio 1.23.2 and its SDK 2.1.2 (facts.json); their
pictures were made smaller then. The slow test does it again: see make_label_studio.sh.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

import seke
from engine import SekeError
from seke.cli.main import main
from seke.review.tasks import read_tasks

HERE = Path(__file__).parent
SAVED = HERE / "label_studio"
EXAMPLE = Path(__file__).parents[3] / "examples" / "annotate"
# What is not the same whenever the base's numbers change.
CHANGES = ("score", "id", "task")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The folder of the run of the six drawn faces, and the files for Label Studio beside it."""
    folder = tmp_path_factory.mktemp("exported")
    answers = ("--model", "gpt-4o", "--recorded", str(EXAMPLE / "answers.jsonl"))
    result = CliRunner().invoke(main, ["annotate", str(EXAMPLE), "--run", str(folder / "run"), *answers])
    assert result.exit_code == 0, result.output
    seke.review_export(folder / "run", folder / "tasks.json", "labelstudio")
    return folder


@pytest.fixture
def run(exported, tmp_path):
    shutil.copytree(exported / "run", tmp_path / "run")
    return tmp_path / "run"


def tasks_of(run):
    return {task.item: task for task in read_tasks(run / "review" / "tasks.jsonl").values()}


def saved_export(name, run, folder, change=lambda rows: rows):
    """An export that Label Studio wrote, about the tasks of this run."""
    keys, text = tasks_of(run), (SAVED / name).read_text()
    before = {
        row["data"]["item"]: row["data"]["task"] for row in json.loads((SAVED / "tasks.json").read_text())
    }
    for item, key in before.items():
        text = text.replace(key, keys[item].key)
    if name.endswith(".json"):
        text = json.dumps(change(json.loads(text)))
    (folder / name).write_text(text)
    return folder / name


def settled(value):
    """A value without what the numbers of the base change, and without pictures."""
    if isinstance(value, dict):
        return {key: settled(inner) for key, inner in value.items() if key not in (*CHANGES, "image")}
    return [settled(inner) for inner in value] if isinstance(value, list) else value


def test_config_and_tasks_are_those_that_label_studio_validated(exported):
    assert (exported / "tasks.xml").read_text() == (SAVED / "tasks.xml").read_text()
    tasks, saved = (json.loads((folder / "tasks.json").read_text()) for folder in (exported, SAVED))
    assert settled(tasks) == settled(saved)
    for task in tasks:
        assert re.fullmatch(r"data:image/jpeg;base64,[A-Za-z0-9+/=]{1000,}", task["data"]["image"])
        for prediction in task.get("predictions", ()):
            assert 0 < prediction["score"] <= 1


def test_every_region_of_a_prediction_is_a_control_of_the_config(exported):
    controls = {
        tag.get("name"): (tag.tag.lower(), {choice.get("value") for choice in tag})
        for tag in ElementTree.parse(exported / "tasks.xml").iter()
        if tag.get("toName") == "picture"
    }
    assert {"expression", "action_units", "valence", "arousal", "judged", "not_visible"} == controls.keys()
    regions = [
        region
        for task in json.loads((exported / "tasks.json").read_text())
        for prediction in task.get("predictions", ())
        for region in prediction["result"]
    ]
    assert regions
    for region in regions:
        kind, choices = controls[region["from_name"]]
        assert region["type"] == kind
        assert set(region["value"].get("choices", [])) <= choices


def test_its_export_is_read_with_skips_shown_predictions_and_what_cannot_be_judged(run, tmp_path):
    facts = json.loads((SAVED / "facts.json").read_text())
    imported = seke.review_import([saved_export("export.json", run, tmp_path)], run)
    assert imported.statuses == {"ok": 1, "refused": 1, "not_judged": 1}
    assert imported.warnings == ()
    answers = [json.loads(line) for line in (run / "review" / "answers.jsonl").read_text().splitlines()]
    by_item = {answer["item"]: answer for answer in answers}
    assert {answer["annotator"] for answer in answers} == {"annotator-1"}
    answered = by_item[facts["answered"]]
    assert answered["values"] == answered["given"] == tasks_of(run)[facts["answered"]].prediction
    assert answered["seconds"] == 12.5
    assert by_item[facts["skipped"]]["status"] == "refused"
    assert by_item[facts["not_judged"]]["status"] == "not_judged"
    again = seke.review_import([saved_export("export.json", run, tmp_path)], run)
    assert (again.new, again.changed, again.same) == (0, 0, 3)


@pytest.mark.parametrize("name", ["export_min.json", "export.csv"])
def test_flat_exports_are_read_with_a_warning(run, tmp_path, name):
    """The skip is lost, and read as an empty answer or not at all."""
    imported = seke.review_import([saved_export(name, run, tmp_path)], run)
    assert imported.statuses["ok"] == imported.statuses["not_judged"] == 1
    assert "skips are not counted" in imported.warnings[0]


def test_an_answer_that_began_without_the_prediction_is_blind(run, tmp_path):
    """A project that shows no predictions keeps none beside the answer."""

    def without(rows):
        for row in rows:
            for annotation in row["annotations"]:
                annotation |= {"prediction": {}, "completed_by": {"id": 7, "email": "a@example.org"}}
        return rows

    seke.review_import([saved_export("export.json", run, tmp_path, without)], run)
    answers = [json.loads(line) for line in (run / "review" / "answers.jsonl").read_text().splitlines()]
    assert all("given" not in answer for answer in answers)
    # The account's number names the person, never the address.
    assert {answer["annotator"] for answer in answers} == {"annotator-7"}


def test_units_numbers_and_hidden_places_are_read(run, tmp_path):
    units = next(task for task in tasks_of(run).values() if "AU1" in task.asks)
    region = {"to_name": "picture", "type": "choices"}
    result = [
        {
            **region,
            "from_name": "action_units",
            "value": {"choices": ["AU4 brow lowerer", "AU12 lip corner puller"]},
        },
        {**region, "from_name": "not_visible", "value": {"choices": ["AU25 lips part"]}},
    ]

    def answered(rows):
        (row,) = [row for row in rows if row["data"]["item"] == units.item]
        row["annotations"] = [{"completed_by": 2, "result": result, "was_cancelled": False}]
        return [row]

    seke.review_import([saved_export("export.json", run, tmp_path, answered)], run)
    (line,) = (run / "review" / "answers.jsonl").read_text().splitlines()
    values = json.loads(line)["values"]
    assert {name for name, value in values.items() if value} == {"AU4", "AU12"}
    assert [name for name, value in values.items() if value is None] == ["AU25"]
    result[0]["value"]["choices"] = ["AU99 wing"]
    with pytest.raises(
        SekeError, match=f"task 1: item {units.item}: action_units: met 'AU99 wing'; allowed are AU1"
    ):
        seke.review_import([saved_export("export.json", run, tmp_path, answered)], run)


def test_files_that_are_no_export_are_refused(run, tmp_path):
    file = saved_export("export.json", run, tmp_path)
    text = file.read_text()
    for content, message in (
        (text[: len(text) // 2], r"export.json:1:\d+: is no JSON: .*export it again"),
        (text[:-1], "it ends too early: the file was cut off"),
        ("{}", "is no export of Label Studio"),
        ("[" * 100_000, "is nested too deeply"),
        (
            '[{"annotations": [{"result": 3}], "data": {}}]',
            r"task 1: cannot be read \(Expected `array`, got `int`",
        ),
        ('[{"annotations": {}}]', "task 1: cannot be read"),
        ('[{"annotations": [], "data": {"image": "x"}}]', "task 1: has no `data` with `task` and `item`"),
    ):
        file.write_text(content)
        with pytest.raises(SekeError, match=message):
            seke.review_import([file], run)
    file.write_bytes(b"[\xff]")
    with pytest.raises(SekeError, match=r"is no UTF-8 text \(byte 1\)"):
        seke.review_import([file], run)


@pytest.mark.slow
@pytest.mark.skipif(
    "SEKE_LABEL_STUDIO" not in os.environ, reason="SEKE_LABEL_STUDIO names no Python with Label Studio"
)
def test_label_studio_takes_the_tasks_and_its_export_is_read(exported, run, tmp_path):
    for name in ("tasks.json", "tasks.xml"):
        shutil.copy(exported / name, tmp_path / name)
    client = [os.environ["SEKE_LABEL_STUDIO"], str(HERE / "label_studio_client.py"), str(tmp_path)]
    subprocess.run(client, check=True, timeout=900)
    facts = json.loads((tmp_path / "facts.json").read_text())
    tasks = tasks_of(run)
    assert facts["imported"] == len(tasks)
    assert (
        facts["predictions"] == len(facts["valid_predictions"]) == sum(task.shown for task in tasks.values())
    )
    assert all(facts["valid_predictions"])
    imported = seke.review_import([tmp_path / "export.json"], run)
    assert imported.statuses == {"ok": 1, "refused": 1, "not_judged": 1}
    shutil.rmtree(run / "review")
    seke.review_export(run, tmp_path / "again.json", "labelstudio")
    flat = seke.review_import([tmp_path / "export_min.json"], run)
    assert flat.statuses["ok"] == 1
