"""Pages of the reference that are made from the code: commands, keys of the language, messages, units."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from api_pages import api_pages
from command_pages import command_pages
from field_tables import language_pages
from message_page import message_page
from unit_page import unit_page

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def generated_pages() -> dict[str, str]:
    """Return path below docs/reference -> Markdown of every page that is made from the code."""
    return command_pages() | language_pages() | api_pages() | message_page() | unit_page()


def _write(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "reference"
    for name, text in generated_pages().items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        # A page that stays as it is keeps its time, so that it is not read again.
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks which there are."""
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
