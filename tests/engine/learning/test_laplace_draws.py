"""Draws of a fit's shares: of a Dirichlet they are its own."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples
from torch.distributions import biject_to, constraints

from engine.learning.laplace_draws import draw_shares

DRAWS = 20000
COUNTS = st.floats(0.05, 40)


def laplace_of(counts):
    """Mode and curvature's root of a Dirichlet in torch's unconstrained coordinates, by differentiation."""
    transform = biject_to(constraints.simplex)
    counts = torch.as_tensor(counts)

    def energy(x):
        share = transform(x)
        density = torch.distributions.Dirichlet(counts).log_prob(share)
        return -density - transform.log_abs_det_jacobian(x, share)

    mode = transform.inv(counts / counts.sum())
    (slope,) = torch.autograd.grad(energy(mode.requires_grad_()), mode)
    assert np.abs(slope.numpy()).max() < 1e-6
    hessian = torch.autograd.functional.hessian(energy, mode.detach())
    return mode.detach().numpy(), np.linalg.inv(np.linalg.cholesky(hessian.numpy())).T, transform


def shift_of(size):
    return np.log(np.arange(size, 0, -1))


@given(st.lists(COUNTS, min_size=2, max_size=6), st.integers(0, 2**31))
@settings(max_examples=examples(15), deadline=None)
def test_draws_have_the_moments_of_the_dirichlet(counts, seed):
    counts = np.array(counts)
    mode, root, transform = laplace_of(counts)
    normals = np.random.default_rng(seed).standard_normal((DRAWS, len(mode)))
    shares = transform(torch.as_tensor(draw_shares(mode, root, shift_of(len(mode)), normals))).numpy()
    n = counts.sum()
    mean = counts / n
    variance = mean * (1 - mean) / (n + 1)
    # Six standard errors of the mean; of the variance by that of x², which is at most E x (1 - E x).
    assert np.all(np.abs(shares.mean(0) - mean) < 6 * np.sqrt(variance / DRAWS) + 1e-9)
    assert np.all(np.abs(shares.var(0) - variance) < 6 * np.sqrt(mean / DRAWS) + 1e-9)


def test_a_gaussian_of_the_same_curvature_is_far_off():
    """What the map of quantiles is for: a row with eight counts of which nearly all are on its first cell."""
    counts = 8 * np.array([0.94, 0.02, 0.02, 0.02])
    mode, root, transform = laplace_of(counts)
    normals = np.random.default_rng(1).standard_normal((DRAWS, 3))
    gaussian = transform(torch.as_tensor(mode + normals @ root.T)).numpy().mean(0)
    ours = transform(torch.as_tensor(draw_shares(mode, root, shift_of(3), normals))).numpy().mean(0)
    assert gaussian[0] < 0.89
    assert ours[0] == pytest.approx(0.94, abs=0.005)


def test_what_is_no_share_stays_gaussian_and_orders_are_kept():
    mode, root = np.array([2.0, -1.0]), np.array([[0.5, 0.0], [0.6, 0.8]])
    normals = np.random.default_rng(2).standard_normal((DRAWS, 2))
    plain = mode + normals @ root.T
    drawn = draw_shares(mode, root, np.array([np.nan, 0.0]), normals)
    assert np.array_equal(drawn[:, 0], plain[:, 0])
    # Quantile by quantile: the ranks, and with them the dependence on the other coordinate, are the same.
    assert np.array_equal(np.argsort(drawn[:, 1]), np.argsort(plain[:, 1]))


def test_the_least_counts_are_finite():
    drawn = draw_shares(np.array([-14.0]), np.array([[900.0]]), np.zeros(1), np.linspace(-4, 4, 9)[:, None])
    assert np.isfinite(drawn).all()
