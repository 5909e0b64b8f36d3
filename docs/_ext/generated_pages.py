"""Pages of the reference that are made from the code: commands, keys of the language, messages, units."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks which there are."""
    return {"parallel_read_safe": True, "parallel_write_safe": True}
