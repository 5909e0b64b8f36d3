"""Sampled answers -> the expected fall of the loss, for many items at once.

With r the root, P(r | answers) ∝ P(r) Π_v Σ_x P(x | r) L_v(x) over the variables v that the answers speak
of, and of each of them P(x | answers) = Σ_r P(r | answers) P(x | r) L_v(x) / Σ_x P(x | r) L_v(x). All others
follow the root. The loss is that of `decision.loss`, and the gain of a question its mean fall over paths.

Items are taken tile by tile (`Belief.tiles`), so that what is multiplied stays in a processor's cache.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from engine.decision.decision import risk_of_sums, running_sums
from engine.decision.loss import relative_loss

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from engine.backend.types import Floats, Ints
    from engine.decision.predictive_samples import Belief, SampledLikelihoods
    from engine.model.knowledge import Knowledge


# The least divisor of a probability.
LEAST = 1e-300


class ExpectedGain:
    """Computes losses and gains under the limits and the worths of one base."""

    def __init__(self, base: Knowledge, binary: tuple[str, ...]) -> None:
        """binary: the binary variables in the order of `Belief.active`."""
        self.base = base
        self.binary = binary
        self.cuts = np.array([base.policy.cuts.get(name, 0.5) for name in binary])[:, None, None]
        # The highest risk at which each is accepted: as false, and as true.
        self.highest = np.array([self._highest(name) for name in binary]).reshape(-1, 2).T[..., None, None]
        intervals = (variable for variable in base.variables.values() if variable.kind == "interval")
        self.edges = {variable.name: np.array(variable.edges) for variable in intervals}
        self.sums = {name: running_sums(edges) for name, edges in self.edges.items()}

    def before(self, belief: Belief) -> Floats:
        """Return the present loss of each item, (n,)."""
        root = belief.root[:, None, :]
        p = self._follow_root(belief, root)
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
        return self._in_tiles(
            belief, before, other_likelihoods, [likelihoods[name] for name in names], places
        )

    def gain_about_one(
        self, belief: Belief, before: Floats, place: Ints, likelihood: SampledLikelihoods
    ) -> tuple[Floats, Floats]:
        """Return `gain`, both (n, batches), by answers about one binary variable of each item.

        place: (n,), of the variable in `binary`.
        """
        return self._in_tiles(belief, before, {}, [likelihood], place[None])

    def _in_tiles(
        self,
        belief: Belief,
        before: Floats,
        other_likelihoods: Mapping[str, SampledLikelihoods],
        binary: Sequence[SampledLikelihoods],
        places: Ints,
    ) -> tuple[Floats, Floats]:
        """Return gains and errors; places: (A, n) of the A binary variables that answers are about."""
        paths, batches = next(iter([*other_likelihoods.values(), *binary])).shape[:2]
        losses = np.empty((len(before), paths * batches))
        for rows, tile in belief.tiles:
            other_tile = {name: sampled.of(rows) for name, sampled in other_likelihoods.items()}
            binary_tile = [sampled.of(rows) for sampled in binary]
            losses[rows] = self._loss_after(tile, other_tile, binary_tile, places[:, rows])
        loss = losses.reshape(-1, paths, batches)
        return np.maximum(before[:, None] - loss.mean(1), 0), loss.std(1) / math.sqrt(paths - 1)

    def _loss_after(
        self, belief: Belief, other_likelihoods: Mapping[str, Floats], binary: Sequence[Floats], places: Ints
    ) -> Floats:
        """Return the loss after S sampled answers about each item, (n, S).

        other_likelihoods: variables that are not binary -> (n, S, states). binary: (n, S, 2) for each of
        places (A, n).
        """
        rows = np.arange(len(belief.root))[None]
        active = belief.active[rows, :, places]
        root = belief.root[:, None, :]
        if self.base.root in other_likelihoods:
            root = root * other_likelihoods[self.base.root]
        if binary:
            folds = np.empty((*places.shape, binary[0].shape[1], root.shape[-1]))
            for fold, likelihood, p in zip(folds, binary, active, strict=True):
                np.matmul(likelihood, np.stack([1 - p, p], axis=1), out=fold)
            root = root * np.multiply.reduce(folds)
            if not root.all():
                np.maximum(folds, LEAST, out=folds)
        interval_folds = {}
        for name in (name for name in belief.given if name in other_likelihoods):
            interval_folds[name] = other_likelihoods[name] @ belief.given[name].transpose(0, 2, 1)
            root = root * interval_folds[name]
        # A product with ones: numpy's own sum over so few states takes several times as long.
        root = root / np.maximum(root @ np.ones((root.shape[-1], 1)), LEAST)
        # P(v | answers) = Σ_r P(r | answers) P(v | r) L(v) / Σ_v P(v | r) L(v).
        p_true = self._follow_root(belief, root)
        if binary:
            asked = (np.divide(root, folds, out=folds) @ active[..., None])[..., 0]
            for place, likelihood in enumerate(binary):
                asked[place] *= likelihood[..., 1]
            p_true[places, rows] = asked
        after = {}
        for name, fold in interval_folds.items():
            q = ((root / np.maximum(fold, LEAST)) @ belief.given[name]) * other_likelihoods[name]
            after[name] = q / np.maximum(q.sum(-1, keepdims=True), LEAST)
        loss = self._binary_loss(belief, p_true, places)
        return loss + self._other_loss(belief, root, after, other_likelihoods)

    def _follow_root(self, belief: Belief, root: Floats) -> Floats:
        """Return P(true) of all binary variables, (J, n, S), as they follow the root (n, S, K)."""
        p = np.empty((len(self.binary), *root.shape[:2]))
        np.matmul(belief.active.transpose(0, 2, 1), root.transpose(0, 2, 1), out=p.transpose(1, 0, 2))
        return p

    def _binary_loss(self, belief: Belief, p: Floats, answered: Ints | None = None) -> Floats:
        """Return Σ worth · `relative_loss` over binary variables of P(true) p (J, n, S), (n, S).

        answered: (A, n) the places of those that answers spoke of.
        """
        true = p >= self.cuts
        low, high = self.highest
        limit = low if np.array_equal(low, high) else np.where(true, high, low)
        hidden = belief.binary_unseen
        if answered is not None and hidden.any():
            hidden = hidden.copy()
            hidden[answered, np.arange(hidden.shape[1])[None]] = False
        short = relative_loss(np.abs(true - p), limit, hidden[..., None])
        return np.asarray(np.einsum("jns,jn->ns", short, belief.binary_worth))

    def _other_loss(
        self, belief: Belief, root: Floats, after: Mapping[str, Floats], answered: Collection[str]
    ) -> Floats:
        """Return Σ worth · `relative_loss` over all other variables, (n, S), for the root (n, S, K).

        after: P(bins) (n, S, bins) of the interval variables that answers spoke of. answered: all variables
        that they spoke of.
        """
        total = np.zeros(root.shape[:2])
        worth, unseen = belief.stakes.worth, belief.stakes.unseen
        for name in (name for name in (*belief.given, self.base.root) if name in worth):
            rows = np.flatnonzero(worth[name])
            if not rows.size:
                continue
            limit: Floats | float
            if name == self.base.root:
                open_root = root[rows]
                # State by state, as numpy's own maximum over so few takes several times as long.
                highest = reduce(np.maximum, np.moveaxis(open_root, -1, 0))
                risk, limit = 1 - highest, self._highest_root(open_root)
            else:
                sums = (
                    after[name][rows] @ self.sums[name]
                    if name in after
                    else root[rows] @ belief.sums[name][rows]
                )
                _, risk = risk_of_sums(sums, self.edges[name], self.base.policy.tolerance[name])
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
        """Return the highest risk of the likeliest state of root (..., K), (...)."""
        highest = self._highest(self.base.root)
        if min(highest) == max(highest):
            return highest[0]
        return np.asarray(np.array(highest)[root.argmax(-1)])
