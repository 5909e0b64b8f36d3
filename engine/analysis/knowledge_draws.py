"""The strengths of a base's numbers -> posteriors under draws of these numbers.

A number of strength n is known as well as if it had been seen in n items (`engine.metrics.strengths`): a
draw of the base has other cells, confidences of rules, odds ratios of couplings, and moments, each drawn by
itself and kept within what the language allows. Populations have no strength and stay as they are, and so do
the tables of observers, whose uncertainty is that of a fit (`engine.learning.drawn_risks`). Each draw is
compiled with the rules that the base is: none gives way because it cannot be met in a single draw. A draw
whose numbers contradict one another (moments that no distribution has) is taken half as far from the medians,
and again until it compiles.

Draws are stratified: of each number one draw falls in each of D equally probable parts of its range. They are
quantiles at the same places whatever the strengths are, so that only strengths differ between two bases.
Draws count alike: what an item's answers say of the numbers is not weighed, since of one item it is little.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from engine.compilation.compiler import compile_network
from engine.compilation.passes import sd_bounds
from engine.errors import KnowledgeError
from engine.inference.posterior import Inference
from engine.metrics.strengths import (
    fisher_z_sd,
    log_ratio_sd,
    log_sd_sd,
    mean_sd,
    share_quantile,
    stratified,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.backend.types import Floats
    from engine.model.knowledge import Knowledge, Moments
    from engine.model.responses import Answers


# Draws of the base: they estimate a standard deviation to about a seventh of itself (1 / √(2 D)).
DRAWS = 24
# The least part of its way from the medians that a draw is taken; less is as good as the medians themselves.
LEAST_REACH = 1 / 64
# What the language allows: beliefs and probabilities, odds ratios, correlations (`engine.language.fields`).
LEAST_SHARE, MOST_SHARE = 0.001, 0.999
LEAST_RATIO, MOST_RATIO = 0.001, 1000.0
MOST_CORRELATION = 0.99
# A drawn mean stays so far from the middles of the outermost bins, in bins.
LEAST_ROOM = 0.1


@dataclass(frozen=True)
class KnowledgeDraws:
    """Inference by D draws of a base."""

    inferences: tuple[Inference, ...]

    @classmethod
    def of(cls, inference: Inference, rng: np.random.Generator, draws: int = DRAWS) -> KnowledgeDraws:
        """Return draws of a compiled base, compiled.

        Raises:
            KnowledgeError: a base whose strengths are so low that even the medians contradict one another.
        """
        places = stratified(rng, draws, count_numbers(inference.knowledge))
        return cls(tuple(_compile_draw(inference, row) for row in places))

    def marginals(self, answers: Answers) -> dict[str, Floats]:
        """Return the marginals of the root and of levels' variables under the draws, (D, N, states) each."""
        base = self.inferences[0].knowledge
        names = dict.fromkeys((base.root, *(name for names in base.levels.values() for name in names)))
        drawn = {
            name: np.empty((len(self.inferences), len(answers.items), len(base.variables[name].states)))
            for name in names
        }
        for row, inference in enumerate(self.inferences):
            marginals = inference.posterior(answers).marginals
            for name, p in drawn.items():
                p[row] = marginals[name]
        return drawn


def _compile_draw(inference: Inference, places: Floats) -> Inference:
    """Return inference by the base with its numbers at places (numbers,), or as near to them as compiles."""
    base_network, reach = inference.network, 1.0
    # A rule that gave way has the weight 0.
    dropped = [rule.name for rule in base_network.rules if rule.status == "unmet" and not rule.weight]
    while True:
        drawn = draw_base(inference.knowledge, 0.5 + reach * (places - 0.5))
        try:
            network = compile_network(drawn, base_network, dropped)
        except KnowledgeError:
            reach /= 2
            if reach < LEAST_REACH:
                raise
        else:
            return Inference(network, drawn, inference.population, device=inference.device)


def count_numbers(base: Knowledge) -> int:
    """Return how many numbers of a base are drawn."""
    cells = sum(map(len, base.cells.values()))
    axes = len(base.intervals)
    moments = len(base.moments) * (2 * axes + axes * (axes - 1) // 2)
    return cells + moments + len(base.couplings) + len(base.rules)


def draw_base(base: Knowledge, places: Floats) -> Knowledge:
    """Return the base with each number at a quantile of what its strength says.

    places: (numbers,) in (0, 1), as many as `count_numbers` says. As no YAML says these numbers, the base has
    no YAML, and a digest of its own.
    """
    at = iter(places.tolist())
    cells = {
        name: tuple(replace(cell, p=_share(cell.p, cell.n, next(at))) for cell in row)
        for name, row in base.cells.items()
    }
    moments = tuple(_moments(base, moments, at) for moments in base.moments)
    couplings = tuple(
        replace(coupling, odds_ratio=_ratio(coupling.odds_ratio, coupling.n, next(at)))
        for coupling in base.couplings
    )
    rules = tuple(replace(rule, confidence=_share(rule.confidence, rule.n, next(at))) for rule in base.rules)
    digest = hashlib.sha256(base.digest.encode() + places.tobytes()).hexdigest()[:16]
    unread = replace(base, digest=digest, digests={}, numbers={}, yaml=None)
    return replace(unread, cells=cells, moments=moments, couplings=couplings, rules=rules)


def _share(p: float, n: float, at: float) -> float:
    return min(max(share_quantile(p, n, at), LEAST_SHARE), MOST_SHARE)


def _ratio(ratio: float, n: float, at: float) -> float:
    drawn = ratio * math.exp(log_ratio_sd(n) * ndtri(at))
    return min(max(drawn, LEAST_RATIO), MOST_RATIO)


def _moments(base: Knowledge, moments: Moments, at: Iterator[float]) -> Moments:
    """Return drawn moments, within what the bins can have."""
    n, means, sds = moments.n, [], []
    for name, mean, sd in zip(base.intervals, moments.mean, moments.sd, strict=True):
        edges = np.array(base.variables[name].edges)
        room = (0.5 + LEAST_ROOM) * (edges[1] - edges[0])
        drawn = mean + mean_sd(sd, n) * float(ndtri(next(at)))
        # A declared mean that is nearer to the end than that stays allowed.
        low, high = min(edges[0] + room, mean), max(edges[-1] - room, mean)
        means.append(float(min(max(drawn, low), high)))
        least, most = sd_bounds(edges, means[-1])
        sds.append(min(max(sd * math.exp(log_sd_sd(n) * ndtri(next(at))), least), most))
    correlation = np.array(moments.correlation)
    for i, j in np.transpose(np.triu_indices(len(means), 1)).tolist():
        r = math.tanh(math.atanh(correlation[i, j]) + fisher_z_sd(n) * float(ndtri(next(at))))
        correlation[i, j] = correlation[j, i] = min(max(r, -MOST_CORRELATION), MOST_CORRELATION)
    rows = tuple(tuple(row) for row in correlation.tolist())
    return replace(moments, mean=tuple(means), sd=tuple(sds), correlation=rows)
