"""The observation model on a device of torch: evidence is made where the network is computed.

Which readings are alike, and in which rows they stand, is found in integers on the CPU. These indices go to
the device, with the counts of distinct readings and the observers' tables; what is done for each reading and
row is done there: likelihoods, mixtures, gathers and sums, carried looks, what followed a label, shared looks
and families. The probabilities of switches are those of few settings, and are made on the CPU.

In double precision always: logs of what is all but impossible are lost in single precision.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from engine.backend.arrays import asarray_like
from engine.observation.evidence import ObservationModel
from engine.observation.kernels import put_kernel

if TYPE_CHECKING:
    from engine.backend.types import Array, Floats
    from engine.observation.dependence import SharedLook


def evidence_model(observations: ObservationModel, device: str) -> ObservationModel:
    """Return the model that makes evidence on a device; the same for "cpu", and where there are no doubles.

    These are Apple's devices.
    """
    if device == "cpu":
        return observations
    import torch

    if torch.device(device).type == "mps":
        return observations
    return DeviceObservations(observations, torch.zeros((), dtype=torch.float64, device=device))


class DeviceObservations(ObservationModel):
    """An observation model whose tables are tensors on the device of `like`; the original stays as it is.

    The halo and the carry are numpy's.
    """

    def __init__(self, original: ObservationModel, like: Array) -> None:
        vars(self).update(vars(original))
        self._original, self._like = original, like
        self.kernels = {key: put_kernel(kernel, like) for key, kernel in original.kernels.items()}
        self.imagined = {key: self._put(table) for key, table in original.imagined.items()}
        self.exponent = self._put(original.exponent)
        self._looks, self.memory = {}, None

    def _put(self, array: Array) -> Floats:
        # The fields of looks are numpy's for all who read them but `given_looks`, which takes both.
        return cast("Floats", asarray_like(np.array(array), self._like))

    def _derive_look(self, name: str) -> SharedLook | None:
        """Return the looks of a variable as tensors."""
        look = self._original.shared_look(name)
        if look is None:
            return None
        families = tuple(
            replace(
                family,
                settled_given=self._put(family.settled_given),
                answer_given=tuple(map(self._put, family.answer_given)),
            )
            for family in look.families
        )
        return replace(
            look,
            look_given_state=self._put(look.look_given_state),
            answer_given=tuple(map(self._put, look.answer_given)),
            families=families,
        )
