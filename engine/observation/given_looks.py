"""What several observers answered, given what the item looks like to all of them.

Each one's sum over what it settles on, m, is weighted by V[x, j, m] in the place of C[x, m], and their
product by S[x, j] (`dependence`); that of observers of one family is summed over what the family made of the
item first (`family`). Arrays are numpy's, or torch's where evidence is made on a device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import distinct, is_tensor, namespace, take_rows
from engine.observation.carried_likelihood import MOST_CELLS, settled_logs
from engine.observation.reported_answers import positions_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.backend.types import Array, Bools, Floats, Ints
    from engine.observation.contributions import ObserverContribution
    from engine.observation.dependence import FamilyLook, SharedLook
    from engine.observation.observer_kernels import ObserverKernels


def likelihood_given_looks(
    model: ObserverKernels, name: str, look: SharedLook, contributions: list[ObserverContribution], rows: Ints
) -> tuple[Array, Array]:
    """Return P(answers | state, look) up to a factor a row, (K, J, rows), and the factors' logs, (rows,)."""
    place = {observer: i for i, observer in enumerate(model.observers_of(name))}
    by_family: dict[int, list[ObserverContribution]] = {}
    for part in (part for part in contributions if len(part.row)):
        by_family.setdefault(look.family_of(place[part.observer]), []).append(part)
    strangers = by_family.pop(-1, [])
    fellows: list[tuple[FamilyLook, list[ObserverContribution], Ints]] = []
    for number, parts in by_family.items():
        # Who is the only member of a family to answer about an item is as an observer without one.
        together = answered_by_several(parts, int(rows.max(initial=-1)) + 1)
        strangers += [part.within(~together) for part in parts]
        within = [part.within(together) for part in parts]
        fellows.append((look.families[number], within, np.flatnonzero(together[rows])))
    given = [(part, look.answer_given[place[part.observer]]) for part in strangers]
    joint, scale = _product(model, name, given, look.look_given_state.shape, rows)
    for family, parts, columns in fellows:
        members = [(part, family.of_member(place[part.observer])) for part in parts]
        for some, likelihood, logs in _likelihood_given_family(
            model, name, members, family.settled_given.shape, rows[columns]
        ):
            of_family = namespace(joint).einsum("xjf,xjfn->xjn", family.settled_given, likelihood)
            joint[:, :, columns[some]] *= of_family
            scale[columns[some]] += logs
    return joint, scale


def answered_by_several(contributions: Iterable[ObserverContribution], rows: int) -> Bools:
    """Return the rows to which several observers contribute, (rows,); each observer has one contribution."""
    observers = np.zeros(rows, dtype=np.int64)
    for part in contributions:
        observers[distinct(part.row)] += 1
    return np.asarray(observers > 1)


def settled_given(
    model: ObserverKernels,
    name: str,
    look: SharedLook,
    place: int,
    contributions: list[ObserverContribution],
    rows: Ints,
) -> Floats:
    """Return P(type that the observer at a place settles on | state, others' answers), (rows, K, M)."""
    number = look.family_of(place)
    known = model.observers_of(name)
    fellows: list[ObserverContribution] = []
    strangers: list[ObserverContribution] = []
    for part in (part for part in contributions if len(part.row)):
        same = number >= 0 and known.index(part.observer) in look.families[number].members
        (fellows if same else strangers).append(part)
    joint, _ = likelihood_given_looks(model, name, look, strangers, rows)
    weight = look.look_given_state[:, :, None] * joint
    if not fellows:
        weight = weight / weight.sum(1, keepdims=True)
        return np.asarray(np.einsum("xjn,xjm->nxm", weight, look.answer_given[place]))
    family = look.families[number]
    members = [(part, family.of_member(known.index(part.observer))) for part in fellows]
    settles = np.empty((len(rows), *look.answer_given[place].shape[::2]))
    for some, likelihood, _ in _likelihood_given_family(
        model, name, members, family.settled_given.shape, rows
    ):
        both = weight[:, :, None, some] * family.settled_given[..., None] * likelihood
        both = both / both.sum((1, 2), keepdims=True)
        settles[some] = np.einsum("xjfn,xjfm->nxm", both, family.of_member(place))
    return settles


