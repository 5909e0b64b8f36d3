"""The progress bar of commands, on the standard error of a terminal; nothing elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self

from seke.cli.output import print_message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.progress import Progress

# Problems of a run that are printed one by one; the ledger has all.
MOST_PROBLEMS = 20


class ProgressBar:
    """A bar, a text and a time; use it as a context manager.

    text: a template of rich, such as "{task.percentage:.0f} % of the items"; it may name `fields`.
    remaining: the time that is left in place of the time that has passed.
    """

    def __init__(
        self,
        text: str = "{task.description}",
        *,
        total: float | None = None,
        shown: bool = True,
        remaining: bool = False,
        **fields: Any,
    ) -> None:
        self.text, self.total, self.remaining, self.fields = text, total, remaining, fields
        self.shown = shown and sys.stderr is not None and sys.stderr.isatty()
        self.bar: Progress | None = None

    def __enter__(self) -> Self:
        """Show the bar."""
        if self.shown:
            from rich import progress
            from rich.console import Console

            time = progress.TimeRemainingColumn() if self.remaining else progress.TimeElapsedColumn()
            columns = (progress.BarColumn(), progress.TextColumn(self.text), time)
            self.bar = progress.Progress(*columns, console=Console(stderr=True), transient=True)
            self.bar.add_task("", total=self.total, **self.fields)
            self.bar.start()
        return self

    def update(self, **changes: Any) -> None:
        """Change what is shown: `advance`, `completed`, `total`, and fields of the text."""
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], **changes)

    def advance(self, count: int) -> None:
        """Note that so much more is done."""
        self.update(advance=count)

    def show(self, stage: str, done: int, total: int) -> None:
        """Show what is being done, and how many of its steps are; total: 0 where that is not known."""
        steps = f"{done:,} of {total:,}" if total else f"{done:,}" if done else ""
        self.update(description=f"{stage} {steps}".rstrip(), completed=done, total=total or None)

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()


class RunProgress(ProgressBar):
    """Progress of a run that asks a model; its problems are printed everywhere, up to a limit."""

    def __init__(self) -> None:
        super().__init__("{task.completed}/{task.total} {task.fields[status]}", remaining=True, status="")
        self.settled = self.answers = self.problems = 0
        self.ways = ""

    def over(self, items: int) -> Self:
        """Show so many items."""
        self.total = items
        return self

    def add(self, settled: int, answers: int, spent: float) -> None:
        """Note items that were settled, answers that came, and what was spent in all, in USD."""
        self.settled, self.answers = self.settled + settled, self.answers + answers
        status = f"{self.answers:,} answers{self.ways}" + (f", at most {spent:,.2f} USD" if spent else "")
        self.update(completed=self.settled, status=status)

    def reading(self, counts: Mapping[str, int]) -> None:
        """Note how many answers were read whole, in part and not at all."""
        whole, in_part, unread = (counts.get(way, 0) for way in ("whole", "in_part", "unread"))
        self.ways = f" ({whole:,} whole, {in_part:,} in part, {unread:,} not at all)"

    def problem(self, message: str) -> None:
        """Print a problem, unless many were printed already."""
        self.problems += 1
        if self.problems <= MOST_PROBLEMS:
            print_message(message)
        elif self.problems == MOST_PROBLEMS + 1:
            print_message("... and more of this kind; the ledger has all")
