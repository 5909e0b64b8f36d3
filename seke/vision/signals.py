"""Ctrl-C ends a run once the requests that were sent are answered."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
        tell("stopping after the open requests are answered; press Ctrl-C again to stop at once")

    with suppress(NotImplementedError, RuntimeError, ValueError):
        for signal_number in SIGNALS:
            loop.add_signal_handler(signal_number, stop)
    try:
        yield
    finally:
        with suppress(NotImplementedError, RuntimeError, ValueError):
            for signal_number in SIGNALS:
                loop.remove_signal_handler(signal_number)
