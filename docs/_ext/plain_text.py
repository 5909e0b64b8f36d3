"""Plain text as Markdown that shows just that text."""

from __future__ import annotations

import re

# Between backticks Markdown leaves everything as it is.
_CODE = re.compile(r"(`[^`]+`)")
_MARKS = re.compile(r"([\\*_\[\]<>#$|{}~])")


def markdown(text: str) -> str:
    """Return a text in which what would mark up is escaped, but for code between backticks."""
    parts = _CODE.split(text)
    return "".join(part if index % 2 else _MARKS.sub(r"\\\1", part) for index, part in enumerate(parts))


def slug(text: str) -> str:
    """Return a name as part of an address: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
