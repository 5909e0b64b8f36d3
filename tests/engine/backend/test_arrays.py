"""Special functions of few numbers against those of many, which are scipy's; distinct numbers."""

import sys

import numpy as np
import pytest
from scipy import special

from engine.backend.arrays import FEW, FEW_CELLS, distinct, gammaln, ndtr, ndtri

POSITIVE = np.concatenate([np.geomspace(1e-12, 1e12, 300), np.linspace(0.5, 3, 101), np.arange(1.0, 60.0)])
SIGNED = np.concatenate([np.linspace(-38, 38, 400), [0.0, 1e-300, -1e-9, np.inf, -np.inf, np.nan]])
WITHIN = np.concatenate([np.geomspace(1e-300, 0.5, 200), 1 - np.geomspace(1e-15, 0.5, 200)])


@pytest.fixture
def not_imported(monkeypatch):
    """As where nothing has imported scipy.special yet."""
    monkeypatch.delitem(sys.modules, "scipy.special")


@pytest.mark.parametrize(
    ("function", "by_scipy", "numbers", "few"),
    [
        (gammaln, special.gammaln, POSITIVE, FEW),
        (ndtr, special.ndtr, SIGNED, FEW_CELLS),
        (ndtri, special.ndtri, WITHIN, FEW),
    ],
)
@pytest.mark.usefixtures("not_imported")
def test_few_numbers_have_the_values_of_many(function, by_scipy, numbers, few):
    alone = np.array([function(number) for number in numbers.tolist()])
    np.testing.assert_allclose(alone, by_scipy(numbers), rtol=1e-12, atol=1e-15)
    table = numbers[: len(numbers) // 4 * 4].reshape(2, -1, 2)
    assert table.size <= few
    np.testing.assert_array_equal(function(table), alone[: table.size].reshape(table.shape))
    many = np.tile(numbers, few // len(numbers) + 1)
    np.testing.assert_array_equal(function(many), by_scipy(many))


def test_with_scipy_at_hand_all_numbers_are_its_own():
    np.testing.assert_array_equal(gammaln(POSITIVE[:5]), special.gammaln(POSITIVE[:5]))
    np.testing.assert_array_equal(ndtri(WITHIN[:5]), special.ndtri(WITHIN[:5]))


@pytest.mark.usefixtures("not_imported")
def test_what_is_infinite_is_so_for_few_numbers_as_for_many():
    poles = np.array([0.0, -1.0, 1e308, 2.0])
    np.testing.assert_array_equal(gammaln(poles), special.gammaln(poles))
    np.testing.assert_array_equal(ndtri([0.0, 0.5, 1.0]), [-np.inf, 0.0, np.inf])
    assert np.isnan(ndtri(1.5))
    assert gammaln(np.array([4, 5]))[1] == pytest.approx(np.log(24))


@pytest.mark.parametrize("numbers", [[], [3], [2, 2], [[5, -1, 5], [0, -1, 7]]])
def test_distinct_numbers_ascend(numbers):
    array = np.array(numbers, dtype=np.int64)
    assert distinct(array).tolist() == sorted(set(array.ravel().tolist()))
