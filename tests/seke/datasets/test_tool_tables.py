"""Tables of OpenFace and Py-Feat become samples."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import seke
from engine import AnswerError, SekeError
from seke.cli.main import main
from seke.datasets.tool_tables import import_table

OPENFACE = """frame, face_id, timestamp, confidence, success, AU01_r, AU06_r, AU01_c, AU06_c, AU45_c
1, 0, 0.000, 0.98, 1, 0.00, 1.90, 0.00, 1.00, 1.00
2, 0, 0.033, 0.10, 0, 0.00, 0.00, 0.00, 0.00, 0.00
"""
PYFEAT = """,input,frame,FaceRectX,AU01,AU12,AU43,anger,happiness,neutral
0,set/f1.jpg,0,10,0.2,0.9,0.1,0.01,0.95,0.04
1,clip.mp4,3,10,,NaN,,0.5,0.25,0.25
"""


def made(tmp_path, tool, text, **options):
    (tmp_path / "faces.csv").write_text(text)
    summary = import_table(tool, tmp_path / "faces.csv", tmp_path / "s.jsonl", **options)
    lines = (tmp_path / "s.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], summary


def test_openface_gives_marks_of_the_units_that_the_base_has(tmp_path):
    records, summary = made(tmp_path, "openface", OPENFACE)
    key = {"observer": "au-detector", "question": "action_units", "draw": 0}
    assert records == [{"item": "faces/1", **key, "action_units": {"AU1": False, "AU6": True}}]
    assert (summary.items, summary.samples, summary.left_out) == (1, 1, {"rows without a face": 1})
    assert [record["item"] for record in seke.infer(tmp_path / "s.jsonl")] == ["faces/1"]


def test_pyfeat_gives_probabilities_and_a_distribution(tmp_path):
    records, summary = made(tmp_path, "pyfeat", PYFEAT)
    units = {"item": "set/f1", "observer": "au-detector", "question": "action_units", "draw": 0}
    label = {"observer": "expression-network", "question": "expression", "draw": 0}
    assert records == [
        {**units, "action_units": {"AU1": 0.2, "AU12": 0.9}},
        {"item": "set/f1", **label, "expression": {"anger": 0.01, "happiness": 0.95, "neutral": 0.04}},
        {"item": "clip/3", **label, "expression": {"anger": 0.5, "happiness": 0.25, "neutral": 0.25}},
    ]
    assert (summary.items, summary.samples) == (2, 3)


FAULTY = {
    "another table": ("openface", "item,AU1\na,1\n", "frame: no such column; a table of OpenFace 2 has"),
    "two faces": (
        "openface",
        OPENFACE + "1, 1, 0, 0.9, 1, 0, 0, 1, 1, 1\n",
        ":4: item 'faces/1' has a face at",
    ),
    "no mark": (
        "openface",
        OPENFACE.replace("0.00, 1.00, 1.00", "0.50, 1.00, 1.00"),
        ":2: AU1: met 0.5; allowed",
    ),
    "no number": ("pyfeat", PYFEAT.replace("0.95", "much"), ":2: happiness: met 'much'; allowed is a number"),
}


@pytest.mark.parametrize("case", FAULTY)
def test_bad_tables_are_refused_and_nothing_is_written(tmp_path, case):
    tool, text, message = FAULTY[case]
    with pytest.raises(AnswerError, match=r"faces\.csv") as caught:
        made(tmp_path, tool, text)
    assert message in str(caught.value)
    assert not (tmp_path / "s.jsonl").exists()


def test_what_is_named_wrongly_is_refused(tmp_path):
    for arguments, words in (
        (("other", "t.csv", "s.jsonl"), "allowed are openface, pyfeat"),
        (("openface", "t.csv", "s.csv"), "unknown ending"),
    ):
        with pytest.raises(SekeError, match=words):
            import_table(*arguments)
    plants = tmp_path / "faces.csv"
    plants.write_text(OPENFACE)
    with pytest.raises(SekeError, match="has no observer 'au-detector'"):
        import_table("openface", plants, tmp_path / "s.jsonl", knowledge="examples/plants")


def test_the_command_says_what_it_wrote(tmp_path):
    (tmp_path / "faces.csv").write_text(OPENFACE)
    arguments = ["import", "openface", str(tmp_path / "faces.csv"), "-o", str(tmp_path / "s.jsonl"), "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["samples"] == 1
    assert "1 samples of 1 items\n  left out: 1 rows without a face" in result.stderr