def _likelihood_given_family(
    model: ObserverKernels,
    name: str,
    members: list[tuple[ObserverContribution, Floats]],
    shape: tuple[int, ...],
    rows: Ints,
) -> Iterator[tuple[slice, Array, Array]]:
    """Yield for parts of the rows P(members' answers | state, look, what their family made of it).

    members: the contribution of each, and W, (K, J, F, M). shape: (K, J, F). Each part is a slice of
    `rows`, the likelihoods up to a factor a row, (K, J, F, n), and the factors' logs, (n,).
    """
    states, looks, outcomes = shape
    step = max(1, MOST_CELLS // (states * looks * outcomes))
    flat = [(part, given.reshape(states, looks * outcomes, -1)) for part, given in members]
    for start in range(0, len(rows), step):
        some = slice(start, start + step)
        within = np.zeros(int(rows.max()) + 1, dtype=bool)
        within[rows[some]] = True
        parts = [(part.within(within), given) for part, given in flat]
        likelihood, logs = _product(model, name, parts, (states, looks * outcomes), rows[some])
        yield some, likelihood.reshape(states, looks, outcomes, -1), logs


def _product(
    model: ObserverKernels,
    name: str,
    given: list[tuple[ObserverContribution, Floats]],
    shape: tuple[int, ...],
    rows: Ints,
) -> tuple[Array, Array]:
    """Return P(answers | state, l) up to a factor a row, (K, L, rows), and the factors' logs.

    given: the contribution of each observer to these rows alone, and P(it settles on m | state, l),
    (K, L, M). shape: (K, L).
    """
    position = positions_of(rows, int(rows.max(initial=-1)) + 1)
    joint, scale = model.zeros(*shape, len(rows)), model.zeros(len(rows))
    joint[:] = 1.0
    xp = namespace(joint)
    for part, answer_given in ((part, table) for part, table in given if len(part.row)):
        answered, where = np.unique(part.row, return_inverse=True)
        likelihood, peak = _observer_given_look(model, name, part, where, answer_given)
        exponent = model.exponent[part.observer]
        # A number on a device is not asked for its value: that would wait for all before it.
        if is_tensor(exponent) or float(exponent) != 1.0:
            likelihood **= exponent
        most = xp.amax(likelihood, (0, 1))
        likelihood /= most
        scale_of_row = exponent * peak + xp.log(most)
        column = position[answered]
        if len(column) < len(rows):
            likelihood *= joint[:, :, column]
        else:
            # The columns are all in their order, as rows of the evidence are.
            likelihood *= joint
        # What many observers agree about becomes small; only proportions matter.
        most = xp.amax(likelihood, (0, 1))
        likelihood /= most
        joint[:, :, column] = likelihood
        scale[column] += scale_of_row + xp.log(most)
    return joint, scale


def _observer_given_look(
    model: ObserverKernels, name: str, part: ObserverContribution, where: Ints, answer_given: Floats
) -> tuple[Array, Array]:
    """Return P(an observer's answers | state, look), (K, J, rows), over exp of the peaks (rows,).

    where: (P,) the row of each reading, from 0. answer_given: V, (K, J, M).
    """
    rows, xp = int(where.max()) + 1, namespace(part.table)
    mix, carry = model.kernels[part.observer, name].mix, model.carry[part.observer]
    if len(where) == rows:
        ordered = take_rows(part.table, part.pattern[positions_of(where, rows)])
        peak = xp.amax(ordered, 1)
        likelihood = xp.exp(ordered - peak[:, None])
        settled = answer_given @ likelihood.T
        return carry * settled + (1 - carry) * (mix @ likelihood.T)[:, None], peak
    parts = list(settled_logs(mix, take_rows(part.table, part.pattern), where, rows, carry))
    logs, outside = (xp.concatenate([part[i] for part in parts]) for i in (0, 1))
    peak = xp.amax(logs, (1, 2))
    likelihood = xp.exp(logs - peak[:, None, None])
    return xp.einsum("xjm,nxm->xjn", answer_given, likelihood), peak + outside
