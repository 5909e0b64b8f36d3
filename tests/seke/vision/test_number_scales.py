"""Runs whose numbers are on another scale, and what is said of how answers were read."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from small_study import ONE_QUESTION

from seke.cli.main import main
from seke.files.lines import read_lines

COUNT = 60


@pytest.fixture
def faces(tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(COUNT):
        pixels = rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"f{i:02}.png")
    return folder


def answer(valence, arousal=0.3, **changes):
    said = {
        "face": "clear",
        "not_visible": [],
        "action_units": ["AU6", "AU12"],
        "valence": valence,
        "arousal": arousal,
        "expression": ["happiness", "surprise", "neutral"],
    }
    return json.dumps({**said, **changes})


def run(folder, texts, *more):
    """Annotate with one recorded answer to the joint question about each face."""
    recorded = folder.parent / "recorded.jsonl"
    lines = [{"item": f"f{i:02}", "question": "joint", "text": text} for i, text in enumerate(texts)]
    recorded.write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = ["annotate", str(folder), "--run", str(folder.parent / "run"), "--model", "gpt-4o", "--yes"]
    command += ["-k", str(ONE_QUESTION), "--recorded", str(recorded), "--strategy", "fixed:1", *more]
    return CliRunner().invoke(main, command)


def samples(folder):
    path = folder.parent / "run" / "samples.jsonl"
    return [json.loads(line) for _, lines in read_lines(path) for line in lines if line.strip()]


@pytest.mark.parametrize("size", [COUNT, 20])
def test_numbers_that_fit_by_chance_are_no_evidence_where_the_others_do_not(faces, size):
    """A fourth of the answers says 1 and 1 on a scale from 1 to 9; the first records are made anew."""
    for path in sorted(faces.iterdir())[size:]:
        path.unlink()
    texts = [answer(1, 1) if i % 4 == 0 else answer(7, 3) for i in range(size)]
    done = run(faces, texts)
    assert "they are on another scale, and none of their numbers is evidence" in done.stderr
    assert f"{size * 3 // 4} of {size} answers of gpt-4o to question joint" in done.stderr
    rows = samples(faces)
    assert len(rows) == size
    for row in rows:
        assert "valence" not in row
        assert "arousal" not in row
        assert row["extra"]["unread"] == ["valence", "arousal"]
        assert row["expression"] == ["happiness", "surprise", "neutral"]
    assert rows[0]["extra"]["other_scale"] is True
    assert rows[1]["extra"]["off_scale"] == {"valence": 7.0, "arousal": 3.0}
    # What was decided holds for another process, and the files are the same.
    again = run(faces, texts)
    assert "they are on another scale" in again.stderr
    assert samples(faces) == rows


def test_a_slip_takes_only_its_own_answer(faces):
    texts = [answer(5) if i in (3, 30) else answer(0.5) for i in range(COUNT)]
    done = run(faces, texts, "--json")
    assert "on another scale" not in done.stderr
    rows = samples(faces)
    assert [i for i, row in enumerate(rows) if "valence" not in row] == [3, 30]
    assert rows[3]["extra"]["off_scale"] == {"valence": 5.0}
    assert json.loads(done.stdout)["reading"]["in_part"]["count"] == 2


def test_what_the_first_answers_said_is_taken_back_where_all_others_fit(faces):
    """Five of forty are outside, of sixty too few: the numbers of the others count again, read anew."""
    texts = [answer(5) if i < 5 else answer(0.5) for i in range(COUNT)]
    done = run(faces, texts)
    assert "5 of 60 answers of gpt-4o to question joint have numbers outside -1 to 1" in done.stderr
    assert [i for i, row in enumerate(samples(faces)) if "valence" not in row] == [0, 1, 2, 3, 4]
    assert "they are on another scale" not in run(faces, texts).stderr


def test_how_answers_were_read_is_said_with_an_example_of_each(faces):
    texts = [answer(0.5)] * (COUNT - 3)
    texts += [answer(0.5, action_units=["AU6", "AU99"]), answer(0.5, expression="glee"), "I cannot."]
    done = run(faces, texts)
    assert "the first answer that is read in part: f" in done.stderr
    assert "the first answer that is read not at all: f59, joint: 'I cannot.'" in done.stderr
    assert "answers read: 57 whole, 2 in part, 1 not at all" in done.stdout
    status = CliRunner().invoke(main, ["annotate", "--run", str(faces.parent / "run"), "--status"]).output
    assert "answers read: 57 whole, 2 in part, 1 not at all" in status
    # Whichever of the two came first.
    examples = ("f57, joint: without 'action_units: AU99; action_units: what it does", "f58, joint: without")
    assert any(f"in part, such as {example}" in status for example in examples)
    assert "not at all, such as f59, joint: 'I cannot.'" in status
    as_json = ["annotate", "--run", str(faces.parent / "run"), "--status", "--json"]
    reading = json.loads(CliRunner().invoke(main, as_json).stdout)["reading"]
    assert {way: part["count"] for way, part in reading.items()} == {"whole": 57, "in_part": 2, "unread": 1}
