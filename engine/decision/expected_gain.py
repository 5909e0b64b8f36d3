"""Sampled answers -> the expected fall of the loss, for many items at once.

With r the root, P(r | answers) ∝ P(r) Π_v Σ_x P(x | r) L_v(x) over the variables v that the answers speak
of, and of each of them P(x | answers) = Σ_r P(r | answers) P(x | r) L_v(x) / Σ_x P(x | r) L_v(x). All others
follow the root. The loss is that of `decision.loss`, and the gain of a question its mean fall over paths.

Items are taken tile by tile (`Belief.tiles`), so that what is multiplied stays in a processor's cache.
What is at stake now is weighed in double precision; futures, of which few are sampled, in single precision.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from engine.decision.decision import risk_of_sums, running_sums
from engine.decision.loss import relative_loss
from engine.decision.predictive_samples import LEAST
from engine.decision.sampled_likelihoods import SampledLikelihoods

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from engine.backend.types import Floats, Ints
    from engine.decision.predictive_samples import Belief
    from engine.model.knowledge import Knowledge

    # Which of the items, which of the batches -> gain and error, both (items, batches).
    Evaluate = Callable[[Ints | slice, slice], tuple[Floats, Floats]]


# A fall by a smaller share of the loss counts as none: single precision rounds by as much.
ROUNDING = 1.2e-7
# Standard errors by which a gain may exceed what was estimated.
DOUBT = 1.0


class ExpectedGain:
    """Computes losses and gains under the limits and the worths of one base."""

    def __init__(self, base: Knowledge, binary: tuple[str, ...]) -> None:
        """binary: the binary variables in the order of `Belief.active`."""
        self.base = base
        self.binary = binary
        self.cuts = np.array([base.policy.cuts.get(name, 0.5) for name in binary])[:, None]
        # The highest risk at which each is accepted: as false, and as true.
        self.highest = np.array([self._highest(name) for name in binary]).reshape(-1, 2).T[..., None]
        intervals = (variable for variable in base.variables.values() if variable.kind == "interval")
        self.edges = {variable.name: np.array(variable.edges) for variable in intervals}
        self.sums = {name: running_sums(edges) for name, edges in self.edges.items()}

    def before(self, belief: Belief) -> Floats:
        """Return the present loss of each item, (n,)."""
        root = belief.root[..., None]
        p = belief.active.transpose(0, 2, 1) @ root
        return self._binary_loss(belief, p)[:, 0] + self._other_loss(belief, root, {}, ())[:, 0]

    def gain(
        self, belief: Belief, before: Floats, likelihoods: Mapping[str, SampledLikelihoods]
    ) -> tuple[Floats, Floats]:
        """Return the expected fall of the loss by answers about some variables, and its standard error.

        before: (n,). likelihoods: variable -> likelihoods of the sampled answers about it, of n items.

        Returns:
            Both (n, batches).
        """
        names = [name for name in self.binary if name in likelihoods]
        places = np.array([self.binary.index(name) for name in names], dtype=np.int64)
        places = np.broadcast_to(places[:, None], (len(names), len(before)))
        other_likelihoods = {
            name: sampled for name, sampled in likelihoods.items() if name not in self.binary
        }
        binary = SampledLikelihoods.stacked([likelihoods[name] for name in names]) if names else None
        return self._in_tiles(belief, before, other_likelihoods, binary, places)

    def gain_about_one(
        self, belief: Belief, before: Floats, place: Ints, likelihood: SampledLikelihoods
    ) -> tuple[Floats, Floats]:
        """Return `gain`, both (n, batches), by answers about one binary variable of each item.

        place: (n,), of the variable in `binary`.
        """
        return self._in_tiles(belief, before, {}, likelihood, place[None])

    def _in_tiles(
        self,
        belief: Belief,
        before: Floats,
        other_likelihoods: Mapping[str, SampledLikelihoods],
        binary: SampledLikelihoods | None,
        places: Ints,
    ) -> tuple[Floats, Floats]:
        """Return gains and errors; places: (A, n) of the A binary variables that answers are about.

        binary: likelihoods of A · n answers.
        """
        paths, batches = (binary or next(iter(other_likelihoods.values()))).shape
        losses = np.empty((len(before), paths * batches))
        numbers = np.arange(places.size).reshape(places.shape)
        for rows, tile in belief.tiles:
            other_tile = {name: sampled.of(rows) for name, sampled in other_likelihoods.items()}
            binary_tile = binary.of(numbers[:, rows]) if binary else None
            losses[rows] = self._loss_after(tile, other_tile, binary_tile, places[:, rows])
        loss = losses.reshape(-1, paths, batches)
        fall = before[:, None] - loss.mean(1)
        gain = np.where(fall > ROUNDING * before[:, None], fall, 0.0)
        return gain, loss.std(1) / math.sqrt(paths - 1)

    def _loss_after(
        self, belief: Belief, other_likelihoods: Mapping[str, Floats], binary: Floats | None, places: Ints
    ) -> Floats:
        """Return the loss after S sampled answers about each item, (n, S).

        other_likelihoods: variables that are not binary -> (n, states, S). binary: (A, n, 2, S) for places
        (A, n).
        """
        rows = np.arange(len(belief.root))[None]
        root = belief.root[..., None]
        if self.base.root in other_likelihoods:
            root = root * other_likelihoods[self.base.root]
        if binary is not None:
            active = belief.active[rows, :, places]
            folds = np.stack([1 - active, active], axis=-1) @ binary
            root = root * np.multiply.reduce(folds)
        interval_folds = {}
        for name in (name for name in belief.given if name in other_likelihoods):
            interval_folds[name] = np.maximum(belief.given[name] @ other_likelihoods[name], LEAST)
            root = root * interval_folds[name]
        root = root / np.maximum(root.sum(1, keepdims=True), LEAST)
        # P(v | answers) = Σ_r P(r | answers) P(v | r) L(v) / Σ_v P(v | r) L(v).
        p_true = belief.active.transpose(0, 2, 1) @ root
        if binary is not None:
            asked = (active[..., None, :] @ np.divide(root, folds, out=folds))[..., 0, :]
            p_true[rows, places] = asked * binary[..., 1, :]
        after = {}
        for name, fold in interval_folds.items():
            q = (belief.given[name].transpose(0, 2, 1) @ (root / fold)) * other_likelihoods[name]
            after[name] = q / np.maximum(q.sum(1, keepdims=True), LEAST)
        loss = self._binary_loss(belief, p_true, places)
        return loss + self._other_loss(belief, root, after, other_likelihoods)

    def _binary_loss(self, belief: Belief, p: Floats, answered: Ints | None = None) -> Floats:
        """Return Σ worth · `relative_loss` over binary variables of P(true) p (n, J, S), (n, S).

        answered: (A, n) the places of those that answers spoke of.
        """
        true = p >= self.cuts.astype(p.dtype)
        low, high = self.highest
        limit = low if np.array_equal(low, high) else np.where(true, high, low)
        hidden = belief.binary_unseen
        if answered is not None and hidden.any():
            hidden = hidden.copy()
            hidden[answered, np.arange(hidden.shape[1])[None]] = False
        short = relative_loss(np.abs(true - p), limit, hidden.T[..., None])
        return np.asarray((belief.binary_worth.T[:, None] @ short)[:, 0])

    def _other_loss(
        self, belief: Belief, root: Floats, after: Mapping[str, Floats], answered: Collection[str]
    ) -> Floats:
        """Return Σ worth · `relative_loss` over all other variables, (n, S), for the root (n, K, S).

        after: P(bins) (n, bins, S) of the interval variables that answers spoke of. answered: all variables
        that they spoke of.
        """
        total = np.zeros((len(root), root.shape[2]), root.dtype)
        worth, unseen = belief.stakes.worth, belief.stakes.unseen
        for name in (name for name in (*belief.given, self.base.root) if name in worth):
            rows = np.flatnonzero(worth[name])
            if not rows.size:
                continue
            limit: Floats | float
            if name == self.base.root:
                open_root = root[rows]
                risk, limit = 1 - open_root.max(1), self._highest_root(open_root)
            else:
                if name in after:
                    sums = after[name][rows].transpose(0, 2, 1) @ self.sums[name].astype(root.dtype)
                else:
                    sums = root[rows].transpose(0, 2, 1) @ belief.sums[name][rows]
                edges = self.edges[name].astype(root.dtype)
                _, risk = risk_of_sums(sums, edges, self.base.policy.tolerance[name])
                limit = self._highest(name)[0]
            hidden = None if name in answered else unseen[name][rows, None]
            total[rows] += worth[name][rows, None] * relative_loss(risk, limit, hidden)
        return total

    def _highest(self, name: str) -> tuple[float, ...]:
        """Return the highest risk at which each value of a variable is accepted; 1 for one of no level."""
        if name not in self.base.policy.limits:
            return (1.0,) * len(self.base.variables[name].values)
        return self.base.policy.highest_risks(self.base.variables[name])

    def _highest_root(self, root: Floats) -> Floats | float:
        """Return the highest risk of the likeliest state of root (n, K, S), (n, S)."""
        highest = self._highest(self.base.root)
        if min(highest) == max(highest):
            return highest[0]
        return np.asarray(np.array(highest)[root.argmax(1)])


def where_worth_it(evaluate: Evaluate, items: int, batches: int, least: float) -> tuple[Floats, Floats]:
    """Return gains and errors (n, B), (n, B) of n items and B batches, 0 where none should exceed the least.

    More answers tell no less: where the largest batch, the last, gains too little beyond its standard error,
    the others are not evaluated.
    """
    gain, error = np.zeros((2, items, batches))
    gain[:, -1:], error[:, -1:] = evaluate(slice(None), slice(-1, None))
    rows = np.flatnonzero(gain[:, -1] + DOUBT * error[:, -1] > least)
    if rows.size and batches > 1:
        gain[rows, :-1], error[rows, :-1] = evaluate(rows, slice(-1))
    return gain, error
