"""Batches worked on by several processes, and given back in order."""

from __future__ import annotations

import signal
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from engine import SekeError
from seke.progress import still

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future, ProcessPoolExecutor

Batch = TypeVar("Batch")
Result = TypeVar("Result")

# What each of these processes can do with a batch; set when it starts.
_works: tuple[Callable[[Any], Any], ...] = ()


class Workers(Protocol):
    """What lets processes work; see `workers`."""

    def __call__(
        self, work: Callable[[Batch], Result], batches: Iterable[Batch], /
    ) -> Iterator[tuple[Batch, Result]]:
        """Yield each batch and what some work returns of it, in order."""


def in_turn(work: Callable[[Batch], Result], batches: Iterable[Batch], /) -> Iterator[tuple[Batch, Result]]:
    """Yield each batch and what `work` returns of it, in this process."""
    for batch in batches:
        yield batch, work(batch)


@contextmanager
def workers(processes: int, *works: Callable[[Any], Any]) -> Iterator[Workers]:
    """Yield what lets so many processes do these works; two batches a process at most are on their way.

    Where processes can be forked the works are theirs as they are; elsewhere they must be picklable, as a
    bound method of a `Session` is. With one process this one does the work.

    Raises, where it is called:
        engine.SekeError: a process that was killed; whatever a work raises.
    """
    if processes == 1:
        yield in_turn
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    forks = "fork" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if forks else None)
    with ProcessPoolExecutor(processes, context, initializer=_start, initargs=works) as pool:
        # All processes are forked here, or none: no thread of this one runs meanwhile.
        try:
            with still():
                pool.submit(int).result()
            yield _Pool(pool, processes, works)
        finally:
            pool.shutdown(cancel_futures=True)


class _Pool:
    """Processes that have started."""

    def __init__(
        self, pool: ProcessPoolExecutor, processes: int, works: tuple[Callable[[Any], Any], ...]
    ) -> None:
        self._pool, self._processes, self._works = pool, processes, works

    def __call__(
        self, work: Callable[[Batch], Result], batches: Iterable[Batch], /
    ) -> Iterator[tuple[Batch, Result]]:
        from concurrent.futures.process import BrokenProcessPool

        number = self._works.index(work)
        waiting: deque[tuple[Batch, Future[Result]]] = deque()
        try:
            for batch in batches:
                waiting.append((batch, self._pool.submit(_work_on, number, batch)))
                if len(waiting) == 2 * self._processes:
                    earliest, result = waiting.popleft()
                    yield earliest, result.result()
            while waiting:
                earliest, result = waiting.popleft()
                yield earliest, result.result()
        except BrokenProcessPool:
            raise SekeError(
                f"one of {self._processes} processes was ended from outside, perhaps for want of memory; "
                "fewer of them need less"
            ) from None


def _start(*works: Callable[[Any], Any]) -> None:
    """Set what this process does; an interrupt is for the process that started it."""
    global _works  # noqa: PLW0603
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _works = works


def _work_on(number: int, batch: Any) -> Any:
    return _works[number](batch)
