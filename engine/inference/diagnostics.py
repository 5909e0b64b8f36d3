"""Diagnostics of posteriors, in bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.inference.conflict import conflict_of

if TYPE_CHECKING:
    from engine.backend.types import Floats, Ints
    from engine.inference.contradiction import CheckEffect, Contradiction
    from engine.inference.posterior import Inference, Posterior
    from engine.model.responses import Answers


@dataclass(frozen=True)
class Diagnostics:
    """Diagnostics of N items, each (N,).

    entropy_bits: Σ over the required levels' variables of their entropy (intervals: of the bins).
    epistemic_bits: Σ over the same variables of the mutual information between the variable and
    one further ideal reading by the policy's observer: a fresh one of which the type r is known
    exactly (as if drawn without end), I(x; r) = H(r) - Σ_x p(x) H(r | x).
    conflict_bits: log2 Π_k P(e_k) / P(e) over the item's readings k (Jensen's measure of conflict):
    above 0 where the readings are less probable together than apart.
    conflict: probability of a reading that contradicts all others so much, see `conflict`; 1 where there are
    fewer than two readings. at_odds: N observers, whose reading that is; "" where there is none. reading:
    (N,) the index of that reading, -1 where there is none. contradictions, checks: of each item, where they
    were looked for (`decision.contradictions`); else ().
    """

    entropy_bits: Floats
    epistemic_bits: Floats
    conflict_bits: Floats
    conflict: Floats
    at_odds: tuple[str, ...]
    reading: Ints
    contradictions: tuple[tuple[Contradiction, ...], ...] = ()
    checks: tuple[tuple[CheckEffect, ...], ...] = ()


def diagnose(inference: Inference, answers: Answers, posterior: Posterior) -> Diagnostics:
    """Return the diagnostics of all items."""
    base = inference.knowledge
    required = [name for level in base.policy.required for name in base.levels[level]]
    entropies = np.zeros(len(answers.items))
    epistemic = np.zeros(len(answers.items))
    names = [observer.name for observer in inference.observations.observers]
    ask = names.index(base.policy.ask) if base.policy.ask else -1
    for name in required:
        p = posterior.marginals[name]
        entropies += entropy(p)
        kernel = inference.observations.kernels.get((ask, name))
        if kernel is not None:
            mix = np.asarray(kernel.mix)
            epistemic += np.maximum(entropy(p @ mix) - p @ entropy(mix), 0)
    conflict = conflict_of(inference, answers, posterior.log_evidence)
    at_odds = tuple(names[answers.reading_observer[r]] if r >= 0 else "" for r in conflict.reading.tolist())
    return Diagnostics(entropies, epistemic, conflict.bits, conflict.probability, at_odds, conflict.reading)


def entropy(p: Floats) -> Floats:
    """Return the entropy in bits, (...), of distributions p (..., states)."""
    safe = np.where(p > 0, p, 1.0)
    return np.asarray(-np.sum(p * np.log2(safe), axis=-1))
