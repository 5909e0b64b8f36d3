"""What each known value weighs: every figure against sums over all states of the world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brute_force import Shape, World, random_base

from engine import Inference, compile_network, weigh_known_values

SHAPE = Shape(states=3, binaries=3, bins=(3,), couplings=1, rules=1, observers=1)


@pytest.mark.parametrize("seed", range(3))
def test_known_values_against_sums_over_all_states(seed):
    base = random_base(replace(SHAPE, seed=seed))
    network = compile_network(base)
    world, names = World(network, base), tuple(base.cells)
    (number,) = base.intervals
    edges = np.array(base.variables[number].edges)
    middle = ((edges[:-1] + edges[1:]) / 2)[world.values[number]]
    rng = np.random.default_rng(seed)
    states = rng.integers(-1, 2, (5, len(names)))
    states[0] = -1
    states[1] = states[2]

    def given(event):
        p = world.joint * event
        total = p.sum()
        root = p.reshape(len(world.population), -1).sum(1)
        return root / total, (p * middle).sum() / total

    weights = weigh_known_values(Inference(network, base), names, states)
    for i, known in enumerate(states):
        events = [
            np.ones(world.joint.shape, dtype=bool) if v < 0 else world.values[n] == v
            for n, v in zip(names, known, strict=True)
        ]
        root, mean = given(np.logical_and.reduce(events))
        np.testing.assert_allclose(weights.p[i], root, atol=1e-9)
        assert weights.means[number][i] == pytest.approx(mean)
        for j, value in enumerate(known):
            others = np.logical_and.reduce([event for k, event in enumerate(events) if k != j])
            root, mean = given(others)
            np.testing.assert_allclose(weights.without[i, j], root, atol=1e-9)
            assert weights.means_without[number][i, j] == pytest.approx(mean)
            changed = others & (world.values[names[j]] != value) if value >= 0 else others
            np.testing.assert_allclose(weights.otherwise[i, j], given(changed)[0], atol=1e-9)


def test_nothing_known_leaves_the_prior():
    base = random_base(replace(SHAPE, seed=1))
    nothing = np.full((2, len(base.cells)), -1)
    weights = weigh_known_values(Inference(compile_network(base), base), tuple(base.cells), nothing)
    np.testing.assert_allclose(weights.p, [base.populations[base.reference].p] * 2)
    np.testing.assert_allclose(weights.without, weights.otherwise)
    together = weigh_known_values(
        Inference(compile_network(base), base), tuple(base.cells), nothing + 1, each=False
    )
    np.testing.assert_allclose(together.without, np.repeat(together.p[:, None], len(base.cells), 1))
