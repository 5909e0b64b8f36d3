"""The style of pages: colours of pictures, light and dark, and what all pages share that are worked with."""

from __future__ import annotations

from pathlib import Path

from seke.graphics.shapes import COLOURS, DARK


def colours_css() -> str:
    """Return the CSS by which pictures on a page take its colours, light and dark."""
    light = "".join(f"--{role}: {COLOURS[role]}; " for role in DARK)
    dark = "".join(f"--{role}: {colour}; " for role, colour in DARK.items())
    roles = "".join(
        f".f-{role} {{ fill: var(--{role}); }} .s-{role} {{ stroke: var(--{role}); }}\n" for role in DARK
    )
    schemes = f":root {{ {light}}}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark}}} }}\n"
    # What is printed is on white paper.
    return schemes + f"@media print {{ :root {{ {light}}} }}\n" + roles


def page_css(page_file: Path) -> str:
    """Return the CSS of a page that is worked with: colours, what such pages share, and its own file."""
    shared = Path(__file__).with_name("page.css").read_text("utf-8")
    return colours_css() + shared + page_file.read_text("utf-8")
