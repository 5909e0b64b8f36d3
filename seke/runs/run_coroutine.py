"""Running a coroutine to its end, in a program and in a notebook, and several together."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from seke.vision.signals import Interruptible

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

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


async def run_together(jobs: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run jobs at the same time; where one fails the others are cancelled and waited for."""
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        await asyncio.gather(*tasks)
    finally:
        for unfinished in tasks:
            unfinished.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
