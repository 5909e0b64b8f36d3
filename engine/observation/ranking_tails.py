"""The places of rankings after the first, as evidence about the root."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import asarray_like, namespace, sums_at
from engine.observation.kernels import LEAST, LabelKernel

if TYPE_CHECKING:
    from engine.backend.types import Array, Ints
    from engine.model.responses import Answers
    from engine.observation.observer_kernels import ObserverKernels


def add_tails(model: ObserverKernels, answers: Answers, about_root: Array, row_item: Ints) -> None:
    """Add places 2 and 3 of rankings; all rankings of one observer about an item count as one.

    Rankings of several observers count less as far as they follow the same look: n of them for
    n / (1 + (n - 1) λ).
    An observer weighs w, the range of its log-likelihood over the states: n = (Σ w)² / Σ w², and λ is the
    mean so weighted. An observer that tells no states apart takes nothing from the others.
    """
    rankings = answers.rankings.get(model.network.root)
    if rankings is None:
        return
    items, states = len(answers.items), len(model.network.root_states)
    total = model.zeros(items, states)
    xp = namespace(total)
    weight, square, following = model.zeros(items), model.zeros(items), model.zeros(items)
    for observer in sorted(model.seen_state):
        kernel = model.kernels.get((observer, model.network.root))
        used = (answers.reading_observer[rankings.reading] == observer) & (rankings.places[:, 1] >= 0)
        if not used.any() or not isinstance(kernel, LabelKernel) or kernel.tails is None:
            continue
        item = answers.reading_item[rankings.reading[used]]
        first, second, third = rankings.places[used].T
        tails = kernel.tails[first, second, third]
        cell = item[:, None] * states + np.arange(states)
        tail_sums = sums_at(tails.reshape(-1), cell.reshape(-1), items * states).reshape(items, states)
        count = np.bincount(item, minlength=items)
        tail = model.exponent[observer] * tail_sums / asarray_like(np.maximum(count, 1.0)[:, None], tails)
        total = total + tail
        if model.dependent:
            spread = xp.amax(tail, 1) - xp.amin(tail, 1)
            weight, square = weight + spread, square + spread**2
            following = following + spread * model.observers[observer].follows
    if model.dependent:
        rankers = weight**2 / xp.clip(square, LEAST, None)
        shared = following / xp.clip(weight, LEAST, None)
        total = total / (1 + xp.clip(rankers - 1, 0, None) * shared)[:, None]
    about_root += total.T[:, row_item]
