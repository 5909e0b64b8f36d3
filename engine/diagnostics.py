"""Diagnostics of posteriors, in bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.answers import Answers
    from engine.posterior import Inference, Posterior

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Diagnostics:
    """Diagnostics of N items, each (N,).

    entropy_bits: Σ over the required levels' variables of their entropy (intervals: of the bins).
    epistemic_bits: Σ over the same variables of the mutual information between the variable and
    one further ideal reading by the policy's observer: a fresh one of which the type r is known
    exactly (as if drawn without end), I(x; r) = H(r) - Σ_x p(x) H(r | x).
    conflict_bits: log2 Π_k P(e_k) / P(e) over the item's readings k (Jensen's measure of conflict):
    above 0 where the readings are less probable together than apart.
    """

    entropy_bits: Floats
    epistemic_bits: Floats
    conflict_bits: Floats


def diagnose(inference: Inference, answers: Answers, posterior: Posterior) -> Diagnostics:
    """Return the diagnostics of all items."""
    base = inference.network.knowledge
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
            mix = kernel.mix
            epistemic += np.maximum(entropy(p @ mix) - p @ entropy(mix), 0)
    return Diagnostics(entropies, epistemic, _conflict(inference, answers, posterior))


def entropy(p: Floats) -> Floats:
    """Return the entropy in bits of distributions p (..., states)."""
    safe = np.where(p > 0, p, 1.0)
    return np.asarray(-np.sum(p * np.log2(safe), axis=-1))


def _conflict(inference: Inference, answers: Answers, posterior: Posterior) -> Floats:
    readings = np.bincount(answers.reading_item, minlength=len(answers.items))
    several = readings[answers.reading_item] > 1
    conflict: Floats = np.zeros(len(answers.items))
    if several.any():
        alone = inference.log_evidence(answers.each_reading(several))
        item = answers.reading_item[several]
        together = np.where(readings > 1, posterior.log_evidence, 0)
        apart = np.bincount(item, weights=alone, minlength=len(conflict))
        conflict = np.asarray(apart - together, dtype=np.float64)
    return np.asarray(conflict / np.log(2))
