"""Draws a fit's prior and posterior of each parameter side by side, with ArviZ."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import SekeError

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure


def forest(trace: Path, most: int) -> Figure:
    """Draw 90 % intervals of prior and posterior of the `most` parameters that moved farthest.

    Raises:
        engine.SekeError: a file that is no trace of a fit.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from importlib import import_module

        import matplotlib as mpl

        from seke.graphics.inline_figure import InlineFigure

        arviz: Any = import_module("arviz")
        try:
            data = arviz.from_netcdf(str(trace), engine="h5netcdf")
            posterior, prior = data["posterior"], data["prior"]
        except (OSError, KeyError, ValueError) as error:
            raise SekeError(f"{trace}: is no trace of a fit ({error})") from None
        groups = [_scalars(group) for group in (prior, posterior)]
        names_shown = sorted(groups[1], key=lambda name: -_moved(groups[0].get(name), groups[1][name]))[:most]
        figure = InlineFigure(figsize=(7.5, 1.1 + 0.3 * len(names_shown)), layout="constrained")
        axes = figure.add_subplot()
        draws = [
            arviz.from_dict({name: group[name] for name in names_shown if name in group}) for group in groups
        ]
        with mpl.rc_context({"text.parse_math": False}):
            arviz.plot_forest(
                draws,
                var_names=names_shown,
                model_names=["prior", "posterior"],
                combined=True,
                hdi_prob=0.9,
                colors=["#8c959f", "#0072b2"],
                textsize=8,
                markersize=4,
                linewidth=1.5,
                ax=axes,
            )
        if legend := axes.get_legend():
            handles: Any = legend.legend_handles
            names = [text.get_text() for text in legend.get_texts()]
            legend.remove()
            figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=8)
        left_out = len(groups[1]) - len(names_shown)
        axes.set_title(
            f"90 % intervals{f'; {left_out} unknowns that moved less are left out' if left_out else ''}"
        )
        axes.title.set_fontsize(9)
    return figure


def _scalars(group: Any) -> dict[str, Any]:
    """Return name -> (chains, draws) of each scalar parameter."""
    scalars = {}
    for name, draws in group.data_vars.items():
        values = draws.values
        flat = values.reshape(*values.shape[:2], -1)
        for number, index in enumerate(np.ndindex(values.shape[2:])):
            place = f"[{', '.join(map(str, index))}]" if index else ""
            scalars[f"{name}{place}"] = flat[:, :, number]
    return scalars


def _moved(prior: Any, posterior: Any) -> float:
    if prior is None or prior.std() == 0:
        return 0.0
    return float(abs(posterior.mean() - prior.mean()) / prior.std())
