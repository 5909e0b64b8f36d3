"""The curvature of a fit's log-density: exact second derivatives, many directions in one pass.

Evidence u (log-weights and log-likelihoods of rows) is a function of the parameters x, and F(u) is
log P(answers, gold). With J = ∂u/∂x the Hessian is Jᵀ F″ J + Σ_k F′_k ∂²u_k/∂x². The gradient of Σ_k w_k u_k
in x has both as its own derivatives: in w it is J, in x the sum, at w = F′. One backward pass gives them for
many coordinates together, where a difference of gradients takes a pass for each.

F″ knows the network alone: of one row it is the covariance of what the states are, by differences of beliefs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engine.backend.arrays import plain_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from engine.backend.types import Floats, Ints
    from engine.learning.likelihood import ItemPart, Likelihood
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
    def of(cls, slopes: Floats) -> _Moves:
        """Keep the coordinates that move anything; slopes: (P, states, rows)."""
        coordinates = np.flatnonzero(slopes.any((1, 2)))
        return cls(coordinates, slopes[coordinates])

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


def second_derivatives(
    value: Tensor, at: Tensor, held: list[Tensor], tell: Callable[[int], None]
) -> tuple[Floats, list[Floats]]:
    """Return ∂²value/∂at², (P, P), and ∂²value/∂at∂h, (P, ...), of each h of `held`.

    value: a scalar. at: (P,). tell: is called with how many coordinates were done since the last call.
    """
    square, mixed = np.zeros((len(at), len(at))), [np.zeros((len(at), *other.shape)) for other in held]
    (slope,) = torch.autograd.grad(value, at, create_graph=True)
    unit = torch.eye(len(at), dtype=at.dtype)
    for start in range(0, len(at), MOST_DIRECTIONS):
        chunk = slice(start, min(start + MOST_DIRECTIONS, len(at)))
        derivatives = torch.autograd.grad(
            slope,
            [at, *held],
            unit[chunk],
            retain_graph=True,
            is_grads_batched=True,
            allow_unused=True,
        )
        for whole, part in zip((square, *mixed), derivatives, strict=True):
            if part is not None:
                whole[chunk] = part.numpy()
        tell(chunk.stop - chunk.start)
    return square, mixed


def hessian_of_part(
    likelihood: Likelihood,
    part: ItemPart,
    observations: ObservationModel,
    at: Tensor,
    tell: Callable[[int], None],
) -> Floats:
    """Return the Hessian of log P(answers, gold) of a part's items in x, (P, P).

    at: x, (P,), of which `observations` is a function.
    """
    evidence, rows = likelihood.rows(part, observations)
    known, log_z, beliefs = _row_beliefs(likelihood, part, evidence, rows)
    starts = np.flatnonzero(np.diff(evidence.row_item, prepend=-1))
    log_rows = log_z + plain_numbers(evidence.log_weight)
    log_items = np.logaddexp.reduceat(log_rows, starts)
    share = np.exp(log_rows - log_items[evidence.row_item])
    log_weight = torch.as_tensor(evidence.log_weight)
    logs: dict[str, Any] = {name: rows.log_likelihood[name] for name in beliefs}
    moving = {name: log for name, log in logs.items() if log.requires_grad}
    weights = [torch.as_tensor(share).requires_grad_()]
    weights += [torch.as_tensor(share * beliefs[name]).requires_grad_() for name in moving]
    pairs = zip(weights, (log_weight, *moving.values()), strict=True)
    weighted = torch.stack([(weight * log).sum() for weight, log in pairs]).sum()
    total, (slopes, *of_logs) = second_derivatives(weighted, at, weights, tell)
    moves = {name: _Moves.of(of_log) for name, of_log in zip(moving, of_logs, strict=True)}
    for name, move in moves.items():
        slopes[move.coordinates] += move.along(beliefs[name])
    # Of the log of a sum over an item's rows.
    by_item = np.add.reduceat(share * slopes, starts, axis=1)
    total += (share * slopes) @ slopes.T - by_item @ by_item.T
    if known is not None:
        _add_covariances(total, likelihood, replace(rows, log_likelihood=known), beliefs, moves, share)
    return total


def _row_beliefs(
    likelihood: Likelihood, part: ItemPart, evidence: Evidence, rows: Evidence
) -> tuple[dict[str, Floats] | None, Floats, Mapping[str, Floats]]:
    """Return log-likelihoods of the rows as plain numbers, their log Z, (rows,), and beliefs, (states, rows).

    None in the place of the first where gold tells all states: then beliefs do not move.
    """
    known = {name: plain_numbers(log) for name, log in rows.log_likelihood.items()}
    if part.log_gold is None or not set(evidence.log_likelihood) <= set(part.states):
        return (known, *likelihood.inference.beliefs(replace(rows, log_likelihood=known)))
    log_z, beliefs = part.log_gold[evidence.row_item], {}
    for name, log in evidence.log_likelihood.items():
        state = part.states[name][evidence.row_item]
        beliefs[name] = (np.arange(len(log))[:, None] == state).astype(float)
        log_z = log_z + np.take_along_axis(plain_numbers(log), state[None], 0)[0]
    return None, log_z, beliefs


def _add_covariances(
    total: Floats,
    likelihood: Likelihood,
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
            _, there = likelihood.inference.beliefs(shifted)
            weighted = share * weight
            for other, other_move in relative.items():
                change = (there[other] - beliefs[other])[:-1] / step
                total[np.ix_(coordinates, other_move.coordinates)] += weighted @ other_move.along(change).T
