"""Ctrl-C ends a run once the requests that were sent are answered."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

Result = TypeVar("Result")

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOPPING = "stopping after the open requests are answered; press Ctrl-C again to stop at once"


class Interruptible(Generic[Result]):
    """Work of an event loop in one thread that is interrupted from another."""

    def __init__(self, work: Coroutine[Any, Any, Result]) -> None:
        self._work = work
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None

    async def run(self) -> Result:
        """Do the work."""
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        return await self._work

    def interrupt(self, stopping: asyncio.Event, tell: Callable[[str], None]) -> None:
        """Set `stopping`, and at the second time cancel the work; called in the other thread."""
        if self._loop is None or self._task is None:
            return
        self._loop.call_soon_threadsafe(self._task.cancel if stopping.is_set() else stopping.set)
        tell(STOPPING)


@contextmanager
def interrupts(stopping: asyncio.Event, tell: Callable[[str], None]) -> Iterator[None]:
    """Let the first Ctrl-C set `stopping`, and the second one cancel the task that runs now.

    Outside the main thread, and where the system has no such signals, nothing changes.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def stop() -> None:
        if stopping.is_set() and task is not None:
            task.cancel()
        stopping.set()
        tell(STOPPING)

    with suppress(NotImplementedError, RuntimeError, ValueError):
        for signal_number in SIGNALS:
            loop.add_signal_handler(signal_number, stop)
    try:
        yield
    finally:
        with suppress(NotImplementedError, RuntimeError, ValueError):
            for signal_number in SIGNALS:
                loop.remove_signal_handler(signal_number)
