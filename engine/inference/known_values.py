"""What follows from variables that are known, as facts rather than answers: P(x | known values)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.model.gold import states_of
from engine.observation.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.backend.types import Floats, Ints
    from engine.inference.posterior import Inference
    from engine.model.gold import Gold

# A probability whose logarithm is taken is at least this; so low a one is a contradiction.
LEAST_P = 1e-6


def allowed_evidence(inference: Inference, allowed: Mapping[str, Floats]) -> Evidence:
    """Return evidence that each variable is in one of some states; variable -> (N, states), 0 or above."""
    items = len(next(iter(allowed.values()))) if allowed else 1
    rows = np.arange(items)
    with np.errstate(divide="ignore"):
        logs = {name: np.log(np.asarray(table, dtype=np.float64)).T for name, table in allowed.items()}
    below = np.full(items, bool(inference.steps))
    return Evidence(items, rows, np.zeros(items), logs, below, np.zeros((2, 0), dtype=np.int64))


def known_states(inference: Inference, gold: Gold, names: Iterable[str]) -> Ints:
    """Return the states of n variables of N items, (n, N); -1 where unknown or no column."""
    variables = inference.knowledge.variables
    count = len(next(iter(gold.values.values()), ()))
    columns = [
        states_of(variables[name], gold.values[name]) if name in gold.values else np.full(count, -1)
        for name in names
    ]
    return np.array(columns, dtype=np.int64).reshape(-1, count)


def marginals_given(inference: Inference, gold: Gold, names: Iterable[str]) -> dict[str, Floats]:
    """Return the marginals of all variables given the known values of those named, each (N, states).

    An unknown value tells nothing. Items that are alike are inferred once.
    """
    names = [name for name in names if name in gold.values]
    states = known_states(inference, gold, names)
    patterns, index = np.unique(states.T, axis=0, return_inverse=True)
    allowed = {}
    for name, column in zip(names, patterns.T, strict=True):
        size = len(inference.knowledge.variables[name].states)
        allowed[name] = np.where(column[:, None] < 0, True, np.arange(size) == column[:, None])
    if not names:
        # Nothing is known of any item.
        root = inference.knowledge.root
        allowed[root] = np.ones((1, len(inference.knowledge.variables[root].states)))
        index = np.zeros(states.shape[1], dtype=np.int64)
    given = inference.marginals(allowed_evidence(inference, allowed))
    return {name: p[index.reshape(-1)] for name, p in given.items()}


def root_bits(inference: Inference, values: Gold, given: Sequence[str]) -> Floats:
    """Return log2 P(root value | values of `given`) / P(root value), (N,), in bits.

    How well the base tells an item's root from the other values that it has. NaN where the root is unknown or
    is none of its states, or where all others are unknown.
    """
    base = inference.knowledge
    prior = np.array(base.populations[inference.population].p)
    root = values.values[base.root]
    states = np.where((root >= 0) & (root < len(prior)), root, np.nan)
    others = np.array([values.values[name] for name in given]).reshape(-1, len(root))
    known = ~np.isnan(states) & (~np.isnan(others)).any(0)
    bits = np.full(len(root), np.nan)
    if known.any():
        p = marginals_given(inference, values.only(known), given)[base.root]
        state = states[known].astype(np.int64)
        bits[known] = np.log2(np.clip(p[np.arange(len(p)), state], LEAST_P, None) / prior[state])
    return bits
