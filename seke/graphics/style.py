"""The style of matplotlib figures, and their conversion to the bytes of a file."""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import TYPE_CHECKING, Any

from seke.graphics.shapes import Drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    # Texts stay texts, and equal values make equal files.
    "svg.fonttype": "none",
    "svg.hashsalt": "seke",
    "text.parse_math": False,
}


def figure_bytes(figure: Figure, form: str, dpi: float = 160) -> bytes:
    """Return a figure as the bytes of a file, without the date: equal figures make equal files."""
    import matplotlib as mpl

    sink = BytesIO()
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {})
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # Names may be in scripts that the font lacks; they are drawn as boxes.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        figure.savefig(sink, format=form, dpi=dpi, metadata=metadata)
    return sink.getvalue()


def picture_bytes(drawn: Drawing | Figure, form: str) -> bytes:
    """Return a picture or a figure as the bytes of a file; a picture on paper, with a margin."""
    if not isinstance(drawn, Drawing):
        return figure_bytes(drawn, form)
    framed = drawn.with_margin()
    return framed.svg().encode() if form == "svg" else figure_bytes(framed.figure(), form, dpi=192)
