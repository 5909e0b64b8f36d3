"""What each known value weighs for the root, and what the root would be without it or with another value.

For variables that are known as facts (x_1 ... x_n) the weight of x_j for a root state e is its weight of
evidence beside all others (Good 1979, doi:10.1093/biomet/66.2.393),

    bits = log2 odds(e | x_1 ... x_n) - log2 odds(e | all x but x_j),

and its counterfactual is P(root | x_j has another value, the others as known). Each is exact inference by all
tables, couplings and rules of the network; all rows of all items are inferred in one call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.inference.known_values import allowed_evidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.backend.types import Floats, Ints
    from engine.inference.posterior import Inference


@dataclass(frozen=True)
class KnownWeights:
    """The root, and the intervals, given the known values of n variables of N items.

    p: (N, K) P(root | all known values). without, otherwise: (N, n, K) the same where variable j is not
    known, and where it has another value than it has; both equal p where it is unknown. means: interval ->
    (N,) expected value given all; means_without: interval -> (N, n) where variable j is not known.
    """

    p: Floats
    without: Floats
    otherwise: Floats
    means: Mapping[str, Floats]
    means_without: Mapping[str, Floats]


def weigh_known_values(
    inference: Inference, names: Sequence[str], states: Ints, *, each: bool = True
) -> KnownWeights:
    """Return what each known value weighs.

    Args:
        inference: of the network and the population that are meant.
        names: n variables with states, at least one.
        states: (N, n) their values, -1 where unknown.
        each: whether each value is weighed; else only all together, and `without` and `otherwise` equal p.

    Items that are alike are inferred once.
    """
    base = inference.knowledge
    patterns, index = np.unique(states, axis=0, return_inverse=True)
    index = index.reshape(-1)
    item, variable = np.nonzero((patterns >= 0) & each)
    rows = np.concatenate([np.arange(len(patterns)), item, item])
    left_out, changed = len(patterns) + np.arange(len(item)), len(patterns) + len(item) + np.arange(len(item))
    allowed = {}
    for j, name in enumerate(names):
        state = patterns[rows, j][:, None]
        table = (state < 0) | (np.arange(len(base.variables[name].states)) == state)
        table[left_out[variable == j]] = True
        table[changed[variable == j]] ^= True
        allowed[name] = table
    given = inference.marginals(allowed_evidence(inference, allowed))

    def spread(values: Floats, places: Ints) -> Floats:
        """Return values (N, n, ...) of the rows at places; those of all known where a value is unknown."""
        shape = (len(patterns), len(names), *values.shape[1:])
        whole = np.broadcast_to(values[: len(patterns), None], shape).copy()
        whole[item, variable] = values[places]
        return np.asarray(whole[index])

    root = given[base.root]
    means = {}
    for name in base.intervals:
        edges = np.array(base.variables[name].edges)
        means[name] = np.asarray(given[name] @ ((edges[:-1] + edges[1:]) / 2))
    return KnownWeights(
        root[: len(patterns)][index],
        spread(root, left_out),
        spread(root, changed),
        {name: values[: len(patterns)][index] for name, values in means.items()},
        {name: spread(values, left_out) for name, values in means.items()},
    )
