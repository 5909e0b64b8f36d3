"""Figures in the gallery: the value of a block's last expression, as a notebook would draw it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

# Pixels an inch: twice what a page shows, for dense screens.
DPI = 192


def figures(_block: tuple[Any, ...], block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Return the reST of the figure that a block ends with; `pyplot` holds no such figure."""
    variables = block_vars["example_globals"]
    figure = variables.get("___")
    # The value stays there when a later block ends without one.
    if not isinstance(figure, Figure) or figure in variables.setdefault("__drawn__", []):
        return ""
    variables["__drawn__"].append(figure)
    path = Path(next(block_vars["image_path_iterator"]))
    figure.savefig(path, dpi=DPI)
    alt = str(block_vars.get("figure_alt", "")) or path.stem
    return str(figure_rst([path], gallery_conf["src_dir"], alt))
