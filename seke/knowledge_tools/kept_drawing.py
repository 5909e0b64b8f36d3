"""Drawings of graphs, kept for as long as nothing of them would be another one."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import networkx as nx

from seke.graphics.style import figure_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure


def kept_drawing(form: str, graph: nx.Graph, draw: Callable[[nx.Graph], Figure]) -> bytes:
    """Return a graph as the bytes of a picture; reports about one base draw its network once.

    draw: makes the figure, of the graph and matplotlib's settings alone; with either changed it is called
    anew.
    """
    import matplotlib as mpl

    content = json.dumps([nx.node_link_data(graph, edges="edges"), str(mpl.rcParams)], default=float)
    return _drawn(form, _GraphToDraw(content, draw, graph))


@dataclass(frozen=True)
class _GraphToDraw:
    """A graph, equal to others of the same content and settings."""

    content: str
    draw: Callable[[nx.Graph], Figure]
    graph: nx.Graph = field(compare=False)


@functools.lru_cache(maxsize=4)
def _drawn(form: str, to_draw: _GraphToDraw) -> bytes:
    return figure_bytes(to_draw.draw(to_draw.graph), form, dpi=200)
