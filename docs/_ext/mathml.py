"""Formulas as MathML, which browsers draw themselves, by the converter of docutils."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from docutils.nodes import SkipNode
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

if TYPE_CHECKING:
    from docutils.nodes import math, math_block
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

LOG = logging.getLogger(__name__)


def formula(code: str, *, block: bool) -> str:
    """Return a formula of LaTeX as MathML, in a line or by itself.

    Raises:
        docutils.utils.math.MathError: it cannot be converted.
    """
    return str(tex2mathml(code, as_block=block))


def _mathml(node: math | math_block, *, block: bool) -> str:
    """Return a formula as MathML; one that cannot be converted stays, and is a warning."""
    try:
        return formula(node.astext(), block=block)
    except MathError as error:
        LOG.warning("no MathML for %r: %s", node.astext(), error, location=node)
        return f"<code>{escape(node.astext())}</code>"


def _visit_math(writer: HTML5Translator, node: math) -> None:
    writer.body.append(_mathml(node, block=False))
    raise SkipNode


def _visit_displaymath(writer: HTML5Translator, node: math_block) -> None:
    writer.body.append(f'<div class="formula">{_mathml(node, block=True)}</div>')
    raise SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the renderer `mathml`."""
    app.add_html_math_renderer("mathml", (_visit_math, None), (_visit_displaymath, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
