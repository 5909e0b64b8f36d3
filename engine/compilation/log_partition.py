r"""log Z of a junction tree without evidence, its gradient and its Hessian in the weights of features.

A feature φ_p stands on one clique, whose table is T · exp(Σ_p λ_p φ_p). With the messages M of `collect`,

    ∂log Z / ∂λ_p = E[φ_p] = Σ φ_p · belief,        belief = T · adjoint,
    ∂E[φ_q] / ∂λ_p = Σ_Q S_q · ∂adjoint[Q] / ∂λ_p  (+ Σ φ_p φ_q · belief, where both stand on one clique),

S_q[Q] = Σ_P φ_q[Q, P] · T[Q, P] over the private nodes P. The adjoint of a clique is over its shared nodes Q
alone, so that no derivative has the size of a table. One pass inwards carries the messages and their
derivatives, one pass outwards the adjoints and theirs (forward over reverse differentiation, by hand).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.backend.types import Floats
    from engine.network.values import Clique

    # The columns of the features of a clique, and the features on its table: (K or 1, features, cells).
    Design = tuple[list[int], Floats]

# Messages are at least this, so that they can be divided by.
TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class PassResults:
    """What the passes yield of N rows. log_z: (N,). beliefs: one a clique, P of its cells, (N, sizes...).

    mean: (N, P) E of each feature; covariance: (N, P, P), None where it was not asked for.
    """

    log_z: Floats
    beliefs: list[Floats]
    mean: Floats
    covariance: Floats | None


class _Pass:
    """The passes over one set of tables."""

    def __init__(
        self,
        steps: Sequence[Clique],
        log_tables: Sequence[Floats],
        designs: Sequence[Design | None],
        count: int,
    ) -> None:
        """count: of the first parameters whose covariance is wanted; 0 for none."""
        self.steps, self.designs, self.count = steps, designs, count
        self.rows = max(len(table) for table in log_tables)
        self.log_z = np.zeros(self.rows)
        self.tables: list[Floats] = []
        for table in log_tables:
            # A constant taken out of each table keeps its exponential within range.
            peak = table.reshape(len(table), -1).max(1)
            linear = np.exp(table - peak.reshape(-1, *[1] * (table.ndim - 1)))
            self.tables.append(np.broadcast_to(linear, (self.rows, *table.shape[1:])))
            self.log_z += peak
        # Of each clique: its static part (N, shared...), its message and adjoint; derivatives have the
        # parameters as their first axis.
        self.static: list[Floats] = []
        self.static_slopes: list[Floats | None] = []
        self.messages: list[Floats] = []
        self.message_slopes: list[Floats | None] = []
        self.peaks: list[Floats] = []

    def inwards(self) -> None:
        """Pass messages towards the top."""
        for index, step in enumerate(self.steps):
            static = self.without_private(index, self.tables[index])
            self.static.append(static)
            self.static_slopes.append(self._static_slope(index, static))
            value, slope = self._product(index, None, (static, self.static_slopes[index]))
            gone = tuple(1 + axis for axis, name in enumerate(step.shared) if name not in step.separator)
            message = value.sum(axis=gone) if gone else value
            peak = np.maximum(message.reshape(self.rows, -1).max(1), TINY)
            self.log_z += np.log(peak)
            wide = peak.reshape(-1, *[1] * (message.ndim - 1))
            self.messages.append(message / wide)
            self.peaks.append(peak)
            if slope is not None:
                after = tuple(1 + axis for axis in gone)
                slope = (slope.sum(axis=after) if gone else slope) / wide
            self.message_slopes.append(slope)

    def outwards(self) -> Iterator[tuple[int, Floats, Floats | None]]:
        """Yield each clique's adjoint over its shared nodes, (N, shared... or 1), and its derivatives."""
        down: dict[int, tuple[Floats, Floats | None]] = {}
        for index in reversed(range(len(self.steps))):
            step = self.steps[index]
            if step.separator:
                adjoint, slope = down.pop(index)
            else:
                message, message_slope = self.messages[index], self.message_slopes[index]
                adjoint = 1 / np.maximum(message, TINY)
                slope = None if message_slope is None else -message_slope * adjoint**2
            peak = self.peaks[index].reshape(-1, *[1] * (adjoint.ndim - 1))
            adjoint = self._widened(adjoint / peak, step.separator, index)
            slope = None if slope is None else self._widened(slope / peak, step.separator, index)
            for child in step.children:
                belief, belief_slope = self._product(
                    index, child, _times((adjoint, slope), (self.static[index], self.static_slopes[index]))
                )
                separator = self.steps[child].separator
                gone = tuple(1 + axis for axis, name in enumerate(step.shared) if name not in separator)
                belief = np.broadcast_to(belief, self.static[index].shape)
                after = tuple(1 + axis for axis in gone)
                if belief_slope is not None:
                    shape = (len(belief_slope), *self.static[index].shape)
                    belief_slope = np.broadcast_to(belief_slope, shape).sum(axis=after)
                down[child] = belief.sum(axis=gone), belief_slope
            yield index, *self._product(index, None, (adjoint, slope))

    def without_private(self, index: int, array: Floats) -> Floats:
        """Return the sums (..., shared...) of an array (..., sizes of the clique's nodes...)."""
        step = self.steps[index]
        sums: Floats
        if step.grid is not None and step.grid.cell:
            sums = np.add.reduceat(array, [run.start for run in step.grid.runs], axis=-1)
        else:
            private = tuple(range(array.ndim - len(step.private), array.ndim))
            sums = array.sum(axis=private) if private else array
        return sums

    def on_table(self, index: int, array: Floats) -> Floats:
        """Return an array (N, shared... or 1) as what broadcasts to the clique's table."""
        step = self.steps[index]
        if step.grid is not None:
            if not step.grid.cell:
                return array[..., None]
            sizes = [run.stop - run.start for run in step.grid.runs]
            return np.repeat(np.broadcast_to(array, (len(array), len(sizes))), sizes, axis=-1)
        return array.reshape(*array.shape, *[1] * len(step.private))

    def _static_slope(self, index: int, static: Floats) -> Floats | None:
        """Return the derivatives of a clique's static part in the parameters, (P, N, shared...)."""
        design = self.designs[index]
        if not self.count or design is None:
            return None
        columns, features = design
        wanted = [place for place, column in enumerate(columns) if column < self.count]
        if not wanted:
            return None
        slopes = np.zeros((self.count, *static.shape))
        sizes = self.tables[index].shape[1:]
        for place in wanted:
            tilted = self.tables[index] * features[:, place].reshape(-1, *sizes)
            slopes[columns[place]] = self.without_private(index, tilted)
        return slopes

    def _product(
        self, index: int, but: int | None, start: tuple[Floats, Floats | None]
    ) -> tuple[Floats, Floats | None]:
        """Return `start` times the messages of a clique's children, all `but` one, and its derivatives."""
        product = start
        for child in self.steps[index].children:
            if child != but:
                separator = self.steps[child].separator
                slope = self.message_slopes[child]
                message = self._widened(self.messages[child], separator, index)
                slope = None if slope is None else self._widened(slope, separator, index)
                product = _times(product, (message, slope))
        return product

    def _widened(self, array: Floats, separator: Sequence[str], index: int) -> Floats:
        """Return (..., separator...) on the axes of the clique's shared nodes, of size 1 elsewhere."""
        names = self.steps[index].shared
        before = array.ndim - len(separator)
        sizes = dict(zip(separator, array.shape[before:], strict=True))
        return array.reshape(*array.shape[:before], *(sizes.get(name, 1) for name in names))


