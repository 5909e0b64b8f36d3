"""The engine's posteriors against brute force, on random small bases and random answers."""

from __future__ import annotations

import numpy as np
import pytest
from brute_force import Shape, World, answers_of, random_base, random_items
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine import Inference, KnowledgeError, compile_network

shapes = st.builds(
    Shape,
    states=st.integers(2, 4),
    binaries=st.integers(2, 5),
    bins=st.sampled_from([(), (), (3,), (4, 3), (6, 4)]),
    couplings=st.integers(0, 3),
    rules=st.integers(0, 4),
    observers=st.integers(1, 3),
    halo=st.booleans(),
    exponent=st.booleans(),
    types=st.integers(1, 2),
    seed=st.integers(0, 2**32 - 1),
)
exact = settings(max_examples=40, deadline=None, derandomize=True, database=None)


def compiled(shape):
    """Compile a random base; a rule that nothing can satisfy is refused, and another is drawn."""
    try:
        return compile_network(random_base(shape))
    except KnowledgeError as error:
        assert "nothing can satisfy" in str(error)
        assume(False)


def check(network, population, items, answers):
    """Compare the engine with brute force on every item."""
    world = World(network, population)
    inference = Inference(network, population)
    posterior = inference.posterior(answers)
    np.testing.assert_allclose(inference.log_evidence(answers), posterior.log_evidence, atol=1e-9)
    for i, readings in enumerate(items):
        truth = world.item(readings)
        assert set(posterior.marginals) == set(truth.marginals)
        for name, p in truth.marginals.items():
            np.testing.assert_allclose(posterior.marginals[name][i], p, atol=1e-9, err_msg=name)
        assert posterior.log_evidence[i] == pytest.approx(truth.log_evidence, abs=1e-9)
        assert posterior.rules == tuple(truth.violations)
        np.testing.assert_allclose(posterior.violations[i], list(truth.violations.values()), atol=1e-9)
        assert posterior.correlation[i] == pytest.approx(truth.correlation, abs=1e-9, nan_ok=True)


@exact
@given(shapes, st.sampled_from(["here", "there"]))
def test_posteriors_equal_brute_force(shape, population):
    network = compiled(shape)
    items = random_items(network.knowledge, shape.seed)
    answers = answers_of(network.knowledge, items, np.random.default_rng(shape.seed))
    check(network, population, items, answers)
