"""What several observers that tell numbers share: part of the normal error of what they settle on.

As `dependence` has it for labels: given the truth x, an observer o settles on

    r_o = x + σ_o (λ_o ε + √(1 - λ_o²) η_o),

where ε, the look, is standard normal and the same for all observers of an item, η_o its own, σ_o its
`perception` and λ_o = follows / carry, at most MOST_FOLLOWS. So the errors of two observers correlate
by λ_o λ_o', as often as both would follow the look, and one alone has the error that is declared. Those of
one family share part of η, too: η_o = φ_o ε_F + √(1 - φ_o²) ζ_o, with φ_o = family follows / carry, at most
MOST_FOLLOWS. The share `stray` of what is settled on is anything, and follows nothing.

ε and ε_F are known to a cell of width STEP, over which they are averaged by the trapezoid rule (exact for
normal densities of sd s but for terms of exp(-2 π² s² / h²), h a FINER-th of a cell): an observer alone
has its own table, whatever λ, and what is shared falls short of ε by the variance STEP² / 12 within a cell.
Within its bin the truth lies anywhere, for each observer anew. λ = 0 is independence given x.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from engine.observation.dependence import MOST_FOLLOWS, FamilyLook, SharedLook
from engine.observation.kernels import LEAST, normal_readings, quadrature, uniform_readings, with_strays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.backend.types import Floats
    from engine.model.knowledge import NumberInstrument
    from engine.model.variable import Variable

# Width of a cell of a shared error, in its standard deviations: what it blurs is 1 % of the variance.
STEP = 0.35
# Points of a cell: three are exact to 1e-12 for an observer that follows in MOST_FOLLOWS.
FINER = 3
# Cells on either side of the middle one; the last holds all beyond (2 in 1,000).
REACH = 9
# The points, out to 6.5 standard deviations (8e-11 lie beyond), their weights and their cells.
POINTS = np.arange(-56, 57) * STEP / FINER
DENSITY = np.exp(-(POINTS**2) / 2) / np.exp(-(POINTS**2) / 2).sum()
CELLS = np.clip(np.round(POINTS / STEP).astype(int), -REACH, REACH) + REACH
WEIGHTS: Floats = np.bincount(CELLS, DENSITY).astype(np.float64)
# P(point | cell), (cells, points).
WITHIN = (np.arange(2 * REACH + 1)[:, None] == CELLS) * DENSITY / WEIGHTS[:, None]
# Tables that are kept: draws of a fit change few observers. One takes some 200 kB, in a family 19 times that.
MOST_KEPT = 64


@dataclass(frozen=True)
class NumberTeller:
    """An observer that tells a number.

    cuts: (M + 1,) between the cells of what it settles on. sd: of its error; stray: the share that is
    anything. follows: λ. family: its name, empty where it has none; family_follows: φ.
    """

    cuts: tuple[float, ...]
    sd: float
    stray: float
    follows: float
    family: str = ""
    family_follows: float = 0.0


def number_look(edges: tuple[float, ...], tellers: Sequence[NumberTeller]) -> SharedLook | None:
    """Return what the observers of an interval variable share; None where they share nothing.

    edges: (K + 1,) of its bins.
    """
    families: dict[str, list[int]] = {}
    for place, teller in enumerate(tellers):
        if teller.family and teller.family_follows:
            families.setdefault(teller.family, []).append(place)
    groups = [members for members in families.values() if len(members) > 1]
    if sum(teller.follows > 0 for teller in tellers) < 2 and not groups:
        return None
    given = tuple(_given_look(edges, teller) for teller in tellers)
    states = len(edges) - 1
    looks = np.tile(WEIGHTS, (states, 1))
    settled = np.tile(WEIGHTS, (states, len(WEIGHTS), 1))
    parts = (
        FamilyLook(tuple(members), settled, tuple(_given_family(edges, tellers[o]) for o in members))
        for members in groups
    )
    return SharedLook(looks, given, tuple(parts))


def settled_moments(
    instrument: NumberInstrument, variable: Variable, settled: Floats
) -> tuple[Floats, Floats]:
    """Return mean and variance of what an observer settles on, (..., K) each.

    settled: (..., K, M) P(cell of its quadrature | bin). What strays follows nothing and is left out.
    """
    cuts = quadrature(instrument, variable)
    nodes = (cuts[:-1] + cuts[1:]) / 2
    seen = np.maximum(settled - instrument.stray * uniform_readings(np.array(variable.edges), cuts), 0.0)
    seen /= np.maximum(seen.sum(-1, keepdims=True), LEAST)
    mean = seen @ nodes
    return mean, np.maximum(seen @ nodes**2 - mean**2, LEAST)


@lru_cache(MOST_KEPT)
def _given_look(edges: tuple[float, ...], teller: NumberTeller) -> Floats:
    """Return P(it settles in cell m | bin, look), (K, J, M)."""
    share = min(teller.follows, MOST_FOLLOWS)
    unshared = teller.sd * np.sqrt(1 - share**2)
    return _averaged(edges, teller, teller.sd * share * POINTS, unshared)


@lru_cache(MOST_KEPT // 8)
def _given_family(edges: tuple[float, ...], teller: NumberTeller) -> Floats:
    """Return P(it settles in cell m | bin, look, its family's error), (K, J, F, M)."""
    share, family_share = min(teller.follows, MOST_FOLLOWS), min(teller.family_follows, MOST_FOLLOWS)
    unshared = teller.sd * np.sqrt(1 - share**2)
    alone = unshared * np.sqrt(1 - family_share**2)
    looks = np.stack(
        [
            _averaged(edges, teller, teller.sd * share * point + unshared * family_share * POINTS, alone)
            for point in POINTS
        ]
    )
    return np.asarray(np.einsum("jp,pxfm->xjfm", WITHIN, looks))


def _averaged(edges: tuple[float, ...], teller: NumberTeller, errors: Floats, sd: float) -> Floats:
    """Return P(it settles in cell m | bin, cell of a shared error), (K, J, M).

    errors: what the shared error adds at each of POINTS; sd: of the error that it has alone.
    """
    # A reading that is shifted up is as one whose cuts are shifted down.
    ends, cuts = np.array(edges), np.array(teller.cuts)
    given = np.stack([normal_readings(ends, cuts - error, sd) for error in errors])
    return np.asarray(with_strays(np.einsum("jp,pxm->xjm", WITHIN, given), ends, cuts, teller.stray))
