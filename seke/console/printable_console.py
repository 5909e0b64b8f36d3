"""The console that tables are printed on: every text on it is printable, the colours are its own."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console
from rich.segment import Segment

from seke.console.terminal import exact_output, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.console import ConsoleOptions, RenderableType


# Columns of a table that is no terminal's: a notebook shows about so many beside its margin.
NOTEBOOK_COLUMNS = 100


class PrintableConsole(Console):
    """A console of rich that shows what a terminal would obey as text."""

    def __init__(self, file: IO[str] | None = None, width: int | None = None) -> None:
        # In a notebook, too, what is printed is text, and nothing is displayed beside it.
        plain: dict[str, Any] = {} if file is None else {"force_terminal": False, "color_system": None}
        super().__init__(
            highlight=False, file=file or exact_output(), width=width, force_jupyter=False, **plain
        )

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of what is printed."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def printed_text(show: Callable[[Any, Console], None], value: Any) -> str:
    """Return as text what `show(value, console)` prints on a console of NOTEBOOK_COLUMNS."""
    file = io.StringIO()
    show(value, PrintableConsole(file, NOTEBOOK_COLUMNS))
    return file.getvalue()
