"""What a command is doing, on the standard error: a bar on a terminal, a line now and then elsewhere.

Nothing is shown in the first five seconds, but for tasks that ask for it (`seke.progress`), and nothing at
all where the environment has SEKE_PROGRESS=no.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from seke import progress
from seke.cli.output import print_message

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.progress import Progress

    from seke.progress import Task

# Problems of a run that are printed one by one; the ledger has all.
MOST_PROBLEMS = 20
# Seconds of a command after which it says what it does.
PATIENCE = 5.0
# Seconds of a task that is shown soon, before that.
SHORT_PATIENCE = 1.0
# Each line comes after twice the time of the one before, but no later than so many seconds after it.
LONGEST_SILENCE = 60.0
# Seconds between two looks at the task.
TICK = 0.25
# Columns of the bar itself: text has the others.
BAR_WIDTH = 16


class Reporter:
    """Shows the tasks of a command; a listener of `seke.progress`, and a context.

    name: of the command, which stands for what it does until it prints something or begins a task.
    """

    def __init__(
        self, name: str = "", patience: float = PATIENCE, longest_silence: float = LONGEST_SILENCE
    ) -> None:
        self.patience, self.longest_silence, self.began = patience, longest_silence, monotonic()
        self.next_line = self.began + patience
        self.tasks: list[Task] = []
        self.idle: Task | None = progress.Task(name, began=self.began) if name else None
        self.named: set[int] = set()
        self.bar: Progress | None = None
        self.has_output = False
        self.lock = threading.RLock()
        self.stopped: threading.Event | None = None
        self.thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Look at what is done from now on."""
        self._watch()
        return self

    def __exit__(self, *_: object) -> None:
        """Take away what is shown."""
        self._rest()

    def begin(self, task: Task) -> None:
        """Note a task."""
        with self.lock:
            self.tasks.append(task)
            self._look()

    def end(self, task: Task) -> None:
        """Note that a task is over."""
        with self.lock:
            # Not `remove`: tasks may be equal.
            self.tasks = [other for other in self.tasks if other is not task]
            self._look()

    def printed(self, *, result: bool) -> None:
        """Give room on the terminal to results that are printed, or to a question."""
        with self.lock:
            self.idle = None
            # A bar would be drawn between the lines of a table.
            self.has_output |= result and sys.stdout is not None and sys.stdout.isatty()
            self._look()

    @contextmanager
    def still(self) -> Iterator[None]:
        """Show nothing and run no thread in the block."""
        was_watching = self.thread is not None
        self._rest()
        try:
            yield
        finally:
            if was_watching:
                self._watch()

    def _watch(self) -> None:
        if sys.stderr is None:
            return
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._look_on, args=(self.stopped,), daemon=True)
        self.thread.start()

    def _rest(self) -> None:
        if self.thread is not None and self.stopped is not None:
            self.stopped.set()
            self.thread.join()
            self.thread = None
        with self.lock:
            self._hide()

    def _look_on(self, stopped: threading.Event) -> None:
        while not stopped.wait(TICK):
            with self.lock:
                if not stopped.is_set():
                    self._look()

    def _look(self) -> None:
        """Show the innermost task, if it is time."""
        current, now = self.tasks[-1] if self.tasks else self.idle, monotonic()
        if current is None or now < self._due(current):
            self._hide()
            return
        if current.soon and id(current) not in self.named:
            self.named.add(id(current))
            print_message(f"{current.text} ...")
            # The next line comes as much later as the first one of a command.
            self.next_line = max(self.next_line, now + self.patience)
        if _is_terminal():
            if self.has_output:
                self._hide()
            else:
                self._draw(current, now)
        elif now >= self.next_line:
            self.next_line = now + min(now - self.began, self.longest_silence)
            print(f"{current.text}: {current.state(now)}", file=sys.stderr, flush=True)

    def _due(self, current: Task) -> float:
        """Return the time from which on a task is shown."""
        due = self.began + self.patience
        return min(due, current.began + SHORT_PATIENCE) if current.soon else due

    def _draw(self, current: Task, now: float) -> None:
        text = f"{current.text}: {current.state(now)}"
        if self.bar is None:
            from rich import progress as bars
            from rich.console import Console

            class KnownBar(bars.BarColumn):
                """A bar of a task whose steps are counted; without colours any other one looks full."""

                def render(self, task: bars.Task) -> Any:
                    return "" if task.total is None else super().render(task)

            columns = KnownBar(BAR_WIDTH), bars.TextColumn("{task.description}", markup=False)
            console = Console(stderr=True)
            # The standard output stays what it is: rich would print it on the standard error.
            self.bar = bars.Progress(
                *columns, console=console, transient=True, auto_refresh=False, redirect_stdout=False
            )
            self.bar.add_task("", total=None)
            self.bar.start()
        shown = self.bar.tasks[0]
        shown.total = current.total  # None, too, which `update` takes as no change.
        self.bar.update(shown.id, description=text, completed=current.done, refresh=True)

    def _hide(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def _is_terminal() -> bool:
    """Tell whether the standard error can show a bar."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", None)


@contextmanager
def reported(
    name: str = "", patience: float = PATIENCE, longest_silence: float = LONGEST_SILENCE
) -> Iterator[None]:
    """Show on the standard error what is done in the block, unless SEKE_PROGRESS is no.

    Of a command within another the other one shows it.

    patience: seconds before that. longest_silence: seconds between two lines.
    """
    if os.environ.get("SEKE_PROGRESS") == "no" or progress.is_shown():
        yield
        return
    reporter = Reporter(name, patience, longest_silence)
    with reporter, progress.listening(reporter):
        yield


class RunProgress:
    """Progress of a run that asks a model; its problems are printed everywhere, up to a limit."""

    def __init__(self) -> None:
        self.task = progress.Task("asking")
        self.settled = self.answers = self.problems = 0
        self.ways = ""

    @contextmanager
    def over(self, items: int) -> Iterator[None]:
        """Show the block's progress through so many items."""
        with progress.task("asking", items, unit="settled") as self.task:
            yield

    def add(self, settled: int, answers: int, spent: float) -> None:
        """Note items that were settled, answers that came, and what was spent in all, in USD."""
        self.answers += answers
        self.task.advance(settled)
        self.task.note = f"{self.answers:,} answers{self.ways}" + (
            f", at most {spent:,.2f} USD" if spent else ""
        )

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
