"""What the base declares of two answers about one variable: how often both are wrong.

P(y, y' | x) of the first answer y of one reading and the answer y' it is compared with, for a truth x:

    two observers     Σ_j S[x, j] A_a[x, j, y] A_b[x, j, y'],       A = (κ V + (1 - κ) C) R
    of one family     the same, j a look and what the family made of it, W in place of V
    two readings      Σ_m C[x, m] B[x, m, y] B[x, m, y'],           B = (κ I + (1 - κ) C) R
    two draws         Σ_m C[x, m] R[m, y] (α[m, y'] + [y = y']) / (A[m] + 1)

S and V are the shared look (`dependence`), C[x, m] what an observer settles on, κ its carry, α[m] the
Dirichlet counts of a reading's answers, A[m] = Σ_y α[m, y], R = α / A (`kernels`). Halo plays no part: it
is how a label changes other answers. Summed over the other's answers each is an observer's declared table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.model.confusion import own_answers
from engine.observation.kernels import LabelKernel

if TYPE_CHECKING:
    from engine.backend.types import Floats
    from engine.observation.evidence import ObservationModel


@dataclass(frozen=True)
class ErrorRates:
    """Probabilities that the first, the second and both of two answers are wrong."""

    first: float
    second: float
    both: float

    @property
    def second_given_first(self) -> float:
        """Return P(the second is wrong | the first is wrong), NaN where the first never is."""
        return self.both / self.first if self.first > 0 else math.nan

    @property
    def first_given_second(self) -> float:
        """Return P(the first is wrong | the second is wrong), NaN where the second never is."""
        return self.both / self.second if self.second > 0 else math.nan

    @property
    def phi(self) -> float:
        """Return the correlation of the two errors, NaN where one of them is always or never wrong."""
        spread = self.first * (1 - self.first) * self.second * (1 - self.second)
        return (self.both - self.first * self.second) / math.sqrt(spread) if spread > 0 else math.nan


def observers_jointly(observations: ObservationModel, name: str, pair: tuple[str, str]) -> Floats:
    """Return P(answers of two observers, one each | truth) about a variable, (K, answers, answers)."""
    indices = [_index(observations, observer) for observer in pair]
    kernels = [_kernel(observations, index, name) for index in indices]
    look, order = observations.shared_look(name), observations.observers_of(name)
    shared, settled = np.ones((len(kernels[0].mix), 1)), [kernel.mix[:, None] for kernel in kernels]
    if look is not None:
        shared, *settled = look.of_pair(*(order.index(index) for index in indices))
    parts = []
    for index, kernel, given in zip(indices, kernels, settled, strict=True):
        carry = observations.carry[index]
        parts.append((carry * given + (1 - carry) * kernel.mix[:, None]) @ _answer_rates(kernel))
    return np.asarray(np.einsum("xj,xjy,xjz->xyz", shared, *parts))


def readings_jointly(observations: ObservationModel, name: str, observer: str) -> Floats:
    """Return P(first answers of two readings of an observer | truth), (K, answers, answers)."""
    index = _index(observations, observer)
    kernel, carry = _kernel(observations, index, name), observations.carry[index]
    brought_out = carry * np.eye(kernel.mix.shape[1]) + (1 - carry) * kernel.mix[:, None]
    answers = brought_out @ _answer_rates(kernel)
    return np.asarray(np.einsum("xm,xmy,xmz->xyz", kernel.mix, answers, answers))


def draws_jointly(observations: ObservationModel, name: str, observer: str) -> Floats:
    """Return P(two draws of one reading | truth), (K, answers, answers)."""
    kernel = _kernel(observations, _index(observations, observer), name)
    again = kernel.alpha[:, None, :] + np.eye(kernel.alpha.shape[1])
    again = again / again.sum(2, keepdims=True)
    return np.asarray(np.einsum("xm,my,myz->xyz", kernel.mix, _answer_rates(kernel), again))


def error_rates(
    observations: ObservationModel, name: str, pair: tuple[str, str], joint: Floats, p: Floats
) -> ErrorRates:
    """Return how often the answers of two observers, or twice of one, are wrong where P(truth) is p, (K,).

    joint: P(both answers | truth), (K, answers, answers). An answer that names no state is wrong.
    """
    first_wrong, second_wrong = (1 - _matches(observations, name, observer) for observer in pair)
    first, second, both = (
        float(np.einsum("x,xyz,xy,xz->", p, joint, one_wrong, other_wrong))
        for one_wrong, other_wrong in (
            (first_wrong, np.ones_like(second_wrong)),
            (np.ones_like(first_wrong), second_wrong),
            (first_wrong, second_wrong),
        )
    )
    return ErrorRates(first, second, both)


def _index(observations: ObservationModel, name: str) -> int:
    return [observer.name for observer in observations.observers].index(name)


def _kernel(observations: ObservationModel, index: int, name: str) -> LabelKernel:
    kernel = observations.kernels[index, name]
    if not isinstance(kernel, LabelKernel):
        raise TypeError(f"{name} is answered with numbers, not labels")
    return kernel


def _answer_rates(kernel: LabelKernel) -> Floats:
    """Return R, P(one answer | what a reading brings out), (M, answers)."""
    return np.asarray(kernel.alpha / kernel.alpha.sum(1, keepdims=True))


def _matches(observations: ObservationModel, name: str, observer: str) -> Floats:
    """Return 1 where an answer names the truth, (K, answers)."""
    instrument = observations.observers[_index(observations, observer)].labels[name]
    return own_answers(instrument.answers, observations.knowledge.variables[name])
