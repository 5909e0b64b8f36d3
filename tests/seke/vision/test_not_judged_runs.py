"""Runs about pictures that cannot be judged: they stop early, go on, and ask nothing twice without end."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from small_study import ONE_QUESTION, pictures

import seke
from seke.annotation.job import Job
from seke.cli.main import main
from seke.prompts.unread_answers import blurred_problem
from seke.vision.fake import ScriptedModel
from seke.vision.messages import Settings

BLURRED = json.dumps({"face": "cannot be judged", "expression": None})
SMILE = json.dumps(
    {
        "face": "clear",
        "not_visible": [],
        "action_units": ["AU6", "AU12", "AU25"],
        "valence": 0.8,
        "arousal": 0.4,
        "expression": ["happiness", "surprise", "neutral"],
    }
)


def record(path, items, text):
    lines = [
        {"item": f"f{i}", "question": "joint", "draw": draw, "text": text} for i in items for draw in (0, 1)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_run_whose_server_blurs_faces_stops_and_goes_on(tmp_path):
    folder, recorded = pictures(tmp_path / "faces", 64), tmp_path / "answers.jsonl"
    command = ["annotate", str(folder), "--run", str(tmp_path / "r"), "--model", "gpt-4o", "--yes"]
    command += ["-k", str(ONE_QUESTION)]
    command += ["--recorded", str(recorded), "--json"]
    record(recorded, range(64), BLURRED)
    stopped = CliRunner().invoke(main, command)
    assert stopped.exit_code == 1
    summary = json.loads(stopped.stdout)
    assert (
        "answers to question joint say 'face: cannot be judged': this server may blur faces"
        in summary["stopped"]
    )
    assert 40 <= summary["totals"]["not_judged"] == summary["totals"]["answers"] < 64
    assert summary["reasons"] == {"not_judged": summary["totals"]["answers"]}
    # A server that shows faces: the others are asked, and with the option these are, too.
    record(recorded, range(64), SMILE)
    again = json.loads(CliRunner().invoke(main, command).stdout)
    assert not again["stopped"]
    assert again["reasons"]["not_judged"] == summary["totals"]["not_judged"]
    account = CliRunner().invoke(main, ["annotate", "--run", str(tmp_path / "r"), "--status"]).output
    assert f"{summary['totals']['not_judged']} not judged" in account
    retried = json.loads(CliRunner().invoke(main, [*command, "--retry-refused"]).stdout)
    assert "not_judged" not in retried["reasons"]


def test_a_face_that_cannot_be_judged_is_paid_for_once(tmp_path):
    """Of a picture without a label one answer; of one with a label, which may be overruled, a second."""
    folder = pictures(tmp_path / "faces", 6)
    labels = {"f0": "sadness", "f1": "anger"}
    lines = [f"f{i}.png,{labels.get(f'f{i}', '')}" for i in range(6)]
    (folder / "faces.csv").write_text("\n".join(["path,expression", *lines]) + "\n")
    given = ScriptedModel(not_judged=1.0), Settings("gpt-4o")
    summary = Job.of([folder / "faces.csv"], tmp_path / "r", *given, knowledge=ONE_QUESTION).run()
    assert summary.finished
    assert summary.totals.not_judged == summary.totals.answers == 4 + 2 * 2
    assert summary.reasons["not_judged"] == 4
    assert summary.reasons["unresolvable"] == 2


@pytest.mark.parametrize(
    ("statuses", "stops"),
    [
        ({"not_judged": 39}, False),
        ({"not_judged": 40}, True),
        ({"not_judged": 38, "ok": 2}, True),
        ({"not_judged": 37, "ok": 2, "unreadable": 1}, False),
        ({"not_judged": 57, "ok": 3}, True),
        ({"ok": 40}, False),
    ],
)
def test_nearly_all_of_the_first_forty_answers_stop_a_run(statuses, stops):
    question = seke.knowledge().questions["joint"]
    assert bool(blurred_problem(question.name, statuses, question.sight)) is stops
