"""`seke knowledge graph`: the compiled network as a picture, or as a graph for other programs."""

from __future__ import annotations

import json
import math
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from engine import Inference, Knowledge, declared_of, mutual_information
from seke.files.networks import network_of
from seke.files.shipped import knowledge as read_knowledge
from seke.graphics.style import STYLE
from seke.knowledge_tools.graph_lines import POINTS, clear_bend, curves
from seke.knowledge_tools.kept_drawing import kept_drawing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch

    from seke.knowledge_tools.graph_lines import Extent, Point

FORMS = ("svg", "png", "pdf", "dot", "graphml")
INK, PALE, BAND = "#222222", "#8a8f98", "#f3f4f6"
ROOT, BINARY, INTERVAL = "#2b5c8a", "#ffffff", "#e8f1ec"
TOGETHER, AGAINST, RULE = "#c26a1b", "#7a4fa3", "#1e7b57"
GAP, ROW, STAGGER = 1.75, 0.98, 0.5
# Widths of a character in bold and in plain type, in units of the drawing and of its size.
BOLD, PLAIN = 0.0118, 0.0098
# Line width, in points, of the table with most mutual information.
WIDEST_LINE = 9.0
# Half the diagonal of a rule's sign, in units of the drawing.
RULE_REACH = 0.17
# Inches a unit of the drawing, and a letter of the list of rules.
SCALE, LETTER = 0.82, 0.051


def network_graph(knowledge: Knowledge | str | Path | None = None) -> nx.Graph:
    """Return the compiled network as a graph.

    Nodes: variables (`kind`: categorical, binary or interval; label, group) and rules (kind rule: number,
    if, then, confidence). Edges (`kind`): `table` between the root and the others, `coupling` with its odds
    ratio, both with `bits`, the mutual information of its ends; `if` and `then` between rules and variables.
    """
    base = read_knowledge(knowledge)
    bits = mutual_information(Inference(network_of(base), base))
    graph = nx.Graph(name=base.name, digest=base.digest, root=base.root)
    for name in (base.root, *base.cells, *base.intervals):
        variable = base.variables[name]
        group = variable.about.get("region", "")
        graph.add_node(
            name, kind=variable.kind, label=variable.label, group=group, states=", ".join(variable.states)
        )
    for name in (*base.cells, *base.intervals):
        graph.add_edge(base.root, name, kind="table", bits=bits[frozenset((base.root, name))])
    for coupling in base.couplings:
        pair_bits = bits[frozenset(coupling.pair)]
        graph.add_edge(
            *coupling.pair,
            kind="coupling",
            odds_ratio=coupling.odds_ratio,
            bits=pair_bits,
            label=coupling.name,
        )
    if len(base.intervals) == 2:
        graph.add_edge(*base.intervals, kind="table", bits=bits[frozenset(base.intervals)])
    leaves = declared_of(base).leaves
    for number, rule in enumerate(base.rules, 1):
        texts = {key: leaves[f"rules.{rule.name}.{key}"].text for key in ("if", "then")}
        name = f"rule {rule.name}"
        graph.add_node(name, kind="rule", label=rule.name, number=number, confidence=rule.confidence, **texts)
        for key, formula in (("if", rule.condition), ("then", rule.then)):
            for name_in_formula in sorted(formula.variables()):
                if not graph.has_edge(name_in_formula, name):
                    graph.add_edge(name_in_formula, name, kind=key)
    return graph


def graph_file(form: str, knowledge: Knowledge | str | Path | None = None) -> bytes:
    """Return a base's network as the bytes of a file: svg, png, pdf (drawn), dot or graphml."""
    graph = network_graph(knowledge)
    if form == "graphml":
        return "\n".join(nx.generate_graphml(graph)).encode()
    if form == "dot":
        # Unquoted, a variable called node or edge would set what all nodes or edges look like.
        quoted = nx.relabel_nodes(graph, {name: json.dumps(name, ensure_ascii=False) for name in graph})
        return str(nx.nx_pydot.to_pydot(quoted)).encode()
    return kept_drawing(form, graph, figure_of)


