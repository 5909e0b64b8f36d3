"""Renders the facts of a score as one HTML page that needs no other file and runs no script."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seke.benchmarking.table import (
    OF_CLASSES,
    OF_NUMBERS,
    OF_UNITS,
    difference_tables,
    systems_of,
    tables,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seke.benchmarking.table import ScoreCell


def page(facts: Mapping[str, Any]) -> str:
    """Return the page; names and texts from files are escaped."""
    from jinja2 import Environment, StrictUndefined

    folder = Path(__file__).parent
    style = (folder / "page.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((folder / "page.html").read_text("utf-8"))
    score_tables = tables(facts)
    cited = dict.fromkeys(row.cited for table in score_tables for row in table.rows if row.cited)
    from markupsafe import Markup

    return template.render(
        # The style is the package's own text; escaping it would change what its digest is of.
        style=Markup(style),
        digest=digest,
        facts=facts,
        systems=systems_of(facts),
        protocol=facts.get("protocol"),
        labels={**OF_CLASSES, **OF_NUMBERS, **OF_UNITS},
        tables=score_tables,
        differences=difference_tables(facts),
        shown=number_text,
        interval=interval_text,
        numbers={name: number for number, name in enumerate(cited, 1)},
        cited=facts["cited"],
    )


def number_text(cell: ScoreCell) -> str:
    """Return a cell's number, a dash where there is none."""
    return "–" if cell.value is None else f"{cell.value:.3f}"


def interval_text(cell: ScoreCell) -> str:
    """Return a cell's interval, no text where it has none."""
    return "" if cell.low is None or cell.high is None else f"{cell.low:.3f} to {cell.high:.3f}"
