"""Observers of one family: prompts, sizes or trainings of one model, which share more than strangers do.

What a family F of observers makes of an item, an answer f, lies between the look j that all observers share
(`dependence`) and what each of its members settles on. Given the truth x and the look, its members say with
the probability

    Σ_f V_F[x, j, f] Π_{o in F} Σ_y W_o[x, j, f, y] Q_o[x, y]

what they say, in place of Π_{o in F} Σ_y V_o[x, j, y] Q_o[x, y]. V_F is the mean of the members' V_o, each
weighed by how far it tells states apart: d, the mean distance (total variation) of the rows of its table from
their mean. A member settles on the family's answer in the share φ_o, and for itself otherwise: P(f, y) is φ_o
times the maximal coupling of V_F and V_o, in which f and y are the same as often as these two distributions
allow, and 1 - φ_o times their product,

    P(f, y) = φ_o (1{f = y} min(V_F, V_o) + excess_F(f) excess_o(y) / Σ excess_o) + (1 - φ_o) V_F(f) V_o(y),

where excess is what a distribution has beyond the minimum of both (Lindvall 1992, Lectures on the Coupling
Method). W_o is P(y | f). Both margins hold, so a member that answers alone has exactly its own table, and is
as if it had no family. φ_o is the family's `follows` / `carry`, at most 1 (a reading brings out what is
settled on in the share `carry`), times the member's d over the largest d of a member: an observer whose rows
are all equal has d = 0, follows nobody, and changes no posterior. φ = 0 is no family. With φ = 1 and the same
table members settle on the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.observation.dependence import FamilyLook, SharedLook

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.backend.types import Floats
    from engine.model.knowledge import Observer


# Below this a probability is none: nothing is divided by it.
LEAST = 1e-300
# By how much a sum of probabilities differs from one where a summand is lost by rounding.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Member:
    """One observer of a family, about one variable.

    place: among the observers of the variable. answers: their names, Y. table: T, (K, Y). follows: φ, before
    d is taken into account.
    """

    place: int
    answers: tuple[str, ...]
    table: Floats
    follows: float

    @property
    def discrimination(self) -> float:
        """Return d, from 0 to 1: 0 where all rows of the table are equal."""
        return float(np.abs(self.table - self.table.mean(0)).sum(1).mean() / 2)


def family_follows(observer: Observer) -> float:
    """Return how often an observer settles on what its family did, so that readings follow as declared."""
    return min(observer.family_follows / max(observer.carry, LEAST), 1.0)


def families_of(observers: Sequence[Observer], members: Sequence[Member]) -> list[list[Member]]:
    """Return the members of each family that has several; members: one for each of these observers."""
    families: dict[str, list[Member]] = {}
    for observer, member in zip(observers, members, strict=True):
        if observer.family and observer.family_follows:
            families.setdefault(observer.family, []).append(member)
    return [family for family in families.values() if len(family) > 1]


def with_families(look: SharedLook, families: Iterable[Sequence[Member]]) -> SharedLook:
    """Return the look with the families' part added."""
    return replace(look, families=tuple(family_look(look, members) for members in families))


def family_look(look: SharedLook, members: Sequence[Member]) -> FamilyLook:
    """Return what a family of these members settles on about one variable, and how they follow it."""
    names = list(dict.fromkeys(name for member in members for name in member.answers))
    telling = np.array([member.discrimination for member in members])
    most = telling.max()
    weights = telling / telling.sum() if most > 0 else np.full(len(members), 1 / len(members))
    member_columns = [[names.index(name) for name in member.answers] for member in members]
    spread = []
    for member, columns in zip(members, member_columns, strict=True):
        given = np.zeros((*look.look_given_state.shape, len(names)))
        given[..., columns] = look.answer_given[member.place]
        spread.append(given)
    settled = np.sum([weight * given for weight, given in zip(weights, spread, strict=True)], axis=0)
    shares = [m.follows * (d / most if most > 0 else 0.0) for m, d in zip(members, telling, strict=True)]
    answers = (
        _given_family(settled, given, share)[..., columns]
        for given, share, columns in zip(spread, shares, member_columns, strict=True)
    )
    return FamilyLook(tuple(member.place for member in members), settled, tuple(answers))


def _given_family(settled: Floats, given: Floats, share: float) -> Floats:
    """Return P(member settles on y | truth, look, family settled on f), (K, J, F, F), over the same names."""
    both = np.minimum(settled, given)
    excess, further = settled - both, given - both
    # Where the two distributions are equal nothing is in excess.
    apart = excess[..., :, None] * further[..., None, :] / np.maximum(further.sum(2), LEAST)[..., None, None]
    coupled = both[..., :, None] * np.eye(both.shape[2]) + apart
    coupled = coupled / np.maximum(settled, LEAST)[..., :, None]
    # What a family never settles on, or only by rounding, has no say: its members answer as by themselves.
    never = (coupled.sum(3) < 1 - ROUNDING)[..., :, None]
    alone = np.broadcast_to(given[..., None, :], coupled.shape)
    return np.asarray(np.where(never, alone, share * coupled + (1 - share) * alone))
