"""The end of a command that fails: every fault on the standard error, and status 2."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import click

from seke.cli.output import print_json, print_message
from seke.cli.progress import reported
from seke.console.terminal import drop_output, printable_output
from seke.files.imports import quick_imports

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def exit_on_errors(*, as_json: bool = False) -> Iterator[None]:
    """Print faults with the line that each is about, and end with status 2; what is printed is printable.

    So, too, where a package is not installed that an extra of this project brings. Meanwhile what takes long
    is shown.

    as_json: also print them as JSON on the standard output.
    """
    with quick_imports():
        from engine import KnowledgeError, SekeError
        from seke.console.like_faults import shorten_report
        from seke.console.plain_text import count, fault_with_line, forget_lines, near

    forget_lines()
    try:
        with (
            reported(_name_of_command()),
            printable_output(),
            _exit_when_terminated(),
            missing_packages_named(),
        ):
            yield
    except KnowledgeError as error:
        if as_json:
            faults = [{"place": near(f.place), "path": f.path, "message": f.message} for f in error.faults]
            print_json({"faults": faults})
        for fault in error.faults:
            print_message(fault_with_line(fault))
        print_message(count(len(error.faults), "fault"))
        sys.exit(2)
    except SekeError as error:
        if as_json:
            print_json({"faults": [{"place": "", "path": "", "message": str(error)}]})
        print_message(shorten_report(str(error)))
        sys.exit(2)
    except BrokenPipeError:
        # The reader has what it wanted, as `head` does: nothing is said, and the status is that of a process
        # that the signal ended.
        drop_output()
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        if error.filename is None:
            drop_output()
        print_message(f"{error.filename or '<stdout>'}: {error.strerror}")
        sys.exit(2)


def _name_of_command() -> str:
    """Return the words that name the command, such as seke knowledge check."""
    context = click.get_current_context(silent=True)
    return context.command_path if context else "seke"


@contextmanager
def missing_packages_named(extra: str | None = None) -> Iterator[None]:
    """Raise a SekeError where a package is not installed that an extra of this project brings.

    extra: the one that the block needs; by default the one that the package belongs to.
    """
    from engine import SekeError
    from seke.console.extras import missing_package_text

    try:
        yield
    except ModuleNotFoundError as error:
        text = missing_package_text(error.name or "", extra)
        if text is None:
            raise
        raise SekeError(text) from None


@contextmanager
def _exit_when_terminated() -> Iterator[None]:
    """Exit by an exception on SIGTERM, so that temporary files are removed."""

    def stop(number: int, _: object) -> NoReturn:
        sys.exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are handled in the main thread alone
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
