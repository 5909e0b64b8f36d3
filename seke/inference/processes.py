"""Batches worked on by several processes, and given back in order."""

from __future__ import annotations

import signal
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from engine import SekeError
from seke.progress import still

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Batch = TypeVar("Batch")
    Result = TypeVar("Result")

# What each of these processes does with a batch; set when it starts.
_work: Callable[[Any], Any] = NotImplemented


def worked_on(
    work: Callable[[Batch], Result], batches: Iterable[Batch], processes: int
) -> Iterator[tuple[Batch, Result]]:
    """Yield each batch and what `work` returns of it, in order; at most two a process are on their way.

    Where processes can be forked `work` is theirs as it is; elsewhere it must be picklable, as a bound method
    of a `Session` is.

    Raises:
        engine.SekeError: a process that was killed; whatever `work` raises.
    """
    if processes == 1:
        for batch in batches:
            yield batch, work(batch)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    forks = "fork" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if forks else None)
    with ProcessPoolExecutor(processes, context, initializer=_start, initargs=(work,)) as pool:
        # All processes are forked here, or none: no thread of this one runs meanwhile.
        with still():
            pool.submit(int).result()
        waiting: deque[tuple[Batch, Any]] = deque()
        try:
            for batch in batches:
                waiting.append((batch, pool.submit(_work_on, batch)))
                if len(waiting) == 2 * processes:
                    earliest, result = waiting.popleft()
                    yield earliest, result.result()
            for earliest, result in waiting:
                yield earliest, result.result()
        except BrokenProcessPool:
            raise SekeError(
                f"one of {processes} processes was ended from outside, perhaps for want of memory; "
                "fewer of them need less"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _start(work: Callable[[Any], Any]) -> None:
    """Set what this process does; an interrupt is for the process that started it."""
    global _work  # noqa: PLW0603
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _work = work


def _work_on(batch: Any) -> Any:
    return _work(batch)
