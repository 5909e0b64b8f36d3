"""Gradient and Hessian of log Z, against torch's derivatives of the pass over the junction tree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from brute_force import Shape, random_base

import seke
from engine.compilation.compiler import _dual_problem
from engine.compilation.passes import build_cliques, build_network
from engine.network.junction_tree import collect


def derivatives_by_torch(model, parameters):
    """Log Z (K,), its gradient (K, P) and its Hessian (K, P, P), each row's log Z differentiated twice."""

    def log_z(row):
        tables = []
        for static, design in zip(model.static, model.designs, strict=True):
            table = torch.as_tensor(static).expand(model.k, *static.shape[1:])
            if design is not None:
                columns, features = design
                tilt = (row[:, None, columns] @ torch.as_tensor(features)).reshape(table.shape)
                table = table + tilt
            tables.append(table.exp())
        return torch.as_tensor(collect(model.steps, tables, {})[0])[:, 0]

    x = torch.as_tensor(parameters).requires_grad_()
    value = log_z(x)
    (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    columns = [torch.autograd.grad(gradient[:, p].sum(), x, retain_graph=True)[0] for p in range(model.size)]
    return value.detach().numpy(), gradient.detach().numpy(), torch.stack(columns, dim=1).numpy()


@pytest.mark.parametrize("name", ["shipped", "no block", "a block", "no coupling"])
def test_the_derivatives_are_those_of_torch(name):
    shapes = {
        "no block": Shape(states=3, binaries=5, bins=(), couplings=5, rules=3, seed=1),
        "a block": Shape(states=3, binaries=4, bins=(4, 3), couplings=2, rules=4, seed=2),
        "no coupling": Shape(states=2, binaries=5, bins=(8,), couplings=0, rules=4, seed=3),
    }
    base = random_base(shapes[name]) if name in shapes else seke.knowledge()
    partial = build_network(base)
    _, steps = build_cliques(partial)
    model = _dual_problem(partial, steps)
    parameters = np.random.default_rng(0).normal(0, 0.5, (model.k, model.size))
    parameters[:, model.local :] = parameters[:1, model.local :]
    value, gradient, hessian = model.derivatives(parameters)
    for ours, theirs in zip((value, gradient, hessian), derivatives_by_torch(model, parameters), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-10, rtol=1e-9)
    np.testing.assert_allclose(model.value(parameters), value, rtol=1e-13)
    np.testing.assert_allclose(model.slope(parameters)[1], gradient, rtol=1e-12)
    _, first, block = model.derivatives(parameters, model.local)
    np.testing.assert_allclose(first, gradient[:, : model.local], rtol=1e-12)
    np.testing.assert_allclose(block, hessian[:, : model.local, : model.local], atol=1e-14)
    # Probabilities of a node are those of all features of a variable, and of a belief.
    for j, node in enumerate(model.c.binary):
        np.testing.assert_allclose(model.marginals(parameters)[node][:, 1], gradient[:, j], atol=1e-12)