@dataclass
class _GraphLayout:
    """Positions of nodes and bands. bands: group -> (left, right, height) of its band."""

    places: dict[str, Point] = field(default_factory=dict)
    bands: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    width: float = 0.0
    height: float = 0.0


def _graph_layout(graph: nx.Graph) -> _GraphLayout:
    """Put the root on the left, intervals above and below it, binary variables in rows, rules between."""
    layout = _GraphLayout()
    kinds = nx.get_node_attributes(graph, "kind")
    rows = _rows(graph)
    most = max((len(row) for _, row in rows), default=1)
    leftmost = 2.9
    layout.height = max(len(rows), 3) * ROW
    for index, (group, row) in enumerate(rows):
        y = layout.height / 2 + (len(rows) / 2 - index - 0.5) * ROW
        # Rows of one stand aside in turn, so that lines between rows do not run through them.
        aside = STAGGER * (-1) ** index if len(row) % 2 and len(row) < most else 0.0
        start = leftmost + (most - len(row)) * GAP / 2 + aside
        layout.bands[f"{index} {group}"] = (leftmost - 0.75, leftmost + (most - 1) * GAP + 1.75, y)
        for place, name in enumerate(row):
            layout.places[name] = (start + place * GAP, y)
    intervals = [name for name, kind in kinds.items() if kind == "interval"]
    column = [*intervals[0::2], graph.graph["root"], *intervals[1::2]]
    reach = layout.height / 2 - 0.1 * ROW
    for place, name in enumerate(column):
        off = place - column.index(graph.graph["root"])
        most_off = len(intervals[0::2]) if off < 0 else len(intervals[1::2]) or 1
        layout.places[name] = (0.0, layout.height / 2 - off * reach / most_off)
    layout.width = leftmost + (most - 1) * GAP + 1.85
    _place_rules(graph, layout)
    return layout


def _rows(graph: nx.Graph) -> list[tuple[str, list[str]]]:
    """Return the binary variables by group in order of appearance; long rows are folded."""
    groups: dict[str, list[str]] = {}
    for name, node in graph.nodes.items():
        if node["kind"] == "binary":
            groups.setdefault(node["group"], []).append(name)
    most = 4 if len(groups) > 1 else max(math.ceil(math.sqrt(len(groups.get("", [])))), 1)
    return [
        (group if not start else "", names[start : start + most])
        for group, names in groups.items()
        for start in range(0, len(names), most)
    ]


def _place_rules(graph: nx.Graph, layout: _GraphLayout) -> None:
    """Put each rule near the middle of its variables; push it away from other rules and from variables."""
    rules = [name for name, node in graph.nodes.items() if node["kind"] == "rule"]
    if not rules:
        return
    fixed = np.array(list(layout.places.values()))
    home = np.array([np.mean([layout.places[v] for v in graph[name]], axis=0) for name in rules])
    spots = home + 0.01 * np.stack([np.cos(np.arange(len(rules))), np.sin(np.arange(len(rules)))], axis=1)
    for _ in range(300):
        push = 0.1 * (home - spots)
        for obstacles, reach, flat in ((fixed, 0.5, 0.6), (spots, 0.42, 1.0)):
            # Boxes of variables are wider than high.
            gap = (spots[:, None] - obstacles[None]) * np.array([flat, 1.0])
            far = np.hypot(*gap.T).T
            near = (far < reach) & (far > 1e-9)
            strength = np.where(near, (reach - far) / np.maximum(far, 1e-3), 0)
            push += 0.5 * (gap * strength[..., None]).sum(1)
        spots = spots + np.clip(push, -0.1, 0.1)
    layout.places |= {name: (float(x), float(y)) for name, (x, y) in zip(rules, spots, strict=True)}


