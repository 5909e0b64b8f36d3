"""Functions that work on arrays of numpy and tensors of torch alike, where the two libraries differ.

Arrays are tensors of torch where a fit needs derivatives, and numpy arrays elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from scipy import special

if TYPE_CHECKING:
    import torch

    from engine.backend.types import Array, Floats, Ints, Namespace


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


def gammaln(array: Array) -> Array:
    """Return log Γ of each number, of the array's shape."""
    if is_tensor(array):
        return array.lgamma()
    values: Floats = special.gammaln(array)
    return values


def ndtr(array: Array) -> Array:
    """Return the normal distribution function of each number, of the array's shape."""
    values: Array
    if is_tensor(array):
        import torch

        values = torch.special.ndtr(array)
    else:
        values = special.ndtr(array)
    return values


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
