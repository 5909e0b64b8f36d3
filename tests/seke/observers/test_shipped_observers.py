"""Laws of the two observers of the shipped base that are programs on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import seke

ROOT = Path(__file__).parents[3]
DRAWS = 16


@pytest.fixture
def overlay(tmp_path):
    def write(text):
        path = tmp_path / "overlay.yaml"
        path.write_text(f"extends: shipped\n{text}", "utf-8")
        return seke.knowledge(path)

    return write


def drawn(observer, state="fear", share=0.8, draws=DRAWS):
    rest = {"neutral": 1 - share}
    return [
        {
            "item": "a",
            "observer": observer,
            "question": "expression",
            "draw": i,
            "expression": {state: share, **rest},
        }
        for i in range(draws)
    ]


def posterior(samples, base=None):
    (record,) = seke.infer(samples, base)
    return record


def test_a_base_without_them_decides_the_same(overlay):
    """They only follow what items look like, so nothing changes where they did not answer."""
    plain = overlay("remove: [observers.fer, observers.face-landmarker, dependence.families.fer-2013]\n")
    lines = (ROOT / "examples" / "faces" / "samples.jsonl").read_text("utf-8").splitlines()
    samples = [json.loads(line) for line in lines[-30:]]
    assert list(seke.infer(samples)) == list(seke.infer(samples, plain))


def test_a_second_run_under_another_name_changes_nothing(overlay):
    base = overlay("observers:\n  fer-again: {copy_of: fer, label: the same network on the next day}\n")
    once, twice = posterior(drawn("fer"), base), posterior([*drawn("fer"), *drawn("fer-again")], base)
    assert {**twice, "diagnostics": {}} == {**once, "diagnostics": {}}


SECOND = """
observers:
  second:
    {extra}
    kind: detector
    carry: 0.95
    follows_only: true
    source: judgement
    note: The numbers of fer, for a trial.
    categorical:
      expression: {{accuracy: 0.66, repeat: 0.86, strength: 8, source: judgement, note: A trial.}}
"""


def test_another_network_of_its_family_adds_less_than_a_stranger(overlay):
    """Both say fear: the more they are one instrument, the less the second says."""
    alone = posterior(drawn("fer"))["expression"]["fear"]
    both = [*drawn("fer"), *drawn("second")]
    kin = posterior(both, overlay(SECOND.format(extra="family: fer-2013")))["expression"]["fear"]
    stranger = posterior(both, overlay(SECOND.format(extra="label: another")))["expression"]["fear"]
    assert alone < kin < stranger - 0.02


def test_more_draws_of_one_reading_never_tell_more_than_the_reading():
    """What one crop and what sixteen say differs; sixteen and a hundred hardly."""
    fear = [posterior(drawn("fer", draws=n))["expression"]["fear"] for n in (1, 16, 100)]
    assert fear[0] < fear[1] - 0.05
    assert fear[2] == pytest.approx(fear[1], abs=0.03)


def test_a_network_that_knows_no_contempt_does_not_rule_it_out():
    """Happiness may be a contemptuous face, by the row of contempt: .2 against .744 that it settles on."""
    record = posterior(drawn("fer", "happiness", share=1.0))
    p = record["expression"]
    assert p["contempt"] / p["happiness"] == pytest.approx(0.2 / 0.744, rel=0.25)
    assert p["contempt"] > 5 * p["fear"]


def test_graded_units_count_by_their_extent_and_null_says_nothing():
    def smile(extent):
        units = {"AU12": extent, "AU6": None, "AU4": None}
        sample = {"item": "a", "observer": "face-landmarker", "question": "action_units", "draw": 0}
        return posterior([{**sample, "action_units": units}])

    extents = (0.0, 0.3, 0.5, 0.7, 1.0)
    p = np.array([smile(extent)["action_units"]["AU12"] for extent in extents])
    assert (np.diff(p) > 0.01).all()
    record = smile(1.0)
    assert record["decision"]["levels"]["AU12"]["origin"] == "seen"
    assert {record["decision"]["levels"][name]["origin"] for name in ("AU4", "AU6", "expression")} == {
        "inferred"
    }


@pytest.mark.parametrize("name", ["fer", "pyfeat", "deepface", "expression-network"])
def test_frames_of_a_clip_tell_what_most_of_them_tell_and_no_more_than_one(name):
    """Few frames that differ do not decide, and a hundred alike are no surer than five."""

    def posterior(frames):
        key = {"item": "clip", "observer": name, "question": "expression", "draw": 0}
        samples = [
            {**key, "view": f"frame-{n}", "expression": {shown: 0.96, "sadness": 0.02, "anger": 0.02}}
            for n, shown in enumerate(frames)
        ]
        (record,) = seke.infer(samples)
        return record["expression"]

    mixed = posterior(["neutral"] * 10 + ["happiness"] * 90)
    assert max(mixed, key=mixed.get) == "happiness"
    few, many = (posterior(["happiness"] * count)["happiness"] for count in (5, 100))
    assert many == pytest.approx(few, abs=0.02)
