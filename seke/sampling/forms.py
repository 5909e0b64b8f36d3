"""Draws of a question that is asked in several forms."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from engine import view_in_form
from seke.sampling.loop import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from seke.sampling.loop import ReadingKey


def in_forms(request: Request, forms: int, drawn: Callable[[ReadingKey], int]) -> list[Request]:
    """Return the requests for the draws of a request, split so that all forms come to have as many.

    An odd draw is of the declared form for one half of the items, of the reversed one for the other.
    drawn: how many draws a form has already.
    """
    if forms == 1:
        return [request]
    lines = [(*request.line[:4], view_in_form(request.view, form)) for form in range(forms)]
    counts = [drawn(line) for line in lines]
    shares = [0] * forms
    first = zlib.crc32(f"{request.item}/{request.about}".encode()) % forms
    for _ in range(request.samples):
        form = min(range(forms), key=lambda form: (counts[form] + shares[form], (form - first) % forms))
        shares[form] += 1
    return [
        Request(*line, begun, share)
        for line, begun, share in zip(lines, counts, shares, strict=True)
        if share
    ]
