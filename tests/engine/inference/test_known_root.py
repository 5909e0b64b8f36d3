"""engine.inference.known_root: the same as evidence that rules all other states of the root out."""

from dataclasses import replace

import numpy as np
import pytest
from brute_force import Shape, answers_of, random_base, random_items

from engine.compilation.compiler import compile_network
from engine.inference.posterior import Inference
from engine.learning.likelihood import IMPOSSIBLE

ROOT_ALONE = {"binaries": 0, "couplings": 0, "rules": 0, "halo": False}


@pytest.mark.parametrize(("seed", "others"), [(3, {}), (4, {}), (5, {}), (6, ROOT_ALONE)])
def test_beliefs_are_those_where_other_states_are_impossible(seed, others):
    rng = np.random.default_rng(seed)
    base = random_base(Shape(observers=2, states=3, exponent=False, types=1, seed=seed, **others))
    inference = Inference(compile_network(base), base)
    evidence = inference.observations.evidence(answers_of(base, random_items(base, rng, 12)))
    count, root = len(evidence.row_item), inference.network.root
    states = rng.integers(0, 3, count)
    elsewhere = np.where(np.arange(3)[:, None] == states, 0.0, IMPOSSIBLE)
    about_root = evidence.log_likelihood.get(root, np.zeros((3, count))) + elsewhere
    rows = replace(
        evidence,
        items=count,
        row_item=np.arange(count),
        log_likelihood={**evidence.log_likelihood, root: about_root},
    )
    expected, marginals = inference.beliefs(rows)
    log_z, beliefs = inference.known_root.beliefs(rows, states)
    np.testing.assert_allclose(log_z, expected, atol=1e-10)
    assert beliefs.keys() == marginals.keys()
    for name, belief in beliefs.items():
        np.testing.assert_allclose(belief, marginals[name], atol=1e-10)
