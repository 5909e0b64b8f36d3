"""What a person at a notebook sees while something takes long: bars of tqdm, and what an interrupt leaves."""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from seke.console.extras import optional_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Counts = Callable[[int, int | None], None]
    Stages = Callable[[str, int, int], None]


def in_notebook() -> bool:
    """Say whether this is the kernel of a notebook, before which a person may wait."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in shell.config


@contextmanager
def item_bar(text: str, total: int | None, progress: Counts | bool | None) -> Iterator[Callable[[int], None]]:
    """Show a bar of items; what it yields is called with how many more are done.

    progress: whether it is shown, or what is called with how many are done and their number, None where it is
    not known; None shows it in a notebook, where tqdm is installed.

    Raises:
        engine.SekeError: a bar was asked for, and tqdm is not installed.
    """
    if callable(progress):
        done, count = 0, progress

        def advance(more: int) -> None:
            nonlocal done
            done += more
            count(done, total)

        yield advance
        return
    bar = _bar(progress, desc=text, total=total, unit=" items")
    if bar is None:
        yield lambda _: None
        return
    with bar:
        yield bar.update


@contextmanager
def stage_bar(progress: Stages | bool | None) -> Iterator[Stages]:
    """Show what is being done, and how many of its steps are; what it yields is called with these.

    progress: what is called in place of it; otherwise as in `item_bar`. The last number is 0 where the steps
    are not known.
    """
    if callable(progress):
        yield progress
        return
    bar = _bar(progress, unit=" steps")
    if bar is None:
        yield lambda *_: None
        return

    def show(stage: str, done: int, total: int) -> None:
        if bar.desc != f"{stage}: " or bar.total != (total or None):
            bar.reset(total or None)
            bar.set_description(stage)
        bar.update(done - bar.n)

    with bar:
        yield show


@contextmanager
def interruptible_stages(show: Stages) -> Iterator[Stages]:
    """Pass stages on; an interrupt says in which one it came. Nothing may be kept before the block ends."""
    last = "before anything was read"

    def note(stage: str, done: int, total: int) -> None:
        nonlocal last
        last = f"in the stage {stage!r}" + (f", step {done:,} of {total:,}" if total else "")
        show(stage, done, total)

    with interrupted_as(lambda: f"interrupted {last}; nothing was written, and nothing is kept"):
        yield note


@contextmanager
def interrupted_as(text: Callable[[], str]) -> Iterator[None]:
    """Let an interrupt of the block say what was done and what is kept."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(text()) from None


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let an interrupt wait until the block, which is short, is over; signals are of the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
    if came:
        raise KeyboardInterrupt


def _bar(progress: bool | None, **options: Any) -> Any:
    """Return a bar, or None where none is to be shown."""
    if progress is False or (progress is None and not in_notebook()):
        return None
    try:
        with warnings.catch_warnings():
            # Without ipywidgets the bar is one of text, which is enough.
            warnings.simplefilter("ignore")
            tqdm = import_module("tqdm.auto").tqdm
    except ModuleNotFoundError:
        if progress:
            optional_package("tqdm")
        return None
    return tqdm(leave=False, **options)
