"""The end of a command: its output, or every fault on the standard error and status 2."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from seke.console.terminal import drop_output, printable

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def exit_on_errors(*, as_json: bool = False) -> Iterator[None]:
    """Print faults with the line that each is about, and end with status 2.

    as_json: and as JSON on the standard output, for a program that reads it.
    """
    from engine import KnowledgeError, SekeError
    from seke.console.plain_text import count, fault_with_line, forget_lines, near

    forget_lines()
    try:
        yield
    except KnowledgeError as error:
        if as_json:
            faults = [{"place": near(f.place), "path": f.path, "message": f.message} for f in error.faults]
            print_json({"faults": faults})
        for fault in error.faults:
            print(fault_with_line(fault), file=sys.stderr)
        print(count(len(error.faults), "fault"), file=sys.stderr)
        sys.exit(2)
    except SekeError as error:
        if as_json:
            print_json({"faults": [{"place": "", "path": "", "message": str(error)}]})
        print(printable(str(error)), file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        drop_output()
        sys.exit(1)
    except OSError as error:
        print(f"{error.filename or '<stdout>'}: {error.strerror}", file=sys.stderr)
        sys.exit(2)


def print_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    print(json.dumps(value, ensure_ascii=False))
