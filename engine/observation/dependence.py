"""Observers err together: what an item looks like, the same for all who look at it.

An item of true state x has a look j = (clarity, state), drawn from S[x, j]. Given x, observers are dependent
through that look: an observer settles on the answer y with probability V[x, j, y], so that of all observers o
with likelihoods Q_o[x, y] = P(answers of o | truth x, settled on y)

    P(all answers | x) = Σ_j S[x, j] Π_o Σ_y V_o[x, j, y] Q_o[x, y].

What is declared, or fitted, of an observer is the table T[x, y] of what it settles on, asked alone, and how
often one reading of it follows the look. A reading brings out what the observer has settled on in the share
`carry`, and else sees the item anew; so what is settled on follows the look in the share λ = follows / carry,
at most MOST_FOLLOWS. The rest is derived from these, the same whenever the base is read:

1. S and, for each observer, G[j, y] = P(settles on y | it follows the look j) begin at declared shapes: a
   clear item looks like what it is in `right` of cases beyond chance, an observer that follows answers what
   it sees in `seen` beyond chance, as far as its table has skill, else by its habit, the mean of T's rows.
2. Expectation maximisation brings λ S G + (1 - λ) T near the tables of all observers, each of which counts
   for `n` answers a state, against the shapes with their own weights (Dempster, Laird & Rubin 1977,
   doi:10.1111/j.2517-6161.1977.tb01600.x).
3. V[x, j, y], in proportion to λ G[j, y] + (1 - λ) T[x, y], is scaled in turn along y and along x, until
   Σ_j S[x, j] V[x, j, y] = T[x, y] (iterative proportional fitting; Deming & Stephan 1940,
   doi:10.1214/aoms/1177731829). An observer asked alone has exactly its own table, whatever λ.

Observers of one family share more than the look: `family` has the level between. λ = 0 is independence given
x: V = T. An observer whose rows of T are all equal has V[x, j, y] = T[x, y], too,
and so changes no posterior. The model is one joint distribution, in which no order of arrival counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from engine.backend.last_used import LastUsed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.backend.types import Floats, Ints
    from engine.model.knowledge import Clarity, Dependence, Observer

# Steps of both iterations: more of them changed no posterior that was tried by .001.
EM_STEPS = 30
SCALING_STEPS = 60
# The share of clear items stays within these bounds, so that both clarities can be met.
LEAST_CLEAR, MOST_CLEAR = 0.1, 0.9
# Nobody follows always: what is seen of an item by whoever answers about it is never nothing.
MOST_FOLLOWS = 0.99
# Beyond this the look would be the truth itself, and no two observers could ever err together.
MOST_RIGHT = 0.97
# Below this a probability is none: nothing is divided by it.
LEAST = 1e-300
# Looks that are kept; a base has one a variable, of some kilobytes.
MOST_KEPT = 256


class DeclaredShapes(NamedTuple):
    """The numbers of `Dependence` that looks are derived from."""

    clear: Clarity
    ambiguous: Clarity
    n: float
    look_n: float
    seen_n: float


@dataclass(frozen=True)
class FamilyLook:
    """What a family settles on about items, and how its members follow it.

    members: their places among the observers of the variable. settled_given: V_F, (K, J, F). answer_given: W
    of each, (K, J, F, Y), P(settles on y | truth x, look j, family settled on f).
    """

    members: tuple[int, ...]
    settled_given: Floats
    answer_given: tuple[Floats, ...]

    def of_member(self, place: int) -> Floats:
        """Return W of the member at this place, (K, J, F, Y)."""
        return self.answer_given[self.members.index(place)]


@dataclass(frozen=True)
class SharedLook:
    """The looks of items as the observers of one variable see them.

    look_given_state: S, (K, J), J = 2 K looks: the clear ones, then the ambiguous ones, by the state that
    they look like. answer_given: observer's place -> V, (K, J, Y), P(settles on y | truth x, look j).
    families: those of which several members are among the observers.
    """

    look_given_state: Floats
    answer_given: Sequence[Floats]
    families: tuple[FamilyLook, ...] = ()

    def family_of(self, place: int) -> int:
        """Return the number of the family of the observer at this place, -1 where it has none."""
        return next((i for i, family in enumerate(self.families) if place in family.members), -1)

    def of_types(self, shares: Sequence[Floats], answer_of: Sequence[Ints]) -> SharedLook:
        """Return these looks with reading types in the place of answers; several types may have one answer.

        shares: for each observer P(type | truth, its answer), (K, M). answer_of: (M,) each type's answer.
        """

        def of_type(place: int, given: Floats) -> Floats:
            share = shares[place].reshape(len(given), *[1] * (given.ndim - 2), -1)
            return np.asarray(given[..., answer_of[place]] * share)

        families = tuple(
            replace(family, answer_given=tuple(map(of_type, family.members, family.answer_given)))
            for family in self.families
        )
        return SharedLook(
            self.look_given_state,
            tuple(of_type(place, given) for place, given in enumerate(self.answer_given)),
            families,
        )

    def of_pair(self, first: int, second: int) -> tuple[Floats, Floats, Floats]:
        """Return P(l | truth), (K, L), and of two observers, by place, P(settles on y | truth, l).

        l is what they share: a look, or a look and what their family settled on.

        Returns:
            (K, L), (K, L, Y) and (K, L, Y').
        """
        number = self.family_of(first)
        if number < 0 or second not in self.families[number].members:
            return self.look_given_state, self.answer_given[first], self.answer_given[second]
        family = self.families[number]
        both = self.look_given_state[:, :, None] * family.settled_given
        flat = (both.shape[0], both.shape[1] * both.shape[2])
        given = (family.of_member(place) for place in (first, second))
        return both.reshape(flat), *(table.reshape(*flat, -1) for table in given)  # type: ignore[return-value]


@dataclass(frozen=True)
class LookInputs:
    """What the looks of one variable are derived from.

    tables: T of each observer, (K, Y), P(settles on y | truth); matches: (K, Y), 1 where an answer names the
    truth. follows: λ, (observers,). shapes: of each observer whether the looks are derived from its table,
    too; what the others settle on in a look follows from looks that know nothing of them.
    """

    tables: Sequence[Floats]
    matches: Sequence[Floats]
    follows: Floats
    shapes: Sequence[bool]

    @property
    def alike(self) -> tuple[object, ...]:
        """What is the same of inputs whose looks can be derived at once."""
        of_tables = tuple(table.shape for table in self.tables)
        return of_tables, tuple(match.tobytes() for match in self.matches), tuple(self.shapes)

    @property
    def content(self) -> tuple[object, ...]:
        """All of it, to be compared by."""
        return self.alike, tuple(table.tobytes() for table in self.tables), self.follows.tobytes()


# By the content of what they are derived from.
_KEPT: LastUsed[tuple[tuple[object, ...], DeclaredShapes], SharedLook] = LastUsed(MOST_KEPT)


def shared_look(
    tables: Sequence[Floats],
    matches: Sequence[Floats],
    follows: Floats,
    declared: Dependence,
    shapes: Sequence[bool] = (),
) -> SharedLook:
    """Return the looks that the observers of a variable share; the inputs are those of `LookInputs`.

    shapes: all by default.
    """
    shaping = tuple(shapes) or (True,) * len(tables)
    (look,) = kept_looks([LookInputs(tables, matches, follows, shaping)], declared)
    return look


def kept_looks(inputs: Sequence[LookInputs], declared: Dependence) -> list[SharedLook]:
    """Return `shared_looks`; they are kept, since every session of a base asks for the same."""
    declared_shapes = _shapes_of(declared)
    keys = [(one_look.content, declared_shapes) for one_look in inputs]
    looks = {key: look for key in keys if (look := _KEPT.get(key)) is not None}
    missing = {key: part for key, part in zip(keys, inputs, strict=True) if key not in looks}
    for key, look in zip(missing, shared_looks(list(missing.values()), declared), strict=True):
        looks[key] = look
        _KEPT.put(key, look)
    return [looks[key] for key in keys]


def shared_looks(inputs: Sequence[LookInputs], declared: Dependence) -> list[SharedLook]:
    """Return `shared_look` of each of many inputs; those that are alike are derived at once."""
    alike: dict[tuple[object, ...], list[int]] = {}
    for place, one_look in enumerate(inputs):
        alike.setdefault(one_look.alike, []).append(place)
    looks: dict[int, SharedLook] = {}
    for places in alike.values():
        derived = _derived_looks([inputs[place] for place in places], _shapes_of(declared))
        looks |= zip(places, derived, strict=True)
    return [looks[place] for place in range(len(inputs))]


def _shapes_of(declared: Dependence) -> DeclaredShapes:
    return DeclaredShapes(declared.clear, declared.ambiguous, declared.n, declared.look_n, declared.seen_n)


def _derived_looks(inputs: Sequence[LookInputs], declared: DeclaredShapes) -> list[SharedLook]:
    """Return the looks of B inputs that are alike."""
    # T of each observer, (B, K, Y); λ (B, observers).
    tables = [np.stack(of_observer) for of_observer in zip(*(part.tables for part in inputs), strict=True)]
    matches, shapes = inputs[0].matches, np.array(inputs[0].shapes)
    follows = np.stack([part.follows for part in inputs])
    skills = np.stack([skill(table, match) for table, match in zip(tables, matches, strict=True)], 1)
    weights = (follows * skills)[:, shapes]
    weight, right = weights.sum(1), (weights * skills[:, shapes]).sum(1)
    mean_skill = np.where(weight > 0, right / np.maximum(weight, LEAST), 0.5)
    looks, seen = _declared_shapes(tables[0].shape[1], mean_skill, declared)
    most = skill_of_square(looks @ seen)
    answers = []
    for table, match, observer_skill in zip(tables, matches, skills.T, strict=True):
        share = np.minimum(1.0, observer_skill / most)[:, None, None]
        named = match.sum(1, keepdims=True)
        reliable = match + (1 - named) * table
        answers.append(seen @ (share * reliable + (1 - share) * table.mean(1, keepdims=True)))
    looks, answers = _fit_to_tables(tables, looks, answers, follows, shapes.tolist(), declared)
    joint: dict[int, Floats] = {}
    for places in _alike(tables):
        answer, table = (np.stack([parts[place] for place in places], 1) for parts in (answers, tables))
        scaled = _scale_to_tables(looks, answer, table, follows[:, places])
        joint |= zip(places, np.moveaxis(scaled, 1, 0), strict=True)
    return [
        SharedLook(looks[number], tuple(joint[place][number] for place in range(len(tables))))
        for number in range(len(inputs))
    ]


def _alike(tables: Sequence[Floats]) -> list[list[int]]:
    """Return the places of the tables of each shape: what is computed of them is computed at once."""
    places: dict[tuple[int, ...], list[int]] = {}
    for place, table in enumerate(tables):
        places.setdefault(table.shape, []).append(place)
    return list(places.values())


def settled_follows(observer: Observer) -> float:
    """Return λ of an observer: how often what it settles on follows the look."""
    return min(observer.follows / max(observer.carry, 1e-9), MOST_FOLLOWS)


def reading_follows(observer: Observer) -> float:
    """Return how often a reading follows the look: as declared, but no more often than it carries over."""
    return observer.carry * settled_follows(observer)


def skill(tables: Floats, matches: Floats) -> Floats:
    """Return how far beyond chance the answers of tables (..., K, Y) are right, (...), from 0 to 1.

    It is Cohen's kappa with states of equal frequency; chance is the habit, the mean of a table's rows.
    """
    named = np.count_nonzero(matches.sum(1))
    right, chance = ((matches * part).sum((-2, -1)) for part in (tables, tables.mean(-2, keepdims=True)))
    return np.asarray(np.clip((right - chance) / np.maximum(named - chance, 1e-9), 0, 1))


def skill_of_square(tables: Floats) -> Floats:
    """Return the skills (...) of tables (..., K, K) whose answers are the states."""
    return skill(tables, np.eye(tables.shape[-1]))


def _beyond_chance(states: int, share: Floats | float) -> Floats:
    """Return tables that are right in these shares (...) of cases, else uniform, (..., K, K)."""
    shares = np.asarray(share)[..., None, None]
    return np.asarray(shares * np.eye(states) + (1 - shares) / states)


def _declared_shapes(states: int, mean_skill: Floats, declared: DeclaredShapes) -> tuple[Floats, Floats]:
    """Return the declared shapes of S (B, K, J) and of what a follower sees (J, K).

    mean_skill: of the observers, (B,). The share of clear items is such that followers alone have it.
    """
    clear, ambiguous = declared.clear, declared.ambiguous
    least = ambiguous.right * ambiguous.seen
    share = (mean_skill - least) / max(clear.right * clear.seen - least, 1e-9)
    needed = (mean_skill - (1 - MOST_CLEAR) * least) / (MOST_CLEAR * clear.seen)
    most = np.clip(needed, clear.right, MOST_RIGHT)
    right = np.where(share >= MOST_CLEAR, most, clear.right)
    share = np.clip(share, LEAST_CLEAR, MOST_CLEAR)[:, None, None]
    parts = share * _beyond_chance(states, right), (1 - share) * _beyond_chance(states, ambiguous.right)
    seen = (_beyond_chance(states, clear.seen), _beyond_chance(states, ambiguous.seen))
    return np.concatenate(parts, axis=2), np.concatenate(seen)


def _fit_to_tables(
    tables: Sequence[Floats],
    looks: Floats,
    answers: Sequence[Floats],
    follows: Floats,
    shaping: Sequence[bool],
    declared: DeclaredShapes,
) -> tuple[Floats, list[Floats]]:
    """Return S (B, K, J) and each observer's G (B, J, Y), near to the tables by expectation maximisation.

    shaping: of each observer whether its table shapes S, too.
    """
    look_counts = declared.look_n * looks
    groups = _alike(tables)
    # Of each group, all at once: T (B, O, K, Y), G (B, O, J, Y), the counts before G, and λ (B, O, 1, 1).
    stacks = [np.stack([tables[place] for place in places], 1) for places in groups]
    given = [np.stack([answers[place] for place in places], 1) for places in groups]
    priors = [declared.seen_n * stack for stack in given]
    shares = [follows[:, places, None, None] for places in groups]
    shapes = [np.array([shaping[place] for place in places]) for places in groups]
    for _ in range(EM_STEPS):
        look_total, updated, seen = look_counts.copy(), [], looks[:, None]
        for stack, answer, prior, share, shape in zip(stacks, given, priors, shares, shapes, strict=True):
            followed = share * (seen @ answer)
            # Of n T[x, y] answers y to a truth x those that followed the look, over P(y | x, followed).
            weight = declared.n * stack * share / np.maximum(followed + (1 - share) * stack, LEAST)
            look_total += (seen * (weight @ answer.swapaxes(-2, -1)))[:, shape].sum(1)
            updated.append(_normalise_rows(prior + answer * (seen.swapaxes(-2, -1) @ weight)))
        looks, given = _normalise_rows(look_total), updated
    fitted = {
        place: stack[:, number]
        for places, stack in zip(groups, given, strict=True)
        for number, place in enumerate(places)
    }
    return looks, [fitted[place] for place in range(len(tables))]


def _scale_to_tables(looks: Floats, answers: Floats, tables: Floats, shares: Floats) -> Floats:
    """Return V (B, O, K, J, Y) in proportion to λ G + (1 - λ) T whose mean over the looks is T.

    looks: S (B, K, J); answers: G (B, O, J, Y); tables: T (B, O, K, Y); shares: λ (B, O).
    """
    share = shares[..., None, None, None]
    joint = share * answers[:, :, None] + (1 - share) * tables[:, :, :, None]
    for _ in range(SCALING_STEPS):
        mean = np.einsum("bxj,boxjy->boxy", looks, joint)
        joint = joint * (tables / np.maximum(mean, LEAST))[:, :, :, None]
        joint = joint / joint.sum(-1, keepdims=True)
    return np.asarray(joint)


def _normalise_rows(counts: Floats) -> Floats:
    """Return counts (..., n, size) with each row divided by its sum."""
    return np.asarray(counts / counts.sum(-1, keepdims=True))
