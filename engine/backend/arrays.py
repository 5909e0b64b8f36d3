"""Functions that work on arrays of numpy and tensors of torch alike, where the two libraries differ.

Arrays are tensors of torch where a fit needs derivatives, and numpy arrays elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = Any
    Ints = NDArray[np.int64]


def library(array: Array) -> Any:
    """Return the module whose functions work on an array: numpy, or torch for its tensors."""
    if isinstance(array, np.ndarray | np.generic | float | int):
        return np
    import torch

    return torch


def put(array: Array, like: Array, *, whole: bool = False) -> Array:
    """Return a numpy array as one of the library and kind of `like`, or of its whole numbers."""
    if library(like) is np:
        return array
    return library(like).as_tensor(array, dtype=None if whole else like.dtype)


def gammaln(array: Array) -> Array:
    """Return log Γ."""
    return special.gammaln(array) if library(array) is np else array.lgamma()


def ndtr(array: Array) -> Array:
    """Return the normal distribution function."""
    xp = library(array)
    return special.ndtr(array) if xp is np else xp.special.ndtr(array)


def take(array: Array, index: Ints) -> Array:
    """Return rows of an array; in torch by the way whose derivative is quick."""
    return array[index] if library(array) is np else array.index_select(0, put(index, array, whole=True))


def run_sums(array: Array, starts: Ints) -> Array:
    """Return the sums of the runs along the first axis that begin at `starts`, which begin with 0."""
    if library(array) is np:
        return np.add.reduceat(array, starts, axis=0)
    run = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(array)))
    return array.new_zeros(len(starts), *array.shape[1:]).index_add(0, put(run, array, whole=True), array)


def taken_sums(array: Array, index: Ints, starts: Ints) -> Array:
    """Return `run_sums` of the rows `index` of an array (n, M)."""
    if library(array) is np:
        return np.add.reduceat(array[index], starts, axis=0)
    from torch.nn.functional import embedding_bag

    return embedding_bag(put(index, array, whole=True), array, put(starts, array, whole=True), mode="sum")


def sums_at(array: Array, place: Ints, size: int) -> Array:
    """Return the sums (size,) of the numbers (n,) that have the same place (n,)."""
    if library(array) is np:
        return np.bincount(place, weights=array, minlength=size)
    return array.new_zeros(size).index_add(0, put(place, array, whole=True), array)
