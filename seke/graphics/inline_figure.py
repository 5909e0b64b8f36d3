"""A figure of matplotlib that a notebook shows by itself; imported late, since matplotlib takes a while."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

# Dots an inch of a picture in a notebook: sharp on a screen of twice the usual density.
DPI = 144


class InlineFigure(Figure):
    """A figure that is shown as the value of a cell, though `matplotlib.pyplot` was never imported."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DPI)
        width, height = (round(length * DPI / 2) for length in self.get_size_inches())
        return buffer.getvalue(), {"width": width, "height": height}