def figure_of(graph: nx.Graph) -> Figure:
    """Draw the graph."""
    import matplotlib as mpl

    from seke.graphics.inline_figure import InlineFigure

    layout = _graph_layout(graph)
    across = SCALE * (layout.width + 1.0)
    legend = [textwrap.shorten(text, int(across / LETTER), placeholder=" ...") for text in _legend(graph)]
    halves = max(map(len, legend), default=0) * LETTER < 0.48 * across
    below = 0.22 * math.ceil(len(legend) / (1 + halves)) + 0.75
    width, height = across, SCALE * (layout.height + 0.5) + below
    with mpl.rc_context({**STYLE, "font.size": 8}):
        figure = InlineFigure(figsize=(width, height))
        axes = figure.add_axes((0.01, below / height, 0.98, 1 - below / height - 0.01))
        axes.set_xlim(-0.95, layout.width + 0.05)
        axes.set_ylim(-0.25, layout.height + 0.25)
        axes.set_aspect("equal")
        axes.axis("off")
        _draw_bands(axes, layout)
        boxes = _draw_variables(axes, graph, layout)
        _settle_rules(graph, layout, boxes)
        _draw_rules(axes, graph, layout)
        _draw_edges(axes, graph, layout, boxes)
        _draw_legend(figure, graph, legend, 1 + halves, below / height)
    return figure


def _draw_bands(axes: Axes, layout: _GraphLayout) -> None:
    from matplotlib.patches import FancyBboxPatch

    for name, (start, end, y) in layout.bands.items():
        group = name.partition(" ")[2]
        if not any(band.partition(" ")[2] for band in layout.bands):
            continue
        box = FancyBboxPatch(
            (start, y - 0.36),
            end - start,
            0.72,
            boxstyle="round,pad=0,rounding_size=0.12",
            fc=BAND,
            ec="none",
            zorder=0,
        )
        axes.add_patch(box)
        axes.text(end - 0.1, y, group, color=PALE, fontsize=6.5, ha="right", va="center", zorder=1)


def _draw_edges(
    axes: Axes, graph: nx.Graph, layout: _GraphLayout, boxes: Mapping[str, FancyBboxPatch]
) -> None:
    most = _widest(graph) or 1.0
    fixed, extents = _extents(layout, boxes, boxes), _extents(layout, graph, boxes)
    bends = {(first, second): bend for first, second, bend in _bends_of_variables(graph, layout, fixed)}
    for first, second, edge in graph.edges(data=True):
        kind = edge["kind"]
        if kind in ("if", "then"):
            rule, variable = (first, second) if graph.nodes[first]["kind"] == "rule" else (second, first)
            ends = (variable, rule) if kind == "if" else (rule, variable)
            onto = boxes.get(variable) if kind == "then" else None
            obstacles = [extent for name, extent in extents.items() if name not in ends]
            bend, _ = clear_bend((layout.places[ends[0]], layout.places[ends[1]]), obstacles, 0.0)
            _arrow(axes, layout, ends, RULE, 0.7, onto=onto, bend=bend)
        elif kind == "coupling":
            colour = TOGETHER if edge["odds_ratio"] > 1 else AGAINST
            width = 0.6 + abs(math.log(edge["odds_ratio"])) * 1.1
            _arrow(axes, layout, (first, second), colour, width, bend=bends[first, second])
        else:
            width = 0.25 + WIDEST_LINE * edge["bits"] / most
            _arrow(axes, layout, (first, second), ROOT, width, bend=bends[first, second], alpha=0.28)


def _extents(
    layout: _GraphLayout, names: Iterable[str], boxes: Mapping[str, FancyBboxPatch]
) -> dict[str, Extent]:
    """Return the left, lower, right and upper end of each node."""
    extents = {}
    for name in names:
        if name in boxes:
            box = boxes[name].get_bbox()
            extents[name] = (box.x0, box.y0, box.x1, box.y1)
        else:
            x, y = layout.places[name]
            extents[name] = (x - RULE_REACH, y - RULE_REACH, x + RULE_REACH, y + RULE_REACH)
    return extents


