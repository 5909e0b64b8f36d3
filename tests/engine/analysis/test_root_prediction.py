"""What a base tells of the root from known values, by brute force, and without one of its ties."""

from __future__ import annotations

import numpy as np
import pytest

from engine import Inference, compile_network
from engine.analysis.root_prediction import (
    bases_without_one,
    predict_root,
    predictions_without_one,
    with_prior,
)
from engine.model.gold import Gold


def test_prediction_by_hand(overlay_of, names):
    """Without coupling and rule, P(sky | wet, no umbrellas) = .75 · .1 · .95 to .25 · .95 · .3."""
    base = overlay_of("remove: [rules.soaked, couplings.drops]", "weather")
    inference = Inference(compile_network(base), base)
    wet, umbrellas = names["wet"], names["umbrellas"]
    gold = Gold({wet: np.array([1.0, np.nan, 1.0]), umbrellas: np.array([0.0, np.nan, 0.0])})
    p = predict_root(inference, gold, [wet, umbrellas]).root
    cloudless, rain = 0.75 * 0.1 * 0.95, 0.25 * 0.95 * 0.3
    assert p[0] == pytest.approx([cloudless / (cloudless + rain), rain / (cloudless + rain)])
    assert p[1] == pytest.approx([0.75, 0.25])
    assert p[2].tolist() == p[0].tolist()
    # With even odds the prior drops out.
    even = with_prior(p, np.array([0.75, 0.25]), np.array([0.5, 0.5]))
    assert even[0, 1] / even[0, 0] == pytest.approx(0.95 * 0.3 / (0.1 * 0.95))
    assert predict_root(inference, gold, []).root == pytest.approx(np.tile([0.75, 0.25], (3, 1)))


def test_means_of_intervals(base_of, names):
    base = base_of("machine")
    inference = Inference(compile_network(base), base)
    hot = names["hot"]
    means = predict_root(inference, Gold({hot: np.array([0.0, 1.0])}), [hot]).means[names["load"]]
    edges = np.array(base.variables[names["load"]].edges)
    assert means.shape == (2,)
    assert edges[0] < means[0] < means[1] < edges[-1]


def test_without_one_tie_is_what_is_compiled_without_it(base_of, names):
    base = base_of("weather")
    inference = Inference(compile_network(base), base)
    units = [names[name] for name in ("wet", "umbrellas", "puddles")]
    gold = Gold(dict(zip(units, np.indices((2, 2, 2)).reshape(3, -1).astype(float), strict=True)))
    parts = dict(predictions_without_one(inference, gold, units))
    assert parts.keys() == {"rules.soaked", "couplings.drops"}
    for path, other in bases_without_one(base):
        alone = predict_root(Inference(compile_network(other), other), gold, units)
        assert parts[path].root == pytest.approx(alone.root, abs=1e-6)
