"""Answers whose prompt stated the observer's own earlier answer: with some probability they merely repeat it.

An answer y to a question that stated e is e again with the echo r, whatever the item looks like, and else
what the reading brings out: P(y | type m) = r [y = e] + (1 - r) P(y | m). Of a reading with n labels, k of
them e, any j of these k may have been looked for,

    P(labels | m) = Σ_j (k over j) r^(k - j) (1 - r)^(n - k + j) P(counts with j times e | m),

with P(counts | m) of `kernels`. So a change of mind counts as any answer does, and staying with what was said
for hardly anything. With r = 1 labels that repeat e say nothing; with r = 0 the formula is that of `kernels`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import asarray_like, namespace, taken_sums
from engine.observation.kernels import LEAST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.backend.types import Array, Floats, Ints
    from engine.observation.kernels import LabelKernel, NumberKernel

# Two numbers are the same answer where they differ by less than this share of the observer's grid.
SAME = 1e-6


@dataclass(frozen=True)
class Echo:
    """How often an observer's answers merely repeat what their prompts stated.

    probability: (questions,). answer_of: variable with labels -> (states,), which answer each state is, -1
    where it is none.
    """

    probability: Floats
    answer_of: Mapping[str, Ints]


def echoed_labels(kernel: LabelKernel, counts: Floats, stated: Ints, echo: Floats) -> Array:
    """Return log P(labels | type) of readings, (R, M).

    counts: (R, answers) of each answer. stated: (R,) the answer that the prompt stated. echo: (R,) r.
    """
    expanded: list[Floats] = []
    weights: list[float] = []
    starts: list[int] = []
    for row, answer, r in zip(counts, stated.tolist(), echo.tolist(), strict=True):
        starts.append(len(expanded))
        repeats, others = int(row[answer]), float(row.sum() - row[answer])
        for looked in range(repeats + 1):
            looked_counts = row.copy()
            looked_counts[answer] = looked
            expanded.append(looked_counts)
            ways = math.comb(repeats, looked)
            weights.append(ways * r ** (repeats - looked) * (1 - r) ** (others + looked))
    logs = kernel.log_likelihood(np.array(expanded, dtype=np.float64).reshape(-1, counts.shape[1]))
    xp = namespace(logs)
    terms = xp.exp(logs) * asarray_like(np.array(weights)[:, None], logs)
    total = taken_sums(terms, np.arange(len(expanded)), np.array(starts, dtype=np.int64))
    return xp.log(xp.clip(total, LEAST, None))


def echoed_numbers(kernel: NumberKernel, values: Floats, stated: Floats, echo: Floats) -> Array:
    """Return log P(number | node) of single answers, (S, M); values (S,), and what prompts stated (S,)."""
    same = np.abs(values - stated) < SAME * kernel.instrument.grid
    logs = kernel.log_likelihood(values)
    xp = namespace(logs)
    repeated, looked = (asarray_like(share[:, None], logs) for share in (echo * same, 1 - echo))
    return xp.log(xp.clip(repeated + looked * xp.exp(logs), LEAST, None))
