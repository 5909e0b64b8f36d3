"""The colours of pictures on a page, light and dark."""

from __future__ import annotations

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