def _times(
    first: tuple[Floats, Floats | None], second: tuple[Floats, Floats | None]
) -> tuple[Floats, Floats | None]:
    """Return a product and its derivatives; None for those that are 0."""
    terms = []
    if first[1] is not None:
        terms.append(first[1] * second[0])
    if second[1] is not None:
        terms.append(first[0] * second[1])
    slope = None if not terms else terms[0] if len(terms) == 1 else terms[0] + terms[1]
    return first[0] * second[0], slope


def log_partition(steps: Sequence[Clique], log_tables: Sequence[Floats]) -> Floats:
    """Return log Z of each row, (N,); log_tables: one a clique, (N or 1, sizes...)."""
    passes = _Pass(steps, log_tables, [None] * len(steps), 0)
    passes.inwards()
    return passes.log_z


def moments(
    steps: Sequence[Clique],
    log_tables: Sequence[Floats],
    designs: Sequence[Design | None],
    size: int,
    count: int = 0,
) -> PassResults:
    """Return log Z, its gradient in all `size` parameters, and its Hessian in the first `count`.

    log_tables: one a clique, (N or 1, sizes...), features times parameters included; N is a multiple of the
    features' rows, and these rows themselves where count is above 0.
    """
    passes = _Pass(steps, log_tables, designs, count)
    passes.inwards()
    beliefs: list[Floats] = [np.zeros(0)] * len(steps)
    mean = np.zeros((passes.rows, size))
    covariance = np.zeros((passes.rows, count, count)) if count else None
    for index, adjoint, slope in passes.outwards():
        table = passes.tables[index]
        belief = np.ascontiguousarray(np.broadcast_to(table * passes.on_table(index, adjoint), table.shape))
        beliefs[index] = belief
        design = designs[index]
        if design is None:
            continue
        columns, features = design
        flat = belief.reshape(passes.rows, -1)
        # Rows are copies of those of the features.
        copies = flat.reshape(-1, len(features), flat.shape[1], 1)
        mean[:, columns] = (features @ copies).reshape(passes.rows, -1)
        if covariance is None:
            continue
        places = [place for place, column in enumerate(columns) if column < count]
        if not places:
            continue
        chosen, of_clique = features[:, places], [columns[place] for place in places]
        square = (chosen * flat[:, None]) @ chosen.transpose(0, 2, 1)
        covariance[np.ix_(range(passes.rows), of_clique, of_clique)] += square
        if slope is not None:
            shared = passes.static[index].shape[1:]
            tilted = np.stack(
                [
                    passes.without_private(index, table * features[:, place].reshape(-1, *table.shape[1:]))
                    for place in places
                ],
                axis=1,
            ).reshape(passes.rows, len(places), -1)
            wide = np.broadcast_to(slope, (count, passes.rows, *shared)).reshape(count, passes.rows, -1)
            covariance[:, of_clique] += tilted @ wide.transpose(1, 2, 0)
    return PassResults(passes.log_z, beliefs, mean, covariance)
