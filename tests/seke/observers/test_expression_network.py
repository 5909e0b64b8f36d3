"""Crops of a face, and the distributions that the network gives of them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import seke
from engine import SekeError
from seke.observers.expression_network import ExpressionNetwork, crops_of, moves
from seke.observers.networks import declaration_of, network_of
from seke.observers.seen import Box, Face, ShownPart


@pytest.fixture(scope="module")
def network():
    return ExpressionNetwork(network_of("fer"), 4)


def test_a_crop_gives_a_distribution_and_always_the_same(network):
    crops = np.random.default_rng(7).integers(0, 256, (4, 64, 64), dtype=np.uint8)
    p = network.probabilities(crops)
    assert p.shape == (4, 7)
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
    np.testing.assert_array_equal(network.probabilities(crops), p)
    # Each crop is looked at by itself.
    np.testing.assert_allclose(network.probabilities(crops[::-1]), p[::-1], atol=1e-5)


def test_its_classes_are_answers_of_the_base_and_contempt_is_not_one():
    base, declared = seke.knowledge(), declaration_of("fer")
    answers = base.observers["fer"].labels["expression"].answers
    assert set(answers) - set(declared["classes"]) == {"contempt"}
    assert len(declared["classes"]) == 7


def test_reports_are_distributions_that_samples_may_hold(network):
    shown = ShownPart(np.random.default_rng(1).integers(0, 256, (90, 90, 3), dtype=np.uint8))
    reports = network.reports(shown, Face(Box(20, 20, 40, 50)))
    assert len(reports) == 4
    for report in reports:
        assert list(report) == ["expression"]
        assert sum(report["expression"].values()) == pytest.approx(1, abs=1e-4)


def test_crops_are_moved_little_and_alike_for_every_face():
    drawn = moves(16, 0.05, 0.1)
    assert drawn.shape == (16, 4)
    assert (drawn[0] == 0).all()
    assert (abs(drawn[:, :2]) <= 0.05).all()
    assert (abs(drawn[:, 2]) <= 0.1).all()
    assert drawn[:, 3].tolist() == [0, 1] * 8
    # Fewer crops are the first of more.
    np.testing.assert_array_equal(moves(4, 0.05, 0.1), drawn[:4])
    assert len({tuple(row) for row in drawn.tolist()}) == 16


def ramp(width=200, height=200):
    """Grey that rises to the right, from 0 to 199."""
    column = np.arange(width, dtype=np.uint8)
    return np.repeat(np.tile(column, (height, 1))[..., None], 3, axis=2)


def test_a_crop_is_the_square_around_the_longer_side_with_its_margin():
    (crop,) = crops_of(ramp(), Box(90, 60, 20, 80), 64, 0.1, moves(1, 0, 0))
    # The longer side is 80, the square 96 wide around x = 100: from 52 to 148, with its middle at 99.5.
    assert crop.shape == (64, 64)
    assert crop[:, 0].mean() == pytest.approx(52.25, abs=1.5)
    assert crop[:, -1].mean() == pytest.approx(146.75, abs=1.5)
    assert crop.mean() == pytest.approx(99.5, abs=1)


def test_a_mirrored_crop_is_the_mirror_image():
    still = moves(2, 0, 0)
    plain, mirrored = crops_of(ramp(), Box(60, 60, 80, 80), 64, 0.1, still)
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])


def test_a_crop_that_is_moved_right_shows_what_is_to_the_right():
    still, right = crops_of(
        ramp(), Box(60, 60, 80, 80), 64, 0.0, np.array([[0, 0, 0, 0], [0.1, 0, 0, 0]], float)
    )
    assert right.mean() - still.mean() == pytest.approx(8, abs=1)


def test_beyond_the_edge_of_a_picture_its_last_pixels_go_on():
    (crop,) = crops_of(ramp(), Box(-20, 0, 60, 60), 64, 0.0, moves(1, 0, 0))
    assert (crop[:, :15] <= 1).all()
    (crop,) = crops_of(np.full((10, 10, 3), 77, np.uint8), Box(-50, -50, 200, 200), 64, 0.1, moves(1, 0, 0))
    assert (crop == 77).all()


def test_colours_are_turned_to_grey_as_pictures_are():
    colour = np.tile(np.array([200, 30, 90], np.uint8), (50, 50, 1))
    (crop,) = crops_of(colour, Box(10, 10, 20, 20), 64, 0.1, moves(1, 0, 0))
    assert (crop == np.asarray(Image.fromarray(colour).convert("L"))[0, 0]).all()


def test_a_file_that_is_no_such_network_is_refused(tmp_path):
    path = tmp_path / "other.tflite"
    path.write_bytes(b"nothing")
    with pytest.raises(SekeError, match=r"other\.tflite: is no network that can be run"):
        ExpressionNetwork(path)
