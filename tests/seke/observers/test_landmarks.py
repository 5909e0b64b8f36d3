"""Faces, their pose, and action units from blendshapes."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import seke
from seke.observers.landmarks import NOWHERE, FaceLandmarker, pose_of, units_of
from seke.observers.networks import declaration_of, network_of
from seke.observers.seen import Box, Face, ShownPart, in_order

DRAWN = Path(__file__).parents[3] / "examples" / "annotate"


@pytest.fixture(scope="module")
def landmarker():
    opened = FaceLandmarker(network_of("face-landmarker"))
    yield opened
    opened.close()


def pixels(name, size=None):
    picture = Image.open(DRAWN / f"{name}.png").convert("RGB")
    return np.asarray(picture.resize((size, size)) if size else picture)


UNITS = {
    "a": {"of": ["up"], "rest": 0.1, "full": 0.7},
    "b": {"of": ["left", "right"], "rest": 0.0, "full": 1.0},
    "low": {"of": ["up"], "rest": 0.8, "full": 0.2},
}


@pytest.mark.parametrize(
    ("scores", "extents"),
    [
        # (0.4 - 0.1) / 0.6, the mean of 0.2 and 0.6, (0.4 - 0.8) / -0.6
        ({"up": 0.4, "left": 0.2, "right": 0.6}, {"a": 0.5, "b": 0.4, "low": 0.6667}),
        ({"up": 0.05, "left": 0.0, "right": 0.0}, {"a": 0.0, "b": 0.0, "low": 1.0}),
        ({"up": 0.9, "left": 1.0, "right": 1.0}, {"a": 1.0, "b": 1.0, "low": 0.0}),
    ],
)
def test_a_unit_is_there_as_far_as_its_blendshapes_have_come(scores, extents):
    assert units_of(scores, UNITS) == extents


def test_all_units_of_the_base_are_read_or_known_to_be_unseen():
    declared, base = declaration_of("face-landmarker"), seke.knowledge()
    assert not set(declared["units"]) & set(declared["unseen"])
    assert {*declared["units"], *declared["unseen"]} == set(base.levels["action_units"])
    # The base says how reliable each that is read is, and of no other.
    assert set(base.observers["face-landmarker"].labels) == set(declared["units"])
    assert base.observers["face-landmarker"].cost == 0
    assert not base.observers["face-landmarker"].askable


def turned(axis, degrees):
    """A rotation about one axis, by the right hand."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    first, second = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(4)
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix


@pytest.mark.parametrize(
    ("axis", "degrees", "pose"),
    [
        (0, 0, (0, 0, 0)),
        # About the axis to the right a positive turn brings the nose, which points to the camera, down.
        (0, 20, (0, -20, 0)),
        (1, 30, (30, 0, 0)),
        (2, 10, (0, 0, 10)),
    ],
)
def test_pose_is_where_the_nose_points_and_how_the_head_is_tilted(axis, degrees, pose):
    measured = pose_of(turned(axis, degrees))
    assert tuple(measured.values()) == pytest.approx(pose, abs=0.05)


def test_the_face_that_is_meant_is_the_largest_or_the_one_in_the_box():
    small, large = Face(Box(0, 0, 10, 10)), Face(Box(50, 50, 20, 20))
    assert in_order([small, large], None) == (large, small)
    assert in_order([small, large], Box(5, 5, 10, 10)) == (small, large)
    # A box beside all faces says nothing.
    assert in_order([small, large], Box(200, 200, 10, 10)) == (large, small)


def test_places_in_the_picture_are_in_its_pixels():
    shown = ShownPart(np.zeros((4, 4, 3), np.uint8), x=100, y=50, scale=2.0)
    assert shown.in_picture(Box(1, 2, 3, 4)) == [102.0, 54.0, 6.0, 8.0]


def test_a_face_is_found_with_box_pose_and_all_blendshapes(landmarker):
    (face,) = landmarker.faces(ShownPart(pixels("smile")))
    assert len(face.scores) == 52
    assert all(0 <= score <= 1 for score in face.scores.values())
    named = {name for unit in landmarker.units.values() for name in unit["of"]}
    assert named <= set(face.scores)
    # The face is drawn from 50 to 205 of 256 pixels, and upright.
    assert (face.box.x, face.box.x + face.box.width) == pytest.approx((52, 205), abs=10)
    assert all(abs(angle) < 10 for angle in face.pose.values())
    (report,) = landmarker.reports(ShownPart(pixels("smile")), face)
    assert report["AU12"] > 0.5
    assert report["AU6"] is None


def test_a_smile_is_seen_further_than_a_face_that_looks_down(landmarker):
    reports = []
    for name in ("smile", "downcast"):
        shown = ShownPart(pixels(name))
        reports += landmarker.reports(shown, landmarker.faces(shown)[0])
    assert reports[0]["AU12"] > reports[1]["AU12"] + 0.5


def test_several_faces_are_found_and_a_box_says_which_is_meant(landmarker):
    picture = np.full((300, 460, 3), 255, np.uint8)
    picture[:256, :256] = pixels("at-rest")
    picture[:160, 290:450] = pixels("at-rest", 160)
    large, small = landmarker.faces(ShownPart(picture))
    assert large.box.x < 256 < small.box.x
    meant, other = landmarker.faces(ShownPart(picture, near=Box(290, 0, 160, 160)))
    assert (meant, other) == (small, large)


def test_no_face_is_found_where_there_is_none(landmarker):
    grey = np.full((120, 90, 3), 128, np.uint8)
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    assert landmarker.faces(ShownPart(grey)) == ()
    assert landmarker.faces(ShownPart(noise)) == ()
    assert landmarker.faces(ShownPart(np.zeros((16, 16, 3), np.uint8))) == ()


REPORTING = """
import sys, numpy as np
from seke.observers import landmarks
from seke.observers.networks import network_of
from seke.observers.seen import ShownPart
landmarks.NOWHERE = sys.argv[1]
opened = landmarks.FaceLandmarker(network_of("face-landmarker"))
opened.faces(ShownPart(np.zeros((64, 64, 3), np.uint8)))
opened.close()
import os, urllib.request
assert "https_proxy" not in os.environ and "https" not in urllib.request.getproxies()
"""


def test_what_mediapipe_reports_of_its_use_goes_where_nobody_listens():
    """It asks for a way to its publisher at the address that is given in place of a proxy; here we listen."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-c", REPORTING, address]
        environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        with subprocess.Popen(
            command, env={**environment, "NO_PROXY": "*"}, stderr=subprocess.PIPE
        ) as program:
            connection, _ = server.accept()
            with connection:
                asked = connection.recv(200)
            _, errors = program.communicate(timeout=60)
    assert program.returncode == 0, errors
    assert asked.startswith(b"CONNECT ")
    # Nobody is at the address that is used otherwise.
    with socket.socket() as client:
        host, port = NOWHERE.removeprefix("http://").split(":")
        assert client.connect_ex((host, int(port))) != 0


def test_a_file_that_is_no_network_is_refused(tmp_path):
    path = tmp_path / "other.task"
    path.write_bytes(b"nothing")
    with pytest.raises((ValueError, RuntimeError)):
        FaceLandmarker(path)
