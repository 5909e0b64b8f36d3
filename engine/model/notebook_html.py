"""A value as a notebook shows it: a small piece of HTML that fits a light page and a dark one.

It has no script, loads nothing and takes its colours from the page around it. All texts are escaped.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Colours are inherited; lines show on white and on black. The class stands twice where a notebook's own rules
# come later, which are about as specific: they set cells to the right, and texts in another font.
STYLE = (
    ".seke{font-family:inherit;color:inherit;max-width:100%;overflow-x:auto}"
    ".seke p{margin:.3em 0}.seke p.seke-title{font-weight:600}.seke p.seke-note{opacity:.8;font-size:.92em}"
    ".seke.seke table{border-collapse:collapse;background:transparent;color:inherit;margin:.4em 0}"
    ".seke.seke th,.seke.seke td{text-align:left;padding:.15em .7em .15em 0;"
    "border-bottom:1px solid rgba(128,128,128,.4);"
    "background:transparent;color:inherit;vertical-align:top;font-variant-numeric:tabular-nums}"
    ".seke.seke pre{background:transparent;color:inherit;margin:.3em 0;padding:0;line-height:1.3;"
    "overflow-x:auto;white-space:pre;font-family:var(--jp-code-font-family,monospace),monospace}"
)


def notebook_html(
    title: str,
    *,
    head: Sequence[str] = (),
    rows: Iterable[Sequence[object]] = (),
    text: str = "",
    notes: Iterable[str] = (),
    folded: tuple[str, str] | None = None,
) -> str:
    """Return a title and below it a table, a text of fixed width and notes, which may be lacking.

    folded: what a click opens at the end: its title, and a text of fixed width.
    """
    parts = [f'<p class="seke-title">{escape(title)}</p>']
    if head:
        parts += ["<table><thead>", _row("th", head), "</thead><tbody>"]
        parts += [_row("td", row) for row in rows]
        parts.append("</tbody></table>")
    if text:
        parts.append(f"<pre>{escape(text)}</pre>")
    parts += [f'<p class="seke-note">{escape(note)}</p>' for note in notes if note]
    if folded:
        summary, inside = map(escape, folded)
        parts.append(f"<details><summary>{summary}</summary><pre>{inside}</pre></details>")
    return f'<div class="seke"><style>{STYLE}</style>{"".join(parts)}</div>'


def notebook_frame(title: str, page: str, *, notes: Iterable[str] = (), most: int = 3 << 20) -> str:
    """Return a title and below it a whole page of HTML in a frame of its own, from which it cannot reach out.

    most: characters of a page that is shown; a larger one would make a large notebook.
    """
    shown = ""
    if len(page) <= most:
        shown = (
            f'<iframe sandbox="allow-scripts" srcdoc="{escape(page)}" '
            'style="width:100%;height:36em;box-sizing:border-box;border:1px solid gray"></iframe>'
        )
    return notebook_html(title, notes=notes).removesuffix("</div>") + f"{shown}</div>"


def _row(tag: str, cells: Sequence[object]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(str(cell))}</{tag}>' for cell in cells)}</tr>"
