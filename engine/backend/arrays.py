"""Functions that work on arrays of numpy and tensors of torch alike, where the two libraries differ.

Arrays are tensors of torch where a fit needs derivatives, and numpy arrays elsewhere. Special functions of
many numbers are scipy's; those of a few are the standard library's, since scipy.special takes longer to
import than all else that a small study computes. The two differ by their rounding alone, some 1e-15.
"""

from __future__ import annotations

import math
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from engine.backend.types import Array, Floats, Ints, Namespace


# So many numbers are few, as long as nothing else imports scipy.special: one at a time they take 0.3 us each,
# by scipy 0.02. Tables of a number kernel, of which a base has some dozens, have thousands of cells.
FEW, FEW_CELLS = 512, 8_192
# What numpy works with, plain numbers too.
_FOR_NUMPY = (np.ndarray, np.generic, float, int)


def is_tensor(array: object) -> TypeGuard[torch.Tensor]:
    """Return whether an array, of any shape, is torch's; all else, numbers too, are for numpy."""
    return not isinstance(array, _FOR_NUMPY)


def namespace(array: Array | float) -> Namespace:
    """Return the module whose functions work on an array: numpy, or torch for its tensors."""
    module: Any = np  # Its functions are overloaded, for which mypy finds that it lacks those of `Namespace`.
    if is_tensor(array):
        import torch

        module = torch
    return module  # type: ignore[no-any-return]


def asarray_like(array: Array, like: Array | float) -> Array:
    """Return an array as one of the library, kind and device of `like`, of the same shape."""
    if not is_tensor(like):
        return array
    import torch

    return torch.as_tensor(array).to(device=like.device, dtype=like.dtype)


def zeros_like_of(shape: tuple[int, ...], like: Array) -> Array:
    """Return zeros of a shape, in the library, kind and device of `like`."""
    return like.new_zeros(shape) if is_tensor(like) else np.zeros(shape)


def plain_numbers(array: Array) -> Floats:
    """Return the numbers of an array, of its shape, as numpy's, without derivatives."""
    return array.detach().cpu().numpy() if is_tensor(array) else np.asarray(array)


def gammaln(array: Array | Floats | Ints | float) -> Any:
    """Return log Γ of each number, of the array's shape."""
    if is_tensor(array):
        return array.lgamma()
    values = _few(math.lgamma, array, FEW)
    return _special().gammaln(array) if values is None else values


def ndtr(array: Array) -> Array:
    """Return the normal distribution function of each number, of the array's shape."""
    if is_tensor(array):
        import torch

        return torch.special.ndtr(array)  # type: ignore[no-any-return]
    values = _few(math.erfc, array * -math.sqrt(0.5), FEW_CELLS)
    return _special().ndtr(array) if values is None else values / 2


def ndtri(array: Floats | float) -> Floats:
    """Return the normal quantile of each probability, of the array's shape; of 0 and 1 it is infinite."""
    values = _few(_normal_quantile(), array, FEW)
    return _special().ndtri(array) if values is None else values


@cache
def _normal_quantile() -> Callable[[float], float]:
    from statistics import NormalDist

    return NormalDist().inv_cdf


def _special() -> Any:
    from scipy import special

    return special


def _few(of_one: Callable[[float], float], array: Any, most: int) -> Floats | None:
    """Return a function of each number, None where scipy is at hand, of more than `most`, and at a pole."""
    numbers = np.asarray(array, dtype=np.float64)
    if numbers.size > most or "scipy.special" in sys.modules:
        return None
    try:
        values = np.fromiter(map(of_one, numbers.ravel().tolist()), np.float64, numbers.size)
    except (ValueError, OverflowError):  # A pole, or too large.
        return None
    return values.reshape(numbers.shape)[()]


def distinct(numbers: Ints) -> Ints:
    """Return each number of an array once, (n,), ascending, as np.unique does, which imports numpy.ma."""
    ordered = np.sort(numbers, axis=None)
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def take_rows(array: Array, index: Ints) -> Array:
    """Return rows (n, ...) of an array by their index (n,); in torch by the way whose derivative is quick."""
    if not is_tensor(array):
        return array[index]
    import torch

    return array.index_select(0, torch.as_tensor(index).to(array.device))


def add_rows(array: Array, index: Ints, rows: Array, axis: int = 0) -> None:
    """Add rows, or columns on axis 1, to those of an array (n, ...) in place, by their index; each once.

    In torch by the way whose second derivatives are quick: the others copy the array each time.
    """
    if not is_tensor(array):
        array[(slice(None),) * axis + (index,)] += rows
        return
    import torch

    array.index_add_(axis, torch.as_tensor(index).to(array.device), torch.as_tensor(rows))


def run_sums(array: Array, starts: Ints) -> Array:
    """Return the sums (runs, ...) of the runs of rows that begin at `starts`, the first of which is 0."""
    if not is_tensor(array):
        return np.add.reduceat(array, starts, axis=0)
    import torch

    run = torch.as_tensor(np.repeat(np.arange(len(starts)), np.diff(starts, append=len(array))))
    return array.new_zeros(len(starts), *array.shape[1:]).index_add(0, run.to(array.device), array)


def taken_sums(array: Array, index: Ints, starts: Ints) -> Array:
    """Return `run_sums` (runs, M) of the rows `index` of an array (n, M)."""
    if not is_tensor(array):
        return np.add.reduceat(array[index], starts, axis=0)
    return run_sums(take_rows(array, index), starts)


def sums_at(array: Array, place: Ints, size: int) -> Array:
    """Return the sums (size,) of the numbers (n,) that have the same place (n,)."""
    if not is_tensor(array):
        sums: Floats = np.bincount(place, weights=array, minlength=size).astype(np.float64, copy=False)
        return sums
    import torch

    return array.new_zeros(size).index_add(0, torch.as_tensor(place).to(array.device), array)
