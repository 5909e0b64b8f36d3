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

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, overload

import numpy as np

from engine.backend.arrays import ndtr
from engine.observation.dependence import MOST_FOLLOWS, FamilyLook, SharedLook
from engine.observation.kernels import LEAST, normal_readings, uniform_readings, with_strays

if TYPE_CHECKING:
    from engine.backend.types import Floats
    from engine.model.variable import Variable
    from engine.observation.kernels import NumberKernel

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
# Points of a family's tables: so many to a standard deviation of what a member has alone, and in all at most.
FINE, MOST_FINE = 32, 8_192
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


class GivenLooks(Sequence["Floats"]):
    """P(the observer at a place settles in cell m | bin, look), (K, J, M) each, derived when first asked for.

    A base declares many observers, of which a study asks few.
    """

    def __init__(self, edges: tuple[float, ...], tellers: Sequence[NumberTeller]) -> None:
        """Remember the (K + 1,) edges of the bins and the observers."""
        self._edges, self._tellers = edges, tuple(tellers)
        self._derived: dict[int, Floats] = {}

    def __len__(self) -> int:
        """Return the number of observers."""
        return len(self._tellers)

    @overload
    def __getitem__(self, place: int) -> Floats: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Floats, ...]: ...
    def __getitem__(self, place: int | slice) -> Floats | tuple[Floats, ...]:
        """Return the table of the observer at a place, or those of several."""
        if isinstance(place, slice):
            return tuple(self[number] for number in range(len(self))[place])
        if place not in self._derived:
            self._derived[place] = _given_look(self._edges, self._tellers[place])
        return self._derived[place]


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
    states = len(edges) - 1
    looks = np.tile(WEIGHTS, (states, 1))
    settled = np.tile(WEIGHTS, (states, len(WEIGHTS), 1))
    parts = (
        FamilyLook(tuple(members), settled, tuple(_given_family(edges, tellers[o]) for o in members))
        for members in groups
    )
    return SharedLook(looks, GivenLooks(edges, tellers), tuple(parts))


def settled_moments(kernel: NumberKernel, variable: Variable, settled: Floats) -> tuple[Floats, Floats]:
    """Return mean and variance of what an observer settles on, (..., K) each.

    settled: (..., K, M) P(cell of its kernel | bin). What strays follows nothing and is left out.
    """
    anything = kernel.instrument.stray * uniform_readings(np.array(variable.edges), kernel.cuts)
    seen = np.maximum(settled - anything, 0.0)
    seen /= np.maximum(seen.sum(-1, keepdims=True), LEAST)
    mean = seen @ kernel.nodes
    return mean, np.maximum(seen @ kernel.nodes**2 - mean**2, LEAST)


@lru_cache(MOST_KEPT)
def _given_look(edges: tuple[float, ...], teller: NumberTeller) -> Floats:
    """Return P(it settles in cell m | bin, look), (K, J, M)."""
    share = min(teller.follows, MOST_FOLLOWS)
    unshared = teller.sd * np.sqrt(1 - share**2)
    return _averaged(edges, teller, teller.sd * share * POINTS, unshared)


@lru_cache(MOST_KEPT // 8)
def _given_family(edges: tuple[float, ...], teller: NumberTeller) -> Floats:
    """Return P(it settles in cell m | bin, look, its family's error), (K, J, F, M).

    As `normal_readings` it comes of I(t) = s G(t / s), s the error that is the observer's alone, at every cut
    less every edge, averaged over both shared errors: over the family's on a grid of t, then, by linear
    interpolation, over the look's. Against a direct average no probability was off by 1e-4.
    """
    share, family_share = min(teller.follows, MOST_FOLLOWS), min(teller.family_follows, MOST_FOLLOWS)
    unshared = teller.sd * np.sqrt(1 - share**2)
    alone = unshared * np.sqrt(1 - family_share**2)
    ends, cuts = np.array(edges), np.array(teller.cuts)
    t = cuts[None, 1:-1] - ends[:, None]
    shifts = teller.sd * share * POINTS
    low, high = t.min() - shifts.max(), t.max() - shifts.min()
    step = max(alone / FINE, (high - low) / MOST_FINE)
    grid = low + step * np.arange(int((high - low) / step) + 2)
    z = (grid[:, None] - unshared * family_share * POINTS) / alone
    integral = alone * (z * ndtr(z) + np.exp(-z * z / 2) / np.sqrt(2 * np.pi)) @ WITHIN.T
    place, part = np.divmod((t.reshape(-1) - shifts[:, None] - low) / step, 1.0)
    index = place.astype(np.int64)
    at = integral[index]
    at += (integral[index + 1] - at) * part[..., None]
    # (J, K + 1, M - 1, F)
    at = (WITHIN @ at.reshape(len(POINTS), -1)).reshape(len(WITHIN), *t.shape, -1)
    below = np.clip((at[:, :-1] - at[:, 1:]) / np.diff(ends)[:, None, None], 0, 1).transpose(1, 0, 3, 2)
    settled = np.clip(np.diff(below, axis=-1, prepend=0.0, append=1.0), 0, None)
    settled = with_strays(settled, ends, cuts, teller.stray)
    # Whatever was interpolated, a member alone has its own table.
    mean = np.einsum("f,xjfm->xjm", WEIGHTS, settled)
    exact = _given_look(edges, teller) / np.maximum(mean, LEAST)
    return np.asarray(settled * exact[:, :, None])


def _averaged(edges: tuple[float, ...], teller: NumberTeller, errors: Floats, sd: float) -> Floats:
    """Return P(it settles in cell m | bin, cell of a shared error), (K, J, M).

    errors: what the shared error adds at each of POINTS; sd: of the error that it has alone.
    """
    # A reading that is shifted up is as one whose cuts are shifted down.
    ends, cuts = np.array(edges), np.array(teller.cuts)
    given = normal_readings(ends, cuts - errors[:, None], sd)
    return np.asarray(with_strays(np.einsum("jp,pxm->xjm", WITHIN, given), ends, cuts, teller.stray))
