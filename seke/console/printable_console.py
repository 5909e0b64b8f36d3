"""The console that tables are printed on: every text on it is printable, the colours are its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.segment import Segment

from seke.console.terminal import exact_output, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import ConsoleOptions, RenderableType


class PrintableConsole(Console):
    """A console of rich that shows what a terminal would obey as text."""

    def __init__(self) -> None:
        super().__init__(highlight=False, file=exact_output())

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of what is printed."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
