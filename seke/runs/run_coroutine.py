"""Running a coroutine to its end, in a program and in a notebook."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from seke.vision.signals import Interruptible

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Result = TypeVar("Result")


def run_coroutine(
    work: Coroutine[Any, Any, Result], stopping: asyncio.Event, tell: Callable[[str], None]
) -> Result:
    """Run to the end, also where an event loop runs already, as in a notebook.

    There an interrupt reaches this thread, and not the one aside in which the work is done: the first sets
    `stopping`, and is told, the second cancels the work.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    interruptible = Interruptible(work)
    with ThreadPoolExecutor(1) as aside:
        running = aside.submit(asyncio.run, interruptible.run())
        while True:
            try:
                return running.result()
            except KeyboardInterrupt:
                interruptible.interrupt(stopping, tell)
