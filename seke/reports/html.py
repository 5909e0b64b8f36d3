"""All of a report as one page: the skeleton, style and scripts with their digests, the blocks of data."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from seke.graphics.face import face_script
from seke.graphics.page_colours import page_css
from seke.graphics.shapes import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

SCRIPTS = (
    "data",
    "dom",
    "charts",
    "overview",
    "knowledge",
    "observers",
    "comparison",
    "item",
    "items",
    "app",
)


def report_page(title: str, about: str, blocks: Iterable[str]) -> str:
    """Return the page. Nothing of the blocks is HTML; title and about are escaped."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    here = Path(__file__).parent / "web"
    style = page_css(here / "report.css")
    texts = [(here / f"{name}.js").read_text("utf-8") for name in SCRIPTS]
    script = '"use strict";\n' + "\n".join([face_script(), *texts])
    environment = Environment(loader=FileSystemLoader(here), autoescape=True, keep_trailing_newline=True)
    return environment.get_template("report.html").render(
        title=clean(title),
        about=clean(about, 1000),
        style=Markup(style),
        script=Markup(script),
        style_digest=_digest(style),
        script_digest=_digest(script),
        blocks=Markup("".join(blocks)),
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
