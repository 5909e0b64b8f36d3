"""Runs that ask a question in two forms: draws are split evenly, kept apart, and resumed."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from small_study import SMALL_FACES, pictures

from seke.annotation.job import Job
from seke.annotation.live_item import LiveItem
from seke.runs.ledger import ReadingRequests
from seke.sampling.forms import in_forms
from seke.sampling.loop import Request
from seke.vision.fake import RecordedModel, ScriptedModel
from seke.vision.messages import Settings

OVERLAY = f"extends: {SMALL_FACES}\nquestions: {{joint: {{forms: 2}}}}\n"


@pytest.fixture
def faces(tmp_path):
    return pictures(tmp_path / "faces", 3)


def run(faces, place, tmp_path, model=None, **given):
    (tmp_path / "o.yaml").write_text(OVERLAY)
    given = {"strategy": "fixed:5", "problems": lambda _: None, **given}
    model = model or ScriptedModel()
    job = Job.of([faces], tmp_path / place, model, Settings("m"), knowledge=tmp_path / "o.yaml", **given)
    return job.run()


def records(folder):
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("strategy", ["fixed:5", "policy"])
def test_draws_are_split_evenly_over_forms_each_a_reading_of_its_own(faces, tmp_path, strategy):
    assert run(faces, "r", tmp_path, strategy=strategy).finished
    samples = [record for record in records(tmp_path / "r") if record["question"] == "joint"]
    counts = Counter((record["item"], record["view"]) for record in samples)
    items = {record["item"] for record in samples}
    assert len(items) == 3
    for item in items:
        assert counts[item, "face"] - counts[item, "face@reversed"] in (-1, 0, 1)
    digests = {view: {r["extra"]["prompt"] for r in samples if r["view"] == view} for _, view in counts}
    assert all(len(of_view) == 1 for of_view in digests.values())
    assert len(set.union(*digests.values())) == len(digests)
    # One picture is shown in both.
    assert len({(r["item"], r["extra"]["picture"]) for r in samples}) == 3


def test_answers_of_both_forms_are_recorded_and_replayed(faces, tmp_path):
    run(faces, "r", tmp_path)
    run(faces, "again", tmp_path, RecordedModel.read(tmp_path / "r" / "answers.jsonl"))
    assert records(tmp_path / "again") == records(tmp_path / "r")
    assert (tmp_path / "again" / "posteriors.jsonl").read_text() == (
        tmp_path / "r" / "posteriors.jsonl"
    ).read_text()


def test_further_draws_go_to_the_form_that_has_fewer():
    line = ("f", "gpt-4o", "joint", None, "face")
    other = (*line[:4], "face@reversed")

    def split(drawn, reverse, samples):
        lines = {key: ReadingRequests(n, (), "p", "q") for key, n in ((line, drawn), (other, reverse)) if n}
        live = LiveItem(None, [], lines)
        requests = in_forms(Request(*line, drawn, samples), 2, live.drawn)
        return [(request.view, request.first, request.samples) for request in requests]

    assert split(0, 0, 1) == [("face", 0, 1)]
    assert split(1, 0, 1) == [("face@reversed", 0, 1)]
    assert split(0, 0, 5) == [("face", 0, 3), ("face@reversed", 0, 2)]
    assert split(3, 2, 4) == [("face", 3, 2), ("face@reversed", 2, 2)]
    assert split(4, 0, 2) == [("face@reversed", 0, 2)]


def test_single_draws_are_half_of_them_in_the_reversed_form():
    views = Counter()
    for i in range(400):
        request = Request(f"item {i}", "gpt-4o", "verify", "AU4", "face", 0, 1)
        views.update(request.view for request in in_forms(request, 2, lambda _: 0))
    assert views.keys() == {"face", "face@reversed"}
    # Four standard deviations of a fair coin.
    assert abs(views["face"] - 200) < 40