def _settle_rules(graph: nx.Graph, layout: _GraphLayout, boxes: Mapping[str, FancyBboxPatch]) -> None:
    """Move rules whose lines would cross a node, or that would stand on a line, to a better place near by."""
    fixed = _extents(layout, boxes, boxes)
    lines = [
        curves((layout.places[first], layout.places[second]), [bend])[0]
        for first, second, bend in _bends_of_variables(graph, layout, fixed)
    ]
    points = np.concatenate(lines) if lines else np.zeros((0, 2))
    offsets = [(x, y) for x in np.linspace(-1.6, 1.6, 13) for y in np.linspace(-1.6, 1.6, 13)]
    offsets.sort(key=lambda offset: math.hypot(*offset))
    rules = [name for name, node in graph.nodes.items() if node["kind"] == "rule"]
    for rule in rules:
        home = layout.places[rule]
        other_rules = np.array([layout.places[name] for name in rules if name != rule]).reshape(-1, 2)
        signs = [
            (a - RULE_REACH, b - RULE_REACH, a + RULE_REACH, b + RULE_REACH) for a, b in other_rules.tolist()
        ]
        best, lowest = (0.0, 0.0), math.inf
        for offset in offsets:
            moved = 0.01 * math.hypot(*offset)
            # The offsets come from the nearest on, and a cost is never below what the move alone costs.
            if moved >= lowest:
                break
            x, y = spot = home[0] + offset[0], home[1] + offset[1]
            if not 0 < y < layout.height or any(_stands_at(extent, x, y) for extent in fixed.values()):
                continue
            if (np.hypot(*(other_rules - spot).T) < 0.5).any():
                continue
            covered = int((np.hypot(*(points - spot).T) < RULE_REACH).sum()) / POINTS
            cost = min(covered, 0.5) + moved
            for name in graph[rule]:
                if cost >= lowest:
                    break
                obstacles = [extent for other, extent in fixed.items() if other != name] + signs
                cost += clear_bend((spot, layout.places[name]), obstacles, 0.0)[1]
            if cost < lowest:
                best, lowest = offset, cost
        layout.places[rule] = (home[0] + float(best[0]), home[1] + float(best[1]))


def _stands_at(extent: Extent, x: float, y: float) -> bool:
    """Say whether the sign of a rule at (x, y) would touch a node, or stand too near it."""
    reach = RULE_REACH + 0.08
    low_x, low_y, high_x, high_y = extent
    return low_x <= x + reach and x - reach <= high_x and low_y <= y + reach and y - reach <= high_y


def _bends_of_variables(
    graph: nx.Graph, layout: _GraphLayout, fixed: Mapping[str, Extent]
) -> Iterator[tuple[str, str, float]]:
    """Yield the ends and the bend of the line of each table and coupling."""
    for first, second, edge in graph.edges(data=True):
        if edge["kind"] in ("if", "then"):
            continue
        if edge["kind"] == "coupling":
            usual = 0.28
        else:
            # What ties two intervals goes round the root that stands between them.
            usual = 0.0 if graph.graph["root"] in (first, second) else 0.15
        obstacles = [extent for name, extent in fixed.items() if name not in (first, second)]
        yield first, second, clear_bend((layout.places[first], layout.places[second]), obstacles, usual)[0]


def _widest(graph: nx.Graph) -> float:
    """Return the greatest mutual information of a table's ends, in bits."""
    return max((edge.get("bits", 0.0) for *_, edge in graph.edges(data=True)), default=0.0)


def _arrow(
    axes: Axes,
    layout: _GraphLayout,
    ends: tuple[str, str],
    colour: str,
    width: float,
    *,
    onto: FancyBboxPatch | None = None,
    bend: float = 0.0,
    alpha: float = 0.9,
) -> None:
    from matplotlib.patches import FancyArrowPatch

    patch = FancyArrowPatch(
        layout.places[ends[0]],
        layout.places[ends[1]],
        arrowstyle="-|>,head_length=3.2,head_width=1.8" if onto else "-",
        connectionstyle=f"arc3,rad={bend}",
        shrinkA=0,
        shrinkB=1 if onto else 0,
        patchB=onto,
        lw=width,
        color=colour,
        alpha=alpha,
        capstyle="round",
        zorder=2 if alpha > 0.5 else 1.5,
    )
    # Not add_patch: how far the line reaches is dear to find, and the limits of the axes are set.
    axes.add_artist(patch)


def _draw_rules(axes: Axes, graph: nx.Graph, layout: _GraphLayout) -> None:
    for name, node in graph.nodes.items():
        if node["kind"] == "rule":
            x, y = layout.places[name]
            axes.plot([x], [y], marker="D", ms=9.5, mfc="white", mec=RULE, mew=1.0, zorder=4)
            axes.text(x, y, str(node["number"]), ha="center", va="center", fontsize=6, color=RULE, zorder=5)


