"""Confusion tables of observers and what they imply for repeated draws, for the reader and the kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import asarray_like, namespace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.backend.types import Array, Floats
    from engine.model.variable import Variable


# Smallest argument of a logarithm or square root.
LEAST = 1e-300
# No two answers are never confused: what a settled table leaves out may still slip into a draw.
LEAST_CONFUSION = 1e-6


def confused_scatter(settled: Array, matches: Floats, repeat: Array | float) -> Array:
    """Return R (Y, Y), P(draw | settled answer), with errors in proportion to the confusions.

    settled: C (K, Y). matches: (K, Y) 1 where an answer is the truth's own. repeat: ρ.
    """
    named, size = matches.sum(0), matches.shape[1]
    # Each answer's row of confusions: that of the state which it names.
    rows = asarray_like(matches.T / np.maximum(named, 1)[:, None], settled) @ settled
    rows = rows + asarray_like((named == 0)[:, None] * 1.0, settled) * settled.mean(0)
    off_diagonal = namespace(settled).clip(rows, LEAST_CONFUSION, None) * asarray_like(
        1 - np.eye(size), settled
    )
    off_diagonal = off_diagonal / off_diagonal.sum(1)[:, None]
    return repeat * asarray_like(np.eye(size), settled) + (1 - repeat) * off_diagonal


def room_for(
    table: Array, matches: Floats, least: Array, off: Array | float, misread_off: Array | float
) -> Array:
    """Return the factor by which 1 - ρ and 1 - ρ' may be multiplied at most, (K,); below 1 is not feasible.

    off, misread_off: 1 - ρ and 1 - ρ', above 0. Where the habit's share in the answers to x takes all of the
    room m = Σ least, what is seen rightly is a / ρ and the rest b / ρ', a = T[x, o] - least[o],
    b = 1 - m - a; that these add up to 1 is a quadratic equation in the factor.
    """
    xp, named, m = namespace(table), asarray_like(matches.sum(1), table), least.sum()
    a = (asarray_like(matches, table) * (table - least)).sum(1) + (1 - named) * (1 - m)
    line = off * (m + a) + misread_off * (1 - a)
    return 2 * m / (line + xp.sqrt(xp.clip(line**2 - 4 * off * misread_off * m, LEAST, None)))


def own_answers(answers: Sequence[str], variable: Variable) -> Floats:
    """Return 1 where an answer is the name of the state, else 0, (K, Y)."""
    return np.array([[float(answer == state) for answer in answers] for state in variable.states])
