"""A junction tree in the arrays of numpy, or of torch on a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import is_tensor
from engine.errors import SekeError
from engine.network.junction_tree import Readout

if TYPE_CHECKING:
    import torch

    from engine.backend.types import Array, Floats


@dataclass(frozen=True)
class DeviceTree:
    """A population's junction tree in the arrays of one library: tables and outlets, one a step."""

    tables: tuple[Array, ...]
    outlets: tuple[Readout, ...]

    def convert(self, array: Array) -> Array:
        """Return the array, of the same shape, in the library, type and device of this tree."""
        like = self.tables[0]
        return _tensor(array, like.dtype, like.device) if is_tensor(like) else array

    def as_tensors(self, device: str, single: bool) -> DeviceTree:
        """Return this tree as torch tensors on a device."""
        import torch

        kind = torch.float32 if single else torch.float64
        outlets = tuple(
            Readout(
                _tensor(outlet.transposed, kind, device), _tensor(outlet.states, kind, device), outlet.events
            )
            for outlet in self.outlets
        )
        return DeviceTree(tuple(_tensor(table, kind, device) for table in self.tables), outlets)


def check_device(device: str) -> None:
    """Raise a SekeError where torch cannot compute on a device."""
    import torch

    try:
        torch.zeros(1, dtype=torch.float32, device=device)
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        usable = "cpu and cuda" if torch.cuda.is_available() else "cpu"
        reason = str(error).partition("\n")[0].partition(". ")[0][:60]
        message = f"torch cannot compute on device {device!r} here ({reason}); it can on {usable}"
        raise SekeError(message) from None


def _tensor(array: Array, kind: torch.dtype, device: torch.device | str) -> Array:
    """Return an array as a tensor of the same shape."""
    import torch

    return torch.as_tensor(array).to(device=device, dtype=kind)


def as_numpy(array: Array) -> Floats:
    """Return an array as numpy's, of the same shape."""
    return np.asarray(array.cpu().numpy() if is_tensor(array) else array, dtype=np.float64)
