"""The types of arrays: those of numpy by what they hold, and what numpy's and torch's have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Array(Protocol):
    """An array of floats, numpy's or torch's: the attributes by which the same lines serve both.

    Indices and other operands are `Any`: what they may be differs between the two.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the sizes of the axes."""

    @property
    def ndim(self) -> int:
        """Return the number of axes."""

    @property
    def dtype(self) -> Any:
        """Return the library's own type of the numbers."""

    @property
    def T(self) -> Array:  # noqa: N802 (so both call it)
        """Return the transpose (n, m) of a matrix (m, n)."""

    def __array__(self) -> Floats: ...
    def __float__(self) -> float: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __getitem__(self, index: Any, /) -> Array: ...
    def __setitem__(self, index: Any, value: Any, /) -> None: ...
    def __neg__(self) -> Array: ...
    def __add__(self, other: Any, /) -> Array: ...
    def __radd__(self, other: Any, /) -> Array: ...
    def __sub__(self, other: Any, /) -> Array: ...
    def __rsub__(self, other: Any, /) -> Array: ...
    def __mul__(self, other: Any, /) -> Array: ...
    def __rmul__(self, other: Any, /) -> Array: ...
    def __truediv__(self, other: Any, /) -> Array: ...
    def __rtruediv__(self, other: Any, /) -> Array: ...
    def __pow__(self, other: Any, /) -> Array: ...
    def __matmul__(self, other: Any, /) -> Array: ...

    def reshape(self, *shape: Any, **options: Any) -> Array:
        """Return the numbers in another shape."""

    def squeeze(self, *axis: Any, **options: Any) -> Array:
        """Return the numbers in a shape without axes of size 1."""

    def sum(self, *axis: Any, **options: Any) -> Array:
        """Return the sum over axes, of the shape without them; of all a scalar."""

    def mean(self, *axis: Any, **options: Any) -> Array:
        """Return the mean over axes, of the shape without them; of all a scalar."""


class Namespace(Protocol):
    """Numpy or torch as a module: the functions that both have under the same name."""

    amax: Callable[..., Array]
    amin: Callable[..., Array]
    broadcast_to: Callable[..., Array]
    clip: Callable[..., Array]
    concatenate: Callable[..., Array]
    einsum: Callable[..., Array]
    exp: Callable[[Array], Array]
    finfo: Callable[..., Any]
    log: Callable[[Array], Array]
    log1p: Callable[[Array], Array]
    maximum: Callable[[Array, Array], Array]
    moveaxis: Callable[..., Array]
    ones_like: Callable[[Array], Array]
    sqrt: Callable[[Array], Array]
    stack: Callable[..., Array]
    zeros_like: Callable[[Array], Array]
