"""What is being done, for whoever shows it: a command does (`seke.cli.progress`), Python alone does not.

    with task("compiling faces", soon=True):
        ...
    with task("inferring", total=200) as inferring:
        inferring.advance(10)

Whoever shows tasks looks at their attributes when it wants to; a task calls nobody while it goes on.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


@dataclass
class Task:
    """Something that may take a while.

    text: what is done, such as "inferring". total: of its steps, where that is known; done: those that are.
    unit: of the steps, such as "items"; where there is none, a share is shown. note: more about it, such as
    what was spent. soon: whether it is shown after a second, and not only where a command takes long. began:
    by `time.monotonic`. stage_began, moved: when its present stage began, and the last of its steps ended.
    """

    text: str
    total: float | None = None
    unit: str = ""
    soon: bool = False
    done: float = 0
    note: str = ""
    began: float = field(default_factory=monotonic)
    stage_began: float = field(init=False)
    moved: float = field(init=False)

    def __post_init__(self) -> None:
        self.stage_began = self.moved = self.began

    def advance(self, steps: float = 1) -> None:
        """Note that so many more steps are done."""
        self._move(self.done + steps)

    def reach(self, done: float, total: float) -> None:
        """Note how many of how many steps are done."""
        self.total = total
        self._move(done)

    def show(self, stage: str, done: int, total: int) -> None:
        """Show what is being done, and how many of its steps are; total: 0 where that is not known."""
        if stage != self.text:
            self.stage_began = monotonic()
        self.text, self.total = stage, total or None
        self._move(done)

    def state(self, now: float) -> str:
        """Return in words how far it is, and how long it has taken and may yet take; now: `monotonic`."""
        elapsed, share = now - self.began, self.done / self.total if self.total else 0.0
        if not self.unit and self.total:
            steps = f"{share:.0%}"
        elif self.total:
            steps = f"{self.done:,.0f} of {self.total:,.0f} {self.unit}".rstrip()
        else:
            steps = f"{self.done:,.0f} {self.unit}".rstrip() if self.done else ""
        time = duration(elapsed)
        remaining = self._remaining(now)
        if remaining > 0:
            time += f", about {duration(remaining)} left"
        return ", ".join(part for part in (steps, self.note, time) if part)

    def _move(self, done: float) -> None:
        if done != self.done:
            self.done, self.moved = done, monotonic()

    def _remaining(self, now: float) -> float:
        """Return the seconds that this stage may yet take; 0 where its finished steps do not tell.

        They took so long until the last one ended. A step that takes longer than all that should be left is
        unlike them, so nothing is told until it ends.
        """
        # From one step of a hundred on, what is left can be told from what is done.
        if not self.total or not self.total / 100 <= self.done < self.total:
            return 0.0
        of_steps = (self.moved - self.stage_began) * (self.total - self.done) / self.done
        return max(of_steps - (now - self.moved), 0.0)


class Listener(Protocol):
    """What shows tasks."""

    def begin(self, task: Task) -> None:
        """Note that a task has begun, within those that go on already."""

    def end(self, task: Task) -> None:
        """Note that a task is over."""

    def still(self) -> AbstractContextManager[None]:
        """Return a context in which nothing is shown and no thread runs: the process may be forked."""

    def printed(self, *, result: bool) -> None:
        """Note that the program itself prints a result now, or asks something."""


_listener: Listener | None = None


def is_shown() -> bool:
    """Tell whether tasks are shown already."""
    return _listener is not None


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Show the tasks of the block by a listener, unless there is one already."""
    global _listener  # noqa: PLW0603
    if _listener is not None:
        yield
        return
    _listener = listener
    try:
        yield
    finally:
        _listener = None


@contextmanager
def task(text: str, total: float | None = None, *, unit: str = "", soon: bool = False) -> Iterator[Task]:
    """Do something that may take a while in the block; for the arguments see `Task`."""
    listener, begun = _listener, Task(text, total, unit, soon)
    if listener is None:
        yield begun
        return
    listener.begin(begun)
    try:
        yield begun
    finally:
        listener.end(begun)


def still() -> AbstractContextManager[None]:
    """Return a context in which the process may be forked."""
    return nullcontext() if _listener is None else _listener.still()


def printed(*, result: bool = True) -> None:
    """Note that a result is printed, or that the user is asked something."""
    if _listener is not None:
        _listener.printed(result=result)


def duration(seconds: float) -> str:
    """Return a time in words, such as 35 s or 2:05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d} h" if hours else f"{minutes}:{whole % 60:02d} min"
