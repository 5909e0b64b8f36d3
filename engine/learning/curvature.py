"""The curvature of a fit's log-density: exact second derivatives, many directions in one pass.

Evidence u (log-weights and log-likelihoods of rows) is a function of the parameters x, and F(u) is
log P(answers, gold). With J = ∂u/∂x the Hessian is Jᵀ F″ J + Σ_k F′_k ∂²u_k/∂x². The gradient of Σ_k w_k u_k
in x has both as its own derivatives: in w it is J, in x the sum, at w = F′. One backward pass gives them for
many coordinates together, where a difference of gradients takes a pass for each; the log-likelihoods of one
variable at a time, for most coordinates move those of one alone.

F″ knows the network alone: of one row it is the covariance of what the states are, by differences of beliefs.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engine.backend.arrays import is_tensor, plain_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from engine.backend.types import Floats, Ints
    from engine.learning.likelihood import BeliefsOf, ItemPart, Likelihood
    from engine.observation.evidence import Evidence, ObservationModel

# Coordinates that one backward pass takes together.
MOST_DIRECTIONS = 64
# By how much a log-likelihood is moved to see beliefs change, nats.
STEP = 1e-4


@dataclass(frozen=True)
class _Moves:
    """How the numbers of one variable move with the coordinates: slopes (n, states, rows) of n of them."""

    coordinates: Ints
    slopes: Floats

    @classmethod
    def of(cls, coordinates: Ints, slopes: Floats) -> _Moves:
        """Keep the coordinates (n,) that move anything; slopes: (n, states, rows)."""
        moving = slopes.any((1, 2))
        return cls(coordinates[moving], slopes[moving])

    def along(self, values: Floats) -> Floats:
        """Return Σ_states slopes · values, (n, rows); values: (states, rows)."""
        along: Floats = np.einsum("nsr,sr->nr", self.slopes, values)
        return along

    @property
    def beside_last(self) -> _Moves:
        """The slopes less those of the last state, (n, states - 1, rows): all that beliefs depend on."""
        return _Moves(self.coordinates, self.slopes[:, :-1] - self.slopes[:, -1:])

    def directions(self) -> Iterator[tuple[Ints, Floats, Floats]]:
        """Yield coordinates (m,), a direction (states, rows) and its weights in their moves, (m, rows).

        Σ weight · direction is how the numbers move with a coordinate: state by state, or coordinate by
        coordinate where these are fewer.
        """
        states = self.slopes.shape[1]
        if states <= len(self.coordinates):
            for state, unit in enumerate(np.eye(states)[:, :, None]):
                yield self.coordinates, unit, self.slopes[:, state]
        else:
            for coordinate, slope in zip(self.coordinates[:, None], self.slopes, strict=True):
                yield coordinate, slope, np.ones((1, slope.shape[1]))


@dataclass(frozen=True)
class SecondDerivatives:
    """Second derivatives of a scalar in the n coordinates that it depends on.

    coordinates: (n,), places among all. square: (n, n). mixed: of each tensor h that was held, (n, ...).
    """

    coordinates: Ints
    square: Floats
    mixed: list[Floats]


@dataclass(frozen=True)
class _Waypoint:
    """A tensor on the way from the coordinates to a value, taken apart there: the value depends on `leaf`.

    before: the tensor as a function of the coordinates. leaf: the same numbers, (...).
    """

    before: Tensor
    leaf: Tensor

    def moves(self, at: Sequence[Tensor], slope: Tensor) -> SecondDerivatives:
        """Return how the coordinates move it, `mixed`, and slope · its second derivatives, `square`."""
        weight = slope.detach().clone().requires_grad_()
        return second_derivatives((weight * self.before).sum(), at, [weight])


def second_derivatives(
    value: Tensor, at: Sequence[Tensor], held: Sequence[Tensor], steps: Sequence[_Waypoint] = ()
) -> SecondDerivatives:
    """Return the second derivatives of a value in coordinates, and in these and each of `held`.

    Those that the value does not depend on cost nothing.

    Args:
        value: a scalar.
        at: leaves, of which the coordinates are the cells, one leaf after another.
        held: leaves of other numbers.
        steps: what it depends on through which it depends on coordinates.
    """
    ends = np.cumsum([leaf.numel() for leaf in at])
    leaves = [*at, *(step.leaf for step in steps)]
    slopes = torch.autograd.grad(value, leaves, create_graph=True, allow_unused=True)
    direct = [place for place, slope in enumerate(slopes[: len(at)]) if slope is not None]
    between = [
        (step.leaf, slope, step.moves(at, slope))
        for step, slope in zip(steps, slopes[len(at) :], strict=True)
        if slope is not None
    ]
    direct_coordinates = [np.arange(ends[i] - at[i].numel(), ends[i]) for i in direct]
    parts = [*direct_coordinates, *(moves.coordinates for _, _, moves in between)]
    coordinates = np.unique(np.concatenate(parts))
    # How each coordinate moves the leaves that the value depends on, (n, cells of each).
    moved: list[Floats] = []
    for part, place in zip(direct_coordinates, direct, strict=True):
        moved.append((coordinates[:, None] == part).astype(float).reshape(-1, *at[place].shape))
    square = np.zeros((len(coordinates), len(coordinates)))
    for leaf, _, moves in between:
        move, where = (
            np.zeros((len(coordinates), *leaf.shape)),
            np.searchsorted(coordinates, moves.coordinates),
        )
        move[where] = moves.mixed[0]
        moved.append(move)
        square[np.ix_(where, where)] += moves.square
    outputs = [slopes[place] for place in direct] + [slope for _, slope, _ in between]
    inputs = [*(at[place] for place in direct), *(leaf for leaf, _, _ in between)]
    mixed = [np.zeros((len(coordinates), *other.shape)) for other in held]
    for start in range(0, len(coordinates), MOST_DIRECTIONS):
        chunk = slice(start, start + MOST_DIRECTIONS)
        derived = torch.autograd.grad(
            outputs,
            [*inputs, *held],
            [torch.as_tensor(move[chunk]) for move in moved],
            retain_graph=True,
            is_grads_batched=True,
            allow_unused=True,
        )
        for move, of_input in zip(moved, derived, strict=False):
            if of_input is not None:
                square[chunk] += of_input.numpy().reshape(len(of_input), -1) @ move.reshape(len(move), -1).T
        for whole, of_held in zip(mixed, derived[len(inputs) :], strict=True):
            if of_held is not None:
                whole[chunk] = of_held.numpy()
    return SecondDerivatives(coordinates, square, mixed)


def hessian_of_part(
    likelihood: Likelihood, part: ItemPart, observations: ObservationModel, at: Sequence[Tensor]
) -> Floats:
    """Return the Hessian of log P(answers, gold) of a part's items in x, (P, P).

    at: the leaves whose cells are x, one after another, of which `observations` is a function.
    """
    steps: list[_Waypoint] = []

    def apart(log_follow: Any) -> Any:
        if not is_tensor(log_follow) or not log_follow.requires_grad:
            return log_follow
        steps.append(_Waypoint(log_follow, log_follow.detach().requires_grad_()))
        return steps[-1].leaf

    observations = copy(observations)
    observations.apart = apart  # type: ignore[method-assign]
    evidence, rows = likelihood.rows(part, observations)
    known, log_z, beliefs = _row_beliefs(likelihood, part, evidence, rows)
    starts = np.flatnonzero(np.diff(evidence.row_item, prepend=-1))
    log_rows = log_z + plain_numbers(evidence.log_weight)
    log_items = np.logaddexp.reduceat(log_rows, starts)
    share = np.exp(log_rows - log_items[evidence.row_item])
    count = sum(leaf.numel() for leaf in at)
    total, slopes, moves = np.zeros((count, count)), np.zeros((count, len(share))), {}
    logs: dict[str, Any] = {name: rows.log_likelihood[name] for name in beliefs}
    for name, log in {"": torch.as_tensor(evidence.log_weight), **logs}.items():
        if not log.requires_grad:
            continue
        weight = torch.as_tensor(share * beliefs[name] if name else share).requires_grad_()
        derived = second_derivatives((weight * log).sum(), at, [weight], steps)
        total[np.ix_(derived.coordinates, derived.coordinates)] += derived.square
        (slope,) = derived.mixed
        if name:
            moves[name] = _Moves.of(derived.coordinates, slope)
            slope = moves[name].along(beliefs[name])
        slopes[moves[name].coordinates if name else derived.coordinates] += slope
    # Of the log of a sum over an item's rows.
    by_item = np.add.reduceat(share * slopes, starts, axis=1)
    total += (share * slopes) @ slopes.T - by_item @ by_item.T
    if known is not None:
        known_rows = replace(rows, log_likelihood=known)
        # What gold tells of all items does not move.
        free = {name: move for name, move in moves.items() if name not in part.states}
        beliefs_of = likelihood.beliefs_of(part, evidence.row_item)
        _add_covariances(total, beliefs_of, known_rows, beliefs, free, share)
    return total


def _row_beliefs(
    likelihood: Likelihood, part: ItemPart, evidence: Evidence, rows: Evidence
) -> tuple[dict[str, Floats] | None, Floats, Mapping[str, Floats]]:
    """Return log-likelihoods of the rows as plain numbers, their log Z, (rows,), and beliefs, (states, rows).

    None in the place of the first where gold tells all states: then beliefs do not move.
    """
    known = {name: plain_numbers(log) for name, log in rows.log_likelihood.items()}
    if part.log_gold is None or not set(evidence.log_likelihood) <= set(part.states):
        beliefs_of = likelihood.beliefs_of(part, evidence.row_item)
        return (known, *beliefs_of(replace(rows, log_likelihood=known)))
    log_z, beliefs = part.log_gold[evidence.row_item], {}
    for name, log in evidence.log_likelihood.items():
        state = part.states[name][evidence.row_item]
        beliefs[name] = (np.arange(len(log))[:, None] == state).astype(float)
        log_z = log_z + np.take_along_axis(plain_numbers(log), state[None], 0)[0]
    return None, log_z, beliefs


def _add_covariances(
    total: Floats,
    beliefs_of: BeliefsOf,
    rows: Evidence,
    beliefs: Mapping[str, Floats],
    moves: Mapping[str, _Moves],
    share: Floats,
) -> None:
    """Add Σ_rows share · Jᵀ (covariance of the states) J to `total`, (P, P)."""
    relative = {name: move.beside_last for name, move in moves.items()}
    for name, move in relative.items():
        for coordinates, direction, weight in move.directions():
            log = np.array(rows.log_likelihood[name])
            step = STEP / max(np.abs(direction).max(), 1e-12)
            log[:-1] += step * direction
            shifted = replace(rows, log_likelihood={**rows.log_likelihood, name: log})
            _, there = beliefs_of(shifted)
            weighted = share * weight
            for other, other_move in relative.items():
                change = (there[other] - beliefs[other])[:-1] / step
                total[np.ix_(coordinates, other_move.coordinates)] += weighted @ other_move.along(change).T
