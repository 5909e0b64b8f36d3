"""A fit's draws as a file for ArviZ."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from engine import yaml_path
from seke.files.atomic import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from seke.calibration.calibrate import Calibration


def write_trace(calibration: Calibration, path: Path) -> None:
    """Write the posterior's and the prior's draws as netCDF, variables named as the parameters' paths.

    Draws of NUTS keep their chains; those of a Gaussian are independent, one chain.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import arviz

    def by_chain(draws: Any, chains: int) -> dict[str, Any]:
        return {yaml_path(key): array.reshape(chains, -1, *array.shape[1:]) for key, array in draws.items()}

    data = arviz.from_dict(
        posterior=by_chain(calibration.fit.draws, calibration.fit.chains),
        prior=by_chain(calibration.fit.prior, 1),
        attrs={key: str(value) for key, value in calibration.facts.items()},
    )
    with replacing(path) as part:
        data.to_netcdf(str(part), engine="h5netcdf")
