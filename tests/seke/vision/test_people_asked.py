"""Items that wait for people: scripted answers first, then the people's, then decided."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from small_study import SMALL_FACES, pictures
from test_annotate import rows, run

import seke
from engine import SekeError
from seke.annotation.cost_forecast import Forecast
from seke.cli.main import main
from seke.vision.fake import ScriptedModel

OVERLAY = f"""
extends: {SMALL_FACES}
observers:
  human: {{askable: true, cost: 10, source: judgement, note: A coder costs ten joint answers.}}
policy: {{others: [human], source: judgement, note: A coder may be asked where that is worth it.}}
"""
COUNT = 3
# Looks after which the items of this test are all decided.
MOST_ROUNDS = 6


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    path = tmp_path_factory.mktemp("base") / "coder.yaml"
    path.write_text(OVERLAY)
    return path


@pytest.fixture
def folder(tmp_path):
    return pictures(tmp_path / "faces", COUNT)


def look(record, draw):
    """What a coder answers who sees a neutral face, as a sample."""
    following = record["decision"]["next"]
    key = {"item": record["item"], "question": following["question"], "draw": draw}
    values = {"expression": "neutral", "valence": 0.0, "arousal": -0.05, "action_units": []}
    reports = {
        "joint": tuple(values),
        "expression": ("expression",),
        "affect": ("valence", "arousal"),
        "action_units": ("action_units",),
    }
    if about := following["about"]:
        return {
            **key,
            "observer": "human",
            **({about: values[about]} if about in values else {"action_units": {about: False}}),
        }
    return {**key, "observer": "human", **{name: values[name] for name in reports[following["question"]]}}


def waiting_of(run_folder):
    records = rows(run_folder / "posteriors.jsonl")
    return [record for record in records if (record["decision"]["next"] or {}).get("observer") == "human"]


def test_items_wait_for_people_and_go_on_with_what_they_answer(tmp_path, folder, base):
    options = {"observer": "gpt-4o", "knowledge": base}
    run_folder, answers, asked = tmp_path / "r", [], []
    for _ in range(MOST_ROUNDS):
        summary = seke.annotate(folder, run_folder, ScriptedModel(), answers=answers or None, **options)
        asked.append(summary.totals.answers)
        records = waiting_of(run_folder)
        assert summary.waiting == ({"human": len(records)} if records else {})
        assert summary.finished == (not records)
        assert not summary.stopped
        if not records:
            break
        for record in records:
            assert record["decision"]["item"] == "requery"
            assert record["decision"]["reasons"][0].startswith("a look of one trained coder at ")
            answers.append(look(record, sum(answer["item"] == record["item"] for answer in answers)))
    assert len(asked) > 1
    assert summary.finished
    assert summary.observers == {"gpt-4o": summary.totals.answers, "human": len(answers)}
    # What was received is paid for once: the same command asks nothing more.
    again = seke.annotate(folder, run_folder, ScriptedModel(), answers=answers, **options)
    assert (again.totals, again.items) == (summary.totals, summary.items)
    with pytest.raises(
        SekeError, match=rf"had {len(answers)} answers of human before, and now has 0; give all"
    ):
        seke.annotate(folder, run_folder, ScriptedModel(), **options)


def test_the_command_counts_who_waits_and_takes_files_of_answers(tmp_path, folder, base):
    given = [folder, "--run", tmp_path / "r", "--scripted", "--observer", "gpt-4o", "-k", base]
    first = run(*given, status=1)
    records = waiting_of(tmp_path / "r")
    count = len(records)
    assert f"{count} items wait for human" in first.output
    assert "to continue" in first.output
    assert f"{count} wait for human" in run("--run", tmp_path / "r", "--status").output
    # What a file of samples says under the same base is what the run says.
    result = CliRunner().invoke(
        main, ["infer", str(tmp_path / "r" / "samples.jsonl"), "-k", str(base), "--json"]
    )
    assert f"{count} items wait for human" in result.output
    inferred = [json.loads(line) for line in result.output.splitlines() if line.startswith("{")]
    assert [record["decision"] for record in inferred] == [
        record["decision"] for record in rows(tmp_path / "r" / "posteriors.jsonl")
    ]
    file = tmp_path / "coder.jsonl"
    file.write_text("".join(json.dumps(look(record, 0)) + "\n" for record in records))
    rerun = CliRunner().invoke(main, ["annotate", *map(str, given), "--answers", str(file), "--json"])
    assert json.loads(rerun.stdout)["observers"]["human"] == count
    samples = [row for row in rows(tmp_path / "r" / "samples.jsonl") if row["observer"] == "human"]
    for sample, answer in zip(samples, rows(file), strict=True):
        assert sample == {**sample, **answer}


def test_answers_that_cannot_be_of_this_run_are_refused(tmp_path, folder, base):
    given = [folder, "--run", tmp_path / "r", "--scripted", "--observer", "gpt-4o", "-k", base]
    file = tmp_path / "answers.jsonl"
    sample = {"item": "f0", "observer": "human", "question": "expression", "draw": 0, "expression": "fear"}
    for changed, message in (
        ({"observer": "gpt-4o"}, "item f0: a model of this run answers as gpt-4o; allowed are"),
        ({"item": "elsewhere"}, "none of its 1 samples is about an item of this run; the items have"),
        ({"expression": "fea"}, "answers.jsonl:1: "),
    ):
        file.write_text(json.dumps({**sample, **changed}) + "\n")
        assert message in run(*given, "--answers", file, status=2).output
    file.write_text((json.dumps(sample) + "\n") * 2)
    assert "answers.jsonl:2" in run(*given, "--answers", file, status=2).output
    assert not (tmp_path / "r").exists()


def test_no_item_waits_for_whom_a_model_answers(tmp_path, folder, base):
    summary = seke.annotate(
        folder,
        tmp_path / "r",
        ScriptedModel(),
        also={"human": ScriptedModel(1)},
        observer="gpt-4o",
        knowledge=base,
    )
    assert summary.finished
    assert summary.waiting == {}
    assert "waiting" not in summary.as_facts()
    plain = seke.annotate(
        folder, tmp_path / "plain", ScriptedModel(), strategy="fixed:1", observer="gpt-4o", knowledge=base
    )
    assert plain.finished
    assert set(plain.observers) == {"gpt-4o"}


def test_a_forecast_without_people_says_nothing_of_them():
    nothing = Forecast(1, 0, {}, 0, 0, 0, 0, 0)
    assert "people" not in nothing.as_facts()
    assert Forecast(1, 0, {}, 0, 0, 0, 0, 0, people={"human": 0.5}).as_facts()["people"] == {"human": 0.5}
