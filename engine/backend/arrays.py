"""The few functions that numpy and torch name or do differently: with them the same lines serve both.

Where a fit needs derivatives the arrays are torch's, else numpy's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from engine.backend.types import Ints

    Array = Any


def namespace(array: Array) -> Any:
    """Return the module whose functions work on an array: numpy, or torch for its tensors."""
    if isinstance(array, np.ndarray | np.generic | float | int):
        return np
    import torch

    return torch


def asarray_like(array: Array, like: Array, *, whole: bool = False) -> Array:
    """Return a numpy array as one of the library and kind of `like`, or of its whole numbers."""
    if namespace(like) is np:
        return array
    return namespace(like).as_tensor(array, dtype=None if whole else like.dtype)


def gammaln(array: Array) -> Array:
    """Return log Γ."""
    return special.gammaln(array) if namespace(array) is np else array.lgamma()


def ndtr(array: Array) -> Array:
    """Return the normal distribution function."""
    xp = namespace(array)
    return special.ndtr(array) if xp is np else xp.special.ndtr(array)


def take_rows(array: Array, index: Ints) -> Array:
    """Return rows of an array; in torch by the way whose derivative is quick."""
    return (
        array[index]
        if namespace(array) is np
        else array.index_select(0, asarray_like(index, array, whole=True))
    )


def run_sums(array: Array, starts: Ints) -> Array:
    """Return the sums of the runs along the first axis that begin at `starts`, which begin with 0."""
    if namespace(array) is np:
        return np.add.reduceat(array, starts, axis=0)
    run = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(array)))
    return array.new_zeros(len(starts), *array.shape[1:]).index_add(
        0, asarray_like(run, array, whole=True), array
    )


def taken_sums(array: Array, index: Ints, starts: Ints) -> Array:
    """Return `run_sums` of the rows `index` of an array (n, M)."""
    if namespace(array) is np:
        return np.add.reduceat(array[index], starts, axis=0)
    from torch.nn.functional import embedding_bag

    return embedding_bag(
        asarray_like(index, array, whole=True), array, asarray_like(starts, array, whole=True), mode="sum"
    )


def sums_at(array: Array, place: Ints, size: int) -> Array:
    """Return the sums (size,) of the numbers (n,) that have the same place (n,)."""
    if namespace(array) is np:
        return np.bincount(place, weights=array, minlength=size)
    return array.new_zeros(size).index_add(0, asarray_like(place, array, whole=True), array)