def _draw_variables(axes: Axes, graph: nx.Graph, layout: _GraphLayout) -> dict[str, FancyBboxPatch]:
    boxes = {}
    for name, node in graph.nodes.items():
        if node["kind"] == "rule":
            continue
        x, y = layout.places[name]
        if node["kind"] in ("binary", "interval"):
            face, size = (BINARY, 7.5) if node["kind"] == "binary" else (INTERVAL, 9)
            below = "" if node["label"] == name else textwrap.fill(node["label"], 14)
            boxes[name] = _box(axes, x, y, name, face, INK, size, below)
        else:
            states = node["states"].replace(", ", "\n")
            boxes[name] = _box(axes, x, y, name, ROOT, "white", 10, states)
    return boxes


def _box(
    axes: Axes, x: float, y: float, name: str, face: str, ink: str, size: float, below: str
) -> FancyBboxPatch:
    """Draw a rounded box around a name in bold and a smaller text beneath it."""
    from matplotlib.patches import FancyBboxPatch

    lines = below.split("\n") if below else []
    small = 0.72 * size
    width = max(BOLD * size * len(name), *(PLAIN * small * len(line) for line in lines), 0.5) + 0.2
    name_height, text_height = 0.0225 * size, 0.0190 * small * len(lines)
    height = name_height + text_height + 0.12
    edge = "none" if face == ROOT else PALE
    shape = "round,pad=0,rounding_size=0.08"
    corner = (x - width / 2, y - height / 2)
    box = FancyBboxPatch(corner, width, height, boxstyle=shape, fc=face, ec=edge, lw=0.8, zorder=3)
    axes.add_patch(box)
    top = y + height / 2 - 0.06
    middle: Any = {"ha": "center", "color": ink, "zorder": 5}
    axes.text(x, top - name_height / 2, name, va="center", fontsize=size, weight="bold", **middle)
    axes.text(x, top - name_height, below, va="top", fontsize=small, linespacing=1.05, **middle)
    return box


def _legend(graph: nx.Graph) -> Iterator[str]:
    for node in graph.nodes.values():
        if node["kind"] == "rule":
            yield (
                f"{node['number']}  {node['label']}: {node['if']}  →  {node['then']}  "
                f"({node['confidence']:g})"
            )


def _keys(graph: nx.Graph) -> Iterator[tuple[str, float, float, str]]:
    """Yield colour, width, opacity and meaning of each kind of line in the drawing."""
    yield ROOT, 5, 0.35, f"tables: mutual information (widest {_widest(graph):.2g} bits)"
    ratios = list(nx.get_edge_attributes(graph, "odds_ratio").values())
    if any(ratio > 1 for ratio in ratios):
        yield TOGETHER, 2, 0.9, "coupling: together"
    if any(ratio <= 1 for ratio in ratios):
        yield AGAINST, 2, 0.9, "coupling: against each other"
    if any(kind == "rule" for kind in nx.get_node_attributes(graph, "kind").values()):
        yield RULE, 1, 0.9, "rule"


def _draw_legend(figure: Any, graph: nx.Graph, legend: list[str], columns: int, share: float) -> None:
    axes = figure.add_axes((0.01, 0.0, 0.98, share))
    axes.axis("off")
    axes.set_xlim(0, 1)
    lines = math.ceil(len(legend) / columns)
    axes.set_ylim(lines + 2.2, -0.6)
    x, inch = 0.02, 1 / figure.get_figwidth()
    for colour, width, alpha, text in _keys(graph):
        axes.plot([x, x + 0.2 * inch], [0, 0], color=colour, lw=width, alpha=alpha, solid_capstyle="round")
        axes.text(x + 0.27 * inch, 0, text, va="center", fontsize=7, color=INK)
        x += (0.55 + 1.08 * LETTER * len(text)) * inch
    for index, text in enumerate(legend):
        column, row = divmod(index, lines)
        axes.text(0.02 + 0.5 * column, 1.2 + row, text, va="center", fontsize=6.5, color=INK)
    axes.text(
        0.98,
        lines + 1.7,
        f"{graph.graph['name']} {graph.graph['digest']}",
        ha="right",
        fontsize=5.5,
        color=PALE,
    )
