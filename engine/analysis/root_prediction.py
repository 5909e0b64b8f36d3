"""How well a base tells the root, and its intervals, from other known variables.

And what each tie is worth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.compilation.compiler import compile_network
from engine.inference.known_values import marginals_given
from engine.inference.posterior import Inference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.backend.types import Floats
    from engine.model.gold import Gold
    from engine.model.knowledge import Knowledge


@dataclass(frozen=True)
class RootPrediction:
    """root: (N, K) P(root state | known variables) under the reference population. means.

    Interval -> (N,).
    """

    root: Floats
    means: Mapping[str, Floats]


def predict_root(inference: Inference, gold: Gold, given: Sequence[str]) -> RootPrediction:
    """Return what a base tells from the known values of the variables `given`."""
    base = inference.knowledge
    marginals = marginals_given(inference, gold, given)
    means = {}
    for name in base.intervals:
        edges = np.array(base.variables[name].edges)
        means[name] = np.asarray(marginals[name] @ ((edges[:-1] + edges[1:]) / 2))
    return RootPrediction(marginals[base.root], means)


def with_prior(p: Floats, old: Floats, new: Floats) -> Floats:
    """Return posteriors (N, K) under another prior; old, new: (K,), and (K,) or (N, K)."""
    weighted = p * (new / old)
    return np.asarray(weighted / weighted.sum(1, keepdims=True))


def bases_without_one(base: Knowledge) -> Iterator[tuple[str, Knowledge]]:
    """Yield the path of each rule and coupling, and the base without it."""
    for rule in base.rules:
        yield f"rules.{rule.name}", replace(base, rules=tuple(r for r in base.rules if r is not rule))
    for coupling in base.couplings:
        others = tuple(c for c in base.couplings if c is not coupling)
        yield f"couplings.{coupling.name}", replace(base, couplings=others)


def predictions_without_one(
    inference: Inference, gold: Gold, given: Sequence[str]
) -> Iterator[tuple[str, RootPrediction]]:
    """Yield the path of each rule and coupling, and what the base tells without it.

    Each base is compiled anew; the fit begins at the whole base's network.
    """
    for path, base in bases_without_one(inference.knowledge):
        network = compile_network(base, inference.network)
        yield path, predict_root(Inference(network, base, inference.population), gold, given)
