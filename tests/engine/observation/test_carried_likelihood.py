"""The likelihood of readings of which a share is what was settled on, against the sum as it is defined."""

import numpy as np
import pytest
import torch

from engine.observation.carried_likelihood import MOST_SUBSETS_OF, carried_log_likelihood


def as_defined(mix, table, pattern, row, rows, carry):
    result = np.ones((rows, len(mix)))
    for place in range(rows):
        for x in range(len(mix)):
            inner = [
                carry * np.exp(table[p]) + (1 - carry) * mix[x] @ np.exp(table[p])
                for p in pattern[row == place]
            ]
            result[place, x] = mix[x] @ np.prod(inner, axis=0)
    return np.log(result)


@pytest.mark.parametrize("carry", [0.0, 0.3, 0.85, 1.0])
@pytest.mark.parametrize("patterns", [3, 400], ids=["many rows alike", "no two alike"])
def test_it_is_the_sum_as_defined(carry, patterns):
    rng = np.random.default_rng(patterns)
    states, types, rows = 4, 6, 60
    mix, table = rng.dirichlet(np.ones(types), states), rng.normal(size=(patterns, types)) * 3
    counts = rng.integers(1, MOST_SUBSETS_OF + 4, rows)
    row = rng.permutation(np.repeat(np.arange(rows), counts))
    pattern = rng.integers(0, patterns, len(row))
    expected = as_defined(mix, table, pattern, row, rows, carry)
    given = carried_log_likelihood(mix, table, pattern, row, rows, carry)
    assert np.allclose(given, expected, rtol=0, atol=1e-11)
    tensors = (torch.tensor(array, dtype=torch.float64) for array in (mix, table))
    in_torch = carried_log_likelihood(*tensors, pattern, row, rows, torch.tensor(carry, dtype=torch.float64))
    assert np.allclose(in_torch.numpy(), expected, rtol=0, atol=1e-11)


def test_readings_that_exclude_one_another_are_weighed_where_all_is_carried():
    """Of readings that all bring out one type, no fresh look explains how far they are apart."""
    mix, table = np.eye(2) * 0.8 + 0.1, np.array([[0.0, -900.0], [-900.0, 0.0]])
    (given,) = carried_log_likelihood(mix, table, np.array([0, 1]), np.zeros(2, dtype=np.int64), 1, 1.0)
    assert np.allclose(given, -900 + np.log(mix.sum(1)))


def test_a_row_is_as_it_is_alone():
    rng = np.random.default_rng(1)
    mix, table = rng.dirichlet(np.ones(3), 3), rng.normal(size=(5, 3))
    pattern, row = rng.integers(0, 5, 90), np.repeat(np.arange(30), 3)
    together = carried_log_likelihood(mix, table, pattern, row, 30, 0.6)
    for place in range(30):
        used = row == place
        alone = carried_log_likelihood(mix, table, pattern[used], np.zeros(3, dtype=np.int64), 1, 0.6)
        assert np.allclose(together[place], alone[0], rtol=0, atol=1e-13)
